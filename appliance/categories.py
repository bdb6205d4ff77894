"""Categories of captures: what each is called, whether its pictures are shown at once or kept at all, and what to do.

They come from ``categories.yaml``; the file says what is wrong with it by line. Two are the core's own: tests, and what
no detector could judge. Whatever the file says, no picture is kept of illegal content.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.config import CHECKOUT
from appliance.yamlfile import ConfigError, Lines, Mistake, PathKeys, load_yaml, path_text

TEST = "test"
UNJUDGED = "unjudged"
ILLEGAL = "illegal"
HIDDEN_CATEGORIES = frozenset({ILLEGAL})
"""Categories whose words are shown to nobody: of made-up sentences about them only numbers are told."""
KEYS = ("key", "title", "hide_picture", "images", "guidance")
IMAGES = ("keep", "never")


@dataclass(frozen=True, slots=True)
class Category:
    """One category. ``guidance``: what to do first, a few sentences.

    ``hide_picture``: a picture is shown only after a press. ``keeps_images``: pictures are kept at all.
    """

    key: str
    title: str
    hide_picture: bool
    keeps_images: bool
    guidance: tuple[str, ...]


_OF_THE_CORE = (
    Category(
        TEST,
        "Test",
        hide_picture=False,
        keeps_images=True,
        guidance=(
            "This is the harmless test phrase: the way from a device to this page works.",
            "Nothing has to be done. It goes by itself after a day.",
        ),
    ),
    Category(
        UNJUDGED,
        "Not judged",
        hide_picture=True,
        keeps_images=True,
        guidance=(
            "A part of the appliance could not judge this in time, so it was kept in case it matters.",
            "Read it and decide yourself. Most likely it is harmless.",
            "If there are many of these, tell IT: one part is too slow or fails.",
        ),
    ),
)


def _unknown(key: str) -> Category:
    """A category that the file does not have: its pictures are hidden, because nobody knows what they show."""
    return Category(
        key,
        key.replace("_", " ").capitalize(),
        hide_picture=True,
        keeps_images=key != ILLEGAL,
        guidance=(
            "Read what was captured and think of the child first: is anybody in danger now?",
            "If so, act at once and as your school’s policy says. If not, talk with the safeguarding lead.",
        ),
    )


class Categories:
    """All categories. It is never changed: a changed file makes a new one."""

    def __init__(self, categories: Iterable[Category]) -> None:
        self._categories = {one.key: one for one in (*categories, *_OF_THE_CORE)}

    @classmethod
    def load(cls, path: Path) -> Categories:
        """Read ``categories.yaml``, or the one that comes with the appliance where there is none.

        ConfigError names all mistakes, each with file and line.
        """
        found = path if path.exists() else shipped(path.name)
        data, lines = load_yaml(found)
        return cls(_Reader(found, lines).categories(data))

    def get(self, key: str) -> Category:
        """The category of a key; one with hidden pictures if the file has none of it."""
        return self._categories.get(key) or _unknown(key)

    def all(self) -> tuple[Category, ...]:
        """Every category in the order of the file, the core's own last."""
        return tuple(self._categories.values())

    def title(self, key: str) -> str:
        """What a category is called on pages."""
        return self.get(key).title


def shipped(name: str) -> Path:
    """Where the file of this name lies that came with the appliance: in the checkout, or beside the installed code."""
    places = (CHECKOUT / "etc" / name, Path(sys.prefix) / "share" / "appliance" / "etc" / name)
    return next((place for place in places if place.exists()), places[-1])


class _Reader:
    """Turns the data of one file into categories and collects what is wrong with it, each mistake with its line."""

    def __init__(self, file: Path, lines: Lines) -> None:
        self._file = file
        self._lines = lines
        self._mistakes: list[Mistake] = []

    def categories(self, data: Any) -> list[Category]:
        entries = self._entries(data)
        found = [self._category(entry, ("categories", index)) for index, entry in enumerate(entries)]
        self._refuse_repeated(found)
        if self._mistakes:
            raise ConfigError(self._mistakes)
        return [one for one in found if one is not None]

    def _entries(self, data: Any) -> list[Any]:
        if not isinstance(data, dict):
            self._wrong((), "this is not a list of categories", "categories: with a list below it")
            return []
        self._refuse_unknown(data, ("categories",), ())
        entries = data.get("categories")
        if not isinstance(entries, list) or not entries:
            self._wrong(("categories",), "no category is listed", "at least one category")
            return []
        return entries

    def _category(self, entry: Any, path: PathKeys) -> Category | None:
        if not isinstance(entry, dict):
            self._wrong(path, "this is not a category", f"lines with {_all_of(KEYS)}")
            return None
        self._refuse_unknown(entry, KEYS, path)
        before = len(self._mistakes)
        key, title = self._key(entry, path), self._text(entry, "title", path)
        hide, images = self._switch(entry, path), self._images(entry, key, path)
        guidance = self._guidance(entry, path)
        if len(self._mistakes) > before:
            return None
        return Category(key, title, hide, images, guidance)

    def _key(self, entry: dict[str, Any], path: PathKeys) -> str:
        key = self._text(entry, "key", path)
        if key in {one.key for one in _OF_THE_CORE}:
            self._wrong((*path, "key"), f"{key} is a category of the appliance itself", "another key")
        elif key and not key.replace("_", "").isalnum():
            self._wrong((*path, "key"), f"{key} is no key", "letters, digits and underscores, such as self_harm")
        return key

    def _text(self, entry: dict[str, Any], key: str, path: PathKeys) -> str:
        value = entry.get(key)
        if isinstance(value, str) and value.strip():
            return value.strip()
        if value is None or value == "":
            self._wrong((*path, key), f"{key} is missing", f"each category to have {_all_of(KEYS)}")
        else:
            self._wrong((*path, key), f"{key} is not text", "text; put it in quotes")
        return ""

    def _switch(self, entry: dict[str, Any], path: PathKeys) -> bool:
        value = entry.get("hide_picture")
        if isinstance(value, bool):
            return value
        self._wrong((*path, "hide_picture"), "hide_picture is missing or no switch", "true or false")
        return True

    def _images(self, entry: dict[str, Any], key: str, path: PathKeys) -> bool:
        value = entry.get("images")
        if value not in IMAGES:
            self._wrong((*path, "images"), "images is missing or something else", _all_of(IMAGES, "or"))
        elif key == ILLEGAL and value != "never":
            self._wrong((*path, "images"), "keeping such a picture may be an offence", "never")
        return bool(value == "keep")

    def _guidance(self, entry: dict[str, Any], path: PathKeys) -> tuple[str, ...]:
        value = entry.get("guidance")
        if not isinstance(value, list) or not value or not all(isinstance(one, str) and one.strip() for one in value):
            self._wrong(
                (*path, "guidance"), "guidance is missing or no list of sentences", "what to do first, in lines"
            )
            return ()
        return tuple(one.strip() for one in value)

    def _refuse_unknown(self, mapping: dict[str, Any], known: tuple[str, ...], path: PathKeys) -> None:
        for key in mapping:
            if key not in known:
                nearest = difflib.get_close_matches(key, known, n=1)
                self._wrong((*path, key), "there is no such key", _all_of(known), "".join(nearest))

    def _refuse_repeated(self, found: list[Category | None]) -> None:
        first: dict[str, int] = {}
        for index, one in enumerate(found):
            if one is not None and first.setdefault(one.key, index) != index:
                line = self._lines.line(("categories", first[one.key]))
                self._wrong(("categories", index, "key"), f"{one.key} is listed twice (first on line {line})")

    def _wrong(self, path: PathKeys, message: str, expected: str = "", nearest: str = "") -> None:
        self._mistakes.append(Mistake(self._file, self._lines.line(path), path_text(path), message, expected, nearest))


def _all_of(keys: tuple[str, ...], word: str = "and") -> str:
    *most, last = keys
    return f"{', '.join(most)} {word} {last}" if most else last
