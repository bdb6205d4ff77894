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
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from base64 import b32decode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import aiohttp
import pytest

from appliance import app, probed
from appliance.access import Actor, Role
from appliance.accounts.second_factor import code_at, step_of
from appliance.accounts.staff import EVERYONE_BY_DEFAULT, Scope
from appliance.clock import now
from appliance.config import Place
from appliance.containment import Containment, Note, attribute_tasks
from appliance.keys_on_disk import EXTENSION_KEY, ExtensionKey
from appliance.loading import load
from appliance.memory import settle
from appliance.plugin_finder import find_plugins
from appliance.sealing import Keys, new_pair
from appliance.trust import Authority
from appliance.vaults import VAULT_NAMES
from appliance.web.pages import COOKIE
from appliance.web.server import WebServer
from appliance.whole_files import write_atomically

if TYPE_CHECKING:
    from appliance.testing_mail import MailServer

START_SECONDS = 60.0
KEPT_SECONDS = 300.0
"""How long browsers keep a connection that they do not use, or longer."""
IT_NAME = "ida"
IT_PASSWORD = "wombat ladder teal harbour"  # noqa: S105 - of tests
KEPT = Path(tempfile.gettempdir()) / f"appliance-tests-{os.getuid()}"
"""What tests leave for those after them."""
PROBED = KEPT / probed.FILE
"""What was found out about the code of plugins."""
FormFields = Mapping[str, str] | Sequence[tuple[str, str]]
SETTINGS = """\
web: {{listen: ["127.0.0.1"], port: {web_port}, http_port: 0}}
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

    def trust_plugins(self) -> None:
        """Take the plugins that were dropped in as tried: to be quick, where the trial is not what a test is about."""
        self.state.mkdir(parents=True, exist_ok=True, mode=0o750)
        found = find_plugins(self.place.drop_in_dir)
        probed.Probed(self.state).note({name: one for name, one in found.items() if one.source == "drop-in"})


@dataclass
class Browser:
    """A browser at the pages of an appliance. ``cookie`` is empty while nobody is signed in in it."""

    port: int
    cookie: str
    _kept: aiohttp.ClientSession | None = field(default=None, init=False, repr=False)

    scheme: ClassVar[str] = "http"

    async def get(self, path: str, site: str = "staff", *, signed_in: bool = True) -> Answer:
        """Ask for a page."""
        return await self._ask("GET", path, site, None, signed_in)

    async def post(
        self, path: str, data: FormFields | None = None, site: str = "staff", *, signed_in: bool = True
    ) -> Answer:
        """Send a form as the site's own page would."""
        return await self._ask("POST", path, site, data or {}, signed_in)

    async def _ask(self, method: str, path: str, site: str, data: FormFields | None, signed_in: bool) -> Answer:
        headers = {"Host": f"{site}.localhost:{self.port}", "Sec-Fetch-Site": "same-origin"}
        if signed_in and self.cookie:
            headers["Cookie"] = f"{COOKIE}={self.cookie}"
        url = f"{self.scheme}://127.0.0.1:{self.port}{path}"
        async with (
            nullcontext(self._kept) if self._kept else _connections() as session,
            session.request(method, url, data=data, headers=headers, ssl=False, allow_redirects=False) as response,
        ):
            return Answer(response.status, await response.text(errors="replace"), dict(response.headers))

    @asynccontextmanager
    async def kept_alive(self) -> AsyncIterator[None]:
        """Keep connections open from one request to the next, as real browsers do."""
        async with _connections(aiohttp.TCPConnector(keepalive_timeout=KEPT_SECONDS)) as self._kept:
            yield
        self._kept = None


def _connections(connector: aiohttp.TCPConnector | None = None) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), connector=connector)


@dataclass
class Client(Browser):
    """A browser that is signed in with an account of its own. ``actor`` is who the appliance takes it for."""

    account: str
    actor: Actor


@dataclass
class Running(Client):
    """An appliance in this process, and a browser that is signed in to its staff pages as IT."""

    appliance: app.Appliance
    _web: WebServer
    _sockets: list[socket.socket] = field(default_factory=list)
    http_port: int = 0
    """Where plain HTTP is answered, for host names of others."""

    async def as_role(self, role: Role | str | None, scopes: Sequence[Scope] = (), name: str = "") -> Client:
        """A browser of somebody new with this role; leads, deputies and heads may see everybody unless told otherwise.

        The account is ready without a password: it has its key pair, and its browser is unlocked. The first lead can
        open what is sealed; others have to be let in.
        """
        return await sign_in_as(self.appliance, self.port, Role(role) if role else None, scopes, name)

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
    _know_what_was_probed(home)
    _have_an_extension_key(home)
    loaded = await load(home.place)
    _note_what_was_probed(home)
    settings = loaded.config.settings
    settings.storage.run_dir.mkdir(parents=True, exist_ok=True)
    containment = Containment(Note(settings.storage.run_dir / "running.note"), settings.limits.hook_seconds)
    appliance = app.build(loaded.config, loaded.found, containment)
    await app.open_stores(appliance)
    await app.start(appliance, loaded.troubles)
    authority = Authority.open(settings.storage.state_dir / "trust", settings.web.domain, "A school")
    certificate = authority.ensure_server_certificate(["localhost"], ["127.0.0.1"])
    listening, plain = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
    web = WebServer(appliance, [listening], None, authority, certificate, [plain])
    await web.start()
    await appliance.health.refresh()
    port = listening.getsockname()[1]
    it = await sign_in_as(appliance, port, Role.IT, (), "Ida Technician")
    sockets, http_port = [listening, plain], plain.getsockname()[1]
    return Running(port, it.cookie, it.account, it.actor, appliance, web, sockets, http_port)


def _know_what_was_probed(home: Home) -> None:
    """Tests do not try the same code again and again in child processes, unless the home has its own answers."""
    if PROBED.exists():
        home.state.mkdir(parents=True, exist_ok=True, mode=0o750)
        own = home.state / probed.FILE
        kept = json.loads(own.read_bytes()) if own.exists() else {}
        write_atomically(own, json.dumps({**json.loads(PROBED.read_bytes()), **kept}).encode())


def _note_what_was_probed(home: Home) -> None:
    kept = home.state / probed.FILE
    if kept.exists() and (not PROBED.exists() or kept.read_bytes() != PROBED.read_bytes()):
        PROBED.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(PROBED, kept.read_bytes())


def _have_an_extension_key(home: Home) -> None:
    """Looking for primes takes half as long as everything else of a start: a new home gets a key that was made before.

    The first home makes its own, as a new box does; those after it have the same.
    """
    trust, kept = home.state / "trust", KEPT / EXTENSION_KEY
    if trust.exists():
        return
    home.state.mkdir(parents=True, exist_ok=True, mode=0o750)
    trust.mkdir(mode=0o700)
    if kept.exists():
        write_atomically(trust / EXTENSION_KEY, kept.read_bytes())
    else:
        ExtensionKey.open(trust)
        KEPT.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(kept, (trust / EXTENSION_KEY).read_bytes())


async def sign_in_as(
    appliance: app.Appliance, port: int, role: Role | None, scopes: Sequence[Scope] = (), name: str = ""
) -> Client:
    """An account that is ready, and a browser in which it is signed in. No password is stretched, to be quick.

    Whoever was here before the appliance was started again is known by ``name``, and gets a new key pair.
    """
    staff = appliance.staff
    number = len(staff.all()) + 1
    private, public = new_pair()
    known = next((one for one in staff.all() if one.name == name), None)
    about = list(scopes) or ([Scope("everyone")] if role in EVERYONE_BY_DEFAULT and not known else [])
    async with appliance.records.transaction() as tx:
        shown = name or f"{role.label if role else 'Nobody'} {number}"
        account = known or await staff.add(tx, "a test", shown, f"account{number}", role)
        keys = Keys(account.id, private)
        await tx.execute(
            "UPDATE staff_accounts SET state = 'active', joined_at = made_at, public_key = ? WHERE id = ?",
            (public, account.id),
        )
        await tx.executemany(
            "INSERT INTO staff_scopes (account_id, kind, target) VALUES (?, ?, ?)",
            [(account.id, scope.kind, scope.target) for scope in about],
        )
        await staff.take_after_commit(tx)
        if role is Role.LEAD:
            for vault in VAULT_NAMES:
                await appliance.vaults.found(tx, vault, account.id, keys)
        cookie = await staff.sessions.begin(tx, "work", account.id, keys)
    await appliance.vaults.load_keys(keys)
    session = staff.sessions.find(cookie)
    assert session is not None
    return Client(port, cookie, account.id, await staff.actor(session))


@dataclass
class Colleague(Browser):
    """Somebody with an account at a whole box, made ready and used on the real pages.

    ``secrets`` are what the pages have shown once: ``factor`` as letters, ``recovery_key`` as printed, and ``sheet``,
    the recovery codes that were not used yet.
    """

    sign_in_name: str
    password: str
    factor: str = ""
    recovery_key: str = ""
    sheet: list[str] = field(default_factory=list)

    scheme: ClassVar[str] = "https"

    async def join(self, code: str) -> None:
        """From the code of an invitation to a signed-in browser."""
        self.enter(await self.post("/join", {"code": code}))
        await self.post("/join/password", {"password": self.password, "again": self.password})
        await self.make_ready()

    async def make_ready(self) -> None:
        """The steps after the password: second factor and recovery sheet."""
        page = (await self.get("/join/factor")).text
        packed, self.factor = _found(r'name="packed" value="(\w+)"', page), _found(r'"secret">([A-Z2-7 ]+)<', page)
        code = code_at(b32decode(self.factor.replace(" ", "")), step_of(now()))
        assert (await self.post("/join/factor", {"packed": packed, "code": code})).status == 303
        page = (await self.post("/join/keep")).text
        check, self.recovery_key = _found(r'name="check" value="(\w+)"', page), _found(r'"secret">([0-9A-Z -]+)<', page)
        self.sheet = re.findall(r"<li><code>([0-9A-Z-]+)</code></li>", page)
        self.enter(await self.post("/join/done", {"check": check, "typed": self.recovery_key[:4]}))

    async def sign_in(self) -> None:
        """Sign in with a recovery code: codes of an app would come every half minute only."""
        form = {"name": self.sign_in_name, "password": self.password, "code": self.sheet.pop()}
        self.enter(await self.post("/sign-in", form))

    async def unlock(self) -> None:
        """Open a locked browser again, as after a start of the appliance."""
        self.enter(await self.post("/unlock", {"password": self.password}))

    def enter(self, answer: Answer) -> None:
        """Keep the session that an answer has begun."""
        self.cookie = _found(rf"^{COOKIE}=([^;]+)", answer.headers.get("Set-Cookie", answer.text))


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match is not None, text
    return match[1]


@dataclass
class Box:
    """A whole appliance in processes of its own, as ``make run`` starts it. ``it``: IT's account, once it is set up."""

    home: Home
    process: subprocess.Popen[str]
    output: Path
    it: Colleague = field(init=False)

    def __post_init__(self) -> None:
        self.it = self.colleague(IT_NAME, IT_PASSWORD)

    def colleague(self, sign_in_name: str, password: str) -> Colleague:
        """Somebody who comes to this box with a browser of their own."""
        return Colleague(self.home.web_port, "", sign_in_name, password)

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
        _note_what_was_probed(self.home)

    async def _has_said_so(self) -> bool:
        return "Ctrl-C stops everything." in self.printed()

    async def answers(self) -> bool:
        """Whether the pages answer at this moment."""
        with suppress(aiohttp.ClientError, OSError):
            return (await self.get("/sign-in")).status == 200
        return False

    def printed(self) -> str:
        """Everything the box has printed."""
        return self.output.read_text(encoding="utf-8")

    def setup_code(self) -> str:
        """The code in the latest set-up link that was printed."""
        return str(re.findall(r"/set-up#(\S+)", self.printed())[-1])

    async def set_up(self, school: str = "", code: str = "") -> None:
        """The first half of the set-up, as IT does it: from the link that was printed to a signed-in browser."""
        self.it.enter(await self.post("/set-up", {"code": code or self.setup_code()}))
        own = {"school": school or "A school", "name": "Ida Technician", "sign_in_name": IT_NAME}
        self.it.enter(await self.post("/set-up/account", {**own, "password": IT_PASSWORD, "again": IT_PASSWORD}))
        await self.until(self._shows_the_school)  # naming it has begun a new generation
        await self.it.make_ready()

    async def _shows_the_school(self) -> bool:
        with suppress(aiohttp.ClientError, OSError):
            return '<span class="school">' in (await self.get("/sign-in")).text
        return False

    async def invite(self, name: str, sign_in_name: str, role: Role) -> str:
        """The code of an invitation that IT has made."""
        form = {"name": name, "sign_in_name": sign_in_name, "role": role.value}
        return _found(r"/join#([0-9A-Z-]+)", (await self.post("/staff/invite", form)).text)

    # IT's browser

    @property
    def cookie(self) -> str:
        """The session of IT's browser."""
        return self.it.cookie

    @cookie.setter
    def cookie(self, cookie: str) -> None:
        self.it.cookie = cookie

    async def sign_in(self) -> None:
        """Sign in as IT."""
        await self.it.sign_in()

    async def get(self, path: str, site: str = "staff") -> Answer:
        """Ask for a page."""
        return await self.it.get(path, site)

    async def post(self, path: str, data: FormFields | None = None, site: str = "staff") -> Answer:
        """Send a form as the site's own page would."""
        return await self.it.post(path, data, site)

    def main_pid(self) -> int:
        """The process that holds the record store."""
        while not (number := (self.home.state / "records.db.lock").read_text()):
            pass  # it is being written at this moment
        return int(number)

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


def launch(home: Home, output: Path) -> Box:
    """Start a whole trial in processes of its own, which prints to a file. Whoever calls this stops it."""
    _know_what_was_probed(home)
    _have_an_extension_key(home)
    command = [sys.executable, "-m", "appliance", "--config", str(home.config_file), "--trial", str(home.state)]
    with output.open("w", encoding="utf-8") as file:
        process = subprocess.Popen([*command, "trial"], stdout=file, stderr=file, text=True)
    return Box(home, process, output)


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


def pytest_collection_finish() -> None:
    """Whoever signs out has garbage looked for: not among all that pytest knows of all tests."""
    settle()


def new_home(folder: Path) -> Home:
    """A place for an appliance, in a folder that is made."""
    folder.mkdir(mode=0o755)
    (folder / "help_seeking.yaml").write_text(HELP_SEEKING, encoding="utf-8")
    home = Home(folder, free_port(), free_port())
    home.write("")
    return home


@pytest.fixture
def appliance_home(tmp_path: Path) -> Home:
    """A place for an appliance of the test's own."""
    return new_home(tmp_path / "home")


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
        boxes.append(launch(home, tmp_path / f"box-{len(boxes)}.log"))
        return boxes[-1]

    yield start
    for box in boxes:
        box.stop()


@pytest.fixture
async def mail_server() -> AsyncIterator[MailServer]:
    """A real SMTP server with a mailbox, without encryption and sign-in. ``appliance.testing_mail`` has others."""
    from appliance.testing_mail import MailServer  # noqa: PLC0415 - needs aiosmtpd, which few tests want

    async with MailServer() as server:
        yield server
