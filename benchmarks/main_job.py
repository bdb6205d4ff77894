"""From what a browser notices to a responsible adult: how long each step takes.

``python -m benchmarks.main_job [--quick]`` starts the whole appliance in processes of its own, with a real SMTP server,
the lead's page open, and browsers that speak the endpoint protocol over TLS. It measures, from the moment at which a
browser sends an observation:

- ``durable``: the box has answered "kept", so it is on the disk;
- ``live page``: the row has reached the open page of the lead;
- ``mail accepted``: the SMTP server has taken the mail of its alert.

At 1 and at 200 observations a minute, each from another device (what one device sends while nobody has taken its alert
is put together with that) and each a Severe capture with a picture of 80 kB. Clients and SMTP server run on
the same machine as the box. What it is compared with, in the same run: ``plain``, one row of 100 kB written with the
standard library's sqlite3 and ``synchronous=FULL`` on the same disk, and one mail handed to the same SMTP server with
the standard library's smtplib: what disk and mail server cost without an appliance around them.

``--quick`` takes fewer samples: at 1 a minute four, twenty seconds apart, so that the box is as idle as it would be.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import smtplib
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from statistics import median

import aiohttp

from appliance.access import Role
from appliance.clock import parse
from appliance.simulated_browser import A_PICTURE, SimulatedBrowser
from appliance.testing import HELP_SEEKING, Box, Colleague, Home, free_port, launch
from appliance.testing_mail import MailServer
from appliance.testing_school import begin_trial, found, let_in, make_trolley
from appliance.web.pages import COOKIE

PICTURE = A_PICTURE[:-2] + os.urandom(80_000) + A_PICTURE[-2:]
PHRASE = "honestly i want to die"
ADDRESS = "lead@school.example"
SETTLE_SECONDS = 30.0
RATES: Sequence[tuple[int, int, float]] = ((1, 10, 60.0), (200, 600, 0.3))
QUICK: Sequence[tuple[int, int, float]] = ((1, 4, 20.0), (200, 100, 0.3))
"""Observations a minute, how many are sent, and seconds from one to the next."""
STEPS = ("durable", "live page", "mail accepted")


@dataclass
class Sample:
    """One observation. Times of the monotonic clock, in seconds; ``at`` (ms) tells it again on the live page."""

    at: int
    sent: float
    kept: float = 0.0
    live: float = 0.0
    mailed: float = 0.0

    def step(self, name: str) -> float:
        """Seconds to one of ``STEPS``."""
        return {"durable": self.kept, "live page": self.live, "mail accepted": self.mailed}[name] - self.sent


@dataclass
class School:
    """A box that is set up: IT, a lead with a confirmed address, browsers that were let in and are monitored."""

    box: Box
    lead: Colleague
    mail: MailServer
    browsers: list[SimulatedBrowser]
    samples: dict[int, Sample] = field(default_factory=dict)
    in_order: list[Sample] = field(default_factory=list)
    mailed_before: int = 0
    row_came: asyncio.Event = field(default_factory=asyncio.Event)


# What it is compared with


def plain_rows(folder: Path, rows: int) -> list[float]:
    """Seconds for one row of 100 kB to be on the disk, each time."""
    connection = sqlite3.connect(folder / "plain.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE rows (n INTEGER PRIMARY KEY, content BLOB NOT NULL) STRICT")
    taken = []
    for _ in range(rows):
        started = time.perf_counter()
        connection.execute("INSERT INTO rows (content) VALUES (?)", (os.urandom(100_000),))
        taken.append(time.perf_counter() - started)
    connection.close()
    return taken


def plain_mails(port: int, mails: int) -> list[float]:
    """Seconds for one mail to be accepted, on a connection of its own each time."""
    taken = []
    for number in range(mails):
        message = EmailMessage()
        message["Subject"], message["From"], message["To"] = (
            f"Plain {number}",
            "box@school.example",
            "it@school.example",
        )
        message.set_content("There is an alert.")
        started = time.perf_counter()
        with smtplib.SMTP("127.0.0.1", port) as client:
            client.send_message(message)
        taken.append(time.perf_counter() - started)
    return taken


# Setting up


async def set_up(folder: Path, mail: MailServer, devices: int) -> School:
    """A school that monitors a trolley of laptops, and a lead who gets mail."""
    home_folder = folder / "home"
    home_folder.mkdir(mode=0o755)
    (home_folder / "help_seeking.yaml").write_text(HELP_SEEKING, encoding="utf-8")
    home = Home(home_folder, free_port(), free_port())
    home.write(f"plugins: {{keyword: {{}}, email_alert: {mail.settings()}}}")
    box = launch(home, folder / "box.log")
    await box.ready()
    await box.set_up()
    lead = box.colleague("lena", "pickle orbit velvet canyon")
    await lead.join(await box.invite("Lena Lead", "lena", Role.LEAD))
    trolley = await make_trolley(box)
    browsers = await let_in(box, trolley, devices)
    await begin_trial(lead, trolley)
    await confirm_address(lead, mail)
    return School(box, lead, mail, browsers)


async def confirm_address(lead: Colleague, mail: MailServer) -> None:
    """The lead's address, with the code that comes to it."""
    await lead.post("/email_alert/add", {"address": ADDRESS, "for": "me"})
    code = found(r"\b(\d{3} ?\d{3})\b", (await mail.letter(to=ADDRESS)).text)
    address = found(r'name="id" value="([^"]+)"', (await lead.get("/email_alert")).text)
    await lead.post("/email_alert/code", {"id": address, "code": code})


# Measuring


async def run(school: School, number: int, pause: float) -> list[Sample]:
    """Send so many observations, one each ``pause`` seconds whatever becomes of them; wait until all have arrived."""
    school.in_order, school.mailed_before = [], len(school.mail.found(ADDRESS, "Severe"))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        watching = asyncio.create_task(watch(school, session))
        fresh = [school.browsers.pop() for _ in range(number)]
        for browser in fresh:
            await browser.open(session)
            await browser.greet()
            await browser.monitored()
        begun, sending = time.monotonic(), []
        for count in range(number):
            await asyncio.sleep(max(0.0, begun + count * pause - time.monotonic()))
            sending.append(asyncio.create_task(send(school, fresh[count])))
        await asyncio.gather(*sending)
        await settle(school)
        watching.cancel()
        for browser in fresh:
            await browser.close()
    return school.in_order


async def send(school: School, browser: SimulatedBrowser) -> None:
    """One observation."""
    sample = Sample(int(time.time() * 1000), time.monotonic())
    while sample.at in school.samples:
        sample.at -= 1
    school.samples[sample.at] = sample
    school.in_order.append(sample)
    answer = await browser.observe(typed=PHRASE, at=sample.at, picture=PICTURE)
    assert answer["type"] == "kept", answer
    sample.kept = time.monotonic()


async def watch(school: School, session: aiohttp.ClientSession) -> None:
    """The lead's open page: its live stream."""
    headers = {"Host": f"staff.localhost:{school.lead.port}", "Cookie": f"{COOKIE}={school.lead.cookie}"}
    url = f"https://127.0.0.1:{school.lead.port}/live"
    async with session.get(url, headers=headers, ssl=False, timeout=aiohttp.ClientTimeout(total=None)) as stream:
        async for line in stream.content:
            if not line.startswith(b"data: "):
                continue
            message = json.loads(line[6:])
            if message["topic"] == "appliance.captures":
                at = round(parse(message["data"]["at"]).timestamp() * 1000)
                school.samples[at].live = time.monotonic()
                school.row_came.set()


async def settle(school: School) -> None:
    """Wait for the last row and the last mail. Mails are paired in order: they say nothing of what they are about."""
    wanted = len(school.in_order)
    await school.mail.letter(to=ADDRESS, subject="Severe", number=school.mailed_before + wanted, seconds=SETTLE_SECONDS)
    letters = school.mail.found(ADDRESS, "Severe")[school.mailed_before :]
    assert len({letter.id for letter in letters}) == wanted
    for sample, letter in zip(school.in_order, letters, strict=True):
        sample.mailed = letter.at
    async with asyncio.timeout(SETTLE_SECONDS):
        while not all(sample.live for sample in school.in_order):
            await school.row_came.wait()
            school.row_came.clear()


# Telling


def in_ms(seconds: Sequence[float]) -> dict[str, float]:
    """Median and 99th percentile in milliseconds."""
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return {"median": round(median(ordered) * 1000, 1), "p99": round(p99 * 1000, 1)}


async def measure(quick: bool) -> dict[str, object]:
    """Everything, in a folder that goes away at the end."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with MailServer() as mail:
            rates = QUICK if quick else RATES
            school = await set_up(folder, mail, sum(number for _, number, _ in rates))
            try:
                rows = in_ms(await asyncio.to_thread(plain_rows, folder, 100))
                mails = in_ms(await asyncio.to_thread(plain_mails, mail.port, 50))
                result: dict[str, object] = {"plain": {"row of 100 kB": rows, "mail": mails}}
                print(f"{'':32}{'median':>10}{'p99':>10}   ms")
                print_line("plain: a row of 100 kB", rows)
                print_line("plain: a mail", mails)
                for rate, number, pause in rates:
                    samples = await run(school, number, pause)
                    told = {step: in_ms([sample.step(step) for sample in samples]) for step in STEPS}
                    for step, times in told.items():
                        print_line(f"{rate} a minute: {step}", times)
                    ratio = round(told["durable"]["median"] / rows["median"], 1)
                    result[f"{rate} a minute"] = {**told, "samples": number, "durable / plain row": ratio}
            finally:
                school.box.stop()
    return result


def print_line(what: str, times: dict[str, float]) -> None:
    """One line of the table."""
    print(f"{what:32}{times['median']:>10}{times['p99']:>10}", flush=True)


def main() -> None:
    """Measure, print a table, and one JSON object as the last line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="fewer samples")
    print(json.dumps(asyncio.run(measure(parser.parse_args().quick))))


if __name__ == "__main__":
    main()
