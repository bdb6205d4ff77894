"""Plugin folders are collected as plain directories: as packages, pytest would import every plugin a second time."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# Speed is no part of what a test says; on a busy machine an example may take as long as it likes.
hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.load_profile("house")

# Whatever the environment says, compiled code is kept: tests start hundreds of processes, and each would compile the
# whole appliance again. The same holds for the tests themselves, which are compiled in every worker.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

ROOT = Path(__file__).parent


def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Take ``plugins`` and everything below it as directories."""
    if path.is_relative_to(ROOT / "plugins"):
        return pytest.Dir.from_parent(parent, path=path)
    return None


@pytest.fixture(autouse=True)
def no_store_is_left_open() -> Iterator[None]:
    """A connection that nobody closed has a thread that keeps the whole process alive after its end."""
    before = set(threading.enumerate())  # what an earlier test has left is that one's fault alone
    yield
    for thread in set(threading.enumerate()) - before:
        if "_connection_worker_thread" in thread.name:
            thread.join(5)  # it may be on its way out
            assert not thread.is_alive(), "a store was left open"
