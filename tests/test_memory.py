"""What a process let go of cannot be found in its memory any more."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from appliance.accounts.sessions import SWEEP_SECONDS, KeyRing
from appliance.memory import ENVIRONMENT, forget, settle
from appliance.sealing import Keys, new_pair
from appliance.testing import Box, Home

USES_SECRETS = """
import json, os, sqlite3, sys
from jinja2 import Environment
from appliance.memory import forget
from appliance.sealing import Keys, Recipient, new_pair, open_envelope, seal

ID = "0193a1b2-0000-7000-8000-00000000000a"

def use(words: bytes) -> None:
    private, public = new_pair()
    keys = Keys("ada", private)
    keys.put(ID, 1, private)
    text = open_envelope(seal(words, ID, "note", [Recipient(ID, 1, public)]), keys).decode()
    page = Environment(autoescape=True).from_string("<p>{{ text }}</p>{% for one in words %}<li>{{ one }}{% endfor %}")
    html = page.render(text=text, words=text.split())
    store = sqlite3.connect(":memory:")
    store.execute("CREATE TABLE note (text)")
    store.execute("INSERT INTO note VALUES (?)", (text,))
    answer = json.dumps({"html": html, "stored": store.execute("SELECT text FROM note").fetchall()}).encode()
    store.close()
    circle = [bytearray(answer), text.upper()]
    circle.append(circle)

use(os.read(0, 100_000))
forget()
print("done", flush=True)
os.read(0, 1)
"""


def copies(pid: int, needle: str) -> int:
    """How often a text of ASCII letters is in the memory of a process, in any width that Python keeps text in."""
    found = 0
    with Path(f"/proc/{pid}/maps").open() as maps, Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in maps:
            area, rights, _, _, _, *name = line.split()
            if "r" not in rights or any(one.startswith("[v") for one in name):  # the kernel's own pages
                continue
            start, end = (int(number, 16) for number in area.split("-"))
            memory.seek(start)
            content = memory.read(end - start)
            found += sum(content.count(needle.encode(encoding)) for encoding in ("utf-8", "utf-16-le", "utf-32-le"))
    return found


def left_behind(environment: Mapping[str, str], pad: str, times: int) -> int:
    """How many copies a process holds after it has used a secret and let it go."""
    secret = secrets.token_hex(12)
    process = subprocess.Popen(
        [sys.executable, "-c", USES_SECRETS],
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        os.write(process.stdin.fileno(), " ".join([secret + pad] * times).encode())
        assert process.stdout.readline() == b"done\n"
        found = copies(process.pid, secret) + copies(process.pid, secret.upper())
        process.stdin.close()
    return found


@pytest.mark.parametrize(("pad", "times"), [("", 1), ("", 40), ("", 2000), ("é", 40), ("中", 40)])
def test_nothing_is_left_of_what_was_let_go(pad: str, times: int) -> None:
    assert left_behind(ENVIRONMENT, pad, times) == 0


@pytest.mark.parametrize("missing", [name for name in ENVIRONMENT if name != "LD_BIND_NOW"])
def test_each_variable_is_needed(missing: str) -> None:
    """The search does find something when the protection is off. What the one left out is for, processors without
    AVX-512 do not do: there it would find nothing."""
    without = {name: value for name, value in ENVIRONMENT.items() if name != missing}
    assert left_behind(without, "", 40) > 0


class Circle:
    """Something that nothing reaches but itself."""

    def __init__(self) -> None:
        self.self = self


def test_answers_that_were_under_way_when_a_browser_was_locked_are_freed_too() -> None:
    clock = [0.0]
    ring = KeyRing(lambda: clock[0])
    ring.put("a session", Keys("ada", new_pair()[0]))
    ring.drop("a session")
    for seconds in (0.0, SWEEP_SECONDS):
        clock[0] = seconds
        late = weakref.ref(Circle())
        ring.sweep()
        assert late() is None


async def test_the_trial_starts_the_main_process_with_it(
    appliance_home: Home, start_box: Callable[[Home], Box]
) -> None:
    appliance_home.write("")
    box = start_box(appliance_home)
    await box.ready()
    started_with = Path(f"/proc/{box.main_pid()}/environ").read_text().replace("\0", ":")  # glibc puts zeros for colons
    for name, value in ENVIRONMENT.items():
        assert f":{name}={value}:" in started_with
    assert box.stop() == 0


def test_what_has_come_since_the_start_is_freed_and_the_rest_at_the_next_start() -> None:
    before = Circle()
    settle()
    since = Circle()
    kept, freed = weakref.ref(before), weakref.ref(since)
    del before, since
    forget()
    assert freed() is None
    assert kept() is not None  # nobody looks there: it was there when nothing had been opened
    settle()
    assert kept() is None
