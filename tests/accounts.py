"""A school's accounts on a real store and on real pages, for the tests of signing in, joining and staff.

Nothing is simulated. Some things are made quick: a password is stretched once for each salt (``Counting`` remembers
what the real one gave), ``School.somebody`` makes an account that is ready without the steps of joining, and with the
fixture ``quick_passwords`` stretching needs little memory.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import threading
from base64 import b32decode
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from appliance.access import Actor, Role
from appliance.accounts import passwords
from appliance.accounts.credentials import Credentials
from appliance.accounts.joining import Joining
from appliance.accounts.passwords import Stretched, Stretcher
from appliance.accounts.second_factor import FactorKey, code_at, new_secret, step_of
from appliance.accounts.sessions import KeyRing, Session, Sessions
from appliance.accounts.signing_in import SignedIn, SigningIn, Throttle, Visitor
from appliance.accounts.staff import EVERYONE_BY_DEFAULT, Scope, Staff
from appliance.audit import Audit
from appliance.bus import Bus
from appliance.clock import new_id, now, stamp
from appliance.db import Database
from appliance.live import Live
from appliance.loading import resource
from appliance.migrate import CORE, migrate
from appliance.notices import Notices
from appliance.sealing import Keys, new_pair, wrap
from appliance.testing import HELP_SEEKING, Answer, Client, Colleague, Home, Running, free_port
from appliance.vaults import VAULT_NAMES, Vaults

PASSWORD = "wombat ladder teal harbour"
WRONG = "badger hammer pink valley"
NEW = "otter chisel mauve orchard"
IDLE = timedelta(minutes=15)
LIFE = timedelta(hours=10)
HOME = Visitor("10.1.2.3")
_SALT = b"the tests' salt."
_FACTOR_KEY = secrets.token_bytes(32)
_EMPTY: list[bytes] = []
_STRETCHED: dict[tuple[str, bytes], Stretched] = {}


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def forward(self, step: timedelta) -> None:
        self.seconds += step.total_seconds()


class Counting(Stretcher):
    """The real one; counts how often it is asked, by whether the browser was known, and can be made to take long."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[bool] = []
        self._free = asyncio.Event()
        self._free.set()

    async def stretch(self, password: str, salt: bytes, *, known: bool = False) -> Stretched:
        self.asked.append(known)
        await self._free.wait()
        if (password, salt) not in _STRETCHED:
            _STRETCHED[password, salt] = await super().stretch(password, salt, known=known)
        return _STRETCHED[password, salt]

    @asynccontextmanager
    async def taking_long(self, *works: Coroutine[Any, Any, object]) -> AsyncIterator[list[asyncio.Task[object]]]:
        """Inside the block each of these works waits for its password to be stretched; after it they go on."""
        self.asked.clear()
        self._free.clear()
        tasks = [asyncio.create_task(work) for work in works]
        while len(self.asked) < len(tasks):
            await asyncio.sleep(0)
        yield tasks
        self._free.set()

    def count(self) -> int:
        """How often since the last time."""
        asked, self.asked = len(self.asked), []
        return asked


@dataclass
class Somebody:
    """An account that can sign in, and what its owner has: a password, an app, a printed sheet, a browser."""

    id: str
    name: str
    sign_in_name: str
    secret: bytes
    codes: list[str]
    recovery_key: str
    actor: Actor
    session: Session
    keys: Keys
    browser: str

    @property
    def visitor(self) -> Visitor:
        """The browser in which this person has signed in before."""
        return Visitor(HOME.address, self.browser)

    def code(self, steps: int = 0) -> str:
        """What the app shows now, or showed and will show some steps away."""
        return code_at(self.secret, step_of(now()) + steps)


async def no_plugin(owner: str, what: str, call: object) -> None:
    """There is none."""
    raise AssertionError(f"{owner} has no listener")


@dataclass
class School:
    """A generation of the services on a store."""

    records: Database
    clock: Clock = field(default_factory=Clock)
    ring: KeyRing = field(init=False)
    stretcher: Counting = field(default_factory=Counting)
    idle: timedelta = IDLE
    life: timedelta = LIFE

    def __post_init__(self) -> None:
        self.ring = KeyRing(self.clock)
        self.throttle = Throttle(self.clock)
        self._make()

    def _make(self) -> None:
        records, self.audit = self.records, Audit(self.records)
        self.vaults, self.live = Vaults(records, self.audit), Live()
        self.notices = Notices(records, Bus(records, (), no_plugin), self.live)
        self.sessions = Sessions(records, self.ring, self.idle, self.life)
        self.staff = Staff(records, self.audit, self.sessions, self.vaults, self.notices)
        self.credentials = Credentials(records, self.vaults, FactorKey(lambda: _FACTOR_KEY), self.stretcher)
        parts = (records, self.audit, self.staff, self.credentials)
        self.signing_in = SigningIn(*parts, self.vaults, self.notices, self.throttle)
        self.joining = Joining(*parts, self.signing_in, self.vaults, self.notices, self.throttle)

    async def start(self) -> None:
        """As the appliance starts them."""
        await self.notices.start()
        await self.staff.start()
        await self.sessions.start()

    async def apply_settings(self) -> None:
        """As after a change of settings: everything is made anew, and what opens content stays open."""
        self._make()
        await self.start()

    async def start_again(self) -> None:
        """As after a new start of the process: what was in memory is gone."""
        self.ring.keep_only(())
        self.__post_init__()
        await self.start()

    async def somebody(
        self, role: Role | None, name: str = "", *, scopes: Sequence[Scope] = (), active: bool = True
    ) -> Somebody:
        """An account whose owner has signed in once. The first lead begins the vaults."""
        number = len(self.staff.all()) + 1
        private, public = new_pair()
        secret = new_secret()
        about = list(scopes) or ([Scope("everyone")] if role in EVERYONE_BY_DEFAULT else [])
        stretched = await self.stretcher.stretch(PASSWORD, _SALT)
        self.stretcher.asked.pop()
        async with self.records.transaction() as tx:
            account = await self.staff.add(tx, "a test", name or f"Somebody {number}", f"account{number}", role)
            keys = Keys(account.id, private)
            by_password = wrap(private, stretched.key, b"appliance account key by password v1 " + account.id.encode())
            await tx.execute(
                "UPDATE staff_accounts SET state = ?, joined_at = made_at, public_key = ?, salt = ?, verifier = ?,"
                " key_by_password = ?, totp = ? WHERE id = ?",
                (
                    *("active" if active else "disabled", public, _SALT, stretched.verifier, by_password),
                    *(self.credentials._factor_key.seal(account.id, secret), account.id),
                ),
            )
            sheet = await self.credentials.new_printed(tx, account.id, keys)
            await tx.executemany(
                "INSERT INTO staff_scopes (account_id, kind, target) VALUES (?, ?, ?)",
                [(account.id, scope.kind, scope.target) for scope in about],
            )
            await self.staff.take_after_commit(tx)
            if role is Role.LEAD and active:
                for vault in VAULT_NAMES:
                    await self.vaults.found(tx, vault, account.id, keys)
            browser = await self.signing_in.remember(tx, account, HOME, known=False)
            session_id = await self.sessions.begin(tx, "work", account.id, keys)
        await self.vaults.load_keys(keys)
        session = self.sessions.find(session_id)
        assert session is not None
        actor = await self.staff.actor(session)
        return Somebody(
            *(account.id, account.name, account.sign_in_name, secret, list(sheet.codes), sheet.recovery_key),
            *(actor, session, keys, browser),
        )

    async def sign_in(self, who: Somebody, visitor: Visitor = HOME, password: str = PASSWORD) -> SignedIn:
        """Sign in with a recovery code, as often as there are some."""
        return await self.signing_in.sign_in(who.sign_in_name, password, who.codes.pop(), visitor)

    def session(self, session_id: str) -> Session:
        """The session of an id that is in force."""
        found = self.sessions.find(session_id)
        assert found is not None
        return found

    async def person(self, name: str, kind: str = "staff") -> str:
        """Somebody in the directory."""
        person = new_id()
        async with self.records.transaction() as tx:
            await tx.execute(
                "INSERT INTO people (id, kind, name, sort_name, added_at) VALUES (?, ?, ?, lower(?), ?)",
                (person, kind, name, name, stamp()),
            )
        return person

    async def done(self, *without: str) -> list[str]:
        """Every action on the record, oldest first."""
        return [row[1] for row in await self.record() if row[1] not in without]

    async def record(self) -> list[tuple[str, str, str, Any]]:
        """Every row of the record, oldest first: who, what, to what, detail."""
        rows = await self.audit.rows(None, 1000)
        return [(row["actor"], row["action"], row["subject"], json.loads(row["detail"])) for row in reversed(rows)]

    async def told(self, who: Somebody) -> list[str]:
        """Of what kind the notices are that somebody was left, oldest first."""
        return [row["kind"] for row in reversed(await self.notices.all(who.actor))]


async def a_store(folder: Path) -> Database:
    """A store with every table, open. The tables are made once; a new store is a copy."""
    path = folder / "records.db"
    if _EMPTY:
        path.write_bytes(_EMPTY[0])
    database = Database(path)
    await database.open()
    if not _EMPTY:
        await migrate(database, CORE, resource("migrations"))
        await database.copy_to(folder / "empty.db")
        _EMPTY.append((folder / "empty.db").read_bytes())
    return database


@asynccontextmanager
async def a_school(folder: Path) -> AsyncIterator[School]:
    """A school without accounts."""
    database = await a_store(folder)
    school = School(database)
    await school.start()
    yield school
    school.stretcher.close()
    await database.close()


# The same on the pages of an appliance in this process


def make_home(folder: Path) -> Home:
    folder.mkdir(mode=0o755)
    (folder / "help_seeking.yaml").write_text(HELP_SEEKING, encoding="utf-8")
    home = Home(folder, free_port(), free_port())
    home.write("")
    return home


@dataclass
class Guest(Colleague):
    """Somebody who comes with a link in a browser of their own, to an appliance in this process."""

    scheme: ClassVar[str] = "http"

    @property
    def secret(self) -> bytes:
        return b32decode(self.factor.replace(" ", ""))

    async def open(self, code: str, path: str = "/join") -> Answer:
        answer = await self.post(path, {"code": code})
        if answer.status == 303:
            self.enter(answer)
        return answer

    async def choose(self, path: str, **more: str) -> Answer:
        return await self.post(path, {"password": self.password, "again": self.password, **more})

    def another(self, password: str = "") -> Guest:
        """The same person in another browser."""
        return Guest(
            self.port, "", self.sign_in_name, password or self.password, self.factor, self.recovery_key, self.sheet
        )


def link_in(answer: Answer) -> str:
    """The code of the link that a page shows."""
    match = re.search(r"/join#([0-9A-Z-]+)", answer.text)
    assert match is not None, answer.text
    return match[1]


async def invite(running: Running, by: Client, name: str, role: str = "none") -> tuple[Guest, str]:
    """Invite on the page; the guest, and the code that was handed over."""
    sign_in_name = name.lower().replace(" ", ".")
    answer = await by.post("/staff/invite", {"name": name, "sign_in_name": sign_in_name, "role": role})
    return Guest(running.port, "", sign_in_name, PASSWORD), link_in(answer)


async def joined(running: Running, lead: Client, name: str, role: str = "teacher") -> Guest:
    """Somebody who has joined."""
    guest, code = await invite(running, lead, name, role)
    await guest.open(code)
    await guest.choose("/join/password")
    await guest.make_ready()
    return guest


# Fixtures for modules that keep one appliance


@pytest.fixture(autouse=True, scope="module")
def no_store_is_left_open() -> Iterator[None]:
    """In place of the check after each test: the appliance of this module lives as long as the module."""
    yield
    for thread in threading.enumerate():
        if "_connection_worker_thread" in thread.name:
            thread.join(10)
            assert not thread.is_alive(), "a store was left open"


@pytest.fixture(autouse=True, scope="module")
def quick_passwords() -> Iterator[None]:
    """What a password costs is not the matter here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "MEMORY_KIB", 64)
        yield
