"""Letters that look like others, and how people write letters that their keyboard does not have.

Written by hand from the letters of Unicode's Cyrillic, Greek, Armenian, Cherokee, Latin and phonetic blocks, and from
those signs of money and of Asian, Canadian and African scripts of which sites make "fancy" letters. Only what a reader
takes for the plain letter at a glance stands here; accents and full-width, bold or circled letters need no entry,
because Unicode's compatibility decomposition (UAX #15) knows them.
"""

from __future__ import annotations

from collections.abc import Mapping

_SMALL = {
    "a": "аɑαᴀⱥɐᶏ₳ꍏꋬ卂ᗩǟꮧ", "b": "ьвʙɓƀᏼβƅ฿ᗷꌃꃳɮც", "c": "сᴄƈȼɔↄ₵¢ᑕꉓꉔ匚ፈ", "d": "ԁᴅɗɖđδꓒᗪꀸ꒯∂",
    "e": "еєᴇɛǝəεҽℯ乇ꍟꏂɇ", "f": "ꜰƒғꝼ₣ᖴꎇꊰʄ", "g": "ցɢɠɡǥƃ₲ꁅꍌ", "h": "һнհʜħɦђћɥңᕼꃅꁝɧⱨ卄", "i": "іıɩɪιɨւꀤ꒐丨",
    "j": "јᴊյʝɉᒍꀭ꒻", "k": "кᴋκƙқҝĸ₭ꀘꝁӄ", "l": "ӏʟɭɫƚłլⱡ꒒ᒪㄥ", "m": "мᴍɱɯ₥ᗰꂵ", "n": "пոռɴɲŋηƞղ₦ᑎꈤꋊ",
    "o": "оօοᴏøɵөⲟꂦꄲㄖ", "p": "рᴘρƥ₱ᑭꉣᵽ卩ք", "q": "ԛզʠɋᑫꆰ", "r": "гᴦʀɼɽɍґɹᖇꋪᖆ", "s": "ѕꜱʂșƽ₴ᔕꌗꇙ丂ֆ",
    "t": "тᴛτŧƭʈʇ₮₸꓄ㄒȶⱦ", "u": "սᴜυʉʊμꞟᑌꎃ꒤ㄩᵾ", "v": "ѵᴠνʋʌᐯꃴ꒦", "w": "ԝшաᴡωʍѡ₩ᗯꅏꅐ", "x": "хχҳ×᙭ꊼꉧӿ乂ӽጀ",
    "y": "уүʏγƴʎ¥ꌩꌦɏㄚყ", "z": "ᴢʐƶʒζꁴⱬᘔፚ",
    "ss": "ß", "ae": "æ", "oe": "œ", "th": "þð",
    # Arabic letters that are typed for each other, by keyboards of several languages and by habit
    "ي": "یىې", "ك": "ک", "ه": "ةہھۂۀە", "و": "ۆ",
}  # fmt: skip
_CAPITALS = {
    "a": "ᎪꓮΑᏗ", "b": "ᏴꓐΒ", "c": "ᏟꓚᏣϲϹ", "d": "ᎠꓓᎴ", "e": "ᎬꓰΕᏋ", "f": "Ꭶ", "g": "ᏀꓖᏳᎶ", "h": "ᎻꓧΗᏂ",
    "i": "ᏆꓲΙᎥ", "j": "ᎫꓙᏠ", "k": "ᏦꓗΚ", "l": "ᏞꓡƖᏝ", "m": "ᎷꓟΜ", "n": "ꓠΝᏁ", "o": "ꓳΟᎧ", "p": "ᏢꓑΡᎮ", "q": "Ꭴ",
    "r": "ᎡꓣᏒ", "s": "ᏚꓢᏕ", "t": "ᎢꓔΤᏖ", "u": "ꓴᏬ", "v": "Ꮩꓦ", "w": "ᎳꓪᏇ", "x": "ꓫΧ", "y": "ᎩꓬΥ", "z": "ᏃꓜΖ",
}  # fmt: skip


def _singly(groups: Mapping[str, str]) -> dict[str, str]:
    return {letter: plain for plain, letters in groups.items() for letter in letters if letter != plain}


SMALL: Mapping[str, str] = _singly(_SMALL) | {"ς": "σ"}
"""By a small letter, the plain letters it is read as."""
CAPITALS: Mapping[str, str] = _singly(_CAPITALS) | {
    chr(first + number): chr(ord("a") + number)
    # small and large ones in brackets; white on black circles and squares; letters of flags
    for first in (0x249C, 0x1F110, 0x1F150, 0x1F170, 0x1F1E6)
    for number in range(26)
}
"""By a capital, or a sign that holds one, the plain letters it is read as; its small letter may look like another
one."""
AMONG_LETTERS: Mapping[str, str] = dict(zip("乃千几尺山乙爪フ", "bfnrwzmj", strict=True))
"""By a common sign of Chinese or Japanese, the letter that it is read as beside one of ours, and there alone."""
