"""What this room asks the others: why something is blocked, who asks, and to let a site in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from appliance.api import Actor, Transaction


class Decided(Protocol):
    """What the filter says of a name, as the process that answers says it (``answerer.rules.Decision``)."""

    @property
    def verdict(self) -> str:
        """``blocked``, ``allowed``, ``exempt``..."""

    @property
    def why(self) -> str:
        """``list``, ``locked list``, ``entry``, ``service``, ``only``, ``bypass``, ``plugin``... or empty."""

    @property
    def list(self) -> str:
        """The list that named it."""

    @property
    def rule(self) -> str:
        """The domain, the entry or the service that matched."""

    @property
    def category(self) -> str:
        """What the list is about."""


Allow = Callable[[Transaction, Actor, str, str, str, datetime | None], Awaitable[str]]
"""``allow(tx, actor, domain, profile, reason, until)``: an entry of the school, made in the unit of work of what it is
made for; ``profile`` empty: all. Returns its id."""


@dataclass(frozen=True, slots=True)
class Others:
    """The other rooms, as far as this one needs them."""

    why: Callable[[str, str], Decided | None]
    """``why(host, address)`` now; ``None``: this address gets no answers from the filter at all."""
    led: Callable[[str, str], Awaitable[Decided | None]]
    """Why a name is blocked that is open itself, because of what it leads to or what a plugin says: ``led(host,
    address)`` as the log has it; waits for a moment."""
    profile_of: Callable[[str], str]
    """The profile of an address; empty: none."""
    device_of: Callable[[str], str]
    """The id of the device at an address; empty: nobody knows."""
    allow: Allow
    is_in_force: Callable[[str], bool]
    """Whether an entry of the school still counts, by its id."""
    list_title: Callable[[str], str]
    category_title: Callable[[str], str]
    service_title: Callable[[str], str]
    profile_title: Callable[[str], str]
    blocked_for_some: Callable[[str], str]
    """The domain by which an entry for one group, room, device or person blocks a host; empty if none does."""
