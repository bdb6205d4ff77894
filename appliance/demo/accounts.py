"""Accounts of the demonstration's staff, made ready through the very steps that people go through."""

from __future__ import annotations

import secrets
from base64 import b32encode
from dataclasses import dataclass, field

from appliance.access import Actor, Role
from appliance.accounts.second_factor import code_at, step_of
from appliance.accounts.sessions import Session
from appliance.accounts.signing_in import Visitor
from appliance.app import Appliance
from appliance.clock import now
from appliance.demo.school import PASSWORD_WORDS, STAFF, StaffMember
from appliance.errors import ApplianceError
from appliance.sealing import Keys

HERE = Visitor("127.0.0.1")
WORDS_IN_PASSWORD = 4


@dataclass(frozen=True, slots=True)
class Ready:
    """Somebody who can sign in, and what they sign in with. It is shown to whoever started the demonstration."""

    name: str
    role: str
    sign_in_name: str
    password: str
    factor: str
    codes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A member of staff for whom the demonstration acts, with the keys of an open session.

    ``cookie``: what a browser of theirs would send.
    """

    actor: Actor
    keys: Keys
    session: Session
    cookie: str


async def make_accounts(appliance: Appliance) -> tuple[list[Ready], dict[Role, SignedIn]]:
    """All accounts, and who is signed in by role. IT makes the lead's, the lead everybody else's, as at a school."""
    it, lead, *others = STAFF
    staff = appliance.staff
    ready, of_it = await _first(appliance, it)
    made = [ready]
    invitation = await staff.invite(
        await staff.actor(_found(appliance, of_it)), lead.name, lead.sign_in_name, lead.role
    )
    ready, cookie = await _join(appliance, invitation.code, lead)
    made.append(ready)
    signed_in = {lead.role: await _signed_in(appliance, cookie)}
    for one in others:
        invitation = await staff.invite(signed_in[lead.role].actor, one.name, one.sign_in_name, one.role)
        ready, cookie = await _join(appliance, invitation.code, one)
        made.append(ready)
        signed_in[one.role] = await _signed_in(appliance, cookie)
    return made, signed_in


async def admit_deputies(appliance: Appliance, lead: SignedIn) -> None:
    """Let the deputies open what is sealed, as every school should."""
    for account in appliance.staff.with_role(Role.DEPUTY, active=True):
        for vault in ("captures", "vulnerable list"):
            await appliance.vaults.admit(lead.actor, lead.keys, vault, account.id)


async def _first(appliance: Appliance, person: StaffMember) -> tuple[Ready, str]:
    password = _password()
    session = await _open(appliance, await appliance.staff.new_setup_link())
    session_id = await appliance.joining.make_first_account(session, person.name, person.sign_in_name, password)
    return await _finish(appliance, _found(appliance, session_id), person, password)


async def _join(appliance: Appliance, code: str, person: StaffMember) -> tuple[Ready, str]:
    password = _password()
    session = await _open(appliance, code)
    await appliance.joining.set_password(session, password)
    return await _finish(appliance, session, person, password)


async def _finish(appliance: Appliance, session: Session, person: StaffMember, password: str) -> tuple[Ready, str]:
    joining = appliance.joining
    secret, packed = joining.offer_factor(session)
    if not await joining.set_factor(session, packed, code_at(secret, step_of(now()))):
        raise ApplianceError("The second factor of the demonstration was not taken.", "Look at the machine's clock.")
    printed = await joining.print(session)
    signed_in = await joining.finish(session, printed.check, printed.secrets.recovery_key[:4], HERE)
    assert signed_in is not None
    factor = b32encode(secret).decode("ascii")
    codes = list(printed.secrets.codes)
    ready = Ready(person.name, person.role.label, person.sign_in_name, password, factor, codes)
    return ready, signed_in.session


async def _open(appliance: Appliance, code: str) -> Session:
    session_id = await appliance.joining.redeem(code, HERE)
    assert session_id is not None
    return _found(appliance, session_id)


def _found(appliance: Appliance, session_id: str) -> Session:
    session = appliance.staff.sessions.find(session_id)
    assert session is not None
    return session


async def _signed_in(appliance: Appliance, cookie: str) -> SignedIn:
    session = _found(appliance, cookie)
    keys = appliance.staff.sessions.keys(session)
    assert keys is not None
    return SignedIn(await appliance.staff.actor(session), keys, session, cookie)


def _password() -> str:
    """Made anew for each demonstration: there is no default password anywhere."""
    return " ".join(secrets.choice(PASSWORD_WORDS) for _ in range(WORDS_IN_PASSWORD))
