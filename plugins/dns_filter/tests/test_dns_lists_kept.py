"""Compiled lists: made once, kept when the source goes, checked when they are loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance_plugins.dns_filter.lists.catalogue import Catalogue
from appliance_plugins.dns_filter.lists.compiled import (
    ListUnreadable,
    compile_list,
    forget_others,
    load_names,
    look_at,
    read_index,
    write_index,
)
from appliance_plugins.dns_filter.settings import ListSettings

WHEN = "2026-11-24T09:30:00.000Z"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "ads.txt"
    path.write_text("b.example\nnonsense\na.example\nB.example\n")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "compiled"


def catalogue(source: Path, folder: Path) -> Catalogue:
    return Catalogue([ListSettings(name="ads", file=Path(source.name))], lambda path: source.parent / path, folder)


def names_in_force(found: Catalogue, folder: Path) -> frozenset[str]:
    return load_names(folder, found.digests()["ads"])


def test_a_list_is_compiled_and_loaded(source: Path, folder: Path) -> None:
    compiled = compile_list(look_at(source, "domains"), folder, WHEN)
    assert (compiled.names, compiled.rejected, compiled.examples[0].line, compiled.read_at) == (2, 1, 2, WHEN)
    assert load_names(folder, compiled.sha256) == {"a.example", "b.example"}
    assert [path.name for path in folder.iterdir()] == [f"{compiled.sha256}.names"]
    assert (folder / f"{compiled.sha256}.names").stat().st_mode & 0o777 == 0o640


def test_the_same_names_in_another_order_are_the_same_list(source: Path, folder: Path) -> None:
    first = compile_list(look_at(source, "domains"), folder, WHEN)
    source.write_text("a.example # first\r\nb.example\r\n")
    assert compile_list(look_at(source, "domains"), folder, WHEN).sha256 == first.sha256


def test_an_empty_list_is_a_list(source: Path, folder: Path) -> None:
    source.write_text("# nothing yet\n")
    assert load_names(folder, compile_list(look_at(source, "domains"), folder, WHEN).sha256) == frozenset()


@pytest.mark.parametrize("content", ["<!doctype html>\n<title>404</title>\n", "0.0.0.0 ads.example\n", "\x00\x01"])
def test_a_file_without_one_domain_is_no_list(source: Path, folder: Path, content: str) -> None:
    source.write_text(content)
    with pytest.raises(ListUnreadable, match=r"is no list in the format 'domains': line 1"):
        compile_list(look_at(source, "domains"), folder, WHEN)
    assert not folder.exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ListUnreadable, match=r"gone\.txt cannot be read: No such file"):
        look_at(tmp_path / "gone.txt", "domains")


def test_a_folder_is_no_list(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(ListUnreadable, match="Is a directory"):
        compile_list(look_at(tmp_path, "domains"), folder, WHEN)


def test_a_copy_that_cannot_be_written_is_named(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ListUnreadable, match="cannot be written"):
        compile_list(look_at(source, "domains"), tmp_path / "file", WHEN)


def test_damage_is_noticed(source: Path, folder: Path) -> None:
    digest = compile_list(look_at(source, "domains"), folder, WHEN).sha256
    path = folder / f"{digest}.names"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ListUnreadable, match="damaged"):
        load_names(folder, digest)
    path.unlink()
    with pytest.raises(ListUnreadable, match="cannot be read"):
        load_names(folder, digest)


def test_the_index_knows_what_is_still_there(source: Path, folder: Path) -> None:
    compiled = compile_list(look_at(source, "domains"), folder, WHEN)
    write_index(folder, {"ads": compiled})
    assert read_index(folder) == {"ads": compiled}
    forget_others(folder, {compiled.sha256})
    assert read_index(folder) == {"ads": compiled}
    forget_others(folder, ())
    assert read_index(folder) == {}


@pytest.mark.parametrize("content", ["", "{", '{"ads": {"sha256": 3}}', "[]"])
def test_a_damaged_index_is_none(folder: Path, content: str) -> None:
    folder.mkdir()
    (folder / "index.json").write_text(content)
    assert read_index(folder) == {}


async def test_a_changed_file_is_read_again_and_an_unchanged_one_is_not(source: Path, folder: Path) -> None:
    lists = catalogue(source, folder)
    await lists.open()
    await lists.refresh()
    first = lists.states[0].compiled
    await lists.refresh()
    assert lists.states[0].compiled is first
    source.write_text("new.example\n")
    await lists.refresh()
    assert names_in_force(lists, folder) == {"new.example"}


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("damage", ["gone", "not a list"])
async def test_the_last_good_copy_stays(source: Path, folder: Path, damage: str, restarted: bool) -> None:
    lists = catalogue(source, folder)
    await lists.open()
    await lists.refresh()
    if damage == "gone":
        source.unlink()
    else:
        source.write_text("<html>\n")
    if restarted:
        lists = catalogue(source, folder)
        await lists.open()
    await lists.refresh()
    assert lists.states[0].trouble is not None
    assert source.name in lists.states[0].trouble.what
    assert names_in_force(lists, folder) == {"a.example", "b.example"}
    source.write_text("back.example\n")
    await lists.refresh()
    assert lists.states[0].trouble is None
    assert names_in_force(lists, folder) == {"back.example"}


async def test_a_list_that_was_never_good_has_nothing_in_force(source: Path, folder: Path) -> None:
    source.unlink()
    lists = catalogue(source, folder)
    await lists.open()
    await lists.refresh()
    assert lists.digests() == {}
    assert lists.states[0].trouble is not None


async def test_a_lost_copy_is_made_again(source: Path, folder: Path) -> None:
    lists = catalogue(source, folder)
    await lists.open()
    await lists.refresh()
    forget_others(folder, ())
    await lists.refresh()
    assert names_in_force(lists, folder) == {"a.example", "b.example"}


async def test_old_copies_go_one_change_later(source: Path, folder: Path) -> None:
    lists = catalogue(source, folder)
    await lists.open()
    kept = []
    for name in ("one", "two", "three"):
        source.write_text(f"{name}.example\n" * (len(kept) + 1))
        await lists.refresh()
        await lists.tidy()
        kept.append(lists.digests()["ads"])
    assert {path.stem for path in folder.glob("*.names")} == set(kept[1:])
