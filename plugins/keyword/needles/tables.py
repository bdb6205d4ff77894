"""The engine's tables for the browser's code, so that they stand in one place: ``browser/generated/tables.js``.

The module is made when the extension is packed and is never kept in the source.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from functools import cache
from itertools import islice
from typing import Any

from ..engine import (
    addresses,
    alike,
    disguises,
    emoji,
    english,
    folding,
    judging,
    markup,
    matches,
    near,
    odd,
    prepared,
    telling,
    textspeak,
    turned,
)  # fmt: skip
from .surfaces import SURFACES

PATH = "generated/tables.js"
"""Where the module stands beside the plugin's other files for browsers."""
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@cache
def tables_module() -> bytes:
    """The module: one constant for each table."""
    constants = (
        f"export const {name} = {json.dumps(value, ensure_ascii=True)};\n" for name, value in _tables().items()
    )
    return "".join(constants).encode()


def _tables() -> Mapping[str, Any]:
    seen = english.frequencies()
    return {
        # folding
        "apostrophes": "".join(sorted(folding.APOSTROPHES)),
        "dropped": folding.DROPPED,
        "capitals": alike.CAPITALS,
        "small": alike.SMALL,
        "amongLetters": alike.AMONG_LETTERS,
        "zeros": _zeros(),
        # tags
        "tags": markup.TAG.pattern,
        "nothing": markup.NOTHING,
        # upside down and backwards
        "upright": turned.UPRIGHT,
        "turnedLetters": turned.TURNED,
        "fewestTurned": turned.FEWEST_TURNED,
        "mostTurned": turned.MOST_TURNED,
        "backwards": turned.BACKWARDS,
        "forwards": turned.FORWARDS,
        # English
        "english": _english(seen),
        "allCounts": sum(seen.values()),
        "common": min(islice(seen.values(), english.COMMON)),
        "shortWords": sorted(english.SHORT),
        "threeLetters": english.THREE,
        "taughtCount": english.TAUGHT,
        "ofTwo": english.OF_TWO,
        "longestRun": english.LONGEST_RUN,
        "longestWord": english.LONGEST_WORD,
        "fewestLetters": near.FEWEST_LETTERS,
        "mostResplit": odd.MOST_RESPLIT,
        "sounding": odd.SOUNDING,
        "sound": odd.SOUND.pattern,
        "fewestForeign": telling.FEWEST_FOREIGN,
        "fewestSounding": odd.FEWEST_SOUNDING,
        "mostSounding": odd.MOST_SOUNDING,
        "longestPiece": odd.LONGEST_PIECE,
        # text-speak
        "canon": textspeak.CANON,
        "fillers": sorted(textspeak.FILLERS),
        "confused": textspeak.CONFUSED,
        "meansYouAre": sorted(textspeak.MEANS_YOU_ARE),
        # emoji
        "emoji": emoji.MEANT,
        "emojiRun": emoji.RUN,
        # disguises
        "leet": disguises.MEANT,
        "leetPlainly": {chr(code): letter for code, letter in disguises.LETTERS.items()},
        "mostAmbiguous": disguises.MOST_AMBIGUOUS,
        "longestToken": disguises.LONGEST_TOKEN,
        "mostLookedAt": disguises.MOST_LOOKED_AT,
        "nearLeet": disguises.NEAR,
        "aroundToken": disguises.AROUND_TOKEN,
        "fewestLettersInPieces": disguises.FEWEST_IN_PIECES,
        "window": telling.WINDOW,
        "fewestInPieces": telling.FEWEST_IN_PIECES,
        "fewestOfPiece": telling.FEWEST_OF_PIECE,
        "self": sorted(telling.SELF),
        # around a hit
        "refersBack": sorted(matches.REFERS_BACK),
        "fewestIfSwapped": judging.FEWEST_IF_SWAPPED,
        "fewestIfEdited": judging.FEWEST_IF_EDITED,
        "fewestBeside": judging.FEWEST_BESIDE,
        "fewestIfJoined": judging.FEWEST_IF_JOINED,
        "fewestIfMasked": judging.FEWEST_IF_MASKED,
        # addresses
        "mostRounds": addresses.MOST_ROUNDS,
        "fewestOfData": addresses.FEWEST_OF_DATA,
        "fewestNumbers": addresses.FEWEST_NUMBERS,
        # terms
        "fewestCompared": prepared.SHORT,
        "unspaced": prepared.UNSPACED.pattern,
        "surfaces": [surface.value for surface in SURFACES],
    }


def _english(seen: Mapping[str, int]) -> str:
    """Each word and how often it was seen, to the base of 36."""
    return "\n".join(f"{word} {_base36(count)}" for word, count in seen.items())


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, len(DIGITS))
        digits = DIGITS[digit] + digits
    return digits or "0"


_WITH_DIGITS = 0x20000
"""Behind the first two planes there are ideographs and nothing that is a digit."""


def _zeros() -> list[int]:
    """The code point of each script's zero; its other digits follow."""
    return [code for code in range(_WITH_DIGITS) if unicodedata.decimal(chr(code), None) == 0]
