"""Notices that no name server answers any more, from what the answering processes say of themselves."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from .machine import Troubles

WHILE_SECONDS: Final = 8.0
"""Silence that is told. A server that was only started again is back sooner."""
TODO: Final = "What is remembered is still answered. Look at the uplink, or set `upstreams`."


class Silence:
    """``follow`` what is asked, ``take`` what each process says.

    One process that hears nothing is enough: the others may have asked nothing since the line was cut.
    """

    def __init__(self, troubles: Troubles) -> None:
        self._troubles = troubles
        self._asked: frozenset[str] = frozenset()
        self._since: dict[int, float] = {}
        self._told = False

    def follow(self, servers: Collection[str], processes: int) -> None:
        """The name servers that any name may be asked of, as ``take`` calls them, and how many processes ask."""
        if frozenset(servers) != self._asked:
            self._asked = frozenset(servers)
            self._since.clear()
        for process in [one for one in self._since if one >= processes]:
            del self._since[process]
        self._tell("")

    def take(self, process: int, health: Mapping[str, Any], moment: float) -> None:
        """What a process says of itself; ``moment`` of a clock that never goes back."""
        servers = [one for one in health.get("upstreams", ()) if one["server"] in self._asked]
        if not servers or any(one["state"] != "resting" for one in servers):
            self._since.pop(process, None)
            self._tell("")
        elif moment - self._since.setdefault(process, moment) >= WHILE_SECONDS:
            self._tell(f"No name server answers: {', '.join(map(_in_words, servers))}. {TODO}")

    def _tell(self, words: str) -> None:
        """Said once, with the numbers of that moment, and taken back when nobody hears nothing any more."""
        if words and not self._told:
            self._told = True
            self._troubles.set("upstreams", words)
        elif not words and not self._since:
            self._told = False
            self._troubles.set("upstreams", "")


def _in_words(one: Mapping[str, Any]) -> str:
    return f"{one['server']} has left {one['failures']} queries in a row without an answer"
