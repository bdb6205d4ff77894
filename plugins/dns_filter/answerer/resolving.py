"""The way of a query that has no answer ready: read, judge, answer from memory or ask, and say what to note.

``Resolver.resolve`` answers at once where it can; else the query waits, with all others that ask the same, for one
question on its way. Names that were never seen come this way, so it stays short: octets are compared, not decoded.

RFC 1035, RFC 2308 (negative answers), RFC 8482 (ANY), RFC 8767 (stale answers), RFC 8914 (extended errors), RFC 9520
(failures are remembered).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from .answers import Answers, Entry
from .asking import Asking, Group, Reactor
from .giving import OWN_HELD, SILENCE, Asked, Done, Made, Pieces, blocked, blocked_pieces, give, note_of, nothing
from .notes import CACHE
from .places import Place
from .records import digest, through
from .rules import ALLOWED, FREE, NO_RULE, Decision, Judged
from .servers import Server
from .upstreams import Upstreams
from .wire import (
    ADDRESS_TYPES,
    CD,
    DO,
    EDE_OTHER,
    EDE_STALE,
    EDE_STALE_NXDOMAIN,
    EDNS,
    HEADER,
    NOERROR,
    NXDOMAIN,
    OPT_OCTETS,
    PLAIN_UDP_SIZE,
    SERVFAIL,
    SERVICE_TYPES,
    SHAPES,
    TCP_SIZE,
    TYPE_ANY,
    USUAL,
    BadMessage,
    Ede,
    bare,
    read,
    refuses_any,
    to_text,
    type_text,
)
from .world import Policy, World

WAITING_AT_ONCE: Final = 1000
"""Queries that may wait for upstreams."""
OF_ONE: Final = 150
"""Of which one client may have so many: one device that asks for names nobody answers leaves room for the others."""
OF_ONE_IN_A_CROWD: Final = 10
"""And so many while half of all places are taken. It is the address that counts, also with IPv6: a whole room shares a
/64, and counted together one pupil would take the service from all of them."""
HELD: Final = 10.0
"""Seconds for which the very same packet may get the same octets; its TTL is lower by as much."""
STALE_TTL: Final = 30
RETRY_SECONDS: Final = 5.0
"""After a failure an old answer is given out at once for so long (RFC 8767 section 5)."""
FAILED_SECONDS: Final = 2
"""How long "I cannot" is remembered (RFC 9520)."""
FEW: Final = 3
"""So often an answer must have been given out before it is fetched again ahead of its end."""
LAST_PART: Final = 0.1
SPOKEN: Final = 8192
HEALTH_SECONDS: Final = 10.0

_FULL: Final[Ede] = (EDE_OTHER, "Too many questions of this device or network wait for an answer")

_KEYS: Final = tuple(bytes((shape & (CD | DO),)) for shape in SHAPES)


Health = Callable[[dict[str, Any]], None]


class Resolver:
    """Answers queries. ``health`` gets a record when a server begins to rest or is back, and every few seconds."""

    def __init__(self, reactor: Reactor, world: World, health: Health) -> None:
        self._reactor = reactor
        self._now = reactor.now
        self._health = health
        self._world = world
        self.limits = world.limits
        self._answers = Answers(world.entries)
        self._upstreams = Upstreams(reactor, world.timeout, self._report)
        self._fetches: dict[bytes, Fetch] = {}
        self._held: dict[str, int] = {}
        self._waiting = 0
        self._generation = 0
        self._hits = self._misses = self._stale = self._failed = self._full = 0
        self.use(world)
        reactor.later(HEALTH_SECONDS, self._report_again)

    def use(self, world: World) -> None:
        """Another snapshot. Answers stay unless they came from servers that are not asked any more."""
        before, self._world = self._world, world
        self.limits = world.limits
        if _servers_of(before) != _servers_of(world):
            self._generation += 1
            self._answers.clear()
            self._fetches = {}
        self._answers.resize(world.entries)
        self._upstreams.use([world.upstreams, *(zone.servers for zone in world.zones.values())], world.timeout)
        self._group = self._upstreams.group(world.upstreams)

    def resolve(
        self, packet: bytes, policy: Policy, client: str, limit: int | None, done: Done
    ) -> Made | Pieces | None:
        """The answer, or ``None`` and ``done`` is called with it later, once. ``limit``: ``None`` over TCP.

        A blocked name that was asked for in the usual way over UDP is answered in pieces, which saves putting them
        together. Never raises because of the packet.
        """
        query = read(packet)
        if isinstance(query, bytes):
            return Made(query, None, 0.0) if query else SILENCE
        end, shape, size, plain = query
        name = packet[12:end].lower()
        judged = policy.memo.get(name) or policy.judged(name)
        if limit is None:
            size, plain = TCP_SIZE, False
        if judged[0][0] == "blocked":
            verdict, why, listed, rule, category, _ = judged[0]
            labels = judged[1]
            note = (verdict, why, listed, rule if labels < 0 else labels, category, policy.profile, "", 0.0)
            if plain:
                before, behind = blocked_pieces(packet, end, shape, policy, why)
                return before, behind, -OPT_OCTETS if shape & EDNS else 0, note
            return blocked(packet, end, shape, policy, note, 0.0)
        asked = Asked(packet, end, shape, size, plain, name, policy, client, done, judged, self._now())
        if policy.verdicts and judged[0][1] != "entry" and judged[0][0] in ("allowed", "rewritten"):
            return self._ask_plugins(asked)
        return self._open(asked)

    def look_up(self, packet: bytes, name: bytes, policy: Policy, client: str, done: Done) -> Made | None:
        """As ``resolve`` does it for a plain packet about a name of which nothing is said (see ``quick``)."""
        end = HEADER + len(name)
        asked = Asked(
            packet, end, USUAL[packet[2:HEADER]], PLAIN_UDP_SIZE, True, name, policy, client, done, FREE, self._now()
        )
        return self._from_memory(asked, packet[end : end + 2], None)

    # What is not blocked by its name

    def _open(self, asked: Asked) -> Made | None:
        """The answer for a name that may be asked, or ``None`` if it has to be fetched."""
        packet, end = asked.packet, asked.end
        qtype = packet[end : end + 2]
        if qtype == TYPE_ANY:
            tail = refuses_any(packet, end, asked.shape)
            return Made(tail, note_of(asked), OWN_HELD if asked.plain else 0.0)
        _, _, place, target = asked.judged
        if place is not None or target is not None:
            found = self._at_home(asked, qtype, place, target)
            if isinstance(found, Made):
                return found
            target = found
        return self._from_memory(asked, qtype, target)

    def _from_memory(self, asked: Asked, qtype: bytes, target: bytes | None) -> Made | None:
        """What is known of the name, or of the one that is asked for instead."""
        key = asked.name + qtype + _KEYS[asked.shape]
        if target is not None:
            key += target
        asked.key = key
        entry = self._answers.get(key)
        now = asked.began
        if entry is not None:
            left = entry.expires - now
            if left > 0:
                self._hits += 1
                entry.asked += 1
                seconds = 0.0
                last = entry.ttl * LAST_PART
                if left < last:
                    if entry.asked >= FEW and self._world.prefetch and key not in self._fetches:
                        self._fetch(asked, target, entry, [])
                elif asked.plain and left >= 4:
                    seconds = min(HELD, left / 2, left - last)
                return give(asked, self._world, entry, int(left - seconds), seconds, CACHE)
        return self._wait(asked, target, entry)

    def _at_home(  # noqa: PLR0911 - one for each kind of place
        self, asked: Asked, qtype: bytes, place: Place | None, target: bytes | None
    ) -> Made | bytes | None:
        """The answer of a place within the school or of a safe name; or the name to ask for instead, if any."""
        if target is not None:
            if qtype in SERVICE_TYPES:
                return nothing(asked, NOERROR)
            if qtype in ADDRESS_TYPES:
                return target
            asked.judged = (ALLOWED, NO_RULE, place, None)
        if place is None:
            return None
        if place.answers is not None:
            entry = place.answers.get(qtype)
            if entry is not None:
                return give(asked, self._world, entry, entry.ttl, OWN_HELD, "")
            if place.alias is not None and qtype in ADDRESS_TYPES:
                return place.alias
        if place.servers:
            return None
        return nothing(asked, NXDOMAIN if place.answers is None else NOERROR)

    def _wait(self, asked: Asked, target: bytes | None, old: Entry | None) -> Made | None:
        """Wait for a question on its way, or send one; an old answer helps if nobody is there who could answer."""
        self._misses += 1
        key, now = asked.key, asked.began
        if old is not None and (old.rcode not in (NOERROR, NXDOMAIN) or old.expires + self._world.stale_seconds <= now):
            old = None
        fetch = self._fetches.get(key)
        if old is not None:
            if old.retry_at > now or (fetch is not None and fetch.is_late):
                return self._give_stale(asked, old)
            if self._group_for(asked, target).all_rest:
                old.retry_at = now + RETRY_SECONDS
                if fetch is None:
                    self._fetch(asked, target, old, [])
                return self._give_stale(asked, old)
        if not self._hold(asked):
            return self._refuse_more(asked, old)
        if fetch is None:
            self._fetch(asked, target, old, [asked])
        else:
            fetch.waiting.append(asked)
        return None

    def _fetch(self, asked: Asked, target: bytes | None, old: Entry | None, waiting: list[Asked]) -> None:
        fetch = self._fetches[asked.key] = Fetch(self, asked, target, old, self._generation, waiting)
        self._upstreams.ask(fetch, self._group_for(asked, target))

    def _group_for(self, asked: Asked, target: bytes | None) -> Group:
        place = asked.judged[2] if target is None else asked.policy.judged(target)[2]
        return self._group if place is None or not place.servers else self._upstreams.group(place.servers)

    def _hold(self, asked: Asked) -> bool:
        held = self._held.get(asked.client, 0)
        if held >= (OF_ONE if self._waiting < WAITING_AT_ONCE // 2 else OF_ONE_IN_A_CROWD):
            return False
        if self._waiting >= WAITING_AT_ONCE:
            return False
        self._held[asked.client] = held + 1
        self._waiting += 1
        return True

    def _let_go(self, asked: Asked) -> None:
        self._waiting -= 1
        held = self._held[asked.client] - 1
        if held:
            self._held[asked.client] = held
        else:
            del self._held[asked.client]

    def _refuse_more(self, asked: Asked, old: Entry | None) -> Made:
        self._full += 1
        if old is not None:
            return self._give_stale(asked, old)
        return Made(bare(asked.packet, asked.end, asked.shape, SERVFAIL, _FULL), note_of(asked), 0.0)

    # The end of a fetch

    def landed(self, fetch: Fetch, entry: Entry, server: str, now: float) -> None:
        """An answer has come for all who wait."""
        if entry.rcode not in (NOERROR, NXDOMAIN):
            entry.ttl = FAILED_SECONDS
        entry.expires = now + entry.ttl
        if fetch.generation == self._generation:
            self._fetches.pop(fetch.key, None)
            if entry.ttl:
                self._answers.put(fetch.key, entry)
        for asked in fetch.waiting:
            self._let_go(asked)
            asked.done(give(asked, self._world, entry, entry.ttl, 0.0, server, now - asked.began))

    def not_landed(self, fetch: Fetch, error: Ede, second_best: bytes | None, server: str) -> None:
        """Nobody answered, or only that they could not: old answers, or the failure itself."""
        self._failed += 1
        if fetch.old is not None:
            fetch.old.retry_at = self._now() + RETRY_SECONDS
            if fetch.generation == self._generation:
                self._fetches.pop(fetch.key, None)
            self.is_late(fetch)
            return
        rcode = SERVFAIL if second_best is None else second_best[3] & 15
        why = error if second_best is None else None
        self.landed(fetch, Entry(rcode, bytes(4), (b"",), FAILED_SECONDS, error=why), server, self._now())

    def is_late(self, fetch: Fetch) -> None:
        """Give out the old answer meanwhile."""
        if fetch.old is None:
            return
        waiting, fetch.waiting = fetch.waiting, []
        for asked in waiting:
            self._let_go(asked)
            asked.done(self._give_stale(asked, fetch.old))

    def _give_stale(self, asked: Asked, entry: Entry) -> Made:
        self._stale += 1
        code = EDE_STALE if entry.rcode == NOERROR else EDE_STALE_NXDOMAIN
        error = (code, "No name server answers at the moment")
        return give(asked, self._world, entry, STALE_TTL, 0.0, CACHE, 0.0, error)

    # Plugins

    def _ask_plugins(self, asked: Asked) -> Made | None:
        """What plugins say of a name is asked once for each policy and type."""
        policy = asked.policy
        key = asked.name + asked.packet[asked.end : asked.end + 2]
        if key in policy.spoken:
            return self._after_plugins(asked, policy.spoken[key])
        if not self._hold(asked):
            return self._refuse_more(asked, None)

        def said(words: str | None) -> None:
            self._let_go(asked)
            judged: Judged | None = None
            if words is not None and words.startswith("block"):
                rule = words.removeprefix("block").lstrip(": ")
                judged = (Decision(policy.stop, "plugin", "", rule), NO_RULE, asked.judged[2], None)
            if words is not None:  # nobody in time is no answer that holds for long
                if len(policy.spoken) >= SPOKEN:
                    policy.spoken.clear()
                policy.spoken[key] = judged
            made = self._after_plugins(asked, judged)
            if made is not None:
                asked.done(made)

        qtype = int.from_bytes(key[-2:], "big")
        self._reactor.verdict(to_text(asked.name), type_text(qtype), policy.profile, said)
        return None

    def _after_plugins(self, asked: Asked, judged: Judged | None) -> Made | None:
        if judged is None:
            return self._open(asked)
        asked.judged = judged
        if judged[0].verdict != "blocked":
            return self._open(asked)
        seconds = OWN_HELD if asked.plain else 0.0
        return blocked(asked.packet, asked.end, asked.shape, asked.policy, note_of(asked), seconds)

    # Health

    def _report(self) -> None:
        self._health(
            {
                "kind": "health",
                "upstreams": self._upstreams.reports(),
                "cache": {
                    "entries": len(self._answers), "hits": self._hits, "misses": self._misses, "stale": self._stale,
                    "failed": self._failed, "waiting": self._waiting,
                },
                "dropped": self._full,
            }
        )  # fmt: skip

    def _report_again(self) -> None:
        self._reactor.later(HEALTH_SECONDS, self._report_again)
        self._report()


class Fetch(Asking):
    """One question on its way to servers, and all who wait for its answer. ``old``: an answer that may be stale."""

    __slots__ = ("_limits", "_resolver", "_target", "generation", "key", "old", "waiting")

    def __init__(
        self, resolver: Resolver, asked: Asked, target: bytes | None, old: Entry | None, generation: int,
        waiting: list[Asked],
    ) -> None:  # fmt: skip
        end = asked.end
        name = asked.name if target is None else target
        Asking.__init__(self, name, asked.packet[end : end + 4], asked.shape & (CD | DO))
        self._resolver = resolver
        self._target = target
        self._limits = resolver.limits
        self.key = asked.key
        self.old = old
        self.has_old = old is not None
        self.generation = generation
        self.waiting = waiting

    def heard(self, message: bytes, server: Server, at: float) -> bool:
        """The answer, if it can be used."""
        start = HEADER + len(self.name) + 4
        try:
            if self._target is None:
                entry = digest(message, start, self.name, self.flags & DO, self._limits)
            else:
                entry = through(message, start, self._target, self._limits)
        except BadMessage:
            return False
        self._resolver.landed(self, entry, server.label, at)
        return True

    def gave_up(self, error: Ede, second_best: bytes | None, server: Server | None) -> None:
        """Nobody answered."""
        self._resolver.not_landed(self, error, second_best, "" if server is None else server.label)

    def late(self) -> None:
        """It takes long: whoever can do with an old answer gets it."""
        self._resolver.is_late(self)


def _servers_of(world: World) -> tuple[Any, ...]:
    return world.upstreams, sorted((name, zone.servers) for name, zone in world.zones.items())


__all__ = ["SILENCE", "Made", "Pieces", "Resolver"]
