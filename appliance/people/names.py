"""Names of people, groups and devices as data: tidied on the way in, folded for searching, sorting and comparing.

Kinds stand as they do in the store, with the word for pages. Any Unicode text is a name; a sign that a spreadsheet
would take for a formula is part of it like any other.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

LONGEST_NAME = 200
LONGEST_REFERENCE = 64
LONGEST_ADDRESS = 254
LONGEST_GROUP = 80
"""In characters."""

PERSON_KINDS: Mapping[str, str] = {
    "pupil": "Pupil",
    "staff": "Member of staff",
    "governor": "Governor",
    "guest": "Guest",
}
GROUP_KINDS: Mapping[str, str] = {
    "form": "Form",
    "year": "Year",
    "class": "Class",
    "list": "List",
    "room": "Room",
    "trolley": "Trolley",
}
ACCOUNT_KINDS: Mapping[str, str] = {
    "system": "Sign-in name on school computers",
    "browser": "Address that browsers are signed in with",
}
"""Names under which devices and browsers know a person, as they stand in the store and in words."""

_APOSTROPHES = "'`\u2018\u2019\u00b4"
_DIGITS = re.compile(r"([0-9]{1,18})|([^0-9]+)")
_YEAR = re.compile(r"(?:year|yr|y)?\s*0*(\d{1,2})", re.IGNORECASE)


def tidy(text: str) -> str:
    """On one line, single spaces, no control characters, composed (NFC)."""
    kept = "".join(sign for sign in text if sign.isspace() or unicodedata.category(sign) != "Cc")
    return unicodedata.normalize("NFC", " ".join(kept.split()))


def exact(name: str) -> str:
    """The same for names that differ in case, width or spaces only."""
    return tidy(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()))


def fold(name: str) -> str:
    """For searching and sorting: without case, accents, apostrophes and hyphens. Never empty for a name that is not."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())
    kept = "".join(_folded(sign) for sign in plain)
    return " ".join(kept.split()) or exact(name)


def _folded(sign: str) -> str:
    if unicodedata.combining(sign) or sign in _APOSTROPHES:
        return ""
    return sign if unicodedata.category(sign)[0] in "LNM" else " "


def sort_name(name: str) -> str:
    """``lovelace ada`` of ``Ada Lovelace``: the last word first, folded."""
    words = name.split()
    return fold(" ".join([*words[-1:], *words[:-1]]))


def natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts ``Year 9`` before ``Year 10``."""
    pieces = _DIGITS.findall(fold(name))
    return [(int(number), "") if number else (-1, word) for number, word in pieces]


def account_name(name: str) -> str:
    """How a name under which a device or browser knows somebody is kept, so that it is found in any spelling."""
    return exact(name)


def year_name(text: str) -> str:
    """``Year 7`` of ``7``, ``07``, ``Y7`` and ``year 7``; anything else as it is (``Reception``)."""
    match = _YEAR.fullmatch(text)
    return f"Year {match[1]}" if match else text
