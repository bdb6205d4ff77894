"""Whatever a box needs is in the wheel: every package is named in pyproject.toml, and every file beside its modules."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
FOLDERS = {"appliance": ROOT / "appliance", "appliance_plugins": ROOT / "plugins"}
LEFT_OUT = frozenset({"tests", "__pycache__"})


def packages() -> Iterator[tuple[str, Path]]:
    """Every package of the program with its folder."""
    for name, folder in FOLDERS.items():
        for module in sorted(folder.rglob("__init__.py")):
            parts = module.parent.relative_to(folder).parts
            if not LEFT_OUT.intersection(parts):
                yield ".".join((name, *parts)), module.parent


def test_every_package_is_named() -> None:
    assert sorted(SETUPTOOLS["packages"]) == sorted(name for name, _ in packages())


def test_every_file_beside_the_modules_comes_along() -> None:
    folders = dict(packages())
    taken = {
        path
        for name, patterns in SETUPTOOLS["package-data"].items()
        for pattern in patterns
        for path in folders[name].glob(pattern)
    }
    needed = {
        path
        for folder in FOLDERS.values()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".py" and not LEFT_OUT.intersection(path.parts)
    }
    assert sorted(str(path.relative_to(ROOT)) for path in needed - taken) == []
