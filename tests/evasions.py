"""Ways in which people write a phrase so that it is overlooked: one function for each, with a seeded random source.

``KINDS`` says how many of 100 altered phrases must still be found.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping

Alter = Callable[[random.Random, str], str]

_ALIKE = {
    "a": "аɑα", "b": "Ьƅ", "c": "сϲ", "d": "ԁ", "e": "еє", "g": "ɡց", "h": "һհ", "i": "іι", "j": "ј", "k": "ĸк",
    "l": "ӏⅼ",
    "m": "мⅿ", "n": "ո", "o": "оօο", "p": "рρ", "q": "ԛ", "r": "г", "s": "ѕꜱ", "t": "тτ", "u": "սυ", "v": "ѵν",
    "w": "ԝ",
    "x": "х", "y": "уү", "z": "ᴢ",
}  # fmt: skip
_SIGNS = {"a": "4@", "e": "3", "i": "1!", "o": "0", "s": "5$", "t": "7", "b": "8", "g": "9", "l": "1"}
_NEXT_KEY = dict(zip("aeiouytnsdlrcmkhpgbwfv", "sropyuremfktvnlgohvegb", strict=True))
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad"
_ACCENTS = "\u0301\u0300\u0308\u0323\u0336"


def _each(chance: float, change: Callable[[random.Random, str], str]) -> Alter:
    """Change each letter with a chance."""
    return lambda source, text: "".join(
        change(source, letter) if letter.isalpha() and source.random() < chance else letter for letter in text
    )


def separated(source: random.Random, text: str) -> str:
    """Other signs between words."""
    return re.sub(" ", lambda _: source.choice(["_", "-", "...", "\t", ", ", "  ", "\n", "/"]), text)


def full_width(_: random.Random, text: str) -> str:
    """Letters of East Asian width."""
    return "".join(chr(ord(letter) + 0xFEE0) if "!" <= letter <= "~" else letter for letter in text)


def spaced(source: random.Random, text: str) -> str:
    """Blanks between all letters, and mostly wider ones between words."""
    if source.random() < 0.2:
        return " ".join(text.replace(" ", ""))
    return source.choice(["  ", "   "]).join(" ".join(word) for word in text.split())


def punctuated(source: random.Random, text: str) -> str:
    """A sign between all letters of each word."""
    return " ".join(source.choice(".-*_/").join(word) for word in text.split())


def joined(source: random.Random, text: str) -> str:
    """Without all blanks, or without one of them."""
    words = text.split()
    if len(words) == 1 or source.random() < 0.5:
        return "".join(words)
    at = source.randrange(len(words) - 1)
    return " ".join([*words[:at], words[at] + words[at + 1], *words[at + 2 :]])


def masked(source: random.Random, text: str) -> str:
    """One letter of each of two words replaced by a sign that says nothing, a vowel where there is one within."""
    words = text.split()
    long = [number for number, word in enumerate(words) if len(word) >= 4]
    for number in source.sample(long, min(len(long), 2)):
        word = words[number]
        vowels = [place for place in range(1, len(word) - 1) if word[place] in "aeiou"] or [1]
        place = source.choice(vowels)
        words[number] = word[:place] + source.choice("*#_") + word[place + 1 :]
    return " ".join(words)


def mistyped(source: random.Random, text: str) -> str:
    """One letter of a longer word left out, doubled, swapped with the next, or replaced by its neighbour on the
    keyboard."""
    words = text.split()
    longest = max(range(len(words)), key=lambda number: len(words[number]))
    long = [number for number, word in enumerate(words) if len(word) >= 4] or [longest]
    number = source.choice(long)
    word = words[number]
    at = source.randrange(1, max(2, len(word) - 1))
    kind = source.randrange(4)
    if kind == 0:
        word = word[:at] + word[at + 1 :]
    elif kind == 1:
        word = word[:at] + word[at] + word[at:]
    elif kind == 2:
        word = word[:at] + word[at + 1 : at + 2] + word[at] + word[at + 2 :]
    else:
        word = word[:at] + _NEXT_KEY.get(word[at], "x") + word[at + 1 :]
    words[number] = word
    return " ".join(words)


capitals = _each(0.5, lambda _, letter: letter.upper())
accented = _each(0.7, lambda source, letter: letter + source.choice(_ACCENTS))
alike = _each(0.7, lambda source, letter: source.choice(_ALIKE.get(letter, letter)))
invisible = _each(0.4, lambda source, letter: letter + source.choice(_INVISIBLE))
leet = _each(0.6, lambda source, letter: source.choice(_SIGNS.get(letter, letter)))
repeated = _each(0.3, lambda source, letter: letter * source.randint(2, 6))


def mixed(source: random.Random, text: str) -> str:
    """Two ways at once; the one that takes words apart comes second."""
    first = source.choice([leet, repeated, accented, capitals, alike])
    others = (leet, spaced, punctuated, capitals, accented, repeated)
    second = source.choice([one for one in others if one is not first])
    takes_apart = second in (spaced, punctuated)
    return second(source, first(source, text)) if takes_apart else first(source, second(source, text))


KINDS: Mapping[str, tuple[Alter, int]] = {
    "capitals": (capitals, 99),
    "accents": (accented, 99),
    "look-alike letters": (alike, 99),
    "full width": (full_width, 99),
    "invisible signs": (invisible, 99),
    "separators": (separated, 99),
    "leet": (leet, 95),
    "spaced": (spaced, 95),
    "punctuated": (punctuated, 95),
    "repeated": (repeated, 95),
    "joined": (joined, 95),
    "masked": (masked, 90),
    "mixed": (mixed, 90),
    "mistyped": (mistyped, 75),
}
"""By its name, a way of altering, and how many of 100 phrases must still be found."""
