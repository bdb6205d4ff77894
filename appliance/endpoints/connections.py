"""Browsers that are connected now: who is there, what each is told, and what is known of it at this moment.

What happens on one connection is in ``serve``, from the challenge to the last frame. Beside it one task looks every few
seconds whether what a browser must know has changed (who is on the device, whether that person is monitored, what
plugins look for) and sends it. To ask every plugin about two thousand browsers that often would keep a small box busy:
of those that are monitored, and of those that are not, one is asked about each time, and all of them at once if the
answer about that one has changed; otherwise each in its turn.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import secrets
import sqlite3
import time
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from appliance.clock import now, stamp
from appliance.endpoints.enrolment import Endpoint, Enrolment, Seen, Whereabouts
from appliance.endpoints.messages import NONCE_BYTES, Alive, Hello, Malformed, Whole, challenge, read_hello, read_later
from appliance.endpoints.pace import Pace, Paces
from appliance.endpoints.policies import Policies
from appliance.errors import ApplianceError, StoreError
from appliance.monitoring.switching import Monitored, Monitoring
from appliance.observations import EndpointDevice
from appliance.people.directory import Directory
from appliance.people.names import account_name
from appliance.plugins import Plugins
from appliance.trust import PERMITTED_NETWORKS

HANDSHAKE_SECONDS = 10.0
QUIET_SECONDS = 75.0
"""A browser gives a sign of life every 20 seconds; one that is silent for longer than this is gone."""
LOOK_SECONDS = 3.0
LATE_SECONDS = 60.0
"""After so long without a good look something is broken: browsers are not told what changes."""
TURNS = 10
"""In how many looks plugins are asked about every browser, if nothing tells that it must be sooner."""
SEND_SECONDS = 5.0
NOTE_SECONDS = 60.0
"""How often it is kept who was seen."""
SLICE = 50
"""How many browsers are looked at before other work goes on."""
MOST_GREETINGS, GREETINGS_OF_ONE = 500, 50
"""Connections that have not proved who they are, in all and from one address: a greeting takes no time.

A restart of the box brings a whole school at once; who finds no place comes again by itself.
"""
ADDRESS_RATE, ADDRESS_BURST = 50.0, 2500
"""Connections from one address: a school may stand behind one."""
MESSAGE_RATE, MESSAGE_BURST = 20.0, 200
POLICY_ERROR, GOING_AWAY, TRY_LATER, NORMAL = 1008, 1001, 1013, 1000
"""Codes of RFC 6455 section 7.4.1, and 1013 of its registry."""

BY_PROFILE, BY_DEVICE, UNKNOWN = "browser profile", "assigned to the device", "nobody known"
"""How we know who is on a device. An account that is nobody's is somebody unknown, never the one whose device it is."""
CLAIMS: Mapping[str, str] = {
    BY_PROFILE: "by the account that the browser is signed in with",
    BY_DEVICE: "it is this person’s device, and the browser is signed in with no account",
    UNKNOWN: "nobody who is known",
    "": "not known yet",
}

TOO_SOON = 60
TURNED_AWAY = 3600
"""Seconds after which a browser that was not let in may try again."""
_SIGNATURE = "This browser could not prove who it is."
_ADDRESS = "This browser is not in the school’s network."

FAILURES = (ApplianceError, OSError, sqlite3.Error, ValueError, LookupError, TypeError)
"""What may go wrong in one look or one note: the next one comes all the same."""

log = logging.getLogger(__name__)


class Gone(Exception):
    """The other side has closed the connection, or it broke."""


class Wire(Protocol):
    """One WebSocket. ``host``: the box as the browser called it; ``address``: where the browser is."""

    host: str
    address: str

    async def receive(self) -> str | bytes:
        """The next frame. Raises ``Gone``."""

    async def send(self, text: str) -> None:
        """Send a text frame. Raises ``Gone``."""

    async def close(self, code: int, words: str = "") -> None:
        """Say goodbye; nothing happens if it is closed already."""

    def trust(self) -> None:
        """From now on frames may be as large as observations are."""


class Takes(Protocol):
    """What observations are handed to."""

    async def take(self, connection: Connection, frame: bytes) -> Mapping[str, Any]:
        """What to answer to a frame."""


@dataclass(frozen=True, slots=True)
class No:
    """Why a browser is not let in. ``final``: IT has decided so; anything else passes, or is put right elsewhere."""

    words: str
    final: bool = False

    @property
    def seconds(self) -> int:
        """After how many seconds it may try again."""
        return TURNED_AWAY if self.final else TOO_SOON


_DECIDED: Mapping[str, No] = {
    "refused": No("IT did not let this browser in.", final=True),
    "revoked": No("IT took this browser out.", final=True),
}


@dataclass(frozen=True, slots=True)
class Who:
    """Somebody on a device, and how we know (``CLAIMS``)."""

    person: str | None
    claim: str


NOBODY_YET = Who(None, "")
NOT_YET = Monitored(False, "it is not known yet who is there")


@dataclass(eq=False)
class Connection:
    """One browser that has proved who it is. Nobody else holds its ``endpoint`` at the same time."""

    wire: Wire
    endpoint: Endpoint
    profile: str
    version: str
    queued: int
    dropped: int
    clock_offset: float = 0.0
    """Seconds that this box's clock is ahead of the browser's, where it has said what its clock shows."""
    welcomed: bool = False
    who: Who = NOBODY_YET
    monitored: Monitored = NOT_YET
    asked: Mapping[str, Any] | None = None
    key: str = ""
    """Its public key, as it says it."""
    policy_version: str = ""
    """What it has."""
    policy_serial: int = 0
    """The highest number that one of its policies had: a lower one is refused."""
    sending: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One policy at a time, so that the newest comes last."""
    changed: bool = True
    """Whether something is to be kept at the next opportunity."""
    messages: Pace = field(default_factory=lambda: Pace(MESSAGE_RATE, MESSAGE_BURST))
    observations: Pace | None = None
    sent: Mapping[str, Any] | None = None

    @property
    def is_current(self) -> bool:
        """Whether it has been told what it is to know now."""
        return self.asked is not None and self.sent is self.asked


Common = Callable[[], Mapping[str, Any]]
"""What every browser is told alike: ``intake``, ``exempt``, ``own``."""


class Connections:
    """All of them. ``start`` before use, ``stop`` at the end."""

    def __init__(
        self,
        enrolment: Enrolment,
        directory: Directory,
        monitoring: Monitoring,
        plugins: Plugins,
        networks: Collection[ipaddress.IPv4Network | ipaddress.IPv6Network],
        intake: Takes,
        common: Common,
        newest: Callable[[], str],
        closing: Callable[[], Coroutine[Any, Any, None]],
        sign: Callable[[bytes], bytes],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``networks``: the school's, beside private ones. ``newest``: the version of the extension that is given out.

        ``closing`` returns when the appliance stops. ``sign``: policies, with the key of the extension.
        """
        self._enrolment = enrolment
        self._directory = directory
        self._monitoring = monitoring
        self._plugins = plugins
        self._networks = (*PERMITTED_NETWORKS, *networks)
        self._intake = intake
        self._common = common
        self._newest = newest
        self._closing = closing
        self._clock = clock
        self._live: dict[str, Connection] = {}
        self._left: dict[str, Seen] = {}
        self._wires: set[Wire] = set()
        self._greetings: dict[Wire, asyncio.Timeout] = {}
        """Those under way, the oldest first."""
        self._paces = Paces(ADDRESS_RATE, ADDRESS_BURST)
        self._where = Whereabouts({}, {})
        self._directory_changes = -1
        self._learning = asyncio.Lock()
        self._policies = Policies(sign)
        self._wake = asyncio.Event()
        self._turn = 0
        self._everybody = False
        self._task: asyncio.Task[None] | None = None
        self._goodbye: asyncio.Task[None] | None = None
        self._works: set[asyncio.Task[None]] = set()
        self._watchers: list[Callable[[], None]] = []
        self._noted_at = 0.0
        self._looked_at = 0.0
        enrolment.decided = self._decided

    async def start(self) -> None:
        """Learn who is known, and begin to look for changes."""
        await self.learn()
        self._noted_at = self._looked_at = self._clock()
        self._begin_to_look()
        self._goodbye = asyncio.create_task(self._say_goodbye(), name="goodbye to browsers")

    async def _say_goodbye(self) -> None:
        """When the appliance stops, tell everybody at once; they come back by themselves."""
        await self._closing()
        for wire in tuple(self._wires):
            self._work(wire, wire.close(GOING_AWAY, "the appliance stops"))

    async def stop(self) -> None:
        """End what is open, and keep who was seen."""
        if self._task is None:
            return
        tasks = [task for task in (self._task, self._goodbye, *self._works) if task is not None]
        self._task = self._goodbye = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in tuple(self._live.values()):
            self._leave(connection)
        try:
            await self.keep_what_was_seen()
        except FAILURES as error:
            log.warning("It was not kept which browsers were seen last: %s", type(error).__name__)

    # For pages and plugins

    @property
    def count(self) -> int:
        """How many browsers that were let in are connected."""
        return sum(connection.welcomed for connection in self._live.values())

    @property
    def is_late(self) -> bool:
        """Whether browsers have not been brought up to date for too long."""
        return self._clock() - self._looked_at > LATE_SECONDS

    def when_changed(self, watcher: Callable[[], None]) -> None:
        """Call ``watcher`` whenever a browser comes or goes, or somebody else is on one. It must return at once."""
        self._watchers.append(watcher)

    def _tell_watchers(self) -> None:
        for watcher in self._watchers:
            watcher()

    def all(self) -> list[Connection]:
        """Every browser that was let in and is connected."""
        return [one for one in self._live.values() if one.welcomed]

    def holder(self, device: str) -> str | None:
        """The person who has a device, as far as the directory says so."""
        return self._where.devices.get(device)

    def of(self, endpoint: str) -> Connection | None:
        """The connection of a browser; ``None`` if it is not connected or was not let in."""
        connection = self._live.get(endpoint)
        return connection if connection is not None and connection.welcomed else None

    def by_device(self) -> dict[str, list[Connection]]:
        """The connections of each device's browsers."""
        found: dict[str, list[Connection]] = {}
        for one in self._live.values():
            if one.welcomed and one.endpoint.device is not None:
                found.setdefault(one.endpoint.device, []).append(one)
        return found

    def is_from_school(self, address: str) -> bool:
        """Whether an address belongs to the school: a private one, or one of the networks in the settings."""
        try:
            client = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        plain = getattr(client, "ipv4_mapped", None) or client
        return any(plain in network for network in self._networks)

    def has_room(self, address: str) -> bool:
        """Whether one more connection from this address may begin."""
        return len(self._greetings_of(address)) < GREETINGS_OF_ONE and self._paces.take(address)

    def _greetings_of(self, address: str) -> list[Wire]:
        return [wire for wire in self._greetings if wire.address == address]

    def _make_room(self, address: str) -> None:
        """For one more greeting: the oldest one of whoever has most ends, so that nobody holds all places."""
        if len(self._greetings_of(address)) >= GREETINGS_OF_ONE:
            self._end_greeting(address)
        elif len(self._greetings) >= MOST_GREETINGS:
            numbers = Counter(wire.address for wire in self._greetings)
            self._end_greeting(max(numbers, key=numbers.__getitem__))

    def _end_greeting(self, address: str) -> None:
        limit = self._greetings.pop(self._greetings_of(address)[0])
        if not limit.expired():
            limit.reschedule(0.0)

    # One connection

    async def serve(self, wire: Wire) -> None:
        """Everything on one connection, until it ends."""
        connection = None
        self._wires.add(wire)
        try:
            connection = await self._greet(wire)
            if connection is not None:
                await self._talk(connection)
        except Malformed as error:
            await wire.close(POLICY_ERROR, error.what)
        except TimeoutError:
            await wire.close(POLICY_ERROR, "too slow")
        except ApplianceError:
            await wire.close(TRY_LATER, "not at this moment")
        except Gone:
            pass
        finally:
            self._wires.discard(wire)
            if connection is not None:
                self._leave(connection)

    async def _greet(self, wire: Wire) -> Connection | None:
        self._make_room(wire.address)
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS) as limit:
                self._greetings[wire] = limit
                nonce = secrets.token_bytes(NONCE_BYTES)
                await wire.send(_json(challenge(nonce, _milliseconds())))
                found = await self._answer_hello(wire, nonce)
                if found is None:  # the key is not known here: the browser says hello again, with its enrolment key
                    await wire.send(_json({"type": "unknown"}))
                    found = await self._answer_hello(wire, nonce)
                if isinstance(found, Connection):
                    return found
                await _turn_away(wire, found or No("This browser has no enrolment key in its policy."))
                return None
        finally:
            self._greetings.pop(wire, None)

    async def _answer_hello(self, wire: Wire, nonce: bytes) -> Connection | No | None:
        """The connection, or why there is none, or ``None`` for a key that is not known."""
        hello = read_hello(_text(await wire.receive()))
        if not self.is_from_school(wire.address):
            return No(_ADDRESS)
        if not hello.proves(wire.host, nonce):
            return No(_SIGNATURE)
        decisions = self._enrolment.decisions
        found = await self._enrolment.greet(hello, wire.address)
        if found is None:
            return None
        if isinstance(found, str):
            return No(found)
        if found.state in _DECIDED:
            return _DECIDED[found.state]
        connection = self._take_place(wire, found, hello)
        if self._enrolment.decisions != decisions:  # perhaps about this one, before it had its place here
            self._decided([found.id])
        return connection

    def _take_place(self, wire: Wire, endpoint: Endpoint, hello: Hello) -> Connection:
        """The newer of two connections with one key stays."""
        connection = Connection(wire, endpoint, hello.profile, hello.version, hello.queued, hello.dropped)
        connection.clock_offset = _offset(hello.time)
        connection.key = hello.spelled_key
        connection.policy_version, connection.policy_serial = hello.policy, hello.policy_serial
        before = self._live.get(endpoint.id)
        self._live[endpoint.id] = connection
        self._left.pop(endpoint.id, None)
        self._tell_watchers()
        if before is not None:
            self._work(before.wire, before.wire.close(NORMAL, "a newer connection has taken over"))
        return connection

    async def _talk(self, connection: Connection) -> None:
        await self._say_where_it_stands(connection)
        while True:
            async with asyncio.timeout(QUIET_SECONDS):
                frame = await connection.wire.receive()
            if self._live.get(connection.endpoint.id) is not connection:
                return  # another connection has taken over, or it was taken out
            if not connection.messages.take():
                raise Malformed("too many messages")
            if isinstance(frame, str):
                await self._take_words(connection, read_later(frame))
            elif connection.welcomed:
                connection.changed = True
                await connection.wire.send(_json(await self._intake.take(connection, frame)))
            else:
                raise Malformed("it was not let in yet")

    async def _say_where_it_stands(self, connection: Connection) -> None:
        if connection.endpoint.state == "approved":
            await self._welcome(connection)
        else:
            await connection.wire.send(_json({"type": "waiting"}))

    async def _welcome(self, connection: Connection) -> None:
        if connection.welcomed:
            return
        connection.welcomed = True
        connection.wire.trust()
        name = await self._enrolment.device_name(connection.endpoint.device)
        await connection.wire.send(_json({"type": "welcome", "name": name}))
        await self._bring_up_to_date(connection)
        if connection.version != self._newest():
            await connection.wire.send(_json({"type": "update"}))

    async def _take_words(self, connection: Connection, said: Alive | Whole) -> None:
        if isinstance(said, Alive):
            await self._take_alive(connection, said)
        elif connection.welcomed:  # what has changed did not fit what it has
            connection.policy_version = ""
            await self._send_policy(connection)

    async def _take_alive(self, connection: Connection, alive: Alive) -> None:
        other = alive.profile != connection.profile
        connection.profile, connection.queued, connection.dropped = alive.profile, alive.queued, alive.dropped
        if alive.time is not None:
            connection.clock_offset = _offset(alive.time)
        connection.changed = True
        await connection.wire.send(_json({"type": "alive", "time": _milliseconds()}))
        if other and connection.welcomed:
            await self._bring_up_to_date(connection)

    def _leave(self, connection: Connection) -> None:
        if self._live.get(connection.endpoint.id) is connection:
            del self._live[connection.endpoint.id]
            self._left[connection.endpoint.id] = _seen(connection)
            self._tell_watchers()

    # Decisions

    def _decided(self, endpoints: Collection[str]) -> None:
        for endpoint in endpoints:
            connection = self._live.get(endpoint)
            if connection is not None:
                self._work(connection.wire, self._follow(connection))

    async def _follow(self, connection: Connection) -> None:
        """Do on a connection what was decided about it."""
        found = await self._enrolment.state(connection.endpoint.id)
        if found is None or self._live.get(connection.endpoint.id) is not connection:
            return
        connection.endpoint = found
        self._tell_watchers()  # another device may be named now
        if found.state == "approved":
            await self._welcome(connection)
        elif found.state in _DECIDED:
            self._leave(connection)
            await _turn_away(connection.wire, _DECIDED[found.state])

    def _work(self, wire: Wire, work: Coroutine[Any, Any, None]) -> None:
        """Do something on a connection without making anybody wait for it; one that does not take it is closed."""

        async def limited() -> None:
            with suppress(Gone):
                try:
                    async with asyncio.timeout(SEND_SECONDS):
                        await work
                except (TimeoutError, StoreError):
                    await wire.close(TRY_LATER, "not at this moment")

        task = asyncio.create_task(limited())
        self._works.add(task)
        task.add_done_callback(self._works.discard)

    # What each is to know

    def look_soon(self) -> None:
        """Something has changed: ask plugins about every browser at once."""
        self._everybody = True
        self._wake.set()

    def _begin_to_look(self) -> None:
        self._task = asyncio.create_task(self._keep_up(), name="policies of browsers")
        self._task.add_done_callback(self._look_again)

    def _look_again(self, ended: asyncio.Task[None]) -> None:
        """Whatever ended it: browsers must hear what changes for as long as they are here."""
        if ended is self._task and not ended.cancelled():
            log.error("Bringing browsers up to date has ended and begins again: %s", _where(ended.exception()))
            self._begin_to_look()

    async def _keep_up(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self._look()
            except FAILURES as error:
                log.warning("Browsers are not brought up to date at this moment: %s", type(error).__name__)
            else:
                self._looked_at = self._clock()

    async def _look(self) -> None:
        await self._enrolment.say_what_changed()
        await self.learn()
        self._turn = (self._turn + 1) % TURNS
        all_of_them = [one for one in self._live.values() if one.welcomed]
        everybody = self._everybody or await self._any_answer_has_changed(all_of_them)
        self._everybody = False
        for number, connection in enumerate(all_of_them):
            if await self._is_out_of_date(connection, everybody or number % TURNS == self._turn):
                self._work(connection.wire, self._send_policy(connection))
            if number % SLICE == 0:
                await asyncio.sleep(0)
        if self._clock() - self._noted_at >= NOTE_SECONDS:
            self._noted_at = self._clock()  # if it cannot be kept now, in a minute
            await self.keep_what_was_seen()

    async def learn(self) -> None:
        """Read who is known where, if the directory has changed since the last time. Before ``who_is``."""
        async with self._learning:
            changes = self._directory.changes
            if changes != self._directory_changes:
                self._where = await self._enrolment.whereabouts()
                self._directory_changes = changes

    def who_is(self, connection: Connection, profile: str | None = None) -> Who:
        """Who is on a device, the strongest claim first. ``profile``: the account at that time (default: now)."""
        account = connection.profile if profile is None else profile
        if account:
            person = self._where.accounts.get(account_name(account))
            return Who(person, BY_PROFILE if person is not None else UNKNOWN)
        person = self._where.devices.get(connection.endpoint.device or "")
        return Who(person, BY_DEVICE if person is not None else UNKNOWN)

    def monitored(self, person: str | None, device: str | None, at: datetime | None = None) -> Monitored:
        """Whether what is done on a device counts (default: now); ``person``: who is there, as far as it is known.

        Signing a browser in to an account that nobody has makes somebody unknown, and ends no monitoring: then it is
        as if the one whose device it is were there.
        """
        found = self._monitoring.is_monitored(person, device, at)
        holder = self._where.devices.get(device or "")
        if found.on or person is not None or holder is None:
            return found
        of_holder = self._monitoring.is_monitored(holder, device, at)
        return of_holder if of_holder.on else found

    async def _any_answer_has_changed(self, all_of_them: Sequence[Connection]) -> bool:
        """Ask plugins about one browser that is monitored and one that is not."""
        examples = {one.monitored.on: one for one in all_of_them if one.asked is not None}
        return any([await self._ask_plugins(one) != (one.asked or {})["plugins"] for one in examples.values()])

    async def _ask_plugins(self, connection: Connection) -> Mapping[str, Any]:
        endpoint, on = connection.endpoint, connection.monitored.on
        device = EndpointDevice(endpoint.id, endpoint.device, connection.who.person, on)
        return await self._plugins.endpoint_policies(device)

    async def _is_out_of_date(self, connection: Connection, ask: bool = True) -> bool:
        """Find out who is there and what that browser must know; whether it is something else than before.

        ``ask``: whether plugins are asked even if it is the same person, monitored as before.
        """
        who, before = self.who_is(connection), connection.monitored.on
        other = who != connection.who or connection.asked is None
        connection.changed |= other
        connection.who = who
        if other:
            self._tell_watchers()
        connection.monitored = self.monitored(who.person, connection.endpoint.device)
        common = self._common()
        if ask or other or connection.monitored.on != before or connection.asked is None:
            plugins = await self._ask_plugins(connection)
        else:
            plugins = connection.asked["plugins"]
        wanted = {"monitored": connection.monitored.on, **common, "plugins": plugins}
        if connection.asked == wanted:  # quick where plugins answer with what they have in memory
            return False
        connection.asked = wanted
        return True

    async def _bring_up_to_date(self, connection: Connection) -> None:
        await self.learn()
        if await self._is_out_of_date(connection):
            await self._send_policy(connection)

    async def _send_policy(self, connection: Connection) -> None:
        if connection.asked is None:
            return
        async with connection.sending:
            asked = connection.asked
            policy = self._policies.of(asked)
            if policy.version != connection.policy_version:
                connection.policy_serial = max(_milliseconds(), connection.policy_serial + 1)
                known, serial = connection.policy_version, connection.policy_serial
                text = self._policies.message(policy, browser=connection.key, serial=serial, known=known)
                await connection.wire.send(text)
                connection.policy_version = policy.version
                connection.changed = True
            connection.sent = asked

    # Who was seen

    async def keep_what_was_seen(self) -> None:
        """Keep who is there, and when it was seen last; by itself every minute."""
        changed = [one for one in self._live.values() if one.changed]
        left, self._left = self._left, {}
        seen = {**left, **{one.endpoint.id: _seen(one) for one in changed}}
        for connection in changed:
            connection.changed = False  # what changes while this is written counts for the next time
        if not seen:
            return
        try:
            await self._enrolment.note_seen(list(seen.values()))
        except BaseException:
            for connection in changed:
                connection.changed = True
            gone = {one.endpoint.id: seen[one.endpoint.id] for one in changed if one.endpoint.id not in self._live}
            self._left = {**left, **gone, **self._left}
            for endpoint in self._left.keys() & self._live.keys():
                del self._left[endpoint]
            raise


def _seen(connection: Connection) -> Seen:
    return Seen(
        endpoint=connection.endpoint.id,
        at=stamp(),
        person=connection.who.person,
        claim=connection.who.claim,
        profile=connection.profile,
        policy_version=connection.policy_version,
        queued=connection.queued,
        dropped=connection.dropped,
    )


def _where(error: BaseException | None) -> str:
    """What kind of error it was and where, without its words: they may hold what somebody wrote."""
    places = traceback.extract_tb(error.__traceback__) if error is not None else []
    return f"{type(error).__name__}" + (f" in {places[-1].name}, line {places[-1].lineno}" if places else "")


def _text(frame: str | bytes) -> str:
    if isinstance(frame, bytes):
        raise Malformed("it must say hello first")
    return frame


def _json(message: Mapping[str, Any]) -> str:
    return json.dumps(message, separators=(",", ":"))


def _milliseconds() -> int:
    return int(now().timestamp() * 1000)


def _offset(milliseconds: int | None) -> float:
    """How far our clock is ahead of one that shows this, in seconds; 0 if it is not known."""
    return now().timestamp() - milliseconds / 1000 if milliseconds is not None else 0.0


async def _turn_away(wire: Wire, no: No) -> None:
    final = {"final": True} if no.final else {}
    await wire.send(_json({"type": "refused", "words": no.words, "seconds": no.seconds, **final}))
    await wire.close(NORMAL, "not let in")
