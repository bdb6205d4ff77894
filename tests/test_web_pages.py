"""The core's pages show the real state, survive failing plugins, and say what to do next."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator, Iterator
from html import unescape
from pathlib import Path

import pytest
import pytest_asyncio

from appliance.staff import Staff
from appliance.testing import HELP_SEEKING, Home, Running, free_port, start_in_process

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(autouse=True, scope="module")
def no_store_is_left_open() -> Iterator[None]:
    """In place of the check after each test: the appliance of this module lives as long as the module."""
    yield
    for thread in threading.enumerate():
        if "_connection_worker_thread" in thread.name:
            thread.join(10)
            assert not thread.is_alive(), "a store was left open"


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


def words(html: str) -> str:
    """What a reader sees of a page, on one line."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


# Home


async def test_home_names_the_next_steps_of_an_empty_appliance(bare: Running) -> None:
    page = words((await bare.get("/")).text)
    for step in ("Give the school's name", "Enter the term dates", "Say which groups there are", "Switch a plugin on"):
        assert step in page
    assert "No school name yet" in page
    assert "This is a trial" in page


async def test_home_says_that_nothing_is_broken_when_nothing_is(bare: Running) -> None:
    page = words((await bare.get("/")).text)
    assert "Is anything broken? No. " in page


async def test_links_of_the_next_steps_lead_somewhere(bare: Running) -> None:
    page = (await bare.get("/")).text
    links = re.findall(r'<p><a href="([^"]+)">', page)
    assert len(links) >= 4
    for link in links:
        path, _, anchor = link.partition("#")
        answer = await bare.get(unescape(path))
        assert answer.status == 200, link
        assert not anchor or f'id="{anchor}"' in answer.text, link


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


async def test_the_rail_holds_the_plugins_places_and_marks_this_one(running: Running) -> None:
    page = (await running.get("/visitors")).text
    places = re.findall(r'<li><a href="([^"]+)"( aria-current="page")?>', page.partition("</nav>")[0])
    assert [path for path, _ in places] == ["/", "/visitors", "/status", "/plugins", "/settings", "/audit"]
    assert [path for path, current in places if current] == ["/visitors"]


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
    code = await Staff(bare.appliance.records, bare.appliance.audit).new_link()
    right = await bare.post("/set-up", {"code": f"  {code}\n"}, signed_in=False)
    assert right.status == 303
    assert (await bare.get("/")).status == 403  # the earlier browser
    bare.cookie = right.headers["Set-Cookie"].split(";")[0].partition("=")[2]
    assert (await bare.get("/")).status == 200
    assert "This browser is signed in" in (await bare.get("/set-up")).text


async def test_signing_out_is_explained_before_and_leaves_nothing_behind(bare: Running) -> None:
    asked = await bare.get("/sign-out")
    assert "appliance setup-link" in asked.text
    done = await bare.post("/sign-out")
    assert done.status == 200
    assert "signed out" in done.text
    assert "storage" in done.headers["Clear-Site-Data"]
    assert re.match(r'__Host-session=""; .*Max-Age=0', done.headers["Set-Cookie"])
    assert (await bare.get("/")).status == 403
    code = await Staff(bare.appliance.records, bare.appliance.audit).new_link()
    again = await bare.post("/set-up", {"code": code}, signed_in=False)
    bare.cookie = again.headers["Set-Cookie"].split(";")[0].partition("=")[2]


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


async def test_no_page_uses_words_that_are_for_developers(running: Running, bare: Running) -> None:
    for box in (running, bare):
        for path in ("/", "/status", "/plugins", "/sign-out", "/set-up", "/nothing"):
            page = words(re.sub(r"<code>.*?</code>", "", (await box.get(path)).text))
            found = re.findall(r"\b(users?|events?|payloads?|null|vaults?|invalid input)\b", page, re.IGNORECASE)
            assert not found, (path, found)
