"""The policies that run, in memory: read and verified from the disk, and handed to the detection process."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from appliance.api import ApplianceError, Refused

from ..choices.model import NAMES
from ..library.model import Policy
from .archive import BundleRefused
from .imported import Kind
from .keeping import Shelf
from .opening import Bundle, open_bundle
from .running import Material, Running
from .signatures import TrustedKey
from .store import Kept

RESERVED = frozenset({NAMES, *(kind.policy for kind in Kind)})
"""Names of policies that the appliance makes itself."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that does not run as it should, in words. ``name``: of the line on the status page."""

    name: str
    what: str
    todo: str


class Forces:
    """What runs. ``files``: the supplied policies and the school's own. ``taken``: names of others that it has made."""

    def __init__(
        self,
        files: Sequence[Policy],
        shelf: Shelf,
        trusted: Sequence[TrustedKey],
        taken: Callable[[], Collection[str]],
    ) -> None:
        self._files = tuple(files)
        self._shelf = shelf
        self._trusted = tuple(trusted)
        self._taken = taken
        self.material = Material()
        self.running = Running(self._files)
        self.bundle: Bundle | None = None
        """The bundle that runs, if it is one."""
        self.troubles: dict[str, Trouble] = {}
        self.changes = 0
        """How often something else ran; what was worked out for what ran before is stale."""

    @property
    def supplied_date(self) -> datetime.date:
        """The day of the newest supplied policy."""
        found = (policy.date for policy in self._files if policy.name in self.material.supplied)
        return max(found, default=datetime.date.min)

    @property
    def own_names(self) -> frozenset[str]:
        """Names of the school's own policies."""
        return frozenset({*(policy.name for policy in self._files), *self._taken()}) - self.material.supplied

    @property
    def beside(self) -> int:
        """How many supplied policies run on beside the bundle, which does not name them."""
        named = {policy.name for policy in self.bundle.policies} if self.bundle is not None else set()
        return len(self.material.supplied - named)

    def know_supplied(self, names: Collection[str]) -> None:
        """Which of the files are supplied."""
        self.material = replace(self.material, supplied=frozenset(names))

    async def open(self, kept: Kept) -> Bundle:
        """A bundle on the disk, verified again. Raises ``BundleRefused``."""
        bundle = await asyncio.to_thread(lambda: open_bundle(self._shelf.get(kept.id), self._trusted))
        if bundle.sha256 != kept.sha256:
            raise BundleRefused("Its file is not the one that came.", "Look at the disk of the box.")
        self.check_names(bundle)
        return bundle

    def check_names(self, bundle: Bundle) -> None:
        """Raise ``BundleRefused`` if a policy of the bundle has the name of one of the school's own."""
        kept = sorted(RESERVED & {policy.name for policy in bundle.policies})
        if kept:
            raise BundleRefused(
                f"It holds a policy called {', '.join(kept)}, which only the appliance makes.",
                "Whoever publishes it has to give it another name.",
            )
        taken = sorted(self.own_names & {policy.name for policy in bundle.policies})
        if taken:
            raise BundleRefused(
                f"It holds a policy called {', '.join(taken)}, and the school has one of its own that is called so.",
                "Give the school’s own policy another name; of one in a file IT changes the line `name:`.",
            )

    async def would_run(self, kept: Kept) -> Sequence[Policy]:
        """The policies that would run with this bundle. Raises ``BundleRefused`` if it cannot."""
        bundle = await self.open(kept)
        return replace(self.material, bundle=bundle.policies).over(self._files).policies

    async def run_bundle(self, kept: Kept | None) -> None:
        """Let a bundle run; with ``None`` the supplied policies. Raises ``BundleRefused``; then all stays as it was."""
        self.bundle = None if kept is None else await self.open(kept)
        self._take(replace(self.material, bundle=() if self.bundle is None else self.bundle.policies))
        self.troubles.pop("bundle", None)

    async def run_trial(self, kept: Kept | None) -> None:
        """Let a bundle run silently beside; with ``None`` none. Raises ``BundleRefused``."""
        self._take(replace(self.material, trial=None if kept is None else (await self.open(kept)).policies))
        self.troubles.pop("trial", None)

    async def run_lists(self, kinds: Collection[Kind]) -> None:
        """Let the lists of these kinds run. One that is damaged is left out and told in ``troubles``."""
        policies = []
        for kind in Kind:
            self.troubles.pop(f"list {kind}", None)
            if kind not in kinds:
                continue
            try:
                found = await asyncio.to_thread(self._shelf.get_list, kind)
                policies.append(found.policy(self._shelf.key()))
            except (Refused, ApplianceError) as error:
                self.troubles[f"list {kind}"] = Trouble(
                    f"List of terms: {kind.words}",
                    f"The list that was handed over cannot be read, so nothing is looked for by it. {error.what}",
                    "Import the list again.",
                )
        self._take(replace(self.material, imported=tuple(policies)))

    def _take(self, material: Material) -> None:
        self.material, self.running = material, material.over(self._files)
        self.changes += 1
