"""Alerts on their way to a real SMTP server: taken, put off, refused, away, slow, killed in the middle, told twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from appliance.clock import now, stamp
from appliance.events import AuditHeadSigned, NoticeMade
from appliance.hookspecs import State
from appliance.testing import Box, Home
from appliance.testing_mail import MailServer
from appliance_plugins.email_alert import sender as sending


@pytest.fixture
async def lead(house: Any) -> Any:
    """A safeguarding lead with one confirmed address."""
    found = await house.running.as_role("lead", name="Lena Lead")
    await house.reached(found, "lena@school.example")
    house.mail.letters.clear()
    return found


async def test_an_alert_is_mailed_to_those_who_are_told_and_to_shared_mailboxes(house: Any) -> None:
    lead = await house.running.as_role("lead", name="Lena Lead")
    deputy = await house.running.as_role("deputy", name="Dev Deputy")
    await house.reached(lead, "lena@school.example")
    await house.reached(lead, "safeguarding@school.example", "shared")
    await house.reached(deputy, "dev@school.example")
    await house.raise_alert(lead.account)
    letter = await house.mail.letter(to="lena@school.example", subject="Safeguarding alert")
    assert letter.subject == "Safeguarding alert: Severe, Suicide"
    port = house.running.appliance.config.settings.web.port
    assert letter.links == [f"https://staff.localhost:{port}/alerts/0190a0b0"]
    assert "only inside the school" in letter.text
    await house.mail.letter(to="safeguarding@school.example", subject="Safeguarding alert")
    await house.raise_alert(deputy.account, step=1)
    late = await house.mail.letter(to="dev@school.example", subject="Safeguarding alert")
    assert late.subject == "Safeguarding alert: Severe, Suicide (nobody has taken it yet)"
    assert "Nobody has taken this alert yet" in late.text
    assert len(house.mail.found(to="safeguarding@school.example", subject="Safeguarding alert")) == 1
    assert len(house.mail.found(to="lena@school.example", subject="Safeguarding alert")) == 1
    assert house.mail.connections < 10  # codes have their own; alerts share one


async def test_what_is_not_for_every_lead_goes_to_no_shared_mailbox(house: Any, lead: Any) -> None:
    await house.reached(lead, "safeguarding@school.example", "shared")
    await house.raise_alert(lead.account, category="About a colleague", for_team=False)
    await house.mail.letter(to="lena@school.example", subject="About a colleague")
    await house.running.delivered()
    assert [row["address"] for row in await house.rows("outbox", "kind = 'alert'")] == ["lena@school.example"]


async def test_what_has_waited_longest_goes_first_whether_or_not_it_goes_on(house: Any, lead: Any) -> None:
    """Among alerts of one severity nothing overtakes: an alert that goes on comes first only if it is older."""
    await house.plugin.sender.stop()
    for category, step in (("First", 0), ("Second", 1), ("Third", 0), ("Fourth", 2)):
        await house.raise_alert(lead.account, category=category, step=step)
        await house.running.delivered()
    await house.raise_alert(lead.account, kind="test")
    await house.running.delivered()
    order = []
    while (mail := await house.plugin.store.next_due(60.0)) is not None:
        order.append(mail.letter.subject)
        await house.plugin.store.sent(mail, stamp())
    assert [subject.removeprefix("Safeguarding alert: Severe, ").partition(" (")[0] for subject in order] == [
        "First", "Second", "Third", "Fourth", "Safeguarding test",
    ]  # fmt: skip


async def test_one_address_gets_one_mail_and_accounts_that_are_gone_get_none(house: Any, lead: Any) -> None:
    await house.reached(lead, "LENA@school.example", "shared")
    gone = await house.running.as_role("head", name="Gone Head")
    await house.reached(gone, "gone@school.example")
    staff = house.running.appliance.staff
    async with house.running.appliance.records.transaction() as tx:
        await tx.execute("UPDATE staff_accounts SET state = 'disabled' WHERE id = ?", (gone.account,))
        await staff.take_after_commit(tx)
    house.mail.letters.clear()
    await house.raise_alert(lead.account, gone.account, "nobody")
    await house.running.delivered()
    assert len(await house.rows("outbox", "kind = 'alert'")) == 1
    await house.mail.letter(subject="Safeguarding alert")


async def test_an_event_that_is_heard_twice_makes_one_mail(house: Any, lead: Any) -> None:
    event = await house.raise_alert(lead.account)
    await house.mail.letter(subject="Safeguarding alert")
    await house.plugin.on_alert_raised(event)
    await house.plugin.on_alert_raised(event)
    assert len(await house.rows("outbox", "kind = 'alert'")) == 1


async def test_what_is_put_off_goes_later_with_the_same_message_id(house: Any, lead: Any) -> None:
    house.mail.refuse["lena@school.example"] = "451 4.7.1 greylisted, come again"
    await house.raise_alert(lead.account)

    async def was_put_off() -> bool:
        return bool(await house.rows("outbox", "kind = 'alert' AND tries >= 2"))

    await house.until(was_put_off)
    (row,) = await house.rows("outbox", "kind = 'alert'")
    assert "451 4.7.1 greylisted" in row["problem"]
    (address,) = await house.rows("addresses")
    assert "greylisted" in address["last_problem"]
    assert not address["permanent"]
    assert "greylisted" in (await lead.get("/email_alert")).text
    house.mail.refuse.clear()
    letter = await house.mail.letter(subject="Safeguarding alert")
    assert letter.id == f"<{row['id']}@school.example>"
    await house.until(lambda: _is(house, "sent"))
    assert (await house.rows("addresses"))[0]["last_problem"] == ""


async def _is(house: Any, state: str) -> bool:
    return {row["state"] for row in await house.rows("outbox", "kind = 'alert'")} == {state}


async def test_a_refused_address_is_red_and_its_owner_is_told_while_others_get_theirs(house: Any, lead: Any) -> None:
    deputy = await house.running.as_role("deputy", name="Dev Deputy")
    await house.reached(deputy, "dev@school.example")
    house.mail.refuse["dev@school.example"] = "550 5.1.1 no such mailbox here"
    await house.raise_alert(deputy.account, lead.account)
    await house.mail.letter(to="lena@school.example", subject="Safeguarding alert")

    async def is_told() -> bool:
        return house.running.appliance.notices.waiting(deputy.account) > 0

    await house.until(is_told)
    page = (await deputy.get("/email_alert")).text
    assert "Refused for good" in page
    assert "no such mailbox here" in page
    assert "dev@school.example does not arrive" in (await deputy.get("/account")).text
    assert "Refused for good" in (await lead.get("/email_alert")).text  # among colleagues
    server = (await house.running.get("/email_alert/server")).text
    assert "no such mailbox here" in server
    assert "dev@school.example" not in server, "whoever runs the box need not know to whom alerts go"
    checks = await house.plugin.health()
    assert any(check.state is State.BROKEN and "1 of 2 addresses" in check.words for check in checks)
    house.mail.refuse.clear()  # the mailbox is back: the next alert is tried all the same, and heals it
    await house.raise_alert(deputy.account, step=1)
    await house.mail.letter(to="dev@school.example", subject="Safeguarding alert")

    async def has_healed() -> bool:
        return not await house.rows("addresses", "permanent = 1")

    await house.until(has_healed)
    assert house.running.appliance.notices.waiting(deputy.account) == 1  # told once


@pytest.mark.parametrize("answer", ["550 5.7.1 relaying denied", "552 5.2.2 mailbox full", "530 5.7.0 sign in first"])
async def test_what_may_not_be_the_address_is_no_reason_to_give_it_up(house: Any, lead: Any, answer: str) -> None:
    house.mail.refuse["lena@school.example"] = answer
    await house.raise_alert(lead.account)

    async def was_tried() -> bool:
        return bool(await house.rows("outbox", "kind = 'alert' AND tries > 0"))

    await house.until(was_tried)
    assert not await house.rows("addresses", "permanent = 1")
    house.mail.refuse.clear()
    await house.mail.letter(subject="Safeguarding alert")


async def test_a_server_that_takes_nothing_loses_nothing(house: Any, lead: Any) -> None:
    house.mail.refuse_data = "554 5.2.252 SendAsDenied"
    await house.raise_alert(lead.account)

    async def was_tried() -> bool:
        return bool(await house.rows("outbox", "kind = 'alert' AND tries > 1"))

    await house.until(was_tried)
    house.mail.refuse_data = ""
    await house.mail.letter(subject="Safeguarding alert")


async def test_a_sender_that_may_not_send_is_told_in_words(
    house: Any, lead: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "SERVER_PAUSES", (0.05,))
    house.mail.refuse_sender = "550 5.7.60 not permitted to send as this sender"
    await house.raise_alert(lead.account)

    async def is_broken() -> bool:
        return (await house.check()).state is State.BROKEN

    await house.until(is_broken)
    check = await house.check()
    assert "does not let box@school.example send" in check.words
    assert check.alarm
    await house.plugin.sender.look_at_server()  # it lets us in, and that heals nothing
    assert (await house.check()).state is State.BROKEN
    house.mail.refuse_sender = ""
    await house.mail.letter(subject="Safeguarding alert")
    await house.until(lambda: _is(house, "sent"))
    assert (await house.check()).state is State.GOOD


async def test_a_server_that_is_away_for_a_while_gets_everything_in_order(
    house: Any, lead: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "SERVER_PAUSES", (0.05, 0.1))
    await house.mail.stop()
    for number in range(3):
        await house.raise_alert(lead.account, severity="moderate", category=f"Kind {number}")
    await house.raise_alert(lead.account, kind="test")
    await house.running.delivered()

    async def is_broken() -> bool:
        return (await house.check()).state is State.BROKEN

    await house.until(is_broken)
    check = await house.check()
    assert "Nothing answers at the mail server localhost" in check.words
    assert "4 mails waiting" in check.words
    assert check.alarm
    assert check.todo
    page = await house.running.get("/email_alert/server")
    assert "Nothing answers" in page.text
    assert "4 mails" in page.text
    await house.mail.start()
    await house.mail.until(lambda: len(house.mail.letters) == 4)
    assert [one.subject[-6:] for one in house.mail.letters] == ["Kind 0", "Kind 1", "Kind 2", "g test"]
    await house.until(lambda: _is(house, "sent"))
    assert (await house.check()).state is State.GOOD


async def test_a_server_that_cuts_a_resting_connection_costs_no_try(
    house: Any, lead: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "REST_SECONDS", 0.0)
    await house.raise_alert(lead.account)
    await house.mail.letter(subject="Safeguarding alert")
    await house.mail.stop()
    await house.mail.start()
    await house.raise_alert(lead.account, step=1)
    await house.mail.letter(subject="nobody has taken it")
    assert not await house.rows("outbox", "tries > 0")


async def test_a_tarpit_holds_up_neither_the_others_nor_the_pages(
    start_house: Any, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "SERVER_PAUSES", (0.05, 0.1))
    house = await start_house(mail_server, server={"timeout": 0.3})
    lead = await house.running.as_role("lead", name="Lena Lead")
    await house.reached(lead, "lena@school.example")
    mail_server.hold("RCPT")
    await house.raise_alert(lead.account)

    async def was_slow() -> bool:
        return bool(await house.rows("outbox", "problem LIKE '%in time%'"))

    await house.until(was_slow)
    assert (await lead.get("/email_alert")).status == 200
    mail_server.release("RCPT")
    await mail_server.letter(subject="Safeguarding alert")
    mail_server.hold("CONNECT")
    await house.plugin.sender.stop()
    answer = await house.running.post("/email_alert/server")
    assert "does not answer in time" in answer.text
    mail_server.release("CONNECT")


async def test_what_was_on_its_way_when_the_appliance_stopped_comes_again_with_the_same_message_id(
    house: Any, lead: Any, appliance_home: Home, start_appliance: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "STOP_SECONDS", 0.1)
    house.mail.hold("DATA")  # the server has it, and we have not heard so
    await house.raise_alert(lead.account)
    first = await house.mail.letter(subject="Safeguarding alert")
    await house.running.stop()
    house.mail.release("DATA")
    house.running = await start_appliance(appliance_home)
    second = await house.mail.letter(subject="Safeguarding alert", number=2)
    assert second.id == first.id
    assert second.raw == first.raw
    await house.until(lambda: _is(house, "sent"))
    assert len(house.mail.found(subject="Safeguarding alert")) == 2


async def test_a_mail_that_is_nearly_taken_arrives_before_the_appliance_stops(house: Any, lead: Any) -> None:
    house.mail.hold("DATA")
    await house.raise_alert(lead.account)
    await house.mail.letter(subject="Safeguarding alert")
    stopping = asyncio.create_task(house.plugin.sender.stop())
    await asyncio.sleep(0)
    house.mail.release("DATA")
    await stopping
    assert await _is(house, "sent")


async def test_a_mail_is_sent_again_after_a_kill_between_the_answer_and_the_mark(
    appliance_home: Home, start_box: Callable[[Home], Box], mail_server: MailServer
) -> None:
    """A whole appliance in processes of its own; SIGKILL while it waits for the server's last word."""
    appliance_home.write(f"plugins: {{email_alert: {mail_server.settings(retry_pauses=[0.2])}}}\n")
    box = start_box(appliance_home)
    await box.ready()
    await box.set_up()
    assert (await box.post("/email_alert/add", {"address": "ida@school.example", "for": "me"})).status == 303
    code = (await mail_server.letter(to="ida@school.example")).text.partition("Code: ")[2][:6]
    page = (await box.get("/email_alert")).text
    address_id = page.partition('name="id" value="')[2].partition('"')[0]
    assert (await box.post("/email_alert/code", {"id": address_id, "code": code})).status == 303
    mail_server.hold("DATA")
    assert (await box.post("/email_alert/test", {"id": address_id})).status == 303
    first = await mail_server.letter(subject="test mail")
    box.kill_main()
    mail_server.release("DATA")
    second = await mail_server.letter(subject="test mail", number=2)
    assert (second.id, second.raw) == (first.id, first.raw)


async def test_too_many_waiting_mails_go_tests_first_and_severe_ones_never(
    start_house: Any, mail_server: MailServer
) -> None:
    house = await start_house(mail_server, waiting_most=10)
    lead = await house.running.as_role("lead", name="Lena Lead")
    await house.reached(lead, "lena@school.example")
    await house.plugin.sender.stop()
    for _ in range(4):
        await house.raise_alert(lead.account, kind="test")
    for number in range(8):
        await house.raise_alert(lead.account, severity="moderate", category=f"Kind {number}")
    await house.running.delivered()
    dropped = [row["kind"] for row in await house.rows("outbox", "state = 'dropped'")]
    assert dropped == ["test alert", "test alert"]
    for number in range(12):
        await house.raise_alert(lead.account, category=f"Severe {number}")
    await house.raise_alert(lead.account, kind="test")
    await house.raise_alert(lead.account, severity="moderate")
    await house.running.delivered()
    waiting = [row["about"] for row in await house.rows("outbox", "state = 'waiting'")]
    assert len(waiting) == 12
    assert all('"severity": "severe"' in about for about in waiting)
    (address,) = await house.rows("addresses")
    assert address["dropped"] == 4 + 8 + 2  # all tests and moderate ones that waited, and two that found no room
    assert "14 mails dropped because too many waited" in (await lead.get("/email_alert")).text


async def test_through_every_kind_of_trouble_nothing_is_lost(
    house: Any, lead: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "SERVER_PAUSES", (0.01, 0.02))
    chance = random.Random(7)
    house.mail.letters.clear()

    def has(number: int) -> bool:
        return len(house.mail.letters) >= number

    async def make_trouble() -> None:
        while True:
            await house.mail.stop()
            house.mail.refuse_data = chance.choice(["", "", "451 4.3.0 later", "554 5.2.252 SendAsDenied"])
            house.mail.refuse_sender = chance.choice(["", "", "", "550 5.7.60 not this sender"])
            house.mail.refuse = chance.choice([{}, {}, {"lena@school.example": "452 4.5.3 too many"}])
            await house.mail.start()
            enough = len(house.mail.letters) + chance.randint(1, 6)
            with suppress(AssertionError):
                await house.mail.until(partial(has, enough), 0.2)

    trouble = asyncio.create_task(make_trouble())
    for number in range(100):
        await house.raise_alert(lead.account, category=f"Kind {number:03}")
    await house.running.delivered()

    async def halfway() -> bool:
        return len(await house.rows("outbox", "state = 'sent'")) >= 50

    await house.until(halfway)
    trouble.cancel()
    await asyncio.wait({trouble})
    house.mail.refuse_data, house.mail.refuse_sender, house.mail.refuse = "", "", {}
    await house.mail.stop()
    await house.mail.start()
    await house.until(lambda: _is(house, "sent"))
    assert {one.subject[-8:] for one in house.mail.letters} == {f"Kind {number:03}" for number in range(100)}
    assert len({one.id for one in house.mail.letters}) == 100  # one that came twice came as itself
    assert len(house.mail.letters) <= 110


async def test_what_nobody_takes_for_a_day_is_given_up_and_shown(
    house: Any, lead: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.mail.refuse["lena@school.example"] = "451 4.3.0 not today"
    await house.raise_alert(lead.account)

    async def was_tried() -> bool:
        return bool(await house.rows("outbox", "tries >= 2"))

    await house.until(was_tried)
    async with house.running.appliance.records.transaction() as tx:
        await tx.execute("UPDATE email_alert_outbox SET due_at = ?", (stamp(now() - timedelta(hours=25)),))
    await house.until(lambda: _is(house, "given up"))
    assert "could not be sent to lena@school.example" in (await lead.get("/account")).text
    assert any(check.name == "Mails given up" for check in await house.plugin.health())
    assert "Given up" in (await lead.get("/email_alert")).text


async def test_a_clock_that_is_set_forward_gives_nothing_up_that_was_not_tried(house: Any, lead: Any) -> None:
    await house.plugin.sender.stop()
    await house.raise_alert(lead.account)
    await house.running.delivered()
    async with house.running.appliance.records.transaction() as tx:
        old = stamp(now() - timedelta(days=300))
        await tx.execute("UPDATE email_alert_outbox SET queued_at = ?, due_at = ?, next_at = ?", (old, old, old))
    house.plugin.sender._stopping = False
    house.plugin.sender.start()
    await house.mail.letter(subject="Safeguarding alert")


async def test_a_clock_that_is_set_back_does_not_hold_a_mail_up(house: Any, lead: Any) -> None:
    await house.plugin.sender.stop()
    await house.raise_alert(lead.account)
    await house.running.delivered()
    async with house.running.appliance.records.transaction() as tx:
        ahead = stamp(now() + timedelta(days=300))
        await tx.execute("UPDATE email_alert_outbox SET queued_at = ?, due_at = ?, next_at = ?", (ahead, ahead, ahead))
    house.plugin.sender._stopping = False
    house.plugin.sender.start()
    await house.mail.letter(subject="Safeguarding alert")


async def test_mails_that_wait_for_minutes_are_an_alarm(house: Any, lead: Any) -> None:
    house.mail.refuse["lena@school.example"] = "451 4.3.0 later"
    await house.raise_alert(lead.account)

    async def was_tried() -> bool:
        return bool(await house.rows("outbox", "tries > 0"))

    await house.until(was_tried)
    assert (await house.check()).state is State.GOOD
    async with house.running.appliance.records.transaction() as tx:
        await tx.execute("UPDATE email_alert_outbox SET due_at = ?", (stamp(now() - timedelta(minutes=6)),))
    check = await house.check()
    assert check.state is State.BROKEN
    assert check.alarm
    assert "1 mail waiting, one for longer than 5 minutes" in check.words


async def test_a_notice_is_mailed_once_an_hour_and_only_while_it_is_unread(house: Any, lead: Any) -> None:
    notices = house.running.appliance.notices

    async def tell(words: str) -> None:
        async with house.running.appliance.records.transaction() as tx:
            await notices.tell(tx, words=words, kind="something", accounts=[lead.account])
        await house.running.delivered()

    await tell("Mira Pupil was added.")
    letter = await house.mail.letter(subject="There is a notice for you")
    assert "Mira" not in letter.raw.decode()
    assert "something" not in letter.text
    await tell("Another.")
    await tell("And another.")
    assert len(await house.rows("outbox", "kind = 'notice'")) == 2  # the second one goes when the hour is over
    (waits,) = await house.rows("outbox", "kind = 'notice' AND state = 'waiting'")
    assert waits["due_at"] > stamp(now() + timedelta(minutes=50))
    assert (await house.check()).state is State.GOOD  # it is not late
    for row in await notices.unread(lead.actor):
        await notices.got_it(lead.actor, row["id"])
    async with house.running.appliance.records.transaction() as tx:
        await tx.execute(
            "UPDATE email_alert_outbox SET next_at = ?, due_at = ? WHERE state = 'waiting'", (stamp(), stamp())
        )
    house.plugin.sender.wake()

    async def is_not_needed() -> bool:
        return bool(await house.rows("outbox", "state = 'not needed'"))

    await house.until(is_not_needed)
    assert len(house.mail.found(subject="There is a notice")) == 1


async def test_a_notice_for_somebody_without_an_address_is_no_mail(house: Any) -> None:
    await house.publish(NoticeMade(accounts=("nobody", house.running.account), kind="x"))
    await house.running.delivered()
    assert await house.rows("outbox") == []


async def test_the_signed_head_goes_to_whoever_keeps_it(start_house: Any, mail_server: MailServer) -> None:
    house = await start_house(mail_server, signed_heads_to=["governor@school.example", "Governor@school.example"])
    event = AuditHeadSigned(
        day="2026-07-01", statement="Head 1:ab\nSigned with the key X\nSignature: Y\n", fingerprint="X"
    )
    await house.publish(event)
    letter = await mail_server.letter(to="governor@school.example")
    (attached,) = letter.message.iter_attachments()
    assert attached.get_content().replace("\r\n", "\n") == event.statement
    await house.plugin.on_audit_head_signed(event)
    assert len(await house.rows("outbox")) == 1


async def test_without_a_mail_server_alerts_stay_on_the_pages(appliance_home: Home, start_appliance: Any) -> None:
    appliance_home.write("plugins: {email_alert: {}}\n")
    running = await start_appliance(appliance_home)
    (check,) = [check for check in running.appliance.health.checks() if check.name == "Mail"]
    assert check.state is State.WARNING
    assert "alerts stay on the pages" in check.words
    assert check.state is not State.BROKEN
    page = await running.get("/email_alert")
    assert "There is no mail server yet" in page.text
    answer = await running.post("/email_alert/add", {"address": "a@b.example"})
    assert answer.status == 422
    assert "There is no mail server yet" in answer.text
    server = await running.get("/email_alert/server")
    assert "What to set" in server.text
    assert "no mail server to try" in (await running.post("/email_alert/server")).text


async def test_the_job_begins_anew_what_died(house: Any, lead: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: object) -> None:
        raise LookupError("a mistake of ours")

    monkeypatch.setattr(house.plugin.store, "next_due", fails)
    house.plugin.sender.wake()
    task = house.plugin.sender._task
    await asyncio.wait({task}, timeout=10)
    monkeypatch.undo()
    with pytest.raises(LookupError, match="a mistake of ours"):
        await house.plugin.look()
    await house.raise_alert(lead.account)
    await house.mail.letter(subject="Safeguarding alert")
