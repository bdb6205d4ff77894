"""Accounts: who gives what to whom, who ends whose, and what is over the moment somebody goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from accounts import HOME, PASSWORD, School, Somebody, a_school
from hypothesis import given
from hypothesis import strategies as st

from appliance.access import CONTENT_ROLES, PERMISSIONS, Actor, Role
from appliance.accounts.sessions import sha256
from appliance.accounts.staff import (
    LINK_LIFE,
    REVIEW_EVERY,
    SET_UP,
    Invitation,
    Scope,
    checked_name,
    checked_sign_in_name,
    fold_sign_in_name,
)
from appliance.clock import now, parse, stamp
from appliance.codes import plain_code
from appliance.errors import Refused
from appliance.hookspecs import Permission
from appliance.vaults import CAPTURES

EVERY_ROLE: tuple[Role | None, ...] = (*Role, None)
MANAGERS = (Role.LEAD, Role.DEPUTY, Role.HEAD, Role.IT)
SENIORS = (Role.LEAD, Role.DEPUTY, Role.HEAD)
PLAIN: tuple[Role | None, ...] = (Role.DPO, Role.GOVERNOR, Role.IT, None)
"""What whoever keeps the accounts may give: roles that see no content."""


@pytest.fixture
async def school(tmp_path: Path) -> AsyncIterator[School]:
    async with a_school(tmp_path) as found:
        yield found


async def refused(call: object) -> bool:
    """Whether the rules say no."""
    try:
        await call  # type: ignore[misc]
    except Refused:
        return True
    return False


async def vanish(school: School, *people: Somebody, state: str = "disabled") -> None:
    """As if an account had been disabled: straight in the store."""
    async with school.records.transaction() as tx:
        await tx.executemany("UPDATE staff_accounts SET state = ? WHERE id = ?", [(state, one.id) for one in people])
        await school.staff.take_after_commit(tx)


# Who gives what


def test_roles_that_see_records_are_content_roles() -> None:
    """The rule of granting stands or falls with this set."""
    telling = {Permission.SEE_PEOPLE, Permission.SWITCH_MONITORING, Permission.GRANT_CONTENT}
    assert {role for role in EVERY_ROLE if telling & PERMISSIONS[role]} == CONTENT_ROLES
    assert [role for role in EVERY_ROLE if Permission.GRANT_CONTENT in PERMISSIONS[role]] == [Role.LEAD]
    assert {role for role in EVERY_ROLE if Permission.MANAGE_STAFF in PERMISSIONS[role]} == {*MANAGERS}


def may_give(actor: Role | None, *, lead: bool, senior: bool) -> set[Role | None]:
    """The rule, said again: what somebody may give, by whether there is a lead, and a deputy or head."""
    if actor is Role.LEAD:
        return {*EVERY_ROLE}
    if actor not in MANAGERS:
        return set()
    first_lead = not lead and (actor in SENIORS or not senior)
    return {*PLAIN, Role.LEAD} if first_lead else {*PLAIN}


@pytest.mark.parametrize(
    ("lead", "senior"), [(True, None), (True, Role.HEAD), (False, None), (False, Role.HEAD), (False, Role.DEPUTY)]
)
@pytest.mark.parametrize("giver", EVERY_ROLE)
async def test_who_gives_what_to_whom(school: School, giver: Role | None, lead: bool, senior: Role | None) -> None:
    actor = (await school.somebody(giver)).actor
    if lead:
        await school.somebody(Role.LEAD)
    if senior is not None:
        await school.somebody(senior)
    allowed = may_give(giver, lead=lead or giver is Role.LEAD, senior=senior is not None or giver in SENIORS)
    given, invited = set(), set()
    for number, role in enumerate(EVERY_ROLE):
        if school.staff.may_grant(actor, role):
            given.add(role)
        if not await refused(school.staff.invite(actor, f"Guest {number}", f"guest{number}", role)):
            invited.add(role)
    assert given == allowed
    assert invited == allowed
    assert {one.role for one in school.staff.all() if one.name.startswith("Guest")} == allowed


@pytest.mark.parametrize("changer", EVERY_ROLE)
async def test_who_changes_whose_role_to_what(school: School, changer: Role | None) -> None:
    actor = (await school.somebody(changer)).actor
    await school.somebody(Role.LEAD, "Lead who stays")
    changed = set()
    for before in EVERY_ROLE:
        subject = await school.somebody(before)
        for after in EVERY_ROLE:
            if not await refused(school.staff.set_role(actor, subject.id, after)):
                changed.add((before, after))
                assert school.staff.get(subject.id).role is after
                async with school.records.transaction() as tx:
                    await tx.execute("UPDATE staff_accounts SET role = ? WHERE id = ?", (before, subject.id))
                    await school.staff.take_after_commit(tx)
            else:
                assert school.staff.get(subject.id).role is before
    mine = may_give(changer, lead=True, senior=True)
    subjects = EVERY_ROLE if changer is Role.LEAD else PLAIN
    assert changed == {(before, after) for before in subjects for after in mine}


@pytest.mark.parametrize("changer", EVERY_ROLE)
async def test_only_a_lead_touches_what_an_account_with_content_is_about(school: School, changer: Role | None) -> None:
    actor = (await school.somebody(changer)).actor
    person = await school.person("Pat Porter")
    for role in EVERY_ROLE:
        subject = await school.somebody(role)
        allowed = changer is Role.LEAD or (changer in MANAGERS and role not in CONTENT_ROLES)
        assert await refused(school.staff.set_person(actor, subject.id, person)) != allowed
        assert school.staff.get(subject.id).person == (person if allowed else None)
        assert await refused(school.staff.set_scopes(actor, subject.id, [Scope("everyone")])) == (
            changer is not Role.LEAD
        )
        if allowed:
            await school.staff.set_person(actor, subject.id, None)


async def test_only_a_lead_gives_scopes_with_an_invitation(school: School) -> None:
    it, lead = await school.somebody(Role.IT), await school.somebody(Role.LEAD)
    with pytest.raises(Refused, match="Only a safeguarding lead says about whom"):
        await school.staff.invite(it.actor, "Gus", "gus", None, [Scope("everyone")])
    invited = await school.staff.invite(lead.actor, "Tess", "tess", Role.TEACHER, [Scope("everyone")])
    assert await school.staff.scopes(invited.account.id) == [Scope("everyone")]


@pytest.mark.parametrize("scope", [Scope("person", "nobody"), Scope("group", "none"), Scope("person", "")])
async def test_a_scope_names_somebody_who_is_there(school: School, scope: Scope) -> None:
    lead, teacher = await school.somebody(Role.LEAD), await school.somebody(Role.TEACHER, scopes=[Scope("everyone")])
    with pytest.raises(Refused, match="not in the directory"):
        await school.staff.set_scopes(lead.actor, teacher.id, [scope])
    assert await school.staff.scopes(teacher.id) == [Scope("everyone")]


@pytest.mark.parametrize("role", EVERY_ROLE)
async def test_nobody_changes_their_own(school: School, role: Role | None) -> None:
    await school.somebody(Role.LEAD, "Lead who stays")
    me = await school.somebody(role)
    person = await school.person("Pat Porter")
    for change in (
        school.staff.set_role(me.actor, me.id, Role.LEAD),
        school.staff.set_scopes(me.actor, me.id, [Scope("everyone")]),
        school.staff.set_person(me.actor, me.id, person),
        school.staff.disable(me.actor, me.id, "no more"),
        school.staff.enable(me.actor, me.id),
        school.staff.new_link(me.actor, me.id, "password"),
        school.staff.ask_factor_reset(me.actor, me.id, "it is me"),
    ):
        assert await refused(change)
    assert school.staff.get(me.id).role is role
    assert school.staff.get(me.id).active


@pytest.mark.parametrize("role", [role for role in EVERY_ROLE if role not in MANAGERS])
async def test_whoever_does_not_keep_the_accounts_does_nothing_to_them(school: School, role: Role | None) -> None:
    nobody, other = await school.somebody(role), await school.somebody(None)
    gone = await school.somebody(None, active=False)
    for change in (
        school.staff.set_role(nobody.actor, other.id, Role.GOVERNOR),
        school.staff.disable(nobody.actor, other.id, "gone"),
        school.staff.enable(nobody.actor, gone.id),
        school.staff.new_link(nobody.actor, other.id, "password"),
        school.staff.ask_factor_reset(nobody.actor, other.id, "lost"),
        school.staff.sign_review(nobody.actor, "fine"),
    ):
        assert await refused(change)


async def test_what_an_account_was_a_moment_ago_counts_for_nothing(school: School) -> None:
    """A request can be under way while whoever sent it loses the role, or the account."""
    lead, other = await school.somebody(Role.LEAD), await school.somebody(Role.LEAD)
    subject = await school.somebody(None)
    stranger = Actor("Nobody", PERMISSIONS[Role.LEAD], "no-account", Role.LEAD)
    outsider = Actor("Nobody", PERMISSIONS[Role.LEAD])
    await school.staff.set_role(other.actor, lead.id, Role.IT)
    gone = await school.somebody(Role.LEAD)
    await school.staff.disable(other.actor, gone.id, "gone")
    for actor in (lead.actor, gone.actor, stranger, outsider):
        assert await refused(school.staff.invite(actor, "Guest", "guest", Role.LEAD))
        assert await refused(school.staff.set_role(actor, subject.id, Role.LEAD))
        assert await refused(school.staff.set_scopes(actor, subject.id, [Scope("everyone")]))
    assert school.staff.get(subject.id).role is None


async def test_a_role_that_sees_everybody_brings_everybody_and_takes_it_away_again(school: School) -> None:
    lead, subject = await school.somebody(Role.LEAD), await school.somebody(None)
    for role, scopes in (
        (Role.DEPUTY, [Scope("everyone")]),
        (Role.HEAD, [Scope("everyone")]),
        (Role.TEACHER, []),
        (Role.LEAD, [Scope("everyone")]),
        (None, []),
    ):
        await school.staff.set_role(lead.actor, subject.id, role)
        assert await school.staff.scopes(subject.id) == scopes


# The last lead


async def test_two_leads_who_take_each_others_role_at_the_same_moment_leave_one(school: School) -> None:
    anna, bea = await school.somebody(Role.LEAD), await school.somebody(Role.LEAD)
    said_no = await asyncio.gather(
        refused(school.staff.set_role(anna.actor, bea.id, Role.TEACHER)),
        refused(school.staff.set_role(bea.actor, anna.id, Role.TEACHER)),
        refused(school.staff.disable(anna.actor, bea.id, "gone")),
        refused(school.staff.disable(bea.actor, anna.id, "gone")),
    )
    assert not all(said_no)
    assert len(school.staff.with_role(Role.LEAD, active=True)) == 1


@pytest.mark.parametrize(("role", "may"), [(Role.IT, False), (Role.HEAD, True), (Role.DEPUTY, True)])
async def test_the_last_lead_is_ended_by_head_or_deputy_alone(school: School, role: Role, may: bool) -> None:
    lead, actor = await school.somebody(Role.LEAD), await school.somebody(role)
    watcher = await school.somebody(Role.HEAD, "Hal Watcher")
    assert await refused(school.staff.disable(actor.actor, lead.id, "suspended")) != may
    assert school.staff.get(lead.id).active != may
    assert ("lead ended" in await school.told(watcher)) == may


@pytest.mark.parametrize(("role", "may"), [(Role.IT, False), (Role.HEAD, True), (Role.DEPUTY, True)])
async def test_a_list_of_leavers_does_not_end_the_last_lead_for_it(school: School, role: Role, may: bool) -> None:
    """IT keeps the directory: it could else end the lead by a list and invite another one."""
    lead, other, actor = await school.somebody(Role.LEAD), await school.somebody(Role.LEAD), await school.somebody(role)
    people = [await school.person("Lea Lead"), await school.person("Leo Lead"), await school.person("Pat Porter")]
    await school.staff.set_person(lead.actor, other.id, people[0])
    await school.staff.set_person(other.actor, lead.id, people[1])
    ended = await school.staff.disable_people(actor.actor, people)
    assert len(ended) == (2 if may else 1)
    assert len(school.staff.with_role(Role.LEAD, active=True)) == 2 - len(ended)
    assert school.staff.has_lead != may
    assert ("last lead" in await school.told(actor)) != may
    assert school.staff.may_grant(actor.actor, Role.LEAD) == may


async def test_it_alone_never_gets_to_a_box_without_a_lead(school: School) -> None:
    """Every way that IT has, tried in turn: at the end the lead is still there and no account of IT's sees content."""
    it = await school.somebody(Role.IT)
    lead, deputy, head = [await school.somebody(role) for role in SENIORS]
    person = await school.person("Lea Lead")
    puppet = await school.staff.invite(it.actor, "Ida Second", "ida2", None)
    for target in (lead, deputy, head):
        await refused(school.staff.set_person(it.actor, target.id, person))
        await refused(school.staff.set_role(it.actor, target.id, None))
    await school.staff.disable_people(it.actor, [person])
    for target in (deputy, head, lead):
        await refused(school.staff.disable(it.actor, target.id, "gone"))
    for role in CONTENT_ROLES:
        assert await refused(school.staff.set_role(it.actor, puppet.account.id, role))
        assert await refused(school.staff.invite(it.actor, f"New {role}", f"new.{role}", role))
    for target in (deputy, head):
        assert await refused(school.staff.enable(it.actor, target.id))
    assert [one.id for one in school.staff.with_role(Role.LEAD)] == [lead.id]


# Leaving


async def test_who_is_disabled_is_out_at_once_everywhere(school: School) -> None:
    lead, deputy = await school.somebody(Role.LEAD), await school.somebody(Role.DEPUTY)
    await school.vaults.admit(lead.actor, lead.keys, CAPTURES, deputy.id)
    link = await school.staff.new_link(lead.actor, deputy.id, "password")
    joining = await school.joining.redeem(link.code, HOME)
    assert joining is not None
    await school.staff.ask_factor_reset(lead.actor, deputy.id, "lost the phone")
    again = await school.staff.new_link(lead.actor, deputy.id, "password")
    stream = asyncio.create_task(school.sessions.over(deputy.session))
    await asyncio.sleep(0)

    await school.staff.disable(lead.actor, deputy.id, "left for another school")

    await asyncio.wait_for(stream, 10)
    assert deputy.keys.is_wiped
    assert school.sessions.of_account(deputy.id) == []
    assert school.sessions.find(joining) is None
    assert await school.joining.redeem(link.code, HOME) is None
    assert await school.joining.redeem(again.code, HOME) is None
    assert await school.staff.factor_resets() == []
    assert not await school.vaults.is_member(deputy.id, CAPTURES)
    with pytest.raises(Refused):
        await school.sign_in(deputy)
    assert (await school.staff.actor(replace(deputy.session))).permissions == frozenset()
    assert ("Somebody 1", "disabled account", "account account2", {"reason": "left for another school"}) in (
        await school.record()
    )


async def test_a_reason_is_needed(school: School) -> None:
    lead, other = await school.somebody(Role.LEAD), await school.somebody(None)
    with pytest.raises(Refused, match="Say why"):
        await school.staff.disable(lead.actor, other.id, "  \n")
    assert school.staff.get(other.id).active


async def test_leavers_of_a_list_are_out_at_once_and_others_stay(school: School) -> None:
    lead, leaver, stays = [await school.somebody(role) for role in (Role.LEAD, Role.TEACHER, Role.TEACHER)]
    people = [await school.person(name) for name in ("Lou Leaver", "Sam Stays", "Pat Porter")]
    await school.staff.set_person(lead.actor, leaver.id, people[0])
    await school.staff.set_person(lead.actor, stays.id, people[1])
    session = await school.sign_in(leaver)
    ended = await school.staff.disable_people(lead.actor, [people[0], people[2], "no-person"])
    assert [one.id for one in ended] == [leaver.id]
    assert school.sessions.find(session.session) is None
    assert school.staff.get(stays.id).active
    assert await school.staff.disable_people(lead.actor, [people[0]]) == []


async def test_a_leaver_whom_nobody_came_to_is_ended_by_the_job(school: School) -> None:
    lead, leaver, stays = [await school.somebody(role) for role in (Role.LEAD, Role.TEACHER, Role.TEACHER)]
    people = [await school.person(name) for name in ("Lena Lead", "Lou Leaver", "Sam Stays")]
    deputy = await school.somebody(Role.DEPUTY)
    await school.staff.set_person(lead.actor, leaver.id, people[1])
    await school.staff.set_person(lead.actor, stays.id, people[2])
    async with school.records.transaction() as tx:
        await tx.execute("UPDATE people SET left_at = added_at WHERE id <> ?", (people[2],))
        await tx.execute("UPDATE staff_accounts SET person_id = ? WHERE id = ?", (people[0], lead.id))
        await school.staff.take_after_commit(tx)
    await school.staff.end_leavers()
    assert [school.staff.get(one.id).active for one in (leaver, stays)] == [False, True]
    assert school.staff.get(lead.id).active  # the last lead: whoever keeps the list is told, and decides
    assert await school.told(deputy) == []


@pytest.mark.parametrize("change", ["role", "scopes", "person"])
async def test_every_change_of_rights_ends_every_session(school: School, change: str) -> None:
    lead, teacher = await school.somebody(Role.LEAD), await school.somebody(Role.TEACHER)
    elsewhere = await school.sign_in(teacher)
    person = await school.person("Pat Porter")
    match change:
        case "role":
            await school.staff.set_role(lead.actor, teacher.id, Role.PASTORAL)
        case "scopes":
            await school.staff.set_scopes(lead.actor, teacher.id, [Scope("everyone")])
        case "person":
            await school.staff.set_person(lead.actor, teacher.id, person)
    assert school.sessions.of_account(teacher.id) == []
    assert school.sessions.find(elsewhere.session) is None
    assert teacher.keys.is_wiped
    assert teacher.session.over.is_set()
    assert not lead.session.over.is_set()


async def test_an_invitation_made_before_a_role_that_sees_records_is_void(school: School) -> None:
    lead, it = [await school.somebody(role) for role in (Role.LEAD, Role.IT)]
    kept = await school.staff.invite(it.actor, "Jo New", "jo", None)
    await school.staff.set_role(lead.actor, kept.account.id, Role.GOVERNOR)
    assert await school.joining.redeem(kept.code, HOME)
    await school.staff.set_role(lead.actor, kept.account.id, Role.TEACHER)
    assert await school.joining.redeem(kept.code, HOME) is None
    handed_over = await school.staff.new_link(lead.actor, kept.account.id, "join")
    assert await school.joining.redeem(handed_over.code, HOME)


async def test_the_same_role_again_ends_nothing(school: School) -> None:
    lead, teacher = await school.somebody(Role.LEAD), await school.somebody(Role.TEACHER)
    await school.staff.set_role(lead.actor, teacher.id, Role.TEACHER)
    assert not teacher.session.over.is_set()


@pytest.mark.parametrize("role", EVERY_ROLE)
async def test_a_role_without_content_opens_nothing_any_more(school: School, role: Role | None) -> None:
    lead, deputy = await school.somebody(Role.LEAD), await school.somebody(Role.DEPUTY)
    await school.vaults.admit(lead.actor, lead.keys, CAPTURES, deputy.id)
    await school.staff.set_role(lead.actor, deputy.id, role)
    assert await school.vaults.is_member(deputy.id, CAPTURES) == (role in CONTENT_ROLES)


async def test_who_is_let_back_in_begins_anew(school: School) -> None:
    lead, teacher = await school.somebody(Role.LEAD), await school.somebody(Role.TEACHER)
    with pytest.raises(Refused, match="not disabled"):
        await school.staff.enable(lead.actor, teacher.id)
    await school.staff.disable(lead.actor, teacher.id, "a year away")
    invitation = await school.staff.enable(lead.actor, teacher.id)
    assert (invitation.purpose, school.staff.get(teacher.id).state) == ("join", "invited")
    with pytest.raises(Refused):
        await school.sign_in(teacher)
    row = await school.records.fetch_one("SELECT * FROM staff_accounts WHERE id = ?", (teacher.id,))
    assert row is not None
    assert [row[name] for name in ("salt", "verifier", "key_by_password", "totp", "recovery_codes")] == [None] * 5
    assert await school.records.fetch("SELECT 1 FROM staff_browsers WHERE account_id = ?", (teacher.id,)) == []


async def test_content_accounts_are_let_back_in_by_a_lead_alone(school: School) -> None:
    it, lead = await school.somebody(Role.IT), await school.somebody(Role.LEAD)
    for role in EVERY_ROLE:
        subject = await school.somebody(role, active=False)
        assert await refused(school.staff.enable(it.actor, subject.id)) == (role in CONTENT_ROLES)
        await vanish(school, subject)
        assert not await refused(school.staff.enable(lead.actor, subject.id))


# Who somebody is


async def test_an_account_belongs_to_one_member_of_staff_or_governor(school: School) -> None:
    lead, anna, bea = [await school.somebody(role) for role in (Role.LEAD, Role.TEACHER, Role.TEACHER)]
    teacher, governor, pupil, guest = [
        await school.person(kind, kind) for kind in ("staff", "governor", "pupil", "guest")
    ]
    for person in (pupil, guest, "nobody"):
        with pytest.raises(Refused, match="member of staff or a governor"):
            await school.staff.set_person(lead.actor, anna.id, person)
    await school.staff.set_person(lead.actor, anna.id, teacher)
    await school.staff.set_person(lead.actor, anna.id, teacher)
    with pytest.raises(Refused, match="Another account belongs to this person"):
        await school.staff.set_person(lead.actor, bea.id, teacher)
    await school.staff.set_person(lead.actor, bea.id, governor)
    await school.staff.set_person(lead.actor, anna.id, None)
    await school.staff.set_person(lead.actor, bea.id, teacher)
    details = [detail for _, action, _, detail in await school.record() if action == "said who this is"]
    assert {"person": teacher} in details


# Names


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("anna", "anna"),
        (" Anna ", "anna"),
        ("ANNA.Smith", "anna.smith"),
        ("anna_smith-2", "anna_smith-2"),
        ("anna@school.uk", "anna@school.uk"),
        ("\uff41\uff4e\uff4e\uff41", "anna"),
        ("an", "an"),
        ("a" * 64, "a" * 64),
    ],
)
def test_sign_in_names_are_kept_folded(typed: str, kept: str) -> None:
    assert checked_sign_in_name(typed) == kept


@pytest.mark.parametrize(
    "typed",
    [
        *("", " ", "a", "a" * 65, "anna smith", "anna\tsmith", ".anna", "änna", "anna'--", "anna\n", "<b>anna</b>"),
        *("\u0430nna", "anna\u200b", "anna\0", "a" * 1_000_000, "\ufdfa" * 300),
    ],
)
def test_other_sign_in_names_are_refused(typed: str) -> None:
    if typed == "anna\n":
        assert checked_sign_in_name(typed) == "anna"
        return
    with pytest.raises(Refused, match="A sign-in name has 2 to 64 letters"):
        checked_sign_in_name(typed)


@given(st.text(max_size=300))
def test_folding_twice_changes_nothing_for_names_that_can_be(typed: str) -> None:
    folded = fold_sign_in_name(typed)
    if folded.isascii():
        assert fold_sign_in_name(folded) == folded
        assert fold_sign_in_name(f"  {typed.upper()} ") in (folded, fold_sign_in_name(typed.upper()))


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("Anna Smith", "Anna Smith"),
        ("  Anna \n Smith ", "Anna Smith"),
        ("Anna\u202eSmith", "Anna Smith"),
        ("Zoë O’Brien-Łuk", "Zoë O’Brien-Łuk"),
        ("李小龍", "李小龍"),
    ],
)
def test_names_are_kept_as_they_are_read(typed: str, kept: str) -> None:
    assert checked_name(typed) == kept


@pytest.mark.parametrize("typed", ["", "  ", "\u200b", "x" * 101])
def test_other_names_are_refused(typed: str) -> None:
    with pytest.raises(Refused, match="name"):
        checked_name(typed)


@pytest.mark.parametrize(
    "name",
    ["Anna Smith", "anna  smith", "ANNA SMITH", "\uff21nna Smith", "The appliance", "somebody", SET_UP],
)
async def test_nobody_goes_by_the_name_of_somebody_else(school: School, name: str) -> None:
    """The record of who did what says names: two of one name, and it says nothing."""
    it = await school.somebody(Role.IT)
    await school.somebody(Role.LEAD, "Anna Smith", active=False)
    with pytest.raises(Refused, match="A name has to be one that no other account has"):
        await school.staff.invite(it.actor, name, "fresh", None)
    assert school.staff.named("fresh") is None


async def test_a_sign_in_name_is_taken_however_it_is_written(school: School) -> None:
    it = await school.somebody(Role.IT)
    await school.staff.invite(it.actor, "Anna", "anna", None)
    for name in ("anna", " ANNA", "\uff41nna"):
        with pytest.raises(Refused, match="has the sign-in name anna already"):
            await school.staff.invite(it.actor, f"Another {name}", name, None)


# Links


async def test_links_have_140_bits_and_only_hashes_are_kept(school: School, tmp_path: Path) -> None:
    it = await school.somebody(Role.IT)
    links = [await school.staff.invite(it.actor, f"Guest {n}", f"guest{n}", None) for n in range(5)]
    assert len({link.code for link in links}) == 5
    await school.records.copy_to(tmp_path / "copy.db")
    kept = (tmp_path / "copy.db").read_bytes()
    for link in links:
        assert len(plain_code(link.code)) == 28
        assert link.code.encode() not in kept
        assert plain_code(link.code).encode() not in kept
        assert sha256(plain_code(link.code)).encode() in kept


@pytest.mark.parametrize(
    ("state", "purpose", "made"),
    [
        ("invited", "join", True),
        ("invited", "password", False),
        ("active", "join", False),
        ("active", "password", True),
        ("active", "factor", False),
        ("active", "set-up", False),
        ("disabled", "join", False),
        ("disabled", "password", False),
    ],
)
async def test_which_link_fits_which_account(school: School, state: str, purpose: str, made: bool) -> None:
    lead, other = await school.somebody(Role.LEAD), await school.somebody(None)
    await vanish(school, other, state=state)
    assert await refused(school.staff.new_link(lead.actor, other.id, purpose)) != made  # type: ignore[arg-type]


@pytest.mark.parametrize("giver", MANAGERS)
async def test_an_invitation_is_renewed_by_whoever_may_give_the_role(school: School, giver: Role) -> None:
    lead, actor = await school.somebody(Role.LEAD, "Lead who stays"), await school.somebody(giver)
    for number, role in enumerate(EVERY_ROLE):
        invited = await school.staff.invite(lead.actor, f"Guest {number}", f"guest{number}", role)
        allowed = giver is Role.LEAD or role not in CONTENT_ROLES
        assert await refused(school.staff.new_link(actor.actor, invited.account.id, "join")) != allowed


async def test_a_new_link_voids_the_one_before_and_what_was_begun_with_it(school: School) -> None:
    """The slip may lie in the wrong hands, and be open in their browser already."""
    it = await school.somebody(Role.IT)
    first = await school.staff.invite(it.actor, "Guest", "guest", None)
    begun = await school.joining.redeem(first.code, HOME)
    assert begun is not None
    second = await school.staff.new_link(it.actor, first.account.id, "join")
    assert school.sessions.find(begun) is None
    assert await school.joining.redeem(first.code, HOME) is None
    assert await school.joining.redeem(second.code, HOME) is not None


async def test_the_owner_is_told_of_a_link_for_a_new_password(school: School) -> None:
    it, teacher = await school.somebody(Role.IT, "Ida"), await school.somebody(Role.TEACHER)
    await school.staff.new_link(it.actor, teacher.id, "password")
    (notice,) = await school.notices.all(teacher.actor)
    assert "Ida has made a link with which you get a new password" in notice["words"]


async def test_how_long_links_work(school: School) -> None:
    it, teacher = await school.somebody(Role.IT), await school.somebody(Role.TEACHER)
    made = [
        await school.staff.invite(it.actor, "Guest", "guest", None),
        await school.staff.new_link(it.actor, teacher.id, "password"),
    ]
    days = [(parse(link.expires_at) - now()).total_seconds() / 86400 for link in made]
    assert [round(one, 2) for one in days] == [7, 1]
    assert LINK_LIFE["set-up"] == timedelta(hours=1)
    open_links = await school.staff.open_links()
    assert {account: row["purpose"] for account, row in open_links.items()} == {
        made[0].account.id: "join",
        teacher.id: "password",
    }


async def too_old(school: School) -> None:
    async with school.records.transaction() as tx:
        await tx.execute("UPDATE staff_links SET expires_at = ?", (stamp(now() - timedelta(seconds=1)),))


async def test_links_end_after_their_time(school: School) -> None:
    it = await school.somebody(Role.IT)
    invited = await school.staff.invite(it.actor, "Guest", "guest", None)
    await too_old(school)
    assert await school.joining.redeem(invited.code, HOME) is None
    assert await school.staff.open_links() == {}


# The set-up link


async def test_the_set_up_link_works_once_for_an_hour(school: School) -> None:
    code = await school.staff.new_setup_link()
    (row,) = await school.records.fetch("SELECT * FROM staff_links")
    assert parse(row["expires_at"]) - parse(row["made_at"]) == timedelta(hours=1)
    assert (row["purpose"], row["account_id"]) == ("set-up", None)
    opened = await asyncio.gather(*(school.joining.redeem(code, HOME) for _ in range(4)))
    assert sum(one is not None for one in opened) == 1
    assert await school.joining.redeem(code, HOME) is None


async def test_an_old_set_up_link_opens_nothing(school: School) -> None:
    code = await school.staff.new_setup_link()
    await too_old(school)
    assert await school.joining.redeem(code, HOME) is None


async def test_another_set_up_link_voids_the_one_before_and_what_was_begun_with_it(school: School) -> None:
    first = await school.staff.new_setup_link()
    begun = await school.joining.redeem(first, HOME)
    assert begun is not None
    second = await school.staff.new_setup_link()
    assert school.sessions.find(begun) is None
    third = await school.staff.new_setup_link()
    assert await school.joining.redeem(second, HOME) is None
    assert await school.joining.redeem(third, HOME) is not None


async def test_there_is_no_set_up_link_once_the_box_is_set_up_but_again(school: School) -> None:
    it, lead, gone = (
        await school.somebody(Role.IT),
        await school.somebody(Role.LEAD),
        await school.somebody(Role.HEAD, active=False),
    )
    with pytest.raises(Refused, match="This box is set up"):
        await school.staff.new_setup_link()
    assert await school.records.fetch("SELECT 1 FROM staff_links") == []
    code = await school.staff.new_setup_link(again=True)
    assert await school.joining.redeem(code, HOME) is not None
    assert [await school.told(one) for one in (it, lead, gone)] == [["set-up link"], ["set-up link"], []]


# A new second factor takes two people


async def test_which_two_people_get_somebody_a_new_second_factor(school: School) -> None:
    """Every role that asks, with every role that agrees; two accounts of each, so that nobody meets themselves."""
    await school.somebody(Role.LEAD, "Lead who stays")
    subject = await school.somebody(Role.TEACHER)
    askers = {role: (await school.somebody(role)).actor for role in EVERY_ROLE}
    others = {role: (await school.somebody(role)).actor for role in EVERY_ROLE}
    good = set()
    for asking, asker in askers.items():
        if await refused(school.staff.ask_factor_reset(asker, subject.id, "rang me, lost the phone")):
            assert asking not in MANAGERS
            continue
        for agreeing, other in others.items():
            (reset,) = await school.staff.factor_resets()
            if not await refused(school.staff.agree_factor_reset(other, reset["id"])):
                good.add((asking, agreeing))
                await school.staff.ask_factor_reset(asker, subject.id, "rang me again")
        (reset,) = await school.staff.factor_resets()
        await school.staff.refuse_factor_reset(askers[Role.LEAD], reset["id"])
    assert good == {(one, two) for one in MANAGERS for two in MANAGERS if {one, two} & {*SENIORS}}


async def ask(school: School, asker: Somebody, subject: Somebody) -> str:
    await school.staff.ask_factor_reset(asker.actor, subject.id, "rang me, lost the phone")
    (reset,) = await school.staff.factor_resets()
    return str(reset["id"])


async def test_a_reset_needs_somebody_else_than_who_asked_and_whose_it_is(school: School) -> None:
    lead, deputy, other = [await school.somebody(role) for role in (Role.LEAD, Role.DEPUTY, Role.HEAD)]
    reset = await ask(school, lead, deputy)
    with pytest.raises(Refused, match="You asked for this yourself"):
        await school.staff.agree_factor_reset(lead.actor, reset)
    with pytest.raises(Refused, match="Nobody changes their own"):
        await school.staff.agree_factor_reset(deputy.actor, reset)
    with pytest.raises(Refused, match="asked for already"):
        await school.staff.ask_factor_reset(other.actor, deputy.id, "me too")
    invitation = await school.staff.agree_factor_reset(other.actor, reset)
    assert (invitation.purpose, invitation.account.id) == ("factor", deputy.id)
    for late in (
        school.staff.agree_factor_reset(other.actor, reset),
        school.staff.refuse_factor_reset(lead.actor, reset),
    ):
        with pytest.raises(Refused, match="decided already"):
            await late


async def test_two_who_agree_at_the_same_moment_get_one_link(school: School) -> None:
    lead, head, deputy, subject = [
        await school.somebody(role) for role in (Role.LEAD, Role.HEAD, Role.DEPUTY, Role.TEACHER)
    ]
    reset = await ask(school, lead, subject)
    found = await asyncio.gather(
        *(school.staff.agree_factor_reset(one.actor, reset) for one in (head, deputy)), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in found) == ["Invitation", "Refused"]
    assert isinstance(found[0], Invitation)


@pytest.mark.parametrize("fate", ["disabled", "teacher"])
async def test_who_asked_counts_only_while_they_may_still_ask(school: School, fate: str) -> None:
    lead, head, it, subject = [await school.somebody(role) for role in (Role.LEAD, Role.HEAD, Role.IT, Role.TEACHER)]
    reset = await ask(school, head, subject)
    if fate == "disabled":
        await school.staff.disable(lead.actor, head.id, "suspended")
    else:
        await school.staff.set_role(lead.actor, head.id, Role.TEACHER)
    for agreeing in (it, lead):
        with pytest.raises(Refused, match="may not do that any more"):
            await school.staff.agree_factor_reset(agreeing.actor, reset)


async def test_a_reset_is_said_no_to_by_the_owner_and_by_those_who_keep_the_accounts(school: School) -> None:
    lead, head, subject, teacher = [
        await school.somebody(role) for role in (Role.LEAD, Role.HEAD, Role.TEACHER, Role.TEACHER)
    ]
    assert await refused(school.staff.refuse_factor_reset(teacher.actor, await ask(school, lead, subject)))
    for who in (subject, head, lead):
        (reset,) = await school.staff.factor_resets()
        await school.staff.refuse_factor_reset(who.actor, reset["id"])
        assert await school.staff.factor_resets() == []
        await ask(school, lead, subject)


@pytest.mark.parametrize("reason", ["", "  ", "\n"])
async def test_a_reset_needs_a_reason_and_an_account_that_is_in_use(school: School, reason: str) -> None:
    lead, subject, gone = [
        await school.somebody(Role.LEAD),
        await school.somebody(Role.TEACHER),
        await school.somebody(Role.TEACHER, active=False),
    ]
    with pytest.raises(Refused, match="Say how you know"):
        await school.staff.ask_factor_reset(lead.actor, subject.id, reason)
    with pytest.raises(Refused, match="cannot sign in"):
        await school.staff.ask_factor_reset(lead.actor, gone.id, "rang me")


async def test_everybody_who_may_stop_it_is_told_of_a_reset(school: School) -> None:
    lead, head, it, subject, teacher = [
        await school.somebody(role) for role in (Role.LEAD, Role.HEAD, Role.IT, Role.TEACHER, Role.TEACHER)
    ]
    reset = await ask(school, lead, subject)
    told = [await school.told(one) for one in (lead, head, it, subject, teacher)]
    assert told == [[], ["second factor"], ["second factor"], ["second factor"], []]
    await school.staff.agree_factor_reset(head.actor, reset)
    assert await school.told(subject) == ["second factor", "own account"]


# Reviews


async def test_a_review_is_signed_and_the_next_is_due_after_a_term(school: School) -> None:
    assert abs(parse(await school.staff.review_due()) - now() - REVIEW_EVERY) < timedelta(minutes=1)
    lead = await school.somebody(Role.LEAD, "Lea")
    await school.somebody(None)
    await school.somebody(None, active=False)
    async with school.records.transaction() as tx:
        await tx.execute("UPDATE staff_accounts SET joined_at = '2026-01-10T09:00:00.000Z'")
        await school.staff.take_after_commit(tx)
    assert await school.staff.review_due() == stamp(parse("2026-01-10T09:00:00.000Z") + REVIEW_EVERY)
    await school.staff.sign_review(lead.actor, "  all of them are right\n")
    (review,) = await school.staff.reviews()
    assert (review["account_id"], review["accounts"], review["note"]) == (lead.id, 2, "all of them are right")
    assert await school.staff.review_due() == stamp(parse(review["at"]) + REVIEW_EVERY)
    assert (await school.record())[-1][:3] == ("Lea", "signed the review of accounts", "staff accounts")


# What others must not learn


def words_in(rows: Iterable[tuple[str, str, str, object]]) -> str:
    return "\n".join(str(row) for row in rows)


async def test_the_record_names_no_pupil(school: School) -> None:
    lead, teacher = await school.somebody(Role.LEAD), await school.somebody(Role.TEACHER)
    pupil = await school.person("Quentin Canary", "pupil")
    await school.staff.set_scopes(lead.actor, teacher.id, [Scope("person", pupil)])
    assert await school.staff.scope_words(lead.actor, teacher.id) == "Quentin Canary"
    told = words_in(await school.record())
    assert "Canary" not in told
    assert f"person {pupil}" in told


async def test_no_secret_stands_in_the_record(school: School) -> None:
    it, teacher = await school.somebody(Role.IT), await school.somebody(Role.TEACHER)
    link = await school.staff.new_link(it.actor, teacher.id, "password")
    signed_in = await school.sign_in(teacher)
    told = words_in(await school.record())
    for secret in (link.code, plain_code(link.code), signed_in.session, signed_in.browser, PASSWORD, *teacher.codes):
        assert secret not in told
