"""Letters that look like others, and how people write letters that their keyboard does not have.

Written by hand from the letters of Unicode's Cyrillic, Greek, Armenian, Cherokee, Latin and phonetic blocks. Only what
a reader takes for the plain letter at a glance stands here; accents and full-width, bold or circled letters need no
entry, because Unicode's compatibility decomposition (UAX #15) knows them.
"""

from __future__ import annotations

from collections.abc import Mapping

_SMALL = {
    "a": "аɑαᴀⱥɐᶏ", "b": "ьвʙɓƀᏼβƅ", "c": "сᴄƈȼɔↄ", "d": "ԁᴅɗɖđδꓒ", "e": "еєᴇɛǝəεҽℯ", "f": "ꜰƒғꝼ", "g": "ցɢɠɡǥƃ",
    "h": "һнհʜħɦђћɥң", "i": "іıɩɪιɨւ", "j": "јᴊյʝɉ", "k": "кᴋκƙқҝĸ", "l": "ӏʟɭɫƚłլ", "m": "мᴍɱɯ",
    "n": "пոռɴɲŋηƞղ", "o": "оօοᴏøɵөⲟ", "p": "рᴘρƥ", "q": "ԛզʠɋ", "r": "гᴦʀɼɽɍґɹ", "s": "ѕꜱʂșƽ", "t": "тᴛτŧƭʈʇ",
    "u": "սᴜυʉʊμꞟ", "v": "ѵᴠνʋʌ", "w": "ԝшաᴡωʍѡ", "x": "хχҳ×", "y": "уүʏγƴʎ", "z": "ᴢʐƶʒζ",
    "ss": "ß", "ae": "æ", "oe": "œ", "th": "þð",
    # Arabic letters that are typed for each other, by keyboards of several languages and by habit
    "ي": "یىې", "ك": "ک", "ه": "ةہھۂۀە", "و": "ۆ",
}  # fmt: skip
_CAPITALS = {
    "a": "ᎪꓮΑ", "b": "ᏴꓐΒ", "c": "ᏟꓚᏣϲϹ", "d": "Ꭰꓓ", "e": "ᎬꓰΕ", "g": "ᏀꓖᏳ", "h": "ᎻꓧΗ", "i": "ᏆꓲΙ", "j": "Ꭻꓙ",
    "k": "ᏦꓗΚ",
    "l": "ᏞꓡƖ", "m": "ᎷꓟΜ", "n": "ꓠΝ", "o": "ꓳΟ", "p": "ᏢꓑΡ", "r": "ᎡꓣᏒ", "s": "ᏚꓢᏕ", "t": "ᎢꓔΤ", "u": "ꓴ", "v": "Ꮩꓦ",
    "w": "Ꮃꓪ", "x": "ꓫΧ", "y": "ᎩꓬΥ", "z": "ᏃꓜΖ",
}  # fmt: skip


def _singly(groups: Mapping[str, str]) -> dict[str, str]:
    return {letter: plain for plain, letters in groups.items() for letter in letters if letter != plain}


SMALL: Mapping[str, str] = _singly(_SMALL) | {"ς": "σ"}
"""By a small letter, the plain letters it is read as."""
CAPITALS: Mapping[str, str] = _singly(_CAPITALS) | {
    chr(first + number): chr(ord("a") + number)
    for first in (0x1F150, 0x1F170, 0x1F1E6)  # white on black circles and squares; letters of flags
    for number in range(26)
}
"""By a capital, or a sign that holds one, the plain letters it is read as; its small letter may look like another
one."""
