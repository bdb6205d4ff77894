"""The demonstration: its invented school is there, can be signed in to, and goes on living."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from appliance.demo.asking import query
from appliance.demo.internet import answer_to
from appliance.demo.living import Demonstration
from appliance.demo.scenes import SCENES, Scene
from appliance.demo.school import pupils
from appliance.demo.settings import BANNER, INTERNET_PORT, SETTINGS
from appliance.errors import CannotStart
from appliance.testing import HELP_SEEKING, Box, Colleague, Home, Running, free_port

ETC = Path(__file__).parent.parent / "etc"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A folder for a demonstration, with ports of its own."""
    folder = tmp_path / "demonstration"
    folder.mkdir()
    (folder / "help_seeking.yaml").write_text(HELP_SEEKING)
    home = Home(folder, free_port(), free_port())
    ports = f'web: {{listen: ["127.0.0.1"], port: {home.web_port}}}\n'
    listen = f'  dns_filter:\n    listen: ["127.0.0.1"]\n    port: {home.dns_port}\n'
    settings = SETTINGS.replace("  dns_filter:\n", listen).replace(str(INTERNET_PORT), str(free_port()))
    home.config_file.write_text(ports + settings)
    return home


async def test_somebody_looks_at_the_demonstration(home: Home, tmp_path: Path) -> None:
    output = tmp_path / "demonstration.log"
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "appliance", "--config", str(ETC / "appliance.yaml"), "demo", str(home.folder)],
            stdout=file,
            stderr=file,
            text=True,
        )
    box = Box(home, process, output)
    try:
        await box.until(is_announced(box))
        lead = re.search(
            r"Safeguarding lead +name (\w+) +password ([a-z ]+)\n +code: one of ([0-9A-Z-]+)", box.printed()
        )
        assert lead is not None
        colleague = box.colleague(lead[1], lead[2])
        colleague.sheet = [lead[3]]
        await colleague.sign_in()
        page = (await colleague.get("/captures")).text
        assert BANNER in page
        before = page.count('href="/captures/')
        assert before > 8

        async def all_connected() -> bool:
            return "5 let in, 5 connected" in (await colleague.get("/devices/working")).text

        await box.until(all_connected)

        asked_for = (await colleague.get("/dns_filter/requests")).text
        assert asked_for.index("photos.example") < asked_for.index("chess.example")  # one waits, one is decided
        assert "The chess club meets" in asked_for

        await has_decided_about_policies(colleague)

        async def filter_is_used() -> bool:
            page = (await colleague.get("/dns_filter")).text
            return "It is on the list" in page and "answered by 127.0.0.1:" in page and "LAPTOP-0" in page

        await box.until(filter_is_used)

        async def one_more() -> bool:
            return (await colleague.get("/captures?order=newest")).text.count('href="/captures/') > before

        await box.until(one_more)
    finally:
        assert box.stop() == 0


async def has_decided_about_policies(lead: Colleague) -> None:
    """One of everything that a lead may meet on the pages of policies."""
    for path, words in {
        "/keyword": "Words of our school",
        "/keyword/policies/own_words_of_our_school": "swamp donkey",
        "/keyword/requests": "It is a line of the play",
        "/keyword/names": "Trella the Smella",
        "/keyword/suggestions": "bunk off after registration",
        "/keyword/levels": "Two pupils are being helped.",
        "/keyword/times": "While school is out",
    }.items():
        assert words in (await lead.get(path)).text, path


def is_announced(box: Box) -> Callable[[], Awaitable[bool]]:
    async def announced() -> bool:
        return "This is a demonstration" in box.printed()

    return announced


async def test_a_box_in_earnest_is_left_alone(
    appliance_home: Home, start_appliance: Callable[[Home], Awaitable[Running]]
) -> None:
    running = await start_appliance(appliance_home)
    demonstration = Demonstration(lambda: running.appliance, appliance_home.state, lambda words: None)
    with pytest.raises(CannotStart, match="no demonstration"):
        await demonstration.run()
    assert not await running.appliance.directory.counts(running.actor)


def test_no_pupil_is_called_like_another() -> None:
    names = [name for name, _ in pupils()]
    assert len(set(names)) == len(names) > 50


def test_a_question_is_one_that_dns_servers_read() -> None:
    from dnslib import DNSRecord

    record = DNSRecord.parse(query("games.example"))
    assert str(record.q.qname) == "games.example."


def test_the_invented_internet_answers_questions_and_nothing_else() -> None:
    from dnslib import DNSRecord

    record = DNSRecord.parse(answer_to(query("lessons.example")))
    assert [str(one.rname) for one in record.rr] == ["lessons.example."]
    assert str(record.rr[0].rdata).startswith("192.0.2.")
    other = DNSRecord.parse(answer_to(DNSRecord.question("lessons.example", "AAAA").pack()))
    assert (other.header.rcode, other.rr) == (0, [])
    assert answer_to(b"") == answer_to(b"\1" * 13) == b""


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.text)
def test_each_scene_is_found_by_the_supplied_policies(scene: Scene) -> None:
    from appliance_plugins.keyword import detect

    assert detect(scene.text, scene.surface.value)
