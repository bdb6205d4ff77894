"""All lists as they stand: read again what changed, hold back what shrank, go back, and make the table of them all.

What is kept of each source is a value (``Kept``) that is replaced as a whole and never across an ``await``, so a press
on a page and a refresh that takes minutes do not undo each other's work.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from appliance.api import ApplianceError, Refused, now, parse, stamp

from ..answerer.table import BELOW, EXACT
from ..queries.checks.addresses import TEST_NAMES, probe_name
from . import child
from .copies import Copy, Index, Kept, Layer, ListUnreadable, OneList, only_whole, read_index, shrunk, tidy, write_index
from .fetching import Fetcher, Known
from .formats import Rejected
from .shipped import BYPASS, OTHER, bypass, categories
from .sources import Spec, checked, gone, look, wrong_checksum

RETRY = timedelta(hours=1)
FETCHED = "fetched"
_MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Progress:
    """What is being done for a source at this moment. ``total``: octets to come, 0 if nobody knows."""

    doing: str
    octets: int = 0
    total: int = 0
    names: int = 0


@dataclass(frozen=True, slots=True)
class SourceState:
    """A source as it stands: what is kept of it, why there is nothing newer, and what is being done.

    ``failed_at``: when it was last tried without success since the start.
    """

    spec: Spec
    kept: Kept
    trouble: ApplianceError | None = None
    progress: Progress | None = None
    failed_at: datetime | None = None

    @property
    def shrank(self) -> str:
        """Why a newer copy is held back, in words; ``""``: none is."""
        return "" if self.kept.held is None else shrunk(self.kept.current, self.kept.held, self.spec.locked)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the worker must know of a list beside its names."""

    title: str
    category: str
    locked: bool
    names: int


class Catalogue:
    """The lists of ``specs``; compiled files lie in ``folder``. ``open`` before use."""

    def __init__(self, folder: Path, fetcher: Fetcher, most_megabytes: int) -> None:
        self._folder = folder
        self._fetcher = fetcher
        self._limit = most_megabytes * _MEGABYTE
        self._specs: dict[str, Spec] = {}
        self._index = Index()
        self._troubles: dict[str, ApplianceError] = {}
        self._failed_at: dict[str, datetime] = {}
        self._progress: dict[str, Progress] = {}
        self._refreshing = asyncio.Lock()
        self._building = asyncio.Lock()
        self._tables_before: frozenset[str] = frozenset()
        self.table_trouble: ApplianceError | None = None

    async def open(self) -> None:
        """Take up what the last run left."""
        for left in self._folder.glob(".part-*"):
            left.unlink(missing_ok=True)
        self._index = await asyncio.to_thread(read_index, self._folder)

    def use(self, specs: Iterable[Spec]) -> None:
        """Let these be the sources. Locked lists that were in force once stay, whatever ``specs`` says."""
        wanted = {spec.name: spec for spec in specs}
        for name, kept in self._index.sources.items():
            if kept.locked and name not in wanted:
                wanted[name] = gone(name, kept)
            elif kept.locked:
                wanted[name] = replace(wanted[name], locked=True)
        self._specs = wanted

    @property
    def states(self) -> tuple[SourceState, ...]:
        """Every source as it stands."""
        return tuple(
            SourceState(
                spec,
                self._kept(name),
                self._troubles.get(name) or spec.trouble,
                self._progress.get(name),
                self._failed_at.get(name),
            )
            for name, spec in self._specs.items()
        )

    @property
    def table(self) -> str:
        """The SHA-256 of the table in force, ``""`` before the first one."""
        return self._index.table

    @property
    def names(self) -> int:
        """Different names in the table, but for those that the filter's own test asks for: one for each category."""
        for_the_test = TEST_NAMES * len({BYPASS, *(each.category for _, each in self._in_force())})
        return max(self._index.names - for_the_test, 0)

    def facts(self) -> dict[str, Facts]:
        """List name -> what is to be known of it, for every list that is in the table."""
        found = {BYPASS: Facts(categories()[BYPASS].title, BYPASS, locked=False, names=self._count(BYPASS, 0))}
        for spec, each in self._in_force():
            kept, name = self._kept(spec.name), spec.name
            title = spec.title or kept.title or name
            several = f"{title}: {each.name.removeprefix(f'{name}-')}" if each.name != name else title
            found[each.name] = Facts(several, each.category, spec.locked, self._count(each.name, each.names))
        return found

    async def refresh(self, only: Collection[str] | None = None, *, anyway: bool = False) -> bool:
        """Read what has changed; whether anything is different now. ``only``: these sources; ``anyway``: due or not.

        A list that cannot be read keeps its last good copy.
        """
        async with self._refreshing:
            before = self._index.sources
            for name, spec in tuple(self._specs.items()):
                if (only is None or name in only) and spec.by != "kept":
                    await self._refresh(spec, anyway)
            self._forget_strangers()
            await self._write()
        return await self.rebuild() or self._index.sources != before

    async def rebuild(self) -> bool:
        """Make the table of what is in force; whether it is another one than before."""
        async with self._building:
            layers = self._layers()
            made_of = hashlib.sha256(json.dumps(layers).encode("utf-8")).hexdigest()
            if made_of == self._index.made_of and self._index.table:
                return False
            try:
                task = {"do": "table", "folder": str(self._folder), "layers": layers, "expected": self._expected()}
                done = await child.run(task, _unheard)
            except ListUnreadable as trouble:
                self.table_trouble = trouble
                self._index = await asyncio.to_thread(only_whole, self._folder, self._index)  # read the rest again
                return False
            self.table_trouble = None
            counts = {str(name): int(count) for name, count in done["lists"].items()}
            self._index = replace(
                self._index, table=done["sha256"], made_of=made_of, names=done["names"], counts=counts
            )
            await self._write()
            return True

    async def tidy(self) -> None:
        """Delete what neither this nor the last call needed: the worker may still read the table before."""
        async with self._refreshing, self._building:  # what is being made is not in the index yet
            await asyncio.to_thread(tidy, self._folder, self._index, self._tables_before)
            self._tables_before = frozenset({self._index.table})

    # What somebody decides on the page. Each raises ``Refused``; ``rebuild`` puts it in force.

    def accept(self, name: str) -> Kept:
        """Take the smaller copy after all; what is kept now."""
        kept = self._kept(name)
        if kept.held is None:
            raise Refused("No smaller copy waits any more.", "Look at the list again.")
        if kept.locked:
            raise Refused("A locked list is not changed here.", "Ask whoever handed it over.")
        return self._keep(name, replace(kept, current=kept.held, before=kept.current, held=None))

    def go_back(self, name: str) -> Kept:
        """Put the copy before in force again, until the source changes once more; what is kept now."""
        kept, spec = self._kept(name), self._specs.get(name)
        if kept.before is None or kept.current is None:
            raise Refused("There is no copy from before to go back to.", "Look at the list again.")
        if spec is None or spec.locked or kept.locked:
            raise Refused("A locked list is not changed here.", "Ask whoever handed it over.")
        return self._keep(name, replace(kept, current=kept.before, before=None, refused=kept.current.seen))

    # One source

    async def _refresh(self, spec: Spec, anyway: bool) -> None:
        if spec.url and not anyway and not self._is_due(spec, self._kept(spec.name)):
            return  # what is known of it, trouble included, is as new as it should be
        try:
            if spec.trouble is not None:
                raise spec.trouble
            if spec.url:
                await self._fetch(spec)
            else:
                await self._look(spec)
            self._troubles.pop(spec.name, None)
            self._failed_at.pop(spec.name, None)
        except ApplianceError as trouble:
            self._troubles[spec.name] = trouble
            self._failed_at[spec.name] = now()
        finally:
            self._progress.pop(spec.name, None)

    async def _look(self, spec: Spec) -> None:
        seen = await asyncio.to_thread(look, spec)
        if self._is_known(spec.name, seen):
            return
        await asyncio.to_thread(checked, spec)
        assert spec.path is not None
        await self._take(spec, await self._compile(spec, spec.path, seen))

    async def _fetch(self, spec: Spec) -> None:
        kept = self._kept(spec.name)
        folder = self._folder / FETCHED
        await asyncio.to_thread(folder.mkdir, 0o750, True, True)
        into = folder / spec.name
        asked = _of_spec(spec)
        known = Known(kept.etag, kept.modified) if _newest(kept).startswith(asked) else Known()
        self._progress[spec.name] = Progress("Fetching it")
        try:
            got = await self._fetcher.fetch(spec.url, known, into, self._heard(spec.name, "Fetching it"))
            if got.changed:
                if spec.sha256 and got.sha256 != spec.sha256:
                    raise wrong_checksum(got.sha256, spec.sha256)
                seen = asked + got.sha256
                if not self._is_known(spec.name, seen):
                    await self._take(spec, await self._compile(spec, into, seen))
            fresh = replace(self._kept(spec.name), etag=got.etag, modified=got.modified, checked_at=stamp())
            self._keep(spec.name, fresh)
        finally:
            await asyncio.to_thread(into.unlink, True)

    async def _compile(self, spec: Spec, source: Path, seen: str) -> Copy:
        self._progress[spec.name] = Progress("Reading it")
        task = {
            "do": "compile", "source": str(source), "folder": str(self._folder), "format": spec.format,
            "limit": self._limit,
        }  # fmt: skip

        def heard(octets: int, names: int) -> None:
            self._progress[spec.name] = Progress("Reading it", octets, 0, names)

        return _copy(spec, await child.run(task, heard), seen)

    async def _take(self, spec: Spec, copy: Copy) -> None:
        kept = self._kept(spec.name)
        kept = replace(
            kept, locked=kept.locked or spec.locked, title=spec.title, category=spec.category, provider=spec.provider,
            refused="",
        )  # fmt: skip
        if shrunk(kept.current, copy, spec.locked) and not (spec.locked and spec.sha256):
            self._keep(spec.name, replace(kept, held=copy))
        elif kept.current is not None and kept.current.lists == copy.lists:
            self._keep(spec.name, replace(kept, current=copy, held=None))
        else:
            self._keep(spec.name, replace(kept, current=copy, before=kept.current, held=None))

    def _is_known(self, name: str, seen: str) -> bool:
        kept = self._kept(name)
        return seen in (kept.refused, *(copy.seen for copy in (kept.current, kept.held) if copy is not None))

    def _is_due(self, spec: Spec, kept: Kept) -> bool:
        """Whether an address is to be asked. Not every box at the same minute: each adds a part of its own."""
        failed = self._failed_at.get(spec.name)
        if failed is not None and now() - failed < RETRY:
            return False
        if failed is not None or kept.current is None or not _newest(kept).startswith(_of_spec(spec)):
            return True
        if not kept.checked_at:
            return True
        share = hashlib.sha256(f"{spec.name} {kept.checked_at}".encode()).digest()[0] / 255
        return now() - parse(kept.checked_at) >= spec.every * (0.9 + 0.2 * share)

    def _heard(self, name: str, doing: str) -> Callable[[int, int], None]:
        def heard(octets: int, total: int) -> None:
            self._progress[name] = Progress(doing, octets, total)

        return heard

    # All of them

    def _kept(self, name: str) -> Kept:
        return self._index.sources.get(name) or Kept()

    def _keep(self, name: str, kept: Kept) -> Kept:
        self._index = replace(self._index, sources={**self._index.sources, name: kept})
        return kept

    def _forget_strangers(self) -> None:
        """Let go of what is kept of sources that are no longer there."""
        sources = {name: kept for name, kept in self._index.sources.items() if name in self._specs or kept.locked}
        self._index = replace(self._index, sources=sources)

    async def _write(self) -> None:
        with suppress(OSError):  # a full disk; without it the lists are only read again at the next start
            await asyncio.to_thread(write_index, self._folder, self._index)

    def _layers(self) -> list[tuple[str, int, Any]]:
        """What the table is made of: lists, names of ways around, and for each a name for the filter's own test."""
        layers: list[tuple[str, int, Any]] = [(BYPASS, EXACT | BELOW, [*bypass().domains, probe_name(BYPASS)])]
        for _, each in self._in_force():
            layers += [(each.name, layer.flags, layer.sha256) for layer in each.layers]
            if each.names:  # the test must not call a category blocked whose lists are empty
                layers.append((each.name, EXACT | BELOW, [probe_name(each.category)]))
        return layers

    def _expected(self) -> int:
        return len(bypass().domains) + sum(each.names for _, each in self._in_force())

    def _in_force(self) -> list[tuple[Spec, OneList]]:
        """Every list that counts. None has the name of a locked one: its exceptions would speak for that."""
        found = [
            (spec, each)
            for name, spec in self._specs.items()
            if (copy := self._kept(name).current) is not None
            for each in copy.lists
        ]
        locked = {each.name for spec, each in found if spec.locked}
        return [(spec, each) for spec, each in found if spec.locked or each.name not in locked]

    def _count(self, name: str, otherwise: int) -> int:
        """Names of a list; the one for the filter's own test is none of its keeper's."""
        return max(self._index.counts[name] - TEST_NAMES, 0) if name in self._index.counts else otherwise


def _unheard(octets: int, names: int) -> None:
    """The table is made within seconds; nobody waits for news of it."""
    del octets, names


def _of_spec(spec: Spec) -> str:
    """What of a fetched source makes another copy necessary although the keeper's file is the same."""
    return hashlib.sha256(f"{spec.url} {spec.format} {spec.category} {spec.sha256}".encode()).hexdigest()[:16] + " "


def _newest(kept: Kept) -> str:
    return kept.refused or (kept.held or kept.current or Copy("", "", ())).seen


def _copy(spec: Spec, done: Mapping[str, Any], seen: str) -> Copy:
    """What the compiling process said of a source."""
    lists = tuple(_one(spec, folder, found) for folder, found in sorted(done["lists"].items()))
    return Copy(seen, stamp(), lists, int(done["ignored"]))


def _one(spec: Spec, folder: str, found: Mapping[str, Any]) -> OneList:
    name = (
        f"{spec.name}-{folder}"[:80] if folder and not spec.name.endswith(f"-{folder.replace('_', '-')}") else spec.name
    )
    own = next((each.key for each in categories().values() if folder and folder in each.ut1), OTHER)
    return OneList(
        name=name,
        category=own if spec.category == OTHER else spec.category,
        format=found["format"],
        names=found["names"],
        rejected=found["rejected"],
        # What stands in a locked list is nobody's to read, not even where it is wrong.
        examples=() if spec.locked else tuple(Rejected(line, why) for line, why in found["examples"]),
        layers=tuple(Layer(flags, sha256, count) for flags, sha256, count in found["layers"]),
    )
