"""Emoji that stand for a word: "I want to 🔪 myself", "anyone got 🍃".

Those alone that pupils write for weapons, drugs and harm. A skull, tears or a flame say how somebody feels and stand
for nothing. What is read so counts beside words alone: a phrase that is emoji throughout says nothing ("🔪🍎"), and
where an emoji is all that stands near a phrase, that is Minor.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice

from .disguises import MOST_LOOKED_AT, Stretch
from .folding import Folded

EMOJI = "emoji"
MEANT: Mapping[str, tuple[str, ...]] = {
    "🔪": ("stab", "knife", "cut"), "🗡": ("stab", "knife"), "🪓": ("axe",), "🪒": ("razor", "cut"),
    "🔫": ("shoot", "gun"), "💣": ("bomb",), "🧨": ("bomb",), "🪢": ("hang", "rope"),
    "💊": ("pills", "drugs"), "💉": ("inject", "heroin"),
    "❄": ("coke",), "🍃": ("weed",), "🌿": ("weed",), "🍁": ("weed",), "🍄": ("shrooms",), "🔌": ("plug",),
}  # fmt: skip
"""By an emoji, the words that it may stand for."""
RUN = f"([{''.join(MEANT)}])(?:[\ufe0f\u200d\U0001f3fb-\U0001f3ff]*\\1)*"
"""An emoji, once or several times; how it looks makes no difference."""
_RUN = re.compile(RUN)


def stretches(folded: Folded) -> Iterator[Stretch]:
    """Where emoji stand for words in a text."""
    if not folded.original.isascii():
        for run in islice(_RUN.finditer(folded.original), MOST_LOOKED_AT):
            start, last = folded.place_of(run.start()), folded.place_of(run.end() - 1)
            yield Stretch(start, last + 1, EMOJI, MEANT[run[1]])
