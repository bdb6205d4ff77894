"""Results of the test bench in words and numbers, the same for pages and the command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from appliance.bench.scoring import BenchResult, Score, Wrong
from appliance.categories import HIDDEN_CATEGORIES

MOST_LISTED = 100
"""Sentences that a command prints of each kind of mistake."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A change of recall since the run before. ``arrow`` is one of ↑ ↓ =; ``words`` say the same."""

    arrow: str
    words: str


def percent(part: float | None) -> str:
    """A share in whole per cent, rounded down so that only everything is 100 %; a hyphen where there is none."""
    return "-" if part is None else f"{int(part * 100 + 1e-9)} %"


def difference(now: Score, before: Score | None) -> Difference:
    """How the recall has changed, in percentage points."""
    if before is None or now.recall is None or before.recall is None:
        return Difference("", "no result before")
    points = round((now.recall - before.recall) * 100)
    if points == 0:
        return Difference("=", "as before")
    return Difference("↑" if points > 0 else "↓", f"{abs(points)} {'more' if points > 0 else 'fewer'} in a hundred")


def share_words(score: Score) -> str:
    """What a detector or a policy does, in one sentence."""
    count = score.false_alarms
    alarms = f"{count or 'no'} false alarm{'' if count == 1 else 's'}"
    if not score.sentences:
        return f"it found none of the sentences; {alarms}"
    return f"it found {score.found} of {score.sentences} sentences ({percent(score.recall)}); {alarms}"


def summary(result: BenchResult) -> str:
    """The whole run in a few sentences."""
    total = result.total
    words = f"{total.found} of {total.sentences} sentences were found ({percent(total.recall)})"
    if total.found_at_all > total.found:
        words += f", and {total.found_at_all - total.found} more with another category"
    words += f". Of {result.harmless} harmless sentences {total.false_alarms or 'none'} raised a false alarm."
    if result.unjudged:
        words += f" {result.unjudged} could not be judged by every detector: look on the Status page."
    return words


def told(result: BenchResult) -> str:
    """Everything, for a terminal."""
    return "\n".join(_lines(result))


def _lines(result: BenchResult) -> Iterator[str]:
    yield summary(result)
    yield f"{result.sentences} sentences in {result.seconds:.1f} seconds, by {', '.join(result.detectors)}"
    yield ""
    yield from _table("Category", result.by_category)
    yield ""
    yield from _table("Kind", result.by_kind)
    if result.by_detector:
        yield ""
        yield from _table("Detector", {name: one.score for name, one in result.by_detector.items()})
    yield ""
    yield from _versions(result)
    yield from _list("Missed, or found with another category only", result.missed)
    yield from _list("False alarms", result.false_alarms)


def _table(title: str, scores: Mapping[str, Score]) -> Iterator[str]:
    wide = max(len(title), *(len(name) for name in scores), 8)
    yield f"{title:{wide}}  sentences  found  at all  recall  precision  false alarms"
    for name, score in scores.items():
        yield (
            f"{name:{wide}}  {score.sentences:9}  {score.found:5}  {score.found_at_all:6}  {percent(score.recall):>6}  "
            f"{percent(score.precision):>9}  {score.false_alarms:12}"
        )


def _versions(result: BenchResult) -> Iterator[str]:
    if result.by_policy:
        yield "Policies: " + ", ".join(f"{title} {one.version}".rstrip() for title, one in result.by_policy.items())


def shown(wrong: Sequence[Wrong]) -> list[Wrong]:
    """Those that may be shown: neither about a hidden category nor found with one."""
    return [one for one in wrong if not HIDDEN_CATEGORIES.intersection((one.category, *one.found))]


def _list(title: str, wrong: Sequence[Wrong]) -> Iterator[str]:
    if not wrong:
        return
    seen = shown(wrong)
    yield ""
    yield f"{title} ({len(wrong)}):"
    for one in seen[:MOST_LISTED]:
        found = f" (found: {', '.join(one.found)})" if one.found else ""
        yield f"  {one.category}, {one.kind or 'no kind'}: \u2068{one.text}\u2069{found}"
    if len(seen) > MOST_LISTED:
        yield f"  and {len(seen) - MOST_LISTED} more"
    if len(seen) < len(wrong):
        yield f"  and {len(wrong) - len(seen)} about what is shown nowhere"
