"""Invented captures, and a school small enough to see through. Nobody in here exists and nobody wrote any of it."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from accounts import a_store

from appliance.access import PERMISSIONS, Actor, Role
from appliance.alerts.alerting import Alerts
from appliance.audit import Audit
from appliance.bus import Bus
from appliance.captures.keeping import Captures, Seen
from appliance.categories import Categories
from appliance.clock import new_id, stamp
from appliance.clock_jumps import ClockJumps
from appliance.db import Database
from appliance.live import Live, Subscriber
from appliance.observations import Finding, Observation, Severity, Surface
from appliance.sealing import Keys, new_pair
from appliance.vaults import CAPTURES, Vaults

PICTURES = {path.stem: path.read_bytes() for path in (Path(__file__).parent / "pictures").glob("*.jpg")}
TUESDAY = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
SHIPPED = Path(__file__).parent.parent / "etc" / "categories.yaml"


@dataclass(frozen=True)
class Story:
    """Something invented that a pupil wrote or read, and what a detector says of it."""

    text: str
    phrase: str
    surface: Surface
    category: str
    severity: Severity
    definition: str
    policy: str = "Starter policy"
    term: str = "term-1"
    host: str = "search.example"
    address: str = "https://search.example/find?q=invented"
    title: str = "An invented page"
    picture: str | None = "search"
    found: str = "exactly as it is written in the policy"
    is_test: bool = False
    steps: tuple[str, ...] = ()
    tried: tuple[str, ...] = ()
    why_severity: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    keeps_picture: bool = True
    alert: bool | None = None

    def finding(self) -> Finding:
        """What the detector says."""
        start = self.text.index(self.phrase)
        return Finding(
            policy=self.policy,
            version="1.0",
            term=self.term,
            phrase=self.phrase,
            category=self.category,
            severity=self.severity,
            definition=self.definition,
            start=start,
            end=start + len(self.phrase),
            found=self.found,
            is_test=self.is_test,
            steps=self.steps,
            tried=self.tried,
            why_severity=self.why_severity,
            facts=self.facts,
            picture=self.keeps_picture,
            alert=self.alert,
        )


SEVERE = Story(
    text="i cant do this any more. nobody would notice if i was gone, i want to end my life tonight",
    phrase="end my life",
    surface=Surface.TYPED,
    category="suicide",
    severity=Severity.SEVERE,
    definition="Says that somebody wants to die. Take it as meant until a person has talked with the pupil.",
    term="end-my-life",
    host="chat.example",
    address="https://chat.example/room/9",
    title="Chat",
    picture="chat",
)
MODERATE = Story(
    text="how to skip dinner without parents noticing thinspo tips",
    phrase="thinspo",
    surface=Surface.SEARCH,
    category="eating_disorder",
    severity=Severity.MODERATE,
    definition="Short for “thinspiration”: pictures and words that praise being very thin.",
    term="thinspo",
    title="thinspo tips - search",
    found="another spelling of “thinspiration”",
)
MINOR = Story(
    text="the poem speaks of the pub on the corner, where every friday they would get hammered and sing",
    phrase="get hammered",
    surface=Surface.PAGE,
    category="drugs",
    severity=Severity.MINOR,
    definition="Slang for being very drunk.",
    term="get-hammered",
    host="poems.example",
    address="https://poems.example/english/7",
    title="Poems for year nine",
    picture="essay",
)
HATE = Story(
    text="go back to where you came from, nobody wants your lot in our school",
    phrase="go back to where you came from",
    surface=Surface.TYPED,
    category="hate_race_religion",
    severity=Severity.MODERATE,
    definition="Said to people who are taken for foreigners, to tell them that they do not belong.",
    term="go-back",
    host="forum.example",
    address="https://forum.example/t/12",
    title="A forum",
    picture="chat",
)
ILLEGAL = Story(
    text="an invented phrase that stands for a code word of abusers",
    phrase="code word of abusers",
    surface=Surface.SEARCH,
    category="illegal",
    severity=Severity.SEVERE,
    definition="A code word with which abusers look for pictures of children.",
    term="h-17",
)
TEST = Story(
    text="purple penguins juggle pineapples",
    phrase="purple penguins juggle pineapples",
    surface=Surface.TYPED,
    category="test",
    severity=Severity.SEVERE,
    definition="The harmless test phrase of this appliance.",
    policy="Test phrase",
    term="test-phrase",
    picture="essay",
    is_test=True,
)
STORIES = (SEVERE, MODERATE, MINOR, HATE, ILLEGAL)


def seen(
    *stories: Story,
    person: str | None = None,
    device: str | None = None,
    endpoint: str = "endpoint-1",
    at: datetime = TUESDAY,
    claim: str = "browser profile",
    observation: str = "",
) -> Seen:
    """What intake hands over; the first story gives the text, all give findings."""
    first = stories[0]
    picture = PICTURES[first.picture] if first.picture else None
    return Seen(
        observation=Observation(
            id=observation or str(uuid.UUID(bytes=secrets.token_bytes(16), version=4)),
            at=stamp(at),
            surface=first.surface,
            text=first.text,
            title=first.title,
            address=first.address,
            host=first.host,
        ),
        findings=tuple(story.finding() for story in stories),
        endpoint=endpoint,
        device=device,
        person=person,
        claim=claim,
        picture=picture,
        picture_state="taken" if picture else "none",
        received_at=stamp(at + timedelta(seconds=1)),
    )


# A school without web pages


class Clock:
    """The school's clock and a stopwatch, which go only when somebody says so."""

    def __init__(self) -> None:
        self.moment = TUESDAY
        self.seconds = 1000.0

    def __call__(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.seconds

    def forward(self, step: timedelta) -> None:
        self.moment += step
        self.seconds += step.total_seconds()


@dataclass
class Member:
    """A member of staff with open keys."""

    actor: Actor
    keys: Keys


async def nobody_listens(*_: object) -> None:
    """There is no plugin."""


@dataclass
class CaptureSchool:
    """Services on a store of their own."""

    records: Database
    state_dir: Path
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.audit, self.live = Audit(self.records), Live()
        self.bus = Bus(self.records, (), nobody_listens)
        self.vaults = Vaults(self.records, self.audit)
        self.categories = Categories.load(SHIPPED)
        self.alerts = Alerts(self.records, self.audit, self.bus, self.live, 15, self.clock, self.clock.monotonic)
        self.captures = Captures(
            *(
                self.records,
                self.audit,
                self.vaults,
                self.alerts,
                self.categories,
                self.live,
                ClockJumps(self.records),
                self.state_dir,
            ),
            *("Europe/London", 365, self.clock),
        )

    async def member(
        self, name: str, role: Role, *scopes: tuple[str, str], opens: bool = True, person: str | None = None
    ) -> Member:
        """Somebody with an account; the first who opens what is sealed begins the vault."""
        private, public = new_pair()
        account = new_id()
        async with self.records.transaction() as tx:
            await tx.execute(
                "INSERT INTO staff_accounts (id, sign_in_name, name, role, person_id, state, made_at, made_by,"
                " public_key) VALUES (?, ?, ?, ?, ?, 'active', ?, 'a test', ?)",
                (account, name.casefold(), name, role, person, stamp(), public),
            )
            await tx.executemany(
                "INSERT INTO staff_scopes VALUES (?, ?, ?)", [(account, kind, target) for kind, target in scopes]
            )
        keys = Keys(account, private)
        if opens:
            await self._let_in(account, keys)
        await self.vaults.load_keys(keys)
        await self.alerts.refresh()
        return Member(Actor(name, PERMISSIONS[role], account, role, person), keys)

    async def _let_in(self, account: str, keys: Keys) -> None:
        openers = await self.vaults.members(CAPTURES)
        if not openers:
            async with self.records.transaction() as tx:
                await self.vaults.found(tx, CAPTURES, account, keys)
            self._first = keys
        else:
            await self.vaults.admit(Actor("The first", frozenset()), self._first, CAPTURES, account)

    async def person(self, name: str, kind: str = "pupil") -> str:
        person = new_id()
        async with self.records.transaction() as tx:
            await tx.execute(
                "INSERT INTO people (id, kind, name, sort_name, added_at) VALUES (?, ?, ?, ?, ?)",
                (person, kind, name, name.casefold(), stamp()),
            )
        return person

    async def device(self, name: str) -> str:
        device = new_id()
        async with self.records.transaction() as tx:
            await tx.execute("INSERT INTO devices (id, name, added_at) VALUES (?, ?, ?)", (device, name, stamp()))
        return device

    async def keep(self, one: Seen) -> str:
        """Keep a capture; its id."""
        await self.captures.keep(one)
        row = await self.records.fetch_one(
            "SELECT id FROM captures WHERE endpoint = ? AND observation = ?", (one.endpoint, one.observation.id)
        )
        assert row is not None
        return str(row["id"])

    async def done(self) -> list[tuple[str, str]]:
        """Who did what, the oldest first."""
        return [(row["actor"], row["action"]) for row in reversed(await self.audit.rows(None, 1000))]

    async def events(self) -> list[str]:
        """The payloads of the alerts that were raised, the oldest first."""
        rows = await self.records.fetch("SELECT payload FROM events WHERE type = 'AlertRaised' ORDER BY id")
        return [row["payload"] for row in rows]


@asynccontextmanager
async def a_capture_school(folder: Path) -> AsyncIterator[CaptureSchool]:
    """A school with nobody in it."""
    records = await a_store(folder)
    school = CaptureSchool(records, folder / "state")
    await school.alerts.start()
    yield school
    await records.close()


def messages(subscriber: Subscriber) -> list[tuple[str, str]]:
    """What has come for a browser: topic and data."""
    found = []
    while not subscriber.messages.empty():
        message = subscriber.messages.get_nowait()
        found.append((message.topic, message.data))
    return found


# A school with pages: for screenshots and demonstrations


DEVICES = ("Laptop 4", "Laptop 7", "Chromebook 12", "Library 2")
NAMES = ("Ada Okafor", "Ben Whitlock", "Chioma Eze", "Dilan Yıldız", "Effie Marsh", "Farah Siddiqui")  # noqa: RUF001 - so they are written


async def seed(captures: Captures, people: Sequence[str], devices: Sequence[str], until: datetime, number: int) -> None:
    """Keep ``number`` invented captures in the week before ``until``, the last one a few minutes ago."""
    for index in range(number):
        story = (*STORIES[1:4], *STORIES)[index % 8] if index else STORIES[1]
        person = None if index % 7 == 5 else people[(index * 5) % len(people)]
        await captures.keep(
            seen(
                story,
                person=person,
                device=devices[index % len(devices)],
                endpoint=f"endpoint-{index % len(devices)}",
                at=until - timedelta(minutes=4 + index * 47),
                claim="browser profile" if person else "nobody known",
            )
        )
