"""What people decide about bundles and lists. Each decision is on the record, and in force when it is answered."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta

from appliance.api import Actor, Finding, Refused, now, parse

from .archive import BundleRefused
from .forces import Forces, Trouble
from .imported import Kind, TermList
from .keeping import Shelf
from .looking import Looked, Looking
from .store import Kept, Store, Trial, Use
from .trial import set_aside

LONGEST_TRIAL = 60
"""Days."""
BACK_MOST = 5
"""How many bundles that ran before are kept on the disk, to go back to."""
OVER = "its end had come"


class Desk:
    """``tell``: called after each change of what runs."""

    def __init__(self, store: Store, shelf: Shelf, forces: Forces, looking: Looking, tell: Callable[[], None]) -> None:
        self.store = store
        self.forces = forces
        self.looking = looking
        self._shelf = shelf
        self._tell = tell
        self._turn = asyncio.Lock()
        self._trial: Trial | None = None
        self._counts: Counter[str] = Counter()

    async def start(self) -> None:
        """Let what was decided run again. What is damaged is told in ``forces.troubles``."""
        async with self._turn:
            await self._resume_bundle()
            await self.forces.run_lists({Kind(row["kind"]) for row in await self.store.imported()})
            await self._resume_trial()
            await self._tidy()

    async def chosen(self) -> Kept | None:
        """The bundle that was chosen to run, whether or not it can; ``None``: the supplied policies."""
        use = await self.store.use()
        return await self._bundle_of(use)

    async def look(self, author: str) -> Looked:
        """Look for new bundles; what came of it."""
        async with self._turn:
            looked = await self.looking.look(author)
            is_mended = "bundle" in self.forces.troubles
            if is_mended:  # the same bundle may have come again, whole
                await self._resume_bundle()
            await self._tidy()
        if is_mended:
            self._tell()
        return looked

    # Bundles

    async def apply(self, actor: Actor, id_: str) -> Kept:
        """Let a bundle run from now on. Raises ``BundleRefused`` if it cannot; then all stays as it was."""
        async with self._turn:
            kept, use = await self.store.bundle(id_), await self.store.use()
            if use is not None and use.bundle == kept.id and self.forces.bundle is not None:
                raise Refused("These policies are in force already.")
            before = await self._bundle_of(use)
            await self._check_is_newest(kept, before)
            await self._flush()
            await self.forces.run_bundle(kept)
            try:
                await self.store.apply(actor, kept)
            except BaseException:
                await self._resume_bundle()
                raise
            await self._no_trial()
            await self._tidy()
        self._tell()
        return kept

    @staticmethod
    async def _check_is_newest(kept: Kept, before: Kept | None) -> None:
        """Only ``go_back`` goes back."""
        if before is not None and before.name == kept.name and kept.version < before.version:
            raise BundleRefused(
                f"Version {before.version} of {kept.name} is in force, which is newer.",
                "To go back on purpose, use “Go back to the policies before”.",
            )

    async def go_back(self, actor: Actor) -> Kept | None:
        """Let what ran before run again; the bundle, or ``None``: the supplied policies."""
        async with self._turn:
            use = await self.store.use()
            if use is None or (use.bundle is None and use.before is None):
                raise Refused("There are no policies before these.")
            target = await self.store.used_before(use.before)
            kept = await self._bundle_of(target)
            await self.forces.run_bundle(kept)
            try:
                await self.store.go_back(actor, use, target, kept)
            except BaseException:
                await self._resume_bundle()
                raise
        self._tell()
        return kept

    async def can_go_back(self) -> bool:
        """Whether there are policies before these."""
        use = await self.store.use()
        return use is not None and not (use.bundle is None and use.before is None)

    async def drop(self, actor: Actor, id_: str) -> Kept:
        """Put a bundle aside, and end its trial. It can still be applied later."""
        async with self._turn:
            kept, use = await self.store.bundle(id_), await self.store.use()
            if use is not None and use.bundle == kept.id:
                raise Refused("These policies are in force.", "Go back to those before them instead.")
            await self._flush()
            is_on_trial = self._trial is not None and self._trial.bundle == kept.id
            await self.store.drop(actor, kept)
            if is_on_trial:
                await self._no_trial()
        if is_on_trial:
            self._tell()
        return kept

    async def _bundle_of(self, use: Use | None) -> Kept | None:
        return None if use is None or use.bundle is None else await self.store.bundle(use.bundle)

    async def _resume_bundle(self) -> None:
        kept = await self.chosen()
        try:
            await self.forces.run_bundle(kept)
        except BundleRefused as error:
            await self.forces.run_bundle(None)
            self.forces.troubles["bundle"] = Trouble(
                "Policies in force",
                f"The bundle of policies that was applied cannot be used, so the supplied policies run. {error}",
                "Look at “Policy updates”: get the bundle again, or go back to the policies before.",
            )

    # Trials

    async def begin_trial(self, actor: Actor, id_: str, days: int) -> Kept:
        """Let a bundle run silently beside for some days."""
        if not 1 <= days <= LONGEST_TRIAL:
            raise Refused(f"A trial run takes 1 to {LONGEST_TRIAL} days.")
        async with self._turn:
            kept, use = await self.store.bundle(id_), await self.store.use()
            if use is not None and use.bundle == kept.id:
                raise Refused("These policies are in force already.")
            await self._flush()
            await self.forces.run_trial(kept)
            await self.store.begin_trial(actor, kept, now() + timedelta(days=days))
            self._trial = await self.store.trial()
        self._tell()
        return kept

    def weigh(self, findings: Sequence[Finding]) -> Sequence[Finding]:
        """The findings that count. Those of a trial are counted, and are gone."""
        remain, counts = set_aside(findings)
        if self._trial is not None:
            self._counts.update(counts)
        return remain

    async def keep_counts(self) -> None:
        """Keep what a trial has found, and end one whose end has come (a job)."""
        async with self._turn:
            await self._flush()
            over = self._trial if self._trial is not None and now() >= parse(self._trial.ends_at) else None
            if over is not None:
                await self.store.end_trial(OVER, await self.store.bundle(over.bundle))
                await self._no_trial()
        if over is not None:
            self._tell()

    async def stop(self) -> None:
        """Keep what a trial has found."""
        await self._flush()

    async def _flush(self) -> None:
        counts, self._counts = self._counts, Counter()
        if self._trial is not None and counts:
            await self.store.count(self._trial.id, counts)

    async def _no_trial(self) -> None:
        self._trial = None
        await self.forces.run_trial(None)

    async def _resume_trial(self) -> None:
        trial = await self.store.trial()
        if trial is None:
            return
        kept = await self.store.bundle(trial.bundle)
        try:
            await self.forces.run_trial(kept)
            self._trial = trial
        except BundleRefused as error:
            self.forces.troubles["trial"] = Trouble(
                "Policies on trial", f"The bundle on trial cannot be used. {error}", "Drop it on “Policy updates”."
            )

    # Lists that were handed over

    async def import_list(self, author: str, found: TermList) -> None:
        """Let a list run, in the place of the one of its kind."""
        async with self._turn:
            await asyncio.to_thread(self._shelf.put_list, found)
            numbers = len(found.terms), sum(found.left_out.values())
            await self.store.import_list(author, found.kind, found.body, numbers)
            await self._run_lists()
        self._tell()

    async def remove_list(self, author: str, kind: Kind, reason: str) -> None:
        """Let a list run no more, and delete it. Raises ``Refused`` without a reason."""
        if not reason.strip():
            raise Refused(f"Say why the list ({kind.words}) goes.")
        async with self._turn:
            await self.store.remove_list(author, kind, reason)
            self._shelf.drop_list(kind)
            await self._run_lists()
        self._tell()

    async def _run_lists(self) -> None:
        await self.forces.run_lists({Kind(row["kind"]) for row in await self.store.imported()})

    # The disk

    async def _tidy(self) -> None:
        needed = {kept.id for kept in await self.store.bundles() if kept.state in ("waiting", "dropped")}
        if self._trial is not None:
            needed.add(self._trial.bundle)
        use = await self.store.use()
        for _ in range(BACK_MOST + 1):
            if use is None:
                break
            needed |= {use.bundle} if use.bundle is not None else set()
            use = await self.store.used_before(use.before)
        await asyncio.to_thread(self._shelf.tidy, needed)
