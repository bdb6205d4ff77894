"""Whole appliances in processes of their own: started, stopped, killed, held up, and back again."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import aiohttp
import pytest

from appliance.clock import stamp
from appliance.testing import Box, Home, run_cli

StartBox = Callable[[Home], Box]

DNS = """
plugins:
  dns_filter:
    listen: ["127.0.0.1"]
    port: {dns_port}
    upstreams: ["127.0.0.1:9"]
    lists: [{{name: games, file: games.domains, format: domains}}]
    profiles: [{{name: pupil, mode: block, block: [games], answer: nxdomain}}]
limits: {{stall_seconds: 2}}
"""


@pytest.fixture
def filter_home(appliance_home: Home) -> Home:
    (appliance_home.folder / "games.domains").write_text("games.example\n")
    appliance_home.write(DNS.format(dns_port=appliance_home.dns_port))
    return appliance_home


def dig(home: Home, name: str = "games.example") -> str:
    command = ["dig", "@127.0.0.1", "-p", str(home.dns_port), name, "+time=1", "+tries=1", "+noall", "+comments"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


async def blocks(home: Home, name: str = "games.example") -> bool:
    return "NXDOMAIN" in await asyncio.to_thread(dig, home, name)


async def test_a_trial_starts_serves_stops_and_finds_everything_as_it_was(
    filter_home: Home, start_box: StartBox
) -> None:
    box = start_box(filter_home)
    await box.ready()
    await box.until(lambda: blocks(filter_home))
    assert re.search(r"SHA-256 ([0-9A-F]{2}:){31}[0-9A-F]{2}", box.printed())
    stranger = await box.get("/status")
    assert (stranger.status, "This box is not set up yet" in stranger.text) == (403, True)
    await box.set_up()
    assert (await box.get("/status")).status == 200
    fingerprint = re.findall(r"SHA-256 (\S+)", box.printed())
    children = children_of(box.process.pid)
    assert box.stop() == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)

    again = start_box(filter_home)
    await again.ready()
    again.it = box.it
    asked = await again.get("/status")  # what opened the pages went with the process
    assert (asked.status, "These pages are locked" in asked.text) == (403, True)
    await again.it.unlock()
    assert (await again.get("/status")).status == 200
    assert re.findall(r"SHA-256 (\S+)", again.printed()) == fingerprint
    assert "/set-up#" not in again.printed()
    assert again.stop() == 0


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def test_a_set_up_link_works_once_until_the_box_is_set_up(appliance_home: Home, start_box: StartBox) -> None:
    box = start_box(appliance_home)
    await box.ready()
    first = box.setup_code()
    made = box.cli("setup-link")
    assert made.returncode == 0
    assert (await box.post("/set-up", {"code": first})).status == 403  # a newer one was made
    opened = await box.post("/set-up", {"code": code_in(made.stdout)})
    assert (opened.status, opened.headers["Location"]) == (303, "/set-up/account")
    assert (await box.post("/set-up", {"code": code_in(made.stdout)})).status == 403  # it works once
    await box.set_up(code=code_in(box.cli("setup-link").stdout))
    assert (await box.get("/status")).status == 200
    left_behind = box.colleague("mallory", "meander pistol cobalt grange")
    left_behind.enter(opened)  # the link of a set-up that was begun and left behind makes no second owner
    form = {"school": "S", "name": "Mallory", "sign_in_name": "mallory", "password": left_behind.password}
    answer = await left_behind.post("/set-up/account", {**form, "again": left_behind.password})
    assert (answer.status, "__Host-session" in answer.headers.get("Set-Cookie", "")) != (303, True)

    refused = box.cli("setup-link")
    assert refused.returncode == 1
    assert "This box is set up" in refused.stdout
    another = box.cli("setup-link", "--again")
    assert another.returncode == 0
    assert "made a link for a new IT account" in (await box.get("/")).text  # nobody does that unnoticed
    assert (await box.post("/set-up", {"code": code_in(another.stdout)})).status == 303


def code_in(link: str) -> str:
    return link.strip().rpartition("#")[2]


async def test_dns_answers_while_the_main_process_is_killed_and_comes_back(
    filter_home: Home, start_box: StartBox
) -> None:
    box = start_box(filter_home)
    await box.ready()
    await box.until(lambda: blocks(filter_home))
    await box.set_up()
    old = box.kill_main()
    answered = 0
    while box.main_pid() == old or not await box.answers():
        assert await blocks(filter_home)
        answered += 1
    assert answered > 0
    assert box.main_pid() != old
    await box.it.unlock()
    assert (await box.get("/dns_filter")).status == 200

    async def recorded() -> bool:
        return "games.example" in (await box.get("/dns_filter")).text

    await box.until(recorded)


async def test_the_children_end_when_the_supervisor_is_killed(filter_home: Home, start_box: StartBox) -> None:
    box = start_box(filter_home)
    await box.ready()
    await box.until(lambda: blocks(filter_home))
    children = children_of(box.process.pid)
    box.process.send_signal(signal.SIGKILL)
    box.process.wait()
    async with asyncio.timeout(15):
        while any(Path(f"/proc/{pid}").exists() for pid in children):
            await asyncio.sleep(0.05)


async def test_a_site_is_blocked_and_another_allowed_for_one_network_within_seconds(
    filter_home: Home, start_box: StartBox
) -> None:
    here = "groups: [{name: here, addresses: [127.0.0.1]}, {name: lab, addresses: [10.9.0.0/24]}]\n"
    filter_home.write(here + DNS.format(dns_port=filter_home.dns_port))
    box = start_box(filter_home)
    await box.ready()
    await box.until(lambda: blocks(filter_home))
    await box.set_up()

    async def choose(action: str, domain: str, network: str) -> None:
        whom = {"profile": f"networks:{network}", "reason": "A lesson", "sure": "yes"}
        answer = await box.post("/dns_filter/entries", {"action": action, "domain": domain, **whom})
        assert answer.status == 303

    await choose("allow", "games.example", "lab")
    await choose("block", "fine.example", "lab")
    await choose("block", "other.example", "here")
    await box.until(lambda: blocks(filter_home, "other.example"))
    assert await blocks(filter_home), "what is allowed elsewhere"
    assert not await blocks(filter_home, "fine.example"), "what is blocked elsewhere"
    await choose("allow", "games.example", "here")

    async def opened() -> bool:
        return not await blocks(filter_home)

    await box.until(opened)


SPINS = '''
from appliance.api import *

class Plugin:
    """Spins when asked to."""

    class Settings(Section):
        """Nothing to set."""

    def __init__(self, appliance, settings):
        self.appliance = appliance

    @hook
    def register_pages(self):
        return [
            Page("staff", "GET", "/spins/now", self.spin, Permission.OPERATE),
            Page("staff", "GET", "/spins", self.rest, Permission.OPERATE),
        ]

    async def rest(self, request):
        from aiohttp import web
        return web.Response(text="It turns.")

    async def spin(self, request):
        import re
        re.match(r"(a+)+$", "a" * 64 + "b")
'''


async def test_a_plugin_that_stops_the_main_loop_is_left_off_by_the_next_start(
    filter_home: Home, start_box: StartBox
) -> None:
    filter_home.add_plugin(SPINS, "spins")
    filter_home.write(DNS.format(dns_port=filter_home.dns_port).replace("plugins:", "plugins:\n  spins: {}"))
    box = start_box(filter_home)
    await box.ready()
    await box.set_up()
    old = box.main_pid()
    with suppress(aiohttp.ClientError):
        await box.get("/spins/now")
    await box.until(lambda: came_back(box, old))
    await box.it.unlock()
    status = (await box.get("/status")).text
    assert "page /spins/now stood still" in status
    assert "in spin" in status  # the stack that faulthandler wrote
    assert (await box.get("/spins/now")).status == 503
    assert (await box.get("/dns_filter")).status == 200
    assert await blocks(filter_home)


async def test_a_plugin_that_stopped_the_main_loop_gets_one_more_chance(filter_home: Home, start_box: StartBox) -> None:
    """The box may only have been busy. Nobody waits for three minutes here: they are over in the store."""
    filter_home.add_plugin(SPINS, "spins")
    settings = DNS.format(dns_port=filter_home.dns_port).replace("plugins:", "plugins:\n  spins: {}")
    filter_home.write(settings)
    box = start_box(filter_home)
    await box.ready()
    await box.set_up()

    async def held_up() -> str | None:
        old = box.main_pid()
        with suppress(aiohttp.ClientError):
            await box.get("/spins/now")
        await box.until(lambda: came_back(box, old))
        await box.it.unlock()
        return again_at(filter_home)

    again = await held_up()
    assert again is not None
    assert again > stamp()
    assert "let in again by itself" in (await box.get("/status")).text
    filter_home.write(f"{settings}nonsense: 1\n")  # it cannot be let in with this: it is tried again some minutes later
    over = pass_the_minutes(filter_home)

    async def is_put_off() -> bool:
        return (again_at(filter_home) or "") > over

    await box.until(is_put_off)
    filter_home.write(settings)
    pass_the_minutes(filter_home)

    async def is_on() -> bool:
        return (await box.get("/spins")).status == 200

    await box.until(is_on)
    assert "let plugin in again" in (await box.get("/audit")).text
    assert await held_up() is None
    status = (await box.get("/status")).text
    assert "stood still" in status
    assert "by itself" not in status


def pass_the_minutes(home: Home) -> str:
    """Until a plugin that is off gets its second chance; returns the moment that stands there now."""
    moment = stamp()
    with sqlite3.connect(home.state / "records.db") as records:
        records.execute("UPDATE plugins_off SET again_at = ?", (moment,))
    return moment


def again_at(home: Home) -> str | None:
    """When the plugin that is off is let in again by itself."""
    with sqlite3.connect(home.state / "records.db") as records:
        ((found,),) = records.execute("SELECT again_at FROM plugins_off WHERE name = 'spins'").fetchall()
    return None if found is None else str(found)


async def came_back(box: Box, old: int) -> bool:
    return box.main_pid() != old and await box.answers()


@contextmanager
def held(kind: int, port: int) -> Iterator[None]:
    with socket.socket(socket.AF_INET, kind) as holder:
        holder.bind(("127.0.0.1", port))
        if kind == socket.SOCK_STREAM:
            holder.listen()
        yield


async def test_a_held_port_is_named_with_the_program_that_holds_it(filter_home: Home, start_box: StartBox) -> None:
    with held(socket.SOCK_STREAM, filter_home.web_port):
        box = start_box(filter_home)
        assert await asyncio.to_thread(box.process.wait, 30) == 75
    assert re.search(rf"[Pp]ort {filter_home.web_port} .*held by \S+ \(process {os.getpid()}\)", box.printed())
    assert "web.port" in box.printed()
    with held(socket.SOCK_DGRAM, filter_home.dns_port):
        box = start_box(filter_home)
        held_by = rf"[Pp]ort {filter_home.dns_port} .*held by \S+ \(process {os.getpid()}\)"

        async def named() -> bool:
            return re.search(held_by, box.printed()) is not None

        await box.ready()
        await box.until(named)
        await box.set_up()

        async def shown() -> bool:
            return re.search(held_by, (await box.get("/status")).text) is not None

        await box.until(shown)


async def test_a_second_appliance_on_the_same_folder_is_refused(appliance_home: Home, start_box: StartBox) -> None:
    box = start_box(appliance_home)
    await box.ready()
    appliance_home.write("", web=f"web: {{listen: ['127.0.0.1'], port: {appliance_home.dns_port}}}\n")
    second = start_box(appliance_home)
    assert await asyncio.to_thread(second.process.wait, 30) == 75
    assert "is in use by another appliance" in second.printed()


async def test_mistakes_in_the_settings_start_nothing(appliance_home: Home, start_box: StartBox) -> None:
    appliance_home.write("wbe: {}\nschool: {timezone: Europe/Lundon}\nplugins: {dns_fliter: {}}\n")
    box = start_box(appliance_home)
    assert await asyncio.to_thread(box.process.wait, 30) == 2
    lines = box.printed().splitlines()
    assert len(lines) == 3
    assert all(line.startswith(f"{appliance_home.config_file}:") for line in lines)
    assert "Europe/London" in box.printed()
    assert "dns_filter" in box.printed()
    assert not (appliance_home.state / "records.db").exists()
    checked = run_cli(appliance_home, "check-config")
    assert (checked.returncode, checked.stderr.splitlines()) == (2, lines)


async def test_a_changed_file_is_applied_wholly_or_not_at_all(filter_home: Home, start_box: StartBox) -> None:
    box = start_box(filter_home)
    await box.ready()
    await box.until(lambda: blocks(filter_home))
    good = filter_home.config_file.read_text()

    filter_home.config_file.write_text(good.replace("block: [games]", "block: [gmaes]") + "school: {name: New}\n")
    refused = box.cli("reload")
    assert refused.returncode == 1
    assert "games" in refused.stdout
    assert await blocks(filter_home)
    shown = box.cli("config", "show")
    assert shown.returncode == 2

    filter_home.config_file.write_text(good.replace("mode: block", "mode: watch") + "school: {name: Hill School}\n")
    applied = box.cli("reload")
    assert applied.returncode == 0, applied.stdout

    async def lets_through() -> bool:
        return "SERVFAIL" in await asyncio.to_thread(dig, filter_home)  # the upstream does not exist

    await box.until(lets_through)
    await box.set_up()
    assert "Hill School" in (await box.get("/")).text
    assert re.search(r"school.name = \"Hill School\" +# .*appliance.yaml", box.cli("config", "show").stdout)


async def test_a_reload_that_a_plugin_does_not_survive_is_rolled_back(filter_home: Home, start_box: StartBox) -> None:
    filter_home.add_plugin(
        SPINS.replace('"""Nothing to set."""', "fail: bool = setting(False, 'Fail.')").replace(
            "    @hook",
            "        self.fail = settings.fail\n\n    @hook\n    async def startup(self):\n"
            "        if self.fail:\n            raise LookupError('as told')\n\n    @hook",
            1,
        ),
        "spins",
    )
    with_plugin = DNS.format(dns_port=filter_home.dns_port).replace("plugins:", "plugins:\n  spins: {}")
    filter_home.write(with_plugin)
    box = start_box(filter_home)
    await box.ready()
    await box.set_up()
    filter_home.write(with_plugin.replace("spins: {}", "spins: {fail: true}") + "school: {name: Never}\n")
    refused = box.cli("reload")
    assert refused.returncode == 1
    assert "Nothing was changed: the plugin spins would not start: failed: LookupError: as told" in refused.stdout
    await box.ready()
    home = (await box.get("/")).text
    assert "Never" not in home
    assert "Works." in (await box.get("/status")).text


async def test_a_plugin_that_was_mended_is_let_in_again_without_a_restart(
    appliance_home: Home, start_box: StartBox
) -> None:
    broken = SPINS.replace(
        "    @hook", "    @hook\n    async def startup(self):\n        raise LookupError\n\n    @hook", 1
    )
    folder = appliance_home.add_plugin(broken, "spins")
    appliance_home.write("plugins: {spins: {}}")
    box = start_box(appliance_home)
    await box.ready()
    await box.set_up()
    pid = box.main_pid()
    off_again = box.cli("plugin", "reset", "spins")
    assert (off_again.returncode, "is off again" in off_again.stdout) == (1, True)
    (folder / "__init__.py").write_text(SPINS.replace("import re", "return redirect('/spins/mended')"))
    reset = box.cli("plugin", "reset", "spins")
    assert reset.returncode == 0, reset.stdout
    assert (await box.get("/spins/now")).headers["Location"] == "/spins/mended"
    assert box.main_pid() == pid


async def test_two_changes_at_once_are_applied_one_after_the_other_or_refused(
    appliance_home: Home, start_box: StartBox
) -> None:
    box = start_box(appliance_home)
    await box.ready()
    await box.set_up()
    answers = await asyncio.gather(
        *(
            box.post("/settings/edit?path=school.name", {"path": "school.name", "value": name, "reason": "why"})
            for name in ("Ash", "Birch", "Cedar")
        )
    )
    assert sorted(answer.status for answer in answers)[0] == 303
    applied = [name for name, answer in zip(("Ash", "Birch", "Cedar"), answers, strict=True) if answer.status == 303]
    refused = [answer for answer in answers if answer.status != 303]
    assert all("Another change is being applied" in answer.text for answer in refused)

    async def named() -> bool:
        home = (await box.get("/")).text if await box.answers() else ""
        return any(name in home for name in applied)

    await box.until(named)


async def test_a_value_set_on_a_page_is_applied_and_undone(filter_home: Home, start_box: StartBox) -> None:
    box = start_box(filter_home)
    await box.ready()
    await box.set_up()
    form = {"path": "school.name", "value": "Mill Lane", "reason": "our name", "until": ""}
    answer = await box.post("/settings/edit?path=school.name", form)
    assert answer.status == 303, answer.text

    async def shows_it() -> bool | None:
        try:
            return "Mill Lane" in (await box.get("/")).text
        except aiohttp.ClientError:  # just then the old generation made way for the new one
            return None

    async def named() -> bool:
        return await shows_it() is True

    await box.until(named)
    shown = box.cli("config", "show").stdout
    assert re.search(r'school.name = "Mill Lane" +# .*our name', shown)
    page = (await box.get("/settings")).text
    row = re.search(r'name="id" value="([^"]+)"', page)
    assert row is not None
    action = re.search(r'action="(/settings/[^"]*undo[^"]*)"', page)
    assert action is not None
    assert (await box.post(action[1], {"id": row[1]})).status == 303

    async def unnamed() -> bool:
        return await shows_it() is False

    await box.until(unnamed)


LEDGER = '''
from appliance.api import *

class Written(Event):
    """Something was written."""

    number: int

class Plugin:
    """Keeps what it is sent, and hears of it as an event."""

    class Settings(Section):
        """Nothing to set."""

    def __init__(self, appliance, settings):
        self.appliance = appliance

    @hook
    def register_pages(self):
        return [Page("staff", "POST", "/ledger", self.write, Permission.OPERATE)]

    @hook
    def register_events(self):
        return [Written]

    @hook
    def register_listeners(self):
        return {Written: self.on_written}

    @hook
    def register_data(self):
        return [Data("ledger_written", "what was sent"), Data("ledger_heard", "what was heard of")]

    async def write(self, request):
        number = int((await read_form(request))["number"])
        async with self.appliance.records.transaction() as tx:
            await tx.execute("INSERT INTO ledger_written VALUES (?)", (number,))
            await self.appliance.bus.publish(tx, Written(number=number))
        return redirect(f"/ledger/{number}")

    async def on_written(self, event):
        async with self.appliance.records.transaction() as tx:
            await tx.execute(
                "INSERT INTO ledger_heard (number) VALUES (?) ON CONFLICT DO UPDATE SET times = times + 1",
                (event.number,),
            )
'''
LEDGER_SQL = """
CREATE TABLE ledger_written (number INTEGER PRIMARY KEY);
CREATE TABLE ledger_heard (number INTEGER PRIMARY KEY, times INTEGER NOT NULL DEFAULT 1);
"""
KILLS = 20


async def test_twenty_kills_lose_nothing_that_was_acknowledged(appliance_home: Home, tmp_path: Path) -> None:
    """The ledger of what was acknowledged is kept here, by the client; the process dies in the middle of the stream."""
    folder = appliance_home.add_plugin(LEDGER, "ledger")
    (folder / "migrations").mkdir(mode=0o755)
    (folder / "migrations" / "0001_ledger.sql").write_text(LEDGER_SQL)
    (folder / "migrations" / "0001_ledger.sql").chmod(0o644)
    appliance_home.write("plugins: {ledger: {}}")
    acknowledged: set[int] = set()
    numbers = iter(range(10**9))
    box = start_main(appliance_home, tmp_path / "main.log")
    await box.ready()
    await box.set_up()
    for kill in range(KILLS):
        writers = [asyncio.create_task(write_until_it_dies(box, numbers, acknowledged)) for _ in range(4)]
        wanted = len(acknowledged) + 1 + kill * 3
        while len(acknowledged) < wanted:
            await asyncio.sleep(0)
        box.process.send_signal(signal.SIGKILL)
        box.process.wait()
        await asyncio.gather(*writers)
        it = box.it
        box = start_main(appliance_home, tmp_path / "main.log")
        box.it = it
        await box.ready()
        await box.it.unlock()
    written, heard = await wait_until_all_is_heard(appliance_home, box)
    assert acknowledged <= written
    assert heard == written
    assert box.cli("audit", "verify").returncode == 0
    assert box.stop() == 0


def start_main(home: Home, log: Path) -> Box:
    command = [sys.executable, "-m", "appliance", "--config", str(home.config_file), "--trial", str(home.state), "run"]
    with log.open("a", encoding="utf-8") as file:
        return Box(home, subprocess.Popen(command, stdout=file, stderr=file, text=True), log)


async def write_until_it_dies(box: Box, numbers: Iterator[int], acknowledged: set[int]) -> None:
    with suppress(aiohttp.ClientError, OSError):
        while True:
            number = next(numbers)
            if (await box.post("/ledger", {"number": str(number)})).status == 303:
                acknowledged.add(number)


async def wait_until_all_is_heard(home: Home, box: Box) -> tuple[set[int], set[int]]:
    from appliance.db import Database

    records = Database(home.state / "records.db", read_only=True)
    await records.open()

    async def nothing_waits() -> bool:
        row = await records.fetch_one("SELECT count(*) AS n FROM deliveries")
        return row is not None and row["n"] == 0

    try:
        await box.until(nothing_waits)
        written = {row["number"] for row in await records.fetch("SELECT number FROM ledger_written")}
        heard = {row["number"] for row in await records.fetch("SELECT number FROM ledger_heard")}
    finally:
        await records.close()
    return written, heard
