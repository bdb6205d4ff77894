"""Who provides the school's own filter: asked in the set-up, kept with author and date, never claimed by the box."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from accounts import no_store_is_left_open

from appliance.access import Role
from appliance.testing import Home, Running, free_port, start_in_process
from appliance_plugins.dns_filter.tests.test_dns_blockpage import PLACES, SETTINGS

__all__ = ["no_store_is_left_open"]

pytestmark = pytest.mark.asyncio(loop_scope="module")

GOOD = {
    "name": "Riverside Broadband",
    "product": "CleanNet",
    "iwf": "yes",
    "ctiru": "unknown",
    "evidence": "Letter of 3 March, kept by the bursar",
    "seen_on": "2026-03-09",
    "note": "",
}
TASK = "Say who provides the school’s web filter"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    folder = tmp_path_factory.mktemp("provider") / "home"
    folder.mkdir(mode=0o755)
    (folder / "help_seeking.yaml").write_text(PLACES, encoding="utf-8")
    home = Home(folder, free_port(), free_port())
    home.write(SETTINGS.format(port=home.dns_port))
    found = await start_in_process(home)
    yield found
    await found.stop()


def steps(home: str) -> tuple[str, str]:
    """The home page: what is left to do, and what is done."""
    left, _, done = home.partition('class="steps-done"')
    return left, done


async def test_the_home_page_asks_until_it_is_answered_and_the_history_stays(running: Running) -> None:
    lead = await running.as_role(Role.LEAD)
    for somebody in (running, lead):
        assert TASK in steps((await somebody.get("/")).text)[0]
    page = (await running.get("/dns_filter/provider")).text
    assert "Nobody has said yet" in page
    assert "beside the school’s filter, not instead of it" in page

    assert (await running.post("/dns_filter/provider", GOOD)).status == 303
    left, done = steps((await lead.get("/")).text)
    assert TASK not in left
    assert TASK in done
    page = (await lead.get("/dns_filter/provider")).text
    for words in ("Riverside Broadband", "CleanNet", "Letter of 3 March", "Mon 9 Mar 2026", "by Ida Technician"):
        assert words in page
    assert "What was written down before" not in page

    newer = {**GOOD, "name": "County Council", "iwf": "no", "evidence": "", "seen_on": ""}
    assert (await lead.post("/dns_filter/provider", newer)).status == 303
    page = (await running.get("/dns_filter/provider")).text
    assert "County Council" in page.partition("What was written down before")[0]
    assert "Riverside Broadband" in page.partition("What was written down before")[2]
    rows = await running.appliance.audit.rows(None, 3)
    assert [(row["action"], row["subject"]) for row in rows[:2]] == [("wrote down who provides", "the web filter")] * 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": " "}, "Say who provides the filter"),
        ({"iwf": ""}, "Choose an answer about the IWF"),
        ({"ctiru": "maybe"}, "Choose an answer about the police list"),
        ({"evidence": ""}, "Say where the evidence is"),
        ({"seen_on": ""}, "on which day"),
        ({"seen_on": "2999-01-01"}, "has not come yet"),
        ({"seen_on": "yesterday"}, "year, month and day"),
    ],
)
async def test_what_is_missing_is_said_and_nothing_typed_is_lost(
    running: Running, change: dict[str, str], words: str
) -> None:
    before = await running.appliance.records.fetch("SELECT id FROM dns_filter_providers")
    answer = await running.post("/dns_filter/provider", {**GOOD, "note": "<i>kept</i>", **change})
    assert answer.status == 422
    assert words in answer.text
    assert "&lt;i&gt;kept&lt;/i&gt;" in answer.text
    assert await running.appliance.records.fetch("SELECT id FROM dns_filter_providers") == before


async def test_who_does_not_choose_sites_is_not_asked(running: Running) -> None:
    for role in (Role.TEACHER, Role.GOVERNOR, Role.HEAD):
        somebody = await running.as_role(role)
        assert TASK not in (await somebody.get("/")).text
        assert (await somebody.get("/dns_filter/provider")).status == 403
        assert (await somebody.post("/dns_filter/provider", GOOD)).status == 403


async def test_a_governor_finds_the_pages_that_are_for_governors(running: Running) -> None:
    governor = await running.as_role(Role.GOVERNOR)
    home = (await governor.get("/")).text
    for path in ("/dns_filter/coverage", "/dns_filter/limits"):
        assert f'href="{path}"' in home
        assert (await governor.get(path)).status == 200


async def test_the_lead_is_led_to_no_page_that_she_may_not_open(running: Running) -> None:
    lead = await running.as_role(Role.LEAD)
    for page in (
        "/dns_filter",
        "/dns_filter/checks",
        "/dns_filter/upstreams",
        "/dns_filter/network",
        "/dns_filter/told",
    ):
        links = set(re.findall(r'href="(/[^"#?]*)"', (await lead.get(page)).text))
        assert "/status" not in links
        for path in sorted(link for link in links if link.startswith("/dns_filter")):
            assert (await lead.get(path)).status != 403, (page, path)


async def test_the_second_authority_is_switched_on_its_page_with_its_power_in_words(running: Running) -> None:
    page = (await running.get("/dns_filter/https")).text
    assert "can pretend to be almost any website" in page
    assert (await running.get("/dns_filter/https/certificate.crt")).status == 409
    refused = await running.post("/dns_filter/https", {"to": "on", "reason": " "})
    assert (refused.status, running.appliance.second_authority.is_on) == (422, False)

    lead = await running.as_role(Role.LEAD)
    page = (await lead.get("/dns_filter/https")).text  # the notice leads her there
    assert "Only IT can switch it on or off" in page
    assert '<form method="post" action="/dns_filter/https"' not in page
    assert (await lead.get("/dns_filter/https/certificate.crt")).status == 403
    assert (await (await running.as_role(Role.GOVERNOR)).get("/dns_filter/https")).status == 403
    assert (await lead.post("/dns_filter/https", {"to": "on", "reason": "please"})).status == 403
    assert (await running.post("/dns_filter/https", {"to": "on", "reason": "school laptops"})).status == 303
    certificate = await running.get("/dns_filter/https/certificate.crt")
    assert certificate.text == running.appliance.second_authority.certificate_pem.decode()
    assert "second authority on" in (await lead.get("/notices")).text

    authority = running.appliance.second_authority
    assert authority.context_for("www.tiktok.com", "127.0.0.1") is not None  # the pupils' profile blocks it
    for host in ("open.test", "childline.org.uk"):
        assert authority.context_for(host, "127.0.0.1") is None
    assert (await running.post("/dns_filter/https", {"to": "off", "reason": "done"})).status == 303
    assert not authority.is_on
