"""Alerts: what a responsible adult must look at, brought to the next one if nobody takes it in time.

An alert about a capture is one piece of work with it: whoever gives the capture a status has the alert in hand. What
comes while nobody has taken it yet, of the same category and about the same person, is added to it and calls nobody
anew: one pupil, or the script of a page, must not drown what others need. No alert says anything about a pupil; what it
is about is on the pages of its captures, for those who may open them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

from appliance.access import Actor, Condition, Role, captured, require, viewers
from appliance.alerts.presenting import Presenting
from appliance.audit import Audit
from appliance.bus import Bus
from appliance.clock import new_id, now, parse, stamp
from appliance.db import Database, Row, Transaction
from appliance.errors import Refused
from appliance.events import AlertRaised
from appliance.hookspecs import Check, Permission, State
from appliance.live import Live
from appliance.observations import Severity
from appliance.people.listing import Page, page_of

TOPIC = "appliance.alert"
Kind = Literal["capture", "test", "silence", "network"]
"""``network``: something on the school's network, noticed by a plugin, that concerns nobody's content."""
OF_THE_BOX: Collection[Kind] = ("silence", "network")
"""Kinds that are no work on a capture: brought to all who look after the box at once, closed by what opened them."""
ROUTE: Sequence[tuple[Role, ...]] = ((Role.LEAD,), (Role.DEPUTY,), (Role.HEAD,))
"""To whom an alert about a capture is brought, one step after the other."""
KEEPERS_OF_THE_BOX = (Role.LEAD, Role.DEPUTY, Role.IT)
"""To whom silence and what happens on the network is brought, all at once."""
_ITSELF = "the appliance"
_WAITS = "alert.closed_at IS NULL AND alert.acknowledged_at IS NULL"
_FIRST = "(SELECT capture_id FROM alert_captures WHERE alert_id = alert.id ORDER BY number LIMIT 1)"
_WITH_CAPTURE = f"alerts alert LEFT JOIN captures capture ON capture.id = {_FIRST}"
"""The first of its captures stands for all: they are about the same person, or of the same device."""
_UNTAKEN = f"SELECT alert.id, alert.kind, capture.person_id FROM {_WITH_CAPTURE} WHERE {_WAITS}"  # noqa: S608
REFRESH_TRIES = 5
OUTSIDE_SCHOOL = timedelta(hours=1)
"""Outside school hours an alert that has been brought to everybody once goes on no oftener than this."""
TESTS_TOGETHER = timedelta(minutes=1)
"""A test that comes again within this time, as when a phrase is typed and then searched for, is the same test."""
NOTED_EACH, NOTED_EVERY = 20, 100
"""The first so many captures of an alert are each noted in what happened to it, later ones by the hundred."""
LISTED_MOST = 100
_CAPTURES = "(SELECT count(*) FROM alert_captures WHERE alert_id = alert.id)"
_COLUMNS = f"alert.*, {_FIRST} AS capture_id, {_CAPTURES} AS captures"
_SAME_PLACE = "(capture.device_id = ? OR capture.device_id IS NULL AND ? IS NULL AND capture.endpoint = ?)"


class Alerts:
    """``clock`` tells what time it is, ``monotonic`` how long something has waited, whatever is done to the clock.

    ``in_school``: whether the school is in at a moment.
    """

    def __init__(
        self,
        records: Database,
        audit: Audit,
        bus: Bus,
        live: Live,
        escalate_minutes: int,
        clock: Callable[[], datetime] = now,
        monotonic: Callable[[], float] = time.monotonic,
        in_school: Callable[[datetime], bool] = lambda _: True,
    ) -> None:
        self._records = records
        self._audit = audit
        self._bus = bus
        self._live = live
        self._patience = timedelta(minutes=escalate_minutes)
        self._now = clock
        self._monotonic = monotonic
        self._in_school = in_school
        self._since: dict[tuple[str, int], float] = {}
        """Since when (monotonic) each alert waits at its step."""
        self._untaken: dict[str, frozenset[str]] = {}
        self._changes = 0
        self.presenting = Presenting(records, audit, clock)

    async def start(self) -> None:
        """Read how many wait for whom, and who is presenting."""
        await self.refresh()
        await self.presenting.start()

    # Opening

    async def open_within(
        self,
        tx: Transaction,
        *,
        kind: Kind,
        category: str,
        severity: Severity | None = None,
        capture: str | None = None,
        words: str = "",
    ) -> str:
        """Open an alert in the unit of work of what it is about, and bring it to the first who can take it.

        A capture is added to the alert about the same that nobody has taken yet, if there is one. Returns its id.
        """
        moment = stamp(self._now())
        if capture is not None:
            known = await _untaken_about_the_same(tx, kind, category, capture, self._now())
            if known is not None:
                await self._add(tx, known, capture, moment)
                return known
        alert = new_id()
        await tx.execute(
            "INSERT INTO alerts (id, kind, severity, category, words, opened_at, step_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (alert, kind, severity or "", category, words, moment, moment),
        )
        if capture is not None:
            await tx.execute("INSERT INTO alert_captures VALUES (?, 1, ?, ?)", (alert, capture, moment))
        await _step(tx, alert, moment, "opened", words=words)
        detail = {"kind": kind, **({"about": f"capture {capture}"} if capture else {"about": category})}
        await self._audit.record(tx, _ITSELF, "opened an alert", f"alert {alert}", detail)
        row = await _row(tx, alert)
        may_see = await _who_may_see(tx, row)
        await self._bring(tx, row, 0, may_see)
        self._announce(tx, row, [one["id"] for one in may_see])
        self._remember(tx, alert, frozenset(one["id"] for one in may_see))
        return alert

    async def _add(self, tx: Transaction, alert: str, capture: str, moment: str) -> None:
        """Put a further capture to an alert that waits already."""
        await tx.execute(
            "INSERT INTO alert_captures SELECT ?, max(number) + 1, ?, ? FROM alert_captures WHERE alert_id = ?",
            (alert, capture, moment, alert),
        )
        number = await _number_of_captures(tx, alert)
        if number <= NOTED_EACH or number % NOTED_EVERY == 0:
            await _step(tx, alert, moment, "changed", words=f"A further capture was added: {number} captures now.")
        detail = {"about": f"capture {capture}"}
        await self._audit.record(tx, _ITSELF, "added a capture to an alert", f"alert {alert}", detail)

    async def _bring(self, tx: Transaction, alert: Row, step: int, may_see: Sequence[Row]) -> Sequence[Row]:
        """Bring an alert to the next on its route who can take it, and at the end of the route to the first again.

        Where nobody on the route may see it, everybody is told who may. Returns who was told.
        """
        rows = await tx.fetch("SELECT account_id, step FROM alert_accounts WHERE alert_id = ?", (alert["id"],))
        told_before = {row["account_id"] for row in rows if row["step"] >= alert["round_step"]}
        route, round_step = _route_of(alert["kind"]), alert["round_step"]
        told = _next_on_route(route, [one for one in may_see if one["id"] not in told_before])
        if not told:
            round_step, told_before = step, set()
            told = _next_on_route(route, may_see) or list(may_see)
        moment = stamp(self._now())
        if told:
            await tx.executemany(
                "INSERT INTO alert_accounts VALUES (?, ?, ?, ?)",
                [(alert["id"], one["id"], step, moment) for one in told],
            )
            await _step(tx, alert["id"], moment, "told", names=[one["name"] for one in told])
        elif step == 0 or alert["step"] in {row["step"] for row in rows}:  # said once; whether there is, is asked again
            await _step(tx, alert["id"], moment, "nobody")
        if told or step == 0:
            await self._bus.publish(tx, await _event(tx, alert, step, [one["id"] for one in told], may_see))
        told_now = told_before | {one["id"] for one in told}
        is_at_end = bool(told) and not _next_on_route(route, [one for one in may_see if one["id"] not in told_now])
        # A test needs nobody's answer, and what is of the box was brought to everybody at once.
        await tx.execute(
            "UPDATE alerts SET step = ?, step_at = ?, round_step = ?, been_round = max(been_round, ?), route_done = ?"
            " WHERE id = ?",
            (step, moment, round_step, int(is_at_end), int(alert["kind"] != "capture"), alert["id"]),
        )
        return told

    def _announce(self, tx: Transaction, alert: Row, accounts: Sequence[str], *, again: bool = False) -> None:
        """Let open pages show that there is an alert, in locked browsers too: it says nothing about anybody."""
        message = message_of(alert, again=again)
        tx.after_commit.append(lambda: self._tell_pages(message, accounts))

    def _tell_pages(self, message: Mapping[str, str], accounts: Collection[str]) -> None:
        self._live.publish(TOPIC, message, Permission.SIGNED_IN, self.presenting.disturbable(accounts))

    # Going on

    async def escalate(self) -> None:
        """Bring what nobody has taken in time to the next (a job, every few seconds)."""
        rows = await self._records.fetch(
            f"SELECT alert.* FROM alerts alert WHERE {_WAITS} AND alert.route_done = 0 ORDER BY alert.opened_at"  # noqa: S608
        )
        waiting = {(row["id"], row["step"]): row for row in rows}
        known = self._since
        self._since = {key: known[key] if key in known else self._waits_since(row) for key, row in waiting.items()}
        for key, row in waiting.items():
            if self._monotonic() - self._since[key] >= self._patience_with(row).total_seconds():
                await self._go_on(row["id"], row["step"])
        for account in await self.presenting.over():
            if self.waiting(account):
                self._live.publish(TOPIC, _STILL_OPEN, Permission.SIGNED_IN, [account])

    def _waits_since(self, alert: Row) -> float:
        """Since when an alert waits. It waits no longer than it should, wherever the clock was set meanwhile."""
        longest = max(self._patience, OUTSIDE_SCHOOL)
        waited = min(max(self._now() - parse(alert["step_at"]), timedelta()), longest)
        return self._monotonic() - waited.total_seconds()

    def _patience_with(self, alert: Row) -> timedelta:
        """How long an alert waits at its step: longer at night, once everybody has heard of it."""
        at_rest = alert["been_round"] and not self._in_school(self._now())
        return max(self._patience, OUTSIDE_SCHOOL) if at_rest else self._patience

    async def _go_on(self, alert_id: str, step: int) -> None:
        async with self._records.transaction() as tx:
            alert = await tx.fetch_one(
                f"SELECT alert.* FROM alerts alert WHERE alert.id = ? AND alert.step = ? AND {_WAITS}",  # noqa: S608
                (alert_id, step),
            )
            if alert is None:  # somebody has taken it at this moment
                return
            told = await self._bring(tx, alert, step + 1, await _who_may_see(tx, alert))
            if told:
                self._announce(tx, alert, [one["id"] for one in told], again=True)
                detail = {"accounts told": len(told)}
                await self._audit.record(tx, _ITSELF, "passed an alert on", f"alert {alert_id}", detail)

    # Taking and closing

    async def acknowledge(self, actor: Actor, alert_id: str) -> bool:
        """ "I am dealing with this". False if somebody else has said so before."""
        async with self._records.transaction() as tx:
            seen = alerted(actor)
            alert = await tx.fetch_one(
                f"SELECT alert.* FROM {_WITH_CAPTURE} WHERE alert.id = ? AND {seen.sql}",  # noqa: S608
                (alert_id, *seen.parameters),
            )
            if alert is None:
                raise Refused("This alert is not here any more.", "Go back to the alerts.")
            if alert["closed_at"] is not None or alert["acknowledged_at"] is not None:
                return False
            await self._take_on(tx, actor, alert)
            if alert["kind"] == "test":
                await self._close(tx, alert_id, actor.name)
        return True

    async def judged_within(self, tx: Transaction, actor: Actor, capture: str, *, finished: bool) -> None:
        """Somebody has given a capture of an alert a status: it is taken, and over once all its captures are."""
        alert = await tx.fetch_one(
            "SELECT alert.id, alert.acknowledged_at, EXISTS (SELECT 1 FROM alert_captures other JOIN captures capture"
            " ON capture.id = other.capture_id WHERE other.alert_id = alert.id AND capture.finished_at IS NULL) AS rest"
            " FROM alerts alert JOIN alert_captures added ON added.alert_id = alert.id"
            " WHERE added.capture_id = ? AND alert.closed_at IS NULL",
            (capture,),
        )
        if alert is None:
            return
        if alert["acknowledged_at"] is None:
            await self._take_on(tx, actor, alert)
        if finished and not alert["rest"]:
            await self._close(tx, alert["id"], actor.name)

    async def _take_on(self, tx: Transaction, actor: Actor, alert: Row) -> None:
        moment = stamp(self._now())
        await tx.execute(
            "UPDATE alerts SET acknowledged_at = ?, acknowledged_by = ? WHERE id = ?",
            (moment, actor.name, alert["id"]),
        )
        await _step(tx, alert["id"], moment, "acknowledged", author=actor.name)
        self._remember(tx, alert["id"], None)
        await self._audit.record(tx, actor.name, "took an alert on", f"alert {alert['id']}")

    async def close_within(self, tx: Transaction, alert_id: str, words: str) -> None:
        """Close an alert of the box by itself: what was silent is heard again, what was seen is over."""
        await self._close(tx, alert_id, "", words)

    async def is_open_within(self, tx: Transaction, alert_id: str) -> bool:
        """Whether an alert is there and not closed yet, so that more can be said of it instead of opening another."""
        row = await tx.fetch_one("SELECT 1 FROM alerts WHERE id = ? AND closed_at IS NULL", (alert_id,))
        return row is not None

    async def change_within(self, tx: Transaction, alert_id: str, words: str, *, added: str) -> None:
        """Say more of an alert that is open: ``words`` as it stands now, ``added`` for the list of what happened."""
        await tx.execute("UPDATE alerts SET words = ? WHERE id = ?", (words, alert_id))
        if added:
            await _step(tx, alert_id, stamp(self._now()), "changed", words=added)

    async def _close(self, tx: Transaction, alert_id: str, author: str, words: str = "") -> None:
        moment = stamp(self._now())
        await tx.execute("UPDATE alerts SET closed_at = ? WHERE id = ?", (moment, alert_id))
        await _step(tx, alert_id, moment, "closed", author=author, words=words)
        self._remember(tx, alert_id, None)
        await self._audit.record(tx, author or _ITSELF, "closed an alert", f"alert {alert_id}")

    # Reading

    def waiting(self, account: str) -> int:
        """How many alerts nobody has taken yet and this account may see."""
        return sum(account in may_see for may_see in self._untaken.values())

    def standing(self, account: str) -> dict[str, int] | None:
        """How many alerts wait, for a page whose stream was away; ``None`` if that is nothing for this screen now."""
        waiting = self.waiting(account)
        return {"alerts": waiting} if waiting and self.presenting.disturbable([account]) else None

    async def open(self, actor: Actor) -> list[Row]:
        """Alerts that are not closed, those that nobody has taken first, the worst and oldest of them before others."""
        seen = alerted(actor)
        return await self._records.fetch(
            f"SELECT {_COLUMNS} FROM {_WITH_CAPTURE} WHERE alert.closed_at IS NULL AND {seen.sql}"  # noqa: S608
            " ORDER BY alert.acknowledged_at IS NOT NULL, alert.kind = 'test', alert.opened_at, alert.id",
            seen.parameters,
        )

    async def closed(self, actor: Actor, number: int) -> Page:
        """A page of alerts that are over, the newest first."""
        conditions = (alerted(actor), Condition("alert.closed_at IS NOT NULL", ()))
        order = "alert.opened_at DESC, alert.id DESC"
        return await page_of(self._records, _COLUMNS, Condition(_WITH_CAPTURE, ()), conditions, order, number)

    async def alert(self, actor: Actor, alert_id: str) -> Row | None:
        """One alert, or ``None`` if there is none of this id that ``actor`` may see."""
        seen = alerted(actor)
        return await self._records.fetch_one(
            f"SELECT {_COLUMNS} FROM {_WITH_CAPTURE} WHERE alert.id = ? AND {seen.sql}",  # noqa: S608
            (alert_id, *seen.parameters),
        )

    async def of_capture(self, actor: Actor, capture: str) -> Row | None:
        """The alert about a capture, if there is one."""
        seen = alerted(actor)
        return await self._records.fetch_one(
            f"SELECT {_COLUMNS} FROM {_WITH_CAPTURE} WHERE {seen.sql}"  # noqa: S608
            " AND alert.id = (SELECT alert_id FROM alert_captures WHERE capture_id = ?)",
            (*seen.parameters, capture),
        )

    async def captures(self, actor: Actor, alert_id: str) -> list[Row]:
        """The captures of an alert that ``actor`` may open (id, at, severity, status), the newest first."""
        seen = captured(actor, "capture.person_id")
        return await self._records.fetch(
            "SELECT capture.id, capture.at, capture.severity, capture.status FROM alert_captures added"  # noqa: S608
            f" JOIN captures capture ON capture.id = added.capture_id WHERE added.alert_id = ? AND {seen.sql}"
            " ORDER BY added.number DESC LIMIT ?",
            (alert_id, *seen.parameters, LISTED_MOST),
        )

    async def steps(self, actor: Actor, alert_id: str) -> list[Row]:
        """What happened to an alert, in order: at, what, author, names (JSON), words."""
        if await self.alert(actor, alert_id) is None:
            return []
        return await self._records.fetch("SELECT * FROM alert_steps WHERE alert_id = ? ORDER BY number", (alert_id,))

    # How it is

    async def checks(self) -> list[Check]:
        """Whether there is anybody for every alert about a capture that waits."""
        found = await self._read_untaken("capture")
        nobody = sum(not may_see for may_see in found.values())
        if not nobody:
            return [Check("Alerts", State.GOOD, "For each alert there is somebody to tell.", alarm=True)]
        alerts = "1 alert" if nobody == 1 else f"{nobody:,} alerts"
        words = f"Nobody could be told of {alerts}: no active account may see what it is about."
        todo = "Give the safeguarding lead “everyone” as scope. For what is about a colleague, name a reviewer."
        return [Check("Alerts", State.BROKEN, words, todo, alarm=True)]

    # In memory

    async def refresh(self) -> None:
        """Work out again which alerts wait for whom (a job): who may see whom changes elsewhere too."""
        for _ in range(REFRESH_TRIES):
            before = self._changes
            found = await self._read_untaken()
            if self._changes == before:  # else something happened meanwhile, which this does not know
                break
        self._untaken = found

    async def _read_untaken(self, kind: Kind | None = None) -> dict[str, frozenset[str]]:
        known: dict[tuple[str, str | None], frozenset[str]] = {}
        found = {}
        for row in await self._records.fetch(f"{_UNTAKEN} AND (? IS NULL OR alert.kind = ?)", (kind, kind)):
            key = (row["kind"], row["person_id"])
            if key not in known:
                known[key] = frozenset(one["id"] for one in await _accounts(self._records, *key))
            found[row["id"]] = known[key]
        return found

    def _remember(self, tx: Transaction, alert: str, may_see: frozenset[str] | None) -> None:
        """Once this is on the disk: who may see an alert that waits, or that it does not wait any more."""

        def change() -> None:
            self._changes += 1
            self._untaken.pop(alert, None)
            if may_see is not None:
                self._untaken[alert] = may_see

        tx.after_commit.append(change)


def alerted(actor: Actor) -> Condition:
    """Alerts that ``actor`` may see: about captures that they may see, and of the box if they look after it."""
    require(actor, Permission.SEE_ALERTS)
    seen = captured(actor, "capture.person_id")
    kinds: list[str] = [*OF_THE_BOX] if actor.role in KEEPERS_OF_THE_BOX else []
    kinds += ["test"] if actor.role is Role.IT else []
    marks = ", ".join("?" * len(kinds))
    return Condition(f"(alert.kind IN ({marks}) OR capture.id IS NOT NULL AND {seen.sql})", (*kinds, *seen.parameters))


def message_of(alert: Row, *, again: bool = False) -> dict[str, str]:
    """What open pages are told: kind and severity, never a name, a word or a picture."""
    return {
        "alert": alert["id"],
        "kind": alert["kind"],
        "severity": alert["severity"],
        "words": title_of(alert, again=again),
        "again": "yes" if again else "no",
    }


def title_of(alert: Row, *, again: bool = False) -> str:
    """What an alert is called wherever others may look at the screen."""
    match alert["kind"]:
        case "silence":
            return f"The appliance fell silent: {alert['category']}"
        case "network":
            return f"On the school’s network: {alert['category']}"
        case "test":
            return "A test alert has come in"
        case _:
            severity = Severity(alert["severity"]).label
            return f"A {severity} alert waits for somebody" if again else f"A {severity} alert has come in"


_STILL_OPEN = {"alert": "", "kind": "open", "severity": "", "words": "Alerts are waiting", "again": "yes"}
"""For somebody whose hour of presenting is over."""


def _route_of(kind: Kind) -> Sequence[tuple[Role, ...]]:
    return (KEEPERS_OF_THE_BOX,) if kind in OF_THE_BOX else ROUTE


def _next_on_route(route: Sequence[tuple[Role, ...]], viewers: Sequence[Row]) -> list[Row]:
    """The first step of the route on which there is anybody; steps without anybody are passed over."""
    steps = ([one for one in viewers if one["role"] in roles] for roles in route)
    return next((step for step in steps if step), [])


async def _event(
    tx: Transaction, alert: Row, step: int, accounts: Sequence[str], may_see: Sequence[Row]
) -> AlertRaised:
    return AlertRaised(
        alert=alert["id"],
        kind=alert["kind"],
        severity=alert["severity"],
        category=alert["category"],
        step=step,
        accounts=tuple(accounts),
        link=f"/alerts/{alert['id']}",
        captures=max(1, await _number_of_captures(tx, alert["id"])),
        for_team=alert["kind"] != "capture" or await _is_for_team(tx, {one["id"] for one in may_see}),
    )


async def _is_for_team(tx: Transaction, may_see: Collection[str]) -> bool:
    """Whether all safeguarding leads may see it; where there are none, all deputies, and so on. They share mailboxes:
    what is about one of them is for their reviewer, and must not stand in one that they read.
    """
    rows = await tx.fetch("SELECT id, role FROM staff_accounts WHERE state = 'active'")
    steps = ([row["id"] for row in rows if row["role"] in roles] for roles in ROUTE)
    team = next((step for step in steps if step), [])
    return bool(team) and all(account in may_see for account in team)


async def _number_of_captures(tx: Transaction, alert: str) -> int:
    row = await tx.fetch_one("SELECT count(*) AS n FROM alert_captures WHERE alert_id = ?", (alert,))
    return row["n"] if row is not None else 0


async def _untaken_about_the_same(
    tx: Transaction, kind: Kind, category: str, capture: str, moment: datetime
) -> str | None:
    """The alert that a capture belongs to, if there is one that nobody has taken yet."""
    new = await tx.fetch_one("SELECT person_id, device_id, endpoint FROM captures WHERE id = ?", (capture,))
    assert new is not None
    place = Condition(_SAME_PLACE, (new["device_id"], new["device_id"], new["endpoint"]))
    person = Condition("capture.person_id IS ?", (new["person_id"],))
    conditions = [person] if new["person_id"] is not None and kind == "capture" else [person, place]
    if kind == "test":
        just_now = (stamp(moment - TESTS_TOGETHER), stamp(moment))
        conditions.append(Condition("alert.opened_at BETWEEN ? AND ?", just_now))
    row = await tx.fetch_one(
        f"SELECT alert.id FROM {_WITH_CAPTURE} WHERE {_WAITS} AND alert.kind = ? AND alert.category = ?"  # noqa: S608
        f" AND {' AND '.join(one.sql for one in conditions)} ORDER BY alert.opened_at DESC LIMIT 1",
        (kind, category, *(value for one in conditions for value in one.parameters)),
    )
    return row["id"] if row is not None else None


async def _who_may_see(tx: Transaction, alert: Row) -> list[Row]:
    """The accounts that may see an alert: id, role and name."""
    row = await tx.fetch_one(
        f"SELECT capture.person_id FROM {_WITH_CAPTURE} WHERE alert.id = ?",  # noqa: S608
        (alert["id"],),
    )
    return await _accounts(tx, alert["kind"], row["person_id"] if row is not None else None)


async def _accounts(store: Database | Transaction, kind: Kind, person: str | None) -> list[Row]:
    """The accounts that may see an alert of a kind about somebody, or about nobody known."""
    roles = KEEPERS_OF_THE_BOX if kind in OF_THE_BOX else (Role.IT,) if kind == "test" else ()
    marks = ", ".join("?" * len(roles))
    captures = viewers(person) if kind not in OF_THE_BOX else Condition("0", ())
    return await store.fetch(
        "SELECT account.id, account.role, account.name FROM staff_accounts account"  # noqa: S608 - our own names
        f" WHERE account.state = 'active' AND account.role IN ({marks}) OR {captures.sql}"
        " ORDER BY account.name, account.id",
        (*roles, *captures.parameters),
    )


async def _row(tx: Transaction, alert_id: str) -> Row:
    row = await tx.fetch_one("SELECT * FROM alerts WHERE id = ?", (alert_id,))
    assert row is not None
    return row


async def _step(
    tx: Transaction,
    alert_id: str,
    moment: str,
    what: str,
    *,
    author: str = "",
    names: Sequence[str] = (),
    words: str = "",
) -> None:
    """Add to what happened to an alert."""
    await tx.execute(
        "INSERT INTO alert_steps (alert_id, number, at, what, author, names, words)"
        " SELECT ?, coalesce(max(number), 0) + 1, ?, ?, ?, ?, ? FROM alert_steps WHERE alert_id = ?",
        (alert_id, moment, what, author, json.dumps(list(names), ensure_ascii=False), words, alert_id),
    )
