"""From a one-time link to a signed-in browser: every purpose on the real pages, and what nobody gets by a link."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from accounts import (
    HOME,
    NEW,
    PASSWORD,
    WRONG,
    Guest,
    School,
    Somebody,
    a_school,
    invite,
    joined,
    link_in,
    make_home,
    no_store_is_left_open,
    quick_passwords,
)

from appliance.access import Role
from appliance.accounts.joining import TRIES_OF_CODES, TRIES_OF_PASSWORD
from appliance.accounts.second_factor import code_at, step_of
from appliance.accounts.sessions import Session
from appliance.accounts.signing_in import TRIES_OF_NEW_PASSWORDS, WINDOW_SECONDS, Visitor
from appliance.accounts.staff import SET_UP, WRONG_CODES_MOST
from appliance.clock import new_id, now, stamp
from appliance.codes import plain_code
from appliance.errors import Refused
from appliance.hookspecs import Page, Permission
from appliance.testing import Answer, Client, Running, start_in_process
from appliance.vaults import CAPTURES, VULNERABLE_LIST
from appliance.web.assets import Assets
from appliance.web.joining_views import FIRST_PAGE
from appliance.web.views import core_pages

pages_of_one_appliance = pytest.mark.asyncio(loop_scope="module")
CLOSED = "<h1>Sign in</h1>"
NOTHING = "This code does not open anything"


__all__ = ["no_store_is_left_open", "quick_passwords"]


# On the pages


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    found = await start_in_process(make_home(tmp_path_factory.mktemp("joining") / "home"))
    async with found.kept_alive():
        yield found
    await found.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lead(running: Running) -> Client:
    return await running.as_role(Role.LEAD, name="Lea Lead")


def account_of(running: Running, guest: Guest) -> str:
    found = running.appliance.staff.named(guest.sign_in_name)
    assert found is not None
    return found.id


async def works(guest: Guest) -> bool:
    """Whether this browser is signed in and open."""
    return (await guest.get("/account")).status == 200


@pages_of_one_appliance
async def test_somebody_invited_gets_from_the_link_to_the_pages_of_the_role(running: Running, lead: Client) -> None:
    guest, code = await invite(running, lead, "Tess Teacher", "teacher")
    answer = await guest.open(f" https://staff.localhost/join#{code.lower()} ")
    assert (answer.status, answer.headers["Location"]) == (303, "/join/password")
    assert "Welcome, Tess Teacher" in (await guest.get("/join/password")).text
    different = await guest.post("/join/password", {"password": PASSWORD, "again": WRONG})
    assert (different.status, "Enter the same password twice" in different.text) == (422, True)
    easy = await guest.post("/join/password", {"password": "tess.teacher1", "again": "tess.teacher1"})
    assert easy.status == 422
    assert (await guest.choose("/join/password")).headers["Location"] == "/join/factor"
    assert (await guest.get("/")).status == 403
    await guest.make_ready()
    assert await works(guest)
    assert (await guest.get("/people")).status == 200
    assert (await guest.get("/staff")).status == 403
    assert len(guest.sheet) == 8
    again = guest.another()
    await again.sign_in()
    assert await works(again)
    assert (await guest.another().open(code)).status == 403, "the link is used"


@pages_of_one_appliance
async def test_a_wrong_code_of_the_app_asks_again_with_the_same_secret(running: Running, lead: Client) -> None:
    guest, code = await invite(running, lead, "Wanda Wrong")
    await guest.open(code)
    await guest.choose("/join/password")
    page = (await guest.get("/join/factor")).text
    (packed,) = re.findall(r'name="packed" value="(\w+)"', page)
    (shown,) = re.findall(r'"secret">([A-Z2-7 ]+)<', page)
    answer = await guest.post("/join/factor", {"packed": packed, "code": "000000"})
    assert answer.status == 422
    assert "This code is not right" in answer.text
    assert shown in answer.text
    for broken in ("", packed[:-2], "ff" * 40):
        assert (await guest.post("/join/factor", {"packed": broken, "code": "000000"})).status == 409


@pages_of_one_appliance
@pytest.mark.parametrize("code", ["", "7Q2K-M0XD", "x" * 100_000, "<script>", "\u00fc\u2603"])
async def test_what_is_no_code_opens_nothing(running: Running, code: str) -> None:
    for path in ("/join", "/set-up"):
        answer = await running.post(path, {"code": code}, signed_in=False)
        assert answer.status == 403
        assert NOTHING in answer.text
        assert "Set-Cookie" not in answer.headers
        assert "<script>" not in answer.text.partition("<main")[2]


@pages_of_one_appliance
async def test_used_old_and_replaced_links_open_nothing(running: Running, lead: Client) -> None:
    guest, first = await invite(running, lead, "Rita Replaced")
    account = account_of(running, guest)
    second = link_in(await lead.post(f"/staff/{account}/link"))
    assert (await guest.open(first)).status == 403
    async with running.appliance.records.transaction() as tx:
        await tx.execute("UPDATE staff_links SET expires_at = ? WHERE account_id = ?", (stamp(), account))
    assert (await guest.open(second)).status == 403
    third = link_in(await lead.post(f"/staff/{account}/link"))
    assert (await guest.open(third)).status == 303
    await guest.choose("/join/password")
    await guest.make_ready()
    assert (await guest.another().open(third)).status == 403


@pages_of_one_appliance
async def test_a_second_browser_takes_over_from_the_first(running: Running, lead: Client) -> None:
    """A link that was opened on a phone, and then again where there is a printer."""
    phone, code = await invite(running, lead, "Tim Twice")
    await phone.open(code)
    await phone.choose("/join/password")
    desk = phone.another(NEW)
    assert (await desk.open(code)).status == 303
    answer = await phone.get("/join/factor")
    assert (answer.status, CLOSED in answer.text) == (403, True)
    assert (await desk.get("/join/factor")).status == 409, "it begins with the password again"
    await desk.choose("/join/password")
    await desk.make_ready()
    assert await works(desk)
    assert (await phone.another().post("/sign-in", {"name": "tim.twice", "password": PASSWORD, "code": desk.sheet[0]})
            ).status == 403  # fmt: skip


def opens(running: Running, guest: Guest, envelope: bytes) -> bool:
    """Whether this browser opens something sealed."""
    sessions = running.appliance.staff.sessions
    session = sessions.find(guest.cookie)
    assert session is not None
    keys = sessions.keys(session)
    assert keys is not None
    try:
        return running.appliance.vaults.open(keys, envelope) == b"a canary"
    except Refused:
        return False


@pages_of_one_appliance
async def test_a_new_password_opens_old_content_with_the_recovery_key_and_else_by_a_colleague(
    running: Running, lead: Client
) -> None:
    envelope = await running.appliance.vaults.seal(CAPTURES, new_id(), "note", b"a canary")
    guest = await joined(running, lead, "Dora Deputy", "deputy")
    account = account_of(running, guest)
    admit = {"list": CAPTURES, "account": account}
    assert (await lead.post("/staff/who-can-open/admit", admit)).status == 303
    assert opens(running, guest, envelope)

    # With the recovery key everything opens again.
    forgetful = guest.another(NEW)
    await forgetful.open(link_in(await lead.post(f"/staff/{account}/link")))
    code = forgetful.sheet.pop()
    nothing_said = await forgetful.choose("/join/new-password", code=code)
    assert (nothing_said.status, "tick that you do not have it" in nothing_said.text) == (422, True)
    slip = await forgetful.choose("/join/new-password", code=code, recovery=forgetful.recovery_key[:-1])
    assert (slip.status, 'id="recovery-error"' in slip.text) == (422, True)
    assert await works(guest)
    answer = await forgetful.choose("/join/new-password", code=code, recovery=forgetful.recovery_key.lower())
    assert (answer.status, answer.headers.get("Location")) == (303, "/join/keep")
    assert not await works(guest), "every other browser is signed out"
    await print_and_finish(forgetful)
    assert opens(running, forgetful, envelope)

    # Without it there is a sign-in again, and nothing from before opens.
    careless = forgetful.another(PASSWORD)
    await careless.open(link_in(await lead.post(f"/staff/{account}/link")))
    answer = await careless.choose("/join/new-password", code=careless.sheet.pop(), without="yes")
    assert answer.headers.get("Location") == "/join/keep"
    await print_and_finish(careless)
    assert await works(careless)
    assert not opens(running, careless, envelope)
    assert not await running.appliance.vaults.is_member(account, CAPTURES)
    with pytest.raises(AssertionError):
        await forgetful.another().sign_in()

    # A colleague lets them in again, and the newest sheet alone opens the account.
    assert (await lead.post("/staff/who-can-open/admit", admit)).status == 303
    assert opens(running, careless, envelope)
    await careless.another().sign_in()


async def print_and_finish(guest: Guest) -> None:
    page = (await guest.post("/join/keep")).text
    (check,) = re.findall(r'name="check" value="(\w+)"', page)
    (guest.recovery_key,) = re.findall(r'"secret">([0-9A-Z -]+)<', page)
    guest.sheet = re.findall(r"<li><code>([0-9A-Z-]+)</code></li>", page)
    guest.enter(await guest.post("/join/done", {"check": check, "typed": guest.recovery_key[:4].lower()}))


@pages_of_one_appliance
async def test_two_people_get_somebody_a_new_second_factor(running: Running, lead: Client) -> None:
    guest = await joined(running, lead, "Fay Factor", "head")
    account = account_of(running, guest)
    asked = await running.post(f"/staff/{account}/ask-reset", {"reset_reason": "rang me from home"})
    assert asked.status == 303
    (reset,) = await running.appliance.staff.factor_resets()
    assert (await running.post("/staff/resets/agree", {"id": reset["id"]})).status == 409
    code = link_in(await lead.post("/staff/resets/agree", {"id": reset["id"]}))
    old_code = code_at(guest.secret, step_of(now()) + 1)

    after = guest.another()
    assert (await after.open(code)).headers["Location"] == "/join/confirm-password"
    wrong = await after.post("/join/confirm-password", {"password": WRONG})
    assert (wrong.status, "This is not your password" in wrong.text) == (422, True)
    assert (await after.post("/join/confirm-password", {"password": PASSWORD})).headers["Location"] == "/join/factor"
    assert await works(guest), "nothing has changed yet"
    await after.make_ready()
    assert not await works(guest), "the factor has: every other browser is signed out"
    assert await works(after)
    form = {"name": guest.sign_in_name, "password": PASSWORD, "code": old_code}
    assert (await running.post("/sign-in", form, signed_in=False)).status == 403


@pages_of_one_appliance
async def test_a_new_second_factor_with_a_forgotten_password_too(running: Running, lead: Client) -> None:
    guest = await joined(running, lead, "Flo Forgot")
    account = account_of(running, guest)
    await running.post(f"/staff/{account}/ask-reset", {"reset_reason": "rang me from home"})
    (reset,) = await running.appliance.staff.factor_resets()
    after = guest.another(NEW)
    await after.open(link_in(await lead.post("/staff/resets/agree", {"id": reset["id"]})))
    assert "Choose a new one" in (await after.get("/join/confirm-password?forgotten=yes")).text
    answer = await after.choose("/join/confirm-password", forgotten="yes", recovery=guest.recovery_key)
    assert answer.headers.get("Location") == "/join/factor"
    assert not await works(guest)
    await after.make_ready()
    await after.another().sign_in()


# What a link does not open


PURPOSES = ("set-up", "join", "password", "factor")


async def session_for(running: Running, purpose: str, account: str | None) -> Client:
    """A browser in which a link of this purpose was opened."""
    staff = running.appliance.staff
    async with running.appliance.records.transaction() as tx:
        cookie = await staff.sessions.begin(tx, purpose, account)  # type: ignore[arg-type]
    session = staff.sessions.find(cookie)
    assert session is not None
    return Client(running.port, cookie, account or "", await staff.actor(session))


async def visit(client: Client, page: Page) -> Answer:
    path = re.sub(r"{\w+:?([^}|]*)[^}]*}", lambda found: found[1] if found[1].isalnum() else "x", page.path)
    return await (client.get(path) if page.method == "GET" else client.post(path))


@pages_of_one_appliance
@pytest.mark.parametrize("purpose", PURPOSES)
async def test_a_link_opens_the_steps_of_joining_and_no_other_page(
    running: Running, lead: Client, purpose: str
) -> None:
    """Of a lead's account, so that every page would be open if the role counted."""
    client = await session_for(running, purpose, None if purpose == "set-up" else lead.account)
    for page in core_pages(Assets({})):
        if page.site != "staff" or page.permission in (Permission.PUBLIC, Permission.JOIN):
            continue
        answer = await visit(client, page)
        assert (answer.status, CLOSED in answer.text) == (403, True), page.path


ACCOUNT_COLUMNS = "state, salt, verifier, public_key, key_by_password, key_by_recovery, totp, recovery_codes"


@pages_of_one_appliance
@pytest.mark.parametrize("purpose", PURPOSES)
async def test_a_link_of_one_purpose_does_nothing_of_another(running: Running, lead: Client, purpose: str) -> None:
    guest = await joined(running, lead, f"Guest for {purpose}")
    account = account_of(running, guest)
    client = await session_for(running, purpose, None if purpose == "set-up" else account)
    columns = f"SELECT {ACCOUNT_COLUMNS} FROM staff_accounts WHERE id = ?"
    before = await running.appliance.records.fetch(columns, (account,))
    first = {"/set-up/account": "set-up", "/join/password": "join", "/join/new-password": "password",
             "/join/confirm-password": "factor"}  # fmt: skip
    form = {"password": NEW, "again": NEW, "code": guest.sheet[0], "without": "yes", "forgotten": "yes",
            "packed": "00", "check": "00", "typed": "0000", "name": "Eve", "sign_in_name": "eve"}  # fmt: skip
    for page in core_pages(Assets({})):
        if page.permission is Permission.JOIN and page.method == "POST" and first.get(page.path) != purpose:
            answer = await client.post(page.path, form)
            assert answer.status in (409, 422), (page.path, answer.status)
    assert [tuple(row) for row in await running.appliance.records.fetch(columns, (account,))] == [
        tuple(row) for row in before
    ]
    assert await works(guest)
    assert running.appliance.staff.named("eve") is None


@pages_of_one_appliance
async def test_every_purpose_has_a_first_page(running: Running) -> None:
    paths = {(page.method, page.path) for page in core_pages(Assets({})) if page.permission is Permission.JOIN}
    assert set(FIRST_PAGE) == set(PURPOSES)
    for path in FIRST_PAGE.values():
        assert {("GET", path), ("POST", path)} <= paths


# The set-up


@pytest_asyncio.fixture
async def new_box(tmp_path: Path) -> AsyncIterator[Running]:
    """An appliance that nobody has set up. Its settings file names the school: only the main process can do that."""
    home = make_home(tmp_path / "home")
    home.write("school: {name: A school}\n")
    found = await start_in_process(home)
    appliance = found.appliance
    async with appliance.records.transaction() as tx:
        await tx.execute("DELETE FROM staff_accounts")
    await appliance.staff.start()
    await appliance.staff.sessions.start()
    async with found.kept_alive():
        yield found
    await found.stop()


ACCOUNT = {"name": "Ina Installer", "sign_in_name": "ina"}


async def test_it_sets_the_box_up_and_then_there_is_no_set_up_link_any_more(new_box: Running) -> None:
    staff = new_box.appliance.staff
    closed = await new_box.get("/status", signed_in=False)
    assert (closed.status, "This box is not set up yet" in closed.text) == (403, True)
    it = Guest(new_box.port, "", "ina", PASSWORD)
    answer = await it.open(await staff.new_setup_link(), "/set-up")
    assert (answer.status, answer.headers["Location"]) == (303, "/set-up/account")
    bad = await it.choose("/set-up/account", **{**ACCOUNT, "sign_in_name": "a b"})
    assert (bad.status, 'id="sign_in_name-error"' in bad.text) == (422, True)
    bad = await it.post("/set-up/account", {**ACCOUNT, "password": "ina.installer", "again": "ina.installer"})
    assert (bad.status, 'id="password-error"' in bad.text) == (422, True)
    assert staff.all() == []
    it.enter(await it.choose("/set-up/account", **ACCOUNT))
    assert not staff.is_set_up
    await it.make_ready()
    assert staff.is_set_up
    assert await works(it)
    assert (await it.get("/status")).status == 200
    assert staff.all()[0].role is Role.IT
    with pytest.raises(Refused):
        await staff.new_setup_link()
    again = await it.get("/set-up", signed_in=False)
    assert "This box is set up" in again.text


async def test_links_and_browsers_of_a_set_up_that_is_done_are_void(new_box: Running) -> None:
    """Whoever reads the log finds a link in it; whoever was quick has it open. Neither makes an IT account later."""
    staff = new_box.appliance.staff
    pupil, it = Guest(new_box.port, "", "pupil", PASSWORD), Guest(new_box.port, "", "ina", PASSWORD)
    await pupil.open(await staff.new_setup_link(), "/set-up")
    assert (await pupil.get("/set-up/account")).status == 200
    await it.open(await staff.new_setup_link(), "/set-up")
    assert (await pupil.get("/set-up/account")).status == 403, "the newer link has ended it"
    it.enter(await it.choose("/set-up/account", **ACCOUNT))
    printed_meanwhile = await staff.new_setup_link()
    assert await works(it) is False
    early = Guest(new_box.port, "", "early", PASSWORD)
    await early.open(printed_meanwhile, "/set-up")
    late = await staff.new_setup_link()
    await it.make_ready()
    assert (await early.get("/set-up/account")).status == 403
    assert (await Guest(new_box.port, "", "late", PASSWORD).open(late, "/set-up")).status == 403
    assert [one.sign_in_name for one in staff.all()] == ["ina"]


async def test_a_set_up_that_was_left_is_begun_again(new_box: Running) -> None:
    staff = new_box.appliance.staff
    first, second = Guest(new_box.port, "", "ina", PASSWORD), Guest(new_box.port, "", "ina", NEW)
    await first.open(await staff.new_setup_link(), "/set-up")
    first.enter(await first.choose("/set-up/account", **ACCOUNT))
    await second.open(await staff.new_setup_link(), "/set-up")
    second.enter(await second.choose("/set-up/account", **ACCOUNT))
    answer = await first.get("/join/factor")
    assert (answer.status, CLOSED in answer.text or "not set up yet" in answer.text) == (403, True)
    await second.make_ready()
    await second.another().sign_in()
    assert len(staff.all()) == 1


async def test_the_first_lead_does_the_second_half(new_box: Running) -> None:
    staff = new_box.appliance.staff
    it = Guest(new_box.port, "", "ina", PASSWORD)
    await it.open(await staff.new_setup_link(), "/set-up")
    it.enter(await it.choose("/set-up/account", **ACCOUNT))
    await it.make_ready()
    form = {"name": "Lea Lead", "sign_in_name": "lea", "role": "lead"}
    first = Guest(new_box.port, "", "lea", PASSWORD)
    kept_back = link_in(await it.post("/staff/invite", {**form, "name": "Ida Puppet", "sign_in_name": "ida"}))
    half_open = Guest(new_box.port, "", "ida", PASSWORD)
    await half_open.open(kept_back)
    await first.open(link_in(await it.post("/staff/invite", form)))
    await first.choose("/join/password")
    await first.make_ready()
    assert staff.has_lead
    account = account_of(new_box, first)
    for vault in (CAPTURES, VULNERABLE_LIST):
        assert await new_box.appliance.vaults.is_member(account, vault)
    assert (await half_open.get("/join/password")).status == 403, "IT has kept no other lead back"
    assert (await half_open.open(kept_back)).status == 403
    refused = await it.post("/staff/invite", {**form, "name": "Ida Again", "sign_in_name": "ida2"})
    assert (refused.status, "Only a safeguarding lead" in refused.text) == (422, True)


async def test_after_a_new_start_in_the_middle_the_link_is_opened_again(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    before = await start_in_process(home)
    lead = await before.as_role(Role.LEAD, name="Lea Lead")
    guest, code = await invite(before, lead, "Rosa Restart", "teacher")
    await guest.open(code)
    await guest.choose("/join/password")
    await before.stop()
    after = await start_in_process(home)
    try:
        guest.port = after.port
        answer = await guest.get("/join/factor")
        assert (answer.status, "Open your link again" in answer.text) == (409, True)
        await guest.open(code)
        await guest.choose("/join/password")
        await guest.make_ready()
        assert await works(guest)
    finally:
        await after.stop()


# Below the pages


@pytest.fixture
async def school(tmp_path: Path) -> AsyncIterator[School]:
    async with a_school(tmp_path) as found:
        yield found


async def open_link(school: School, code: str, visitor: Visitor = HOME) -> Session:
    session_id = await school.joining.redeem(code, visitor)
    assert session_id is not None
    return school.session(session_id)


async def reset_link(school: School, who: Somebody) -> str:
    it = await school.somebody(Role.IT)
    return (await school.staff.new_link(it.actor, who.id, "password")).code


async def factor_link(school: School, who: Somebody) -> str:
    lead, head = await school.somebody(Role.LEAD), await school.somebody(Role.HEAD)
    await school.staff.ask_factor_reset(lead.actor, who.id, "rang me")
    (reset,) = await school.staff.factor_resets()
    return (await school.staff.agree_factor_reset(head.actor, reset["id"])).code


async def set_factor(school: School, session: Session) -> bytes:
    secret, packed = school.joining.offer_factor(session)
    assert await school.joining.set_factor(session, packed, code_at(secret, step_of(now())))
    return secret


async def test_wrong_links_run_out_where_they_are_tried_and_the_right_one_works_all_the_same(school: School) -> None:
    it = await school.somebody(Role.IT)
    invited = await school.staff.invite(it.actor, "Guest", "guest", None)
    for number in range(TRIES_OF_CODES):
        assert await school.joining.redeem(f"wrong {number}", HOME) is None
    with pytest.raises(Refused, match="Too many codes were tried"):
        await school.joining.redeem("wrong", HOME)
    assert await school.joining.redeem("wrong", Visitor("10.9.9.9")) is None
    assert await school.joining.redeem(invited.code, HOME) is not None


async def test_whoever_has_a_link_cannot_fill_the_record_with_it(school: School) -> None:
    it = await school.somebody(Role.IT)
    invited = await school.staff.invite(it.actor, "Guest", "guest", None)
    for _ in range(TRIES_OF_CODES):
        await open_link(school, invited.code)
    with pytest.raises(Refused, match="Too many codes"):
        await school.joining.redeem(invited.code, HOME)
    assert (await school.done()).count("opened a link (join)") == TRIES_OF_CODES
    assert len(await school.records.fetch("SELECT 1 FROM staff_sessions WHERE purpose = 'join'")) == 1


async def test_two_browsers_that_open_a_link_at_the_same_moment_leave_one(school: School) -> None:
    it = await school.somebody(Role.IT)
    invited = await school.staff.invite(it.actor, "Guest", "guest", None)
    opened = await asyncio.gather(*(school.joining.redeem(invited.code, HOME) for _ in range(4)))
    assert [one is not None and school.sessions.find(one) is not None for one in opened].count(True) == 1


async def test_a_browser_that_was_taken_over_while_it_worked_changes_nothing_any_more(school: School) -> None:
    it = await school.somebody(Role.IT)
    invited = await school.staff.invite(it.actor, "Guest", "guest", None)
    thief = await open_link(school, invited.code)
    async with school.stretcher.taking_long(school.joining.set_password(thief, WRONG)) as (setting,):
        owner = await open_link(school, invited.code)
    with pytest.raises(Refused, match="a moment ago"):
        await setting
    assert [keys.account for keys in school.ring.all()] == [it.id]
    row = await school.records.fetch_one("SELECT verifier FROM staff_accounts WHERE id = ?", (invited.account.id,))
    assert row is not None
    assert row["verifier"] is None
    await school.joining.set_password(owner, PASSWORD)


async def test_who_is_disabled_while_finishing_stays_disabled(school: School) -> None:
    it = await school.somebody(Role.IT)
    invited = await school.staff.invite(it.actor, "Guest", "guest", None)
    session = await open_link(school, invited.code)
    await school.joining.set_password(session, PASSWORD)
    await set_factor(school, session)
    printed = await school.joining.print(session)
    finishing = asyncio.create_task(
        school.joining.finish(session, printed.check, printed.secrets.recovery_key[:4], HOME)
    )
    await school.staff.disable(it.actor, invited.account.id, "was a mistake")
    with pytest.raises(Refused):
        await finishing
    assert school.staff.get(invited.account.id).state == "disabled"
    assert school.sessions.of_account(invited.account.id) == []


@pytest.mark.parametrize("by", ["app", "sheet"])
async def test_a_link_for_a_password_is_no_way_to_guess_the_second_factor(school: School, by: str) -> None:
    """IT can make such a link for every account; a million codes must not be a matter of patience."""
    lead, victim = await school.somebody(Role.LEAD), await school.somebody(Role.DEPUTY)
    code = await reset_link(school, victim)
    session = await open_link(school, code)
    for number in range(WRONG_CODES_MOST):
        if number % 3 == 2:
            session = await open_link(school, code)  # a new browser is no new beginning
            school.clock.forward(timedelta(seconds=WINDOW_SECONDS))
            code = await reset_link(school, victim)  # neither is a new link
            session = await open_link(school, code)
        with pytest.raises(Refused, match="This code is not right"):
            await school.joining.reset_password(session, f"{number:06}", NEW, "")
    assert session.over.is_set()
    assert await school.joining.redeem(code, HOME) is None
    with pytest.raises(Refused):
        await school.joining.reset_password(session, victim.code(), NEW, "")
    assert "wrong code" in await school.told(victim)
    assert "wrong code" in await school.told(lead)
    assert "tried to sign in with a link too often" in await school.done()
    with pytest.raises(Refused, match="Too many wrong codes"):
        await reset_link(school, victim)
    code = victim.code() if by == "app" else victim.codes[0]
    await school.signing_in.sign_in(victim.sign_in_name, PASSWORD, code, HOME)  # the password is what it was
    assert await reset_link(school, victim), "who has the factor may forget the password again"


async def test_many_wrong_codes_with_a_link_at_the_same_moment_are_no_way_around(school: School) -> None:
    victim = await school.somebody(Role.DEPUTY)
    session = await open_link(school, await reset_link(school, victim))
    tries = [school.joining.reset_password(session, f"{number:06}", NEW, "") for number in range(25)]
    said = [str(one) for one in await asyncio.gather(*tries, return_exceptions=True)]
    assert sum("This code is not right" in one for one in said) == WRONG_CODES_MOST
    assert sum("a moment ago" in one for one in said) == 25 - WRONG_CODES_MOST


async def test_a_code_that_was_used_to_sign_in_resets_no_password(school: School) -> None:
    teacher = await school.somebody(Role.TEACHER)
    code = teacher.code()
    await school.signing_in.sign_in(teacher.sign_in_name, PASSWORD, code, HOME)
    session = await open_link(school, await reset_link(school, teacher))
    with pytest.raises(Refused, match="This code is not right"):
        await school.joining.reset_password(session, code, NEW, "")


async def test_a_password_is_not_guessed_with_a_link_for_a_factor(school: School) -> None:
    teacher = await school.somebody(Role.TEACHER)
    code = await factor_link(school, teacher)
    school.stretcher.count()
    for _ in range(TRIES_OF_PASSWORD):
        session = await open_link(school, code)
        with pytest.raises(Refused, match="This is not your password"):
            await school.joining.keep_password(session, WRONG)
    with pytest.raises(Refused, match="too many wrong tries"):
        await school.joining.keep_password(session, PASSWORD)
    assert school.stretcher.count() == TRIES_OF_PASSWORD


async def test_the_step_of_the_second_factor_cannot_be_left_out(school: School) -> None:
    """Else whoever has the password and a link for a factor gets in beside the owner, who would not notice."""
    teacher = await school.somebody(Role.TEACHER)
    session = await open_link(school, await factor_link(school, teacher))
    await school.joining.keep_password(session, PASSWORD)
    printed = await school.joining.print(session)
    with pytest.raises(Refused, match="second factor is still missing"):
        await school.joining.finish(session, printed.check, printed.secrets.recovery_key[:4], HOME)


async def test_a_new_factor_ends_every_other_session_as_soon_as_it_is_set(school: School) -> None:
    teacher = await school.somebody(Role.TEACHER)
    session = await open_link(school, await factor_link(school, teacher))
    await school.joining.keep_password(session, PASSWORD)
    assert not teacher.session.over.is_set()
    secret = await set_factor(school, session)
    assert teacher.session.over.is_set()
    assert not session.over.is_set()
    assert (await school.told(teacher))[-1] == "own account"
    with pytest.raises(Refused):
        await school.signing_in.sign_in(teacher.sign_in_name, PASSWORD, teacher.code(1), HOME)
    assert await school.signing_in.sign_in(teacher.sign_in_name, PASSWORD, code_at(secret, step_of(now()) + 1), HOME)


async def test_a_factor_that_an_earlier_browser_set_does_not_count(school: School) -> None:
    it = await school.somebody(Role.IT)
    invited = await school.staff.invite(it.actor, "Guest", "guest", None)
    thief = await open_link(school, invited.code)
    await school.joining.set_password(thief, WRONG)
    await set_factor(school, thief)
    owner = await open_link(school, invited.code)
    await school.joining.set_password(owner, PASSWORD)
    printed = await school.joining.print(owner)
    with pytest.raises(Refused, match="second factor is still missing"):
        await school.joining.finish(owner, printed.check, printed.secrets.recovery_key[:4], HOME)


async def test_settings_that_are_applied_between_two_steps_change_nothing(school: School) -> None:
    """The set-up begins with the school's name, which is one: it is applied while the first person goes on."""
    it = await school.somebody(Role.IT)
    invited = await school.staff.invite(it.actor, "Guest", "guest", None)
    session_id = await school.joining.redeem(invited.code, HOME)
    assert session_id is not None
    await school.joining.set_password(school.session(session_id), PASSWORD)
    await set_factor(school, school.session(session_id))
    await school.apply_settings()
    session = school.session(session_id)
    printed = await school.joining.print(session)
    assert await school.joining.finish(session, printed.check, printed.secrets.recovery_key[:4], HOME)


async def test_only_the_newest_sheet_finishes(school: School) -> None:
    """Two tabs: the one has shown a sheet that the other has made void. Whoever keeps that one has nothing."""
    it = await school.somebody(Role.IT)
    invited = await school.staff.invite(it.actor, "Guest", "guest", None)
    session = await open_link(school, invited.code)
    await school.joining.set_password(session, PASSWORD)
    await set_factor(school, session)
    old, new = await school.joining.print(session), await school.joining.print(session)
    group = new.secrets.recovery_key[:4]
    assert await school.joining.finish(session, old.check, old.secrets.recovery_key[:4], HOME) is None
    assert await school.joining.finish(session, old.check, group, HOME) is None
    for typed in ("", "0000" if group != "0000" else "1111", group[:3], group[::-1] + "x"):
        assert await school.joining.finish(session, new.check, typed, HOME) is None
    assert group not in new.check
    await school.joining.set_password(session, PASSWORD)
    assert await school.joining.finish(session, new.check, group, HOME) is None, "another password voids it too"
    last = await school.joining.print(session)
    assert await school.joining.finish(session, last.check, last.secrets.recovery_key[:4].lower(), HOME)


async def test_nobody_keeps_the_box_busy_with_new_passwords(school: School) -> None:
    it = await school.somebody(Role.IT)
    invited = await school.staff.invite(it.actor, "Guest", "guest", None)
    for number in range(TRIES_OF_NEW_PASSWORDS):
        if number % 10 == 0:
            session = await open_link(school, invited.code)
        with pytest.raises(Refused, match="at least 12 characters"):
            await school.joining.set_password(session, "short")
    with pytest.raises(Refused, match="many passwords in a short time"):
        await school.joining.set_password(session, PASSWORD)
    school.clock.forward(timedelta(seconds=WINDOW_SECONDS))
    await school.joining.set_password(session, PASSWORD)


async def test_secrets_are_wiped_when_a_step_takes_too_long(school: School) -> None:
    it = await school.somebody(Role.IT)
    invited = await school.staff.invite(it.actor, "Guest", "guest", None)
    session = await open_link(school, invited.code)
    await school.joining.set_password(session, PASSWORD)
    school.clock.forward(school.idle)
    await school.sessions.lock_idle()
    with pytest.raises(Refused, match="left alone for too long"):
        school.joining.offer_factor(session)
    for step in (school.joining.print(session), school.joining.finish(session, "00", "0000", HOME)):
        with pytest.raises(Refused, match="Open your link again"):
            await step


async def test_a_new_password_without_recovery_key_needs_no_old_one_and_says_so(school: School) -> None:
    teacher = await school.somebody(Role.TEACHER)
    elsewhere = school.session((await school.sign_in(teacher)).session)
    session = await open_link(school, await reset_link(school, teacher))
    assert await school.joining.reset_password(session, teacher.codes.pop(), NEW, "  ") is False
    assert elsewhere.over.is_set()
    assert ("made a new password with a link", {"kept what it could open": False}) in [
        (row[1], row[3]) for row in await school.record()
    ]
    session = await open_link(school, await reset_link(school, teacher))
    with pytest.raises(Refused, match="no recovery key"):
        await school.joining.reset_password(session, teacher.codes.pop(), NEW, teacher.recovery_key)


async def test_whoever_is_let_back_in_opens_what_was_theirs_alone_with_the_recovery_key(school: School) -> None:
    """Disabled by a slip: nobody else could open it, so it must not be lost."""
    lead, head = await school.somebody(Role.LEAD), await school.somebody(Role.HEAD)
    item = new_id()
    envelope = await school.vaults.seal(CAPTURES, item, "note", b"a canary")
    await school.staff.disable(head.actor, lead.id, "a slip")
    invitation = await school.staff.enable(head.actor, lead.id)
    session = await open_link(school, invitation.code)
    assert await school.joining.was_here_before(session)
    await school.joining.set_password(session, NEW, lead.recovery_key)
    await set_factor(school, session)
    printed = await school.joining.print(session)
    signed_in = await school.joining.finish(session, printed.check, printed.secrets.recovery_key[:4], HOME)
    assert signed_in is not None
    keys = school.sessions.keys(school.session(signed_in.session))
    assert keys is not None
    assert school.vaults.open(keys, envelope) == b"a canary"


async def test_whoever_is_new_is_asked_for_no_recovery_key(school: School) -> None:
    it = await school.somebody(Role.IT)
    invited = await school.staff.invite(it.actor, "Guest", "guest", None)
    session = await open_link(school, invited.code)
    assert not await school.joining.was_here_before(session)
    with pytest.raises(Refused, match="no recovery key"):
        await school.joining.set_password(session, PASSWORD, it.recovery_key)


async def test_a_first_account_is_made_whole_or_not_at_all(school: School) -> None:
    session = await open_link(school, await school.staff.new_setup_link())
    for name, sign_in_name, password in (
        ("", "ina", PASSWORD),
        ("Ina", "a b", PASSWORD),
        ("Ina", "ina", "short"),
        (SET_UP, "ina", PASSWORD),
    ):
        with pytest.raises(Refused):
            await school.joining.make_first_account(session, name, sign_in_name, password)
    assert school.staff.all() == []
    assert school.ring.all() == []
    found = await asyncio.gather(
        *(school.joining.make_first_account(session, f"Ina {n}", f"ina{n}", PASSWORD) for n in range(3)),
        return_exceptions=True,
    )
    assert sum(isinstance(one, Refused) for one in found) == 2
    assert len(school.staff.all()) == len(school.ring.all()) == 1


async def test_only_leads_hear_who_has_joined_and_only_of_accounts_with_a_role(school: School) -> None:
    lead, it = await school.somebody(Role.LEAD), await school.somebody(Role.IT)
    for name, role in (("Tess", Role.TEACHER), ("Nil", None)):
        invited = await school.staff.invite(lead.actor, name, name.lower(), role)
        session = await open_link(school, invited.code)
        await school.joining.set_password(session, PASSWORD)
        await set_factor(school, session)
        printed = await school.joining.print(session)
        assert await school.joining.finish(session, printed.check, printed.secrets.recovery_key[:4], HOME)
    assert await school.told(lead) == ["joined"]
    assert await school.told(it) == []


async def test_nothing_that_is_shown_once_stands_in_the_store(school: School, tmp_path: Path) -> None:
    it = await school.somebody(Role.IT)
    invited = await school.staff.invite(it.actor, "Guest", "guest", None)
    session = await open_link(school, invited.code)
    await school.joining.set_password(session, PASSWORD)
    secret = await set_factor(school, session)
    printed = await school.joining.print(session)
    await school.joining.finish(session, printed.check, printed.secrets.recovery_key[:4], HOME)
    await school.records.copy_to(tmp_path / "copy.db")
    kept = (tmp_path / "copy.db").read_bytes()
    texts = [invited.code, PASSWORD, printed.secrets.recovery_key, *printed.secrets.codes]
    for text in texts:
        assert text.encode() not in kept
        assert plain_code(text).encode() not in kept
    assert secret not in kept
    assert all(bytes(keys.private) not in kept for keys in school.ring.all())
