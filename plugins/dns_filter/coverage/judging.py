"""What is covered and what is not, from what was seen since yesterday. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class State(Enum):
    """How much is covered: how pages tag it, and its words."""

    COVERED = ("good", "Covered")
    PARTLY = ("moderate", "Partly")
    NOT = ("severe", "Not covered")
    UNKNOWN = ("minor", "Not known")


@dataclass(frozen=True, slots=True)
class Line:
    """One network or kind of device. ``why``: sentences, the worst first; ``number``: how many there are of it."""

    title: str
    about: str
    state: State
    why: tuple[str, ...]
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A network of the settings. ``mode``: what the profile of its unknown devices does."""

    title: str
    networks: tuple[Network, ...]
    profile: str
    mode: str


@dataclass(frozen=True, slots=True)
class Day:
    """What was seen since yesterday.

    ``askers``: addresses that asked this box; ``None``: the school keeps none. ``around``: addresses of devices that
    went around the filter. ``seen``: addresses that the listening has noticed. ``listens``: whether it is on.
    """

    askers: Collection[str] | None
    around: Collection[str]
    seen: Collection[str]
    listens: bool


_MODES = {
    "watch": "Its profile, {profile}, is on a trial run: nothing is blocked yet, only noted.",
    "off": "Its profile, {profile}, blocks nothing but locked lists.",
}
_BLIND = "Nobody looks for ways around the filter: the listening on the network is off."


def of_place(place: Place, allowed: Sequence[Network], day: Day) -> Line:
    """One network. It is covered if devices there ask this box, their profile blocks, and none goes around."""
    about = ", ".join(str(one) for one in place.networks)
    if not any(_overlap(one, other) for one in place.networks for other in allowed):
        return Line(place.title, about, State.NOT, ("Its devices get no answer: they may not ask this box.",))
    if day.askers is None:
        return Line(place.title, about, State.UNKNOWN, ("The school has chosen to keep no addresses of devices.",))
    asked, around = within(day.askers, place.networks), within(day.around, place.networks)
    silent = within(day.seen, place.networks) - asked - around
    why = []
    if around:
        why.append(f"{_many(len(around), 'device')} went around the filter since yesterday.")
    if place.mode in _MODES:
        why.append(_MODES[place.mode].format(profile=place.profile))
    if silent:
        why.append(f"{_many(len(silent), 'device')} on it did not ask this box since yesterday.")
    if not asked:
        return Line(place.title, about, State.NOT, ("No device on it has asked this box since yesterday.", *why), 0)
    state = State.PARTLY if why else State.COVERED
    why.append(f"{_many(len(asked), 'device')} asked this box since yesterday, counted by address.")
    if not day.listens:
        why.append(_BLIND)
    return Line(place.title, about, state, tuple(why), len(asked))


@dataclass(frozen=True, slots=True)
class Devices:
    """Devices since yesterday, by what is known of them. The first three are of the directory.

    ``asked`` includes those with the extension; ``strangers`` asked this box and nobody knows them; ``silent`` were
    noticed on the network, are not known and did not ask. ``lenient``: of profiles that block nothing now, how many of
    the devices with the extension that asked have it.
    """

    all: frozenset[str]
    extension: frozenset[str]
    asked: frozenset[str]
    strangers: int
    silent: int
    around: int
    lenient: Mapping[str, int] = field(default_factory=dict)


def of_devices(found: Devices, day: Day) -> list[Line]:
    """Each kind of device."""
    both, names = found.extension & found.asked, found.asked - found.extension
    away, missing = found.extension - found.asked, found.all - found.extension - found.asked
    kept = day.askers is not None
    parts = [f"{_many(number, 'device')} with the profile {title}" for title, number in found.lenient.items()]
    lenient = f"Nothing but locked lists is blocked for {' and '.join(parts)}." if parts else ""
    lines = [
        Line("Known, with the browser extension, asking this box", "The filter by name, and what is typed and shown",
             State.PARTLY if lenient else State.COVERED,
             (*([lenient] if lenient else []), "Names are filtered, and the extension looks at pages in the browser."),
             len(both)),
        Line("Known, with the extension, not asking this box", "The extension alone", State.PARTLY,
             ("They were at home, or on a network that asks somebody else: nothing was filtered there.",), len(away)),
        Line("Known, without the extension", "The filter by name alone", State.PARTLY,
             ("Names are filtered. What is typed, searched or shown is not seen.",), len(names)),
        Line("Known, not noticed since yesterday", "Switched off, away, or asking somebody else", State.NOT,
             ("They did not ask this box, and their extension, if they have one, did not call.",), len(missing)),
        Line("Not known, asking this box", "Own devices, guests, printers", State.PARTLY,
             ("Names are filtered with the profile of their network. It is not known whose they are.",),
             found.strangers if kept else None),
        _heard("Not known, not asking this box", "Noticed on the network only", "They ask somebody else.",
               found.silent, day),
        _heard("Going around the filter", "Another name server, encrypted DNS or a VPN",
               "What they open on that way is not filtered.", found.around, day),
        Line("Phones on mobile data, and devices at home", "Any", State.NOT,
             ("They do not ask this box, and nobody can count them.",)),
    ]  # fmt: skip
    return lines if kept else [_unsure(one) for one in lines]


def _heard(title: str, about: str, why: str, number: int, day: Day) -> Line:
    """What only the listening can know."""
    return Line(title, about, State.NOT, (why,), number) if day.listens else _blind(title, about)


def _blind(title: str, about: str) -> Line:
    return Line(title, about, State.UNKNOWN, (_BLIND,))


def _unsure(line: Line) -> Line:
    """Where no devices are kept, nobody can say which of the known ones have asked."""
    if line.state is State.NOT and line.number is None:
        return line
    return Line(line.title, line.about, State.UNKNOWN, ("The school has chosen to keep no addresses of devices.",))


def within(addresses: Iterable[str], networks: Collection[Network]) -> frozenset[str]:
    """Those of the addresses that lie in one of the networks."""
    return frozenset(one for one in addresses if any(_has(network, one) for network in networks))


def _has(network: Network, address: str) -> bool:
    try:
        return ipaddress.ip_address(address) in network
    except ValueError:
        return False


def _overlap(one: Network, other: Network) -> bool:
    return one.version == other.version and one.overlaps(other)


def _many(number: int, noun: str) -> str:
    return f"1 {noun}" if number == 1 else f"{number} {noun}s"
