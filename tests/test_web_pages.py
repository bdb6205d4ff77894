"""The core's pages show the real state, survive failing plugins, and say what to do next."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from html import escape, unescape
from pathlib import Path
from urllib.parse import urlencode

import pytest
import pytest_asyncio
from accounts import no_store_is_left_open

from appliance.access import PERMISSIONS, Role
from appliance.accounts.second_factor import code_at, step_of
from appliance.accounts.sessions import Session
from appliance.accounts.signing_in import Visitor
from appliance.clock import now
from appliance.errors import Refused
from appliance.hookspecs import Permission
from appliance.testing import HELP_SEEKING, Answer, Home, Running, free_port, start_in_process
from appliance.web.assets import Assets
from appliance.web.views import core_pages

__all__ = ["no_store_is_left_open"]

pytestmark = pytest.mark.asyncio(loop_scope="module")


GOOD = '''
from appliance.api import *
from aiohttp import web

class Arrived(Event):
    """Somebody came."""
    name: str

class Plugin:
    """Notes who comes and goes."""

    title = "Visitors"

    class Settings(Section):
        """Visitors."""
        badge: bool = setting(True, "Whether visitors wear a `badge`.")
        colour: str = setting("green", "Colour of the badge.")

    def __init__(self, appliance, settings):
        self.appliance = appliance
        self.failing = True

    @hook
    def register_pages(self):
        return [
            Page("staff", "GET", "/visitors", self.index, Permission.OPERATE),
            Page("staff", "GET", "/visitors/fails", self.fails, Permission.OPERATE),
            Page("staff", "GET", "/visitors/not_ready", self.not_ready, Permission.OPERATE),
            Page("staff", "GET", "/visitors/refuses", self.refuses, Permission.OPERATE),
            Page("staff", "GET", "/visitors/bad_template", self.bad_template, Permission.OPERATE),
            Page("staff", "GET", "/visitors/elsewhere", self.elsewhere, Permission.OPERATE),
            Page("staff", "POST", "/visitors/arrive", self.arrive, Permission.OPERATE),
            Page("pupil", "GET", "/visitors/fails", self.fails, Permission.PUBLIC),
            Page("endpoint", "GET", "/visitors/fails", self.fails, Permission.PUBLIC),
        ]

    @hook
    def register_panels(self):
        return [
            Menu("Visitors", "/visitors", Permission.OPERATE),
            HomeCard("Visitors today", "visitors/card.html", self.card, Permission.OPERATE),
            HomeCard("A broken card", "visitors/card.html", self.fails_quietly, Permission.OPERATE),
            HomeCard("A card without a template", "visitors/nothing.html", self.card, Permission.OPERATE),
        ]

    @hook
    def register_events(self):
        return [Arrived]

    @hook
    def register_listeners(self):
        return {Arrived: self.on_arrived}

    async def on_arrived(self, event):
        if self.failing:
            raise LookupError(f"no badge for {event.name}")

    async def card(self):
        return {"count": 3, "name": "<b>Ada</b>"}

    async def fails_quietly(self):
        raise LookupError("the guest book")

    async def index(self, request):
        return render(request, "visitors/index.html", names=["<script>alert(1)</script>"], kind="mine", mark="a mark")

    async def fails(self, request):
        raise LookupError("the door bell")

    async def not_ready(self, request):
        raise NotReady("The door is not hung yet.")

    async def refuses(self, request):
        raise Refused("Nobody may come in.", "Come back tomorrow.")

    async def bad_template(self, request):
        return render(request, "visitors/index.html", names=[])

    async def elsewhere(self, request):
        raise web.HTTPSeeOther("/visitors")

    async def arrive(self, request):
        form = await read_form(request)
        async with self.appliance.records.transaction() as tx:
            await self.appliance.bus.publish(tx, Arrived(name=form["name"]))
        flash(request, f"{form['name']} is in.")
        return redirect("/visitors")
'''
OFF = '''
from appliance.api import *

class Plugin:
    """Never starts."""

    title = "Broken thing"

    class Settings(Section):
        """Nothing to set."""

    def __init__(self, appliance, settings):
        pass

    @hook
    async def startup(self):
        raise LookupError("the key <under> the mat")

    @hook
    def register_pages(self):
        return [Page("staff", "GET", "/broken_thing", self.index, Permission.OPERATE)]

    async def index(self, request):
        return None
'''
INDEX = """{% extends "layout.html" %}
{% block title %}Visitors{% endblock %}
{% block main %}<h1>Visitors</h1>{{ kind }} {{ mark }}{% for name in names %}<p>{{ name }}</p>{% endfor %}{% endblock %}
"""
SETTINGS = """
school: {name: "St Ada's & Sons"}
events: {retry_pauses: []}
plugins: {visitors: {colour: "re<d>"}, broken_thing: {}}
"""


def make_home(folder: Path) -> Home:
    folder.mkdir(mode=0o755)
    (folder / "help_seeking.yaml").write_text(HELP_SEEKING, encoding="utf-8")
    return Home(folder, free_port(), free_port())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    home = make_home(tmp_path_factory.mktemp("pages") / "home")
    source = tmp_path_factory.mktemp("source") / "visitors"
    (source / "templates").mkdir(parents=True)
    (source / "static").mkdir()
    (source / "__init__.py").write_text(GOOD, encoding="utf-8")
    (source / "templates" / "index.html").write_text(INDEX, encoding="utf-8")
    (source / "templates" / "card.html").write_text("<p>{{ count }} came, {{ name }}</p>", encoding="utf-8")
    (source / "templates" / "layout.html").write_text("mine", encoding="utf-8")
    (source / "static" / "visitors.css").write_text("b {}", encoding="utf-8")
    home.add_plugin(source)
    home.add_plugin(OFF, "broken_thing")
    home.write(SETTINGS)
    found = await start_in_process(home)
    yield found
    await found.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bare(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """An appliance whose settings file says nothing."""
    home = make_home(tmp_path_factory.mktemp("bare") / "home")
    home.write("")
    found = await start_in_process(home)
    yield found
    await found.stop()


def done_steps(html: str) -> str:
    """The steps of the home page that are done."""
    return words(html.partition("<h3>Done</h3>")[2].partition("</section>")[0])


def words(html: str) -> str:
    """What a reader sees of a page, on one line."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


# Home


async def test_home_names_the_next_steps_of_an_empty_appliance(bare: Running) -> None:
    page = words((await bare.get("/")).text)
    for step in (
        "Give the school’s name",
        "Enter the term dates",
        "Say which networks there are",
        "Switch a plugin on",
    ):
        assert step in page
    for step in ("Invite the safeguarding lead", "Save the identity file", "Bring in people, groups and devices"):
        assert step in page
    assert "no safeguarding lead has joined yet. Until then nothing is captured." in page
    assert "No school name yet" in page
    assert "This is a trial" in page


async def test_home_says_that_nothing_is_broken_when_nothing_is(bare: Running) -> None:
    await bare.as_role(Role.LEAD)  # without one nobody can open captures, and home says so
    await bare.appliance.health.refresh()
    page = words((await bare.get("/")).text)
    assert "Is anything broken? No, but 1 thing is worth a look. Worth a look Identity file" in page
    assert "Save the identity file" not in done_steps((await bare.get("/")).text)
    identity = bare.appliance.identity
    await identity.begin("a test", "a browser")
    await identity.note("a test", "a browser")
    await identity.make("a test", "a browser")
    await identity.keep("a test", "a browser", identity.codes.get("a browser").file_id, "Ida", "the head")
    await bare.appliance.health.refresh()
    page = (await bare.get("/")).text
    assert "Is anything broken? No. " in words(page)
    assert "Save the identity file" in done_steps(page)


ROLES = (None, *Role)


@pytest.mark.parametrize("role", ROLES)
async def test_links_of_the_next_steps_lead_somewhere(bare: Running, role: Role | None) -> None:
    client = await bare.as_role(role)
    page = (await client.get("/")).text.partition("<main")[2]
    links = re.findall(r'<a href="([^"]+)">', page)
    assert len(links) >= (role is not None)
    for link in links:
        path, _, anchor = link.partition("#")
        answer = await client.get(unescape(path))
        assert answer.status == 200, link
        assert not anchor or f'id="{anchor}"' in answer.text, link


async def test_steps_are_ticked_by_what_is_so(bare: Running) -> None:
    before = done_steps((await bare.get("/")).text)
    assert "Give the school’s name" not in before
    lead = await bare.as_role("lead")
    after = done_steps((await bare.get("/")).text)
    assert "Invite the safeguarding lead" in after
    assert "The lead joins" in after
    assert "Let a second person open" not in done_steps((await lead.get("/")).text)
    assert "no safeguarding lead has joined yet" not in (await bare.get("/")).text


async def test_home_says_who_does_what_to_everybody(bare: Running) -> None:
    await bare.as_role("governor", name="Gus <Governor>")
    for role in ROLES:
        page = words((await (await bare.as_role(role)).get("/")).text)
        assert "Gus <Governor>" in page.partition("Who does what?")[2], role


async def test_faults_are_told_to_those_who_can_see_to_them(running: Running) -> None:
    told = {}
    for role in ROLES:
        page = (await (await running.as_role(role)).get("/")).text
        told[role] = "the key &lt;under&gt; the mat" in page
        assert ('href="/status"' in page) == (role is Role.IT), role
    assert {role for role, knows in told.items() if knows} == {Role.LEAD, Role.DEPUTY, Role.HEAD, Role.IT}


async def test_home_shows_what_is_broken_and_what_to_do(running: Running) -> None:
    page = words((await running.get("/")).text)
    assert "Yes: 1 part of the appliance does not work." in page
    assert "the key <under> the mat" in page
    assert "appliance plugin reset broken_thing" in page


async def test_a_card_that_fails_says_so_and_the_others_are_there(running: Running) -> None:
    page = (await running.get("/")).text
    assert "3 came, &lt;b&gt;Ada&lt;/b&gt;" in page
    assert words(page).count("This card could not be made.") == 2
    assert "the guest book" in page


def places(html: str) -> list[tuple[str, bool]]:
    """The places of the rail, and whether each is where one is."""
    found = re.findall(r'<li><a href="([^"]+)"( aria-current="page")?>', html.partition("</nav>")[0])
    return [(path, bool(current)) for path, current in found]


async def test_the_rail_holds_the_plugins_places_and_marks_this_one(running: Running) -> None:
    found = places((await running.get("/visitors")).text)
    assert [path for path, _ in found] == PLACES[Role.IT]
    assert [path for path, current in found if current] == ["/visitors"]


PLACES: dict[Role | None, list[str]] = {
    Role.LEAD: ["/", "/captures", "/people", "/devices", "/monitoring", "/staff", "/audit"],
    Role.DEPUTY: ["/", "/captures", "/people", "/devices", "/monitoring", "/staff", "/audit"],
    Role.HEAD: ["/", "/captures", "/people", "/devices", "/monitoring", "/staff", "/audit"],
    Role.PASTORAL: ["/", "/captures", "/people", "/devices"],
    Role.TEACHER: ["/", "/people", "/devices"],
    Role.DPO: ["/", "/monitoring", "/audit"],
    Role.GOVERNOR: ["/", "/audit"],
    Role.IT: ["/", "/people", "/devices", "/visitors", "/staff", "/status", "/plugins", "/settings", "/audit"],
    None: ["/"],
}


@pytest.mark.parametrize("role", ROLES)
async def test_each_role_gets_its_places_and_they_open(running: Running, role: Role | None) -> None:
    client = await running.as_role(role)
    page = await client.get("/")
    assert [path for path, _ in places(page.text)] == PLACES[role]
    for path in PLACES[role]:
        assert (await client.get(path)).status == 200, path
    elsewhere = {path for paths in PLACES.values() for path in paths} - set(PLACES[role])
    for path in elsewhere:
        refused = await client.get(path)
        assert (refused.status, "This page is not open to you" in refused.text) == (403, True), path
        assert [path for path, _ in places(refused.text)] == PLACES[role]


async def test_the_top_line_names_the_school(running: Running) -> None:
    page = (await running.get("/")).text
    assert "St Ada&#39;s &amp; Sons" in page
    assert "term dates are not set" in page


# Plugins' pages


async def test_what_a_plugin_shows_is_escaped_and_its_names_are_its_own(running: Running) -> None:
    page = (await running.get("/visitors")).text
    assert "&lt;script&gt;alert(1)" in page
    assert "mine a mark" in page
    assert "<title>Visitors \u2013 St Ada" in page


async def test_a_plugin_cannot_replace_a_template_of_the_core(running: Running) -> None:
    assert "Safeguarding" in (await running.get("/visitors")).text


async def test_a_page_that_fails_says_that_everything_else_goes_on(running: Running) -> None:
    staff = await running.get("/visitors/fails")
    assert staff.status == 500
    assert "This part has stopped working Everything else goes on." in words(staff.text)
    assert "the door bell" in staff.text
    assert "Traceback" not in staff.text
    pupil = await running.get("/visitors/fails", "pupil")
    assert pupil.status == 500
    assert "It is not your fault" in pupil.text
    assert "0800 1111" in pupil.text
    assert "door bell" not in pupil.text
    endpoint = await running.get("/visitors/fails", "endpoint")
    assert json.loads(endpoint.text)["status"] == 500
    assert "door bell" not in endpoint.text
    assert (await running.get("/visitors")).status == 200


async def test_a_template_that_misses_a_variable_fails_contained(running: Running) -> None:
    assert (await running.get("/visitors/bad_template")).status == 500
    assert (await running.get("/visitors")).status == 200


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/visitors/refuses", 409, "Nobody may come in. Come back tomorrow."),
        ("/visitors/not_ready", 503, "The door is not hung yet."),
        ("/broken_thing", 503, "This part is switched off"),
        ("/broken_thing/nothing", 503, "This part is switched off"),
        ("/visitors/nothing", 404, "Page not found"),
    ],
)
async def test_each_trouble_has_its_page(running: Running, path: str, status: int, said: str) -> None:
    answer = await running.get(path)
    assert answer.status == status
    assert said in words(answer.text)


async def test_a_redirect_that_a_plugin_raises_is_an_answer(running: Running) -> None:
    answer = await running.get("/visitors/elsewhere")
    assert (answer.status, answer.headers["Location"]) == (303, "/visitors")


async def test_words_for_the_next_page_are_shown_once_and_escaped(running: Running) -> None:
    answer = await running.post("/visitors/arrive", {"name": "<i>Bo</i>"})
    assert answer.status == 303
    first, second = await running.get("/visitors"), await running.get("/visitors")
    assert "&lt;i&gt;Bo&lt;/i&gt; is in." in first.text
    assert "is in." not in second.text


# Status, plugins, audit


async def test_news_that_nobody_took_is_shown_and_can_be_tried_or_dropped(running: Running) -> None:
    await running.post("/visitors/arrive", {"name": "Cy"})
    await running.post("/visitors/arrive", {"name": "Di"})
    async with asyncio.timeout(20):
        while len(await running.appliance.bus.parked()) < 2:
            await asyncio.sleep(0.02)
    page = (await running.get("/status")).text
    assert "no badge for Cy" in page
    assert "could not be delivered" in page
    ids = re.findall(r'name="id" value="([^"]+)"', page)
    dropped = await running.post("/status/undelivered", {"owner": "visitors", "id": ids[0], "do": "drop"})
    assert dropped.status == 303
    assert "given up for good" in (await running.get("/status")).text
    again = await running.post("/status/undelivered", {"owner": "visitors", "id": ids[0], "do": "drop"})
    assert again.status == 303
    assert "dealt with already" in (await running.get("/status")).text
    await running.post("/status/undelivered", {"owner": "visitors", "id": ids[1], "do": "retry"})
    assert "being tried again" in (await running.get("/status")).text
    assert (await running.post("/status/undelivered", {"do": "something else"})).status == 400


async def test_the_status_page_shows_the_worst_first_and_certificates(running: Running) -> None:
    page = words((await running.get("/status")).text)
    assert page.index("Broken") < page.index("Good")
    assert "Plugins that are switched off" in page
    assert re.search(r"([0-9A-F]{2}:){7}[0-9A-F]{2}", page)
    authority = await running.get("/authority.pem")
    assert authority.text.startswith("-----BEGIN CERTIFICATE-----")
    assert "PRIVATE" not in authority.text
    assert "attachment" in authority.headers["Content-Disposition"]


async def test_the_plugins_page_shows_every_plugin(running: Running) -> None:
    page = words((await running.get("/plugins")).text)
    assert page.index("Broken thing Off") < page.index("Visitors On")
    assert "Notes who comes and goes." in page
    assert "register_pages" in page
    assert "It keeps no data." in page


async def test_the_plugins_page_of_an_empty_appliance_says_what_to_do(bare: Running) -> None:
    assert "names no plugin yet" in (await bare.get("/plugins")).text


async def test_the_record_is_shown_newest_first_page_by_page(bare: Running) -> None:
    async with bare.appliance.records.transaction() as tx:
        for number in range(120):
            await bare.appliance.audit.record(tx, "Jo", "did <thing>", f"no. {number}", {"why": "a & b", "until": None})
    seen: list[int] = []
    path = "/audit"
    while path:
        page = (await bare.get(path)).text
        assert "&lt;thing&gt;" in page or seen
        seen += [int(number) for number in re.findall(r'class="number">(\d+)<', page)]
        older = re.search(r'href="(/audit\?before=\d+)"', page)
        path = older[1] if older else ""
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] == 1
    assert len(seen) == len(set(seen)) == seen[0]
    assert "a &amp; b" in (await bare.get("/audit")).text


@pytest.mark.parametrize("before", ["x", "-1", "1.5", "9" * 30, "٣", ""])
async def test_a_place_in_the_record_that_is_none_shows_the_newest(bare: Running, before: str) -> None:
    assert (await bare.get(f"/audit?before={before}")).status == 200


async def test_the_record_can_be_checked(bare: Running) -> None:
    assert "follow from one another" in (await bare.get("/audit?check=yes")).text
    assert "follow from one another" not in (await bare.get("/audit")).text


# Settings


async def test_every_setting_is_shown_with_its_origin(running: Running) -> None:
    page = (await running.get("/settings")).text
    for row in running.appliance.config.rows():
        assert f'id="{row.path}"' in page
    assert "re&lt;d&gt;" in page
    assert "wear a <code>badge</code>" in page
    assert re.search(r"appliance\.yaml, line \d+", page)
    assert 'href="/settings/edit?path=plugins.visitors.badge"' in page
    assert 'href="/settings/edit?path=plugins.visitors.colour"' not in page  # the file has it
    assert 'href="/settings/edit?path=storage.state_dir"' not in page


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("plugins.visitors.badge", 'type="radio" name="value" id="value" value="true" checked'),
        ("web.port", "This setting stands in the file"),
        ("school.timezone", 'value="Europe/London"'),
        ("web.connections", 'inputmode="decimal"'),
        ("events.keep_days", "in days"),
        ("limits.hook_seconds", 'value="10.0"'),
        ("storage.state_dir", "This setting stands in the file"),
    ],
)
async def test_each_kind_of_setting_has_its_form(running: Running, path: str, field: str) -> None:
    answer = await running.get(f"/settings/edit?path={path}")
    assert answer.status == 200
    assert field in answer.text


@pytest.mark.parametrize("path", ["", "nothing", "plugins", "web"])
async def test_what_is_no_setting_has_no_form(running: Running, path: str) -> None:
    assert (await running.get(f"/settings/edit?path={path}")).status == 404


async def test_every_mistake_in_the_form_is_told_at_once_and_nothing_typed_is_lost(running: Running) -> None:
    typed = {"path": "web.connections", "value": "<lots>", "reason": " ", "last_day": "2020-01-01"}
    answer = await running.post("/settings/edit", typed)
    assert answer.status == 422
    page = answer.text
    assert "Error: Change web.connections" in page
    for field in ("value", "reason", "last_day"):
        assert f'<a href="#{field}">' in page
        assert f'id="{field}-error"' in page
        assert f'{field}-error" aria-invalid="true"' in page
    assert 'value="&lt;lots&gt;"' in page
    assert 'value="2020-01-01"' in page
    assert "a whole number from" in page
    assert "autofocus" in page


@pytest.mark.parametrize("last_day", ["nonsense", "2026-13-01", "9999-12-31", "0001-01-01"])
async def test_a_last_day_that_is_none_is_told_in_words(running: Running, last_day: str) -> None:
    typed = {"path": "web.connections", "value": "99", "reason": "why not", "last_day": last_day}
    answer = await running.post("/settings/edit", typed)
    assert answer.status == 422
    assert 'id="last_day-error"' in answer.text


async def test_a_change_of_what_the_file_says_is_refused_in_words(running: Running) -> None:
    answer = await running.post("/settings/edit", {"path": "plugins.visitors.colour", "value": "x", "reason": "y"})
    assert answer.status == 422


async def test_the_page_between_goes_on_to_pages_of_ours_only(running: Running) -> None:
    answer = await running.get("/applying?next=/plugins")
    assert answer.headers["Refresh"].endswith("url=/plugins?said=applied")
    stranger = await running.get("/applying?next=https://evil.example/")
    assert stranger.headers["Refresh"].endswith("url=/settings?said=applied")
    assert "evil" not in stranger.text


# Coming and going


async def test_the_code_of_a_link_is_taken_from_a_field_as_well(bare: Running) -> None:
    assert (await bare.get("/set-up", signed_in=False)).status == 200
    wrong = await bare.post("/set-up", {"code": "wrong"}, signed_in=False)
    assert wrong.status == 403
    assert "It may have been used already" in wrong.text
    assert "appliance setup-link" in wrong.text
    assert "Set-Cookie" not in wrong.headers
    staff = bare.appliance.staff
    replaced, code = await staff.new_setup_link(again=True), await staff.new_setup_link(again=True)
    assert (await bare.post("/set-up", {"code": replaced}, signed_in=False)).status == 403
    right = await bare.post("/set-up", {"code": f"  {code.lower().replace('-', ' ')}\n"}, signed_in=False)
    assert (right.status, right.headers["Location"]) == (303, "/set-up/account")
    assert (await bare.post("/set-up", {"code": code}, signed_in=False)).status == 403  # once, in one browser
    assert (await bare.get("/")).status == 200  # nobody who works here was disturbed


async def test_a_box_that_is_set_up_takes_no_new_owner(bare: Running) -> None:
    assert "This box is set up" in (await bare.get("/set-up", signed_in=False)).text
    with pytest.raises(Refused, match="This box is set up"):
        await bare.appliance.staff.new_setup_link()


async def test_signing_out_is_explained_before_and_leaves_nothing_behind(bare: Running) -> None:
    client = await bare.as_role("it")
    asked = await client.get("/sign-out")
    assert "your password and a code from your authenticator app" in asked.text
    assert (await client.get("/")).status == 200
    done = await client.post("/sign-out")
    assert done.status == 200
    assert "signed out" in done.text
    assert 'href="/settings"' not in done.text
    assert done.headers["Clear-Site-Data"] == '"cache", "storage"'
    assert re.match(r'__Host-session=""; .*Max-Age=0', done.headers["Set-Cookie"])
    assert (await client.get("/")).status == 403
    assert (await bare.get("/")).status == 200


PASSWORD = "crumpet tractor violet lagoon"  # of tests
STRANGER = Visitor("127.0.0.1")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sheet(bare: Running) -> list[str]:
    """Pat has an account with a password; these are the recovery codes."""
    joining, sessions = bare.appliance.joining, bare.appliance.staff.sessions

    def session(session_id: str | None) -> Session:
        found = sessions.find(session_id or "")
        assert found is not None
        return found

    opened = session(await joining.redeem(await bare.appliance.staff.new_setup_link(again=True), STRANGER))
    begun = session(await joining.make_first_account(opened, "Pat", "pat", PASSWORD))
    secret, packed = joining.offer_factor(begun)
    assert await joining.set_factor(begun, packed, code_at(secret, step_of(now())))
    printed = await joining.print(begun)
    assert await joining.finish(begun, printed.check, printed.secrets.recovery_key[:4], STRANGER)
    return list(printed.secrets.codes)


async def sign_in(running: Running, code: str, wanted: str = "", password: str = PASSWORD) -> Answer:
    form = {"name": " PAT ", "password": password, "code": code, "wanted": wanted}
    return await running.post("/sign-in", form, signed_in=False)


def session_of(answer: Answer) -> str:
    found = re.search(r"__Host-session=([^;]+);", answer.headers["Set-Cookie"])
    assert found is not None
    return found[1]


WANTED = [
    ("/status?a=1&b=%26", "/status?a=1&b=%26"),
    ("", "/"),
    ("https://evil.example/", "/"),
    ("/\t/evil.example/", "/"),
]


@pytest.mark.parametrize(("wanted", "goes_on_to"), WANTED)
async def test_who_signs_in_comes_to_the_page_that_was_wanted(
    bare: Running, sheet: list[str], wanted: str, goes_on_to: str
) -> None:
    code = sheet.pop()
    answer = await sign_in(bare, code, wanted)
    assert (answer.status, answer.headers["Location"]) == (303, goes_on_to)
    client = replace(bare, cookie=session_of(answer))
    assert "Pat" in (await client.get("/status")).text
    again = await sign_in(bare, code, wanted)  # a code works once
    assert (again.status, "Set-Cookie" in again.headers) == (403, False)


async def test_browsers_are_signed_out_one_by_one_and_signing_in_again_ends_what_was_there(
    bare: Running, sheet: list[str]
) -> None:
    first, second = [replace(bare, cookie=session_of(await sign_in(bare, sheet.pop()))) for _ in range(2)]
    assert (await second.post("/sign-out")).status == 200
    assert [(await client.get("/status")).status for client in (first, second)] == [200, 403]
    form = {"name": "pat", "password": PASSWORD, "code": sheet.pop()}
    again = replace(bare, cookie=session_of(await first.post("/sign-in", form)))
    assert [(await client.get("/status")).status for client in (first, again)] == [403, 200]


async def test_whatever_was_wrong_the_form_says_the_same_and_keeps_what_was_typed(
    bare: Running, sheet: list[str]
) -> None:
    answers = [
        await sign_in(bare, "000000", "/status?a=1&b=2"),
        await sign_in(bare, sheet[-1], "/status?a=1&b=2", "something else"),
        await bare.post("/sign-in", {"name": " PAT ", "wanted": "/status?a=1&b=2"}, signed_in=False),
        await bare.post("/sign-in", {"name": "nobody", "wanted": "/status?a=1&b=2"}, signed_in=False),
    ]
    for answer in answers:
        assert answer.status == 403
        assert "Name, password and code do not fit together." in answer.text
        assert 'name="wanted" value="/status?a=1&amp;b=2"' in answer.text
        assert "Set-Cookie" not in answer.headers
    assert 'name="name" value=" PAT "' in answers[0].text
    pages = {re.sub(r'data-box-clock="\d+"|value=" PAT "|value="nobody"', "", answer.text) for answer in answers}
    assert len(pages) == 1


@pytest.mark.parametrize(("wanted", "goes_on_to"), WANTED)
async def test_who_opens_a_locked_browser_comes_to_the_page_that_was_wanted(
    bare: Running, pat: Running, wanted: str, goes_on_to: str
) -> None:
    assert (await pat.post("/lock")).headers["Location"] == "/unlock"
    asked = await pat.get(f"/unlock?{urlencode({'wanted': wanted})}")
    kept = goes_on_to if wanted == goes_on_to else ""
    assert f'name="wanted" value="{escape(kept)}"' in asked.text
    wrong = await pat.post("/unlock", {"password": "not it", "wanted": wanted})
    assert (wrong.status, "This is not your password." in wrong.text) == (403, True)
    assert f'name="wanted" value="{escape(kept)}"' in wrong.text
    right = await pat.post("/unlock", {"password": PASSWORD, "wanted": wanted})
    assert (right.status, right.headers["Location"]) == (303, goes_on_to)
    assert (await pat.get("/status")).status == 403  # the browser has another session from now on
    pat.cookie = session_of(right)
    assert (await pat.get("/status")).status == 200
    assert (await pat.get(f"/unlock?{urlencode({'wanted': wanted})}")).headers["Location"] == goes_on_to


async def test_how_long_a_browser_stays_open_is_a_setting(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    home.write("staff: {idle_minutes: 2, session_hours: 3}\n")
    running = await start_in_process(home)
    try:
        sessions = running.appliance.staff.sessions
        session = sessions.find(running.cookie)
        assert session is not None
        assert session.expires_at - session.started_at == timedelta(hours=3)
        assert 'data-idle="120"' in (await running.get("/")).text
        clock = sessions._ring.clock
        sessions._ring.clock = lambda: clock() + 121
        assert "Nobody used this browser for 2 minutes" in (await running.get("/")).text
    finally:
        await running.stop()


async def test_a_script_that_unlocks_gets_words_and_no_page(pat: Running) -> None:
    await pat.post("/lock")
    wrong = await pat.post("/unlock", {"password": "not it", "from": "script"})
    assert (wrong.status, json.loads(wrong.text)["error"].split(".")[0]) == (403, "This is not your password")
    right = await pat.post("/unlock", {"password": PASSWORD, "from": "script"})
    assert (right.status, right.text) == (204, "")
    pat.cookie = session_of(right)
    assert (await pat.get("/")).status == 200


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pat(bare: Running, sheet: list[str]) -> Running:
    """Pat's browser."""
    return replace(bare, cookie=session_of(await sign_in(bare, sheet.pop())))


# The other sites


async def test_the_pupil_page_is_calm_and_has_no_script(running: Running) -> None:
    page = (await running.get("/", "pupil", signed_in=False)).text
    assert "<script" not in page
    assert "0800 1111" in page
    assert "116 123" in page
    assert "St Ada&#39;s" in page
    missing = await running.get("/nothing", "pupil", signed_in=False)
    assert missing.status == 404
    assert "0800 1111" in missing.text


async def test_the_endpoint_site_says_what_it_is(running: Running) -> None:
    answer = await running.get("/", "endpoint", signed_in=False)
    assert json.loads(answer.text) == {"service": "safeguarding appliance"}
    missing = await running.get("/nothing", "endpoint")
    assert json.loads(missing.text)["status"] == 404


@pytest.mark.parametrize("site", ["staff", "pupil"])
async def test_small_files_are_there_without_a_session(running: Running, site: str) -> None:
    assert "Disallow: /" in (await running.get("/robots.txt", site, signed_in=False)).text
    assert "<svg" in (await running.get("/favicon.svg", site, signed_in=False)).text
    assert (await running.get("/static/visitors/visitors.css", site, signed_in=False)).text == "b {}"


@pytest.mark.parametrize("name", ["nothing.css", "../views.py", "..%2fviews.py", "app.css/"])
async def test_no_other_file_is_served(running: Running, name: str) -> None:
    assert (await running.get(f"/static/{name}", signed_in=False)).status in (403, 404)


DEVELOPERS_WORDS = re.compile(r"\b(users?|events?|payloads?|null|vaults?|shadow|invalid input)\b", re.IGNORECASE)


@pytest.mark.parametrize("role", ROLES)
async def test_no_page_uses_words_that_are_for_developers(running: Running, bare: Running, role: Role | None) -> None:
    allowed = {Permission.PUBLIC, Permission.SIGNED_IN, *PERMISSIONS[role]} - {Permission.JOIN}
    paths = [
        page.path
        for page in core_pages(Assets({}))
        if page.site == "staff" and page.method == "GET" and page.permission in allowed
        if not {"{", "."} & set(page.path) and page.path not in ("/live", "/settings")  # names from the settings file
    ]
    for box in (running, bare):
        client = await box.as_role(role)
        for path in (*paths, "/nothing"):
            answer = await client.get(path)
            assert answer.status in (200, 303, 404, 409), path
            found = DEVELOPERS_WORDS.findall(words(re.sub(r"<code>.*?</code>", "", answer.text)))
            assert not found, (path, found)
