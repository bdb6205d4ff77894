"""Plugins are let in by rules and contained: whatever one does, it alone is switched off, in words."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from appliance.errors import PluginError
from appliance.hookspecs import Hooks
from appliance.observations import EndpointDevice
from appliance.plugin_finder import check_hooks, find_plugins, hook_names
from appliance.plugins import PluginState
from appliance.testing import Home, Running, run_cli

Start = Callable[[Home], Awaitable[Running]]

HEAD = '''
import time
from appliance.api import *

class Plugin:
    """A plugin of the tests."""

    class Settings(Section):
        """Nothing to set."""

    def __init__(self, appliance, settings):
        self.appliance = appliance
'''
GOOD = (
    HEAD
    + """
    @hook
    def register_pages(self):
        return [Page("staff", "GET", "/good", self.index, Permission.OPERATE)]

    async def index(self, request):
        return redirect("/good/works")
"""
)
ASKED_LATER = {"shutdown", "endpoint_policy", "browser_files", "dns_overlay", "dns_verdict", "weigh_findings"}
"""Hooks that are asked while a plugin runs; one that fails there fails alone."""
SETTINGS = """
plugins: {{bad: {{}}, good: {{}}}}
limits: {{hook_seconds: {hook_seconds}, probe_seconds: {probe_seconds}}}
"""


def bad_hook(name: str, body: str) -> str:
    start = "async def" if inspect.iscoroutinefunction(getattr(Hooks, name)) else "def"
    arguments = ", ".join(inspect.signature(getattr(Hooks, name)).parameters)
    return f"{HEAD}\n    @hook\n    {start} {name}({arguments}):\n        {body}\n"


async def start_with(
    home: Home, start: Start, bad: str, hook_seconds: float = 5.0, probe_seconds: float = 20.0
) -> Running:
    home.add_plugin(GOOD, "good")
    home.trust_plugins()  # only the bad one has to be tried
    home.add_plugin(bad, "bad")
    home.write(SETTINGS.format(hook_seconds=hook_seconds, probe_seconds=probe_seconds))
    return await start(home)


def state_of(running: Running, name: str) -> PluginState:
    return next(state for state in running.appliance.plugins.states() if state.name == name)


async def assert_only_bad_is_off(running: Running, words: str) -> None:
    state = state_of(running, "bad")
    assert state.state == "off"
    assert words in state.reason
    assert state_of(running, "good").state == "on"
    assert (await running.get("/good")).headers["Location"] == "/good/works"
    status = await running.get("/status")
    assert status.status == 200
    assert "appliance plugin reset bad" in status.text
    assert "appliance plugin remove bad" in status.text
    event = await running.appliance.records.fetch_one("SELECT payload FROM events WHERE type = 'PluginSwitchedOff'")
    assert event is not None


@pytest.mark.parametrize("name", [name for name in hook_names() if name not in ASKED_LATER])
async def test_a_hook_that_raises_switches_its_plugin_off_alone(
    appliance_home: Home, start_appliance: Start, name: str
) -> None:
    running = await start_with(appliance_home, start_appliance, bad_hook(name, "raise LookupError('no luck')"))
    await assert_only_bad_is_off(running, "LookupError: no luck")


async def test_a_shutdown_that_raises_leaves_the_plugin_off_at_the_next_start(
    appliance_home: Home, start_appliance: Start
) -> None:
    running = await start_with(appliance_home, start_appliance, bad_hook("shutdown", "raise LookupError('no luck')"))
    assert state_of(running, "bad").state == "on"
    await running.stop()
    running = await start_appliance(appliance_home)
    await assert_only_bad_is_off(running, "LookupError: no luck")


async def test_a_policy_for_devices_that_fails_is_left_out_alone(appliance_home: Home, start_appliance: Start) -> None:
    appliance_home.add_plugin(bad_hook("endpoint_policy", "return {'for': device.endpoint}"), "fine")
    appliance_home.add_plugin(bad_hook("endpoint_policy", "raise LookupError('no luck')"), "bad")
    appliance_home.write("plugins: {bad: {}, fine: {}}\n")
    running = await start_appliance(appliance_home)
    device = EndpointDevice("e", None, None, monitored=False)
    assert await running.appliance.plugins.endpoint_policies(device) == {"fine": {"for": "e"}}
    await running.appliance.health.refresh()
    assert "no luck" in (await running.get("/status")).text


HANGS = "import asyncio; await asyncio.Event().wait()"


async def until(running: Running, name: str, state: str) -> None:
    async with asyncio.timeout(60):
        while state_of(running, name).state != state:
            await asyncio.sleep(0.05)


async def test_a_startup_that_hangs_again_and_again_switches_its_plugin_off_alone(
    appliance_home: Home, start_appliance: Start
) -> None:
    running = await start_with(appliance_home, start_appliance, bad_hook("startup", HANGS), hook_seconds=0.3)
    await until(running, "bad", "off")
    await assert_only_bad_is_off(running, "did not come back within 1.8 seconds")


async def test_a_startup_that_takes_its_time_holds_up_nobody_and_succeeds(
    appliance_home: Home, start_appliance: Start
) -> None:
    go = appliance_home.state / "go"
    body = f"import asyncio; from pathlib import Path\n        while not Path({str(go)!r}).exists():\n            "
    body += "await asyncio.sleep(0.02)"
    running = await start_with(appliance_home, start_appliance, bad_hook("startup", body), hook_seconds=2)
    assert (state_of(running, "good").state, state_of(running, "bad").state) == ("on", "waiting")
    assert "Waits: It is still starting." in (await running.get("/status")).text
    go.touch()
    await until(running, "bad", "on")


async def test_a_plugin_that_does_not_say_how_it_is_in_time_goes_on_and_is_red(
    appliance_home: Home, start_appliance: Start
) -> None:
    running = await start_with(appliance_home, start_appliance, bad_hook("health", HANGS), hook_seconds=0.3)
    await running.appliance.health.refresh()
    assert "It cannot say how it is: did not come back within 0.3 seconds" in (await running.get("/status")).text
    assert state_of(running, "bad").state == "on"


async def test_a_shutdown_that_hangs_is_left_behind_and_the_plugin_starts_again(
    appliance_home: Home, start_appliance: Start
) -> None:
    running = await start_with(appliance_home, start_appliance, bad_hook("shutdown", HANGS))
    await running.stop()
    running = await start_appliance(appliance_home)
    assert state_of(running, "bad").state == "on"


async def test_an_async_hook_that_will_not_be_cancelled_is_left_behind(
    appliance_home: Home, start_appliance: Start
) -> None:
    body = (
        "import asyncio\n        for _ in range(3):\n            try:\n                await asyncio.sleep(3)\n"
        "            except asyncio.CancelledError:\n                pass"
    )
    running = await start_with(appliance_home, start_appliance, bad_hook("startup", body), hook_seconds=0.3)
    await until(running, "bad", "off")
    await assert_only_bad_is_off(running, "did not come back")


SYNCHRONOUS = [name for name in hook_names() if name.startswith("register_")]


@pytest.mark.parametrize(
    ("name", "body"),
    [(SYNCHRONOUS[0], "while True: pass"), *((name, "time.sleep(600)") for name in SYNCHRONOUS)],
)
async def test_a_synchronous_hook_that_never_ends_switches_its_plugin_off_alone(
    appliance_home: Home, start_appliance: Start, name: str, body: str
) -> None:
    bad = bad_hook(name, body)
    running = await start_with(appliance_home, start_appliance, bad, probe_seconds=4)
    await assert_only_bad_is_off(running, "did not finish being loaded within 4 seconds")


_REFUSED = {
    "no import": ("import nowhere_at_all", "No module named 'nowhere_at_all'"),
    "no python": ("def broken(:", "SyntaxError"),
    "exit at import": ("import sys; sys.exit(0)", "SystemExit"),
    "crash at import": ("import os; os.kill(os.getpid(), 11)", "was ended by signal 11"),
    "no class": ("x = 1", "no class named Plugin"),
    "no settings": ("class Plugin:\n    def __init__(self, appliance, settings): pass", "no inner class Settings"),
    "constructor raises": (HEAD + "        raise LookupError('no luck')", "LookupError: no luck"),
    "misspelt hook": (HEAD + "    @hook\n    def regster_pages(self): return []", "Did you mean register_pages?"),
    "unknown hook": (HEAD + "    @hook\n    def xyzzy(self): return []", "The hooks are: startup"),
    "sync for async": (HEAD + "    @hook\n    def startup(self): pass", "must be written with `async def`"),
    "async for sync": (HEAD + "    @hook\n    async def register_jobs(self): pass", "must be written with `def`"),
    "other arguments": (HEAD + "    @hook\n    async def startup(self, more): pass", "must be written as `startup"),
    "returns nothing": (HEAD + "    @hook\n    def register_jobs(self): pass", "register_jobs returned nothing"),
    "wrong things": (HEAD + "    @hook\n    def register_jobs(self): return ['x']", "register_jobs returned 'x'"),
    "foreign page": (
        HEAD + "    @hook\n    def register_pages(self):\n"
        "        return [Page('staff', 'GET', '/status', self.x, Permission.PUBLIC)]\n    async def x(self, r): pass",
        "must lie under /bad",
    ),
    "no permission": (
        HEAD + "    @hook\n    def register_pages(self):\n"
        "        return [Page('staff', 'GET', '/bad', self.x, None)]\n    async def x(self, r): pass",
        "names no permission",
    ),
    "job without interval": (
        HEAD + "    @hook\n    def register_jobs(self):\n"
        "        from datetime import timedelta\n        return [Job('x', Every(timedelta(0)), self.x)]\n"
        "    async def x(self): pass",
        "has no interval",
    ),
    "wrong default": (
        HEAD.replace('"""Nothing to set."""', "many: int = setting('x', 'How many.')"),
        "The default of many in its Settings is wrong",
    ),
    "table without migration": (
        HEAD + "    @hook\n    def register_data(self): return [Data('bad_things', 'things')]",
        "which no migration makes",
    ),
    "foreign table": (
        HEAD + "    @hook\n    def register_data(self): return [Data('audit', 'things')]",
        "must be named bad_*",
    ),
    "foreign event": (
        HEAD + "    @hook\n    def register_listeners(self): return {int: self.x}\n    async def x(self, e): pass",
        "neither the core's event nor its own",
    ),
    "sync listener": (
        HEAD + "    @hook\n    def register_listeners(self): return {SettingChanged: self.x}\n    def x(self, e): pass",
        "must be written with `async def`",
    ),
    "worker elsewhere": (
        HEAD + "    @hook\n    def register_workers(self): return [Worker('x', x, self.x)]\n"
        "    async def x(self, records, dropped): pass\nasync def x(context): pass",
        "must be the function x in worker.py",
    ),
}


@pytest.mark.parametrize("case", _REFUSED)
async def test_a_plugin_that_breaks_a_rule_is_not_let_in(
    appliance_home: Home, start_appliance: Start, case: str
) -> None:
    source, words = _REFUSED[case]
    running = await start_with(appliance_home, start_appliance, source)
    await assert_only_bad_is_off(running, words)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("CREATE TABLE bad_things (", "ends inside a statement"),
        ("CREATE TABLE bad_things (x, x);", "duplicate column name"),
        ("CREATE TABLE bad_things (x);", "is not named in register_data"),
        ("DROP TABLE audit;", "it touches audit"),
        ("CREATE TEMP TABLE bad_x (x);", "temporary"),
        ("CREATE TEMP TRIGGER bad_x AFTER INSERT ON main.audit BEGIN DELETE FROM events; END;", "temporary"),
    ],
)
async def test_a_migration_that_fails_switches_its_plugin_off_alone(
    appliance_home: Home, start_appliance: Start, sql: str, words: str
) -> None:
    folder = appliance_home.add_plugin(HEAD, "bad") / "migrations"
    folder.mkdir(mode=0o755)
    (folder / "0001_first.sql").write_text(sql)
    (folder / "0001_first.sql").chmod(0o644)
    appliance_home.add_plugin(GOOD, "good")
    appliance_home.trust_plugins()
    appliance_home.write(SETTINGS.format(hook_seconds=5, probe_seconds=20))
    running = await start_appliance(appliance_home)
    await assert_only_bad_is_off(running, words)


async def test_a_migration_that_was_changed_switches_its_plugin_off_alone(
    appliance_home: Home, start_appliance: Start
) -> None:
    data = "    @hook\n    def register_data(self): return [Data('bad_things', 'things')]"
    folder = appliance_home.add_plugin(HEAD + data, "bad") / "migrations"
    folder.mkdir(mode=0o755)
    migration = folder / "0001_first.sql"
    migration.write_text("CREATE TABLE bad_things (x TEXT);")
    migration.chmod(0o644)
    appliance_home.add_plugin(GOOD, "good")
    appliance_home.trust_plugins()
    appliance_home.write(SETTINGS.format(hook_seconds=5, probe_seconds=20))
    running = await start_appliance(appliance_home)
    assert state_of(running, "bad").state == "on"
    await running.stop()
    migration.write_text("CREATE TABLE bad_things (x TEXT, y TEXT);")
    running = await start_appliance(appliance_home)
    await assert_only_bad_is_off(running, "was changed after it had been applied")


async def test_not_ready_is_waiting_not_off(appliance_home: Home, start_appliance: Start) -> None:
    body = "raise NotReady('The printer is cold.', 'Switch it on.')"
    running = await start_with(appliance_home, start_appliance, bad_hook("startup", body))
    state = state_of(running, "bad")
    assert (state.state, state.reason) == ("waiting", "The printer is cold. Switch it on.")
    assert state_of(running, "good").state == "on"


LISTENS = (
    HEAD
    + """
        self.heard = []

    @hook
    def register_listeners(self):
        return {PluginSwitchedOff: self.on_off}

    @hook
    def register_pages(self):
        return [Page("staff", "GET", "/good", self.index, Permission.OPERATE)]

    async def index(self, request):
        return redirect("/good/" + ",".join(self.heard))

    async def on_off(self, event):
        self.heard.append(event.plugin)
"""
)


@pytest.mark.parametrize("bad", ["import nowhere_at_all", bad_hook("startup", "raise LookupError('no luck')")])
async def test_others_hear_of_a_plugin_that_was_switched_off_even_at_the_first_start(
    appliance_home: Home, start_appliance: Start, bad: str
) -> None:
    appliance_home.add_plugin(LISTENS, "good")
    appliance_home.trust_plugins()
    appliance_home.add_plugin(bad, "bad")
    appliance_home.write(SETTINGS.format(hook_seconds=5, probe_seconds=20))
    running = await start_appliance(appliance_home)
    await running.delivered()
    assert (await running.get("/good")).headers["Location"] == "/good/bad"


FAILING_PARTS = (
    HEAD
    + """
    @hook
    def register_pages(self):
        return [
            Page("staff", "GET", "/bad/page", self.page, Permission.OPERATE),
            Page("staff", "GET", "/bad/nothing", self.nothing, Permission.OPERATE),
            Page("staff", "GET", "/bad/refused", self.refused, Permission.OPERATE),
        ]

    async def page(self, request):
        raise LookupError("the page is torn")

    async def nothing(self, request):
        return "text"

    async def refused(self, request):
        raise Refused("That is not allowed.", "Ask somebody.")
"""
)


async def test_a_page_that_fails_says_so_and_the_plugin_stays_on(appliance_home: Home, start_appliance: Start) -> None:
    running = await start_with(appliance_home, start_appliance, FAILING_PARTS)
    for path in ("/bad/page", "/bad/nothing"):
        answer = await running.get(path)
        assert answer.status == 500
        assert "has stopped working" in answer.text
    assert state_of(running, "bad").state == "on"
    await running.appliance.health.refresh()
    assert "the page is torn" in (await running.get("/status")).text
    refused = await running.get("/bad/refused")
    assert 400 <= refused.status < 500
    assert "That is not allowed." in refused.text


async def test_pages_of_a_plugin_that_is_off_say_so(appliance_home: Home, start_appliance: Start) -> None:
    bad = FAILING_PARTS + "\n    @hook\n    async def health(self):\n        raise LookupError('ill')\n"
    running = await start_with(appliance_home, start_appliance, bad)
    assert state_of(running, "bad").state == "off"
    assert (await running.get("/bad/page")).status == 503


async def test_reset_lets_a_plugin_in_again_and_remove_says_what_goes(
    appliance_home: Home, start_appliance: Start
) -> None:
    running = await start_with(appliance_home, start_appliance, bad_hook("startup", "raise LookupError('no luck')"))
    await running.stop()
    source = appliance_home.place.drop_in_dir / "bad" / "__init__.py"
    data = "    @hook\n    def register_data(self): return [Data('bad_things', 'things')]"
    source.write_text(HEAD + data)
    (source.parent / "migrations").mkdir(mode=0o755)
    (source.parent / "migrations" / "0001_x.sql").write_text(
        "CREATE TABLE bad_things (x TEXT); INSERT INTO bad_things VALUES ('one'), ('two');"
    )
    (source.parent / "migrations" / "0001_x.sql").chmod(0o644)
    assert run_cli(appliance_home, "plugin", "reset", "bad").returncode == 0
    running = await start_appliance(appliance_home)
    assert state_of(running, "bad").state == "on"
    await running.stop()

    still_named = run_cli(appliance_home, "plugin", "remove", "bad", "--yes")
    assert still_named.returncode == 1
    assert "still names bad" in still_named.stderr
    appliance_home.write("plugins: {good: {}}")
    shown = run_cli(appliance_home, "plugin", "remove", "bad")
    assert "table bad_things (records): 2 rows" in shown.stdout
    assert "Nothing was deleted" in shown.stdout
    assert run_cli(appliance_home, "plugin", "remove", "bad", "--yes").returncode == 0
    assert "nothing: it keeps no data" in run_cli(appliance_home, "plugin", "remove", "bad").stdout


async def test_removing_a_plugin_leaves_longer_names_and_the_core_alone(
    appliance_home: Home, start_appliance: Start
) -> None:
    for name in ("bad", "bad_luck"):
        data = f"    @hook\n    def register_data(self): return [Data('{name}_things', 'things')]"
        folder = appliance_home.add_plugin(HEAD + data, name) / "migrations"
        folder.mkdir(mode=0o755)
        (folder / "0001_x.sql").write_text(
            f"CREATE TABLE {name}_things (x TEXT); INSERT INTO {name}_things VALUES ('1');"
        )
        (folder / "0001_x.sql").chmod(0o644)
    appliance_home.trust_plugins()
    appliance_home.write("plugins: {bad: {}, bad_luck: {}}")
    running = await start_appliance(appliance_home)
    assert [state.state for state in running.appliance.plugins.states()] == ["on", "on"]
    await running.stop()
    appliance_home.write("plugins: {bad_luck: {}}")
    for name in ("bad", "page", "staff", "job", "%", "audit"):
        run_cli(appliance_home, "plugin", "remove", name, "--yes")
    running = await start_appliance(appliance_home)
    assert (await running.appliance.records.fetch("SELECT x FROM bad_luck_things"))[0]["x"] == "1"
    tables = await running.appliance.records.fetch("SELECT name FROM sqlite_master WHERE name = 'bad_things'")
    assert tables == []


# Finding plugins


def test_a_drop_in_cannot_take_the_name_of_an_installed_plugin(appliance_home: Home) -> None:
    appliance_home.add_plugin(GOOD, "dns_filter")
    found = find_plugins(appliance_home.place.drop_in_dir)
    assert (found["dns_filter"].source, found["dns_filter"].refusal) == ("bundled", "")
    assert "the name is taken" in found["dns_filter (folder)"].refusal


@pytest.mark.parametrize(
    ("name", "words"),
    [("status", "own pages"), ("Good", "no plugin name"), ("x", "no plugin name"), ("page", "own tables")],
)
def test_a_drop_in_needs_a_name_of_its_own(appliance_home: Home, name: str, words: str) -> None:
    appliance_home.add_plugin(GOOD, name)
    assert words in find_plugins(appliance_home.place.drop_in_dir)[name].refusal


@pytest.mark.parametrize("what", ["folder", "file", "parent"])
def test_a_drop_in_that_others_may_write_is_refused(appliance_home: Home, what: str) -> None:
    folder = appliance_home.add_plugin(GOOD, "good")
    path = {"folder": folder, "file": folder / "__init__.py", "parent": folder.parent}[what]
    path.chmod(0o777)
    found = find_plugins(appliance_home.place.drop_in_dir)["good"]
    assert "others may write" in found.refusal
    assert "chmod -R go-w" in found.refusal


def test_a_drop_in_of_another_account_or_behind_a_link_is_refused(appliance_home: Home, tmp_path: Path) -> None:
    folder = appliance_home.add_plugin(GOOD, "good")
    (folder / "data").symlink_to(tmp_path)
    assert "is a link" in find_plugins(appliance_home.place.drop_in_dir)["good"].refusal


def test_every_hook_is_documented_with_an_example() -> None:
    for name in hook_names():
        doc = inspect.getdoc(getattr(Hooks, name)) or ""
        assert "Example::" in doc, name
        assert "@hook" in doc, name


def test_a_class_without_hooks_is_fine() -> None:
    class Plain:
        def startup(self) -> None:
            """Not marked, so not a hook."""

    check_hooks(Plain)
    with pytest.raises(PluginError):
        from appliance.hookspecs import hook

        class Misspelt:
            @hook
            def startupp(self) -> None: ...

        check_hooks(Misspelt)
