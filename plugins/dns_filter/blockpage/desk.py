"""The desk where a blocked page is asked for: takes what is asked, keeps it, hands the answers out.

Nothing of what a child opened is kept but the name of the site; its path and what it looked for there are not even
looked at. What a child writes is sealed for those who can open captures before it touches the disk, and is taken over
TLS only. Who asked is known by device, never by person.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from statistics import median

from appliance.api import (
    Actor,
    Appliance,
    Keys,
    Permission,
    Refused,
    Role,
    Row,
    new_code,
    new_id,
    now,
    parse,
    plain_code,
    stamp,
)

from .others import Decided, Others
from .store import Asking, Decision, Store, Wanted
from .words import Told, told

PURPOSES = {
    "lesson": "I need it for a lesson",
    "homework": "I need it for homework",
    "mistake": "I think it is blocked by mistake",
    "other": "Something else",
}
LONGEST_WORDS = 400
LONGEST_REASON = 300
OF_ONE_DEVICE = 10
"""Sites that one device may ask for in an hour."""
MOST_OPEN = 500
MOST_ASKINGS = 10_000
AGAIN_AFTER = timedelta(hours=1)
"""Who presses the button ten times has asked once."""
REMEMBERED = timedelta(days=14)
"""How long a device sees an answer on the page about the site; the receipt shows it for as long as it is kept."""
REPORTED = timedelta(days=90)

_KIND = "asked for a page"
_VAULT = "captures"
_CODE_LETTERS = 12
"""Sixty bits."""


@dataclass(frozen=True, slots=True)
class Met:
    """What somebody met: the site, why it is blocked, and who it was, as far as that is known."""

    host: str
    told: Told
    decided: Decided | None
    asker: str
    profile: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """``words_kept``: false if something was written that nobody could have opened."""

    code: str
    words_kept: bool


@dataclass(frozen=True, slots=True)
class Pace:
    """How long decisions took, of those of the last 90 days, in seconds; and what waits."""

    decided: int
    median: float
    longest: float
    waiting: int
    oldest: str


class Desk:
    """``others``: the other rooms of the filter."""

    def __init__(self, appliance: Appliance, store: Store, others: Others, clock: Callable[[], datetime] = now) -> None:
        self._appliance = appliance
        self._store = store
        self._others = others
        self._now = clock

    # Whoever met a block

    def meet(self, host: str, address: str) -> Met:
        """Why this site is blocked for whoever asks from this address. Nothing is looked up for an exempt place."""
        if self._appliance.exempt.matches(host) is not None:
            return Met(host, Told("open", ""), None, "", "")
        decided = self._others.why(host, address)
        asker = self._others.device_of(address) or address
        return Met(host, told(decided, self._others), decided, asker, self._others.profile_of(address))

    async def meet_there(self, host: str, address: str) -> Met:
        """As ``meet``, for somebody who was led here: a name that is open itself leads to what is not."""
        met = self.meet(host, address)
        if met.decided is None or met.decided.verdict != "allowed":
            return met
        led = await self._others.led(host, address)
        return met if led is None else replace(met, told=told(led, self._others), decided=led)

    def is_blocked(self, host: str, address: str) -> bool:
        """For the second authority: whether a page about this site may be shown to this address."""
        return self.meet(host, address).told.kind in {"blocked", "law"}

    async def earlier(self, met: Met) -> Row | None:
        """What this device asked for and heard about this site before."""
        if not met.asker:
            return None
        return await self._store.of_device(met.asker, met.host, self._now() - REMEMBERED)

    async def ask(self, met: Met, purpose: str, words: str = "") -> Receipt:
        """Ask for a site. Raises ``Refused`` if that cannot be done, in a child's words."""
        if not met.told.may_ask or met.decided is None:
            raise Refused("Nobody can be asked for this page.", "If you think that is wrong, tell a member of staff.")
        at, code, asking = self._now(), new_code(_CODE_LETTERS), new_id()
        written = words.strip()[:LONGEST_WORDS]
        sealed = await self._sealed(asking, written)
        wanted = Wanted(met.host, met.profile, met.decided.why, _named(met.decided), met.decided.category)
        async with self._appliance.records.transaction() as tx:
            busy = await self._store.how_busy(tx, met.asker, at - AGAIN_AFTER)
            open_one = await self._store.open_request(tx, met.host, met.profile)
            before = await self._store.asked_at(tx, open_one["id"], met.asker) if open_one is not None else ""
            if not before and busy.own >= OF_ONE_DEVICE:
                raise Refused("You have asked for a lot of pages.", "Try again in an hour, or tell a member of staff.")
            if busy.askings >= MOST_ASKINGS or (open_one is None and busy.open >= MOST_OPEN):
                raise Refused("Too many pages are being asked for right now.", "Please tell a member of staff.")
            request = open_one["id"] if open_one is not None else await self._store.begin(tx, wanted, at)
            if not before or parse(before) < at - AGAIN_AFTER:
                await self._store.count(tx, request, at)
            await self._store.ask(tx, request, Asking(asking, met.asker, purpose, _hash(code), sealed), at)
            if not busy.open:
                await self._appliance.notices.tell(
                    tx,
                    words="Somebody asks for a site that the web filter blocks.",
                    kind=_KIND,
                    link="/dns_filter/requests",
                    roles=(Role.IT,),
                )
        return Receipt(code, not written or sealed is not None)

    async def _sealed(self, asking: str, words: str) -> bytes | None:
        """``None`` if nothing was written, or if nobody could ever open it."""
        if not words or not self._appliance.vaults.can_be_opened(_VAULT):
            return None
        return await self._appliance.vaults.seal(_VAULT, asking, _KIND, words.encode())

    async def receipt(self, code: str) -> Row | None:
        """What became of what was asked for with this code."""
        return await self._store.by_code(_hash(code)) if code else None

    def is_over(self, row: Row | None) -> bool:
        """Whether it was opened and is not any more: its last day is over, or somebody has taken it back."""
        return row is not None and row["state"] == "allowed" and not self._others.is_in_force(row["entry"])

    # Whoever decides

    async def decide(
        self,
        actor: Actor,
        request: str,
        choice: str,
        reason: str,
        answer: str,
        until: datetime | None = None,
    ) -> str:
        """Open the site or keep it blocked; returns its host. Raises ``Refused`` with what is missing.

        ``choice``: ``profile`` (open it for the profile it was asked from), ``everybody``, which answers whoever asked
        for it from another profile too, or ``keep``.
        """
        if not actor.may(Permission.CHOOSE_SITES):
            raise Refused("Your sign-in does not allow this.", "Ask whoever looks after the accounts.")
        at = self._now()
        async with self._appliance.records.transaction() as tx:
            row = await self._store.waiting_one(tx, request)
            if row is None:
                raise Refused("Somebody has decided this already.", "Go back to the list.")
            host, entry, everybody = str(row["host"]), "", choice == "everybody"
            if choice != "keep":
                if row["why"] == "entry" and (domain := self._others.blocked_for_some(host)):
                    raise Refused(
                        f"An entry for one group, room, device or person blocks {domain}. It would go on doing so.",
                        "Undo it first, under “Allowed and blocked”.",
                    )
                profile = "" if everybody else row["profile"]
                entry = await self._others.allow(tx, actor, host, profile, f"Asked for: {reason}", until)
            state = "kept" if choice == "keep" else "allowed"
            decision = Decision(state, actor.name, reason, answer, until, entry)
            await self._store.decide(tx, request, host if everybody else "", decision, at)
            detail = {
                "reason": reason,
                "profile": "all profiles" if everybody else row["profile"],
                "until": stamp(until) if until else "",
            }
            action = "kept a site blocked" if choice == "keep" else "opened a site that was asked for"
            await self._appliance.audit.record(tx, actor.name, action, f"site {host}", detail)
        return host

    async def words(self, actor: Actor, keys: Keys, askings: Sequence[Row]) -> dict[str, str]:
        """What was written, by the id of the asking, for whoever can open captures; reading it is recorded."""
        sealed = [row for row in askings if row["words"] is not None]
        if not sealed or not actor.may(Permission.SEE_CAPTURES):
            return {}
        try:
            found = {row["id"]: self._appliance.vaults.open(keys, row["words"], row["id"]).decode() for row in sealed}
        except Refused:
            return {}
        async with self._appliance.records.transaction() as tx:
            subject = f"request {sealed[0]['request']}"
            await self._appliance.audit.record(tx, actor.name, "read what somebody asked for", subject)
        return found

    async def pace(self) -> Pace:
        """How quickly decisions are made."""
        spans = await self._store.spans(self._now() - REPORTED)
        seconds = [(parse(end) - parse(begin)).total_seconds() for begin, end in spans]
        waiting, oldest = await self._store.open_ones()
        middle, longest = (median(seconds), max(seconds)) if seconds else (0.0, 0.0)
        return Pace(len(seconds), middle, longest, waiting, oldest)

    async def forget(self, keep_days: int) -> None:
        """Delete what was decided so many days ago."""
        async with self._appliance.records.transaction() as tx:
            await self._store.forget(tx, self._now() - timedelta(days=keep_days))


def lasted(seconds: float) -> str:
    """A span in words: ``20 minutes``, ``3 hours``, ``2 days``."""
    for size, name in ((86400, "day"), (3600, "hour")):
        if seconds >= size * 2 - size / 2:
            return _number(round(seconds / size), name)
    return _number(max(1, round(seconds / 60)), "minute")


def _number(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}"


def _named(decided: Decided) -> str:
    """The list, or the service, that blocked it."""
    return decided.rule if decided.why == "service" else decided.list


def _hash(code: str) -> str:
    return hashlib.sha256(plain_code(code).encode()).hexdigest()
