"""Who reviews what is found about a member of staff or a governor: never that person, and nobody without an account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from appliance.access import CONTENT_ROLES, Actor, require
from appliance.accounts.staff import Account, Staff
from appliance.assignments import Target, TargetKind
from appliance.audit import Audit
from appliance.clock import stamp
from appliance.db import Database
from appliance.errors import Refused
from appliance.hookspecs import Permission
from appliance.monitoring.subjects import Subject, Subjects, decidable, may_be_same, refuse_about_oneself


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A member of staff or a governor, and who reviews them. ``trouble``: why that does not count; empty if it does."""

    person: Subject
    reviewer: str
    reviewer_name: str
    named_at: str
    named_by: str
    trouble: str


class Reviewers:
    """Names reviewers, and answers from memory whether somebody has one; ``refresh`` reads the store."""

    def __init__(self, records: Database, audit: Audit, staff: Staff, subjects: Subjects) -> None:
        self._records = records
        self._audit = audit
        self._staff = staff
        self._subjects = subjects
        self._named: Mapping[str, tuple[str, str]] = {}
        """Person -> the reviewer's account, and the person's name."""

    async def refresh(self) -> None:
        """Read who is named."""
        rows = await self._records.fetch(
            "SELECT reviewer.person_id, reviewer.account_id, people.name FROM staff_reviewers reviewer"
            " JOIN people ON people.id = reviewer.person_id"
        )
        self._named = {row["person_id"]: (row["account_id"], row["name"]) for row in rows}

    def has_one(self, person: str) -> bool:
        """Whether a reviewer is named for this person who can review them at this moment."""
        if person not in self._named:
            return False
        account_id, name = self._named[person]
        return not self._trouble(account_id, person, name)

    def _trouble(self, account_id: str, person: str, name: str) -> str:
        account = next((one for one in self._staff.all() if one.id == account_id), None)
        return trouble(account, person, name)

    async def all(self, actor: Actor) -> list[Reviewed]:
        """Everybody for whom a reviewer is named, as far as ``actor`` may see them, by name."""
        require(actor, Permission.SEE_MONITORING)
        seen = decidable(actor, "people")
        rows = await self._records.fetch(
            "SELECT people.id, people.name, people.kind, reviewer.account_id, reviewer.named_at,"  # noqa: S608
            " reviewer.named_by, account.name AS reviewer_name FROM staff_reviewers reviewer"
            " JOIN people ON people.id = reviewer.person_id JOIN staff_accounts account ON account.id = account_id"
            f" WHERE {seen.sql} ORDER BY people.sort_name",
            seen.parameters,
        )
        return [
            Reviewed(
                Subject(Target(TargetKind.PERSON, row["id"]), row["name"], row["kind"]),
                row["account_id"],
                row["reviewer_name"],
                row["named_at"],
                row["named_by"],
                self._trouble(row["account_id"], row["id"], row["name"]),
            )
            for row in rows
        ]

    def possible(self, person: Subject) -> list[Account]:
        """The accounts that could review somebody, by name."""
        return [one for one in self._staff.all() if not trouble(one, person.target.id, person.name)]

    async def name(self, actor: Actor, person: str, account_id: str) -> None:
        """Name who alone sees what concerns this person. Raises ``Refused`` if that account cannot."""
        subject = await self._adult(actor, person)
        account = self._staff.get(account_id)
        words = trouble(account, person, subject.name)
        if words:
            raise Refused(words, "Choose somebody else, or put that right first.")
        async with self._records.transaction() as tx:
            await tx.execute(
                "INSERT INTO staff_reviewers VALUES (?, ?, ?, ?) ON CONFLICT (person_id) DO UPDATE SET"
                " account_id = excluded.account_id, named_at = excluded.named_at, named_by = excluded.named_by",
                (person, account_id, stamp(), actor.name),
            )
            detail = {"reviewer": account.sign_in_name}
            await self._audit.record(tx, actor.name, "named a reviewer", f"person {person}", detail)
        await self.refresh()

    async def take_back(self, actor: Actor, person: str) -> None:
        """Nobody reviews this person any more; so the person is not monitored any more either."""
        await self._adult(actor, person)
        async with self._records.transaction() as tx:
            if not await tx.execute("DELETE FROM staff_reviewers WHERE person_id = ?", (person,)):
                raise Refused("No reviewer is named for this person.", "Load the page again.")
            await self._audit.record(tx, actor.name, "took a reviewer back", f"person {person}")
        await self.refresh()

    async def _adult(self, actor: Actor, person: str) -> Subject:
        require(actor, Permission.SWITCH_MONITORING)
        subject = await self._subjects.get(actor, Target(TargetKind.PERSON, person))
        if not subject.is_adult:
            raise Refused("Reviewers are named for staff and governors. Pupils and guests need none.")
        refuse_about_oneself(actor, subject)
        return subject


def trouble(account: Account | None, person: str, person_name: str) -> str:
    """Why an account cannot review somebody, in words; empty if it can."""
    if account is None or not account.active:
        return "The reviewer’s account cannot sign in."
    if account.role not in CONTENT_ROLES:
        return f"{account.name} has no role that sees records about people."
    if account.person == person:
        return "Nobody reviews themselves."
    if account.person is None and may_be_same(account.name, person_name):
        return (
            f"The account of {account.name} may belong to that very person."
            " Its page among the staff accounts can say who in the directory it belongs to."
        )
    return ""
