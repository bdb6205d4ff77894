"""What a bundle changes: its terms against those in force, and what would be found in sentences of our own.

Terms are compared as they are published, with a word about those of which the school has decided something; sentences
are tried with what the school has decided, where each term is looked for.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TypeAlias

from appliance.api import HIDDEN_CATEGORIES, BenchSentence, Surface

from ..library.model import Policy, Term
from ..school import WHERE_SENTENCES_STAND, Find

Sentence: TypeAlias = BenchSentence
"""A sentence of the test bench."""
MakeFind = Callable[[Sequence[Policy]], Find]

_FIELDS: Mapping[str, str] = {
    "phrases": "words",
    "definition": "what it means",
    "severity": "severity",
    "surfaces": "where it is looked for",
    "language": "language",
    "matching": "how strictly it is compared",
    "near": "words that must be near",
    "within": "how near",
    "unless": "words that speak against it",
    "personal": "whether somebody speaks of themselves",
    "pages_because": "why pages count",
    "facts": "what else is known",
    "picture": "whether a picture is kept",
    "alert": "whether somebody is alerted",
    "clip_seconds": "how much of the screen is recorded",
}
"""What of a term may change, in words."""
_OF_POLICY: Mapping[str, str] = {
    "title": "name",
    "category": "what it is about",
    "owner": "who answers for it",
    "summary": "what it says of itself",
    "hidden": "whether its terms are shown",
}
"""What of a policy may change beside its terms, in words."""
_Place: TypeAlias = tuple[str, Surface]
"""A term (``policy/term``), and where the text stood in which it was found."""


@dataclass(frozen=True, slots=True)
class TermChange:
    """One term that is new, changed or gone. ``shown``: its first phrase; ``fields``: what has changed, in words.

    ``decided``: what the school has decided about it, in words; that stays.
    """

    id: str
    shown: str
    severity: str
    fields: tuple[str, ...] = ()
    decided: str = ""


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """What becomes of one policy. Of hidden ones nothing but numbers may be shown."""

    name: str
    title: str
    hidden: bool
    whole: str
    """``new`` if there was none of this name; else empty."""
    fields: tuple[str, ...]
    """What has changed beside its terms, in words."""
    new: tuple[TermChange, ...]
    changed: tuple[TermChange, ...]
    gone: tuple[TermChange, ...]

    def __bool__(self) -> bool:
        return bool(self.whole or self.fields or self.new or self.changed or self.gone)


def compare(
    before: Iterable[Policy],
    after: Iterable[Policy],
    decided: Mapping[str, str] | None = None,
    title: Callable[[str], str] = str,
) -> list[PolicyChange]:
    """Every policy of which something changes, in the order of ``after``. None of ``before`` may be missing there.

    ``decided``: what the school has decided about terms (``policy/term``), in words. ``title``: of a category.
    """
    known = {policy.name: policy for policy in before}
    changes = [_compare(known.get(policy.name), policy, decided or {}, title) for policy in after]
    return [change for change in changes if change]


def _compare(
    before: Policy | None, after: Policy, decided: Mapping[str, str], title: Callable[[str], str]
) -> PolicyChange:
    def change(term: Term, fields: tuple[str, ...] = ()) -> TermChange:
        words = decided.get(f"{after.name}/{term.id}", "")
        return TermChange(term.id, term.phrases[0], term.severity, fields, words)

    old = {term.id: term for term in before.terms} if before is not None else {}
    new = {term.id: term for term in after.terms}
    hidden = after.hidden or (before is not None and before.hidden)
    return PolicyChange(
        after.name,
        after.title,
        hidden,
        "" if before is not None else "new",
        _policy_fields(before, after, title) if before is not None else (),
        tuple(change(term) for id_, term in new.items() if id_ not in old),
        tuple(
            change(term, _changed_fields(old[id_], term))
            for id_, term in new.items()
            if id_ in old and term != old[id_]
        ),
        tuple(change(term) for id_, term in old.items() if id_ not in new),
    )


def _policy_fields(before: Policy, after: Policy, title: Callable[[str], str]) -> tuple[str, ...]:
    return tuple(
        _policy_words(name, getattr(before, name), getattr(after, name), title)
        for name in _OF_POLICY
        if getattr(before, name) != getattr(after, name)
    )


def _policy_words(name: str, before: object, after: object, title: Callable[[str], str]) -> str:
    if name == "hidden":
        return "its terms are hidden from now on" if after else "its terms are shown from now on"
    if name == "category":
        before, after = title(str(before)), title(str(after))
    return _OF_POLICY[name] if name == "summary" else f"{_OF_POLICY[name]}: “{after}” instead of “{before}”"


def _changed_fields(before: Term, after: Term) -> tuple[str, ...]:
    return tuple(
        _field_words(name, getattr(before, name), getattr(after, name))
        for name in _FIELDS
        if getattr(before, name) != getattr(after, name)
    )


def _field_words(name: str, before: object, after: object) -> str:
    if name == "severity":
        return f"severity: {after} instead of {before}"
    if isinstance(before, tuple) and isinstance(after, tuple):
        counts = (len(set(after) - set(before)), "more"), (len(set(before) - set(after)), "fewer")
        told = ", ".join(f"{number:,} {word}" for number, word in counts if number)
        return f"{_FIELDS[name]} ({told or 'in another order'})"
    return _FIELDS[name]


@dataclass(frozen=True, slots=True)
class Difference:
    """A sentence in which something else is found: ``more`` and ``fewer`` terms, beside those that ``still`` find it.

    ``hidden``: it is about a hidden category, or a hidden policy has to do with it: not to be shown.
    """

    sentence: Sentence
    more: tuple[str, ...]
    fewer: tuple[str, ...]
    still: tuple[str, ...]
    hidden: bool

    @property
    def is_first(self) -> bool:
        """Whether nothing was found in it before."""
        return not (self.fewer or self.still)

    @property
    def is_last(self) -> bool:
        """Whether nothing is found in it any more."""
        return not (self.more or self.still)


@dataclass(frozen=True, slots=True)
class BenchResult:
    """How many sentences there are, in how many something is found before and after, and each that differs."""

    sentences: int
    before: int
    after: int
    differences: tuple[Difference, ...]

    @property
    def first(self) -> int:
        """In how many sentences something would be found for the first time."""
        return sum(one.is_first for one in self.differences)

    @property
    def last(self) -> int:
        """In how many sentences nothing would be found any more."""
        return sum(one.is_last for one in self.differences)

    @property
    def by_kind(self) -> Sequence[tuple[str, str, int, int]]:
        """Category (empty: harmless), kind, how many sentences more terms find, and how many fewer or others."""
        more = Counter(_kind_of(one.sentence) for one in self.differences if one.more)
        fewer = Counter(_kind_of(one.sentence) for one in self.differences if one.fewer)
        return [(*key, more[key], fewer[key]) for key in sorted(more.keys() | fewer.keys())]


def _kind_of(sentence: Sentence) -> tuple[str, str]:
    return "" if sentence.is_harmless else sentence.category, sentence.kind_words


def try_sentences(
    sentences: Sequence[Sentence], before: Sequence[Policy], after: Sequence[Policy], make_find: MakeFind
) -> BenchResult:
    """What both find in each sentence, tried as typed text, and for terms that are not looked for there as what they
    are looked for in. ``before`` and ``after`` are in force as they are. It takes seconds: not for the event loop.
    """
    finders = make_find(before), make_find(after)
    places, words = _places([*before, *after]), _words([*after, *before])  # a changed term has its new name
    hidden = {policy.name for policy in (*before, *after) if policy.hidden}
    counts = [0, 0]
    differences = []
    for sentence in sentences:
        old, new = (_found(sentence.text, find, places) for find in finders)
        counts[0] += bool(old)
        counts[1] += bool(new)
        if old != new:
            told = (_told(new - old, old, words), _told(old - new, new, words), _told(old & new, old ^ new, words))
            touched = {term.partition("/")[0] for term, _ in old | new}
            is_hidden = bool(hidden & touched) or sentence.category in HIDDEN_CATEGORIES
            differences.append(Difference(sentence, *told, hidden=is_hidden))
    return BenchResult(len(sentences), counts[0], counts[1], tuple(differences))


def _places(policies: Iterable[Policy]) -> Mapping[Surface, Collection[str]]:
    """Where sentences are tried, and which terms (``policy/term``) count there: each where it is plainest."""
    places: defaultdict[Surface, set[str]] = defaultdict(set)
    for policy in policies:
        for term in policy.terms:
            plainest = next((surface for surface in WHERE_SENTENCES_STAND if surface in term.surfaces), None)
            if plainest is not None:
                places[plainest].add(f"{policy.name}/{term.id}")
    return places


def _words(policies: Iterable[Policy]) -> Mapping[str, str]:
    """Each term (``policy/term``) as pages call it: by its first phrase that is not another term's name already."""
    words: dict[str, str] = {}
    for policy in policies:
        taken = {shown for term, shown in words.items() if term.partition("/")[0] == policy.name}
        for term in policy.terms:
            names = [f"{policy.title}: “{phrase}”" for phrase in term.phrases]
            name = next((one for one in names if one not in taken), names[0])
            taken.add(words.setdefault(f"{policy.name}/{term.id}", name))
    return words


def _found(text: str, find: Find, places: Mapping[Surface, Collection[str]]) -> AbstractSet[_Place]:
    return {(term, surface) for surface, terms in places.items() for term in find(text, surface) if term in terms}


def _told(places: AbstractSet[_Place], others: AbstractSet[_Place], words: Mapping[str, str]) -> tuple[str, ...]:
    """Terms for pages; where it matters with the place, as for one that the others find elsewhere."""
    elsewhere = {term for term, _ in others}
    return tuple(
        words[term] if surface is Surface.TYPED and term not in elsewhere else f"{words[term]} ({surface.label})"
        for term, surface in sorted(places)
    )
