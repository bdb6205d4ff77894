"""Running the test bench: every sentence to the detectors in force, as they judge what devices notice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from appliance.bench.keeping import KEPT, BenchRun, BenchStore, Why
from appliance.bench.scoring import NOTHING, BenchResult, Judged, judged, of_one_detector, result
from appliance.bench.sentences import BenchSentence, bench_sentences
from appliance.bench.words import share_words
from appliance.clock import new_id, stamp
from appliance.detection import Detection
from appliance.errors import ApplianceError, Refused, StoreError
from appliance.observations import Observation, Surface

RUN_SECONDS = 100.0
"""For a whole run. The supplied policies take some seconds on a small box; a command waits for 120."""
THE_APPLIANCE = "the appliance"


class BenchFailed(ApplianceError):
    """The bench came to no result. Nothing was kept."""


@dataclass(slots=True)
class Progress:
    """A run under way: how many sentences were judged, of how many."""

    author: str
    total: int
    done: int = 0


class Bench:
    """One run at a time. What it asks is asked as live observations are, in turn with them, and none of it is kept."""

    def __init__(
        self,
        detection: Detection,
        store: BenchStore,
        sentences: Callable[[], Sequence[BenchSentence]] = bench_sentences,
        run_seconds: float = RUN_SECONDS,
    ) -> None:
        self._detection = detection
        self._store = store
        self._sentences = sentences
        self._run_seconds = run_seconds
        self._task: asyncio.Task[None] | None = None
        self.progress: Progress | None = None
        self.trouble = ""
        """Why the latest run came to no result, in words; empty if it did."""
        self._known: Sequence[BenchRun] | None = None
        self._changed = 0

    # Running

    async def run(self, author: str, why: Why) -> BenchRun:
        """Judge the sentences that came with the appliance and keep the result.

        Raises ``Refused`` while another run is under way, ``BenchFailed`` if there is no result.
        """
        try:
            found = await self.try_sentences(author, self._sentences())
        except BenchFailed as failure:
            self.trouble = str(failure)
            raise
        self.trouble = ""
        kept = await self._store.add(author, why, found)
        self._known = None
        return kept

    async def try_sentences(self, author: str, sentences: Sequence[BenchSentence], detector: str = "") -> BenchResult:
        """Judge some sentences and keep nothing. ``detector``: count one detector or one plugin alone.

        Raises as ``run`` does.
        """
        if self.progress is not None:
            raise Refused("The test bench is running already.", "Wait for its result; it takes a minute at most.")
        self.progress = Progress(author, len(sentences))
        try:
            async with asyncio.timeout(self._run_seconds):
                return await self._judge_all(sentences, detector, self.progress)
        except TimeoutError:
            done = f"{self.progress.done:,} of {len(sentences):,} sentences in {self._run_seconds:g} seconds"
            todo = "Look on the Status page whether a detector fails."
            raise BenchFailed(f"The run was stopped: only {done} were judged.", todo) from None
        finally:
            self.progress = None

    async def _judge_all(self, sentences: Sequence[BenchSentence], detector: str, progress: Progress) -> BenchResult:
        before = time.perf_counter()
        everything: list[Judged] = []
        for sentence in sentences:
            everything.append(await self._judge(sentence))
            progress.done += 1
        names = self._names(detector)
        if detector:
            everything = of_one_detector(everything, detector)
        if all(one.unjudged and not one.hits for one in everything):
            raise BenchFailed("No sentence could be judged.", "The Status page says which detector fails.")
        return result(everything, names, time.perf_counter() - before)

    async def _judge(self, sentence: BenchSentence) -> Judged:
        try:
            findings = await self._detection.judge(Observation(new_id(), stamp(), Surface.TYPED, sentence.text))
        except ApplianceError as error:
            raise BenchFailed(f"The sentences could not be judged. {error}", "Try again in a minute.") from error
        return judged(sentence, findings)

    def _names(self, detector: str) -> Collection[str]:
        """The detectors that were asked. Raises ``BenchFailed`` if there is none, or not the one that is meant."""
        there = self._detection.detectors
        names = [name for name in there if not detector or detector in (name, name.partition(".")[0])]
        if not names:
            raise BenchFailed(f"There is no detector {detector!r}.", f"There are: {', '.join(there) or 'none'}.")
        typed = [name for name in names if Surface.TYPED in there[name]]
        if not typed:
            raise BenchFailed(f"{', '.join(names)}: looks at nothing that is typed, as the sentences are.")
        return typed

    # For pages, which do not wait

    def begin(self, author: str) -> asyncio.Task[None]:
        """Run it by hand, without waiting for the result. Raises ``Refused`` while another run is under way."""
        if self.progress is not None or (self._task is not None and not self._task.done()):
            raise Refused("The test bench is running already.", "Wait for its result; it takes a minute at most.")
        self._task = asyncio.create_task(self._run_quietly(author, Why.HAND), name="test bench")
        return self._task

    async def _run_quietly(self, author: str, why: Why) -> None:
        """What goes wrong is told by ``trouble``."""
        try:
            await self.run(author, why)
        except Refused:
            return  # another run began a moment ago: its result is as good
        except BenchFailed:
            return
        except StoreError as error:
            self.trouble = f"The result could not be kept. {error}"

    async def stop(self) -> None:
        """End a run that a page has begun."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task})

    # By itself

    async def run_if_due(self) -> None:
        """The job: run once so that there is something to compare with, and after the detectors have changed."""
        if self.progress is not None or not self._detection.detectors:
            return
        changes = self._detection.changes
        if not await self.runs():
            await self._run_quietly(THE_APPLIANCE, Why.FIRST)
        elif changes != self._changed:
            await self._run_quietly(THE_APPLIANCE, Why.CHANGE)
        self._changed = changes

    # Results

    async def runs(self) -> Sequence[BenchRun]:
        """The results that are kept, the newest first: at most fifty."""
        if self._known is None:
            self._known = await self._store.latest(KEPT)
        return self._known

    async def latest(self) -> BenchRun | None:
        """The newest result; ``None`` if there is none."""
        return next(iter(await self.runs()), None)

    async def plugin_words(self, name: str) -> Mapping[str, str]:
        """What the newest result says of each detector of a plugin; nothing of one that was not there at that run."""
        run = await self.latest()
        if run is None:
            return {}
        found = run.result.by_detector
        return {
            detector: share_words(found[detector].score if detector in found else NOTHING)
            for detector in run.result.detectors
            if detector.partition(".")[0] == name
        }

    async def policy_words(self, title: str, category: str, version: str) -> str:
        """What the newest result says of a policy, in a sentence or two."""
        run = await self.latest()
        if run is None:
            return "The test bench has not been run yet."
        found = run.result.by_policy.get(title)
        if found is None:
            there = run.result.by_category.get(category, NOTHING).sentences
            return (
                f"On the test bench it found none of {there} sentences."
                if there
                else "The test bench has nothing for it."
            )
        older = f" That was version {found.version}." if found.version != version else ""
        return f"On the test bench {share_words(found.score)}.{older}"
