"""The visitors' book in a real appliance. Nothing but the fixtures that come with the appliance is used."""

from __future__ import annotations

import asyncio
import importlib
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.testing import Home, Running

Start = Callable[[Home], Awaitable[Running]]

FOLDER = Path(__file__).parent.parent
SETTINGS = "plugins: {visitors: {}}\n"
ILL = '''
from appliance.api import *

class Plugin:
    """Fails when it is asked how it is."""

    class Settings(Section):
        """Nothing to set."""

    def __init__(self, appliance, settings):
        pass

    @hook
    async def health(self):
        raise LookupError("ill")
'''


@pytest.fixture
async def running(appliance_home: Home, start_appliance: Start) -> Running:
    """An appliance with this plugin dropped in: the folder is copied and named in the settings, nothing else."""
    appliance_home.add_plugin(FOLDER)
    appliance_home.write(SETTINGS)
    return await start_appliance(appliance_home)


async def all_is_heard(running: Running) -> None:
    """Return when every listener has had every event."""
    async with asyncio.timeout(10):
        while await running.appliance.bus.waiting():
            pass


async def sign_in(running: Running, name: str = "Ada Byron", host: str = "Mrs Khan") -> None:
    assert (await running.post("/visitors", {"name": name, "host": host})).status == 303


def store_of(running: Running) -> Any:
    """The plugin's own store: a drop-in is imported as ``appliance_plugins.<name>``."""
    return importlib.import_module("appliance_plugins.visitors.store").Store(running.appliance)


async def test_it_loads_from_a_copied_folder(running: Running) -> None:
    (state,) = running.appliance.plugins.states()
    assert (state.name, state.state, state.source) == ("visitors", "on", "drop-in")
    page = (await running.get("/visitors")).text
    assert "Nobody is signed in." in page
    assert 'aria-current="page">Visitors</a>' in page


async def test_a_visitor_signs_in_and_out(running: Running) -> None:
    await sign_in(running)
    page = (await running.get("/visitors")).text
    assert "Ada Byron is signed in." in page
    assert "Mrs Khan" in page
    assert "1 visitor on site." in (await running.get("/")).text
    visit = re.search(r'name="id" value="([^"]+)"', page)
    assert visit is not None
    assert (await running.post("/visitors/sign-out", {"id": visit[1]})).status == 303
    assert "Signed out." in (await running.get("/visitors")).text
    assert (await running.post("/visitors/sign-out", {"id": visit[1]})).status == 303
    assert "They were signed out already." in (await running.get("/visitors")).text
    assert "Nobody is signed in." in (await running.get("/")).text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": " ", "host": "Mrs Khan"}, "Enter the visitor&#39;s name."),
        ({"name": "Ada Byron"}, "Enter whom they came to see."),
    ],
)
async def test_what_is_missing_is_asked_for_and_nothing_typed_is_lost(
    running: Running, fields: dict[str, str], words: str
) -> None:
    answer = await running.post("/visitors", fields)
    assert answer.status == 422
    assert words in answer.text
    assert all(f'value="{value}"' in answer.text for value in fields.values() if value.strip())


async def test_a_name_cannot_become_markup(running: Running) -> None:
    await sign_in(running, "<script>x</script>")
    assert "<script>x" not in (await running.get("/visitors")).text


async def test_it_is_not_open_to_everybody(running: Running) -> None:
    assert (await running.get("/visitors", signed_in=False)).status == 403
    assert (await running.get("/visitors", site="pupil")).status == 404


async def test_the_record_says_who_did_it_and_names_no_visitor(running: Running) -> None:
    await sign_in(running)
    (row,) = [row for row in await running.appliance.audit.rows(None, 50) if row["action"] == "signed a visitor in"]
    assert row["actor"] == "Ida Technician"
    events = await running.appliance.records.fetch("SELECT payload FROM events WHERE type = 'visitors.VisitorArrived'")
    assert len(events) == 1
    assert "Ada" not in "".join([*map(str, tuple(row)), events[0]["payload"]])


async def test_an_arrival_is_counted_and_told_to_open_pages(running: Running) -> None:
    from appliance.hookspecs import Permission  # noqa: PLC0415

    async with running.appliance.live.subscribe(lambda: frozenset(Permission)) as watching, asyncio.timeout(10):
        await sign_in(running)
        await sign_in(running, "Bo Chan")
        message = await watching.messages.get()
    assert message.topic == "visitors.arrivals"
    assert "Ada Byron" in message.data
    await all_is_heard(running)
    (day,) = await store_of(running).days(7)
    assert day["visits"] == 2


async def test_at_the_end_of_the_day_everybody_is_signed_out(running: Running) -> None:
    (job,) = [run for run in await running.appliance.schedule.runs() if run.owner == "visitors"]
    assert (job.name, job.when) == ("sign everyone out", "every day at 18:00")
    await sign_in(running)
    await sign_in(running, "Bo Chan")
    plugin = importlib.import_module("appliance_plugins.visitors").Plugin
    await plugin(running.appliance, plugin.Settings()).sign_everyone_out()
    page = (await running.get("/visitors")).text
    assert "Nobody is signed in." in page
    assert "2 had not signed out." in page


async def test_who_is_left_over_from_yesterday_is_a_warning(running: Running) -> None:
    await sign_in(running)
    await running.appliance.health.refresh()
    assert "1 on site." in (await running.get("/status")).text
    async with running.appliance.records.transaction() as tx:
        await tx.execute("UPDATE visitors_visits SET arrived_at = '2026-01-05T09:00:00.000Z'")
    await running.appliance.health.refresh()
    assert "1 still signed in from an earlier day." in (await running.get("/status")).text


async def test_the_front_desk_hears_of_a_plugin_that_was_switched_off(
    appliance_home: Home, start_appliance: Start
) -> None:
    appliance_home.add_plugin(FOLDER)
    appliance_home.add_plugin(ILL, "ill")
    appliance_home.write("plugins: {visitors: {}, ill: {}}\n")
    running = await start_appliance(appliance_home)
    await all_is_heard(running)
    assert "Tell IT: ill was switched off." in (await running.get("/visitors")).text


async def test_settings_are_checked(appliance_home: Home, start_appliance: Start) -> None:
    from appliance.config import ConfigError  # noqa: PLC0415

    appliance_home.add_plugin(FOLDER)
    appliance_home.write("plugins: {visitors: {sign_out_at: 25:00, keep_dyas: 3}}\n")
    with pytest.raises(ConfigError) as caught:
        await start_appliance(appliance_home)
    text = str(caught.value)
    assert "plugins.visitors.sign_out_at" in text
    assert "did you mean keep_days?" in text


async def test_the_book_is_there_again_after_a_restart(
    appliance_home: Home, start_appliance: Start, running: Running
) -> None:
    await sign_in(running)
    await running.stop()
    again = await start_appliance(appliance_home)
    assert "Ada Byron" in (await again.get("/visitors")).text


async def test_the_end_of_the_day_is_a_setting(appliance_home: Home, start_appliance: Start) -> None:
    appliance_home.add_plugin(FOLDER)
    appliance_home.write("plugins:\n  visitors:\n    sign_out_at: 17:30\n")
    running = await start_appliance(appliance_home)
    (job,) = [run for run in await running.appliance.schedule.runs() if run.owner == "visitors"]
    assert job.when == "every day at 17:30"
