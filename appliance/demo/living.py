"""The life of the invented school: filled once with days of captures, then things go on happening, live.

What is new comes the real way: browsers in this process connect to the box like those of a school, are let in, seal
what they notice, and wait for the answer. Only the days before the demonstration began are written without them.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp

from appliance.access import Actor, Role
from appliance.app import Appliance
from appliance.captures.keeping import Seen
from appliance.captures.reading import Filter
from appliance.captures.statuses import Status
from appliance.clock import now, stamp
from appliance.demo import internet
from appliance.demo.accounts import Ready, SignedIn, admit_deputies, make_accounts
from appliance.demo.asking import NEEDED, ask_for_names, from_address
from appliance.demo.filtering import set_filter
from appliance.demo.policies import set_policies
from appliance.demo.scenes import SCENES, Scene
from appliance.demo.school import Made, go_live, make_directory
from appliance.detection import DetectionAway
from appliance.endpoints.tokens import NewToken
from appliance.errors import ApplianceError, CannotStart
from appliance.hookspecs import Permission
from appliance.observations import Observation, Surface
from appliance.simulated_browser import Closed, SimulatedBrowser, key_of_pem, pem_of_key
from appliance.whole_files import write_atomically

FILE = "demonstration.json"
DAYS = 12
CAPTURES_A_DAY = 5
LIVE_BROWSERS = 5
FIRST_SECONDS, LEAST_SECONDS, MOST_SECONDS = 20.0, 25.0, 90.0
"""Pauses between two things that happen: short enough that whoever looks sees one arrive."""
RETRY_SECONDS = 5.0
_EVERYTHING = Actor("the demonstration", frozenset(Permission))

log = logging.getLogger(__name__)


class Demonstration:
    """``appliance`` is asked anew each time: a change of settings begins a new generation of services."""

    def __init__(self, appliance: Callable[[], Appliance], state_dir: Path, say: Callable[[str], None]) -> None:
        self._appliance = appliance
        self._file = state_dir / FILE
        self._say = say
        self._random = random.Random()  # noqa: S311 - an invented school has no secrets to guess

    async def run(self) -> None:
        """Fill the school if it is empty, say how to sign in, and let things happen until cancelled."""
        if not self._file.exists():
            await self._fill()
        kept = json.loads(self._file.read_text(encoding="utf-8"))
        self._say(_sign_in_words(kept["accounts"]))
        await self._live(kept)

    # Before it began

    async def _fill(self) -> None:
        appliance = self._appliance()
        if appliance.staff.is_set_up:
            raise CannotStart("This folder holds a box that is no demonstration.", "Give the demonstration its own.")
        accounts, signed_in = await make_accounts(appliance)
        lead = signed_in[Role.LEAD]
        made = await make_directory(appliance, _EVERYTHING)
        await admit_deputies(appliance, lead)
        await go_live(appliance, lead.actor)
        browsers = await self._enrol(appliance, made)
        await set_policies(appliance, lead.cookie, signed_in[Role.DEPUTY].cookie)
        await self._write_history(appliance, made)
        await self._judge_some(appliance, lead)
        await set_filter(appliance, lead.cookie)
        async with appliance.records.transaction() as tx:
            for one in signed_in.values():
                await appliance.staff.sessions.end(tx, one.session)
        kept = {"accounts": [asdict(one) for one in accounts], "browsers": browsers}
        write_atomically(self._file, json.dumps(kept).encode())

    async def _enrol(self, appliance: Appliance, made: Made) -> list[dict[str, str]]:
        """A few laptops ask to be let in, and IT says yes."""
        await appliance.endpoints.tokens.make(_EVERYTHING, NewToken("Laptops", most_uses=100, days=30))
        token = (await appliance.endpoints.tokens.all(_EVERYTHING))[0]["token"]
        names = [name for _, name, pupil in made.devices if pupil is not None][:LIVE_BROWSERS]
        browsers = [self._browser(appliance, name=name, token=token) for name in names]
        for browser in browsers:
            async with browser.connected():
                await browser.enrol()
        waiting = await appliance.endpoints.enrolment.waiting(_EVERYTHING)
        await appliance.endpoints.enrolment.approve(_EVERYTHING, [row["id"] for row in waiting], "all at once")
        return [{"name": browser.name, "key": pem_of_key(browser.key)} for browser in browsers]

    async def _write_history(self, appliance: Appliance, made: Made) -> None:
        moment = now() - timedelta(days=DAYS)
        while moment < now() - timedelta(hours=1):
            moment += timedelta(hours=self._random.uniform(0.5, 14 / CAPTURES_A_DAY))
            if not appliance.timetable.in_school(moment):
                continue
            device, _, pupil = self._random.choice(made.devices)
            seen = await self._seen(appliance, self._random.choice(SCENES), stamp(moment), device, pupil)
            if seen is not None:
                await appliance.captures.keep(seen)

    async def _seen(self, appliance: Appliance, scene: Scene, at: str, device: str, pupil: str | None) -> Seen | None:
        """What a browser would have sent, judged by the real detectors; ``None`` if they find nothing."""
        observation = Observation(
            id=str(uuid4()),
            at=at,
            surface=scene.surface,
            text=scene.text,
            title=scene.title,
            address=f"https://{scene.host}{scene.path}",
            host=scene.host,
        )
        findings = tuple(await self._judged(appliance, observation))
        if not findings:
            return None
        claim = "assigned to the device" if pupil else "nobody known"
        picture = _picture(scene)
        return Seen(observation, findings, "demonstration", device, pupil, claim, picture, "taken", at)

    @staticmethod
    async def _judged(appliance: Appliance, observation: Observation) -> list[Any]:
        while True:
            try:
                return list(await appliance.detection.judge(observation))
            except DetectionAway:
                await asyncio.sleep(0.2)

    async def _judge_some(self, appliance: Appliance, lead: SignedIn) -> None:
        """Most of what is old was dealt with."""
        later = (Status.RESOLVED, Status.FALSE_POSITIVE, Status.INVESTIGATION, Status.ESCALATED)
        captures = appliance.captures
        page = await captures.reading.find(lead.actor, Filter(), "newest", 1)
        for number, row in enumerate(page.rows):
            if number % 4 != 0:
                status = later[number % len(later)]
                await captures.judging.set_status(lead.actor, lead.keys, row["id"], status, _NOTES[status])

    # From now on

    async def _live(self, kept: dict[str, Any]) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(internet.answer(_upstreams(self._appliance())))
            tasks.create_task(ask_for_names(self._appliance(), len(kept["browsers"])))
            for number, one in enumerate(kept["browsers"]):
                tasks.create_task(self._use(number, one))

    async def _use(self, number: int, kept: dict[str, str]) -> None:
        """One laptop: connected all day, and now and then something is noticed on it."""
        browser = self._browser(self._appliance(), name=kept["name"], key=key_of_pem(kept["key"]))
        pause = FIRST_SECONDS * (number + 1)
        while True:
            try:
                await self._connection(browser, number, pause)
            except (Closed, aiohttp.ClientError, OSError, TimeoutError, ApplianceError) as error:
                log.info("A laptop of the demonstration lost its box: %s", type(error).__name__)
            pause = self._random.uniform(LEAST_SECONDS, MOST_SECONDS) * LIVE_BROWSERS
            await asyncio.sleep(RETRY_SECONDS)

    async def _connection(self, browser: SimulatedBrowser, number: int, pause: float) -> None:
        async with from_address(number) as own, browser.connected(own):
            await browser.greet()
            await browser.welcomed()
            while True:
                await browser.stay(pause)
                scene = self._random.choice(SCENES)
                await browser.observe(
                    surface=scene.surface.value,
                    text=scene.text,
                    title=scene.title,
                    address=f"https://{scene.host}{scene.path}",
                    picture=_picture(scene) if scene.surface is not Surface.ADDRESS else None,
                )
                pause = self._random.uniform(LEAST_SECONDS, MOST_SECONDS) * LIVE_BROWSERS

    @staticmethod
    def _browser(appliance: Appliance, **about: Any) -> SimulatedBrowser:
        settings = appliance.config.settings.web
        host = f"endpoint.{settings.domain}" + ("" if settings.port == 443 else f":{settings.port}")
        extension = appliance.endpoints.extension
        return SimulatedBrowser(
            settings.port, extension.id, scheme="https", host=host, version=extension.version,
            counter=int(time.time()), **about,
        )  # fmt: skip


_NOTES = {
    Status.RESOLVED: "Spoke with the pupil and the form tutor. Home knows.",
    Status.FALSE_POSITIVE: "A line from the set book.",
    Status.INVESTIGATION: "Asked the head of year what happened in the chat.",
    Status.ESCALATED: "Referred, as the policy says.",
}


def _upstreams(appliance: Appliance) -> tuple[str, ...]:
    """The name servers that the web filter asks."""
    return getattr(appliance.config.plugins.get(NEEDED), "upstreams", ())


def _picture(scene: Scene) -> bytes:
    return (resources.files("appliance.demo") / "pictures" / scene.picture).read_bytes()


def _sign_in_words(accounts: list[dict[str, Any]]) -> str:
    lines = ["", "  This is a demonstration. Everything in it is invented. Sign in as one of these:", ""]
    for one in (Ready(**account) for account in accounts):
        lines.append(f"  {one.role:26} name {one.sign_in_name:6} password {one.password}")
        lines.append(f"  {'':26} code: one of {', '.join(one.codes[:4])} (each works once),")
        lines.append(f"  {'':26} or from an authenticator app with the key {one.factor}")
    return "\n".join([*lines, ""])
