"""Who looked at which child, and why: asked once for each account, child and day, and kept.

Whoever watches children is watched. A reason stands in the audit beside the look; what is out of the ordinary
(``unusual``) is told to somebody who is not the one it is about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from appliance.access import Actor, Role, visible
from appliance.audit import Audit
from appliance.clock import now, stamp
from appliance.db import Database, Row, Transaction
from appliance.notices import Notices
from appliance.timetable import Timetable
from appliance.unusual import WINDOW_DAYS, Access, Rule, outside_hours, unusual, words

KEPT = timedelta(days=400)
"""A school year and a month. The audit keeps each look, with its reason, for as long as it is kept itself."""
PAGE_DAYS = 28
"""Days on one page of looks."""


class Reason(StrEnum):
    """Why somebody opens a child's page, as it stands in the store. ``words`` is the button."""

    REPORTED = "reported"
    WORRIED = "worried"
    ROUTINE = "routine"
    ASKED = "asked"

    @property
    def words(self) -> str:
        """The reason as the person who gives it says it."""
        return _REASONS[self]


_REASONS: Mapping[Reason, str] = {
    Reason.REPORTED: "Something was reported or captured",
    Reason.WORRIED: "I am worried about this pupil",
    Reason.ROUTINE: "Routine check of my group",
    Reason.ASKED: "A parent, the pupil or another service asked",
}

WATCHERS: Sequence[tuple[Role, ...]] = ((Role.HEAD,), (Role.LEAD, Role.GOVERNOR), (Role.DPO,))
"""Who is told of unusual access: the first of these among whom there is anybody but the one it is about."""

_CHILD = "people.kind IN ('pupil', 'guest')"


class Looks:
    """``timezone``: the school's, in which its days begin and end."""

    def __init__(
        self,
        records: Database,
        audit: Audit,
        notices: Notices,
        timetable: Timetable,
        timezone: str,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._records = records
        self._audit = audit
        self._notices = notices
        self._timetable = timetable
        self._zone = ZoneInfo(timezone)
        self._now = clock

    def today(self) -> date:
        """The day at the school."""
        return self._now().astimezone(self._zone).date()

    # Looking

    async def needs_reason(self, actor: Actor, person: str, *, open_case: bool = False) -> bool:
        """Whether ``actor`` must say why before this page is shown.

        Only for a pupil or guest whose records the actor may see, once a day. ``open_case``: the actor works on an open
        case about this child, which is reason enough.
        """
        if open_case:
            return False
        allowed = visible(actor, "people.id")
        return bool(
            await self._records.fetch_one(
                f"SELECT 1 FROM people WHERE id = ? AND {_CHILD} AND {allowed.sql} AND NOT EXISTS"  # noqa: S608
                " (SELECT 1 FROM looks WHERE account_id = ? AND day = ? AND person_id = people.id)",
                (person, *allowed.parameters, actor.account, self.today().isoformat()),
            )
        )

    async def look(self, actor: Actor, person: str, reason: Reason) -> bool:
        """Keep the reason; a second one on the same day changes nothing. False if this is no child of the actor's."""
        moment = self._now()
        day = moment.astimezone(self._zone).date()
        allowed = visible(actor, "people.id")
        async with self._records.transaction() as tx:
            child = await tx.fetch_one(
                f"SELECT 1 FROM people WHERE id = ? AND {_CHILD} AND {allowed.sql}",  # noqa: S608
                (person, *allowed.parameters),
            )
            if child is None:
                return False
            outside = outside_hours(moment, self._timetable.in_school)
            added = await tx.execute(
                "INSERT OR IGNORE INTO looks (account_id, person_id, day, at, reason, outside_hours)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (actor.account, person, day.isoformat(), stamp(moment), reason.value, outside),
            )
            if added:
                await self._audit.record(tx, actor.name, "looked at", f"person {person}", {"reason": reason.words})
                await self._watch(tx, actor, person, day)
        return True

    # What is out of the ordinary

    async def _watch(self, tx: Transaction, actor: Actor, person: str, day: date) -> None:
        access = await _access(tx, actor.account, person, day)
        for rule in unusual(access):
            about = person if rule.about_one_person else ""
            if not await _was_said(tx, actor.account, rule, about, day):
                await self._say(tx, actor, rule, about, day, words(rule, actor.name, access))

    async def _say(self, tx: Transaction, actor: Actor, rule: Rule, about: str, day: date, said: str) -> None:
        told = await self._tell(tx, actor, day, said)
        await tx.execute(
            "INSERT INTO unusual_looks (account_id, day, rule, person_id, at, words, told)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (actor.account, day.isoformat(), rule.value, about, stamp(), said, told),
        )
        # Whose access it was does not stand in the audit: the one it is about may be allowed to read that.
        await self._audit.record(tx, "the appliance", "told of unusual access", rule.value, {"accounts told": told})

    async def _tell(self, tx: Transaction, actor: Actor, day: date, said: str) -> int:
        """Tell whoever comes first among ``WATCHERS``; a head is no judge of the access of a head."""
        link = f"/audit/looks?account={actor.account}&day={day.isoformat()}"
        for roles in WATCHERS:
            if actor.role is Role.HEAD and Role.HEAD in roles:
                continue
            told = await self._notices.tell(
                tx, words=said, kind="unusual access", link=link, roles=roles, without=[actor.account]
            )
            if told:
                return told
        return 0

    # Reading

    async def days(self, actor: Actor, until: date, account: str = "") -> list[Row]:
        """For four weeks up to ``until``, newest first, each account that looked: numbers, and no child's name.

        Columns: day, account_id, name, people, outside, and for ``WATCHERS``, but never about themselves: unusual
        (words, else empty) and told (how many people were told of that).
        """
        watches = any(actor.role in roles for roles in WATCHERS)
        return await self._records.fetch(
            "SELECT looks.day, looks.account_id, staff_accounts.name, count(*) AS people,"
            " sum(looks.outside_hours) AS outside, coalesce(found.words, '') AS unusual, found.told"
            " FROM looks JOIN staff_accounts ON staff_accounts.id = looks.account_id"
            " LEFT JOIN (SELECT account_id, day, group_concat(words, ' ') AS words, max(told) AS told"
            " FROM unusual_looks WHERE ? AND account_id <> ? GROUP BY account_id, day) AS found"
            " ON found.account_id = looks.account_id AND found.day = looks.day"
            " WHERE looks.day > ? AND looks.day <= ? AND ? IN ('', looks.account_id)"
            " GROUP BY looks.day, looks.account_id ORDER BY looks.day DESC, people DESC, staff_accounts.name",
            (watches, actor.account, _iso(until - timedelta(days=PAGE_DAYS)), _iso(until), account),
        )

    async def newest_day(self, until: date, account: str = "") -> date | None:
        """The newest day up to ``until`` on which anybody looked, or this account."""
        row = await self._records.fetch_one(
            "SELECT max(day) AS day FROM looks WHERE day <= ? AND ? IN ('', account_id)", (_iso(until), account)
        )
        return date.fromisoformat(row["day"]) if row and row["day"] else None

    async def of_day(self, actor: Actor, account: str, day: date) -> list[Row]:
        """The looks of one account on one day, at those children whose records ``actor`` may see.

        Columns: person_id, name, at, reason, outside_hours.
        """
        allowed = visible(actor, "looks.person_id")
        return await self._records.fetch(
            "SELECT looks.person_id, people.name, looks.at, looks.reason, looks.outside_hours"  # noqa: S608
            " FROM looks JOIN people ON people.id = looks.person_id"
            f" WHERE looks.account_id = ? AND looks.day = ? AND {allowed.sql} ORDER BY looks.at, people.sort_name",
            (account, _iso(day), *allowed.parameters),
        )

    async def names(self, actor: Actor, ids: Iterable[str]) -> dict[str, str | None]:
        """The name of each of ``ids`` that is a person's; ``None`` if ``actor`` may not see that person's records."""
        wanted = sorted(set(ids))
        allowed = visible(actor, "people.id")
        marks = ", ".join("?" * len(wanted))
        rows = await self._records.fetch(
            f"SELECT id, CASE WHEN {allowed.sql} THEN name END AS name FROM people WHERE id IN ({marks})",  # noqa: S608
            (*allowed.parameters, *wanted),
        )
        return {row["id"]: row["name"] for row in rows}

    async def forget(self) -> None:
        """Delete looks and findings of more than a school year ago (a daily job)."""
        before = _iso(self.today() - KEPT)
        async with self._records.transaction() as tx:
            await tx.execute("DELETE FROM looks WHERE day < ?", (before,))
            await tx.execute("DELETE FROM unusual_looks WHERE day < ?", (before,))


async def _access(tx: Transaction, account: str, person: str, day: date) -> Access:
    """What the rules need to know of an account, the look that was just kept included."""
    today, since = _iso(day), _iso(day - timedelta(days=WINDOW_DAYS))
    rows = await tx.fetch(
        "SELECT day, count(*) AS people, sum(outside_hours) AS outside FROM looks"
        " WHERE account_id = ? AND day > ? AND day <= ? GROUP BY day",
        (account, since, today),
    )
    by_day = {row["day"]: row for row in rows}
    present = by_day.pop(today)
    same = await tx.fetch_one(
        "SELECT count(*) AS days, coalesce(sum(reason IN (?, ?)), 0) AS answered FROM looks"
        " WHERE account_id = ? AND person_id = ? AND day > ? AND day <= ?",
        (Reason.REPORTED.value, Reason.ASKED.value, account, person, since, today),
    )
    assert same is not None
    return Access(
        people_today=present["people"],
        earlier_days=[row["people"] for row in by_day.values()],
        outside_today=present["outside"],
        same_person_days=0 if same["answered"] else same["days"],
    )


async def _was_said(tx: Transaction, account: str, rule: Rule, about: str, day: date) -> bool:
    quiet = timedelta(days=WINDOW_DAYS if rule.about_one_person else 1)
    return bool(
        await tx.fetch_one(
            "SELECT 1 FROM unusual_looks WHERE account_id = ? AND rule = ? AND person_id = ? AND day > ?",
            (account, rule.value, about, _iso(day - quiet)),
        )
    )


def _iso(day: date) -> str:
    return day.isoformat()
