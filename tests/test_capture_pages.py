"""The pages about captures: the list, one capture, its picture, statuses, the allow list, and who gets to see what."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import aiohttp
import pytest_asyncio
from seeding_captures import ILLEGAL, MINOR, MODERATE, PICTURES, SEVERE, TEST, TUESDAY, Story, seen
from test_web_live import opened as live_stream

from appliance.access import Role
from appliance.accounts.staff import Scope
from appliance.captures.reading import CONTENT
from appliance.captures.statuses import CHOICES, Status
from appliance.hookspecs import Permission
from appliance.observations import Surface
from appliance.people.devices import DeviceDetails
from appliance.people.directory import Details
from appliance.testing import Answer, Client, Home, Running
from appliance.vaults import CAPTURES
from appliance.web.pages import COOKIE

Start = Callable[[Home], Awaitable[Running]]


@dataclass
class House:
    """A running appliance with a lead, a pupil and a device."""

    running: Running
    lead: Client
    ada: str
    laptop: str

    async def keep(self, *stories: Story, person: str | None = "ada", **more: object) -> str:
        """Keep a capture, of Ada unless told otherwise; its id."""
        who = self.ada if person == "ada" else person
        one = seen(*stories, person=who, device=self.laptop, **more)  # type: ignore[arg-type]
        appliance = self.running.appliance
        await appliance.captures.keep(one)
        row = await appliance.records.fetch_one("SELECT id FROM captures WHERE observation = ?", (one.observation.id,))
        assert row is not None
        return str(row["id"])

    async def let_in(self, client: Client) -> None:
        """Let somebody open captures, as the lead does."""
        answer = await self.lead.post("/staff/who-can-open/admit", {"list": "captures", "account": client.account})
        assert answer.status == 303, answer.text


@pytest_asyncio.fixture
async def house(appliance_home: Home, start_appliance: Start) -> House:
    running = await start_appliance(appliance_home)
    lead = await running.as_role(Role.LEAD, name="Lea Lead")
    await running.appliance.monitoring.refresh()  # as its job would: the lead can open captures now
    directory = running.appliance.directory
    ada = await directory.add(lead.actor, Details("pupil", "Ada Okafor"))
    laptop = await directory.devices.add(lead.actor, DeviceDetails("Laptop 7"))
    return House(running, lead, ada, laptop)


def words_of(answer: Answer) -> str:
    """What a reader sees, roughly: without tags and without double spaces."""
    text = re.sub(r"<(script|style|template)\b.*?</\1>", "", answer.text, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


# The list


async def test_an_empty_list_says_why_and_what_next(house: House, appliance_home: Home) -> None:
    assert "Nobody is monitored, so nothing is captured but tests." in (await house.lead.get("/captures")).text
    await house.keep(MINOR)
    filtered = await house.lead.get("/captures?severity=severe")
    assert "No capture fits." in filtered.text


async def test_the_list_shows_facts_and_no_words(house: House) -> None:
    severe = await house.keep(SEVERE)
    await house.keep(MINOR, person=None)
    await house.keep(TEST)
    page = await house.lead.get("/captures")
    assert "2 captures not finished" in page.text
    assert f'href="/captures/{severe}"' in page.text
    words = words_of(page)
    for shown in ("Ada Okafor", "Unknown person on Laptop 7", "Suicide", "typed text", "Unclassified", "Severe"):
        assert shown in words, shown
    assert page.text.index(severe) < page.text.index("Drugs and substance misuse</td>")
    for hidden in (SEVERE.text, SEVERE.phrase, MINOR.phrase, "room/9", TEST.text):
        assert hidden not in page.text, hidden
    tests = await house.lead.get("/captures?tests=yes&status=any")
    assert "1 test" in tests.text


async def test_filters_stand_in_the_address_and_a_name_never_does(house: House) -> None:
    await house.keep(SEVERE)
    await house.keep(MODERATE, person=None)
    found = await house.lead.post("/captures", {"words": "okafor", "order": "newest"})
    assert "1 capture found" in found.text
    assert "okafor" not in " ".join(re.findall(r'(?:href|action)="([^"]*)"', found.text)).lower()
    for query, number in (
        ("severity=severe", 1),
        ("category=eating_disorder", 1),
        (f"device={house.laptop}", 2),
        ("device=nothing", 0),
        ("surface=typed", 1),
        ("surface=search&severity=moderate", 1),
        ("surface=email", 0),
        ("status=resolved", 0),
        ("status=any&order=oldest", 2),
        ("status=odd&severity=odd&order=odd&page=odd", 2),
    ):
        page = await house.lead.get(f"/captures?{query}")
        assert page.status == 200
        assert re.search(rf"\b{number} captures?\b", words_of(page)), query


async def test_an_open_list_takes_only_rows_that_fit_it(house: House) -> None:
    def only(page: Answer) -> object:
        found = re.search(r'data-live-only="([^"]*)"', page.text)
        return json.loads(found[1].replace("&#34;", '"')) if found else None

    assert only(await house.lead.get("/captures")) == {"test": "no"}
    assert only(await house.lead.get("/captures?severity=minor&category=drugs&status=any")) == {
        "test": "no", "severity": "minor", "category_key": "drugs",
    }  # fmt: skip
    assert only(await house.lead.get("/captures?tests=yes")) == {"test": "yes"}
    assert only(await house.lead.get("/captures?status=resolved")) is None
    assert only(await house.lead.post("/captures", {"words": "a"})) is None


async def test_a_new_capture_comes_through_the_stream_to_those_who_may_see_it(house: House) -> None:
    other = await house.running.as_role(Role.PASTORAL, [Scope("person", "somebody else")])
    async with live_stream(house.lead) as leads, live_stream(other) as others:
        for stream in (leads, others):
            await stream.piece()
        capture = await house.keep(MODERATE)
        topic, row = await leads.message()
        assert topic == "appliance.captures"
        assert isinstance(row, dict)
        assert (row["id"], row["who"]) == (capture, "Ada Okafor")
        house.running.appliance.live.publish("visitors.left", {}, Permission.SIGNED_IN)
        assert await others.message() == ("visitors.left", {})


# One capture


async def test_a_capture_says_who_what_where_when_why_and_what_to_do(house: House) -> None:
    directory, lead = house.running.appliance.directory, house.lead
    form = await directory.groups.make(lead.actor, "form", "9 Blue")
    room = await directory.groups.make(lead.actor, "room", "Library")
    await directory.groups.add_people(lead.actor, form, [house.ada])
    await directory.groups.add_devices(lead.actor, room, [house.laptop])
    capture = await house.keep(SEVERE)
    page = await lead.get(f"/captures/{capture}")
    assert page.status == 200
    words = words_of(page)
    for shown in (
        "Ada Okafor", "the browser says that this account was signed in", "9 Blue", "Laptop 7", "Library",
        "Tue 24 Nov 2026, 10:00", "typed text", "chat.example", "Suicide", "Severe", "Unclassified", SEVERE.definition,
        "Exactly as it is written in the policy", "Starter policy , version 1.0".replace(" ,", ","),
        "An immediate threat: of violence, death or suicide", SEVERE.address, SEVERE.title,
        "Find the pupil now and do not leave them alone.", "I am dealing with this",
    ):  # fmt: skip
        assert shown in words, shown
    assert "<mark>end my life</mark>" in page.text
    assert f'href="{SEVERE.address}"' not in page.text, "nobody is led to that page by a slip"


async def test_a_capture_says_why_it_was_found(house: House) -> None:
    story = replace(
        MODERATE,
        surface=Surface.EMAIL,
        steps=("signs were read as the letters they look like", "“s1imming” was read as “slimming”"),
        tried=("names of the school’s pupils", "“thin air”"),
        why_severity="a search of this kind is of concern, but no immediate danger",
        facts=(("Also called", "thinspiration"), ("بالعربية", "كلمة")),
    )
    page = await house.lead.get(f"/captures/{await house.keep(story)}")
    words = words_of(page)
    for shown in (
        "What was written in an email", "email being written", "Why this was found",
        "Starter policy, version 1.0", "Signs were read as the letters they look like", "“s1imming”",
        "None of these applies", "Names of the school’s pupils", "“thin air”",
        "Moderate: a search of this kind is of concern", "Also called thinspiration",
    ):  # fmt: skip
        assert shown in words, shown
    assert "Some of those that were tried" not in words
    assert '<dd dir="auto">كلمة</dd>' in page.text
    many = replace(story, tried=tuple(f"“saying {number}”" for number in range(5)))
    assert "Some of those that were tried. None" in words_of(
        await house.lead.get(f"/captures/{await house.keep(many)}")
    )
    plain = words_of(await house.lead.get(f"/captures/{await house.keep(SEVERE)}"))
    assert "How it was read" not in plain
    assert "Exceptions tried" not in plain


async def test_why_there_is_no_picture_is_told_in_the_right_words(house: House) -> None:
    for story, words in (
        (ILLEGAL, "keeping it may be an offence"),
        (replace(MODERATE, keeps_picture=False), "as it is set for what was found here"),
    ):
        page = words_of(await house.lead.get(f"/captures/{await house.keep(story)}"))
        assert words in page


async def test_a_device_that_is_somebody_elses_is_told(house: House) -> None:
    directory, lead = house.running.appliance.directory, house.lead
    hint = "The device is somebody else’s"
    capture = await house.keep(SEVERE)
    assert hint not in (await lead.get(f"/captures/{capture}")).text, "nobody has it"
    await directory.devices.give(lead.actor, house.laptop, house.ada)
    assert hint not in (await lead.get(f"/captures/{capture}")).text
    ben = await directory.add(lead.actor, Details("pupil", "Ben Whitlock"))
    await directory.devices.give(lead.actor, house.laptop, ben)
    words = words_of(await lead.get(f"/captures/{capture}"))
    assert re.search(f"{hint}: ?Ben Whitlock ?. Find out who sat there before you act.", words), words


async def test_half_a_character_costs_nobody_the_page(house: House) -> None:
    """A browser can send half of a pair of UTF-16, and a store from before may hold some."""
    half = replace(
        SEVERE,
        text=f"{SEVERE.text} \ud83d",
        title="a \udc00 title",
        address="https://chat.example/\ud800",
        host="x\ud800",
    )
    capture = await house.keep(half)
    other = await house.keep(MODERATE)
    whole = {"text": half.text, "title": half.title, "address": half.address, "findings": [half.finding().as_json()]}
    whole["findings"] = [{**half.finding().as_json(), "definition": "half \ude00"}]
    content = json.dumps(whole, ensure_ascii=False).encode("utf-8", "surrogatepass")
    appliance = house.running.appliance
    sealed = await appliance.vaults.seal(CAPTURES, other, CONTENT, content)
    async with appliance.records.transaction() as tx:
        await tx.execute("UPDATE capture_contents SET sealed = ? WHERE capture_id = ?", (sealed, other))
    for one in (capture, other):
        page = await house.lead.get(f"/captures/{one}")
        assert page.status == 200
        assert "<mark>end my life</mark> tonight \ufffd" in page.text
        assert "a \ufffd title" in page.text
    assert (await house.lead.get("/captures")).status == 200


async def test_what_a_child_wrote_cannot_become_markup(house: House) -> None:
    mean = replace(SEVERE, text='<img src=x onerror=alert(1)> end my life </mark>"', title="<b>&</b>")
    capture = await house.keep(mean)
    page = (await house.lead.get(f"/captures/{capture}")).text
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt; <mark>end my life</mark> &lt;/mark&gt;&#34;" in page
    assert "&lt;b&gt;&amp;&lt;/b&gt;" in page


async def test_a_picture_is_shown_or_stays_behind_a_button(house: House) -> None:
    drugs, suicide, illegal = await house.keep(MINOR), await house.keep(SEVERE), await house.keep(ILLEGAL)
    path = f"/captures/{suicide}"
    assert f'src="/captures/{drugs}/picture"' in (await house.lead.get(f"/captures/{drugs}")).text
    behind = await house.lead.get(path)
    assert "Show picture" in behind.text
    assert "<img" not in behind.text
    assert f'src="{path}/picture"' in (await house.lead.get(f"{path}?picture=show")).text
    never = await house.lead.get(f"/captures/{illegal}?picture=show")
    assert "No picture was kept" in never.text
    assert "<img" not in never.text
    assert (await house.lead.get(f"/captures/{illegal}/picture")).status == 404


async def test_a_picture_is_served_to_whoever_can_open_it_and_kept_by_nobody(house: House) -> None:
    capture = await house.keep(SEVERE)
    host = {"Host": f"staff.localhost:{house.running.port}"}
    url = f"http://127.0.0.1:{house.running.port}/captures/{capture}/picture"
    headers = {**host, "Cookie": f"{COOKIE}={house.lead.cookie}"}
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as browser,
        browser.get(url, headers=headers) as answer,
    ):
        assert (answer.status, answer.content_type) == (200, "image/jpeg")
        assert answer.headers["Cache-Control"] == "no-store"
        assert await answer.read() == PICTURES["chat"]
    head = await house.running.as_role(Role.HEAD)
    refused = await head.get(f"/captures/{capture}/picture")
    assert refused.status != 200
    assert (await house.running.get(f"/captures/{capture}/picture")).status == 403, "IT"


async def test_whoever_has_no_key_reads_the_facts_and_whom_to_ask(house: House) -> None:
    capture = await house.keep(SEVERE)
    head = await house.running.as_role(Role.HEAD)
    page = await head.get(f"/captures/{capture}")
    assert page.status == 200
    words = words_of(page)
    assert "You may see that this is there, but you cannot open it." in words
    assert "Ask Lea Lead to let you in." in words
    assert "Ada Okafor" in words
    for hidden in (SEVERE.text, SEVERE.phrase, SEVERE.definition, SEVERE.title, "Show picture", "Set the status"):
        assert hidden not in page.text, hidden
    answer = await head.post(f"/captures/{capture}/status", {"status": "resolved"})
    assert answer.status == 422


async def test_a_locked_browser_opens_nothing(house: House) -> None:
    capture = await house.keep(SEVERE)
    await house.lead.post("/lock")
    for path in ("/captures", f"/captures/{capture}", f"/captures/{capture}/picture", "/alerts"):
        answer = await house.lead.get(path)
        assert answer.status == 403
        assert SEVERE.phrase not in answer.text
        assert "Ada" not in answer.text


async def test_what_is_out_of_scope_is_not_there(house: House) -> None:
    about_ada, unknown = await house.keep(SEVERE), await house.keep(SEVERE, person=None)
    tutor = await house.running.as_role(Role.PASTORAL, [Scope("person", house.ada)])
    assert (await tutor.get(f"/captures/{about_ada}")).status == 200
    for path in ("", "/picture"):
        assert (await tutor.get(f"/captures/{unknown}{path}")).status == 404
        assert (await house.lead.get(f"/captures/nothing{path}")).status == 404
    for path, form in (("status", {"status": "resolved"}), ("note", {"note": "x"})):
        assert (await tutor.post(f"/captures/{unknown}/{path}", form)).status == 404
    for role in (Role.TEACHER, Role.IT, Role.GOVERNOR, Role.DPO, None):
        somebody = await house.running.as_role(role)
        assert (await somebody.get("/captures")).status == 403
        assert (await somebody.get(f"/captures/{about_ada}")).status == 403


async def test_a_capture_leads_to_the_next(house: House) -> None:
    ids = [await house.keep(MINOR, at=TUESDAY + timedelta(minutes=n)) for n in range(3)]
    page = await house.lead.get(f"/captures/{ids[1]}")
    assert f'<a href="/captures/{ids[2]}">Newer</a>' in page.text
    assert f'<a href="/captures/{ids[0]}">Older</a>' in page.text
    assert "Newer" not in (await house.lead.get(f"/captures/{ids[2]}")).text


# Judging


async def test_a_status_is_set_on_the_page_with_a_note(house: House) -> None:
    capture = await house.keep(SEVERE)
    page = await house.lead.get(f"/captures/{capture}")
    offered = re.findall(r'name="status" id="[^"]+" value="(\w+)"', page.text)
    assert offered == [one.value for one in CHOICES if one is not Status.FALSE_POSITIVE_ALLOW]
    empty = await house.lead.post(f"/captures/{capture}/status", {"words": "I spoke with Ada"})
    assert empty.status == 422
    assert "Choose a status." in empty.text
    assert "I spoke with Ada" in empty.text, "what was typed stays"
    form = {"status": "investigation", "words": "I spoke with Ada.\nMore tomorrow."}
    assert (await house.lead.post(f"/captures/{capture}/status", form)).status == 303
    page = await house.lead.get(f"/captures/{capture}")
    words = words_of(page)
    assert "The status is “Under investigation” now." in words
    assert "Under investigation Lea Lead," in words
    assert "I spoke with Ada." in words
    assert "was taken on by Lea Lead" in words
    assert "I am dealing with this" not in words
    assert (await house.lead.post(f"/captures/{capture}/note", {"note": " "})).status == 422
    assert (await house.lead.post(f"/captures/{capture}/note", {"note": "one more"})).status == 303
    assert "one more" in (await house.lead.get(f"/captures/{capture}")).text
    again = await house.lead.post(f"/captures/{capture}/status", {"status": "investigation"})
    assert again.status == 422
    audit = words_of(await house.lead.get("/audit"))
    assert "changed the status of capture" in audit
    assert "opened capture" in audit
    assert "Ada" not in str([tuple(row) for row in await house.running.appliance.audit.rows(None, 50)
                             if "capture" in row["action"]])  # fmt: skip


async def test_the_allow_list_asks_before_it_silences_anything(house: House) -> None:
    capture = await house.keep(MINOR)
    page = await house.lead.get(f"/captures/{capture}")
    assert 'value="false_positive_allow"' in page.text
    form = {"status": "false_positive_allow", "words": "a poem"}
    ask = await house.lead.post(f"/captures/{capture}/status", form)
    assert ask.status == 200
    words = words_of(ask)
    for shown in ("“ get hammered ”", "text on a page", "Only at poems.example", "Everywhere", "Everybody"):
        assert shown in words, shown
    row = await house.running.appliance.captures.reading.capture(house.lead.actor, capture)
    assert row is not None
    assert row["status"] == "unclassified", "nothing has happened yet"
    done = await house.lead.post(f"/captures/{capture}/allow", {"words": "a poem"})
    assert done.headers["Location"] == "/captures/allowed"
    listed = words_of(await house.lead.get("/captures/allowed"))
    assert "get hammered" in listed
    assert "by Lea Lead" in listed
    before = await house.running.appliance.records.fetch("SELECT id FROM captures")
    await house.running.appliance.captures.keep(seen(MINOR))
    assert await house.running.appliance.records.fetch("SELECT id FROM captures") == before
    (entry,) = await house.running.appliance.records.fetch("SELECT id FROM capture_allowed")
    await house.lead.post("/captures/allowed", {"id": entry["id"]})
    assert "Taken off" in (await house.lead.get("/captures/allowed")).text
    await house.keep(MINOR)


async def test_the_allow_list_can_be_for_a_group_and_for_every_place(house: House) -> None:
    directory = house.running.appliance.directory
    other = await directory.groups.make(house.lead.actor, "form", "7 Red")
    form = await directory.groups.make(house.lead.actor, "form", "9 Blue")
    await directory.groups.add_people(house.lead.actor, form, [house.ada])
    capture = await house.keep(MINOR)
    ask = await house.lead.post(f"/captures/{capture}/status", {"status": "false_positive_allow", "words": "a poem"})
    assert ask.text.index("Only 9 Blue") < ask.text.index("Only 7 Red"), "first those in which the pupil is"
    gone = await house.lead.post(f"/captures/{capture}/allow", {"words": "a poem", "group": "gone", "where": "here"})
    assert gone.status == 422
    assert "not in the directory any more" in gone.text
    assert 'value="a poem"' in gone.text
    done = await house.lead.post(f"/captures/{capture}/allow", {"group": form, "where": "everywhere"})
    assert done.status == 303
    words = words_of(await house.lead.get("/captures/allowed"))
    assert re.search(r"text on a page 9 Blue Everywhere .* by Lea Lead", words), words
    await house.running.appliance.captures.keep(seen(replace(MINOR, host="else.example"), person=house.ada))
    assert len(await house.running.appliance.records.fetch("SELECT 1 FROM captures")) == 1
    await house.keep(MINOR, person=None)
    await directory.groups.delete(house.lead.actor, form)
    assert "A group that you do not see, or that is gone" in words_of(await house.lead.get("/captures/allowed"))
    del other


async def test_what_was_seen_at_no_page_is_offered_everywhere_alone(house: House) -> None:
    capture = await house.keep(replace(MINOR, surface=Surface.APPLICATION, host="", address=""))
    assert "What was opened" in (await house.lead.get(f"/captures/{capture}")).text
    ask = await house.lead.post(f"/captures/{capture}/status", {"status": "false_positive_allow"})
    assert "Only at" not in ask.text
    assert (await house.lead.post(f"/captures/{capture}/allow", {"where": "everywhere"})).status == 303


async def test_the_allow_list_is_not_offered_where_it_may_not_be(house: House) -> None:
    for capture in (await house.keep(SEVERE), await house.keep(TEST)):
        assert 'value="false_positive_allow"' not in (await house.lead.get(f"/captures/{capture}")).text
        answer = await house.lead.post(f"/captures/{capture}/status", {"status": "false_positive_allow"})
        assert answer.status == 422
        assert (await house.lead.post(f"/captures/{capture}/allow")).status == 422
    capture = await house.keep(MINOR)
    tutor = await house.running.as_role(Role.PASTORAL, [Scope("person", house.ada)])
    await house.let_in(tutor)
    assert MINOR.phrase in (await tutor.get(f"/captures/{capture}")).text
    assert 'value="false_positive_allow"' not in (await tutor.get(f"/captures/{capture}")).text
    for path in (f"/captures/{capture}/allow", "/captures/allowed"):
        assert (await tutor.post(path)).status == 403
    assert (await tutor.get("/captures/allowed")).status == 200


# Home


async def test_home_says_whether_anybody_is_at_risk_and_calms_nobody_for_no_reason(house: House) -> None:
    home = words_of(await house.lead.get("/"))
    assert "Is anybody at risk now?" in home
    assert "Nobody is monitored, so nothing is captured but tests." in home
    assert "Nothing that you may see waits" not in home
    severe = await house.keep(SEVERE)
    await house.keep(MINOR)
    home = words_of(await house.lead.get("/"))
    assert "1 alert waits for somebody." in home
    assert "2 captures were looked at by nobody yet:" in home
    await house.lead.post(f"/captures/{severe}/status", {"status": "investigation"})
    home = words_of(await house.lead.get("/"))
    assert "alert waits" not in home
    assert "1 capture was looked at by nobody yet:" in home
    assert "1 more is in somebody’s hands." in home
    for role in (Role.TEACHER, Role.IT, Role.GOVERNOR):
        assert "Is anybody at risk now?" not in (await (await house.running.as_role(role)).get("/")).text


async def test_before_the_lead_has_joined_home_says_that_nothing_can_be_captured(
    appliance_home: Home, start_appliance: Start
) -> None:
    running = await start_appliance(appliance_home)
    deputy = await running.as_role(Role.DEPUTY)
    assert "Nothing can be captured yet" in (await deputy.get("/")).text
    assert "Nobody can open captures yet" in (await deputy.get("/captures")).text


async def test_the_place_in_the_rail_is_for_those_who_see_captures(house: House) -> None:
    assert '<a href="/captures"' in (await house.lead.get("/")).text
    assert '<a href="/captures"' not in (await house.running.get("/")).text
