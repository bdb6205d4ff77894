"""From what a browser notices to a responsible adult: how long each step takes.

``python -m benchmarks.main_job [--quick]`` starts the whole appliance in processes of its own, with a real SMTP server, the
lead's page open, and browsers that speak the endpoint protocol over TLS. It measures, from the moment at which a browser
sends an observation:

- ``durable``: the box has answered "kept", so it is on the disk;
- ``live page``: the row has reached the open page of the lead;
- ``mail accepted``: the SMTP server has taken the mail of its alert.

At 1 and at 200 observations a minute; each is a Severe capture with a picture of 80 kB. The first line of the table is the
floor to compare with: one row written with the standard library's sqlite3 and ``synchronous=FULL``, on the same disk.
The clients and the SMTP server run on the same machine as the box. ``--quick`` keeps the pace but takes fewer samples.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import aiohttp

from appliance.access import Role
from appliance.simulated_browser import SimulatedBrowser
from appliance.testing import HELP_SEEKING, Box, Colleague, Home, free_port, launch
from appliance.testing_mail import MailServer
from appliance.web.pages import COOKIE

BROWSERS = 8
PICTURE_BYTES = 80_000
PHRASE = "i want to die"
SETTLE_SECONDS = 20.0


@dataclass
class Sample:
    """One observation. Times of the monotonic clock, in seconds; ``at`` tells it again on the live page."""

    at: int
    sent: float
    kept: float = 0.0
    live: float = 0.0
    mailed: float = 0.0


@dataclass
class School:
    """A box that is set up: IT, a lead with a verified address, browsers that are let in and monitored."""

    box: Box
    lead: Colleague
    mail: MailServer
    browsers: list[SimulatedBrowser]
    samples: dict[int, Sample] = field(default_factory=dict)


def floor_seconds(folder: Path, rows: int = 200) -> list[float]:
    """How long one row takes to be on the disk, without anything around it."""
    connection = sqlite3.connect(folder / "floor.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE rows (n INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT")
    taken = []
    for _ in range(rows):
        started = time.perf_counter()
        connection.execute("INSERT INTO rows (text) VALUES (?)", ("x" * 4000,))
        taken.append(time.perf_counter() - started)
    connection.close()
    return taken
