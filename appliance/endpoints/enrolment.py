"""Which browsers are let in: who has asked, who decides, and what becomes of the device in the directory.

A browser is known by the key that it has made for itself. It is let in one by one, many at once, because its name or
serial number stands on a list, or because it comes while IT holds a window open. Whatever it says of itself (name,
serial number, account) nobody vouches for; that it is the browser that was let in is proved at each connection.

So a browser that says it is a device which has a browser already, or belongs to somebody, comes in by no list and no
window: whoever could write another child's name on a laptop could make that child answer for it. It waits for IT to
look. What it says of its device counts as it was when it first asked.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from appliance.access import Actor, Condition, listed, require
from appliance.audit import Audit
from appliance.clock import new_id, now, stamp
from appliance.db import Database, Row, Transaction
from appliance.endpoints.messages import Hello
from appliance.endpoints.tokens import find_token, use_token
from appliance.errors import Refused
from appliance.hookspecs import Permission
from appliance.people.devices import DeviceDetails, Devices
from appliance.people.listing import Page, listed_devices, page_of
from appliance.people.names import LONGEST_NAME, exact, tidy

MOST_WAITING = 2000
MOST_WAITING_OF_ONE = 50
MOST_ASKS, ASKS_SECONDS = 20, 3600
"""From one address, as many as wait, and as many as may come in so long and were not let in.

Keys are made by whoever wants to. Where a school stands behind one address, IT lets some in, and the next come.
"""
AT_ONCE = 100
"""How many are let in in one unit of work: others wait for the store meanwhile."""
MOST_EXPECTED = 10_000
How = Literal["one by one", "all at once", "a list", "an open window"]
RARE = 10
"""A domain with so many times fewer accounts than the most common one is not the school's."""
_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
BY_THEMSELVES: Collection[How] = ("a list", "an open window")
"""Ways in which nobody looks at a browser before it is let in."""
_OPERATE = Permission.OPERATE
_COLUMNS = (
    "endpoint.id, endpoint.state, endpoint.device_id, endpoint.name, endpoint.serial, endpoint.platform,"
    " endpoint.browser, endpoint.version, endpoint.asked_at, endpoint.asked_from, endpoint.decided_at,"
    " endpoint.decided_by, endpoint.how, endpoint.last_seen_at, endpoint.copied_at, endpoint.claim,"
    " endpoint.policy_version, endpoint.queued, endpoint.dropped, endpoint.last_test_at"
)


_CLAIMED = """(
SELECT CASE max(device.browsers) WHEN 1 THEN 'has a browser already' WHEN 0 THEN 'belongs to somebody' END FROM (
    SELECT found.person_id, EXISTS (SELECT 1 FROM endpoints other WHERE other.device_id = found.id
        AND other.state = 'approved' AND other.id <> endpoint.id) AS browsers
    FROM devices found WHERE found.id IN (
        SELECT id FROM devices WHERE serial IS NOT NULL AND lower(serial) = lower(nullif(endpoint.serial, ''))
        UNION ALL SELECT id FROM devices WHERE lower(name) = lower(nullif(endpoint.name, '')) AND removed_at IS NULL
    )
) device WHERE device.browsers OR device.person_id IS NOT NULL)"""
"""What is known of the device that ``endpoint`` says it is; NULL if it is new, or has no browser and is nobody's."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A browser that has proved who it is. ``device``: the id of its device, once it was let in."""

    id: str
    state: str
    device: str | None


@dataclass(frozen=True, slots=True)
class Window:
    """A time in which whoever comes with a key is let in at once. ``until`` is a stamp."""

    id: str
    opened_by: str
    until: str


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Who is known where: person by browser account, and person (or nobody) by device that is in use."""

    accounts: Mapping[str, str]
    devices: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Seen:
    """What is kept now and then of a browser that is connected, or was until a moment ago."""

    endpoint: str
    at: str
    person: str | None
    claim: str
    profile: str
    policy_version: str
    queued: int
    dropped: int


def key_hash(public_key: bytes) -> str:
    """By what a browser is known."""
    return hashlib.sha256(public_key).hexdigest()


class Enrolment:
    """The store of browsers. ``decided`` is told the ids of those about which something was decided, after the commit.

    ``arrived`` likewise of those that have come to wait, or were let in at once.
    """

    def __init__(self, records: Database, audit: Audit, devices: Devices) -> None:
        self._records = records
        self._audit = audit
        self._devices = devices
        self.decided: Callable[[Collection[str]], None] = lambda _: None
        self.arrived: Callable[[Mapping[str, str]], None] = lambda _: None
        self.decisions = 0
        """How often something was decided."""
        self._unsaid = False
        devices.when_removed(self._device_removed)

    # A browser is there

    async def greet(self, hello: Hello, address: str) -> Endpoint | str | None:
        """The browser of a greeting whose signature was found good, with what it says of itself kept.

        ``None`` if its key is not known and it has no enrolment key; words if it may not ask.
        """
        public_key = bytes(hello.key)  # type: ignore[arg-type]
        known = key_hash(public_key)
        async with self._records.transaction() as tx:
            row = await tx.fetch_one("SELECT id, state, device_id FROM endpoints WHERE key_sha256 = ?", (known,))
            if row is not None:
                await self._came_back(tx, row["id"], hello)
                return Endpoint(row["id"], row["state"], row["device_id"])
            if not hello.token:
                return None
            return await self._ask(tx, known, public_key, hello, address)

    async def _came_back(self, tx: Transaction, endpoint: str, hello: Hello) -> None:
        moment = stamp()
        await tx.execute(
            "UPDATE endpoints SET platform = ?, browser = ?, version = ?, profile = ?,"
            " queued = ?, dropped = ?, policy_version = ?, last_seen_at = ?,"
            " copied_at = CASE WHEN counter >= ? THEN ? ELSE copied_at END, counter = max(counter, ?) WHERE id = ?",
            (
                *(hello.platform, hello.browser, hello.version, hello.profile),
                *(hello.queued, hello.dropped, hello.policy, moment, hello.counter, moment, hello.counter, endpoint),
            ),
        )

    async def _ask(self, tx: Transaction, known: str, public_key: bytes, hello: Hello, address: str) -> Endpoint | str:
        token = await find_token(tx, hello.token)
        if isinstance(token, str):
            return token
        endpoint, moment = new_id(), stamp()
        await tx.execute(
            "INSERT INTO endpoints (id, key_sha256, public_key, state, token_id, name, serial, platform, browser,"
            " version, asked_at, asked_from, last_seen_at, counter, profile, queued, dropped)"
            " VALUES (?, ?, ?, 'waiting', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(endpoint, known, public_key, token["id"], hello.name, hello.serial, hello.platform, hello.browser),
                *(hello.version, moment, address, moment, hello.counter, hello.profile, hello.queued, hello.dropped),
            ),
        )
        claimed = await _claimed(tx, await _existing(tx, endpoint))
        device = None if claimed else await self._let_in_by_itself(tx, endpoint)
        if device is None and (words := await _too_many(tx, address)):
            await tx.execute("DELETE FROM endpoints WHERE id = ?", (endpoint,))
            return words
        shown = {"id": endpoint, "name": hello.name, "serial": hello.serial, "browser": hello.browser}
        shown |= {"platform": hello.platform, "from": address, "state": "in" if device else "waiting"}
        shown["claims"] = claim_words(hello.name, hello.serial, claimed)
        tx.after_commit.append(lambda: self.arrived(shown))
        return Endpoint(endpoint, "approved" if device else "waiting", device)

    async def _let_in_by_itself(self, tx: Transaction, endpoint: str) -> str | None:
        """Let a browser in that has just come, if it stands on a list or a window is open; the id of its device."""
        row = await _existing(tx, endpoint)
        expected = await _expected(tx, row)
        if expected is not None:
            device = await self._let_in(tx, row, expected["added_by"], "a list", "", expected)
        else:
            window = await _open_window(tx)
            if window is None:
                return None
            device = await self._let_in(tx, row, window.opened_by, "an open window", "")
        tx.after_commit.append(self._devices_have_changed)
        return device

    def _devices_have_changed(self) -> None:
        self._unsaid = True

    async def say_what_changed(self) -> None:
        """Announce devices that came in by themselves: not each on its own, when a whole school comes at once."""
        if self._unsaid:
            async with self._records.transaction() as tx:
                await self._devices.changed_within(tx)
                self._unsaid = False

    async def state(self, endpoint: str) -> Endpoint | None:
        """A browser as it stands now."""
        row = await self._records.fetch_one("SELECT id, state, device_id FROM endpoints WHERE id = ?", (endpoint,))
        return Endpoint(row["id"], row["state"], row["device_id"]) if row is not None else None

    async def device_name(self, device: str | None) -> str:
        """What the device of a browser is called."""
        row = await self._records.fetch_one("SELECT name FROM devices WHERE id = ?", (device,))
        return str(row["name"]) if row is not None else ""

    async def whereabouts(self) -> Whereabouts:
        """Whom browsers know by which account, and who has which device."""
        accounts = await self._records.fetch("SELECT name, person_id FROM person_accounts WHERE kind = 'browser'")
        devices = await self._records.fetch("SELECT id, person_id FROM devices WHERE removed_at IS NULL")
        return Whereabouts(
            {row["name"]: row["person_id"] for row in accounts}, {row["id"]: row["person_id"] for row in devices}
        )

    async def account_domains(self, actor: Actor) -> list[str]:
        """Domains of the accounts by which browsers know people, the most common first; rare ones may be private."""
        require(actor, _OPERATE)
        rows = await self._records.fetch(
            "SELECT substr(name, instr(name, '@') + 1) AS domain, count(*) AS n FROM person_accounts"
            " WHERE kind = 'browser' AND instr(name, '@') GROUP BY domain ORDER BY n DESC, domain"
        )
        return [row["domain"] for row in rows if row["n"] * RARE >= rows[0]["n"] and _DOMAIN.fullmatch(row["domain"])]

    async def note_seen(self, seen: Sequence[Seen]) -> None:
        """Keep when browsers were there last, and what was known then."""
        rows = [
            (*(one.at, one.person, one.claim, one.profile, one.policy_version, one.queued, one.dropped), one.endpoint)
            for one in seen
        ]
        for start in range(0, len(rows), AT_ONCE):
            async with self._records.transaction() as tx:
                await tx.executemany(
                    "UPDATE endpoints SET last_seen_at = ?, person_id = (SELECT id FROM people WHERE id = ?),"
                    " claim = ?, profile = ?, policy_version = ?, queued = ?, dropped = ? WHERE id = ?",
                    rows[start : start + AT_ONCE],
                )

    async def passed_test(self, endpoint: str, observation: str) -> None:
        """An observation of this browser is kept: if it was the test phrase, the browser has passed a test."""
        found = await self._records.fetch_one(
            "SELECT max(capture.received_at) AS at FROM captures capture JOIN endpoints endpoint"
            " ON endpoint.id = capture.endpoint WHERE capture.endpoint = ? AND capture.observation = ?"
            " AND (endpoint.last_test_at IS NULL OR endpoint.last_test_at < capture.received_at) AND EXISTS"
            " (SELECT 1 FROM capture_findings WHERE capture_id = capture.id AND is_test = 1)",
            (endpoint, observation),
        )
        if found is not None and found["at"] is not None:
            async with self._records.transaction() as tx:
                await tx.execute("UPDATE endpoints SET last_test_at = ? WHERE id = ?", (found["at"], endpoint))

    # Deciding

    async def approve(
        self, actor: Actor, endpoints: Sequence[str], how: How, names: Mapping[str, str] | None = None
    ) -> int:
        """Let browsers in; returns how many there were. ``names``: what their devices are called, where it was typed.

        Also for one that was refused or revoked. Each finds its device by serial number or name, or gets a new one.
        Left to wait are those whose key is used up, unless they are let in one by one, and by a list or a window those
        that say they are a device that has a browser already or belongs to somebody.
        """
        require(actor, _OPERATE)
        done = 0
        for start in range(0, len(endpoints), AT_ONCE):
            async with self._records.transaction() as tx:
                for endpoint in endpoints[start : start + AT_ONCE]:
                    row = await _existing(tx, endpoint)
                    if row["state"] != "approved" and await _may_come_in(tx, row, how):
                        name = tidy((names or {}).get(endpoint, ""))[:LONGEST_NAME]
                        await self._let_in(tx, row, actor.name, how, name, await _expected(tx, row))
                        done += 1
                await self._devices.changed_within(tx)
        return done

    async def _let_in(
        self, tx: Transaction, row: Row, who: str, how: How, name: str, expected: Row | None = None
    ) -> str:
        token = await tx.fetch_one("SELECT group_id FROM endpoint_tokens WHERE id = ?", (row["token_id"],))
        details = DeviceDetails(name or row["name"] or await _free_name(tx, row), row["serial"])
        group = token["group_id"] if token is not None else None
        if row["device_id"] is None:  # not for one that comes back
            await use_token(tx, row["token_id"])
        device = await self._devices.of_endpoint(tx, who, details, group, row["device_id"])
        await tx.execute(
            "UPDATE endpoints SET state = 'approved', device_id = ?, decided_at = ?, decided_by = ?, how = ?"
            " WHERE id = ?",
            (device, stamp(), who, how, row["id"]),
        )
        if expected is not None:
            await tx.execute(
                "UPDATE endpoint_expected SET endpoint_id = ? WHERE folded = ?", (row["id"], expected["folded"])
            )
        detail = {"how": how, "device": device}
        await self._audit.record(tx, who, "let a browser in", f"browser {row['id']}", detail)
        self._tell(tx, [row["id"]])
        return device

    async def refuse(self, actor: Actor, endpoints: Sequence[str]) -> int:
        """Say no to browsers that wait; returns how many there were."""
        require(actor, _OPERATE)
        return await self._end(actor.name, endpoints, ("waiting",), "refused", "did not let a browser in")

    async def revoke(self, actor: Actor, endpoints: Sequence[str]) -> int:
        """Take browsers out that were let in: they are no longer connected when this is known to them."""
        require(actor, _OPERATE)
        return await self._end(actor.name, endpoints, ("approved", "waiting"), "revoked", "took a browser out")

    async def _end(self, who: str, endpoints: Sequence[str], before: Collection[str], state: str, action: str) -> int:
        done = 0
        for start in range(0, len(endpoints), AT_ONCE):
            async with self._records.transaction() as tx:
                for endpoint in endpoints[start : start + AT_ONCE]:
                    row = await _existing(tx, endpoint)
                    if row["state"] in before:
                        await self._end_one(tx, who, endpoint, state, action)
                        done += 1
        return done

    async def _end_one(self, tx: Transaction, who: str, endpoint: str, state: str, action: str) -> None:
        await tx.execute(
            "UPDATE endpoints SET state = ?, decided_at = ?, decided_by = ?, how = NULL WHERE id = ?",
            (state, stamp(), who, endpoint),
        )
        await self._audit.record(tx, who, action, f"browser {endpoint}")
        self._tell(tx, [endpoint])

    async def _device_removed(self, tx: Transaction, who: str, device: str) -> None:
        """A device that is out of use has no browsers."""
        rows = await tx.fetch("SELECT id FROM endpoints WHERE device_id = ? AND state = 'approved'", (device,))
        for row in rows:
            await self._end_one(tx, who, row["id"], "revoked", "took a browser out")

    def _tell(self, tx: Transaction, endpoints: Collection[str]) -> None:
        def tell() -> None:
            self.decisions += 1
            self.decided(endpoints)

        tx.after_commit.append(tell)

    # Those that stand on a list, and windows

    async def expect(self, actor: Actor, text: str) -> tuple[int, int]:
        """Names or serial numbers, one a line, that are let in when they come, and now if they wait already.

        Returns how many were new on the list, and how many were let in at once.
        """
        require(actor, _OPERATE)
        written = {exact(line): tidy(line) for line in text.splitlines() if exact(line)}
        if not written:
            raise Refused("There is no name and no serial number in the list.", "Write one on each line.")
        if any(len(line) > LONGEST_NAME for line in written.values()):
            raise Refused(f"A line is longer than {LONGEST_NAME} characters.", "Write one name on each line.")
        async with self._records.transaction() as tx:
            before = await tx.fetch_one("SELECT count(*) AS n FROM endpoint_expected WHERE endpoint_id IS NULL")
            if before is not None and before["n"] + len(written) > MOST_EXPECTED:
                raise Refused(f"The list would be longer than {MOST_EXPECTED} lines.", "Take old lines off first.")
            added = 0
            for folded, line in written.items():
                added += await tx.execute(
                    "INSERT INTO endpoint_expected (folded, written, added_at, added_by) VALUES (?, ?, ?, ?)"
                    " ON CONFLICT (folded) DO UPDATE SET endpoint_id = NULL, added_at = excluded.added_at,"
                    " added_by = excluded.added_by WHERE endpoint_id IS NOT NULL",
                    (folded, line, stamp(), actor.name),
                )
            detail = {"lines": added}
            await self._audit.record(tx, actor.name, "listed devices to let in", "the list of devices", detail)
        waiting = await self._records.fetch("SELECT id, name, serial FROM endpoints WHERE state = 'waiting'")
        fitting = [row["id"] for row in waiting if {exact(row["name"]), exact(row["serial"])} & written.keys() - {""}]
        return added, await self.approve(actor, fitting, "a list")

    async def forget_expected(self, actor: Actor) -> int:
        """Take everything off the list that nobody came for; returns how many lines there were."""
        require(actor, _OPERATE)
        async with self._records.transaction() as tx:
            gone = await tx.execute("DELETE FROM endpoint_expected WHERE endpoint_id IS NULL")
            if gone:
                detail = {"lines": gone}
                await self._audit.record(tx, actor.name, "emptied the list of devices", "the list of devices", detail)
        return gone

    async def expected(self, actor: Actor) -> list[Row]:
        """What stands on the list and has not come yet: written, added_at, added_by."""
        require(actor, _OPERATE)
        return await self._records.fetch(
            "SELECT written, added_at, added_by FROM endpoint_expected WHERE endpoint_id IS NULL ORDER BY folded"
        )

    async def open_window(self, actor: Actor, until: datetime) -> None:
        """From now on whoever comes with a key is let in at once, and so is who waits already. One window at a time."""
        require(actor, _OPERATE)
        if until <= now():
            raise Refused("The window would end in the past.", "Choose how long it is open.")
        window = new_id()
        async with self._records.transaction() as tx:
            await self._close_windows(tx, actor.name)
            await tx.execute(
                "INSERT INTO endpoint_windows (id, opened_at, opened_by, until) VALUES (?, ?, ?, ?)",
                (window, stamp(), actor.name, stamp(until)),
            )
            detail = {"until": stamp(until)}
            await self._audit.record(tx, actor.name, "opened the door for devices", "adding devices", detail)
        waiting = await self._records.fetch("SELECT id FROM endpoints WHERE state = 'waiting' ORDER BY asked_at")
        await self.approve(actor, [row["id"] for row in waiting], "an open window")

    async def close_window(self, actor: Actor) -> None:
        """Whoever comes waits again."""
        require(actor, _OPERATE)
        async with self._records.transaction() as tx:
            if await self._close_windows(tx, actor.name):
                await self._audit.record(tx, actor.name, "closed the door for devices", "adding devices")

    async def _close_windows(self, tx: Transaction, who: str) -> int:
        return await tx.execute(
            "UPDATE endpoint_windows SET closed_at = ?, closed_by = ? WHERE closed_at IS NULL AND until > ?",
            (stamp(), who, stamp()),
        )

    async def window(self) -> Window | None:
        """The window that is open now."""
        return await _open_window(self._records)

    # For pages

    async def waiting(self, actor: Actor) -> list[Row]:
        """Browsers that wait, those that came first on top, with the name of the key that each came with.

        ``claimed`` for ``claim_words``: what is known of the device that it says it is; empty if that is nobody's.
        """
        require(actor, _OPERATE)
        return await self._records.fetch(
            f"SELECT {_COLUMNS}, token.name AS token, coalesce({_CLAIMED}, '') AS claimed FROM endpoints endpoint"  # noqa: S608
            " JOIN endpoint_tokens token ON token.id = endpoint.token_id"
            " WHERE endpoint.state = 'waiting' ORDER BY endpoint.asked_at, endpoint.id"
        )

    async def turned_away(self, actor: Actor) -> list[Row]:
        """Browsers that were refused or revoked, the newest decision first."""
        require(actor, _OPERATE)
        return await self._records.fetch(
            f"SELECT {_COLUMNS} FROM endpoints endpoint WHERE endpoint.state IN ('refused', 'revoked')"  # noqa: S608
            " ORDER BY endpoint.decided_at DESC, endpoint.id DESC LIMIT 100"
        )

    async def of_device(self, actor: Actor, device: str) -> list[Row]:
        """The browsers of a device that ``actor`` may find: what was ever let in there, the newest first.

        ``person_id``, ``person``: who was there last, if ``actor`` may know; ``somebody``: whether anybody was known;
        ``signed_in``: whether the browser was signed in with an account.
        """
        devices, people = listed_devices(actor, "device"), listed(actor, "person.id")
        return await self._records.fetch(
            f"SELECT {_COLUMNS}, endpoint.person_id IS NOT NULL AS somebody, endpoint.profile <> '' AS signed_in,"  # noqa: S608
            " person.id AS person_id, person.name AS person FROM endpoints endpoint"
            " JOIN devices device ON device.id = endpoint.device_id"
            f" LEFT JOIN people person ON person.id = endpoint.person_id AND {people.sql}"
            f" WHERE device.id = ? AND {devices.sql} ORDER BY endpoint.state <> 'approved', endpoint.asked_at DESC",
            (*people.parameters, device, *devices.parameters),
        )

    async def of_devices(self, actor: Actor, devices: Sequence[str]) -> dict[str, Row]:
        """By device that ``actor`` may find: ``last_seen_at`` and ``version`` of the browser that was there last."""
        if not devices:
            return {}
        found = listed_devices(actor, "device")
        rows = await self._records.fetch(
            "SELECT device.id, endpoint.version, max(endpoint.last_seen_at) AS last_seen_at"  # noqa: S608
            " FROM endpoints endpoint JOIN devices device ON device.id = endpoint.device_id"
            f" WHERE endpoint.state = 'approved' AND {found.sql} AND device.id IN ({_marks(devices)})"
            " GROUP BY device.id",
            (*found.parameters, *devices),
        )
        return {row["id"]: row for row in rows}

    async def tested(self, actor: Actor, number: int) -> Page:
        """A page of devices that ``actor`` may find and that have a browser which was let in: the untested ones first.

        Columns: id, name, last_seen_at, last_test_at (of the browser of the device that passed last; empty if none).
        """
        table = "devices device JOIN endpoints endpoint ON endpoint.device_id = device.id"
        grouped = Condition(
            "(SELECT device.id, device.name, device.person_id, max(endpoint.last_seen_at) AS last_seen_at,"  # noqa: S608
            f" max(endpoint.last_test_at) AS last_test_at FROM {table}"
            " WHERE endpoint.state = 'approved' AND device.removed_at IS NULL GROUP BY device.id) device",
            (),
        )
        order = "device.last_test_at IS NOT NULL, device.last_test_at, lower(device.name), device.id"
        columns = "device.id, device.name, device.last_seen_at, device.last_test_at"
        return await page_of(self._records, columns, grouped, [listed_devices(actor, "device")], order, number)

    async def was_tested(self) -> bool:
        """Whether any device has ever passed the test."""
        return bool(await self._records.fetch_one("SELECT 1 FROM endpoints WHERE last_test_at IS NOT NULL"))

    async def counts(self) -> dict[str, int]:
        """How many browsers there are in each state, and how many are copies (``copied``)."""
        rows = await self._records.fetch(
            "SELECT state, count(*) AS n, sum(copied_at IS NOT NULL AND state = 'approved') AS copied"
            " FROM endpoints GROUP BY state"
        )
        found = dict.fromkeys(("waiting", "approved", "refused", "revoked"), 0)
        return {**found, **{row["state"]: row["n"] for row in rows}, "copied": sum(row["copied"] for row in rows)}


def claim_words(name: str, serial: str, claimed: str) -> str:
    """What is to be looked at before a browser is let in, in words; empty if there is nothing."""
    said = f"{name} with the serial number {serial}" if name and serial else name or serial
    return f"says that it is {said}, which {claimed}" if claimed else ""


async def _claimed(tx: Transaction, row: Row) -> str:
    """What is known of the device that a browser says it is; empty if it is new, or has no browser and is nobody's."""
    found = await tx.fetch_one(
        f"SELECT {_CLAIMED} AS claimed FROM endpoints endpoint WHERE endpoint.id = ?",  # noqa: S608
        (row["id"],),
    )
    return str(found["claimed"] or "") if found is not None else ""


async def _may_come_in(tx: Transaction, row: Row, how: How) -> bool:
    if how in BY_THEMSELVES and await _claimed(tx, row):
        return False
    if how == "one by one" or row["device_id"] is not None:
        return True
    return not await tx.fetch_one(
        "SELECT 1 FROM endpoint_tokens WHERE id = ? AND uses >= most_uses", (row["token_id"],)
    )


async def _too_many(tx: Transaction, address: str) -> str:
    """Why this browser, which is in the table already, may not even wait; empty if it may."""
    waiting = await tx.fetch_one(
        "SELECT count(*) AS of_all, total(asked_from = ?) AS of_one FROM endpoints WHERE state = 'waiting'", (address,)
    )
    lately = await tx.fetch_one(
        "SELECT count(*) AS n FROM endpoints WHERE asked_from = ? AND asked_at > ? AND state <> 'approved'",
        (address, stamp(now() - timedelta(seconds=ASKS_SECONDS))),
    )
    assert waiting is not None
    assert lately is not None
    if waiting["of_all"] > MOST_WAITING:
        return "Too many devices wait to be let in. IT has to decide about them first."
    if waiting["of_one"] > MOST_WAITING_OF_ONE or lately["n"] > MOST_ASKS:
        return "Too many devices have asked from this address. IT has to decide about them first."
    return ""


def _marks(values: Iterable[str]) -> str:
    return ", ".join("?" for _ in values)


async def _free_name(tx: Transaction, row: Row) -> str:
    """A name for a device that has none: ``Chromium on linux, 2026-11-24``. No other device is called the same."""
    browser = str(row["browser"]).partition(" ")[0] or "Browser"
    day = date.fromisoformat(row["asked_at"][:10])
    name = f"{browser} on {row['platform'] or 'an unknown system'}, {day}"
    taken = {
        one["name"]
        for one in await tx.fetch("SELECT lower(name) AS name FROM devices WHERE instr(lower(name), lower(?))", (name,))
    }
    numbers = (f"{name} ({number})" for number in range(2, len(taken) + 3))
    return next(one for one in (name, *numbers) if one.lower() not in taken)


async def _existing(tx: Transaction, endpoint: str) -> Row:
    row = await tx.fetch_one(
        "SELECT id, state, token_id, device_id, name, serial, platform, browser, asked_at FROM endpoints WHERE id = ?",
        (endpoint,),
    )
    if row is None:
        raise Refused("This browser is not known any more.", "Load the page again.")
    return row


async def _expected(tx: Transaction, row: Row) -> Row | None:
    """The line of the list that this browser fits and that no other has used."""
    return await tx.fetch_one(
        "SELECT folded, added_by FROM endpoint_expected WHERE endpoint_id IS NULL AND folded IN (?, ?)"
        " AND folded <> ''",
        (exact(row["serial"]), exact(row["name"])),
    )


async def _open_window(store: Database | Transaction) -> Window | None:
    row = await store.fetch_one(
        "SELECT id, opened_by, until FROM endpoint_windows WHERE closed_at IS NULL AND until > ?"
        " ORDER BY opened_at DESC LIMIT 1",
        (stamp(),),
    )
    return Window(row["id"], row["opened_by"], row["until"]) if row is not None else None
