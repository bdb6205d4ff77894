"""The pages about monitoring, in the browser of a lead, a head and a data protection officer."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date, timedelta

import pytest

from appliance.accounts.staff import Scope
from appliance.assignments import Target, TargetKind
from appliance.clock import stamp
from appliance.monitoring.papers import Audience
from appliance.monitoring.subjects import Subject
from appliance.monitoring.switching import OFF, ON, Reach
from appliance.testing import Client, Home, Running
from appliance.web.monitoring_words import change_words, people_words, undo_words

Start = Callable[[Home], Awaitable[Running]]
CHOICE = {
    "ages": "11 to 16",
    "own_devices": "Not monitored",
    "languages": "English and Polish",
    "updates": "Daily, by IT",
    "approaches": "device",
    "why": "Incidents in the last year",
}
PEOPLE = {
    "pia": ("pupil", "Pia Pupil"),
    "paul": ("pupil", "Paul Pupil"),
    "tom": ("staff", "Tom Teacher"),
    "gus": ("guest", "Gus Guest"),
}


@dataclass
class School:
    """A running appliance with a few people, and the browser of its safeguarding lead."""

    running: Running
    lead: Client

    @property
    def today(self) -> date:
        return self.running.appliance.monitoring.today()

    def switch_form(self, **other: str) -> dict[str, str]:
        return {
            "reason": "A year of incidents",
            "last_day": "",
            "policy": "Online safety policy",
            "policy_date": f"{self.today}",
            "told": "Parents by letter",
            **other,
        }

    def trial_form(self, **other: str) -> dict[str, str]:
        days = {"day_1": f"{self.today}", "day_2": f"{self.today + timedelta(days=13)}", "day_3": ""}
        last_day = f"{self.today + timedelta(days=14)}"
        return {"group": "7b", **days, **self.switch_form(last_day=last_day), **other}

    async def may_go_live(self) -> None:
        for role in ("head", "governor"):
            await self.running.as_role(role)
        await self.lead.post("/monitoring/choice", CHOICE)

    async def begin_trial(self) -> str:
        answer = await self.lead.post("/monitoring/trial/new", self.trial_form(do="start"))
        assert answer.status == 303, answer.text
        return answer.headers["Location"]


@pytest.fixture
async def school(appliance_home: Home, start_appliance: Start) -> School:
    running = await start_appliance(appliance_home)
    moment = stamp()
    async with running.appliance.records.transaction() as tx:
        await tx.execute("INSERT INTO groups VALUES ('7b', 'form', '7B', ?)", (moment,))
        await tx.executemany(
            "INSERT INTO people (id, kind, name, sort_name, added_at) VALUES (?, ?, ?, lower(?), ?)",
            [(one, kind, name, name, moment) for one, (kind, name) in PEOPLE.items()],
        )
        await tx.executemany("INSERT INTO group_people VALUES ('7b', ?)", [(one,) for one in PEOPLE])
        await tx.execute("INSERT INTO devices (id, name, added_at) VALUES ('laptop', 'Laptop 12', ?)", (moment,))
    await running.appliance.directory.start()
    return School(running, await running.as_role("lead", name="Lea Lead"))


def text(page: str) -> str:
    """What a page says, without its tags."""
    main = page[page.index("<main") :]
    return " ".join(re.sub(r"<[^>]+>", " ", main).replace("&#39;", "'").split())


async def test_nobody_is_monitored_and_a_trial_is_the_next_step(school: School) -> None:
    page = text((await school.lead.get("/monitoring")).text)
    assert "Nobody is monitored. That is how every school starts." in page
    assert "Begin a trial" in page
    assert "Nobody has the role “Governor” yet." in page


async def test_a_group_is_switched_on_after_its_summary_was_read(school: School) -> None:
    await school.may_go_live()
    path = "/monitoring/of/group/7b/on"
    assert "7B" in text((await school.lead.get("/monitoring/find")).text)
    assert "Why" in text((await school.lead.get(path)).text)
    last_day = school.today + timedelta(days=3)
    form = school.switch_form(last_day=f"{last_day}")
    summary = text((await school.lead.post(path, {**form, "do": "check"})).text)
    assert f"This switches monitoring on for 2 pupils in 7B, until the end of {last_day:%a} {last_day.day}" in summary
    assert "1 person: not monitored, because no reviewer is named for them." in summary
    assert "1 person: a guest" in summary
    assert not await school.running.appliance.monitoring.anything_on()

    changed = await school.lead.post(path, {**form, "do": "change"})
    assert 'value="A year of incidents"' in changed.text
    answer = await school.lead.post(path, {**form, "do": "switch"})
    assert (answer.status, answer.headers["Location"]) == (303, "/monitoring")
    page = text((await school.lead.get("/monitoring")).text)
    for words in (
        "Monitoring is switched on for 7B.", "Monitoring is on for 1 group.", "At this moment that is 2 pupils.",
        "7B Form, 2 people monitored",
        "Online safety policy", "by Lea Lead", "Told: Parents by letter", "it is not written down that these were told",
    ):  # fmt: skip
        assert words in page


async def test_going_live_says_what_is_missing_and_where_to_put_it_right(school: School) -> None:
    page = (await school.lead.get("/monitoring/of/group/7b/on")).text
    assert "Monitoring cannot go live yet." in page
    assert 'href="/staff"' in page
    assert 'href="/monitoring/choice"' in page
    assert "<textarea" not in page
    answer = await school.lead.post("/monitoring/of/group/7b/on", {**school.switch_form(), "do": "switch"})
    assert answer.status == 422
    assert not await school.running.appliance.monitoring.anything_on()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"reason": " "}, "Say why"),
        ({"last_day": "soon"}, "year, month and day"),
        ({"last_day": "2020-01-01"}, "from today on"),
        ({"policy": ""}, "Name the school’s policy"),
        ({"policy_date": ""}, "which date the policy bears"),
        ({"policy_date": "2999-01-01"}, "still to come"),
        ({"told": ""}, "Say who was told"),
    ],
)
async def test_a_mistake_in_the_form_of_a_switch_loses_nothing(
    school: School, wrong: dict[str, str], words: str
) -> None:
    await school.may_go_live()
    form = school.switch_form(**wrong)
    answer = await school.lead.post("/monitoring/of/group/7b/on", {**form, "do": "check"})
    assert answer.status == 422
    assert "There is a problem" in answer.text
    assert words in answer.text
    for value in form.values():
        assert value.strip() in answer.text


async def test_a_switch_is_undone_after_it_was_said_what_that_does(school: School) -> None:
    await school.may_go_live()
    await school.lead.post("/monitoring/of/person/pia/on", {**school.switch_form(), "do": "switch"})
    page = (await school.lead.get("/monitoring")).text
    (path,) = re.findall(r'"(/monitoring/undo/[^"]+)"', page)
    assert "This switches monitoring off for 1 pupil." in text((await school.lead.get(path)).text)
    assert (await school.lead.post(path)).status == 303
    assert "Nobody is monitored." in text((await school.lead.get("/monitoring")).text)
    assert "Undone" in text((await school.lead.get("/monitoring/history")).text)
    assert (await school.lead.get(path)).status == 404


async def test_a_pupil_is_kept_out_of_a_group_that_is_on(school: School) -> None:
    await school.may_go_live()
    await school.lead.post("/monitoring/of/group/7b/on", {**school.switch_form(), "do": "switch"})
    form = {"reason": "Agreed with the family", "last_day": ""}
    summary = text((await school.lead.post("/monitoring/of/person/pia/off", {**form, "do": "check"})).text)
    assert "This switches monitoring off for Pia Pupil, until somebody switches it again." in summary
    await school.lead.post("/monitoring/of/person/pia/off", {**form, "do": "switch"})
    page = text((await school.lead.get("/monitoring/of/person/pia")).text)
    assert "Not monitored" in page
    assert "For this person alone: set by Lea Lead: Agreed with the family." in page
    assert "Monitored For a group of this person" in text((await school.lead.get("/monitoring/of/person/paul")).text)


async def test_staff_need_a_reviewer_who_is_somebody_else(school: School) -> None:
    await school.may_go_live()
    assert "Name a reviewer" in text((await school.lead.get("/monitoring/of/person/tom/on")).text)
    path = "/monitoring/of/person/tom/reviewer"
    head = await school.running.as_role("head", name="Tom T")
    page = (await school.lead.get("/monitoring/of/person/tom")).text
    assert school.lead.account in page
    assert head.account not in page
    refused = await school.lead.post(path, {"do": "name", "reviewer": head.account})
    assert refused.status == 422
    assert "may belong to that very person" in refused.text
    await school.lead.post(path, {"do": "name", "reviewer": school.lead.account})
    assert "Reviewed by Named Tom Teacher" in text((await school.lead.get("/monitoring")).text)
    answer = await school.lead.post("/monitoring/of/person/tom/on", {**school.switch_form(), "do": "switch"})
    assert answer.status == 303
    await school.lead.post(path, {"do": "take-back"})
    assert "Not monitored" in text((await school.lead.get("/monitoring/of/person/tom")).text)


async def test_a_trial_from_its_form_to_its_signed_report(school: School) -> None:
    assert "Begin a trial" in text((await school.lead.get("/monitoring/trial")).text)
    new = (await school.lead.get("/monitoring/trial/new")).text
    assert f'value="{school.today + timedelta(days=14)}"' in new
    summary = text((await school.lead.post("/monitoring/trial/new", school.trial_form(do="check"))).text)
    assert "This switches monitoring on for 2 pupils in 7B" in summary
    assert "Nobody else is monitored while the trial lasts." in summary
    path = await school.begin_trial()

    note = {"day": f"{school.today}", "note": "Two false alarms in biology."}
    assert (await school.lead.post(f"{path}/feedback", note)).status == 303
    early = await school.lead.post(f"{path}/feedback", {**note, "day": f"{school.today + timedelta(days=13)}"})
    assert early.status == 422
    page = text((await school.lead.get("/monitoring")).text)
    assert "The trial With 7B, 2 people at its start" in page
    assert "Monitoring: trial until" in page

    assert "Signing ends monitoring of 7B" in text((await school.lead.get(f"{path}/sign")).text)
    wrong = await school.lead.post(f"{path}/sign", {"decision": "", "findings": ""})
    assert wrong.status == 422
    await school.lead.post(f"{path}/sign", {"decision": "go on", "findings": "It helped two pupils."})
    report = text((await school.lead.get(path)).text)
    for words in (
        "2 people at the start, 2 at the end", "Two false alarms in biology.", "Decision Go on",
        "It helped two pupils.", "by Lea Lead", "Pupils: not written down", "Ended with the signature",
    ):  # fmt: skip
        assert words in report
    assert not await school.running.appliance.monitoring.anything_on()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"group": ""}, "Choose a group"),
        ({"group": "nowhere"}, "Choose a group"),
        ({"last_day": ""}, "at most 6 weeks"),
        ({"last_day": "2999-01-01"}, "within ten years"),
        ({"day_1": "", "day_2": ""}, "at least one day"),
        ({"day_2": "2999-01-01"}, "between today and the last day"),
        ({"day_3": "Tuesday"}, "year, month and day"),
        ({"told": ""}, "Say who was told"),
    ],
)
async def test_a_mistake_in_the_form_of_a_trial_loses_nothing(
    school: School, wrong: dict[str, str], words: str
) -> None:
    answer = await school.lead.post("/monitoring/trial/new", school.trial_form(**wrong, do="start"))
    assert answer.status == 422
    assert words in answer.text
    assert 'value="A year of incidents"' in answer.text
    assert not await school.running.appliance.monitoring.had_trial()


async def test_who_was_told_is_written_down(school: School) -> None:
    form = {"audience": "pupils", "told_on": f"{school.today}", "how": "Assembly", "told_by": "The head", "note": ""}
    for wrong in ({"audience": "cats"}, {"told_on": "2999-01-01"}, {"told_on": ""}, {"how": " "}, {"told_by": ""}):
        answer = await school.lead.post("/monitoring/told", {**form, **wrong})
        assert answer.status == 422
        assert "There is a problem" in answer.text
    assert (await school.lead.post("/monitoring/told", form)).status == 303
    page = text((await school.lead.get("/monitoring/told")).text)
    assert "Kept: pupils were told on" in page
    assert "Assembly by The head" in page
    assert "Pupils on" in (await school.lead.get("/monitoring/trial/new")).text  # offered in the form of a switch


async def test_the_choice_is_written_down_version_by_version(school: School) -> None:
    wrong = await school.lead.post("/monitoring/choice", {**CHOICE, "languages": "", "approaches": "telepathy"})
    assert wrong.status == 422
    assert wrong.text.count("Answer this question.") == 2  # in the summary and beside the field
    assert "Choose at least one way." in wrong.text
    both = [*((name, words) for name, words in CHOICE.items() if name != "approaches")]
    await school.lead.post("/monitoring/choice", [*both, ("approaches", "device"), ("approaches", "network")])
    await school.lead.post("/monitoring/choice", {**CHOICE, "why": "After the review"})
    page = (await school.lead.get("/monitoring/choice")).text
    assert "After the review" in page
    assert "Earlier versions" in page
    assert "Somebody reads what the web filter" in page


async def test_an_officer_sees_groups_devices_and_numbers_and_no_names(school: School) -> None:
    await school.may_go_live()
    for path in ("group/7b", "device/laptop", "person/pia"):
        answer = await school.lead.post(f"/monitoring/of/{path}/on", {**school.switch_form(), "do": "switch"})
        assert answer.status == 303
    officer = await school.running.as_role("dpo")
    pages = [
        await officer.get(f"/monitoring{path}")
        for path in ("", "/history", "/told", "/choice", "/trial", "/of/group/7b", "/of/device/laptop")
    ]
    assert {page.status for page in pages} == {200}
    assert all("Pia" not in page.text for page in pages)
    overview = text(pages[0].text)
    for words in (
        "7B Form",
        "Laptop 12 Device",
        "At this moment that is 2 pupils",
        "1 person whose name you may not see",
    ):
        assert words in overview
    own = text((await school.lead.get("/monitoring")).text)
    assert "Pia Pupil Pupil" in own
    assert "may not see" not in own
    assert not re.search(r"/monitoring/undo/|/monitoring/trial/new|/off\"", "".join(page.text for page in pages))
    assert (await officer.get("/monitoring/of/person/pia")).status == 404
    assert (await officer.get("/monitoring/find")).status == 403


async def test_somebody_out_of_scope_and_nobody_give_the_same_answer(school: School) -> None:
    async with school.running.appliance.records.transaction() as tx:
        await tx.execute("INSERT INTO groups VALUES ('8c', 'form', '8C', ?)", (stamp(),))
    deputy = await school.running.as_role("deputy", [Scope("group", "8c")])
    for path in ("/monitoring/of/person/{}", "/monitoring/of/person/{}/on"):
        pages = [await deputy.get(path.format(who)) for who in ("pia", "nobody")]
        assert [page.status for page in pages] == [404, 404]
        assert pages[0].text.replace("pia", "nobody") == pages[1].text


@pytest.mark.parametrize("role", ["head", "dpo", "pastoral", "teacher", "governor", "it"])
async def test_only_a_lead_or_deputy_changes_anything(school: School, role: str) -> None:
    client = await school.running.as_role(role)
    for path, form in (
        ("/monitoring/of/group/7b/on", school.switch_form(do="switch")),
        ("/monitoring/of/group/7b/off", school.switch_form(do="switch")),
        ("/monitoring/of/person/tom/reviewer", {"do": "name", "reviewer": client.account}),
        ("/monitoring/trial/new", school.trial_form(do="start")),
        ("/monitoring/told", {"audience": Audience.STAFF}),
        ("/monitoring/choice", CHOICE),
    ):
        assert (await client.post(path, form)).status in (403, 404), path
    sees = role in ("head", "dpo")
    assert ((await client.get("/monitoring")).status == 200) is sees


@pytest.mark.parametrize(
    "path", ["/monitoring/of/group/nowhere", "/monitoring/of/networks/7b", "/monitoring/of/shoes/7b",
             "/monitoring/trial/none", "/monitoring/undo/none", "/monitoring/of/group/7b/maybe"],
)  # fmt: skip
async def test_what_is_not_there_is_not_found(school: School, path: str) -> None:
    assert (await school.lead.get(path)).status == 404


# Words

NOBODY = Reach(0, 0, 0, 0, 0, 0, 0, 0)
FORM = Subject(Target(TargetKind.GROUP, "7b"), "7B", "form")
LAPTOP = Subject(Target(TargetKind.DEVICE, "laptop"), "Laptop 12", "")
PIA = Subject(Target(TargetKind.PERSON, "pia"), "Pia", "pupil")


@pytest.mark.parametrize(
    ("subject", "reach", "on", "sentences"),
    [
        (
            FORM, Reach(27, 1, 0, 30, 2, 3, 1, 1), True,
            [
                "This switches monitoring on for 27 pupils and 1 member of staff or governor in 7B, for now.",
                "On 30 devices in it, whoever is not known counts as a pupil and is monitored too.",
                "2 people: monitored already.",
                "3 people: not monitored, because no reviewer is named for them.",
                "1 person: a guest, and guests are chosen one by one or by their device.",
                "1 person: switched off by a choice for that person alone, which counts first.",
            ],
        ),
        (
            FORM, Reach(1, 0, 0, 1, 0, 0, 0, 0), False,
            ["This switches monitoring off for 1 pupil in 7B, for now.", "The same goes for 1 device in it."],
        ),
        (
            FORM, NOBODY, True,
            ["This switches monitoring on for 7B, for now. At this moment that changes nothing for anybody in it."],
        ),
        (
            LAPTOP, Reach(0, 0, 0, 1, 0, 0, 0, 0), False,
            ["This switches monitoring off for whoever uses Laptop 12, for now."],
        ),
        (PIA, Reach(1, 0, 0, 0, 0, 0, 0, 0), True, ["This switches monitoring on for Pia, for now."]),
        (
            PIA, NOBODY, True,
            ["Pia is monitored already. From now on that is a choice for this person alone, for now."],
        ),
    ],
)  # fmt: skip
def test_what_a_switch_will_do_in_words(subject: Subject, reach: Reach, on: bool, sentences: list[str]) -> None:
    assert change_words(subject, reach, on=on, end="for now") == sentences


@pytest.mark.parametrize(
    ("subject", "pupils", "was_on", "value", "words"),
    [
        (FORM, 3, True, None, ["switches monitoring off for 3 pupils.", "nothing is set for 7B itself"]),
        (FORM, 3, False, ON, ["switches monitoring on again for 3 pupils.", "which is on, applies again."]),
        (FORM, 0, True, OFF, ["changes nothing for anybody.", "which is off, applies again."]),
        (LAPTOP, 0, True, None, ["nothing is set for Laptop 12 itself"]),
    ],
)
def test_what_an_undo_will_do_in_words(
    subject: Subject, pupils: int, was_on: bool, value: str | None, words: list[str]
) -> None:
    sentences = undo_words(subject, Reach(pupils, 0, 0, 0, 0, 0, 0, 0), was_on=was_on, value=value)
    assert len(sentences) == len(words)
    for sentence, part in zip(sentences, words, strict=True):
        assert part in sentence


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ((0, 0, 0), ""),
        ((1, 0, 0), "1 pupil"),
        ((1204, 2, 0), "1,204 pupils and 2 members of staff or governors"),
        ((2, 1, 1), "2 pupils, 1 member of staff or governor and 1 guest"),
    ],
)
def test_people_in_words(numbers: tuple[int, int, int], words: str) -> None:
    assert people_words(*numbers) == words
