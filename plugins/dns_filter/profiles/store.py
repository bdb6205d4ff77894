"""Everything that pages have set about profiles: switches, entries and pauses, in memory too for all who ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from appliance.api import (
    Appliance,
    Data,
    Refused,
    Role,
    Row,
    Target,
    TargetKind,
    Transaction,
    new_id,
    now,
    stamp,
)

from .entries import Entry
from .forms import end_of
from .model import Change

_LEADS = (Role.LEAD, Role.DEPUTY)
CHANGES, ENTRIES, PAUSES = "dns_filter_profile_changes", "dns_filter_entries", "dns_filter_pauses"
TRIAL = "trial run of the web filter"
"""The kind of the notice that the suggested week is over."""
SUGGESTED = timedelta(days=7)
"""How long a trial run is suggested to be, and is where nobody says until when."""
_OPEN_CHANGES = (
    "SELECT id, profile, switch, value, author, reason, set_at, until FROM dns_filter_profile_changes"
    " WHERE undone_at IS NULL AND (until IS NULL OR until > ?) ORDER BY set_at, id"
)
_OPEN_ENTRIES = (
    "SELECT id, action, domain, profile, author, reason, made_at, until, target_kind, target FROM dns_filter_entries"
    " WHERE undone_at IS NULL AND (until IS NULL OR until > ?) ORDER BY made_at, id"
)
_KNOWN: Mapping[TargetKind, str] = {
    TargetKind.GROUP: "SELECT name AS called FROM groups WHERE id = ?",
    TargetKind.DEVICE: "SELECT name AS called FROM devices WHERE id = ? AND removed_at IS NULL",
    TargetKind.PERSON: "SELECT id AS called FROM people WHERE id = ? AND left_at IS NULL",
}
_OPEN_PAUSES = (
    "SELECT id, profile, author, reason, began_at, until FROM dns_filter_pauses"
    " WHERE ended_at IS NULL AND until > ? ORDER BY began_at, id"
)


@dataclass(frozen=True, slots=True)
class Pause:
    """Minutes in which a profile blocks nothing but locked lists."""

    id: str
    profile: str
    author: str
    reason: str
    began_at: str
    until: str


@dataclass(frozen=True, slots=True)
class News:
    """What the leads are told of a change. ``link``: where it stands; ``account``: who made it and need not be told."""

    words: str
    link: str
    account: str


@dataclass(frozen=True, slots=True)
class InForce:
    """What was set and is neither undone nor over; each thing carries its end, the oldest comes first."""

    changes: tuple[Change, ...] = ()
    entries: tuple[Entry, ...] = ()
    pauses: Mapping[str, Pause] = field(default_factory=dict)

    def changes_of(self, profile: str, at: str) -> list[Change]:
        """The changes of a profile at a moment (a stamp)."""
        return [one for one in self.changes if one.profile == profile and (one.until is None or one.until > at)]

    def entries_of(self, profile: str, at: str) -> list[Entry]:
        """The entries that count for a profile at a moment."""
        return [one for one in self._of_profile(profile) if one.until is None or one.until > at]

    def for_somebody(self) -> list[Entry]:
        """The entries that count for one group, device or person, whatever their profile is."""
        return [one for one in self.entries if one.for_whom is not None]

    def _of_profile(self, profile: str) -> list[Entry]:
        return [one for one in self.entries if one.for_whom is None and one.profile in ("", profile)]

    def pause_of(self, profile: str, at: str) -> Pause | None:
        """The pause of a profile at a moment."""
        found = self.pauses.get(profile)
        return found if found is not None and found.until > at else None

    def ends_of(self, profile: str, at: str) -> list[str]:
        """The moments after ``at`` at which something of a profile ends, in order."""
        ends = {one.until for one in self.changes if one.profile == profile}
        ends |= {one.until for one in self._of_profile(profile)}
        pause = self.pause_of(profile, at)
        return sorted(end for end in ends | {pause.until if pause else None} if end is not None and end > at)


class Store:
    """Reads and writes. ``start`` before use; ``in_force`` is as new as the last commit."""

    def __init__(self, appliance: Appliance) -> None:
        self._records = appliance.records
        self._audit = appliance.audit
        self._notices = appliance.notices
        self._zone = ZoneInfo(appliance.config.settings.school.timezone)
        self.in_force = InForce()

    @staticmethod
    def data() -> Sequence[Data]:
        """What the tables hold."""
        return [
            Data(CHANGES, "What pages changed about web filter profiles, by whom and why."),
            Data(ENTRIES, "Sites that the school allows or blocks, for whom (it may be a pupil), by whom and why."),
            Data(PAUSES, "When a web filter profile was paused, by whom and why."),
        ]

    async def start(self) -> None:
        """Read what is in force."""
        moment = stamp()
        self._take(
            await self._records.fetch(_OPEN_CHANGES, (moment,)),
            await self._records.fetch(_OPEN_ENTRIES, (moment,)),
            await self._records.fetch(_OPEN_PAUSES, (moment,)),
        )

    def _take(self, changes: Sequence[Row], entries: Sequence[Row], pauses: Sequence[Row]) -> None:
        self.in_force = InForce(
            tuple(Change(**dict(row)) for row in changes),
            tuple(map(entry_of, entries)),
            {row["profile"]: Pause(**dict(row)) for row in pauses},
        )

    async def _take_after_commit(self, tx: Transaction) -> None:
        moment = (stamp(),)
        rows = [await tx.fetch(sql, moment) for sql in (_OPEN_CHANGES, _OPEN_ENTRIES, _OPEN_PAUSES)]
        tx.after_commit.append(lambda: self._take(*rows))

    async def began_at(self) -> str:
        """When these profiles came to this box (a stamp): the first week is counted from there."""
        row = await self._records.fetch_one(
            "SELECT min(applied_at) AS began FROM migrations WHERE owner = 'dns_filter'"
        )
        return str(row["began"] or "") if row else ""

    async def remind_of_trial(self, titles: Sequence[str]) -> None:
        """Tell IT and the leads once that the suggested week is over (again when notices that old are forgotten)."""
        async with self._records.transaction() as tx:
            if await tx.fetch_one("SELECT 1 FROM notices WHERE kind = ?", (TRIAL,)) is None:
                words = "The suggested week of the web filter’s trial run is over, and it blocks nothing yet for: "
                await self._notices.tell(
                    tx,
                    words=f"{words}{', '.join(titles)}.",
                    kind=TRIAL,
                    link="/dns_filter/profiles",
                    roles=(*_LEADS, Role.IT),
                )

    # Switches of profiles

    async def change(
        self,
        actor: str,
        profile: str,
        switches: Mapping[str, str],
        reason: str,
        until: datetime | None,
        news: News | None = None,
    ) -> None:
        """Set switches of a profile, all with one reason. A trial run always ends, and the profile blocks then."""
        _must_say_why(reason)
        _must_lie_ahead(until)
        ends, moment = stamp(until) if until else None, stamp()
        rows = [(switch, value, ends) for switch, value in switches.items()]
        if switches.get("mode") == "watch":
            rows.remove(("mode", "watch", ends))
            rows += [("mode", "block", None), ("mode", "watch", ends or self._end_of_trial())]
        async with self._records.transaction() as tx:
            await tx.executemany(
                "INSERT INTO dns_filter_profile_changes (id, profile, switch, value, author, reason, set_at, until)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [(new_id(), profile, switch, value, actor, reason, moment, end) for switch, value, end in rows],
            )
            detail = {**switches, "until": ends, "reason": reason}
            await self._audit.record(tx, actor, "changed a web filter profile", f"profile {profile}", detail)
            await self.tell_within(tx, news)
            await self._take_after_commit(tx)

    def _end_of_trial(self) -> str:
        return stamp(end_of(now().astimezone(self._zone).date() + SUGGESTED, self._zone))

    async def tell_within(self, tx: Transaction, news: News | None) -> None:
        """Tell the leads, if there is something to tell, as a part of what it is about: both are kept or neither is."""
        if news is not None:
            await self._notices.tell(
                tx, words=news.words, kind="web filter", link=news.link, roles=_LEADS, without=(news.account,)
            )

    async def undo_change(self, actor: str, change_id: str, news: News | None = None) -> Row:
        """Take one switch back: what was set before it, or what the profile came with, applies again. What was set in
        the same moment for the end of a trial run goes with it."""
        async with self._records.transaction() as tx:
            row = await _open(tx, CHANGES, change_id)
            await tx.execute(
                "UPDATE dns_filter_profile_changes SET undone_at = ?, undone_by = ?"
                " WHERE profile = ? AND switch = ? AND set_at = ? AND undone_at IS NULL",
                (stamp(), actor, row["profile"], row["switch"], row["set_at"]),
            )
            detail = {row["switch"]: row["value"]}
            await self._audit.record(
                tx, actor, "undid a change of a web filter profile", f"profile {row['profile']}", detail
            )
            await self.tell_within(tx, news)
            await self._take_after_commit(tx)
        return row

    async def history(self, profile: str, limit: int = 100) -> list[Row]:
        """What was changed about a profile, newest first, undone and ended ones included."""
        return await self._records.fetch(
            "SELECT * FROM dns_filter_profile_changes WHERE profile = ? ORDER BY set_at DESC, id DESC LIMIT ?",
            (profile, limit),
        )

    # Entries

    async def add_entry(
        self,
        actor: str,
        action: str,
        domain: str,
        profile: str,
        reason: str,
        until: datetime | None,
        for_whom: Target | None = None,
    ) -> str:
        """Make an entry; returns its id. Whether it may be made is decided before (``entries.refusal``)."""
        async with self._records.transaction() as tx:
            return await self.add_entry_within(tx, actor, action, domain, profile, reason, until, for_whom)

    async def add_entry_within(
        self,
        tx: Transaction,
        actor: str,
        action: str,
        domain: str,
        profile: str,
        reason: str,
        until: datetime | None,
        for_whom: Target | None = None,
    ) -> str:
        """``add_entry`` as a part of a unit of work that keeps more."""
        _must_say_why(reason)
        _must_lie_ahead(until)
        await _must_be_there(tx, for_whom)
        kind, target = ("", "") if for_whom is None else (for_whom.kind.value, for_whom.id)
        same = await tx.fetch_one(
            "SELECT 1 FROM dns_filter_entries WHERE action = ? AND domain = ? AND profile = ? AND target_kind = ?"
            " AND target = ? AND undone_at IS NULL AND (until IS NULL OR until > ?)",
            (action, domain, profile, kind, target, stamp()),
        )
        if same is not None:
            raise Refused(f"There is an entry already that does this for {domain}.", "Look below; undo that one first.")
        entry_id, ends = new_id(), stamp(until) if until else None
        await tx.execute(
            "INSERT INTO dns_filter_entries"
            " (id, action, domain, profile, author, reason, made_at, until, target_kind, target)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (entry_id, action, domain, profile, actor, reason, stamp(), ends, kind, target),
        )
        detail = {**await _for_record(tx, profile, for_whom), "until": ends}
        if for_whom is None or for_whom.kind is TargetKind.NETWORKS:  # others may name a child: it stays in the row
            detail["reason"] = reason
        await self._audit.record(tx, actor, f"chose to {action} a site", domain, detail)
        await self._take_after_commit(tx)
        return entry_id

    async def allowed_within(self, tx: Transaction, domain: str, profile: str, until: datetime | None) -> str:
        """The entry in force that allows a domain for a profile at least until then (``None``: for ever), or ``""``."""
        row = await tx.fetch_one(
            "SELECT id FROM dns_filter_entries WHERE action = 'allow' AND domain = ? AND profile IN ('', ?)"
            " AND target_kind = '' AND undone_at IS NULL AND (until IS NULL OR until > ? AND until >= ?)"
            " ORDER BY profile DESC LIMIT 1",
            (domain, profile, stamp(), stamp(until) if until is not None else "9999"),
        )
        return str(row["id"]) if row is not None else ""

    async def undo_entry(self, actor: str, entry_id: str) -> Row:
        """Take an entry back."""
        async with self._records.transaction() as tx:
            row = await _open(tx, ENTRIES, entry_id)
            await tx.execute(
                "UPDATE dns_filter_entries SET undone_at = ?, undone_by = ? WHERE id = ?", (stamp(), actor, entry_id)
            )
            detail = await _for_record(tx, row["profile"], _whom(row))
            await self._audit.record(tx, actor, f"undid to {row['action']} a site", row["domain"], detail)
            await self._take_after_commit(tx)
        return row

    async def over(self, limit: int = 50) -> list[Row]:
        """Entries that were undone or came to their end, the newest first."""
        return await self._records.fetch(
            "SELECT * FROM dns_filter_entries WHERE undone_at IS NOT NULL OR until <= ?"
            " ORDER BY made_at DESC, id DESC LIMIT ?",
            (stamp(), limit),
        )

    # Pauses

    async def pause(self, actor: str, account: str, profile: str, title: str, minutes: int, reason: str) -> Pause:
        """Block nothing for some minutes but what locked lists name; the leads are told."""
        _must_say_why(reason)
        began = now()
        until = stamp(began + timedelta(minutes=minutes))
        pause = Pause(new_id(), profile, actor, reason, stamp(began), until)
        async with self._records.transaction() as tx:
            await self._end_open(tx, actor, profile)
            await tx.execute(
                "INSERT INTO dns_filter_pauses (id, profile, author, reason, began_at, until)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (pause.id, profile, actor, reason, pause.began_at, until),
            )
            detail = {"minutes": minutes, "reason": reason}
            await self._audit.record(tx, actor, "paused a web filter profile", f"profile {profile}", detail)
            words = f"{actor} paused the web filter for {title} for {minutes} minutes. Locked lists go on."
            await self.tell_within(tx, News(words, "/dns_filter/profiles", account))
            await self._take_after_commit(tx)
        return pause

    async def resume(self, actor: str, profile: str) -> None:
        """End a pause before its time."""
        async with self._records.transaction() as tx:
            if not await self._end_open(tx, actor, profile):
                raise Refused("This profile is not paused any more.", "Load the page again.")
            await self._audit.record(tx, actor, "resumed a web filter profile", f"profile {profile}")
            await self._take_after_commit(tx)

    @staticmethod
    async def _end_open(tx: Transaction, actor: str, profile: str) -> int:
        return await tx.execute(
            "UPDATE dns_filter_pauses SET ended_at = ?, ended_by = ?"
            " WHERE profile = ? AND ended_at IS NULL AND until > ?",
            (stamp(), actor, profile, stamp()),
        )


def _whom(row: Row) -> Target | None:
    return Target(TargetKind(row["target_kind"]), row["target"]) if row["target_kind"] else None


def entry_of(row: Row) -> Entry:
    """The entry of a row of the table."""
    plain = {name: row[name] for name in ("id", "action", "domain", "profile", "author", "reason", "made_at", "until")}
    return Entry(**plain, for_whom=_whom(row))


async def _for_record(tx: Transaction, profile: str, for_whom: Target | None) -> dict[str, str | None]:
    """For whom an entry is; nobody's name."""
    if for_whom is None:
        return {"profile": profile or "all profiles"}
    row = await tx.fetch_one(_KNOWN[for_whom.kind], (for_whom.id,)) if for_whom.kind in _KNOWN else None
    return {"for": f"{for_whom.kind.value} {row['called'] if row is not None else for_whom.id}"}


async def _must_be_there(tx: Transaction, for_whom: Target | None) -> None:
    if for_whom is None or for_whom.kind not in _KNOWN:
        return
    if await tx.fetch_one(_KNOWN[for_whom.kind], (for_whom.id,)) is None:
        raise Refused(f"There is no such {for_whom.kind.value} any more.", "Load the page again.")


def _must_say_why(reason: str) -> None:
    if not reason.strip():
        raise Refused("Say why, so that the next person understands.")


def _must_lie_ahead(until: datetime | None) -> None:
    if until is not None and until <= now():
        raise Refused("The end lies in the past.", "Choose a later time or leave it empty.")


async def _open(tx: Transaction, table: str, row_id: str) -> Row:
    row = await tx.fetch_one(f"SELECT * FROM {table} WHERE id = ? AND undone_at IS NULL", (row_id,))  # noqa: S608 - ours
    if row is None:
        raise Refused("This was undone already.", "Load the page again.")
    return row
