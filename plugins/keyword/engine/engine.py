"""From a text to its hits.

Addresses are cut out, decoded, and looked at as texts of their own (``addresses``), and so are lines that are turned
(``turned``); tags are passed over (``markup``).
All phrases are looked for in every way in which they may be written (``views``). Then each one found is judged by what
stands around it (``judging``, ``context``, ``exclusions``). An engine is made once and never changes; it keeps no word
of what it has read.
"""

from __future__ import annotations

import gc
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from operator import attrgetter

from appliance.api import Surface

from ..library.model import Policy
from .addresses import Address, cut
from .compiling import Compiled, Innocence, Needle, Sought
from .exclusions import NAMES, Exclusions
from .folding import Folded, Table
from .hits import ORDER, Hit, How
from .judging import InnocentPlaces, counts_among, counts_in_unspaced, is_written_well_enough, severity_of
from .markup import without_tags
from .matches import Match
from .turned import Turned, turned
from .views import Views

MOST_TRIED = 5
MOST_JUDGED = 200
"""Places of one term in one text that are judged: a text that repeats it more often says no more than that."""
MOST_UNSPACED = 10_000
"""Places of all terms in one text of a script without blanks."""
SHORT_ON = frozenset({Surface.TYPED, Surface.EMAIL})
"""Where phrases of three letters count: in what is typed."""
WHOLE_ADDRESSES = frozenset({Surface.ADDRESS, Surface.NAME})


class Engine:
    """Looks for the phrases of policies. Raises nothing for any text."""

    def __init__(self, policies: Sequence[Policy], exclusions: Exclusions | None = None) -> None:
        with _no_collecting():
            self._make(policies, Exclusions() if exclusions is None else exclusions)

    def _make(self, policies: Sequence[Policy], exclusions: Exclusions) -> None:
        self._table = Table()
        self._compiled = Compiled(policies, exclusions, self._table)
        self._sayings = exclusions.by_word()
        self._helping = exclusions.sites
        self._views = Views(self._compiled)

    def find(self, text: str, surface: Surface) -> list[Hit]:
        """Every hit, in the order of the text; of one term none that lies within another."""
        plain, addresses = cut(text, whole=surface in WHOLE_ADDRESSES, helping=self._helping)
        found = list(self._find(without_tags(plain), surface, in_query=False))
        for address in addresses:
            found += self._in_address(address, surface)
        if (lines := turned(text)) is not None:
            found += self._in_turned(lines, surface)
        return _distinct(found)

    def _in_address(self, address: Address, surface: Surface) -> Iterator[Hit]:
        for hit in self._find(address.text, surface, in_query=True):
            if surface is Surface.ADDRESS and Surface.ADDRESS not in hit.term.surfaces and hit.start < address.query:
                continue
            yield replace(hit, start=address.starts[hit.start], end=address.ends[hit.end - 1])

    def _in_turned(self, lines: Turned, surface: Surface) -> Iterator[Hit]:
        for hit in self._find(lines.text, surface, in_query=False):
            start, end = lines.origin(hit.start, hit.end)
            hows = tuple(how for how in hit.hows if how is not How.EXACT)
            yield replace(hit, start=start, end=end, hows=(*hows, How.TURNED))

    def _find(self, text: str, surface: Surface, *, in_query: bool) -> Iterator[Hit]:
        if not text or text.isspace():
            return
        folded = Folded(text, self._table)
        found = list(self._views.look(folded))
        innocent = InnocentPlaces([(match, entry) for match, entry in found if isinstance(entry, Innocence)])
        judged: Counter[Sought] = Counter()
        for match, entry in found:
            if isinstance(entry, Needle) and _counts_on(entry, surface, in_query=in_query):
                judged[entry.sought] += 1
                if judged[entry.sought] <= MOST_JUDGED and (hit := self._judged(match, entry, surface, innocent)):
                    yield hit
        for unspaced, start, end in islice(self._compiled.scan_unspaced(folded.text), MOST_UNSPACED):
            if isinstance(unspaced, Needle) and _counts_on(unspaced, surface, in_query=in_query):
                judged[unspaced.sought] += 1
                if judged[unspaced.sought] <= MOST_JUDGED:
                    beside = counts_in_unspaced(folded.text, start, end, unspaced)
                    if beside is not None:
                        yield _as_written(unspaced, *folded.origin(start, end), beside)

    def _judged(self, match: Match, needle: Needle, surface: Surface, innocent: InnocentPlaces) -> Hit | None:
        """What a phrase in a view is worth; ``None`` if it does not count."""
        if not counts_among(match, needle):
            return None
        start, end = match.span()
        written = match.text.folded.original[start:end]
        hows = match.hows or (self._how(needle, match, written),)
        if not is_written_well_enough(needle, match, hows, written):
            return None
        sought = needle.sought
        if needle.words > 1 and match.crosses_sentences():
            return None
        if innocent.covers(start, end, needle) or innocent.is_about_help(surface, sought.term.personal):
            return None
        severity, why = severity_of(needle, hows, match)
        tried = self._tried(needle, innocent.sayings())
        beside = sought.near.which(match.near(sought.term.within, needle.words)) if sought.term.near else ""
        read_as = self._read_as(needle, match.said())
        return Hit(
            sought.policy, sought.term, needle.phrase, start, end, hows, severity, why, tried, read_as, beside
        )  # fmt: skip

    def _read_as(self, needle: Needle, said: str) -> str:
        """What was understood, as the policy writes it: "k y s", and not "ok why s"."""
        return needle.phrase.lower() if said.split() == self._compiled.words(needle.phrase) else said

    def _how(self, needle: Needle, match: Match, written: str) -> How:
        if " ".join(written.lower().split()) == " ".join(needle.phrase.lower().split()):
            return How.EXACT
        plain = Folded(needle.phrase, self._table).words()
        return How.FOLDED if [match.text.words[number] for number in match.touched] == plain else How.TEXT_SPEAK

    def _tried(self, needle: Needle, sayings: Iterable[str]) -> tuple[str, ...]:
        """Exclusions with a word of the phrase in them, and the term's own, none of which applied."""
        saying = [told for word in self._compiled.words(needle.phrase) for told in self._sayings.get(word, ())]
        several = dict.fromkeys((*needle.sought.term.unless, *sayings, *saying))
        return tuple(sorted(several, key=lambda told: told != NAMES))[:MOST_TRIED]


@contextmanager
def _no_collecting() -> Iterator[None]:
    """Hundreds of thousands of objects are made that all stay: looking for garbage among them takes a third of the
    time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _counts_on(needle: Needle, surface: Surface, *, in_query: bool) -> bool:
    """Whether a term is looked for where the text was seen. What a search engine was asked stands in an address too."""
    surfaces = needle.sought.term.surfaces
    if needle.is_short and surface not in SHORT_ON:
        return False
    if surface is Surface.NAME:
        return Surface.NAME in surfaces or Surface.ADDRESS in surfaces
    return surface in surfaces or (
        surface is Surface.ADDRESS and in_query and Surface.SEARCH in surfaces and not needle.is_short
    )


def _as_written(needle: Needle, start: int, end: int, beside: str) -> Hit:
    sought = needle.sought
    severity = sought.term.severity
    return Hit(
        sought.policy, sought.term, needle.phrase, start, end, (How.EXACT,), severity, severity.rule, near=beside
    )


def _distinct(hits: Iterable[Hit]) -> list[Hit]:
    """The plainest hit of each term at each place, and of one term none that lies within another."""
    kept: dict[tuple[str, str], list[Hit]] = {}
    for hit in sorted(hits, key=lambda hit: (ORDER[hit.how], len(hit.hows), hit.start - hit.end)):
        others = kept.setdefault((hit.policy.name, hit.term.id), [])
        place = bisect_left(others, hit.start, key=attrgetter("start"))
        # They are in order and none touches another: only the nearest can.
        if all(hit.end <= other.start or other.end <= hit.start for other in others[max(0, place - 1) : place + 1]):
            others.insert(place, hit)
    found = [hit for hits_of_term in kept.values() for hit in hits_of_term]
    return sorted(found, key=lambda hit: (hit.start, hit.end, hit.severity.rank))
