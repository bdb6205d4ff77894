"""From what was found in each sentence to numbers: how much is found, and how often wrongly. Pure.

**Recall**: of the sentences of a category, how many it is found in. **Precision**: of the sentences in which a category
is found, how many are of concern at all; which one of two related categories is found is a matter of taste, and the
recall tells it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from appliance.bench.sentences import BenchSentence
from appliance.categories import UNJUDGED
from appliance.observations import Finding


@dataclass(frozen=True, slots=True)
class Hit:
    """A finding as far as it is counted."""

    detector: str
    policy: str
    version: str
    category: str


@dataclass(frozen=True, slots=True)
class Judged:
    """A sentence and what was found in it. ``unjudged``: detectors that could not judge it."""

    sentence: BenchSentence
    hits: tuple[Hit, ...]
    unjudged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Score:
    """Counts of sentences. ``sentences``: of concern; ``found``: with their own category, ``found_at_all``: with any.

    ``fired``: those in which something was found, rightly or not; ``false_alarms``: the harmless ones of these.
    """

    sentences: int
    found: int
    found_at_all: int
    fired: int
    false_alarms: int

    @property
    def recall(self) -> float | None:
        """From 0 to 1; ``None`` where there is nothing to be found."""
        return self.found / self.sentences if self.sentences else None

    @property
    def precision(self) -> float | None:
        """From 0 to 1; ``None`` where nothing was found."""
        return (self.fired - self.false_alarms) / self.fired if self.fired else None


NOTHING = Score(0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Wrong:
    """A sentence that was missed, found with other categories only, or found although it is harmless."""

    text: str
    category: str
    kind: str
    found: tuple[str, ...]
    """Categories that were found in it."""


@dataclass(frozen=True, slots=True)
class PolicyScore:
    """One policy's own share. ``version``: the one that ran; ``score``: for the category ``category``."""

    version: str
    category: str
    score: Score


@dataclass(frozen=True, slots=True)
class DetectorScore:
    """One detector's own share: in each category in which it found anything, and in all of these together.

    So a detector for one subject is not blamed for missing the others.
    """

    score: Score
    by_category: Mapping[str, Score]


@dataclass(frozen=True, slots=True)
class BenchResult:
    """One run. ``by_detector``: by ``plugin.name``; ``by_policy``: by title. Whichever found nothing is not there.

    ``unjudged``: sentences that some detector could not judge. ``detectors``: all that were asked.
    """

    sentences: int
    harmless: int
    unjudged: int
    seconds: float
    detectors: tuple[str, ...]
    total: Score
    by_category: Mapping[str, Score]
    by_kind: Mapping[str, Score]
    by_detector: Mapping[str, DetectorScore]
    by_policy: Mapping[str, PolicyScore]
    missed: tuple[Wrong, ...]
    false_alarms: tuple[Wrong, ...]

    def as_json(self) -> dict[str, Any]:
        """To be kept."""
        return asdict(self)

    @classmethod
    def of_json(cls, data: Mapping[str, Any]) -> BenchResult:
        """What ``as_json`` gave."""
        return cls(
            **{
                **data,
                "detectors": tuple(data["detectors"]),
                "total": Score(**data["total"]),
                "by_category": _scores(data["by_category"]),
                "by_kind": _scores(data["by_kind"]),
                "by_detector": {
                    name: DetectorScore(Score(**one["score"]), _scores(one["by_category"]))
                    for name, one in data["by_detector"].items()
                },
                "by_policy": {
                    title: PolicyScore(one["version"], one["category"], Score(**one["score"]))
                    for title, one in data["by_policy"].items()
                },
                "missed": tuple(map(_wrong, data["missed"])),
                "false_alarms": tuple(map(_wrong, data["false_alarms"])),
            }
        )


def _scores(data: Mapping[str, Any]) -> dict[str, Score]:
    return {key: Score(**one) for key, one in data.items()}


def _wrong(data: Mapping[str, Any]) -> Wrong:
    return Wrong(**{**data, "found": tuple(data["found"])})


# Counting


def judged(sentence: BenchSentence, findings: Iterable[Finding]) -> Judged:
    """What of the findings counts.

    The test phrase does not, nor does what stands for something that could not be judged, nor a note that a plugin
    sends itself: it has neither a place in the text nor a phrase.
    """
    hits: list[Hit] = []
    unjudged: list[str] = []
    for one in findings:
        if one.category == UNJUDGED:
            unjudged.append(one.detector)
        elif not one.is_test and (one.phrase or one.start < one.end):
            hits.append(Hit(one.detector, one.policy, one.version, one.category))
    return Judged(sentence, tuple(dict.fromkeys(hits)), tuple(unjudged))


def of_one_detector(everything: Iterable[Judged], name: str) -> list[Judged]:
    """Only what one detector says, or those of one plugin; ``name``: ``plugin.name`` or ``plugin``."""

    def is_it(detector: str) -> bool:
        return name in (detector, detector.partition(".")[0])

    return [
        Judged(
            one.sentence,
            tuple(hit for hit in one.hits if is_it(hit.detector)),
            tuple(filter(is_it, one.unjudged)),
        )
        for one in everything
    ]


def result(everything: Sequence[Judged], detectors: Iterable[str], seconds: float) -> BenchResult:
    """Everything that is told of a run."""
    sentences = [one.sentence for one in everything]
    of_concern = {one.category: None for one in sentences if not one.is_harmless}
    kinds = {one.kind: None for one in sentences}
    missed = [one for one in everything if not one.sentence.is_harmless and not _is_found(one)]
    return BenchResult(
        sentences=len(sentences),
        harmless=sum(one.is_harmless for one in sentences),
        unjudged=sum(bool(one.unjudged) for one in everything),
        seconds=round(seconds, 2),
        detectors=tuple(sorted(detectors)),
        total=_score(everything),
        by_category={category: _score(everything, {category}) for category in of_concern},
        by_kind={kind: _score([one for one in everything if one.sentence.kind == kind]) for kind in kinds},
        by_detector=_by_detector(everything),
        by_policy=_by_policy(everything),
        missed=tuple(map(_as_wrong, missed)),
        false_alarms=tuple(_as_wrong(one) for one in everything if one.sentence.is_harmless and one.hits),
    )


def _is_found(one: Judged) -> bool:
    return any(hit.category == one.sentence.category for hit in one.hits)


def _as_wrong(one: Judged) -> Wrong:
    found = tuple(dict.fromkeys(hit.category for hit in one.hits))
    return Wrong(one.sentence.text, one.sentence.category, one.sentence.kind, found)


def _score(
    everything: Iterable[Judged], about: Collection[str] | None = None, counts: Callable[[Hit], bool] = lambda _: True
) -> Score:
    """``about``: the categories that are looked at, all of them if ``None``. ``counts``: which hits are looked at."""
    sentences = found = found_at_all = fired = false_alarms = 0
    for one in everything:
        hits = {hit.category for hit in one.hits if counts(hit)}
        if not one.sentence.is_harmless and (about is None or one.sentence.category in about):
            sentences += 1
            found += one.sentence.category in hits
            found_at_all += bool(hits)
        if hits if about is None else hits.intersection(about):
            fired += 1
            false_alarms += one.sentence.is_harmless
    return Score(sentences, found, found_at_all, fired, false_alarms)


def _by_detector(everything: Sequence[Judged]) -> dict[str, DetectorScore]:
    fired: dict[str, set[str]] = {}
    for one in everything:
        for hit in one.hits:
            fired.setdefault(hit.detector, set()).add(hit.category)
    return {name: _of_detector(everything, name, categories) for name, categories in sorted(fired.items())}


def _of_detector(everything: Sequence[Judged], name: str, categories: Collection[str]) -> DetectorScore:
    def is_its(hit: Hit) -> bool:
        return hit.detector == name

    by_category = {category: _score(everything, {category}, is_its) for category in sorted(categories)}
    return DetectorScore(_score(everything, categories, is_its), by_category)


def _by_policy(everything: Sequence[Judged]) -> dict[str, PolicyScore]:
    last = {hit.policy: hit for one in everything for hit in one.hits}
    return {title: _of_policy(everything, hit) for title, hit in sorted(last.items())}


def _of_policy(everything: Sequence[Judged], one: Hit) -> PolicyScore:
    score = _score(everything, {one.category}, lambda hit: hit.policy == one.policy)
    return PolicyScore(one.version, one.category, score)
