"""Fixtures for our own tests and for plugin authors, shipped as a pytest plugin.

``appliance_home``: a folder of its own with a settings file, free ports and a place for drop-in plugins.
``start_appliance``: starts a real appliance in the test's own process (stores, events, jobs, web pages) and returns a
``Running``; ``start_box``: starts a whole trial in processes of its own and returns a ``Box``. Nothing is simulated.

    async def test_the_menu_is_shown(appliance_home, start_appliance):
        appliance_home.add_plugin(Path(__file__).parent.parent)
        appliance_home.write("plugins: {dinner_menu: {}}")
        running = await start_appliance(appliance_home)
        assert "Pasta" in (await running.get("/dinner_menu")).text
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from appliance import app
from appliance.config import Place
from appliance.containment import Containment, Note, attribute_tasks
from appliance.loading import load
from appliance.staff import Staff
from appliance.trust import Authority
from appliance.web.guard import COOKIE
from appliance.web.server import WebServer

START_SECONDS = 60.0
SETTINGS = """\
web: {{listen: ["127.0.0.1"], port: {web_port}}}
exempt: {{help_seeking_file: help_seeking.yaml}}
"""
HELP_SEEKING = """\
places:
  - {host: childline.org.uk, name: Childline, why: somebody to talk to}
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a page answered."""

    status: int
    text: str
    headers: Mapping[str, str]


@dataclass
class Home:
    """Where a test's appliance lives. ``write`` its settings, ``add_plugin`` folders, then start it."""

    folder: Path
    web_port: int
    dns_port: int

    @property
    def config_file(self) -> Path:
        """The settings file."""
        return self.folder / "appliance.yaml"

    @property
    def state(self) -> Path:
        """The folder of the stores."""
        return self.folder / "var"

    @property
    def place(self) -> Place:
        """For everything that wants to know where the settings lie."""
        return Place(self.config_file, self.state)

    def write(self, settings: str, web: str | None = None) -> None:
        """Write the settings file: ``settings`` (YAML) after a first part with the test's own port."""
        first = SETTINGS.format(web_port=self.web_port) if web is None else web
        self.config_file.write_text(first + settings, encoding="utf-8")

    def add_plugin(self, source: Path | str, name: str | None = None) -> Path:
        """Drop a plugin in: a folder that is copied, or the text of an ``__init__.py``. Returns where it lies."""
        if isinstance(source, Path):
            target = self.place.drop_in_dir / (name or source.name)
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "tests"))
        else:
            assert name is not None, "text needs a name"
            target = self.place.drop_in_dir / name
            target.mkdir(parents=True)
            (target / "__init__.py").write_text(source, encoding="utf-8")
        for path in (self.place.drop_in_dir, target, *target.rglob("*")):
            path.chmod(path.stat().st_mode & ~0o022)
        return target


@dataclass
class Running:
    """An appliance in this process, and a browser that is signed in to its staff pages."""

    appliance: app.Appliance
    port: int
    cookie: str
    _web: WebServer
    _sockets: list[socket.socket] = field(default_factory=list)

    async def get(self, path: str, site: str = "staff", *, signed_in: bool = True) -> Answer:
        """Ask for a page."""
        return await self._ask("GET", path, site, None, signed_in)

    async def post(
        self, path: str, data: Mapping[str, str] | None = None, site: str = "staff", *, signed_in: bool = True
    ) -> Answer:
        """Send a form as the site's own page would."""
        return await self._ask("POST", path, site, data or {}, signed_in)

    async def _ask(self, method: str, path: str, site: str, data: Mapping[str, str] | None, signed_in: bool) -> Answer:
        headers = {"Host": f"{site}.localhost:{self.port}", "Sec-Fetch-Site": "same-origin"}
        if signed_in:
            headers["Cookie"] = f"{COOKIE}={self.cookie}"
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.request(
                method, f"http://127.0.0.1:{self.port}{path}", data=data, headers=headers, allow_redirects=False
            ) as response,
        ):
            return Answer(response.status, await response.text(), dict(response.headers))

    async def delivered(self) -> None:
        """Wait until every event has been delivered or given up."""
        async with asyncio.timeout(START_SECONDS):
            while await self.appliance.bus.waiting():
                await asyncio.sleep(0.01)

    async def run_job(self, plugin: str, name: str) -> None:
        """Run a plugin's job now, as its time would."""
        await self.appliance.plugins.run(plugin, f"job {name}", self.appliance.plugins.job(plugin, name).run)

    async def stop(self) -> None:
        """Stop everything; nothing happens a second time."""
        await self._web.stop()
        await app.stop(self.appliance)
        for listening in self._sockets:
            listening.close()
        self._sockets = []


async def start_in_process(home: Home) -> Running:
    """Start an appliance in the running loop, its pages on plain HTTP on loopback."""
    loop = asyncio.get_running_loop()
    if loop.get_task_factory() is None:
        attribute_tasks(loop)
    loaded = await load(home.place)
    settings = loaded.config.settings
    settings.storage.run_dir.mkdir(parents=True, exist_ok=True)
    containment = Containment(Note(settings.storage.run_dir / "running.note"), settings.limits.hook_seconds)
    appliance = app.build(loaded.config, loaded.found, containment)
    await app.open_stores(appliance)
    await app.start(appliance, loaded.troubles)
    staff = Staff(appliance.records, appliance.audit)
    cookie = await staff.redeem(await staff.new_link())
    assert cookie is not None
    authority = Authority.open(settings.storage.state_dir / "trust", settings.web.domain, "A school")
    certificate = authority.ensure_server_certificate(["localhost"], ["127.0.0.1"])
    listening = socket.create_server(("127.0.0.1", 0))
    web = WebServer(appliance, staff, [listening], None, authority, certificate)
    await web.start()
    await appliance.health.refresh()
    return Running(appliance, listening.getsockname()[1], cookie, web, [listening])


@dataclass
class Box:
    """A whole appliance in processes of its own, as ``make run`` starts it."""

    home: Home
    process: subprocess.Popen[str]
    output: Path
    cookie: str = ""

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the command line on this box."""
        return run_cli(self.home, *arguments)

    async def until(self, condition: Callable[[], Awaitable[bool]], seconds: float = START_SECONDS) -> None:
        """Wait until ``condition`` holds; fails with what the box printed."""
        try:
            async with asyncio.timeout(seconds):
                while not await condition():
                    if self.process.poll() is not None:
                        raise AssertionError(
                            f"The box ended with {self.process.returncode}:\n{self.output.read_text()}"
                        )
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"Waited {seconds:g} seconds in vain:\n{self.printed()[-4000:]}") from None

    async def ready(self) -> None:
        """Wait until the pages answer and the addresses are printed."""
        await self.until(self.answers)
        await self.until(self._has_said_so)

    async def _has_said_so(self) -> bool:
        return "Ctrl-C stops everything." in self.printed()

    async def answers(self) -> bool:
        """Whether the pages answer at this moment."""
        with suppress(aiohttp.ClientError, OSError):
            return (await self.get("/set-up")).status == 200
        return False

    def printed(self) -> str:
        """Everything the box has printed."""
        return self.output.read_text(encoding="utf-8")

    def setup_code(self) -> str:
        """The code in the latest set-up link that was printed."""
        return str(re.findall(r"/set-up#(\S+)", self.printed())[-1])

    async def sign_in(self, code: str | None = None) -> None:
        """Open the staff pages with the link that was printed, or with another code."""
        answer = await self.post("/set-up", {"code": code or self.setup_code()})
        match = re.match(rf"{COOKIE}=([^;]+)", answer.headers.get("Set-Cookie", ""))
        assert match is not None, answer.text
        self.cookie = match[1]

    async def get(self, path: str, site: str = "staff") -> Answer:
        """Ask for a page."""
        return await self._ask("GET", path, site, None)

    async def post(self, path: str, data: Mapping[str, str] | None = None, site: str = "staff") -> Answer:
        """Send a form as the site's own page would."""
        return await self._ask("POST", path, site, data or {})

    async def _ask(self, method: str, path: str, site: str, data: Mapping[str, str] | None) -> Answer:
        headers = {"Host": f"{site}.localhost:{self.home.web_port}", "Sec-Fetch-Site": "same-origin"}
        if self.cookie:
            headers["Cookie"] = f"{COOKIE}={self.cookie}"
        url = f"https://127.0.0.1:{self.home.web_port}{path}"
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.request(method, url, data=data, headers=headers, ssl=False, allow_redirects=False) as response,
        ):
            return Answer(response.status, await response.text(), dict(response.headers))

    def main_pid(self) -> int:
        """The process that holds the record store."""
        return int((self.home.state / "records.db.lock").read_text())

    def kill_main(self, number: int = signal.SIGKILL) -> int:
        """Send the main process a signal; returns its old process id."""
        pid = self.main_pid()
        os.kill(pid, number)
        return pid

    def stop(self) -> int:
        """Ctrl-C; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(15)


def run_cli(home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``appliance ARGUMENTS`` for this home."""
    command = [sys.executable, "-m", "appliance", "--config", str(home.config_file), "--trial", str(home.state)]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60, check=False)


def free_port() -> int:
    """A TCP and UDP port of loopback that nobody uses at this moment."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            tcp.bind(("127.0.0.1", 0))
            port: int = tcp.getsockname()[1]
            with suppress(OSError):
                udp.bind(("127.0.0.1", port))
                return port


@pytest.fixture
def appliance_home(tmp_path: Path) -> Home:
    """A place for an appliance of the test's own."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o755)
    (folder / "help_seeking.yaml").write_text(HELP_SEEKING, encoding="utf-8")
    home = Home(folder, free_port(), free_port())
    home.write("")
    return home


@pytest.fixture
async def start_appliance() -> AsyncIterator[Callable[[Home], Awaitable[Running]]]:
    """Start appliances in this process; they are stopped after the test."""
    running: list[Running] = []

    async def start(home: Home) -> Running:
        running.append(await start_in_process(home))
        return running[-1]

    yield start
    for box in running:
        await box.stop()


@pytest.fixture
def start_box(tmp_path: Path) -> Iterator[Callable[[Home], Box]]:
    """Start whole trials in processes of their own; they are stopped after the test."""
    boxes: list[Box] = []

    def start(home: Home) -> Box:
        output = tmp_path / f"box-{len(boxes)}.log"
        command = [sys.executable, "-m", "appliance", "--config", str(home.config_file), "--trial", str(home.state)]
        with output.open("w", encoding="utf-8") as file:
            process = subprocess.Popen([*command, "trial"], stdout=file, stderr=file, text=True)
        boxes.append(Box(home, process, output))
        return boxes[-1]

    yield start
    for box in boxes:
        box.stop()
