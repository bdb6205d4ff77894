"""Who is monitored: nobody, until a safeguarding lead switches it on for a group, a device or a person.

The switch is a value of the one resolver (``assignments``, kind ``monitoring``: off or on). What stands above it:

* Staff and governors stay off until somebody who is not the subject is named as their reviewer.
* Guests are on only by a choice for that guest, or for the device that they use; never by a group.
* Somebody who is not known counts as a pupil on a device that is on.
* Going live needs the four role holders and the school's written choice of monitoring; a trial with one group does not,
  and while there is one, nobody else is monitored.
* Nothing is captured before somebody can open captures.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal, Protocol
from zoneinfo import ZoneInfo

from appliance.access import Actor, Role, require
from appliance.accounts.staff import Account, Staff
from appliance.assignments import Assignments, Effective, Memberships, Target, TargetKind
from appliance.audit import Audit
from appliance.clock import now, parse, stamp
from appliance.db import Database, Row, Transaction
from appliance.errors import Refused
from appliance.hookspecs import Permission
from appliance.monitoring.papers import Audience, Choices, Told, line, text
from appliance.monitoring.reviewers import Reviewers
from appliance.monitoring.subjects import ADULTS, Subject, Subjects, decidable, refuse_about_oneself
from appliance.monitoring.trials import LONGEST, Decision, Trial, Trials, open_trial
from appliance.vaults import CAPTURES, Vaults

NOT_SHOWN = "not shown to you"
KIND = "monitoring"
OFF, ON = "off", "on"
TARGETS = (TargetKind.GROUP, TargetKind.DEVICE, TargetKind.PERSON)
ROLES_NEEDED = (Role.LEAD, Role.HEAD, Role.GOVERNOR, Role.IT)
"""Who has to be named before a school monitors (the DfE's filtering and monitoring standard)."""
TOLD_ALWAYS = (Audience.PUPILS, Audience.PARENTS, Audience.STAFF, Audience.GOVERNORS)
PEOPLE_AT_ONCE = 100
"""How many people are looked at before other work goes on."""
NO_REVIEWER = "staff and governors stay off until a reviewer is named for them"
GUEST = "guests stay off unless they, or the device that they use, were chosen"
NOBODY_OPENS = "nobody can open captures yet, so nothing is captured"

_STAYS_OFF = {NO_REVIEWER: "without reviewer", GUEST: "guest left out"}
_IN_FORCE = "a.undone_at IS NULL AND (a.until IS NULL OR a.until > ?)"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Directory(Memberships, Protocol):
    """Who is who, answered from memory."""

    def kind_of_person(self, person_id: str) -> str | None:
        """What somebody is (pupil, staff, governor, guest); ``None`` for an id that is not known."""


@dataclass(frozen=True, slots=True)
class Monitored:
    """Whether somebody is monitored, why in words, and whose switch decided (``None``: none)."""

    on: bool
    origin: str
    target: Target | None = None


@dataclass(frozen=True, slots=True)
class Switch:
    """What somebody wants to switch. ``policy``, ``policy_date`` and ``told`` are needed to switch on."""

    target: Target
    on: bool
    reason: str
    until: datetime | None
    policy: str = ""
    policy_date: date | None = None
    told: str = ""


@dataclass(frozen=True, slots=True)
class Reach:
    """What a change would do, in numbers of people: who would be switched, who is so already, who stays off and why.

    ``devices``: on how many devices whoever uses them is concerned.
    """

    pupils: int
    staff: int
    guests: int
    devices: int
    already: int
    without_reviewer: int
    guests_left_out: int
    own_choice: int

    @property
    def people(self) -> int:
        """How many people would be switched."""
        return self.pupils + self.staff + self.guests


@dataclass(frozen=True, slots=True)
class Entry:
    """One switch in force. ``policy``, ``policy_date`` and ``told`` are empty for what was switched off.

    ``people``: how many of a group are monitored now, or whether the person is (0 or 1).
    """

    row_id: str
    subject: Subject
    on: bool
    since: str
    author: str
    reason: str
    until: str | None
    policy: str
    policy_date: str
    told: str
    people: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How many are monitored now: people by what they are, and how many switches are on, by what they are for."""

    pupils: int
    staff: int
    guests: int
    groups: int
    devices: int
    chosen_people: int


@dataclass(frozen=True, slots=True)
class RoleHolder:
    """A role that a school needs, and the accounts that have it (invited or active)."""

    role: Role
    accounts: tuple[Account, ...]


@dataclass(frozen=True, slots=True)
class Missing:
    """Something without which going live is refused, in words. ``part`` says where it is put right."""

    part: Literal["role", "choice", "trial"]
    words: str


class Monitoring:
    """The switch, and everything that stands above it. ``start`` reads what the store holds; ``refresh`` again."""

    def __init__(
        self,
        records: Database,
        audit: Audit,
        assignments: Assignments,
        directory: Directory,
        staff: Staff,
        vaults: Vaults,
        timezone: str,
    ) -> None:
        self._records = records
        self._assignments = assignments
        self._directory = directory
        self._staff = staff
        self._vaults = vaults
        self.zone = ZoneInfo(timezone)
        self.told = Told(records, audit)
        self.choices = Choices(records, audit)
        self.trials = Trials(records, audit)
        self.subjects = Subjects(records)
        self.reviewers = Reviewers(records, audit, staff, self.subjects)
        self._trial: Trial | None = None
        assignments.declare(KIND, OFF, {}, (OFF, ON), TARGETS)

    async def start(self) -> None:
        """Read what is needed to answer from memory."""
        await self.refresh()

    async def refresh(self) -> None:
        """Read it again: after every change here, and by a job, because accounts change elsewhere."""
        await self.reviewers.refresh()
        self._trial = next((trial for trial in await self.trials.all() if trial.signed_at is None), None)
        await self._vaults.start()

    # The question that captures ask

    def is_monitored(
        self, person: str | None = None, device: str | None = None, at: datetime | None = None
    ) -> Monitored:
        """Whether what this person does on this device may be captured (default: now). Never, if neither is known."""
        if not self.can_open():
            return Monitored(False, NOBODY_OPENS)
        return self.chosen(person, device, at)

    def chosen(
        self,
        person: str | None = None,
        device: str | None = None,
        at: datetime | None = None,
        supposing: Mapping[Target, Effective | None] | None = None,
    ) -> Monitored:
        """``is_monitored`` by the school's choice alone, whether or not anybody can open captures."""
        kind = self._directory.kind_of_person(person) if person is not None else None
        known = person if kind is not None else None
        found = self._assignments.effective(KIND, person=known, device=device, at=at, supposing=supposing)
        if found.value != ON:
            return Monitored(False, found.origin, found.target)
        exempt = self._exempt(known, kind, found.target)
        return Monitored(not exempt, exempt or found.origin, found.target)

    def _exempt(self, person: str | None, kind: str | None, target: Target | None) -> str:
        """Why a switch that is on does not count for this person; empty if it does."""
        if kind in ADULTS and person is not None and not self.reviewers.has_one(person):
            return NO_REVIEWER
        if kind == "guest" and (target is None or target.kind is TargetKind.GROUP):
            return GUEST
        return ""

    # Facts for the top line, the home page and the page about monitoring

    def words(self) -> str:
        """For the top line of every page."""
        on = Counter(target.kind for target in self._assignments.given(KIND, ON))
        if not on:
            return "Monitoring is off"
        if self._trial is not None:
            return f"Monitoring: trial until {short_date(self.last_day(self._trial.ends_at))}"
        nouns = {TargetKind.GROUP: ("group", "groups"), TargetKind.DEVICE: ("device", "devices")}
        people = ("person", "people")
        parts = [f"{on[kind]} {nouns.get(kind, people)[on[kind] != 1]}" for kind in TARGETS if on[kind]]
        return f"Monitoring is on for {_and(parts)}"

    def last_day(self, ends: str) -> date:
        """The last day before an end (a UTC stamp), in the school's time zone."""
        return (parse(ends) - timedelta(milliseconds=1)).astimezone(self.zone).date()

    def today(self) -> date:
        """The day in the school's time zone."""
        return now().astimezone(self.zone).date()

    def can_open(self) -> bool:
        """Whether somebody can open captures; nothing is captured before."""
        return self._vaults.can_be_opened(CAPTURES)

    def role_holders(self) -> list[RoleHolder]:
        """The roles that a school needs, and who has them."""
        return [RoleHolder(role, tuple(self._staff.with_role(role))) for role in ROLES_NEEDED]

    async def anything_on(self) -> bool:
        """Whether a switch is on, a trial's included."""
        return bool(self._assignments.given(KIND, ON))

    async def has_choice(self) -> bool:
        """Whether the choice of monitoring is written down."""
        return await self.choices.is_made()

    async def had_trial(self) -> bool:
        """Whether there was a trial, or is one."""
        return bool(await self.trials.all())

    def trial(self) -> Trial | None:
        """The trial whose report is not signed yet."""
        return self._trial

    async def missing(self) -> list[Missing]:
        """What stands in the way of going live."""
        found = [
            Missing("role", f"Nobody has the role “{holder.role.label}” yet.")
            for holder in self.role_holders()
            if not holder.accounts
        ]
        if not await self.choices.is_made():
            found.append(Missing("choice", "The choice of monitoring, and why, is not written down yet."))
        if self._trial is not None:
            group = self._trial.group_name
            found.append(Missing("trial", f"There is a trial with {group}, and its report is not signed yet."))
        return found

    async def told_missing(self) -> list[Audience]:
        """Who has to know and was not told yet: those whom every school tells, and guests where they are concerned."""
        latest = await self.told.latest()
        concerned = [*TOLD_ALWAYS, *([Audience.GUESTS] if self._guests_concerned() else [])]
        return [audience for audience in concerned if audience not in latest]

    def _guests_concerned(self) -> bool:
        on = self._assignments.given(KIND, ON)
        return any(
            target.kind is TargetKind.DEVICE or self._directory.kind_of_person(target.id) == "guest" for target in on
        )

    async def counts(self) -> Counts:
        """How many are monitored now. Numbers alone, for whoever may see monitoring."""
        on = self._assignments.given(KIND, ON)
        switches = Counter(target.kind for target in on)
        people = Counter(kind for _, kind in await self._monitored_people())
        return Counts(
            people["pupil"],
            people["staff"] + people["governor"],
            people["guest"],
            switches[TargetKind.GROUP],
            switches[TargetKind.DEVICE],
            switches[TargetKind.PERSON],
        )

    async def _monitored_people(self) -> list[tuple[str, str]]:
        """Id and kind of everybody who is monitored now. For counting; lets others work in between."""
        if not self._assignments.given(KIND, ON):
            return []
        found = []
        rows = await self._records.fetch("SELECT id, kind FROM people WHERE left_at IS NULL")
        for number, row in enumerate(rows):
            if self.chosen(row["id"]).on:
                found.append((row["id"], row["kind"]))
            if number % PEOPLE_AT_ONCE == 0:
                await asyncio.sleep(0)
        return found

    async def entries(self, actor: Actor) -> list[Entry]:
        """Every switch in force, the newest first; those for people only as far as ``actor`` may see them."""
        require(actor, Permission.SEE_MONITORING)
        rows = await self._rows(actor, _IN_FORCE, (stamp(),))
        newest: dict[Target, Row] = {}
        for row in rows:
            newest.setdefault(Target(TargetKind(row["target_kind"]), row["target"]), row)
        monitored = [person for person, _ in await self._monitored_people()]
        people = Counter(Target(TargetKind.PERSON, person) for person in monitored)
        people.update(
            Target(TargetKind.GROUP, group)
            for person in monitored
            for group in self._directory.groups_of_person(person)
        )
        return [_entry(target, row, people[target]) for target, row in newest.items()]

    async def history(self, actor: Actor, limit: int = 50) -> list[Row]:
        """What was switched, newest first, undone and ended switches too; about people as in ``entries``."""
        require(actor, Permission.SEE_MONITORING)
        return await self._rows(actor, "1", (), limit)

    async def _rows(self, actor: Actor, condition: str, parameters: Sequence[str], limit: int = 10_000) -> list[Row]:
        seen = decidable(actor, "person")
        # What was typed may name a child: it is for those who see records about pupils.
        texts = (
            "a.reason, s.told"
            if actor.may(Permission.SEE_PEOPLE)
            else f"'{NOT_SHOWN}' AS reason, '{NOT_SHOWN}' AS told"
        )
        return await self._records.fetch(
            "SELECT a.id, a.target_kind, a.target, a.value, a.author, a.set_at, a.until, a.undone_at, a.undone_by,"  # noqa: S608
            f" {texts}, s.policy, s.policy_date, coalesce(g.name, d.name, p.name, '') AS name,"
            " coalesce(g.kind, p.kind, '') AS sort FROM assignments a"
            " LEFT JOIN monitoring_switches s ON s.assignment_id = a.id"
            " LEFT JOIN groups g ON a.target_kind = 'group' AND g.id = a.target"
            " LEFT JOIN devices d ON a.target_kind = 'device' AND d.id = a.target"
            " LEFT JOIN people p ON a.target_kind = 'person' AND p.id = a.target"
            f" WHERE a.kind = ? AND {condition} AND (a.target_kind <> 'person' OR EXISTS ("
            f"SELECT 1 FROM people person WHERE person.id = a.target AND {seen.sql}))"
            " ORDER BY a.set_at DESC, a.id DESC LIMIT ?",
            (KIND, *parameters, *seen.parameters, limit),
        )

    async def people_on(self, target: Target, supposing: Mapping[Target, Effective | None] | None = None) -> int:
        """How many people in a group are monitored, or whether the person is; for a device always 0."""
        return sum(self.chosen(person, supposing=supposing).on for person, _ in await self.subjects.people_of(target))

    async def reach(self, target: Target, value: str | None) -> Reach:
        """What it would do to set ``value`` (``None``: nothing) for a target; whoever is not concerned is left out."""
        supposed = _supposing(target, value)
        done: Counter[str] = Counter()
        for person, kind in await self.subjects.people_of(target):
            before, after = self.chosen(person), self.chosen(person, supposing=supposed)
            done[self._effect(kind, before, after, value == ON)] += 1
        return Reach(
            done["pupil"],
            done["staff"] + done["governor"],
            done["guest"],
            await self.subjects.devices_of(target),
            done["already"],
            done["without reviewer"],
            done["guest left out"],
            done["own choice"],
        )

    def _effect(self, kind: str, before: Monitored, after: Monitored, on: bool) -> str:
        if before.on != after.on:
            return kind
        if after.on == on:
            return "already"
        if after.target is not None and after.target.kind is TargetKind.PERSON and not after.on:
            return _STAYS_OFF.get(after.origin, "own choice")
        return _STAYS_OFF.get(after.origin, "")

    # Switching

    async def switch(self, actor: Actor, wanted: Switch) -> None:
        """Switch monitoring on or off. Raises ``Refused`` in words that name everything that is missing."""
        await self._check(actor, wanted.target, on=wanted.on)
        if wanted.on:
            await self._refuse_unless_ready()
        async with self._records.transaction() as tx:
            await self._switch_within(tx, actor, wanted)

    async def _check(self, actor: Actor, target: Target, *, on: bool) -> Subject:
        require(actor, Permission.SWITCH_MONITORING)
        subject = await self.subjects.get(actor, target)
        if target.kind is TargetKind.PERSON:
            refuse_about_oneself(actor, subject)
            if on and subject.is_adult and not self.reviewers.has_one(target.id):
                raise Refused(
                    "Staff and governors are not monitored before somebody else is named to review what is found.",
                    "Name a reviewer first.",
                )
        return subject

    async def _refuse_unless_ready(self) -> None:
        missing = await self.missing()
        if missing:
            words = " ".join(one.words for one in missing)
            raise Refused(f"Monitoring cannot go live yet. {words}", "Put that right first.")

    async def _switch_within(self, tx: Transaction, actor: Actor, wanted: Switch) -> str:
        note = {}
        if wanted.on:
            told = text(wanted.told, "who was told, and how")
            note = {
                "policy": line(wanted.policy, "under which policy of the school"),
                "policy_date": self._dated(wanted),
            }
        row_id = await self._assignments.assign_within(
            tx, actor.name, KIND, wanted.target, ON if wanted.on else OFF, wanted.reason.strip(), wanted.until, note
        )
        if wanted.on:
            row = (row_id, note["policy"], note["policy_date"], told)
            await tx.execute("INSERT INTO monitoring_switches VALUES (?, ?, ?, ?)", row)
        return row_id

    def _dated(self, wanted: Switch) -> str:
        if wanted.policy_date is None:
            raise Refused("Say which date the policy bears.")
        if wanted.policy_date > self.today():
            raise Refused("The policy bears a date that is still to come.", "Switch on once it is in force.")
        return wanted.policy_date.isoformat()

    async def entry(self, actor: Actor, row_id: str) -> Entry:
        """One switch in force that could be undone; raises ``Refused``, also for what ``actor`` may not see."""
        require(actor, Permission.SEE_MONITORING)
        rows = await self._rows(actor, f"{_IN_FORCE} AND a.id = ?", (stamp(), row_id))
        if not rows:
            raise Refused("This switch was undone already or has ended.", "Load the page again.")
        (row,) = rows
        target = Target(TargetKind(row["target_kind"]), row["target"])
        return _entry(target, row, await self.people_on(target))

    def value_without(self, entry: Entry) -> str | None:
        """What would be set for the target if this switch were undone."""
        own = self._assignments.own(KIND, entry.subject.target, without=entry.row_id)
        return own.value if own is not None else None

    async def undo(self, actor: Actor, row_id: str) -> None:
        """Take a switch back: what applied before applies again. Switches on again only what may go live."""
        require(actor, Permission.SWITCH_MONITORING)
        entry = await self.entry(actor, row_id)
        if entry.subject.target.kind is TargetKind.PERSON:
            refuse_about_oneself(actor, entry.subject)
        if self._trial is not None and self._trial.assignment_id == row_id:
            raise Refused("This switch belongs to the trial.", "End the trial instead.")
        if not entry.on and await self._is_on_beneath(entry):
            await self._refuse_unless_ready()
        async with self._records.transaction() as tx:
            await self._assignments.undo_within(tx, actor.name, KIND, row_id)

    async def _is_on_beneath(self, entry: Entry) -> bool:
        """Whether an older switch would come back on, at once or later, if this one were undone."""
        target = entry.subject.target
        found = await self._records.fetch_one(
            "SELECT 1 FROM assignments a WHERE a.kind = ? AND a.target_kind = ? AND a.target = ?"  # noqa: S608
            f" AND a.value = ? AND a.id <> ? AND {_IN_FORCE}",
            (KIND, target.kind.value, target.id, ON, entry.row_id, stamp()),
        )
        return found is not None

    # A trial with one group

    async def start_trial(self, actor: Actor, wanted: Switch, days: Collection[date]) -> str:
        """Switch monitoring on for one group for a while, with days on which to ask how it goes; returns its id."""
        group = await self._check(actor, wanted.target, on=True)
        self._check_trial(wanted, days)
        reach = await self.reach(wanted.target, ON)
        if not reach.people and not reach.devices:
            raise Refused(f"Nobody in {group.name} would be monitored.", "Choose a group that has pupils in it.")
        assert wanted.until is not None
        async with self._records.transaction() as tx:
            row_id = await self._switch_within(tx, actor, wanted)
            named = {"id": group.target.id, "name": group.name}
            trial_id = await self.trials.start_within(tx, actor, named, reach.people, row_id, wanted.until, days)
        await self.refresh()
        return trial_id

    def _check_trial(self, wanted: Switch, days: Collection[date]) -> None:
        if wanted.target.kind is not TargetKind.GROUP:
            raise Refused("A trial is with one group.")
        if self._trial is not None:
            raise Refused("There is a trial already.", "Sign its report first.")
        if self._assignments.given(KIND, ON, or_later=True):
            raise Refused(
                "Somebody is monitored already, or will be again by a switch that comes back by itself.",
                "Undo what is switched on first: in a trial nobody else is monitored.",
            )
        if wanted.until is None or not now() < wanted.until <= now() + LONGEST + timedelta(days=1):
            raise Refused(f"A trial needs a last day, at most {LONGEST.days // 7} weeks from now.")
        last = self.last_day(stamp(wanted.until))
        if not days or min(days) < self.today() or max(days) > last:
            raise Refused("Name at least one day for feedback, between today and the last day of the trial.")

    async def add_feedback(self, actor: Actor, trial_id: str, day: date, note: str) -> None:
        """Write down what people said on one of the agreed days. The note must name no pupil."""
        require(actor, Permission.SWITCH_MONITORING)
        await self.trials.add_feedback(actor, trial_id, day, note, self.today())

    async def sign_trial(self, actor: Actor, trial_id: str, decision: Decision, findings: str) -> None:
        """Sign the report, which ends the trial: monitoring of its group ends too, if it still goes on.

        Going on afterwards is a switch like any other, with all that going live needs.
        """
        require(actor, Permission.SWITCH_MONITORING)
        kept = text(findings, "what you found, and why you decide so")
        group = Target(TargetKind.GROUP, (await self.trials.get(trial_id)).group_id)
        people = await self.people_on(group, _supposing(group, ON))
        async with self._records.transaction() as tx:
            trial = await open_trial(tx, trial_id)
            await self.trials.sign_within(tx, actor, trial, people, decision, kept)
            if trial["ends_at"] > stamp():
                await self._assignments.undo_within(tx, actor.name, KIND, trial["assignment_id"])
        await self.refresh()

    async def switches_of(self, trial: Trial) -> list[Row]:
        """What happened to the switch of a trial's group while the trial was open, oldest first."""
        return await self._records.fetch(
            "SELECT * FROM assignments WHERE kind = ? AND target_kind = 'group' AND target = ?"
            " AND set_at >= (SELECT set_at FROM assignments WHERE id = ?) AND set_at <= ? ORDER BY set_at, id",
            (KIND, trial.group_id, trial.assignment_id, trial.signed_at or stamp()),
        )


def _entry(target: Target, row: Row, people: int) -> Entry:
    return Entry(
        row_id=row["id"],
        subject=Subject(target, row["name"], row["sort"]),
        on=row["value"] == ON,
        since=row["set_at"],
        author=row["author"],
        reason=row["reason"],
        until=row["until"],
        policy=row["policy"] or "",
        policy_date=row["policy_date"] or "",
        told=row["told"] or "",
        people=people,
    )


def short_date(day: date) -> str:
    """``12 Dec``."""
    return f"{day.day} {_MONTHS[day.month - 1]}"


def _supposing(target: Target, value: str | None) -> Mapping[Target, Effective | None]:
    return {target: Effective(value, "would be", target) if value is not None else None}


def _and(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
