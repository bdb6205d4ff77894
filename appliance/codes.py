"""Codes that people print, read out and type: Crockford's base 32 in groups, forgiving about how it is typed.

The alphabet leaves out I, L, O and U (https://www.crockford.com/base32.html): what looks alike is read as one letter.
"""

from __future__ import annotations

import re
import secrets

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LINK_LETTERS = 28
"""Five bits each: 140, more than the 128 that a link needs."""
LOOKS_LIKE = str.maketrans("OIL", "011")
_BETWEEN_GROUPS = re.compile(r"[\s\-\u2010-\u2015\u2212]+")
"""Spaces, and what keyboards and word processors make of a hyphen."""


def new_code(letters: int = LINK_LETTERS, group: int = 4) -> str:
    """A random code such as ``7Q2K-M0XD-...``."""
    drawn = "".join(secrets.choice(ALPHABET) for _ in range(letters))
    return "-".join(drawn[place : place + group] for place in range(0, letters, group))


def plain_code(text: str) -> str:
    """A code as it is compared: capitals, without spaces and hyphens, letters that look like digits as digits."""
    return _BETWEEN_GROUPS.sub("", text.upper().translate(LOOKS_LIKE))
