"""What somebody sees who meets a block: why, in a child's words, help, and nothing that is nobody's business."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from accounts import no_store_is_left_open

from appliance.clock import stamp
from appliance.exempt import ExemptPlace
from appliance.testing import Home, Running, free_port, start_in_process
from appliance_plugins.dns_filter.answerer.rules import Decision
from appliance_plugins.dns_filter.blockpage.others import Others
from appliance_plugins.dns_filter.blockpage.words import BECAUSE, IN_GENERAL, help_places, staff_words, told
from appliance_plugins.dns_filter.lists.shipped import categories

__all__ = ["no_store_is_left_open"]

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLACES = """\
places:
  - {host: childline.org.uk, name: Childline, why: somebody to talk to}
  - {host: stopitnow.org.uk, name: Stop It Now, why: worried about thoughts}
  - {host: samaritans.org, name: Samaritans, why: somebody who listens}
"""
LIBRARIES = ("asyncio", "aiosqlite")
"""They tell everything when they are asked for details; the appliance never asks."""
SETTINGS = """\
plugins:
  dns_filter:
    port: {port}
    upstreams: ["127.0.0.1:9"]
    profiles:
      - {{name: pupil, mode: block, answer: page, services: [tiktok], categories: [], only: false, bypass: true}}
"""


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str


@dataclass
class Box:
    """The appliance with its filter, and a browser that was led to it under somebody else's name."""

    running: Running

    @property
    def plugin(self) -> Any:
        return self.running.appliance.plugins._registered["dns_filter"].plugin

    async def open(self, host: str, path: str = "/", accept: str = "text/html,*/*", **headers: str) -> Answer:
        return await self._ask("GET", self.running.http_port, host, path, {"Accept": accept, **headers})

    async def post(self, host: str, path: str, fields: Mapping[str, str]) -> Answer:
        headers = {"Origin": f"http://{host}", "Accept": "text/html"}
        return await self._ask("POST", self.running.http_port, host, path, headers, fields)

    async def pupil(self, path: str, fields: Mapping[str, str] | None = None) -> Answer:
        headers = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
        method = "GET" if fields is None else "POST"
        return await self._ask(method, self.running.port, "pupil.localhost", path, headers, fields)

    async def block(self, domain: str, profile: str = "pupil") -> None:
        rows = await self.running.post(
            "/dns_filter/entries",
            {"action": "block", "domain": domain, "profile": profile, "reason": "a test", "last_day": ""},
        )
        assert rows.status == 303, rows.text

    async def _ask(
        self,
        method: str,
        port: int,
        host: str,
        path: str,
        headers: Mapping[str, str],
        fields: Mapping[str, str] | None = None,
    ) -> Answer:
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.request(
                method,
                f"http://127.0.0.1:{port}{path}",
                data=fields,
                headers={"Host": host, **headers},
                allow_redirects=False,
            ) as answer,
        ):
            return Answer(answer.status, dict(answer.headers), await answer.text(errors="replace"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def box(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Box]:
    folder = tmp_path_factory.mktemp("blockpage") / "home"
    folder.mkdir(mode=0o755)
    (folder / "help_seeking.yaml").write_text(PLACES, encoding="utf-8")
    home = Home(folder, free_port(), free_port())
    home.write(SETTINGS.format(port=home.dns_port))
    running = await start_in_process(home)
    states = {state.name: (state.state, state.reason) for state in running.appliance.plugins.states()}
    assert states["dns_filter"][0] == "on", states
    found = Box(running)
    await found.block("blocked.test")
    yield found
    await running.stop()


async def test_a_blocked_site_says_so_with_the_reason_and_help(box: Box) -> None:
    page = await box.open("www.blocked.test", "/some/page?search=my+secret")
    assert page.status == 403
    assert "This site is blocked here" in page.text
    assert "www.blocked.test" in page.text
    assert "Somebody at your school has blocked it." in page.text
    assert 'href="https://childline.org.uk/"' in page.text
    assert "Your school filters and monitors" in page.text  # FM-19
    assert "not everyone has the same sites blocked" in page.text  # profiles may be for a class, a device or a person
    assert "Ask for this page" in page.text
    assert "secret" not in page.text


async def test_the_page_loads_nothing_from_anywhere_else_and_runs_nothing(box: Box) -> None:
    page = await box.open("blocked.test")
    assert page.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in page.headers
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    for word in ("<script", "style=", 'src="http', 'rel="stylesheet" href="http'):
        assert word not in page.text
    assert (await box.open("blocked.test", "/static/app.css")).status == 200


async def test_a_service_is_named(box: Box) -> None:
    assert "Your school has switched TikTok off here." in (await box.open("www.tiktok.com")).text


async def test_what_is_no_page_for_people_gets_one_line(box: Box) -> None:
    for accept in ("image/avif,image/webp", "*/*", "application/json", ""):
        answer = await box.open("blocked.test", "/pixel.gif", accept)
        assert (answer.status, answer.text) == (403, "This site is blocked by the school.\n")


@pytest.mark.parametrize(
    ("name", "row", "words", "may_ask"),
    [
        ("alias.test", {"why": "cname", "rule": "blocked.test"}, "Somebody at your school has blocked it.", True),
        ("inside.test", {"why": "rebind"}, "It leads to a place inside your school", False),
        ("spoken.test", {"why": "plugin", "rule": "a lesson"}, "Something your school uses has switched it off", True),
    ],
)
async def test_a_name_that_leads_to_what_is_blocked_says_why(
    box: Box, name: str, row: Mapping[str, str], words: str, may_ask: bool
) -> None:
    if row["why"] == "cname":
        entries = box.plugin.profiles.store.in_force.entries
        row = {**row, "rule": next(entry.id for entry in entries if entry.domain == row["rule"])}
    noted = {
        "t": stamp(), "client": "127.0.0.1", "name": name, "type": "A", "verdict": "blocked", "list": "", "rule": "",
        "category": "", "profile": "pupil", "upstream": "", "ms": 1.0, "count": 1, **row,
    }  # fmt: skip
    await box.plugin.queries.receive([noted], 0)
    page = await box.open(name)
    assert words in page.text
    assert "This site is blocked here" in page.text
    assert ("Ask for this page" in page.text) == may_ask


async def test_nobody_is_asked_for_what_no_entry_opens() -> None:
    for why in ("canary", "rebind"):
        assert not told(Decision("blocked", why), others()).may_ask
    assert told(Decision("blocked", "locked list", "iwf"), others()).kind == "law"


async def test_a_site_that_is_open_again_says_so(box: Box) -> None:
    page = await box.open("open.test")
    assert "Nothing blocks this site for you now" in page.text


@pytest.mark.parametrize("host", ["childline.org.uk", "www.childline.org.uk"])
async def test_a_place_where_help_is_found_is_never_asked_about(box: Box, host: str) -> None:
    page = await box.open(host)
    assert "Nothing blocks this site" in page.text
    assert "Ask for this page" not in page.text
    refused = await box.post(host, "/dns_filter/ask", {"purpose": "lesson"})
    assert refused.status == 422
    rows = await box.running.appliance.records.fetch("SELECT host FROM dns_filter_requests")
    assert host not in {row["host"] for row in rows}


@pytest.mark.parametrize("name", ["<script>alert(1)</script>.test", "a'onload='x.test", '"><b>.test'])
async def test_names_that_are_no_names_show_nothing(box: Box, name: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", box.running.http_port)
    writer.write(f"GET / HTTP/1.1\r\nHost: {name}\r\nAccept: text/html\r\nConnection: close\r\n\r\n".encode())
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    assert answer.split(b" ")[1] in {b"400", b"421"}
    assert b"<script>alert" not in answer
    assert b"<b>" not in answer


async def test_the_private_page_takes_only_names(box: Box) -> None:
    assert (await box.pupil("/dns_filter/ask?host=blocked.test")).status == 200
    for host in ("", "x", "%3Cb%3E.test", "10.0.0.1", "a" * 300):
        assert (await box.pupil(f"/dns_filter/ask?host={host}")).status == 404


async def test_no_log_names_the_path_the_site_or_the_child(box: Box, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        await box.open("blocked.test", "/private/path?q=my+secret")
        await box.post("blocked.test", "/dns_filter/ask", {"purpose": "nothing"})
    told_of = "\n".join(record.getMessage() for record in caplog.records if record.name not in LIBRARIES)
    for word in ("blocked.test", "private/path", "secret", "127.0.0.1"):
        assert word not in told_of


async def test_the_staff_pages_are_not_there_under_a_foreign_name(box: Box) -> None:
    for path in ("/dns_filter/requests", "/sign-in", "/settings"):
        answer = await box.open("blocked.test", path)
        assert (answer.status, "This site is blocked here" in answer.text) == (403, True)
        assert "password" not in answer.text


# Words


def others() -> Others:
    async def allow(*_parts: object) -> str:
        raise AssertionError("nothing is opened here")

    async def nowhere(_host: str, _address: str) -> None:
        return None

    return Others(
        why=lambda _host, _address: None,
        led=nowhere,
        profile_of=lambda _address: "pupil",
        device_of=lambda _address: "",
        allow=allow,
        is_in_force=lambda _entry: True,
        list_title=lambda name: f"List {name}",
        category_title=lambda key: f"About {key}",
        service_title=lambda key: key.title(),
        profile_title=lambda name: name,
        blocked_for_some=lambda _host: "",
    )


async def test_of_a_locked_list_nothing_is_told_and_nobody_can_be_asked() -> None:
    for decision in (
        Decision("blocked", "locked list", "iwf", "bad.test", "child_abuse"),
        Decision("blocked", "list", "ours", "bad.test", "child_abuse"),
        Decision("blocked", "locked list", "police", "bad.test", "hate"),
    ):
        found = told(decision, others())
        assert (found.kind, found.because, found.may_ask) == ("law", "", False)


async def test_every_category_has_words_of_its_own_or_is_the_laws() -> None:
    missing = {key for key in categories() if key not in BECAUSE} - {"child_abuse", "terrorism", "other"}
    assert missing == set()
    assert told(Decision("blocked", "list", "x", "x.test", "unheard_of"), others()).because == IN_GENERAL


async def test_where_it_hurts_help_comes_first() -> None:
    found = told(Decision("blocked", "list", "x", "x.test", "self_harm"), others())
    assert found.help_first
    assert "you deserve help" in found.because.lower()


async def test_who_the_filter_does_not_know_is_told_so() -> None:
    assert told(None, others()).kind == "stranger"
    for verdict in ("allowed", "would block", "local", "rewritten"):
        assert told(Decision(verdict), others()).kind == "open"


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        (Decision("blocked", "list", "ut1", "x.test", "games"), "About games: list List ut1"),
        (Decision("blocked", "entry", "", "e1", ""), "An entry of the school’s own"),
        (Decision("blocked", "bypass", "bypass", "x.test", "bypass"), "A known way around the filter"),
        (Decision("allowed"), "Nothing blocked the name itself; perhaps it leads to another site that is blocked"),
    ],
)
async def test_staff_are_told_which_list_it_was(decision: Decision, words: str) -> None:
    assert staff_words(decision.why, decision.list, decision.category, others()) == words


async def test_help_that_fits_comes_first_and_some_is_always_there() -> None:
    places = [ExemptPlace(f"p{number}.test", f"P{number}", "why") for number in range(4)]
    beat = ExemptPlace("beateatingdisorders.org.uk", "Beat", "eating")
    found = help_places([*places, beat], "blocked", "eating_disorders")
    assert [place.name for place in found] == ["Beat", "P0", "P1"]
    assert help_places([], "law", "") == []
