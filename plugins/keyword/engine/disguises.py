"""Stretches of a text that are written to be overlooked: spaced letters, digits for letters, masked letters, words with
a sign in them.

Each is found by a pattern in the folded text and read as the letters that are meant. Every pattern is bounded, so that
no text takes more than its length to look through.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice, product
from math import inf

from .odd import squeeze
from .remembering import Remembering

SPACED, LEET, MASKED = "spaced", "leet", "masked"
LETTERS = str.maketrans({
    "4": "a", "@": "a", "3": "e", "€": "e", "1": "i", "!": "i", "|": "l", "0": "o", "5": "s", "$": "s", "7": "t",
    "+": "t",
    "8": "b", "9": "g", "6": "g", "2": "z", "(": "c", "£": "l", "&": "a",
})  # fmt: skip
MEANT = {
    sign: "il" if sign in "1!|" else chr(code) if isinstance(code, int) else code
    for sign, code in ((chr(key), value) for key, value in LETTERS.items())
}
MOST_AMBIGUOUS = 5
"""Signs of one word that may be an i or an l; with more of them only the i is tried."""
LONGEST_TOKEN = 30
MOST_LOOKED_AT = 3000
"""Stretches of one text that are looked at: hundreds of times more than people write."""
MOST_SPACED = 100_000
"""Characters of such stretches of one text that are taken apart: twenty pages of nothing else."""
NEAR = 40
"""Letters around a word with digits for letters in which what is only digits counts as letters too."""
MOST_WILD = 6
"""Readings of one word."""

_ONE = r"(?:[^\W_]|[@$!+|€(£])"
_BETWEEN = r"(?>[^\S\n]?[-._*/\\,:;~=#^>&]{1,2}[^\S\n]{0,2}|[^\S\n]{1,3})"
_UNIT = re.compile(rf"({_BETWEEN})({_ONE})")
_SPACED = re.compile(rf"(?<![^\W_])(?<![@$|€£]){_ONE}(?:(?>{_BETWEEN}{_ONE}(?![^\W_]))){{2,120}}+")
"""Atomic, so that a run which is none after all is not tried in every other way."""
_SHAPE = {code: "a" if chr(code).isalnum() else "s" if chr(code) in "@$!+|(" else " " for code in range(128)}
_MAY_BE_SPACED = re.compile(r"[^a](?=[^ ] {1,5}[^ ] {1,5}[^ ](?!a))")
"""Before a run of single letters in the shape of a text: other signs than those of ``_SHAPE`` stand for themselves."""
_SIGN_BEFORE = re.compile(r"[-.0-9@$!+|(€£*#%^~?_=][a-z]")
_SIGN_AFTER = re.compile(r"[0-9@$+|€£*#%^~!][0-9@$+|€£*#%^~!]{0,3}(?![\w@$+|€£*#%^~!])")
_BETWEEN_TOKENS = frozenset(',;:/\\"()[]{}<>').union(filter(str.isspace, map(chr, range(128))))
_TOKEN = re.compile(f"[^{re.escape(''.join(sorted(_BETWEEN_TOKENS)))}]+")
_LEET = re.compile(r"(?=[a-z0-9@$!+|€£(]*[a-z])(?=[a-z]*[0-9@$!+|€£(])[a-z0-9@$!+|€£(]{2,30}")
_AMOUNT = re.compile("[0-9]{2,}k")
"""A number of thousands: "600k" is no word in disguise."""
_MASKED = re.compile(r"[a-z]{0,12}(?:[*#%^~?]{1,4}[a-z]{1,12}|[_\-.=+][a-z]{1,12}){1,4}|[a-z]{1,12}[*#%^~]{1,4}")
_ONE_MASKED = re.compile("[a-z]+[*#%^~][a-z]+")
AROUND_TOKEN = ".,;:!?-_=+'"  # noqa: S105 - signs
_PART = re.compile(r"[^-_.=+]+")
"""Of a token: what stands between signs that join words."""
_MIXED = re.compile(r"[a-z][0-9@$!|€£(*#%^~?]|[0-9@$!|€£(*#%^~?][a-z]")
_EMAIL = re.compile(r"[^@]+@[^@]+\.[a-z]+")
_IN_PIECES = re.compile(r"[*_~|]{0,2}[a-z0-9@$!]+(?:[-_.=+*#%^~|]{1,2}[a-z0-9@$!]+){1,5}[*_~|]{0,2}")
EMPHASIS = "*_~|"
_BETWEEN_PIECES = re.compile(r"[-_.=+*#%^~]|\|\|")
FEWEST_IN_PIECES = 4
"""Letters of a word with signs in it."""
_ALONE = re.compile(r"(?<![\w@$!|])[0-9@$!|+]{1,6}(?![\w@$!|])")

_Shape = tuple[int, str, str]
"""The length of a word, and its first and last letter."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of folded text from ``start`` up to ``end``, and what it may say, the likeliest first."""

    start: int
    end: int
    how: str
    readings: tuple[str, ...]


class Disguises:
    """Finds disguised stretches. ``known``: words that need no look, with how rare they are; ``splits``: takes runs of
    letters apart; ``together``: likewise, where one word has a sign in it."""

    def __init__(
        self,
        vocabulary: Collection[str],
        known: Mapping[str, float],
        splits: Callable[[str], list[str]],
        together: Callable[[str], Iterable[str]],
    ) -> None:
        self._vocabulary = frozenset(vocabulary)
        self._known = known
        self._splits = splits
        self._together = together
        self._read = Remembering(self._of_token)
        self._by_shape: dict[_Shape, Sequence[str]] = {}

    def stretches(self, text: str) -> list[Stretch]:
        """All of them."""
        return [*self._spaced(text), *self._with_signs(text)]

    # Single letters with signs between them

    def _spaced(self, text: str) -> Iterator[Stretch]:
        begins = (found.start() for found in _MAY_BE_SPACED.finditer(" " + text.translate(_SHAPE)))
        letters = 0
        for match in islice(_matches(_SPACED, text, begins), MOST_LOOKED_AT):
            letters += match.end() - match.start()
            if letters > MOST_SPACED:
                break
            readings = tuple(dict.fromkeys(self._of_single_letters(match.group())))
            if readings:
                yield Stretch(match.start(), match.end(), SPACED, readings)

    def _of_single_letters(self, run: str) -> Iterator[str]:
        letters, signs = _apart(run)
        if sum(map(str.isalpha, letters)) * 2 < len(letters):
            return
        usual = Counter(signs).most_common(1)[0][0]
        pieces = [[letters[0]]]
        for sign, letter in zip(signs, letters[1:], strict=True):
            if sign == usual:
                pieces[-1].append(letter)
            else:
                pieces.append([letter])
        words = ["".join(piece) for piece in pieces]
        plain = [self._plain(word) for word in words]
        yield " ".join(self._splits(word)[0] for word in plain)
        if len(pieces) == 1:
            yield from self._splits(plain[0])[1:]
        whole = "".join(plain)
        if len(pieces) > 1:  # what looks like breaks between words may be none
            yield from self._splits(whole)
        if (squeezed := squeeze(whole)) != whole:
            yield from self._splits(squeezed)
        if len(letters) > 3 and letters[0] in "ai" and len(pieces) == 1:
            yield f"{letters[0]} {self._splits(whole[1:])[0]}"

    def _plain(self, word: str) -> str:
        """A word without digits and signs for letters, one that is known if there is one."""
        return next(iter(self._of_leet(word)), word)

    # Digits and signs for letters, or over them

    def _with_signs(self, text: str) -> list[Stretch]:
        """Words with a sign in them or at their end that is to be read as a letter, or hides one."""
        found: list[Stretch] = []
        for start, end in islice(self._tokens(text), MOST_LOOKED_AT):
            found += (
                Stretch(start + read.start, start + read.end, read.how, read.readings)
                for read in self._read.of(text[start:end])
            )
        for stretch in [
            one for one in found if one.how == LEET
        ]:  # then signs and digits that stand alone are letters too
            for match in _ALONE.finditer(text, max(0, stretch.start - NEAR), min(len(text), stretch.end + NEAR)):
                meant = [one for one in self._of_leet(match.group()) if self._known.get(one, inf) < inf]
                if meant and match.group() in self._vocabulary:  # "2" is a word of text-speak, too
                    meant.append(match.group())
                readings = tuple(meant)
                if readings:
                    found.append(Stretch(match.start(), match.end(), LEET, readings))
        return found

    def _tokens(self, text: str) -> Iterator[tuple[int, int]]:
        """Where what has no blank in it and has a sign stands, each once."""
        places = {match.end() - 1 for match in _SIGN_BEFORE.finditer(text)}
        places.update(
            match.start() for match in _SIGN_AFTER.finditer(text) if text[match.start() - 1 : match.start()].isalpha()
        )
        reached = 0
        for place in sorted(places):
            if place >= reached:
                start, farthest = place, max(reached, place - LONGEST_TOKEN)
                while start > farthest and text[start - 1] not in _BETWEEN_TOKENS:
                    start -= 1
                token = _TOKEN.match(text, start, place + LONGEST_TOKEN)
                assert token is not None
                reached = token.end()
                yield start, reached

    def _of_token(self, token: str) -> tuple[Stretch, ...]:
        """What a token, or parts of it, may be read as, with their places within the token."""
        if token.startswith("!"):
            bare = token.rstrip(AROUND_TOKEN)
            if _LEET.fullmatch(bare) and (meant := self._of_policies(bare)):
                return (Stretch(0, len(bare), LEET, meant),)
        shown = token.strip(AROUND_TOKEN)
        if shown and not self._is_hyphenated(shown):
            at = token.find(shown)
            how, readings = self._of_shown(shown)
            if not any(word in self._known for word in readings) and (parts := self._of_parts(shown, at)):
                return parts
            if readings:
                begins = at + len(shown) - len(shown.lstrip(EMPHASIS)) if how == SPACED else at
                ends = at + len(shown.rstrip(EMPHASIS) if how == SPACED else shown)
                return (Stretch(begins, ends, how, readings),)
        if token.endswith("!") and _LEET.fullmatch(token) and (meant := self._of_policies(token)):
            return (Stretch(0, len(token), LEET, meant),)
        return ()

    def _of_shown(self, shown: str) -> tuple[str, tuple[str, ...]]:
        """What a token may be read as as a whole, and how that is written."""
        if _LEET.fullmatch(shown) and not _AMOUNT.fullmatch(shown):
            readings = self._of_policies(shown) if shown in self._known else self._of_leet(shown)
            if readings:
                return LEET, readings
        pieces = self._of_pieces(shown)
        masked = self._of_masked(shown) if _MASKED.fullmatch(shown) else ()
        return MASKED if masked else SPACED, (*masked, *pieces)

    def _of_parts(self, shown: str, at: int) -> tuple[Stretch, ...]:
        """What parts of a token that begins at a place may be read as, if that is a word of policies:
        "kill-y0urself"."""
        if not _MIXED.search(shown) or _EMAIL.fullmatch(shown):
            return ()
        parts = [part for part in _PART.finditer(shown) if part.group() != shown and not part.group().isalpha()]
        return tuple(
            Stretch(at + part.start() + read.start, at + part.start() + read.end, read.how, readings)
            for part in parts
            for read in self._of_token(part.group())
            if (readings := tuple(word for word in read.readings if word in self._vocabulary))
        )

    def _of_pieces(self, token: str) -> tuple[str, ...]:
        """Words of policies with signs in them that hide no letter: "sui-cide", "ki**ll**"."""
        if not _IN_PIECES.fullmatch(token) or self._is_compound(token):
            return ()
        whole = _BETWEEN_PIECES.sub("", token)
        return self._of_policies(whole) if len(whole) >= FEWEST_IN_PIECES else ()

    def _is_hyphenated(self, token: str) -> bool:
        """Whether it is known words with hyphens between them, as most words with a sign are."""
        parts = token.split("-")
        return len(parts) > 1 and all(len(part) > 2 and part in self._known for part in parts)

    def _of_policies(self, token: str) -> tuple[str, ...]:
        """What a word may be with a sign that may be none of it: words of policies alone."""
        return tuple(one for one in self._of_leet(token) if one in self._vocabulary)

    def _of_leet(self, token: str) -> tuple[str, ...]:
        """What a word with digits or signs for letters may be: the known ones, else the likeliest two."""
        if token.isalpha():
            return (token,)
        candidates = (
            ["".join(letters) for letters in product(*(MEANT.get(sign, sign) for sign in token[:LONGEST_TOKEN]))]
            if sum(sign in "1!|" for sign in token) <= MOST_AMBIGUOUS
            else [token.translate(LETTERS)]
        )
        candidates = [one for one in dict.fromkeys(candidates) if one.isalpha()]
        good = [one for one in candidates if one in self._vocabulary]
        good += [one for one in candidates if one in self._known and one not in good]
        good += [one for one in candidates if squeeze(one) in self._vocabulary and one not in good]
        return tuple(good[:MOST_WILD] or candidates[:2])

    def _of_masked(self, token: str) -> tuple[str, ...]:
        letters = sum(map(str.isalpha, token))
        wild = len(token) - letters
        if (
            letters < 2
            or wild > letters
            or (len(token) < 4 and wild and token[1] in ".-+=")
            or self._is_compound(token)
        ):
            return ()
        fitting = tuple(islice((word for word in self._of_shape(token) if _fits(word, token)), MOST_WILD))
        return fitting or (tuple(islice(self._together(token), MOST_WILD)) if _ONE_MASKED.fullmatch(token) else ())

    def _of_shape(self, token: str) -> Iterable[str]:
        """Words as long as a masked one, with the same letters at their ends as far as those are shown; the commonest
        first."""
        first, last = (letter if letter.isalpha() else "" for letter in (token[0], token[-1]))
        shape = len(token), first, last
        if shape not in self._by_shape:
            fitting = self._fitting(*shape)
            self._by_shape[shape] = sorted(fitting, key=lambda word: (self._known.get(word, inf), word))
        return self._by_shape[shape]

    def _fitting(self, length: int, first: str, last: str) -> Iterable[str]:
        if first and last:
            return self._by_ends.get((length, first, last), ())
        fitting = (
            words
            for (letters, begin, end), words in self._by_ends.items()
            if letters == length and first in ("", begin) and last in ("", end)
        )
        return chain.from_iterable(fitting)

    @cached_property
    def _by_ends(self) -> Mapping[_Shape, Sequence[str]]:
        """Words by their length, first and last letter. Made when the first masked word is met."""
        found: dict[_Shape, list[str]] = defaultdict(list)
        for word in filter(str.isalpha, self._vocabulary):
            found[len(word), word[0], word[-1]].append(word)
        return found

    def _is_compound(self, token: str) -> bool:
        """Whether a hyphen or the like joins words: "well-known" masks nothing."""
        parts = re.split(r"[\W_]+", token)
        return not set("*#%^~?") & set(token) and all(len(part) > 1 and part in self._known for part in parts if part)


def without_overlaps(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Stretches in order, none that lies within another."""
    kept: list[Stretch] = []
    for stretch in sorted(stretches, key=lambda stretch: (stretch.start, -stretch.end)):
        if not kept or stretch.start >= kept[-1].end:
            kept.append(stretch)
    return kept


def _fits(word: str, token: str) -> bool:
    """Whether a word has the letters that a masked word still shows. No pattern is made of what a child wrote."""
    return all(shown == letter or not shown.isalpha() for shown, letter in zip(token, word, strict=True))


def _matches(pattern: re.Pattern[str], text: str, places: Iterable[int]) -> Iterator[re.Match[str]]:
    """The matches that begin at some places, in order, none of which overlap."""
    reached = 0
    for place in places:
        if place >= reached and (match := pattern.match(text, place)):
            reached = match.end()
            yield match


def _apart(run: str) -> tuple[list[str], list[str]]:
    """The single letters of a run, and what stands between them."""
    units = [unit.groups() for unit in _UNIT.finditer(run, 1)]
    return [run[0], *(letter for _, letter in units)], [between for between, _ in units]
