"""What the worker must know, as one JSON object. The main process builds it, the worker reads it.

The worker has no database and no settings file; this is its whole world, and the last good one carries it through any
restart of the main process. Lists are too large for it: the snapshot names files beside it by the SHA-256 of their
content (see ``compiled``).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from .policy import Answer, Mode, NamedList, Profile
from .settings import Settings
from .shares import Address, plain_address

VERSION: Literal[1] = 1

CLIENTS_REMEMBERED = 10_000

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class SnapshotError(Exception):
    """The snapshot cannot be used; the words say why."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ProfilePart(_Part):
    """A profile as the settings have it; ``block`` are names of lists."""

    name: str
    mode: Mode
    block: tuple[str, ...]
    allow: tuple[str, ...]
    answer: Answer
    answer_ipv4: str
    answer_ipv6: str


class RangePart(_Part):
    """A network, the group it belongs to, and the profile that applies there."""

    network: str
    group: str
    profile: str


class Snapshot(_Part):
    """``ranges`` come most specific first. ``lists``: name -> SHA-256 of the compiled list, if there is one."""

    version: Literal[1]
    listen: tuple[str, ...]
    port: int
    upstreams: tuple[str, ...]
    upstream_timeout: float
    allow_from: tuple[str, ...]
    block_ttl: int
    lists: dict[str, str]
    profiles: tuple[ProfilePart, ...]
    ranges: tuple[RangePart, ...]
    default_profile: str
    exempt: tuple[str, ...]


# In the main process


def build(
    settings: Settings, ranges: Sequence[RangePart], exempt: Iterable[str], lists: Mapping[str, str]
) -> dict[str, Any]:
    """The snapshot as a mapping of JSON."""
    snapshot = Snapshot(
        version=VERSION,
        listen=settings.listen,
        port=settings.port,
        upstreams=settings.upstreams,
        upstream_timeout=settings.upstream_timeout,
        allow_from=settings.allow_from,
        block_ttl=settings.block_ttl,
        lists=dict(lists),
        profiles=tuple(ProfilePart(**profile.model_dump()) for profile in settings.profiles),
        ranges=tuple(ranges),
        default_profile=settings.default_profile,
        exempt=tuple(sorted(exempt)),
    )
    return snapshot.model_dump(mode="json")


def resolve_ranges(
    networks: Sequence[tuple[Network, str]], own_profile: Callable[[str], str | None], default: str
) -> tuple[RangePart, ...]:
    """Network -> profile for ``(network, group)`` pairs that come most specific first.

    ``own_profile(group)`` is what was set for the group itself, or ``None``. A group for which nothing was set gets
    what the next wider network around it has, and at the end the default: the rule of ``assignments.effective``.
    """
    return tuple(
        RangePart(
            network=str(network), group=group, profile=_first_set(network, networks[index:], own_profile, default)
        )
        for index, (network, group) in enumerate(networks)
    )


def _first_set(
    network: Network,
    candidates: Sequence[tuple[Network, str]],
    own_profile: Callable[[str], str | None],
    default: str,
) -> str:
    around = (group for candidate, group in candidates if _contains(candidate, network))
    return next((found for group in around if (found := own_profile(group)) is not None), default)


def _contains(wide: Network, narrow: Network) -> bool:
    return wide.version == narrow.version and narrow.subnet_of(wide)  # type: ignore[arg-type]


# In the worker


def read(mapping: Mapping[str, Any]) -> Snapshot:
    """The snapshot in a mapping. Raises ``SnapshotError``, also for a version of the format that we do not know."""
    if mapping.get("version") != VERSION:
        raise SnapshotError(f"The snapshot has format {mapping.get('version')!r}, this worker reads {VERSION}.")
    try:
        return Snapshot.model_validate(mapping)
    except ValidationError as error:
        raise SnapshotError(f"The snapshot cannot be read: {error.errors()[0]['msg']}.") from error


@dataclass(frozen=True, slots=True)
class Client:
    """What is known of one asking address: its group (``""``: none) and its profile."""

    group: str
    profile: Profile


@dataclass(slots=True)
class Clients:
    """Finds the client for an address. Answers are remembered; the memory starts afresh when it is full."""

    allow_from: tuple[Network, ...]
    ranges: tuple[tuple[Network, Client], ...]
    default: Client
    _known: dict[str, Client | None] = field(default_factory=dict)

    def find(self, address: str) -> Client | None:
        """The client at ``address``, or ``None`` if it must not get any answer."""
        try:
            return self._known[address]
        except KeyError:
            if len(self._known) >= CLIENTS_REMEMBERED:
                self._known.clear()
            return self._known.setdefault(address, self._search(plain_address(address)))

    def _search(self, address: Address) -> Client | None:
        if not any(address in network for network in self.allow_from):
            return None
        return next((client for network, client in self.ranges if address in network), self.default)


def clients_of(snapshot: Snapshot, names: Mapping[str, Container[str]]) -> Clients:
    """Everybody's profiles, ready for deciding. ``names``: the loaded lists by name.

    Raises ``SnapshotError`` where the snapshot contradicts itself.
    """
    exempt = frozenset(snapshot.exempt)
    profiles = {part.name: _profile(part, exempt, names) for part in snapshot.profiles}
    try:
        return Clients(
            allow_from=tuple(ipaddress.ip_network(text) for text in snapshot.allow_from),
            ranges=tuple(
                (ipaddress.ip_network(part.network), Client(part.group, profiles[part.profile]))
                for part in snapshot.ranges
            ),
            default=Client("", profiles[snapshot.default_profile]),
        )
    except (KeyError, ValueError) as error:
        raise SnapshotError(f"The snapshot contradicts itself at {error}.") from error


def _profile(part: ProfilePart, exempt: frozenset[str], names: Mapping[str, Container[str]]) -> Profile:
    return Profile(
        name=part.name,
        mode=part.mode,
        block=tuple(NamedList(name, names[name]) for name in part.block if name in names),
        allow=frozenset(part.allow),
        exempt=exempt,
        answer=part.answer,
        addresses=(part.answer_ipv4, part.answer_ipv6),
    )
