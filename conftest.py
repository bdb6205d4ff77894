"""Plugin folders are collected as plain directories: as packages, pytest would import every plugin a second time."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parent


def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Take ``plugins`` and everything below it as directories."""
    if path.is_relative_to(ROOT / "plugins"):
        return pytest.Dir.from_parent(parent, path=path)
    return None
