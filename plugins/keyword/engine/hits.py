"""What the engine says: a hit, how it was found, and why it is as severe as it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from appliance.api import Severity

from ..library.model import Policy, Term


class How(StrEnum):
    """How a phrase was written where it was found. ``words`` is for pages."""

    EXACT = "exact"
    FOLDED = "folded"
    TEXT_SPEAK = "text-speak"
    WORDS_BETWEEN = "words between"
    REPEATED = "repeated"
    DROPPED_G = "dropped g"
    EDIT = "edit"
    JOINED = "joined"
    CONFUSED = "confused"
    SPACED = "spaced"
    LEET = "leet"
    MASKED = "masked"
    EMOJI = "emoji"
    TURNED = "turned"

    @property
    def words(self) -> str:
        """In a sentence: "It was written ..."."""
        return _WORDS[self]

    @property
    def is_guess(self) -> bool:
        """Whether another word may have been meant."""
        return self in (How.EDIT, How.MASKED, How.CONFUSED, How.EMOJI)


_WORDS = {
    How.EXACT: "exactly as it is written in the policy",
    How.FOLDED: "with other capitals, accents, signs or look-alike letters than in the policy",
    How.TEXT_SPEAK: "in text-speak",
    How.WORDS_BETWEEN: "with words in between that change nothing, such as “really”",
    How.REPEATED: "with repeated letters",
    How.DROPPED_G: "without the g at the end of a word",
    How.EDIT: "misspelt by one letter",
    How.JOINED: "without blanks between words",
    How.CONFUSED: "with a word that sounds like the right one",
    How.SPACED: "with blanks or signs between the letters",
    How.LEET: "with digits or signs for letters",
    How.MASKED: "with letters replaced by signs",
    How.EMOJI: "with an emoji for a word",
    How.TURNED: "upside down or backwards",
}


MISREAD = frozenset({How.EDIT, How.JOINED, How.CONFUSED})
"""Ways in which a word of one language is easily read as one of another."""
ORDER = {how: number for number, how in enumerate(How)}
"""The most telling way last."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A phrase of a term in a text: the code points from ``start`` up to, without, ``end``.

    ``hows``: every way in which it was disguised, the most telling last. ``severity``: the term's, or lower, and
    ``why_severity`` in words. ``tried``: exclusions that might have applied and did not. ``read_as``: the words as they
    were understood. ``near``: for a term that only counts beside others, the words beside it that made it count.
    """

    policy: Policy
    term: Term
    phrase: str
    start: int
    end: int
    hows: tuple[How, ...]
    severity: Severity
    why_severity: str
    tried: tuple[str, ...] = ()
    read_as: str = field(default="", repr=False)
    near: str = field(default="", repr=False)

    @property
    def how(self) -> How:
        """The way in which it was disguised most."""
        return self.hows[-1]
