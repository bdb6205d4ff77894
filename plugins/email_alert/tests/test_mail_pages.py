"""The pages of mail: the way of a code, who may do what, and what each page says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from appliance.accounts.staff import Scope
from appliance.captures.keeping import Seen
from appliance.clock import new_id, now, stamp
from appliance.observations import Finding, Observation, Severity, Surface
from appliance.people.directory import Details
from appliance.testing import Client
from appliance.testing_mail import MailServer
from appliance_plugins.email_alert import views
from appliance_plugins.email_alert.addresses import TRIES_MOST
from appliance_plugins.email_alert.store import ADDRESSES_OF_ONE, CODES_AN_HOUR

ADDRESS = "lena@school.example"


def code_in(text: str) -> str:
    return text.partition("Code: ")[2][:6]


@pytest.fixture
async def lead(house: Any) -> Any:
    return await house.running.as_role("lead", name="Lena Lead")


async def add(who: Client, address: str = ADDRESS, kind: str = "me") -> Any:
    return await who.post("/email_alert/add", {"address": address, "for": kind})


async def test_the_code_that_is_mailed_confirms_the_address(house: Any, lead: Any) -> None:
    assert "You have no address here" in (await lead.get("/email_alert")).text
    assert (await add(lead)).status == 303
    page = (await lead.get("/email_alert")).text
    assert f"A code was mailed to {ADDRESS}" in page
    assert "Not confirmed" in page
    letter = await house.mail.letter(to=ADDRESS)
    code = code_in(letter.text)
    (row,) = await house.rows("addresses")
    assert code not in str(dict(row))
    assert await house.rows("outbox") == []  # a code waits nowhere
    await house.raise_alert(lead.account)
    await house.running.delivered()
    assert await house.rows("outbox") == []  # not confirmed: nothing goes there
    answer = await lead.post("/email_alert/code", {"id": row["id"], "code": f"{code[:3]} {code[3:]}"})
    assert answer.status == 303
    page = (await lead.get("/email_alert")).text
    assert f"{ADDRESS} is confirmed" in page
    assert "Send a test mail" in page
    assert (await house.rows("addresses"))[0]["code_sha256"] is None
    again = await lead.post("/email_alert/code", {"id": row["id"], "code": code})
    assert again.status == 422
    assert "confirmed already" in again.text
    assert "confirmed already" in (await lead.post("/email_alert/new-code", {"id": row["id"]})).text
    actions = [row["action"] for row in await house.running.appliance.audit.rows(None, 10)]
    assert actions[:2] == ["confirmed a mail address", "added a mail address"]


async def test_after_five_wrong_codes_a_new_one_is_needed(house: Any, lead: Any) -> None:
    await add(lead)
    right = code_in((await house.mail.letter(to=ADDRESS)).text)
    wrong = "000000" if right != "000000" else "111111"
    address_id = await house.id_of(ADDRESS)
    for _ in range(TRIES_MOST):
        answer = await lead.post("/email_alert/code", {"id": address_id, "code": wrong})
        assert answer.status == 422
        assert "This is not the code" in answer.text
        assert f'value="{wrong}"' in answer.text  # what was typed stays
        assert f'href="#code-{address_id}"' in answer.text
    answer = await lead.post("/email_alert/code", {"id": address_id, "code": right})
    assert "not good any more" in answer.text
    assert "No code is open" in (await lead.get("/email_alert")).text
    assert (await lead.post("/email_alert/new-code", {"id": address_id})).status == 303
    new = code_in((await house.mail.letter(to=ADDRESS, number=2)).text)
    assert (await lead.post("/email_alert/code", {"id": address_id, "code": new})).status == 303


@pytest.mark.parametrize("minutes", [-1, 60 * 24])
async def test_a_code_ends_after_ten_minutes_however_the_clock_is_set(house: Any, lead: Any, minutes: int) -> None:
    await add(lead)
    code = code_in((await house.mail.letter(to=ADDRESS)).text)
    async with house.running.appliance.records.transaction() as tx:
        until = stamp(now() + timedelta(minutes=minutes))
        await tx.execute("UPDATE email_alert_addresses SET code_expires_at = ?", (until,))
    answer = await lead.post("/email_alert/code", {"id": await house.id_of(ADDRESS), "code": code})
    assert answer.status == 422
    assert "not good any more" in answer.text


async def test_an_old_code_is_void_once_a_new_one_was_mailed(house: Any, lead: Any) -> None:
    await add(lead)
    old = code_in((await house.mail.letter(to=ADDRESS)).text)
    address_id = await house.id_of(ADDRESS)
    await lead.post("/email_alert/new-code", {"id": address_id})
    new = code_in((await house.mail.letter(to=ADDRESS, number=2)).text)
    if old != new:
        assert (await lead.post("/email_alert/code", {"id": address_id, "code": old})).status == 422


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("", "Enter an address"),
        ("lena", "is not an email address"),
        ("lena@school.example\r\nBcc: x@y.z", "is not an email address"),
        ('"><script>@x.y', "is not an email address"),
    ],
)
async def test_what_is_no_address_stays_in_the_form_with_words(house: Any, lead: Any, typed: str, words: str) -> None:
    answer = await add(lead, typed)
    assert answer.status == 422
    assert words in answer.text
    assert "<script>@" not in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert house.mail.letters == []


async def test_the_same_address_is_added_once_and_not_too_many(house: Any, lead: Any) -> None:
    await add(lead)
    answer = await add(lead, ADDRESS.upper())
    assert "stands in the list already" in answer.text
    for number in range(ADDRESSES_OF_ONE - 1):
        assert (await add(lead, f"a{number}@school.example")).status == 303
    assert "too many addresses" in (await add(lead, "more@school.example")).text


async def test_nobody_is_flooded_with_codes(house: Any, lead: Any) -> None:
    await add(lead)
    address_id = await house.id_of(ADDRESS)
    for _ in range(CODES_AN_HOUR - 1):
        assert (await lead.post("/email_alert/new-code", {"id": address_id})).status == 303
    answer = await lead.post("/email_alert/new-code", {"id": address_id})
    assert "Too many codes were mailed" in answer.text
    await lead.post("/email_alert/remove", {"id": address_id})
    assert "Too many codes were mailed" in (await add(lead)).text
    assert len(house.mail.letters) == CODES_AN_HOUR


async def test_a_code_that_cannot_be_sent_is_told_in_words(house: Any, lead: Any) -> None:
    house.mail.refuse[ADDRESS] = "550 5.1.1 nobody here"
    assert (await add(lead)).status == 303
    page = (await lead.get("/email_alert")).text
    assert f"The code for {ADDRESS} could not be sent. The mail server refuses {ADDRESS}: 550 5.1.1 nobody here" in page
    await house.mail.stop()
    await lead.post("/email_alert/new-code", {"id": await house.id_of(ADDRESS)})
    assert "Nothing answers at the mail server" in (await lead.get("/email_alert")).text
    await house.mail.start()


async def test_a_slow_server_does_not_hold_the_page_up(house: Any, lead: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "ANSWER_SECONDS", 0.1)
    house.mail.hold("RCPT")
    assert (await add(lead)).status == 303
    assert "The mail server takes its time" in (await lead.get("/email_alert")).text
    house.mail.release("RCPT")
    code = code_in((await house.mail.letter(to=ADDRESS)).text)
    answer = await lead.post("/email_alert/code", {"id": await house.id_of(ADDRESS), "code": code})
    assert answer.status == 303


async def test_addresses_belong_to_their_account_and_shared_ones_to_the_leads(house: Any, lead: Any) -> None:
    deputy = await house.running.as_role("deputy", name="Dev Deputy")
    other = await house.running.as_role("lead", name="Other Lead")
    own = await house.reached(lead, ADDRESS)
    shared = await house.reached(lead, "team@school.example", "shared")
    assert house.running.appliance.notices.waiting(other.account) == 1  # a new shared mailbox is told to the leads
    assert house.running.appliance.notices.waiting(deputy.account) == 1
    for who, address_id in (
        (deputy, own),
        (deputy, shared),
        (other, own),
        (house.running, own),
        (house.running, shared),
    ):
        for path in ("test", "remove", "new-code", "code"):
            answer = await who.post(f"/email_alert/{path}", {"id": address_id, "code": "123456"})
            assert answer.status == 422, path
            assert "There is no such address" in answer.text or "Only a safeguarding lead" in answer.text
    assert "Only a safeguarding lead" in (await add(deputy, "x@school.example", "shared")).text
    page = (await deputy.get("/email_alert")).text
    assert ADDRESS not in page
    assert "team@school.example" not in page
    assert "Shared mailboxes" not in page
    assert ADDRESS in (await other.get("/email_alert")).text  # whom alerts reach is a lead's concern
    assert (await other.post("/email_alert/remove", {"id": shared})).status == 303
    assert len(await house.rows("addresses", "removed_at IS NULL")) == 1


async def test_a_lead_sees_whom_no_mail_reaches_and_nobodys_mails_but_his_own(house: Any, lead: Any) -> None:
    deputy = await house.running.as_role("deputy", name="Dev Deputy")
    await house.running.as_role("teacher", name="Tess Teacher")
    page = (await lead.get("/email_alert")).text
    assert "Dev Deputy" in page
    assert "Not reached by mail" in page
    assert "Tess Teacher" not in page
    await house.reached(deputy, "dev@school.example")
    await house.raise_alert(deputy.account, category="Something about a colleague")
    await house.mail.letter(subject="Something about a colleague")
    assert "Something about a colleague" in (await deputy.get("/email_alert")).text
    page = (await lead.get("/email_alert")).text
    assert "dev@school.example" in page
    assert "Something about a colleague" not in page


async def test_a_shared_mailbox_tells_a_lead_of_no_alert_that_is_not_hers_to_see(house: Any, lead: Any) -> None:
    """The list of its mails is read by all leads, also by one who may not see what a mail was about."""
    appliance = house.running.appliance
    await house.reached(lead, "team@school.example", "shared")
    ada = await appliance.directory.add(lead.actor, Details("pupil", "Ada Okafor"))
    finding = Finding("Policy", "1", "t", "a phrase", "suicide", Severity.SEVERE, "Why.", 0, 8)
    observation = Observation(new_id(), stamp(), Surface.TYPED, "a phrase")
    await appliance.monitoring.refresh()
    await appliance.captures.keep(
        Seen(observation, (finding,), "endpoint", None, ada, "browser profile", None, "none", stamp())
    )
    await house.mail.letter(to="team@school.example", subject="Safeguarding alert")
    other = await house.running.as_role("lead", [Scope("person", "somebody else")], name="Other Lead")
    assert "Safeguarding alert" in (await lead.get("/email_alert")).text
    assert "Safeguarding alert" not in (await other.get("/email_alert")).text
    assert "team@school.example" in (await other.get("/email_alert")).text


async def test_a_test_mail_goes_the_way_of_alerts(house: Any, lead: Any) -> None:
    address_id = await house.reached(lead, ADDRESS)
    assert (await lead.post("/email_alert/test", {"id": address_id})).status == 303
    letter = await house.mail.letter(subject="this is a test mail")
    assert letter.to == ADDRESS
    await house.until(lambda: _all_sent(house))
    assert "Taken by the mail server" in (await lead.get("/email_alert")).text
    await add(lead, "new@school.example")
    answer = await lead.post("/email_alert/test", {"id": await house.id_of("new@school.example")})
    assert "not confirmed yet" in answer.text


async def _all_sent(house: Any) -> bool:
    return {row["state"] for row in await house.rows("outbox")} == {"sent"}


async def test_what_waits_for_an_address_that_is_removed_is_not_sent(house: Any, lead: Any) -> None:
    address_id = await house.reached(lead, ADDRESS)
    await house.plugin.sender.stop()
    await house.raise_alert(lead.account)
    await house.running.delivered()
    assert (await lead.post("/email_alert/remove", {"id": address_id})).status == 303
    assert [row["state"] for row in await house.rows("outbox")] == ["not needed"]
    assert (await add(lead)).status == 303  # it can come back


async def test_who_may_open_what(house: Any) -> None:
    for role in ("lead", "deputy", "head", "pastoral", "it", "teacher", "dpo", "governor", None):
        who = await house.running.as_role(role)
        told, operates = role in ("lead", "deputy", "head", "pastoral", "it"), role == "it"
        assert ((await who.get("/email_alert")).status == 200) is told, role
        assert ((await who.get("/email_alert/server")).status == 200) is operates, role
        assert ((await who.post("/email_alert/server")).status == 303) is operates, role
        for path in ("add", "code", "new-code", "test", "remove"):
            assert ((await who.post(f"/email_alert/{path}", {})).status == 422) is told, (role, path)


async def test_whoever_runs_the_box_tests_the_connection_and_reads_no_address_of_others(
    start_house: Any, mail_server: MailServer
) -> None:
    house = await start_house(mail_server)
    lead = await house.running.as_role("lead", name="Lena Lead")
    await house.reached(lead, ADDRESS)
    answer = await house.running.post("/email_alert/server")
    assert answer.status == 303
    page = (await house.running.get("/email_alert/server")).text
    assert "lets us in" in page
    assert "localhost, port" in page
    assert ADDRESS not in page
    assert ADDRESS not in (await house.running.get("/email_alert")).text
    await mail_server.stop()
    answer = await house.running.post("/email_alert/server")
    assert answer.status == 422
    assert "Nothing answers at the mail server" in answer.text
    await mail_server.start()


async def test_the_home_page_has_a_card(house: Any, lead: Any) -> None:
    page = (await lead.get("/")).text
    assert 'href="/email_alert"' in page
    assert "0 confirmed addresses" in page
