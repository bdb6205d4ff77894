"""Tags between letters and words, of HTML and of forums: "kill <b>my</b>self", "k[i][/i]ys".

Those without attributes alone: whatever else stands between brackets is read as it is written.
"""

from __future__ import annotations

import re

WITHIN_LINES = (
    "a abbr b big cite code del dfn em font i ins kbd mark q s samp small span strike strong sub sup tt u var wbr"
)
"""Names of tags that break no word: what stands on both sides of one is written together."""
OF_LINES = "blockquote br center dd div dl dt h1 h2 h3 h4 h5 h6 hr li ol p pre table tbody td th thead tr ul"
"""Names of tags at which a line ends."""
OF_FORUMS = "b i u s em strong del ins sub sup size color quote code spoiler"
"""Names in square brackets."""
NOTHING = "\u2060"
"""Stands for each sign of a tag: passed over when the text is folded, so that all others keep their places."""


def _any_of(names: str) -> str:
    return "|".join(names.split())


TAG = re.compile(
    rf"</?(?:{_any_of(WITHIN_LINES)})[ ]?/?>|\[/?(?:{_any_of(OF_FORUMS)})\]|(</?(?:{_any_of(OF_LINES)})[ ]?/?>)",
    re.IGNORECASE | re.ASCII,
)


def without_tags(text: str) -> str:
    """A text as long, in which tags are nothing, or the end of a line."""
    return TAG.sub(_instead, text) if "<" in text or "[" in text else text


def _instead(tag: re.Match[str]) -> str:
    length = tag.end() - tag.start()
    return "\n".ljust(length) if tag[1] else NOTHING * length
