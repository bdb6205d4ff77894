"""Enrolment keys: what the policy of a managed browser holds so that it may ask to be let in. Not a secret, not enough.

A key can be withdrawn, ends by itself, and counts how many browsers were let in with it. Whoever comes with one still
waits until IT has decided, and has to come from an address of the school.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta

from appliance.access import Actor, require
from appliance.audit import Audit
from appliance.clock import new_id, now, stamp
from appliance.codes import ALPHABET
from appliance.db import Database, Row, Transaction
from appliance.errors import Refused
from appliance.hookspecs import Permission
from appliance.people.names import tidy

TOKEN_LETTERS = 26
"""130 random bits: nobody finds one by trying."""
LONGEST_NAME = 80
MOST_USES = 10_000
MOST_DAYS = 366
FIRST_USES = 200
FIRST_DAYS = 90
"""What the form offers."""
_COLUMNS = (
    "token.id, token.name, token.token, token.group_id, token.most_uses, token.uses, token.made_at, token.made_by,"
    " token.expires_at, token.revoked_at, token.revoked_by, grp.name AS group_name"
)


@dataclass(frozen=True, slots=True)
class NewToken:
    """What is typed for a new key. ``group``: the group of the directory for devices that come with it, or empty."""

    name: str
    group: str = ""
    most_uses: int = FIRST_USES
    days: int = FIRST_DAYS

    def faults(self) -> dict[str, str]:
        """What is wrong, by field; empty when it can be kept."""
        faults = {}
        if not tidy(self.name):
            faults["name"] = "Give the key a name, such as the trolley or the room that it is for."
        elif len(tidy(self.name)) > LONGEST_NAME:
            faults["name"] = f"The name is longer than {LONGEST_NAME} characters. Shorten it."
        if not 1 <= self.most_uses <= MOST_USES:
            faults["most_uses"] = f"Give a number from 1 to {MOST_USES}."
        if not 1 <= self.days <= MOST_DAYS:
            faults["days"] = f"Give a number from 1 to {MOST_DAYS}."
        return faults


class Tokens:
    """The store of enrolment keys."""

    def __init__(self, records: Database, audit: Audit) -> None:
        self._records = records
        self._audit = audit

    async def all(self, actor: Actor) -> list[Row]:
        """Every key, the newest first, those that are over included; ``group_name`` is the group's."""
        require(actor, Permission.OPERATE)
        return await self._records.fetch(
            f"SELECT {_COLUMNS} FROM endpoint_tokens token LEFT JOIN groups grp ON grp.id = token.group_id"  # noqa: S608
            " ORDER BY token.made_at DESC, token.id DESC"
        )

    async def make(self, actor: Actor, wanted: NewToken) -> str:
        """A new key; returns its id."""
        require(actor, Permission.OPERATE)
        for words in wanted.faults().values():
            raise Refused(words)
        token_id = new_id()
        async with self._records.transaction() as tx:
            if wanted.group and not await tx.fetch_one("SELECT 1 FROM groups WHERE id = ?", (wanted.group,)):
                raise Refused("This group is not in the directory any more.", "Choose another one.")
            ends = stamp(now() + timedelta(days=wanted.days))
            await tx.execute(
                "INSERT INTO endpoint_tokens (id, name, token, group_id, most_uses, made_at, made_by, expires_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(token_id, tidy(wanted.name), new_token(), wanted.group or None, wanted.most_uses, stamp()),
                    *(actor.name, ends),
                ),
            )
            detail = {"most": wanted.most_uses, "until": ends}
            await self._audit.record(tx, actor.name, "made an enrolment key", f"enrolment key {token_id}", detail)
        return token_id

    async def revoke(self, actor: Actor, token_id: str) -> None:
        """Nobody comes with this key any more. Devices that were let in stay."""
        require(actor, Permission.OPERATE)
        async with self._records.transaction() as tx:
            changed = await tx.execute(
                "UPDATE endpoint_tokens SET revoked_at = ?, revoked_by = ? WHERE id = ? AND revoked_at IS NULL",
                (stamp(), actor.name, token_id),
            )
            if not changed:
                raise Refused("This key was withdrawn already, or there is no such key.", "Load the page again.")
            await self._audit.record(tx, actor.name, "withdrew an enrolment key", f"enrolment key {token_id}")


def new_token() -> str:
    """Random letters and digits in one word: it is copied, never typed."""
    return "".join(secrets.choice(ALPHABET) for _ in range(TOKEN_LETTERS))


def is_over(token: Row, moment: str) -> str:
    """Why nobody comes with this key any more, in words; empty if it works."""
    if token["revoked_at"] is not None:
        return "withdrawn"
    if token["expires_at"] <= moment:
        return "ended"
    if token["uses"] >= token["most_uses"]:
        return "used up"
    return ""


async def find_token(tx: Transaction, text: str) -> Row | str:
    """The key with which a browser asks, or why it does not work. Asking uses nothing up: anybody can ask."""
    token = await tx.fetch_one("SELECT * FROM endpoint_tokens WHERE token = ?", (text,))
    if token is None:
        return "The enrolment key in the policy of this browser is not one of this appliance."
    over = is_over(token, stamp())
    if over:
        return f"The enrolment key in the policy of this browser is {over}."
    return token


async def use_token(tx: Transaction, token_id: str) -> None:
    """Count one use of a key, as a part of letting a browser in."""
    await tx.execute("UPDATE endpoint_tokens SET uses = uses + 1 WHERE id = ?", (token_id,))
