"""What is known of a plugin's code, and when it is tried again."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from appliance.loading import load
from appliance.plugin_finder import find_plugins
from appliance.probed import FILE, Probed
from appliance.testing import Home, Running

GOOD = '''
from appliance.api import Section

class Plugin:
    """A plugin that does nothing."""

    class Settings(Section):
        pass

    def __init__(self, appliance, settings):
        pass
'''
COUNTS = "open({path!r}, 'a').write('x')\n"


@pytest.fixture
def home(appliance_home: Home) -> Home:
    appliance_home.state.mkdir()
    appliance_home.write("plugins: {quiet: {}}")
    return appliance_home


def counting(home: Home) -> tuple[Path, Path]:
    """A plugin that notes each time that it is imported, and where it notes that."""
    noted = home.folder / "imports"
    folder = home.add_plugin(COUNTS.format(path=str(noted)) + GOOD, "quiet")
    return folder / "__init__.py", noted


async def imports_of_next_load(home: Home, noted: Path) -> int:
    noted.write_text("")
    loaded = await load(home.place)
    assert loaded.troubles == {}
    return len(noted.read_text())


TRIED, NOT_TRIED = 2, 1  # in the child process and here; here alone


async def test_the_same_code_is_tried_once(home: Home) -> None:
    _, noted = counting(home)
    assert await imports_of_next_load(home, noted) == TRIED
    assert await imports_of_next_load(home, noted) == NOT_TRIED


async def test_other_code_is_tried(home: Home) -> None:
    code, noted = counting(home)
    await imports_of_next_load(home, noted)
    code.write_text(code.read_text() + "# mended\n")
    assert await imports_of_next_load(home, noted) == TRIED


async def test_a_file_beside_the_code_counts(home: Home) -> None:
    code, noted = counting(home)
    await imports_of_next_load(home, noted)
    (code.parent / "words.yaml").write_text("{}")
    assert await imports_of_next_load(home, noted) == TRIED


@pytest.mark.parametrize("content", ["", "[]", "{", '{"quiet": 3}'])
async def test_what_is_damaged_means_that_nothing_is_known(home: Home, content: str) -> None:
    _, noted = counting(home)
    await imports_of_next_load(home, noted)
    (home.state / FILE).write_text(content)
    assert await imports_of_next_load(home, noted) == TRIED


async def test_what_failed_is_tried_each_time(home: Home) -> None:
    home.add_plugin("raise RuntimeError('no luck')", "quiet")
    for _ in range(2):
        assert "no luck" in (await load(home.place)).troubles["quiet"].reason
    assert not Probed(home.state).knows(find_plugins(home.place.drop_in_dir)["quiet"])


async def test_a_plugin_that_is_known_still_starts(
    home: Home, start_appliance: Callable[[Home], Awaitable[Running]]
) -> None:
    counting(home)
    await load(home.place)
    running = await start_appliance(home)
    assert running.appliance.plugins.is_on("quiet")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root notes something for another account")
def test_what_root_notes_is_for_whom_the_folder_belongs_to(home: Home) -> None:
    home.add_plugin(GOOD, "quiet")
    os.chown(home.state, 12345, 12346)
    Probed(home.state).note(find_plugins(home.place.drop_in_dir))
    kept = (home.state / FILE).stat()
    assert (kept.st_uid, kept.st_gid) == (12345, 12346)
