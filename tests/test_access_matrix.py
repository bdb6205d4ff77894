"""Every route of the core and of the bundled plugins, asked by everybody: it answers those whom it is declared for.

The routes are those of the running web server, so one that was added anywhere is among them. Whether a request was let
through is seen at the door of the page itself; what the page then makes of an empty form matters only in that it must
not fail.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from accounts import no_store_is_left_open
from aiohttp import web
from aiohttp.typedefs import Handler

from appliance.access import JOINING, LOCKED, PERMISSIONS, Role
from appliance.hookspecs import Page, Permission
from appliance.sealing import Keys, new_pair
from appliance.testing import HELP_SEEKING, Client, Home, Running, free_port, start_in_process
from appliance.vaults import VULNERABLE_LIST
from appliance.web.guard import Declared
from appliance.web.pages import COOKIE

__all__ = ["no_store_is_left_open"]

pytestmark = pytest.mark.asyncio(loop_scope="module")

BUNDLED = [folder.parent.name for folder in (Path(__file__).parent.parent / "plugins").glob("*/__init__.py")]
ROLES: Mapping[str, Role | None] = {"no role yet": None, **{role.value: role for role in Role}}
KEEPERS = ("pastoral who keeps the vulnerable list", "lead who keeps the vulnerable list")
EVERYBODY = ("nobody", "joining", "locked", *ROLES, *KEEPERS)
ONLY_THE_DOOR = ("/live", "/settings/read-file")
"""Pages that are not entered here: the one has no end, the other begins a new generation of the process around it."""
REFUSED_BY_A_STORE = "Your sign-in does not allow this."
"""What ``access.require`` says: a store that asks for more than the page declares."""


@dataclass
class Asked:
    """How one request ended."""

    status: int
    text: str
    let_through: bool


@dataclass
class House:
    """A running appliance that notes which pages were reached, and everybody who asks."""

    running: Running
    browser: aiohttp.ClientSession
    routes: list[tuple[web.AbstractRoute, Declared | None]]
    people: dict[str, Client] = field(default_factory=dict)
    allowed: dict[str, frozenset[Permission]] = field(default_factory=dict)
    reached: int = 0

    @property
    def pages(self) -> list[Page]:
        return [declared.page for _, declared in self.routes if declared is not None]

    def watch(self) -> None:
        """Note it when a request comes as far as the page itself."""

        def noting(handler: Handler) -> Handler:
            async def view(request: web.Request) -> web.StreamResponse:
                self.reached += 1
                return web.Response() if request.path in ONLY_THE_DOOR else await handler(request)

            return view

        for route, _ in self.routes:
            route._handler = noting(route._handler)

    async def ask(self, who: str, page: Page) -> Asked:
        """Ask for a page, or send it an empty form, as a browser of this person would."""
        self.reached = 0
        host = "elsewhere.example" if page.site == "elsewhere" else f"{page.site}.localhost:{self.running.port}"
        headers = {"Host": host, "Sec-Fetch-Site": "same-origin"}
        if who in self.people:
            headers["Cookie"] = f"{COOKIE}={await self.cookie(who)}"
        url = f"http://127.0.0.1:{self.running.port}{address(page)}"
        data: dict[str, str] | None = {} if page.method == "POST" else None
        async with self.browser.request(page.method, url, headers=headers, data=data, allow_redirects=False) as answer:
            return Asked(answer.status, await answer.text(errors="replace"), self.reached == 1)

    async def cookie(self, who: str) -> str:
        """The session of this person, begun again if an earlier request has ended, locked or opened it."""
        client, appliance = self.people[who], self.running.appliance
        sessions = appliance.staff.sessions
        session = sessions.find(client.cookie)
        if session is None:
            keys = Keys(client.account, new_pair()[0])
            async with appliance.records.transaction() as tx:
                client.cookie = await sessions.begin(tx, "join" if who == "joining" else "work", client.account, keys)
            session = sessions.find(client.cookie)
        assert session is not None
        if who == "locked":
            sessions.lock(session)
        elif sessions.is_locked(session):
            sessions.open(session, Keys(client.account, new_pair()[0]))
        return client.cookie


def address(page: Page) -> str:
    """The page's path with something in the place of what varies."""
    there = {"name": "app.css", "topic": "signing-in", "to": "on"}
    return re.sub(r"\{(\w+)(:[^}]*)?\}", lambda found: there.get(found[1], "one"), page.path)


def routes_of(running: Running) -> list[tuple[web.AbstractRoute, Declared | None]]:
    """Every route that the web server answers to, with what was declared for it; ``HEAD`` goes with ``GET``."""
    web_server = running._web
    assert web_server._runner is not None
    sites = [resource._app for resource in web_server._runner.app.router.resources()]  # type: ignore[attr-defined]
    found = [route for site in sites for route in site.router.routes()]
    return [(route, web_server._routes.get(route)) for route in found if route.method != "HEAD"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("matrix") / "home"
    folder.mkdir(mode=0o755)
    (folder / "help_seeking.yaml").write_text(HELP_SEEKING, encoding="utf-8")
    home = Home(folder, free_port(), free_port())
    home.write(f"plugins: {{{', '.join(f'{name}: {{}}' for name in BUNDLED)}}}\n")
    running = await start_in_process(home)
    try:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as browser:
            found = House(running, browser, routes_of(running))
            await move_in(found)
            found.watch()
            yield found
    finally:
        await running.stop()


async def move_in(house: House) -> None:
    """Somebody of every kind, each with a browser."""
    running = house.running
    keeper = await running.as_role(Role.LEAD)  # the first lead can open everything
    pastoral = await running.as_role(Role.PASTORAL)
    sessions, vaults = running.appliance.staff.sessions, running.appliance.vaults
    session = sessions.find(keeper.cookie)
    assert session is not None
    keys = sessions.keys(session)
    assert keys is not None
    await vaults.admit(keeper.actor, keys, VULNERABLE_LIST, pastoral.account)
    for name, role in ROLES.items():
        house.people[name] = await running.as_role(role)
        house.allowed[name] = PERMISSIONS[role]
    for name, client in zip(KEEPERS, (pastoral, keeper), strict=True):
        house.people[name] = client
        house.allowed[name] = PERMISSIONS[client.actor.role] | {Permission.KEEP_VULNERABLE}
    house.people["locked"] = await running.as_role(Role.LEAD)
    house.allowed["locked"] = LOCKED
    joining = await running.as_role(Role.DEPUTY)
    async with running.appliance.records.transaction() as tx:
        await sessions.end_all(tx, joining.account)
    house.people["joining"] = joining
    house.allowed["joining"] = JOINING
    house.allowed["nobody"] = frozenset()


def is_allowed(page: Page, allowed: frozenset[Permission]) -> bool:
    """The rule: public pages are for everybody, all others for the staff site and whoever has their permission."""
    return page.permission is Permission.PUBLIC or (page.site == "staff" and page.permission in allowed)


async def test_every_route_has_declared_a_permission(house: House) -> None:
    undeclared = [route for route, declared in house.routes if declared is None]
    assert not undeclared
    assert not [page for page in house.pages if not isinstance(page.permission, Permission)]


async def test_the_matrix_holds_the_core_and_every_bundled_plugin(house: House) -> None:
    states = {state.name: state.state for state in house.running.appliance.plugins.states()}
    assert states == dict.fromkeys(BUNDLED, "on")
    owners = {declared.owner for _, declared in house.routes if declared is not None}
    assert owners == {"", *BUNDLED}
    assert len(house.routes) > 80
    assert {page.site for page in house.pages} == {"staff", "pupil", "endpoint", "elsewhere"}


async def test_every_permission_opens_some_page_and_some_role_has_it(house: House) -> None:
    """One that opens nothing, or that nobody has, would make the matrix agree with itself for no reason."""
    declared = {page.permission for page in house.pages}
    given = {permission for allowed in house.allowed.values() for permission in allowed}
    assert declared - given == {Permission.PUBLIC}
    for role, allowed in PERMISSIONS.items():
        refused = [page for page in house.pages if not is_allowed(page, allowed)]
        assert refused, role


@pytest.mark.parametrize("who", EVERYBODY)
async def test_a_route_answers_those_whom_it_is_declared_for(house: House, who: str) -> None:
    wrong = []
    for page in house.pages:
        asked = await house.ask(who, page)
        if asked.let_through != is_allowed(page, house.allowed[who]):
            wrong.append(f"{page.site} {page.method} {page.path}: let through is {asked.let_through}")
        elif not asked.let_through and asked.status != 403:
            wrong.append(f"{page.site} {page.method} {page.path}: refused with {asked.status}")
        elif asked.status >= 500 or REFUSED_BY_A_STORE in asked.text:
            wrong.append(f"{page.site} {page.method} {page.path}: let through, then {asked.status}")
    assert not wrong


@pytest.mark.parametrize("who", EVERYBODY)
async def test_what_is_no_page_is_nothing_to_anybody(house: House, who: str) -> None:
    for path in ("/nothing", "/staff/one/nothing"):
        asked = await house.ask(who, Page("staff", "GET", path, house.pages[0].view, Permission.PUBLIC))
        assert not asked.let_through
        assert asked.status == (403 if who == "nobody" else 404)
