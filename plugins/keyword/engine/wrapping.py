"""Lines that were wrapped: in mail and plain text a line ends where the column does, in the middle of a sentence.

A line goes on in the next one where the next word had no room any more: with it, the line would be longer than the
longest of its paragraph, which is as long as columns are. It ends no sentence, and the next one goes on in lower case.
Lines of a chat or a list are shorter, or end sooner, and stay lines of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby, pairwise

NARROWEST, WIDEST = 60, 100
"""Signs of the longest line of a paragraph that may be wrapped."""
_GOES_ON = re.compile("[ \t>]*([a-z][^ \t\r]*)")
"""How a line goes on, in an answer to mail too."""
_BLANKS = " \t\r"
_ENDS = (".", "!", "?", ":", ";")


def wraps(text: str) -> Iterator[bool]:
    """For each end of a line, whether the line was wrapped there."""
    lines = [line.rstrip(_BLANKS) for line in text.split("\n")]
    widths: list[int] = []
    for _, paragraph in groupby(lines, bool):
        lengths = list(map(len, paragraph))
        widths += [max(lengths)] * len(lengths)
    for (line, following), width in zip(pairwise(lines), widths, strict=False):
        yield NARROWEST <= width <= WIDEST and _goes_on(line, following, width)


def _goes_on(line: str, following: str, width: int) -> bool:
    """Whether a line goes on in the following one, for whose first word it has no room."""
    first = _GOES_ON.match(following)
    return first is not None and len(line) + 1 + len(first[1]) > width and not line.endswith(_ENDS)
