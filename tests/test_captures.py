"""Captures: kept once, sealed, for those in scope; judged by those who have them open; deleted when they are over."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seeding_captures import (
    HATE,
    ILLEGAL,
    MINOR,
    MODERATE,
    PICTURES,
    SEVERE,
    TEST,
    TUESDAY,
    CaptureSchool,
    Member,
    Story,
    a_capture_school,
    messages,
    seen,
)

from appliance.access import Role
from appliance.captures.judging import LONGEST_NOTE, AllowedFor
from appliance.captures.keeping import TOPIC, Seen
from appliance.captures.pictures import GRACE_SECONDS
from appliance.captures.reading import ANY, OPEN, Filter, TermCount, pieces
from appliance.captures.statuses import CHOICES, FINISHED, Status
from appliance.clock import new_id, stamp
from appliance.errors import Refused, StoreError
from appliance.hookspecs import State
from appliance.observations import Finding, Severity, Surface

EVERYONE = ("everyone", "")


@dataclass
class Disk:
    """How full a disk is."""

    total: int
    free: int


@pytest.fixture
async def school(tmp_path: Path) -> AsyncIterator[CaptureSchool]:
    async with a_capture_school(tmp_path) as found:
        yield found


@pytest.fixture
async def lead(school: CaptureSchool) -> Member:
    return await school.member("Lea", Role.LEAD, EVERYONE)


# Keeping


async def test_a_capture_is_kept_with_its_facts_in_clear_and_the_rest_sealed(
    school: CaptureSchool, lead: Member
) -> None:
    ada, laptop = await school.person("Ada Okafor"), await school.device("Laptop 7")
    capture = await school.keep(seen(SEVERE, person=ada, device=laptop))
    row = await school.captures.reading.capture(lead.actor, capture)
    assert row is not None
    assert (row["person"], row["device"], row["surface"], row["host"]) == (
        "Ada Okafor", "Laptop 7", "typed", "chat.example",
    )  # fmt: skip
    assert (row["severity"], row["rank"], row["status"], row["picture"]) == ("severe", 0, "unclassified", "taken")
    opened = await school.captures.reading.opened(lead.actor, lead.keys, capture)
    assert opened is not None
    assert (opened.text, opened.title, opened.address) == (SEVERE.text, SEVERE.title, SEVERE.address)
    assert opened.findings == (SEVERE.finding(),)
    assert await school.captures.reading.picture(lead.actor, lead.keys, capture) == PICTURES["chat"]


async def test_nothing_that_a_child_wrote_is_on_the_disk_in_clear(
    school: CaptureSchool, lead: Member, tmp_path: Path
) -> None:
    capture = await school.keep(seen(SEVERE, person=await school.person("Ada")))
    note = "a note with the word wombatladder in it"
    await school.captures.judging.set_status(lead.actor, lead.keys, capture, Status.INVESTIGATION, note)
    search = await school.keep(seen(MINOR, person=await school.person("Ben")))
    await school.captures.judging.allow(lead.actor, lead.keys, search)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.parent.parent.name == "pictures" for path in files)
    whole = b"".join(path.read_bytes() for path in files)
    for secret in (SEVERE.text, SEVERE.phrase, SEVERE.definition, "room/9", "wombatladder", MINOR.phrase, MINOR.title):
        assert secret.encode() not in whole, secret
    assert PICTURES["chat"][100:200] not in whole
    assert b"chat.example" in whole  # what does stand in clear, so that this looks in the right place


async def test_the_same_observation_is_kept_once(school: CaptureSchool, lead: Member) -> None:
    del lead
    one = seen(SEVERE)
    assert not await school.captures.known(one.endpoint, one.observation.id)
    for _ in range(3):
        await school.captures.keep(one)
    assert await school.captures.known(one.endpoint, one.observation.id)
    assert not await school.captures.known("another", one.observation.id)
    assert len(await school.records.fetch("SELECT 1 FROM captures")) == 1
    assert len(await school.records.fetch("SELECT 1 FROM alerts")) == 1
    await school.captures.keep(replace(one, endpoint="another"))
    assert len(await school.records.fetch("SELECT 1 FROM captures")) == 2


async def test_the_same_observation_twice_at_once_leaves_no_second_picture(
    school: CaptureSchool, lead: Member, tmp_path: Path
) -> None:
    del lead
    one = seen(SEVERE)
    await asyncio.gather(*(school.captures.keep(one) for _ in range(5)))
    assert len(await school.records.fetch("SELECT 1 FROM captures")) == 1
    assert len(list((tmp_path / "state" / "pictures").glob("*/*"))) == 1


async def test_nothing_is_kept_while_nobody_could_open_it(school: CaptureSchool, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="Nobody can open"):
        await school.captures.keep(seen(SEVERE))
    assert not await school.records.fetch("SELECT 1 FROM captures")
    assert not list(tmp_path.glob("state/pictures/*/*"))
    (check,) = await school.captures.checks()
    assert check.state is State.WARNING
    assert "nothing is captured" in check.words


async def test_without_findings_nothing_is_kept(school: CaptureSchool, lead: Member) -> None:
    del lead
    await school.captures.keep(replace(seen(SEVERE), findings=()))
    assert not await school.records.fetch("SELECT 1 FROM captures")


async def test_the_worst_finding_gives_the_capture_its_name(school: CaptureSchool, lead: Member) -> None:
    text = f"{MINOR.text} {SEVERE.text} {HATE.text}"
    stories = [replace(story, text=text) for story in (MINOR, HATE, SEVERE)]
    capture = await school.keep(seen(*stories))
    row = await school.captures.reading.capture(lead.actor, capture)
    assert row is not None
    assert (row["category"], row["severity"], row["term"]) == ("suicide", "severe", "end-my-life")
    rows = await school.records.fetch("SELECT term, severity FROM capture_findings ORDER BY number")
    assert [tuple(one) for one in rows] == [
        ("end-my-life", "severe"), ("go-back", "moderate"), ("get-hammered", "minor"),
    ]  # fmt: skip


async def test_a_test_beside_something_real_is_real(school: CaptureSchool, lead: Member) -> None:
    text = f"{TEST.text} and {MINOR.text}"
    capture = await school.keep(seen(replace(TEST, text=text), replace(MINOR, text=text)))
    row = await school.captures.reading.capture(lead.actor, capture)
    assert row is not None
    assert (row["is_test"], row["category"]) == (0, "drugs")
    test = await school.keep(seen(TEST))
    row = await school.captures.reading.capture(lead.actor, test)
    assert row is not None
    assert row["is_test"] == 1


async def test_of_a_test_nothing_is_kept_but_the_phrase(school: CaptureSchool, lead: Member) -> None:
    story = replace(TEST, text=f"dear diary, 🙂 {TEST.text} and nobody is to read this", title="My diary, page 7")
    twice = replace(seen(story), findings=(story.finding(), story.finding()))
    test = await school.keep(twice)
    opened = await school.captures.reading.opened(lead.actor, lead.keys, test)
    assert opened is not None
    assert (opened.text, opened.title, opened.address) == (TEST.text, "", "")
    assert pieces(opened.text, opened.findings) == [(TEST.text, True)]
    row = await school.captures.reading.capture(lead.actor, test)
    assert row is not None
    assert row["host"] == story.host
    beside = [replace(one, text=f"{TEST.text} {SEVERE.text}") for one in (TEST, SEVERE)]
    real = await school.captures.reading.opened(lead.actor, lead.keys, await school.keep(seen(*beside)))
    assert real is not None
    assert real.text == beside[0].text, "beside something real all of it is kept"


@pytest.mark.parametrize("stories", [(ILLEGAL,), (SEVERE, ILLEGAL)], ids=["alone", "beside something else"])
async def test_no_picture_of_illegal_content_ever_reaches_the_disk(
    school: CaptureSchool, lead: Member, tmp_path: Path, stories: tuple[Story, ...]
) -> None:
    text = f"{SEVERE.text} {ILLEGAL.text}"
    capture = await school.keep(seen(*(replace(story, text=text) for story in stories)))
    row = await school.captures.reading.capture(lead.actor, capture)
    assert row is not None
    assert (row["picture"], row["picture_bytes"]) == ("never", 0)
    assert await school.captures.reading.picture(lead.actor, lead.keys, capture) is None
    assert not list(tmp_path.glob("state/pictures/*/*"))


async def test_a_picture_is_kept_if_one_finding_asks_for_it(
    school: CaptureSchool, lead: Member, tmp_path: Path
) -> None:
    text = f"{SEVERE.text} {HATE.text}"
    without, other = replace(SEVERE, text=text, keeps_picture=False), replace(HATE, text=text)
    for stories, state in (((without,), "never"), ((without, other), "taken")):
        capture = await school.keep(seen(*stories))
        row = await school.captures.reading.capture(lead.actor, capture)
        assert row is not None
        assert row["picture"] == state
    assert len(list(tmp_path.glob("state/pictures/*/*"))) == 1


@pytest.mark.parametrize(
    ("stories", "alerts"),
    [
        ((SEVERE,), 1),
        ((replace(SEVERE, alert=False),), 0),
        ((MINOR,), 0),
        ((replace(MINOR, alert=True),), 1),
        ((replace(SEVERE, alert=False), replace(HATE, text=SEVERE.text, phrase="gone", alert=True)), 1),
        ((replace(TEST, alert=False),), 1),
    ],
    ids=["severe", "severe but not wanted", "minor", "minor but wanted", "one of two", "a test"],
)
async def test_a_finding_says_whether_somebody_has_to_look_now(
    school: CaptureSchool, lead: Member, stories: tuple[Story, ...], alerts: int
) -> None:
    del lead
    await school.keep(seen(*stories))
    assert len(await school.records.fetch("SELECT 1 FROM alerts")) == alerts


@pytest.mark.parametrize("state", ["hidden", "exempt", "secret", "failed", "none"])
async def test_why_there_is_no_picture_is_kept(school: CaptureSchool, lead: Member, state: str) -> None:
    capture = await school.keep(replace(seen(SEVERE), picture=None, picture_state=state))
    row = await school.captures.reading.capture(lead.actor, capture)
    assert row is not None
    assert row["picture"] == state


async def test_a_picture_that_cannot_be_written_does_not_cost_the_capture(
    school: CaptureSchool, lead: Member, tmp_path: Path
) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "pictures").write_text("in the way")
    capture = await school.keep(seen(SEVERE))
    row = await school.captures.reading.capture(lead.actor, capture)
    assert row is not None
    assert row["picture"] == "failed"


async def test_somebody_who_was_deleted_meanwhile_is_nobody_known(school: CaptureSchool, lead: Member) -> None:
    capture = await school.keep(seen(SEVERE, person="gone", device="gone too"))
    row = await school.captures.reading.capture(lead.actor, capture)
    assert row is not None
    assert (row["person_id"], row["device_id"]) == (None, None)


async def test_a_person_with_captures_cannot_be_deleted_and_a_device_can(school: CaptureSchool, lead: Member) -> None:
    ada, laptop = await school.person("Ada"), await school.device("Laptop 7")
    capture = await school.keep(seen(SEVERE, person=ada, device=laptop))
    with pytest.raises(sqlite3.IntegrityError):
        async with school.records.transaction() as tx:
            await tx.execute("DELETE FROM people WHERE id = ?", (ada,))
    async with school.records.transaction() as tx:
        await tx.execute("DELETE FROM devices WHERE id = ?", (laptop,))
    row = await school.captures.reading.capture(lead.actor, capture)
    assert row is not None
    assert (row["person_id"], row["device_id"]) == (ada, None)


async def test_the_picture_is_there_before_the_row_is(
    school: CaptureSchool, lead: Member, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop after the picture and before the commit leaves a sealed file alone, which is swept away in time."""

    class Stopped(BaseException):
        pass

    async def stop(*_: object, **__: object) -> None:
        raise Stopped

    one = seen(SEVERE)
    with monkeypatch.context() as patch:
        patch.setattr(school.alerts, "open_within", stop)
        with pytest.raises(Stopped):
            await school.captures.keep(one)
    (left,) = (tmp_path / "state" / "pictures").glob("*/*")
    assert not await school.records.fetch("SELECT 1 FROM captures")
    await school.captures.sweep()
    assert left.exists(), "it may still get its row"
    capture = await school.keep(one)
    os.utime(left, (time.time() - GRACE_SECONDS - 1,) * 2)
    await school.captures.sweep()
    assert not left.exists()
    assert await school.captures.reading.picture(lead.actor, lead.keys, capture) == PICTURES["chat"]


async def test_a_capture_that_the_store_refuses_leaves_no_picture(
    school: CaptureSchool, lead: Member, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes again and again while the disk is full, and must not fill it further."""

    async def refuse(*_: object, **__: object) -> None:
        raise StoreError("The store could not write: disk full.")

    one = seen(SEVERE)
    with monkeypatch.context() as patch:
        patch.setattr(school.alerts, "open_within", refuse)
        for _ in range(2):
            with pytest.raises(StoreError):
                await school.captures.keep(one)
    assert not list((tmp_path / "state" / "pictures").glob("*/*"))
    assert not await school.records.fetch("SELECT 1 FROM captures")
    capture = await school.keep(one)
    assert await school.captures.reading.picture(lead.actor, lead.keys, capture) == PICTURES["chat"]


@pytest.mark.parametrize(
    ("free", "total", "has_room"),
    [
        (2**28, 10**10, True),
        (2**28 - 1, 10**10, False),
        (2 * 10**10, 10**12, True),
        (2 * 10**10 - 1, 10**12, False),
    ],
    ids=["256 MiB", "less than 256 MiB", "2 %", "less than 2 %"],
)
async def test_on_a_disk_that_is_nearly_full_the_words_are_kept_and_no_picture(
    school: CaptureSchool, lead: Member, tmp_path: Path, free: int, total: int, has_room: bool
) -> None:
    school.captures._pictures._usage = lambda _: Disk(total, free)
    capture = await school.keep(seen(SEVERE))
    row = await school.captures.reading.capture(lead.actor, capture)
    opened = await school.captures.reading.opened(lead.actor, lead.keys, capture)
    assert row is not None
    assert opened is not None
    assert (row["picture"], opened.text) == ("taken" if has_room else "failed", SEVERE.text)
    assert len(list((tmp_path / "state" / "pictures").glob("*/*"))) == int(has_room)
    (check,) = await school.captures.checks()
    assert check.state is (State.GOOD if has_room else State.WARNING)
    assert ("nearly full" in check.words) != has_room


async def test_a_missing_picture_is_told(school: CaptureSchool, lead: Member, tmp_path: Path) -> None:
    capture = await school.keep(seen(SEVERE))
    (check,) = await school.captures.checks()
    assert check.state is State.GOOD
    assert check.words.startswith("1 kept, 1 with a picture (0.")
    for path in (tmp_path / "state" / "pictures").glob("*/*"):
        path.unlink()
    await school.captures.sweep()
    (check,) = await school.captures.checks()
    assert check.state is State.WARNING
    assert await school.captures.reading.picture(lead.actor, lead.keys, capture) is None


# Who sees what


async def test_everybody_sees_the_captures_of_their_scope(school: CaptureSchool, lead: Member) -> None:
    ada, ben, tom = await school.person("Ada"), await school.person("Ben"), await school.person("Tom", "staff")
    about = {who: await school.keep(seen(SEVERE, person=who)) for who in (ada, ben, tom, None)}
    tutor = await school.member("Tess", Role.PASTORAL, ("person", ada))
    teacher = await school.member("Theo", Role.TEACHER, EVERYONE)
    it = await school.member("Ida", Role.IT, EVERYONE, opens=False)
    reviewer = await school.member("Hal", Role.HEAD)
    async with school.records.transaction() as tx:
        await tx.execute("INSERT INTO staff_reviewers VALUES (?, ?, '', 'a test')", (tom, reviewer.actor.account))
    for who, wanted in (
        (lead, {ada, ben, None}),
        (tutor, {ada}),
        (teacher, set()),
        (it, set()),
        (reviewer, {tom}),
    ):
        page = await school.captures.reading.find(who.actor, Filter(), "severe", 1)
        assert {row["person_id"] for row in page.rows} == wanted, who.actor.name
        assert (await school.captures.reading.waiting(who.actor)).number == len(wanted)
        for person, capture in about.items():
            found = await school.captures.reading.opened(who.actor, who.keys, capture)
            assert (found is not None) == (person in wanted)
            assert (await school.captures.reading.picture(who.actor, who.keys, capture) is not None) == (
                person in wanted
            )


async def test_nobody_reviews_themselves(school: CaptureSchool, lead: Member) -> None:
    del lead
    tom = await school.person("Tom", "staff")
    himself = await school.member("Tom", Role.DEPUTY, EVERYONE, ("person", tom), person=tom)
    async with school.records.transaction() as tx:
        await tx.execute("INSERT INTO staff_reviewers VALUES (?, ?, '', 'a test')", (tom, himself.actor.account))
    capture = await school.keep(seen(SEVERE, person=tom))
    assert await school.captures.reading.capture(himself.actor, capture) is None
    assert await school.captures.reading.opened(himself.actor, himself.keys, capture) is None
    assert school.alerts.waiting(himself.actor.account) == 0
    assert await school.alerts.open(himself.actor) == []


async def test_whoever_has_no_key_sees_the_facts_and_opens_nothing(school: CaptureSchool, lead: Member) -> None:
    del lead
    capture = await school.keep(seen(SEVERE))
    head = await school.member("Hal", Role.HEAD, EVERYONE, opens=False)
    assert await school.captures.reading.capture(head.actor, capture) is not None
    for attempt in (
        school.captures.reading.opened(head.actor, head.keys, capture),
        school.captures.reading.picture(head.actor, head.keys, capture),
        school.captures.judging.set_status(head.actor, head.keys, capture, Status.RESOLVED),
        school.captures.judging.add_note(head.actor, head.keys, capture, "looks fine"),
    ):
        with pytest.raises(Refused):
            await attempt
    assert not await school.records.fetch("SELECT 1 FROM capture_openings")


async def test_opening_is_on_record_once_a_day(school: CaptureSchool, lead: Member) -> None:
    ada = await school.person("Ada")
    capture = await school.keep(seen(SEVERE, person=ada))
    reading = school.captures.reading
    for _ in range(3):
        await reading.opened(lead.actor, lead.keys, capture)
    await reading.picture(lead.actor, lead.keys, capture)
    await reading.picture(lead.actor, lead.keys, capture)
    school.clock.forward(timedelta(days=1))
    await reading.opened(lead.actor, lead.keys, capture)
    done = [action for who, action in await school.done() if who == "Lea" and "capture" in action]
    assert done == ["opened a capture", "looked at the picture of a capture", "opened a capture"]
    rows = [row for row in await school.audit.rows(None, 100) if row["action"] == "opened a capture"]
    assert {row["subject"] for row in rows} == {f"capture {capture}"}
    assert json.loads(rows[0]["detail"]) == {"about": f"person {ada}"}
    assert [row["name"] for row in await reading.openings(lead.actor, capture)] == ["Lea"]


async def test_a_content_that_was_moved_or_swapped_is_not_shown(school: CaptureSchool, lead: Member) -> None:
    one, other = await school.keep(seen(SEVERE)), await school.keep(seen(MINOR))
    async with school.records.transaction() as tx:
        await tx.execute(
            "UPDATE capture_contents SET sealed = (SELECT sealed FROM capture_contents WHERE capture_id = ?)"
            " WHERE capture_id = ?",
            (other, one),
        )
    with pytest.raises(Refused, match="moved here"):
        await school.captures.reading.opened(lead.actor, lead.keys, one)
    picture = next(school.captures._pictures._folder.glob(f"*/{other}")).read_bytes()
    async with school.records.transaction() as tx:
        await tx.execute("UPDATE capture_contents SET sealed = ? WHERE capture_id = ?", (picture, other))
    with pytest.raises(Refused, match="something else"):
        await school.captures.reading.opened(lead.actor, lead.keys, other)


# Counting


async def test_terms_are_counted_with_their_false_positives(school: CaptureSchool, lead: Member) -> None:
    ada = await school.person("Ada")
    text = f"{MINOR.text} {MINOR.text} {HATE.text}"
    twice = replace(seen(replace(MINOR, text=text)), findings=(MINOR.finding(), MINOR.finding(), HATE.finding()))
    first = await school.keep(replace(twice, observation=replace(twice.observation, text=text)))
    second = await school.keep(seen(MINOR, person=ada))
    await school.keep(seen(TEST))
    for capture, status in ((first, Status.FALSE_POSITIVE), (second, Status.RESOLVED)):
        await school.captures.judging.set_status(lead.actor, lead.keys, capture, status)
    reading, minor, hate = school.captures.reading, (MINOR.policy, MINOR.term), (HATE.policy, HATE.term)
    assert await reading.term_counts(lead.actor, TUESDAY) == {minor: TermCount(2, 1), hate: TermCount(1, 1)}
    assert await reading.term_counts(lead.actor, TUESDAY + timedelta(seconds=1)) == {}
    tutor = await school.member("Tess", Role.PASTORAL, ("person", ada))
    assert await reading.term_counts(tutor.actor, TUESDAY) == {minor: TermCount(1, 0)}, "those of her scope"
    it = await school.member("Ida", Role.IT, EVERYONE, opens=False)
    assert await reading.term_counts(it.actor, TUESDAY) == {}


# Lists


async def test_filters_orders_and_pages(school: CaptureSchool, lead: Member) -> None:
    ada, ben = await school.person("Ada Okafor"), await school.person("Ben Whitlock")
    laptop, library = await school.device("Laptop 7"), await school.device("Library 2")
    minor = await school.keep(seen(MINOR, person=ben, device=library, at=TUESDAY))
    severe = await school.keep(seen(SEVERE, person=ada, device=laptop, at=TUESDAY - timedelta(hours=2)))
    moderate = await school.keep(seen(MODERATE, person=ada, device=library, at=TUESDAY - timedelta(hours=1)))
    test = await school.keep(seen(TEST, person=ada, device=laptop, at=TUESDAY))
    await school.captures.judging.set_status(lead.actor, lead.keys, minor, Status.RESOLVED)

    async def found(order: str = "severe", **wanted: object) -> list[str]:
        page = await school.captures.reading.find(lead.actor, Filter(**wanted), order, 1)  # type: ignore[arg-type]
        return [row["id"] for row in page.rows]

    assert await found() == [severe, moderate]
    assert await found(status=ANY) == [severe, moderate, minor]
    assert await found("newest", status=ANY) == [minor, moderate, severe]
    assert await found("oldest", status=ANY) == [severe, moderate, minor]
    assert await found(status="resolved") == [minor]
    assert await found(status=ANY, severity="minor") == [minor]
    assert await found(status=ANY, category="eating_disorder") == [moderate]
    assert await found(status=ANY, device=library) == [moderate, minor]
    assert await found(words="oka ADA") == [severe, moderate]
    assert await found(words="nobody") == []
    assert await found(tests=True) == [test]
    devices = await school.captures.reading.devices(lead.actor)
    assert [row["name"] for row in devices] == ["Laptop 7", "Library 2"]
    row = await school.captures.reading.capture(lead.actor, moderate)
    assert row is not None
    assert await school.captures.reading.neighbours(lead.actor, row) == (minor, severe)
    waiting = await school.captures.reading.waiting(lead.actor)
    assert (waiting.unclassified, waiting.open) == ({Severity.SEVERE: 1, Severity.MODERATE: 1}, 2)
    for _ in range(60):
        await school.captures.keep(seen(replace(MODERATE, picture=None)))
    page = await school.captures.reading.find(lead.actor, Filter(status=OPEN), "severe", 2)
    assert (page.total, page.number, page.last, len(page.rows)) == (62, 2, 2, 12)


async def test_open_lists_hear_of_it_at_once_and_only_where_it_may_be_seen(school: CaptureSchool, lead: Member) -> None:
    ada, ben, laptop = await school.person("Ada"), await school.person("Ben"), await school.device("Laptop 7")
    tutor = await school.member("Tess", Role.PASTORAL, ("person", ben))
    allowed = lead.actor.permissions
    async with (
        school.live.subscribe(lambda: allowed, lead.actor.account) as leads,
        school.live.subscribe(lambda: tutor.actor.permissions, tutor.actor.account) as tutors,
    ):
        capture = await school.keep(seen(MODERATE, person=ada, device=laptop))
        await school.keep(seen(MODERATE, device=laptop))
        rows = [json.loads(data) for topic, data in messages(leads) if topic == TOPIC]
        assert messages(tutors) == []
    assert rows[0]["id"] == capture
    assert [row["who"] for row in rows] == ["Ada", "Unknown person on Laptop 7"]
    assert (rows[0]["category"], rows[0]["severity_words"], rows[0]["surface"]) == (
        "Eating disorders", "Moderate", "search",
    )  # fmt: skip
    assert rows[0]["time"] == "Tue 24 Nov 2026, 10:00"
    assert not any(word in json.dumps(rows) for word in (MODERATE.phrase, MODERATE.text, "https"))


# Judging


@pytest.mark.parametrize("status", [one for one in CHOICES if one is not Status.FALSE_POSITIVE_ALLOW])
async def test_a_status_is_set_with_a_note_and_on_record(school: CaptureSchool, lead: Member, status: Status) -> None:
    capture = await school.keep(seen(SEVERE))
    await school.captures.judging.set_status(lead.actor, lead.keys, capture, status, " I talked to her.\n")
    row = await school.captures.reading.capture(lead.actor, capture)
    assert row is not None
    assert row["status"] == status
    assert (row["finished_at"] is not None) == (status in FINISHED)
    (note,) = await school.captures.reading.notes(lead.actor, lead.keys, capture)
    assert (note.author, note.before, note.after, note.words) == (
        "Lea", Status.UNCLASSIFIED, status, "I talked to her.",
    )  # fmt: skip
    newest = next(one for one in await school.audit.rows(None, 10) if one["action"].startswith("changed the status"))
    assert json.loads(newest["detail"]) == {"from": "Unclassified", "to": status.label}
    alert = await school.alerts.of_capture(lead.actor, capture)
    assert alert is not None
    assert alert["acknowledged_by"] == "Lea"
    assert (alert["closed_at"] is not None) == (status in FINISHED)
    assert school.alerts.waiting(lead.actor.account) == 0


async def test_a_status_can_be_taken_back_and_all_of_it_stays(school: CaptureSchool, lead: Member) -> None:
    judging = school.captures.judging
    capture = await school.keep(seen(MINOR))
    await judging.set_status(lead.actor, lead.keys, capture, Status.RESOLVED)
    await judging.add_note(lead.actor, lead.keys, capture, "there is more")
    await judging.set_status(lead.actor, lead.keys, capture, Status.ESCALATED)
    row = await school.captures.reading.capture(lead.actor, capture)
    assert row is not None
    assert (row["status"], row["finished_at"]) == ("escalated", None)
    notes = await school.captures.reading.notes(lead.actor, lead.keys, capture)
    assert [(one.after, one.words) for one in notes] == [
        (Status.RESOLVED, ""), (None, "there is more"), (Status.ESCALATED, ""),
    ]  # fmt: skip


async def test_what_makes_no_sense_is_refused(school: CaptureSchool, lead: Member) -> None:
    judging = school.captures.judging
    capture = await school.keep(seen(MINOR))
    await judging.set_status(lead.actor, lead.keys, capture, Status.RESOLVED)
    for attempt, words in (
        (judging.set_status(lead.actor, lead.keys, capture, Status.RESOLVED), "already"),
        (judging.set_status(lead.actor, lead.keys, capture, Status.UNCLASSIFIED), "cannot be set"),
        (judging.set_status(lead.actor, lead.keys, capture, Status.FALSE_POSITIVE_ALLOW), "cannot be set"),
        (judging.set_status(lead.actor, lead.keys, "nothing", Status.RESOLVED), "not here any more"),
        (judging.add_note(lead.actor, lead.keys, capture, " \n"), "Nothing was written"),
        (judging.add_note(lead.actor, lead.keys, capture, "x" * (LONGEST_NOTE + 1)), "longer"),
    ):
        with pytest.raises(Refused, match=words):
            await attempt


async def test_the_store_itself_refuses_to_change_what_was_written(school: CaptureSchool, lead: Member) -> None:
    capture = await school.keep(seen(SEVERE))
    await school.captures.judging.add_note(lead.actor, lead.keys, capture, "a note")
    for sql in ("UPDATE capture_notes SET author = 'x'", "DELETE FROM capture_notes", "DELETE FROM alert_steps",
                "UPDATE alert_steps SET words = 'x'"):  # fmt: skip
        with pytest.raises(sqlite3.IntegrityError, match="cannot be"):
            async with school.records.transaction() as tx:
                await tx.execute(sql)


# The allow list


async def test_what_is_on_the_allow_list_raises_no_further_capture(school: CaptureSchool, lead: Member) -> None:
    capture = await school.keep(seen(MINOR))
    assert await school.captures.judging.allow(lead.actor, lead.keys, capture, "it is a poem") == 1
    await school.captures.keep(seen(MINOR))
    await school.captures.keep(seen(replace(MINOR, host="POEMS.example")))
    assert len(await school.records.fetch("SELECT 1 FROM captures")) == 1
    row = await school.captures.reading.capture(lead.actor, capture)
    assert row is not None
    assert row["status"] == "false_positive_allow"
    for other in (
        replace(MINOR, host="else.example"),
        replace(MINOR, surface=MODERATE.surface),
        replace(MINOR, term="other"),
        replace(MINOR, policy="another"),
    ):
        await school.keep(seen(other))
    both = replace(MINOR, text=f"{MINOR.text} {HATE.text}"), replace(HATE, text=f"{MINOR.text} {HATE.text}")
    mixed = await school.keep(seen(*both))
    rows = await school.records.fetch("SELECT term FROM capture_findings WHERE capture_id = ?", (mixed,))
    assert [one["term"] for one in rows] == ["go-back"], "the other finding still counts"
    ((entry,), gone) = await school.captures.judging.allowed(lead.actor, lead.keys)
    assert (entry.phrase, entry.row["host"], entry.row["added_by"], gone) == (MINOR.phrase, "poems.example", "Lea", [])
    head = await school.member("Hal", Role.HEAD, opens=False)
    ((locked,), _) = await school.captures.judging.allowed(head.actor, head.keys)
    assert locked.phrase == ""
    assert await school.captures.judging.take_off(lead.actor, entry.row["id"])
    assert not await school.captures.judging.take_off(lead.actor, entry.row["id"])
    await school.keep(seen(MINOR))
    on, (off,) = await school.captures.judging.allowed(lead.actor, lead.keys)
    assert (on, off.row["removed_by"]) == ([], "Lea")
    actions = [action for _, action in await school.done()]
    assert actions.count("put on the allow list") == actions.count("took off the allow list") == 1


@pytest.mark.parametrize(
    "story",
    [
        SEVERE,
        ILLEGAL,
        TEST,
        replace(SEVERE, surface=Surface.EMAIL),
        replace(MINOR, category="unjudged"),
    ],
    ids=["severe and typed", "severe and searched", "a test", "severe and in an email", "not judged"],
)
async def test_some_things_can_never_be_allowed(school: CaptureSchool, lead: Member, story: object) -> None:
    capture = await school.keep(seen(story))  # type: ignore[arg-type]
    for whom in (AllowedFor(), AllowedFor(everywhere=True)):
        with pytest.raises(Refused, match="never be put on"):
            await school.captures.judging.allow(lead.actor, lead.keys, capture, whom=whom)


async def group_of(school: CaptureSchool, people: Sequence[str] = (), devices: Sequence[str] = ()) -> str:
    group = new_id()
    async with school.records.transaction() as tx:
        await tx.execute("INSERT INTO groups (id, kind, name, made_at) VALUES (?1, 'form', ?1, ?2)", (group, stamp()))
        await tx.executemany("INSERT INTO group_people VALUES (?, ?)", [(group, one) for one in people])
        await tx.executemany("INSERT INTO group_devices VALUES (?, ?)", [(group, one) for one in devices])
    return group


async def is_kept(school: CaptureSchool, one: Seen) -> bool:
    await school.captures.keep(one)
    return await school.captures.known(one.endpoint, one.observation.id)


async def test_something_can_be_allowed_for_one_group_alone(school: CaptureSchool, lead: Member) -> None:
    ada, ben = await school.person("Ada"), await school.person("Ben")
    tablet = await school.device("Library 2")
    group = await group_of(school, [ada], [tablet])
    capture = await school.keep(seen(MINOR, person=ada))
    await school.captures.judging.allow(lead.actor, lead.keys, capture, whom=AllowedFor(group))
    assert not await is_kept(school, seen(MINOR, person=ada))
    assert not await is_kept(school, seen(MINOR, person=ben, device=tablet)), "whoever sits at a device of the group"
    assert await is_kept(school, seen(MINOR, person=ben))
    assert await is_kept(school, seen(MINOR))
    assert await is_kept(school, seen(replace(MINOR, host="else.example"), person=ada))
    ((entry,), _) = await school.captures.judging.allowed(lead.actor, lead.keys)
    assert (entry.row["group_id"], entry.row["host"]) == (group, "poems.example")
    other = await school.keep(seen(MINOR, person=ben))
    await school.captures.judging.allow(lead.actor, lead.keys, other)
    assert not await is_kept(school, seen(MINOR, person=ben)), "an entry for everybody stands beside that of a group"
    async with school.records.transaction() as tx:
        await tx.execute("UPDATE capture_allowed SET removed_at = 'x' WHERE group_id = ''")
        await tx.execute("DELETE FROM groups")
    assert await is_kept(school, seen(MINOR, person=ada)), "a group that is gone has nobody in it"


async def test_something_can_be_allowed_everywhere(school: CaptureSchool, lead: Member) -> None:
    capture = await school.keep(seen(HATE))
    await school.captures.judging.allow(lead.actor, lead.keys, capture, whom=AllowedFor(everywhere=True))
    for host in ("forum.example", "else.example", ""):
        assert not await is_kept(school, seen(replace(HATE, host=host)))
        assert await is_kept(school, seen(replace(HATE, host=host, severity=Severity.SEVERE))), "never what is severe"
    assert await is_kept(school, seen(replace(HATE, surface=Surface.EMAIL))), "seen in another way"
    ((entry,), _) = await school.captures.judging.allowed(lead.actor, lead.keys)
    assert (entry.row["group_id"], entry.row["host"]) == ("", "")
    (row,) = [row for row in await school.audit.rows(None, 50) if row["action"] == "put on the allow list"]
    assert (json.loads(row["detail"])["place"], json.loads(row["detail"])["for"]) == ("everywhere", "everybody")


async def test_what_was_seen_at_no_page_can_be_allowed_everywhere_alone(school: CaptureSchool, lead: Member) -> None:
    judging, story = school.captures.judging, replace(MINOR, host="", address="", surface=Surface.APPLICATION)
    capture = await school.keep(seen(story))
    with pytest.raises(Refused, match="no web page"):
        await judging.allow(lead.actor, lead.keys, capture)
    with pytest.raises(Refused, match="not in the directory"):
        await judging.allow(lead.actor, lead.keys, capture, whom=AllowedFor("gone", everywhere=True))
    assert await is_kept(school, seen(story)), "nothing was allowed"
    await judging.allow(lead.actor, lead.keys, capture, whom=AllowedFor(everywhere=True))
    assert not await is_kept(school, seen(story))


async def test_a_term_that_became_severe_is_kept_although_it_was_allowed(school: CaptureSchool, lead: Member) -> None:
    capture = await school.keep(seen(HATE))
    await school.captures.judging.allow(lead.actor, lead.keys, capture)
    await school.captures.keep(seen(HATE))
    await school.keep(seen(replace(HATE, severity=Severity.SEVERE)))
    assert len(await school.records.fetch("SELECT 1 FROM captures")) == 2


async def test_only_leads_and_deputies_decide_what_is_not_seen_again(school: CaptureSchool, lead: Member) -> None:
    ada = await school.person("Ada")
    capture = await school.keep(seen(MINOR, person=ada))
    tutor = await school.member("Tess", Role.PASTORAL, ("person", ada))
    deputy = await school.member("Dev", Role.DEPUTY, EVERYONE)
    judging = school.captures.judging
    with pytest.raises(Refused, match="does not allow"):
        await judging.allow(tutor.actor, tutor.keys, capture)
    await judging.allow(deputy.actor, deputy.keys, capture)
    ((entry,), _) = await judging.allowed(tutor.actor, tutor.keys)
    with pytest.raises(Refused, match="does not allow"):
        await judging.take_off(tutor.actor, entry.row["id"])
    del lead


# Deleting


async def test_captures_go_when_their_time_is_over_and_nothing_of_them_stays(
    school: CaptureSchool, lead: Member, tmp_path: Path
) -> None:
    test = await school.keep(seen(TEST))
    resolved, open_one = await school.keep(seen(SEVERE)), await school.keep(seen(MODERATE))
    await school.captures.reading.opened(lead.actor, lead.keys, open_one)
    await school.captures.judging.set_status(lead.actor, lead.keys, resolved, Status.RESOLVED, "talked")

    async def kept(after: timedelta) -> set[str]:
        await days_go_by(school, after)
        return {row["id"] for row in await school.records.fetch("SELECT id FROM captures")}

    assert await kept(timedelta(hours=23)) == {test, resolved, open_one}
    assert await kept(timedelta(hours=2)) == {resolved, open_one}
    assert await kept(timedelta(days=363)) == {resolved, open_one}
    assert await kept(timedelta(days=2)) == {open_one}
    assert [path.name for path in (tmp_path / "state" / "pictures").glob("*/*")] == [open_one]
    for table in ("capture_contents", "capture_findings", "capture_openings"):
        assert {row["capture_id"] for row in await school.records.fetch(f"SELECT capture_id FROM {table}")} == {
            open_one
        }, table
    for table in ("capture_notes", "alerts", "alert_steps", "alert_accounts"):
        assert await school.records.fetch(f"SELECT 1 FROM {table}") == [], table
    deleted = [json.loads(row["detail"]) for row in await school.audit.rows(None, 100) if "deleted" in row["action"]]
    assert deleted == [{"captures": 1, "tests": 0}, {"captures": 0, "tests": 1}]


async def days_go_by(school: CaptureSchool, length: timedelta) -> None:
    """The job comes at least once a day."""
    while length > timedelta():
        step = min(length, timedelta(days=1))
        school.clock.forward(step)
        await school.captures.forget()
        length -= step


@pytest.mark.parametrize("jump", [timedelta(days=4000), timedelta(days=400)])
async def test_a_clock_that_jumps_forward_deletes_nothing(school: CaptureSchool, lead: Member, jump: timedelta) -> None:
    test, capture = await school.keep(seen(TEST)), await school.keep(seen(MINOR))
    await school.captures.judging.set_status(lead.actor, lead.keys, capture, Status.RESOLVED)

    async def kept() -> set[str]:
        return {row["id"] for row in await school.records.fetch("SELECT id FROM captures")}

    await school.captures.forget()
    school.clock.moment += jump
    for _ in range(3):
        await days_go_by(school, timedelta(hours=1))
        await days_go_by(school, timedelta(days=3))
    assert await kept() == {test, capture}
    (check,) = await school.captures.checks()
    assert check.state is State.WARNING
    assert "The clock has jumped" in check.words
    school.clock.moment -= jump  # somebody has seen it
    await days_go_by(school, timedelta(hours=1))
    assert await kept() == {capture}, "the test is ten days old"
    (check,) = await school.captures.checks()
    assert check.state is State.GOOD


async def test_a_box_that_was_off_deletes_so_much_later(school: CaptureSchool, lead: Member) -> None:
    capture = await school.keep(seen(MINOR))
    await school.captures.judging.set_status(lead.actor, lead.keys, capture, Status.RESOLVED)
    await school.captures.forget()
    await days_go_by(school, timedelta(days=350))
    school.clock.forward(timedelta(days=40))  # off in the summer
    for days, there in ((1, True), (38, True), (3, False)):
        await days_go_by(school, timedelta(days=days))
        assert bool(await school.records.fetch("SELECT 1 FROM captures")) == there, days


async def test_retention_goes_by_when_it_was_finished_last(school: CaptureSchool, lead: Member) -> None:
    capture = await school.keep(seen(MINOR))
    judging = school.captures.judging
    await judging.set_status(lead.actor, lead.keys, capture, Status.RESOLVED)
    school.clock.forward(timedelta(days=300))
    await judging.set_status(lead.actor, lead.keys, capture, Status.INVESTIGATION)
    await judging.set_status(lead.actor, lead.keys, capture, Status.RESOLVED)
    school.clock.forward(timedelta(days=300))
    await school.captures.forget()
    assert await school.captures.reading.capture(lead.actor, capture) is not None


# Words with what was found in them


@given(st.text(max_size=60), st.lists(st.tuples(st.integers(-5, 70), st.integers(-5, 70)), max_size=5))
def test_marking_loses_and_adds_nothing(text: str, spans: list[tuple[int, int]]) -> None:
    findings = [_finding(start, end) for start, end in spans]
    cut = pieces(text, findings)
    assert "".join(piece for piece, _ in cut) == text
    assert all(piece for piece, _ in cut)
    assert all(one[1] != other[1] for one, other in pairwise(cut))
    marked = [is_marked for piece, is_marked in cut for _ in piece]
    assert marked == [any(start <= place < end for start, end in spans) for place in range(len(text))]


def test_spans_count_code_points() -> None:
    text = "🙂🙂 end my life 🙂"
    start = text.index("end")
    assert pieces(text, [_finding(start, start + 11)]) == [("🙂🙂 ", False), ("end my life", True), (" 🙂", False)]


def _finding(start: int, end: int) -> Finding:
    return Finding("p", "1", "t", "x", "drugs", Severity.MINOR, "d", start, end)


def test_a_moment_is_a_stamp() -> None:
    assert stamp(TUESDAY) == "2026-11-24T10:00:00.000Z"


# Speed: what makes it quick stands in the plans, which a slow machine does not change


async def plan_of(school: CaptureSchool, sql: str, *parameters: str) -> str:
    rows = await school.records.fetch(f"EXPLAIN QUERY PLAN {sql}", parameters)
    return "\n".join(row["detail"] for row in rows)


async def test_the_access_rule_looks_one_person_or_one_account_up(school: CaptureSchool) -> None:
    of_person = await plan_of(school, "SELECT account_id FROM visible_people WHERE person_id = ?", "x")
    assert "SEARCH person" in of_person
    assert "SCAN person" not in of_person
    of_account = await plan_of(school, "SELECT person_id FROM visible_people WHERE account_id = ?", "x")
    assert "SEARCH account" in of_account
    assert "UNION" not in of_account


async def test_lists_are_read_in_their_order(
    school: CaptureSchool, lead: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, object]] = []
    fetch = school.records.fetch

    async def noting(sql: str, parameters: object = ()) -> object:
        asked.append((sql, parameters))
        return await fetch(sql, parameters)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(school.records, "fetch", noting)
        for order in ("severe", "newest", "oldest"):
            await school.captures.reading.find(lead.actor, Filter(status=ANY), order, 1)
        await school.captures.reading.find(lead.actor, Filter(), "severe", 1)
        await school.captures.reading.waiting(lead.actor)
    pages = [one for one in asked if "LIMIT" in one[0]]
    assert len(pages) == 4
    for sql, parameters in pages:
        plan = await plan_of(school, sql, *parameters)  # type: ignore[misc]
        assert "ORDER BY" not in plan, "it is sorted after all"
    plan = await plan_of(school, asked[-1][0], *asked[-1][1])  # type: ignore[misc]
    assert "captures_open" in plan
