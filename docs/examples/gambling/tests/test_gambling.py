"""The detector in a real appliance: in the detection process, on what a device sends."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from appliance.clock import new_id, stamp
from appliance.observations import EndpointDevice, Observation, Severity, Surface
from appliance.testing import Home, Running

Start = Callable[[Home], Awaitable[Running]]

FOLDER = Path(__file__).parent.parent
TEXT = "ok 🎲 i bet £20 on it, you bet 2, she staked 500"


@pytest.fixture
async def running(appliance_home: Home, start_appliance: Start) -> Running:
    appliance_home.add_plugin(FOLDER)
    appliance_home.write("plugins: {gambling: {least: 10}}\n")
    return await start_appliance(appliance_home)


async def test_a_bet_is_found(running: Running) -> None:
    findings = await running.appliance.detection.judge(Observation(new_id(), stamp(), Surface.TYPED, TEXT))
    assert [TEXT[finding.start : finding.end] for finding in findings] == ["bet £20", "staked 500"]
    assert {finding.severity for finding in findings} == {Severity.MINOR}


async def test_what_is_only_read_is_not(running: Running) -> None:
    assert await running.appliance.detection.judge(Observation(new_id(), stamp(), Surface.PAGE, TEXT)) == []


async def test_a_browser_looks_for_it_where_somebody_is_monitored(running: Running) -> None:
    for monitored in (True, False):
        device = EndpointDevice("e", "d", None, monitored=monitored)
        assert await running.appliance.plugins.endpoint_policies(device) == {"gambling": {"on": monitored}}


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node.js")
def test_the_browser_notices_what_the_box_finds(tmp_path: Path) -> None:
    script = tmp_path / "notice.mjs"
    script.write_text(
        f'import {{ prepare }} from "{(FOLDER / "browser" / "main.js").as_uri()}";\n'
        f"const text = {json.dumps(TEXT)};\n"
        "const found = prepare({ on: true })(text).map(({ start, end }) => text.slice(start, end));\n"
        "console.log(JSON.stringify([found, prepare({ on: false })(text)]));\n"
    )
    ran = subprocess.run(["node", str(script)], capture_output=True, check=True, text=True)
    assert json.loads(ran.stdout) == [["bet £20", "bet 2", "staked 500"], []]


async def test_a_casino_is_blocked_for_pupils_alone(running: Running) -> None:
    blocks = running.appliance.plugins._registered["gambling"].plugin.dns_verdict
    assert blocks("www.best-casino.example", "A", "pupil") is not None
    assert blocks("www.best-casino.example", "A", "staff") is None
    assert blocks("www.occasion.example", "A", "pupil") is None
