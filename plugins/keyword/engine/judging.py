"""What a match is worth: whether it is written well enough, what stands around it, how severe it is."""

from __future__ import annotations

import re
from collections.abc import Sequence

from appliance.api import Severity, Surface

from .compiling import ENGLISH, Innocence, Needle, is_exact
from .context import is_english, is_foreign, is_formal, is_lesson
from .exclusions import Innocent
from .hits import MISREAD, How
from .matches import SPEAKS_AGAINST, Match
from .odd import is_one_edit, squeeze

FEWEST_IF_SWAPPED, FEWEST_IF_EDITED, FEWEST_IF_JOINED, FEWEST_IF_MASKED = 5, 6, 6, 4
"""Letters of a phrase of one word that was written in these ways."""
FEWEST_BESIDE = 5
"""The same, misspelt or joined to another word, of one that counts only beside words that show how it is meant ("wome
are scum")."""
GUESSED = frozenset({How.EDIT, How.REPEATED, How.JOINED, How.MASKED})
CARELESS = frozenset({How.EDIT, How.REPEATED})
"""Ways in which somebody writes without looking."""
CHARACTERS_OF_A_WORD = 2
"""Of Chinese and the like."""
BESIDE = 60
"""Letters on each side of a word that show how capitals are used."""
_CAMEL_CASE = re.compile("[A-Z]?[a-z]{1,12}[A-Z][a-z]{0,12}")
_ABBREVIATION = re.compile("[A-Z]{2,5}s?")
_CONTRACTION = re.compile("[a-z]+['\u2019](re|ll|ve|d)", re.IGNORECASE)
_POSSESSIVE = re.compile("([a-z]+)['\u2019]s", re.IGNORECASE)
_CODE = re.compile("[A-Z]{1,5}[0-9]{1,4}|[0-9]{1,4}[A-Z]{1,5}")
"""The name of a room, a plug or a standard: "N002", "SP2", "SHA1"."""
_EMPHASIS = re.compile("[*#~^]+[A-Z][a-z]+|[#~][a-z]+|[*]{2,}[a-z]+")
"""A sign before a word that stresses it, numbers it or names a folder: "*Rome", "#library", "~clips"."""
SELF = frozenset({"suicide", "self_harm"})
"""Categories in which a misspelt word is no reason to think less of it."""
MOST_INNOCENT = 1000
_LOWER = {Severity.SEVERE: Severity.MODERATE, Severity.MODERATE: Severity.MINOR, Severity.MINOR: Severity.MINOR}


class InnocentPlaces:
    """What is innocent by itself in a text. Where it stands is looked up when something is found at all."""

    def __init__(self, matches: Sequence[tuple[Match, Innocence]]) -> None:
        self._matches = matches[:MOST_INNOCENT]
        self._spans: list[tuple[tuple[int, int], Innocence]] | None = None

    def _all(self) -> list[tuple[tuple[int, int], Innocence]]:
        if self._spans is None:
            self._spans = [(match.span(), entry) for match, entry in self._matches]
        return self._spans

    def sayings(self) -> list[str]:
        """The innocent phrases, but for names."""
        return [entry.phrase for _, entry in self._all() if entry.why is not Innocent.NAME]

    def covers(self, start: int, end: int, needle: Needle) -> bool:
        """Whether a hit lies within something innocent.

        Of words that are written together each has the place of all: there fewer words are not all of it. Whoever
        watches for a name finds it, though it is a name. What the school itself names, a pupil or a book, never covers
        what somebody says of their own life.
        """
        term = needle.sought.term
        is_plea = term.personal and term.severity is Severity.SEVERE
        for (begins, ends), entry in self._all():
            if (
                begins <= start
                and end <= ends
                and entry.words >= needle.words
                and not (entry.why is Innocent.NAME and (begins, ends) == (start, end))
                and not (is_plea and entry.why in (Innocent.NAME, Innocent.TITLE))
            ):
                return True
        return False

    def is_about_help(self, surface: Surface, personal: bool) -> bool:
        """Whether somebody looks for help: nothing of that is anybody's business, unless they say what they are about
        to do."""
        if surface in (Surface.TYPED, Surface.EMAIL) or (personal and surface in (Surface.SEARCH, Surface.ADDRESS)):
            return False
        return any(entry.why is Innocent.HELP for _, entry in self._all())


def counts_among(match: Match, needle: Needle) -> bool:
    """Whether the words around a phrase let it count."""
    sought, term = needle.sought, needle.sought.term
    if term.near and not (
        sought.near.may_be_among(match.beside(term.within)) and sought.near.among(match.near(term.within, needle.words))
    ):
        return False
    if term.near and is_formal(match.wider()):
        return False
    if sought.unless.among(match.clause()):
        return False
    may_be_foreign = needle.words == 1 and term.language == ENGLISH and sought.policy.category not in SELF
    return not (may_be_foreign and is_foreign(match.sentence()))


def counts_in_unspaced(text: str, start: int, end: int, needle: Needle) -> str | None:
    """What lets a phrase count in text that is written without blanks: empty if it needs nothing beside it, ``None`` if
    it does not count. A word there is one or two characters."""
    sought, term = needle.sought, needle.sought.term
    if term.unless and sought.unless.within_unspaced(_beside_unspaced(text, start, end, SPEAKS_AGAINST)):
        return None
    if not term.near:
        return ""
    return sought.near.within_unspaced(_beside_unspaced(text, start, end, term.within)) or None


def _beside_unspaced(text: str, start: int, end: int, words: int) -> str:
    """What stands on both sides of a phrase on its line, in so many words, with a sign in its place."""
    reach = words * CHARACTERS_OF_A_WORD
    with_blanks = reach * 4
    before = text[max(0, start - with_blanks) : start].rpartition("\n")[2]
    after = text[end : end + with_blanks].partition("\n")[0]
    return "".join(before.split())[-reach:] + "|" + "".join(after.split())[:reach]


def is_written_well_enough(needle: Needle, match: Match, hows: Sequence[How], written: str) -> bool:
    """Whether a phrase that was written in this way still says enough."""
    if How.EMOJI in hows and all(How.EMOJI in match.text.hows.get(number, ()) for number in match.touched):
        return False
    if _only_looks_disguised(needle, match, hows, written):
        return False
    if _CONTRACTION.fullmatch(written) and written.lower() != needle.phrase.lower():
        return False  # "who're" and "he'll" are two words each
    return _strict_enough(needle, match, hows) and (needle.words > 1 or _is_telling(needle, match, hows, written))


def _only_looks_disguised(needle: Needle, match: Match, hows: Sequence[How], written: str) -> bool:
    """Whether what was written has a form of its own, and hides no other word."""
    is_careless = not CARELESS.isdisjoint(hows) and needle.sought.policy.category not in SELF
    return (
        (is_careless and _has_name_of_code(match, written))
        or (How.LEET in hows and _has_unlike_the_rest(_CODE, match, written.split()))
        or (How.EDIT in hows and _has_possessive(written, needle.phrase))
        or (How.MASKED in hows and needle.words == 1 and _EMPHASIS.fullmatch(written) is not None)
    )


def _has_name_of_code(match: Match, written: str) -> bool:
    """Whether one of some words is a name in a program ("iNumber"), or an abbreviation ("PKIs") in a text that is not
    written in capitals: nobody misspelt those."""
    words = written.split()
    if How.EDIT in match.hows and any(_CAMEL_CASE.fullmatch(word) for word in words):
        return True
    return _has_unlike_the_rest(_ABBREVIATION, match, words)


def _has_possessive(written: str, phrase: str) -> bool:
    """Whether something belongs to a word ("the enemy's") that is none of the phrase: it was not misspelt."""
    meant = phrase.lower().split()
    return any(found[1].lower() not in meant for word in written.split() if (found := _POSSESSIVE.fullmatch(word)))


def _has_unlike_the_rest(shape: re.Pattern[str], match: Match, words: Sequence[str]) -> bool:
    """Whether one of some words has a shape in capitals, in a text that is not written in them."""
    if not any(shape.fullmatch(word) for word in words):
        return False
    start, end = match.span()
    around = match.text.folded.original[max(0, start - BESIDE) : end + BESIDE]
    return sum(map(str.isupper, around)) < sum(map(str.islower, around))


def _strict_enough(needle: Needle, match: Match, hows: Sequence[How]) -> bool:
    """Short phrases count only as they are written, or as a whole run of single letters."""
    if not is_exact(needle):
        return True
    if all(how in (How.EXACT, How.FOLDED) for how in hows):
        return True
    return needle.is_short and hows == (How.SPACED,) and all(number in match.text.alone for number in match.touched)


def _is_telling(needle: Needle, match: Match, hows: Sequence[How], written: str) -> bool:
    """Whether a single word, written in this way, says enough: nothing beside it shows that it was meant.

    A word of five letters may have two neighbours swapped or a letter doubled; one of six, or of five that counts only
    beside others, any letter wrong, and be joined to another word; one of another language not among English ones. What
    was guessed in two ways at once may be anything. A word with a capital is a name more often than a misspelt word,
    unless others beside it say what is meant and it begins their sentence, or has only two letters swapped.
    """
    return GUESSED.isdisjoint(hows) or (
        not _is_another_word(needle, match, hows, written) and _has_letters_enough(needle, hows, written)
    )


def _is_another_word(needle: Needle, match: Match, hows: Sequence[How], written: str) -> bool:
    """Whether a word that was guessed is likely one of another language, or a name."""
    term = needle.sought.term
    is_misread = term.language != ENGLISH and not MISREAD.isdisjoint(hows) and is_english(match.sentence())
    is_name = written[:1].isupper() and written[1:].islower()
    is_meant = term.near and (match.begins_sentence() or _are_swapped(needle.phrase, written))
    return is_misread or (is_name and not is_meant)


def _are_swapped(phrase: str, written: str) -> bool:
    """Whether a word has all letters of another one, in another order."""
    return sorted(squeeze(written.lower())) == sorted(squeeze(phrase.lower()))


def _has_letters_enough(needle: Needle, hows: Sequence[How], written: str) -> bool:
    """Whether a word is so long that few others look like it."""
    phrase, letters, stands_beside = needle.phrase, len(needle.phrase), bool(needle.sought.term.near)
    if How.EDIT in hows:
        fewest = FEWEST_BESIDE if stands_beside and is_one_edit(written.lower(), phrase) else FEWEST_IF_EDITED
        is_swapped = letters >= FEWEST_IF_SWAPPED and _are_swapped(phrase, written)
        return len(hows) == 1 and (letters >= fewest or is_swapped)
    if How.REPEATED in hows and len(written) < letters < FEWEST_IF_EDITED:
        return False  # "dlg" has lost no letter
    if How.JOINED in hows:
        return letters >= (FEWEST_BESIDE if stands_beside else FEWEST_IF_JOINED)
    return letters >= FEWEST_IF_MASKED or How.MASKED not in hows


def severity_of(needle: Needle, hows: Sequence[How], match: Match) -> tuple[Severity, str]:
    """How severe a phrase is that was written in some ways, and why."""
    policy, term = needle.sought.policy, needle.sought.term
    severity = term.severity
    if severity is not Severity.MINOR and _has_emoji_beside(match):
        return Severity.MINOR, f"The term is {severity.label}; only an emoji beside it makes it count."
    if not term.personal and severity is not Severity.MINOR and is_lesson(match.wider(), policy.category):
        return (
            Severity.MINOR,
            f"The term is {severity.label}; the words around it are those of a lesson, a book, news or a game.",
        )
    guessed = any(how.is_guess for how in hows)
    if guessed and not term.personal and policy.category not in SELF and severity is not Severity.MINOR:
        lower = _LOWER[severity]
        return lower, f"The term is {severity.label}; one step less, because another word may have been meant."
    return severity, severity.rule


def _has_emoji_beside(match: Match) -> bool:
    """Whether an emoji was read that is no part of a phrase: what has to stand near it, for else it would not count."""
    return How.EMOJI not in match.hows and any(How.EMOJI in hows for hows in match.text.hows.values())
