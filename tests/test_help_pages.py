"""The pages of the help, as people with and without an account find them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html import unescape

import pytest
import pytest_asyncio

from appliance.access import Role
from appliance.testing import HELP_SEEKING, Answer, Home, Running, free_port, start_in_process

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLUGIN = '''
from appliance.api import *

__all__ = ["no_store_is_left_open"]

class Plugin:
    """Notes who comes and goes."""

    class Settings(Section):
        """Nothing to set."""

    def __init__(self, appliance, settings):
        pass

    @hook
    def register_pages(self):
        return [Page("staff", "GET", f"/{self.__module__.rpartition('.')[2]}", self.index, Permission.USE)]

    async def index(self, request):
        return render(request, "applying.html", goes_on_to="/")
'''
HELP = """
title: Visitors & guests
summary: Who is in the building.
purpose: ["The office keeps the book for every [[guest]]."]
questions:
  - ask: Who reads it?
    answer: [The office.]
    see: home
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    folder = tmp_path_factory.mktemp("help") / "home"
    folder.mkdir(mode=0o755)
    (folder / "help_seeking.yaml").write_text(HELP_SEEKING, encoding="utf-8")
    home = Home(folder, free_port(), free_port())
    for name, text in (("visitors", HELP), ("unhelpful", "title: [1]\n")):
        (home.add_plugin(PLUGIN, name) / "help.yaml").write_text(text, encoding="utf-8")
    home.write("plugins: {visitors: {}, unhelpful: {}}\n")
    found = await start_in_process(home)
    yield found
    await found.stop()


def help_link(answer: Answer) -> str:
    """Where Help in the top line leads."""
    found = re.search(r'class="help-link"><a href="([^"]+)"', answer.text)
    assert found is not None, "there is no link to the help"
    return unescape(found[1])


@pytest.mark.parametrize("topic", ["signing-in", "joining", "setting-up"])
async def test_help_for_getting_in_needs_no_account(running: Running, topic: str) -> None:
    answer = await running.get(f"/help/open/{topic}", signed_in=False)
    assert answer.status == 200
    inside = re.findall(r'href="(/[^"#]*)', answer.text.split("<main", 1)[1])
    assert inside
    for path in set(inside) - {"/"}:
        assert (await running.get(path, signed_in=False)).status == 200, path


@pytest.mark.parametrize("path", ["/help", "/glossary", "/help/people", "/help/signing-in", "/help/plugin-visitors"])
async def test_all_other_help_is_for_people_with_an_account(running: Running, path: str) -> None:
    closed = await running.get(path, signed_in=False)
    assert closed.status == 403
    assert help_link(closed) == "/help/open/signing-in"
    assert (await running.get(path)).status == 200


@pytest.mark.parametrize("path", ["/help/open/people", "/help/open/nothing", "/help/nothing", "/help/open"])
async def test_help_that_is_not_there_is_not_found(running: Running, path: str) -> None:
    assert (await running.get(path)).status == 404


@pytest.mark.parametrize("role", [*Role, None], ids=str)
async def test_every_role_reads_all_help(running: Running, role: Role | None) -> None:
    somebody = await running.as_role(role)
    index = await somebody.get("/help")
    assert index.status == 200
    for path in ("/glossary", "/help/what-if", "/help/lead-what-if", "/help/audit"):
        assert (await somebody.get(path)).status == 200
    assert help_link(await somebody.get("/account")) == "/help/own-account"


@pytest.mark.parametrize(
    ("page", "topic"),
    [
        ("/", "/help/home"),
        ("/status", "/help/status"),
        ("/settings/edit?path=web.port", "/help/settings"),
        ("/visitors", "/help/plugin-visitors"),
        ("/unhelpful", "/help"),
        ("/nothing", "/help"),
        ("/help/status", "/help"),
    ],
)
async def test_help_on_a_page_is_about_that_page(running: Running, page: str, topic: str) -> None:
    assert help_link(await running.get(page)) == topic
    assert (await running.get(topic)).status == 200


async def test_a_locked_browser_gets_the_help_for_getting_in(running: Running) -> None:
    teacher = await running.as_role(Role.TEACHER)
    await teacher.post("/lock")
    assert (await teacher.get("/help/people")).status != 200
    locked = await teacher.get("/unlock")
    assert help_link(locked) == "/help/open/signing-in"
    assert (await teacher.get("/help/open/signing-in")).status == 200


async def test_a_plugin_brings_its_own_help(running: Running) -> None:
    page = (await running.get("/help/plugin-visitors")).text
    assert "Visitors &amp; guests" in page
    assert 'href="#word-guest"' in page
    assert 'href="/help/home"' in page
    assert "/help/plugin-visitors" in (await running.get("/help")).text


async def test_help_of_a_plugin_that_cannot_be_read_is_on_the_status_page(running: Running) -> None:
    await running.appliance.health.refresh()
    assert "Help of unhelpful" in (await running.get("/status")).text
    assert (await running.get("/help/plugin-unhelpful")).status == 404
    assert (await running.get("/unhelpful")).status == 200
