"""Plugin folders are collected as plain directories: as packages, pytest would import every plugin a second time."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from appliance.memory import settle

# Speed is no part of what a test says; on a busy machine an example may take as long as it likes.
hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.load_profile("house")

# Whatever the environment says, compiled code is kept: tests start hundreds of processes, and each would compile the
# whole appliance again. The same holds for the tests themselves, which are compiled in every worker.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

IN_MEMORY, ROOM = Path("/dev/shm"), 4 * 1024**3  # noqa: S108 - the tests' own folders in it are private
"""Where tests keep their files if the machine has so much room there: stores that are thrown away need no disk."""
if "TMPDIR" not in os.environ and IN_MEMORY.is_dir() and shutil.disk_usage(IN_MEMORY).free > ROOM:
    os.environ["TMPDIR"] = tempfile.tempdir = str(IN_MEMORY)

ROOT = Path(__file__).parent
LONGEST_FIRST = (
    "test_main_job.py", "test_first_people.py", "test_first_day.py", "test_web_browser.py", "test_processes.py",
    "test_extension_living.py", "test_plugins.py", "test_detection.py", "test_extension_reading.py",
    "test_demonstration.py", "test_root_cannot_read.py", "test_web_pages.py", "test_keyword_bundles_pages.py",
)  # fmt: skip
"""Files that take a minute or more. A file is one piece of work for one worker: none of these may be the last."""


def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Take ``plugins`` and everything below it as directories."""
    if path.is_relative_to(ROOT / "plugins"):
        return pytest.Dir.from_parent(parent, path=path)
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that all workers end at about the same time."""
    places = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


@pytest.fixture(autouse=True, scope="module")
def what_earlier_files_left_is_looked_through_once() -> None:
    """Whoever signs out has garbage looked for, among all that was made since. Policies that an earlier file has read
    would be looked through hundreds of times."""
    settle()


@pytest.fixture(autouse=True)
def no_store_is_left_open() -> Iterator[None]:
    """A connection that nobody closed has a thread that keeps the whole process alive after its end."""
    before = set(threading.enumerate())  # what an earlier test has left is that one's fault alone
    yield
    for thread in set(threading.enumerate()) - before:
        if "_connection_worker_thread" in thread.name:
            thread.join(5)  # it may be on its way out
            assert not thread.is_alive(), "a store was left open"
