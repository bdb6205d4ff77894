"""The lists of the settings, in the main process: keeps a compiled copy of each, and knows which could not be read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from appliance.api import stamp

from ..settings import ListSettings
from .compiled import Compiled, ListUnreadable, compile_list, forget_others, is_there, look_at, read_index, write_index


@dataclass(frozen=True, slots=True)
class ListState:
    """One list. ``compiled`` is the copy in force, if there ever was a good one; ``trouble``: why there is no newer."""

    settings: ListSettings
    file: Path
    compiled: Compiled | None = None
    trouble: ListUnreadable | None = None


class Catalogue:
    """All lists. ``resolve`` makes a path of the settings absolute; compiled copies lie in ``folder``."""

    def __init__(self, lists: Sequence[ListSettings], resolve: Callable[[Path], Path], folder: Path) -> None:
        self._folder = folder
        self._states = tuple(ListState(each, resolve(each.file)) for each in lists)
        self._needed: frozenset[str] = frozenset()
        self._refreshing = asyncio.Lock()

    @property
    def states(self) -> tuple[ListState, ...]:
        """Every list as it stands, in the order of the settings."""
        return self._states

    def digests(self) -> dict[str, str]:
        """List name -> SHA-256 of its compiled copy, for the lists that have one."""
        return {state.settings.name: state.compiled.sha256 for state in self._states if state.compiled is not None}

    async def open(self) -> None:
        """Take up the copies that the last run left."""
        index = await asyncio.to_thread(read_index, self._folder)
        self._states = tuple(replace(state, compiled=index.get(state.settings.name)) for state in self._states)

    async def refresh(self) -> None:
        """Compile what has changed since it was compiled. A list that cannot be read keeps its last good copy."""
        async with self._refreshing:
            for position, state in enumerate(self._states):
                newer = await asyncio.to_thread(_refreshed, state, self._folder)
                self._states = (*self._states[:position], newer, *self._states[position + 1 :])
            index = {state.settings.name: state.compiled for state in self._states if state.compiled is not None}
            with suppress(
                OSError
            ):  # a full disk; without the index the lists are only compiled again at the next start
                await asyncio.to_thread(write_index, self._folder, index)

    async def tidy(self) -> None:
        """Delete copies that neither this nor the last call needed: the worker may still read the ones before."""
        needed = frozenset(self.digests().values())
        await asyncio.to_thread(forget_others, self._folder, needed | self._needed)
        self._needed = needed


def _refreshed(state: ListState, folder: Path) -> ListState:
    try:
        source = look_at(state.file, state.settings.format)
        if state.compiled is not None and state.compiled.source == source and is_there(folder, state.compiled):
            return replace(state, trouble=None)
        return replace(state, compiled=compile_list(source, folder, stamp()), trouble=None)
    except ListUnreadable as trouble:
        return replace(state, trouble=trouble)
