"""Lines that are written upside down or backwards, as sites make them of plain ones: they are read once more the right
way round.

Upside down each letter is another one that looks like it when it is turned, and the last comes first. Backwards the
letters are plain, the last first, behind a sign that makes every screen show them the other way round (U+202E, UAX #9).
Without that sign nobody reads a line backwards, and neither do we.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping

UPRIGHT: Mapping[str, str] = {
    # what stands for the letters from a to z, capitals, and what others use
    **dict(zip("ɐqɔpǝɟƃɥᴉɾʞlɯuodbɹsʇnʌʍxʎz", "abcdefghijklmnopqrstuvwxyz", strict=True)),  # noqa: RUF001
    **dict(zip("∀ᗺƆᗡƎℲ⅁ſ⅂WԀᴚ⊥∩ΛM⅄", "abcdefgjlmprtuvwy", strict=True)),  # noqa: RUF001
    **dict(zip("əıɓᵷꓘ", "eigdk", strict=True)),
}  # fmt: skip
"""By a letter that is upside down, the one that it was."""
FEWEST_TURNED = 3
"""Letters of a line, which are no others, that show that it is upside down."""
MOST_TURNED = 100_000
"""Letters of one text that are read so."""

OF_ALPHABETS = frozenset("ıəɔſΛ")
"""Letters that Turkish, Azerbaijani, Twi, Greek and others write as they stand."""
TURNED = "".join(sign for sign in UPRIGHT if not sign.isascii() and sign not in OF_ALPHABETS)
BACKWARDS = "\u202e"
FORWARDS = "\u202a-\u202d\u2066-\u2069\n"
"""What ends a run that is shown backwards, as ranges: the next sign of its kind, or the end of the line."""

_TURNED = re.compile(f"[{TURNED}]")
_LINE = re.compile("[^\n]+")
_BACKWARDS = re.compile(f"(?<={BACKWARDS})[^{FORWARDS}{BACKWARDS}]+")
_UPRIGHT = str.maketrans(dict(UPRIGHT))


class Turned:
    """Lines of a text the right way round, one below the other, with the places of their letters in the original."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._begins: list[int] = []
        self._ends: list[int] = []
        self._length = 0

    @property
    def text(self) -> str:
        """What they say."""
        return "\n".join(self._lines)

    def add(self, line: re.Match[str], letters: Mapping[int, int | str | None]) -> None:
        """Read one more from its end, with other ``letters`` for its own, as far as there is room."""
        written = line[0][: MOST_TURNED - self._length]
        if written:
            self._lines.append(written[::-1].translate(letters))
            self._begins.append(self._length + len(self._begins))
            self._ends.append(line.start() + len(written))
            self._length += len(written)

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """Where the letters from ``start`` up to ``end`` stand in the original."""
        first, last = sorted((self._origin(start), self._origin(end - 1)))
        return first, last + 1

    def _origin(self, place: int) -> int:
        number = bisect_right(self._begins, place) - 1
        return self._ends[number] - 1 - (place - self._begins[number])


def turned(text: str) -> Turned | None:
    """The lines of a text that are upside down, and what is shown backwards; ``None`` if there are none."""
    if text.isascii() or not (_TURNED.search(text) or BACKWARDS in text):
        return None
    found = Turned()
    for line in _LINE.finditer(text):
        if len(_TURNED.findall(line[0])) >= FEWEST_TURNED:
            found.add(line, _UPRIGHT)
    for run in _BACKWARDS.finditer(text):
        found.add(run, {})
    return found if found.text else None
