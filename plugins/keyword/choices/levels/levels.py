"""How much of each policy counts for somebody at a moment: set, undone, and asked for on every finding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from appliance.api import Actor, Appliance, Refused, Role, Target, TargetKind, Transaction, now, stamp

from ...library.model import Policy
from ..decisions import DECIDE, EDIT, must_say_why, require
from ..model import DEFAULT_LEVEL, LEVELS, OFF_LEVEL
from .hours import IN_SCHOOL, OUT_OF_SCHOOL, SchoolClock
from .model import FOR_ALL, GRAVE, READING, STRICTNESS, Level, Timed, Whom, decide, of_assignment
from .store import Store

KIND = "keyword:"
"""What levels of a policy are called among everything that can be set for somebody: this and the policy's name."""
FEWEST_OF_MOST = 10
"""Pupils of a group that may be most of a school; in a smaller directory hardly anybody is known yet."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A policy and the level that somebody would get."""

    policy: Policy
    level: Level


class Levels:
    """``policies()``: those in force by name. ``changed`` is called after each change. ``declare`` before use."""

    def __init__(
        self,
        appliance: Appliance,
        store: Store,
        policies: Callable[[], Mapping[str, Policy]],
        changed: Callable[[], None],
    ) -> None:
        self._appliance = appliance
        self._assignments = appliance.assignments
        self._store = store
        self._policies = policies
        self._changed = changed
        settings = appliance.config.settings
        self.clock = SchoolClock(settings.timetable, settings.school.timezone)
        self._declared: set[str] = set()

    def declare(self) -> None:
        """Make levels of every policy that there is now assignable; what counts for everybody is their default."""
        for name in self._policies():
            level = self.for_everybody(name)
            self._assignments.declare(KIND + name, level, {}, tuple(LEVELS), tuple(TargetKind))
        self._declared = set(self._policies())

    # Asking

    def level(self, policy: str, whom: Whom, at: datetime) -> Level:
        """How much of a policy counts. A policy that has just come has the level that all begin with."""
        if policy not in self._declared:
            return Level(DEFAULT_LEVEL, "the default")
        found = self._assignments.effective(
            KIND + policy, person=whom.person, device=whom.device, address=whom.address, at=at
        )
        lasting = of_assignment(found)
        if found.target is None and (for_all := self._store.kept.for_all.get(policy)) is not None:
            lasting = Level(lasting.level, f"set for everybody by {for_all.author}: {for_all.reason}")
        return decide(policy, lasting, self.timed_for(whom, at))

    def at_most(self, policy: str, whom: Whom) -> str:
        """The strictest level that a policy may have for somebody at any hour and address: what devices look for."""
        if policy not in self._declared:
            return DEFAULT_LEVEL
        found = self._assignments.effective(KIND + policy, person=whom.person, device=whom.device)
        lasting = found.value if found.target is not None else self.for_everybody(policy)
        targets = self._targets(whom)
        timed = (
            one.level
            for one in self._store.kept.timed
            if one.policy in ("", policy)
            and ((one.target_kind, one.target) in targets or one.target_kind == TargetKind.NETWORKS)
        )
        return max((lasting, *timed, *self._at_addresses(policy)), key=STRICTNESS.__getitem__)

    def _at_addresses(self, policy: str) -> list[str]:
        """Levels that are set for groups of networks, if there are any."""
        if not any(group.addresses for group in self._appliance.config.settings.groups):
            return []
        return [level for level in LEVELS if any(one.kind is TargetKind.NETWORKS for one in self._given(policy, level))]

    def _given(self, policy: str, level: str) -> frozenset[Target]:
        return self._assignments.given(KIND + policy, level, or_later=True)

    def for_everybody(self, policy: str) -> str:
        """The level of a policy where nothing closer is set."""
        found = self._store.kept.for_all.get(policy)
        return found.level if found is not None else DEFAULT_LEVEL

    def timed_for(self, whom: Whom, at: datetime) -> list[Timed]:
        """What is in force for somebody at a moment because of the hour."""
        targets = self._targets(whom)
        return [
            one
            for one in self._store.timed_at(at)
            if (one.target_kind, one.target) in targets and self.clock.in_force(one, at)
        ]

    def _targets(self, whom: Whom) -> set[tuple[str, str]]:
        directory = self._appliance.directory
        groups = set(directory.groups_of_person(whom.person)) if whom.person is not None else set()
        groups |= set(directory.groups_of_device(whom.device)) if whom.device is not None else set()
        around = self._assignments.groups_of_address(whom.address) if whom.address is not None else ()
        return {("all", ""), *(("group", one) for one in groups), *(("networks", one) for one in around)}

    def all_for(self, whom: Whom, at: datetime) -> list[Shown]:
        """Every policy with its level, for the page that explains."""
        return [Shown(policy, self.level(name, whom, at)) for name, policy in self._policies().items()]

    def reading(self) -> tuple[str, ...]:
        """Policies that count for somebody, now or at some hour, in what is read too."""
        timed = {one.policy for one in self._store.kept.timed if one.level == READING}
        if "" in timed:
            return tuple(self._policies())
        for_all = {name for name, one in self._store.kept.for_all.items() if one.level == READING}
        given = {name for name in self._declared if self._assignments.given(KIND + name, READING, or_later=True)}
        return tuple(name for name in self._policies() if name in timed | for_all | given)

    # Changing

    async def set_for_all(self, actor: Actor, policy: str, level: str, reason: str) -> None:
        """Set the level of a policy for everybody for whom nothing closer is set."""
        self._check_policy(policy)
        self._check(actor, policy, level, reason, everybody=True)
        async with self._appliance.records.transaction() as tx:
            await self._store.set_for_all(tx, actor.name, policy, level, reason)
            detail = {"level": level, "reason": reason}
            await self._appliance.audit.record(tx, actor.name, "set a level for everybody", f"policy {policy}", detail)
            if level == OFF_LEVEL:
                await self._tell_of_nothing(tx, actor, policy)
            await self._store.take_after_commit(tx)
            tx.after_commit.append(self._changed)

    async def _tell_of_nothing(self, tx: Transaction, actor: Actor, policy: str) -> None:
        """A slip of one person must not silence a policy for a whole school without anybody else knowing."""
        title = self._policies()[policy].title
        await self._appliance.notices.tell(
            tx,
            words=f"{actor.name} chose that nothing of the policy “{title}” counts for anybody. "
            "It is not looked for until that is undone.",
            kind="policies",
            link="/keyword/levels",
            roles=(Role.LEAD, Role.DEPUTY, Role.HEAD),
            without=(actor.account,),
        )

    async def set_for(
        self, actor: Actor, policy: str, target: Target, level: str, reason: str, until: datetime | None
    ) -> None:
        """Set the level of a policy for a group, a device or a person. The record does not say why for a person."""
        self._check_policy(policy)
        self._check(actor, policy, level, reason, everybody=self._may_hold_most(target.kind, target.id))
        async with self._appliance.records.transaction() as tx:
            await self._assignments.assign_within(tx, actor.name, KIND + policy, target, level, reason, until)
            tx.after_commit.append(self._changed)

    async def undo(self, actor: Actor, policy: str, row_id: str) -> None:
        """Take back a level of everybody, a group, a device or a person."""
        require(actor, EDIT)
        for_all = next((one for one in self._store.kept.for_all.values() if one.id == row_id), None)
        async with self._appliance.records.transaction() as tx:
            if for_all is not None:
                before = await self._store.before(tx, for_all.policy, row_id)
                _check_undone(actor, for_all.author, for_all.level, before or DEFAULT_LEVEL)
                await self._store.undo_for_all(tx, actor.name, row_id)
                subject = f"policy {for_all.policy}"  # what the form says of it stands in no record
                await self._appliance.audit.record(tx, actor.name, "undid a level for everybody", subject)
                await self._store.take_after_commit(tx)
            else:
                await self._assignments.undo_within(tx, actor.name, KIND + policy, row_id)
            tx.after_commit.append(self._changed)

    async def add_timed(self, actor: Actor, timed: Timed) -> None:
        """Set a level for certain hours."""
        if timed.policy:
            self._check_policy(timed.policy)
        everybody = timed.target_kind == FOR_ALL or self._may_hold_most(timed.target_kind, timed.target)
        self._check(actor, timed.policy, timed.level, timed.reason, everybody=everybody)
        if timed.until is not None and timed.until <= stamp(now()):
            raise Refused("The last day lies in the past.", "Choose a later one or leave it empty.")
        async with self._appliance.records.transaction() as tx:
            await self._store.add_timed(tx, replace(timed, author=actor.name))
            await self._record_timed(tx, actor, "set a level for certain hours", timed)

    async def undo_timed(self, actor: Actor, row_id: str) -> None:
        """Take back a level for certain hours."""
        require(actor, EDIT)
        timed = next((one for one in self._store.kept.timed if one.id == row_id), None)
        if timed is None:
            raise Refused("This was undone already.", "Load the page again.")
        if timed.target_kind == FOR_ALL:
            _check_undone(actor, timed.author, timed.level, self._without(timed))
        async with self._appliance.records.transaction() as tx:
            await self._store.undo_timed(tx, actor.name, row_id)
            await self._record_timed(tx, actor, "undid a level for certain hours", timed)

    async def _record_timed(self, tx: Transaction, actor: Actor, action: str, timed: Timed) -> None:
        detail = {"level": timed.level, "for": f"{timed.target_kind} {timed.target}".strip(), "hours": timed.span}
        subject = f"policy {timed.policy}" if timed.policy else "all policies"
        await self._appliance.audit.record(tx, actor.name, action, subject, detail)
        await self._store.take_after_commit(tx)
        tx.after_commit.append(self._changed)

    def _without(self, timed: Timed) -> str:
        """The mildest level that may count for everybody, of what ``timed`` is about, once it is undone."""
        lasting = [self.for_everybody(name) for name in self._meant(timed.policy)]
        others = [
            one.level
            for one in self._store.timed_at(now())
            if one.id != timed.id and one.target_kind == FOR_ALL and _may_meet(one, timed)
        ]
        return min((*lasting, *others), key=STRICTNESS.__getitem__, default=DEFAULT_LEVEL)

    def _meant(self, policy: str) -> Mapping[str, Policy]:
        """``policy`` is empty for all of them."""
        return {name: one for name, one in self._policies().items() if policy in ("", name)}

    def _check_policy(self, policy: str) -> None:
        if policy not in self._policies():
            raise Refused("There is no such policy any more.", "Load the page again.")

    def _may_hold_most(self, kind: str, target: str) -> bool:
        """Whether at least half of the pupils may be meant: what is set for them is set for everybody. Of a group of
        networks nobody knows who will be there."""
        if kind != TargetKind.GROUP:
            return kind == TargetKind.NETWORKS
        directory = self._appliance.directory
        pupils = [person for person, what in directory.kinds_of_people().items() if what == "pupil"]
        inside = sum(target in directory.groups_of_person(person) for person in pupils)
        return inside >= FEWEST_OF_MOST and inside * 2 >= len(pupils)

    def _check(self, actor: Actor, policy: str, level: str, reason: str, *, everybody: bool) -> None:
        """As with a single term: only the lead switches off for everybody, and what is about suicide for anybody."""
        require(actor, EDIT)
        must_say_why(reason)
        if level not in LEVELS:
            raise Refused("Choose how much of it counts.")
        if level != OFF_LEVEL or actor.may(DECIDE):
            return
        if any(one.category in GRAVE for one in self._meant(policy).values()):
            raise Refused(
                "Only the safeguarding lead can switch off what is about suicide and self-harm.",
                "Choose “Severe only”, or ask the lead.",
            )
        if everybody:
            raise Refused(
                "Only the safeguarding lead can choose “Nothing” for everybody, for half of the pupils and more, "
                "or for a network.",
                "Choose “Severe only” or a smaller group, or ask the lead.",
            )


def _may_meet(one: Timed, other: Timed) -> bool:
    """Whether two may be about the same policy at the same hour."""
    same_policy = "" in (one.policy, other.policy) or one.policy == other.policy
    return same_policy and {one.span, other.span} != {IN_SCHOOL, OUT_OF_SCHOOL}


def _check_undone(actor: Actor, author: str, level: str, after: str) -> None:
    """Whether ``actor`` may undo a level of everybody that ``author`` has set, if ``after`` counts then."""
    if actor.may(DECIDE) or STRICTNESS[after] >= STRICTNESS[level]:
        return
    if after == OFF_LEVEL:
        raise Refused(
            "Without this, nothing may count for everybody. Only the safeguarding lead can choose that.",
            "Set another level instead, or ask the lead.",
        )
    if author != actor.name:
        raise Refused(
            f"{author} has set this, and less would count without it.",
            "Set another level instead and say why, or ask the safeguarding lead.",
        )
