"""What the school has decided about terms, in the store: about supplied ones, and policies and terms of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.api import Data, Database, Refused, Row, Surface, Transaction, new_id, stamp

from .model import Change, Changed, OwnPolicy, OwnTerm

REQUESTS, POLICIES, TERMS = "keyword_requests", "keyword_own_policies", "keyword_own_terms"
_CHANGED = "SELECT policy, term, change, surfaces FROM keyword_requests WHERE state = 'granted' ORDER BY policy, term"
_POLICIES = """
SELECT own.name, own.title, own.category, own.summary, own.made_at,
    (SELECT max(max(term.made_at, coalesce(term.ended_at, ''))) FROM keyword_own_terms term
     WHERE term.policy = own.name) AS changed_at,
    (SELECT count(*) + count(term.ended_at) FROM keyword_own_terms term WHERE term.policy = own.name) AS changes
FROM keyword_own_policies own WHERE own.ended_at IS NULL ORDER BY own.title, own.name
"""
_TERMS = "SELECT policy, entry FROM keyword_own_terms WHERE ended_at IS NULL ORDER BY made_at, id"


_STANDING = "SELECT state FROM keyword_requests WHERE policy = ? AND term = ? AND state IN ('open', 'granted')"
"""A change of a supplied term that is asked for, or in force: there can be one."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks for. ``because``: a key of ``REASONS``; ``version``: of the policy as they saw it."""

    policy: str
    term: str
    version: str
    change: Change
    because: str
    reason: str
    surfaces: tuple[Surface, ...] = ()


@dataclass(frozen=True, slots=True)
class Kept:
    """Everything about terms that is in force."""

    changed: tuple[Changed, ...] = ()
    policies: tuple[OwnPolicy, ...] = ()
    terms: tuple[OwnTerm, ...] = ()


class Store:
    """``start`` before use; ``kept`` is as new as the last commit. What is written belongs to the caller's unit."""

    def __init__(self, records: Database) -> None:
        self._records = records
        self.kept = Kept()

    @staticmethod
    def data() -> Sequence[Data]:
        """What the tables hold."""
        return [
            Data(REQUESTS, "Supplied terms that are off or were changed: who asked, who decided, and why."),
            Data(POLICIES, "Policies that the school made on pages, by whom and why."),
            Data(TERMS, "Terms that the school made on pages, by whom and why, with those that were changed or ended."),
        ]

    async def start(self) -> None:
        """Read what is in force."""
        self._take(*[await self._records.fetch(sql) for sql in (_CHANGED, _POLICIES, _TERMS)])

    def _take(self, changed: Sequence[Row], policies: Sequence[Row], terms: Sequence[Row]) -> None:
        self.kept = Kept(
            tuple(Changed(row["policy"], row["term"], Change(row["change"]), surfaces_of(row)) for row in changed),
            tuple(_own_policy(row) for row in policies),
            tuple(OwnTerm(row["policy"], json.loads(row["entry"])) for row in terms),
        )

    async def take_after_commit(self, tx: Transaction) -> None:
        """Have ``kept`` hold what this unit of work has written, once it is kept."""
        rows = [await tx.fetch(sql) for sql in (_CHANGED, _POLICIES, _TERMS)]
        tx.after_commit.append(lambda: self._take(*rows))

    # Supplied terms

    async def ask(self, tx: Transaction, author: str, account: str, wish: Wish) -> str:
        """Write a request down. Raises ``Refused`` if there is one for this term, or one was granted."""
        if (row := await tx.fetch_one(_STANDING, (wish.policy, wish.term))) is not None:
            done = "was asked for already" if row["state"] == "open" else "was decided already"
            raise Refused(f"A change of this term {done}.", "Look at “Changes of supplied terms”.")
        request = new_id()
        await tx.execute(
            "INSERT INTO keyword_requests (id, policy, term, version, change, surfaces, because, reason, author,"
            " account, asked_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(request, wish.policy, wish.term, wish.version, wish.change.value),
                *("".join(f" {one.value}" for one in wish.surfaces), wish.because, wish.reason),
                *(author, account, stamp()),
            ),
        )
        return request

    async def standing(self, policy: str, term: str) -> str:
        """``open`` if a change of a supplied term is asked for, ``granted`` if one is in force; else empty."""
        row = await self._records.fetch_one(_STANDING, (policy, term))
        return "" if row is None else str(row["state"])

    async def decide(self, tx: Transaction, author: str, request: str, state: str, answer: str) -> Row:
        """Grant or refuse a request; returns it as it was. Raises ``Refused`` if it was decided."""
        row = await self._in_state(tx, request, "open")
        await tx.execute(
            "UPDATE keyword_requests SET state = ?, decided_at = ?, decided_by = ?, answer = ? WHERE id = ?",
            (state, stamp(), author, answer, request),
        )
        return row

    async def end(self, tx: Transaction, author: str, request: str, reason: str) -> Row:
        """Let the supplied term count again; returns the request as it was."""
        row = await self._in_state(tx, request, "granted")
        await tx.execute(
            "UPDATE keyword_requests SET state = 'ended', ended_at = ?, ended_by = ?, ended_because = ? WHERE id = ?",
            (stamp(), author, reason, request),
        )
        return row

    @staticmethod
    async def _in_state(tx: Transaction, request: str, state: str) -> Row:
        row = await tx.fetch_one("SELECT * FROM keyword_requests WHERE id = ? AND state = ?", (request, state))
        if row is None:
            raise Refused("Somebody has decided this already.", "Load the page again.")
        return row

    async def request(self, request: str) -> Row | None:
        """One request."""
        return await self._records.fetch_one("SELECT * FROM keyword_requests WHERE id = ?", (request,))

    async def requests(self, *states: str, limit: int = 200) -> list[Row]:
        """Requests in these states, the newest first."""
        return await self._records.fetch(
            f"SELECT * FROM keyword_requests WHERE state IN ({', '.join('?' * len(states))})"  # noqa: S608 - marks only
            " ORDER BY asked_at DESC, id DESC LIMIT ?",
            (*states, limit),
        )

    async def requests_of(self, policy: str) -> list[Row]:
        """Requests about terms of a policy, the newest first."""
        return await self._records.fetch(
            "SELECT * FROM keyword_requests WHERE policy = ? ORDER BY asked_at DESC, id DESC LIMIT 200", (policy,)
        )

    # The school's own policies

    async def make_policy(self, tx: Transaction, author: str, policy: Mapping[str, str], reason: str) -> None:
        """``policy``: name, title, category, summary."""
        await tx.execute(
            "INSERT INTO keyword_own_policies (id, name, title, category, summary, author, reason, made_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(new_id(), policy["name"], policy["title"], policy["category"], policy["summary"]),
                *(author, reason, stamp()),
            ),
        )

    async def end_policy(self, tx: Transaction, author: str, name: str, reason: str) -> None:
        """End a policy with all its terms."""
        values = (stamp(), author, reason)
        ended = await tx.execute(
            "UPDATE keyword_own_policies SET ended_at = ?, ended_by = ?, ended_because = ?"
            " WHERE name = ? AND ended_at IS NULL",
            (*values, name),
        )
        if not ended:
            raise Refused("This policy has ended already.", "Load the page again.")
        await tx.execute(
            "UPDATE keyword_own_terms SET ended_at = ?, ended_by = ?, ended_because = ?"
            " WHERE policy = ? AND ended_at IS NULL",
            (*values, name),
        )

    # The school's own terms

    async def put_term(self, tx: Transaction, author: str, policy: str, entry: Mapping[str, Any], reason: str) -> None:
        """Keep a term; one of the same id ends with it."""
        moment = stamp()
        await tx.execute(
            "UPDATE keyword_own_terms SET ended_at = ?, ended_by = ?, ended_because = 'changed'"
            " WHERE policy = ? AND term = ? AND ended_at IS NULL",
            (moment, author, policy, entry["id"]),
        )
        await tx.execute(
            "INSERT INTO keyword_own_terms (id, policy, term, entry, author, reason, made_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (new_id(), policy, entry["id"], json.dumps(entry, ensure_ascii=False), author, reason, moment),
        )

    async def end_term(self, tx: Transaction, author: str, policy: str, term: str, reason: str) -> None:
        """Stop looking for a term of the school's own."""
        ended = await tx.execute(
            "UPDATE keyword_own_terms SET ended_at = ?, ended_by = ?, ended_because = ?"
            " WHERE policy = ? AND term = ? AND ended_at IS NULL",
            (stamp(), author, reason, policy, term),
        )
        if not ended:
            raise Refused("This term has ended already.", "Load the page again.")

    async def terms_of(self, policy: str) -> list[Row]:
        """What was made in a policy, newest first, with what was changed or ended since."""
        return await self._records.fetch(
            "SELECT * FROM keyword_own_terms WHERE policy = ? ORDER BY made_at DESC, id DESC LIMIT 200", (policy,)
        )


def surfaces_of(row: Row) -> tuple[Surface, ...]:
    """Where a request wants a term to count, if it is about that."""
    return tuple(map(Surface, row["surfaces"].split()))


def _own_policy(row: Row) -> OwnPolicy:
    changed = max(row["made_at"], row["changed_at"] or "")
    return OwnPolicy(row["name"], row["title"], row["category"], row["summary"], changed[:10], 1 + row["changes"])
