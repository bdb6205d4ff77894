"""The plugin in a real appliance: judged in the detection process, shown on its pages, refused with its mistakes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from appliance.clock import new_id, stamp
from appliance.config import ConfigError
from appliance.loading import load
from appliance.observations import EndpointDevice, Observation, Surface
from appliance.testing import Home, Running

Start = Callable[[Home], Awaitable[Running]]

OWN = """\
name: local
title: Words of <our> school
category: bullying
version: "3"
date: 2026-09-01
owner: Mrs Khan
summary: Words that only our school knows.
terms:
  - id: green-giant
    phrases: [green giant, كتاب قديم]
    severity: minor
    surfaces: [typed, page]
    pages_because: It stands on notes that are handed round.
    definition: What a group of year 9 calls one of its members.
"""
SETTINGS = "plugins: {keyword: {}}\n"


@pytest.fixture
async def running(appliance_home: Home, start_appliance: Start) -> Running:
    write(appliance_home, OWN)
    appliance_home.write(SETTINGS)
    return await start_appliance(appliance_home)


def write(home: Home, policy: str) -> Path:
    file = home.folder / "policies" / "local.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(policy, encoding="utf-8")
    return file


async def terms(running: Running, text: str, surface: Surface = Surface.TYPED) -> list[str]:
    found = await running.appliance.detection.judge(Observation(new_id(), stamp(), surface, text))
    return [finding.term for finding in found]


async def test_what_is_noticed_is_judged_by_the_policies(running: Running) -> None:
    assert await terms(running, "I want to die") == ["suicide/want-to-die"]
    assert await terms(running, "the Green Giant", Surface.PAGE) == ["local/green-giant"]
    assert await terms(running, "purple penguins juggle pineapples", Surface.SEARCH) == ["test"]
    assert await terms(running, "purple penguins juggle pineapples", Surface.PAGE) == []
    assert await terms(running, "I want to dye my hair in Essex") == []


async def test_a_browser_gets_what_it_is_to_look_for(running: Running) -> None:
    policies = running.appliance.plugins.endpoint_policies
    watched = (await policies(EndpointDevice("e", "d", "p", monitored=True)))["keyword"]
    unwatched = (await policies(EndpointDevice("e", "d", "p", monitored=False)))["keyword"]
    assert "local/green-giant" in watched["terms"]
    assert not [term for term in unwatched["terms"] if term.startswith("local/")]


async def test_the_process_keeps_the_policies_that_run_when_files_change(
    running: Running, appliance_home: Home
) -> None:
    write(appliance_home, "nonsense")
    await running.appliance.detection.refresh()
    assert await terms(running, "green giant") == ["local/green-giant"]


async def test_a_policy_with_mistakes_is_a_mistake_of_the_settings(appliance_home: Home) -> None:
    file = write(appliance_home, OWN.replace("severity: minor", "severity: mild").replace("2026-09-01", "soon"))
    appliance_home.write(SETTINGS)
    with pytest.raises(ConfigError) as caught:
        await load(appliance_home.place)
    told = [str(mistake) for mistake in caught.value.mistakes]
    assert told == [
        f'{file}:5: date: "soon" is not a date, expected a date such as 2026-09-01',
        f'{file}:11: terms[0].severity: "mild" is not one of the choices, expected one of: severe, moderate, minor or '
        "nothing",
    ]


async def test_mistakes_of_policies_come_together_with_those_of_the_settings(appliance_home: Home) -> None:
    write(appliance_home, OWN.replace("severity: minor", "severity: mild"))
    appliance_home.write("plugins: {keyword: {policy_dir: elsewhere}}\nschool: {nmae: x}\n")
    with pytest.raises(ConfigError) as caught:
        await load(appliance_home.place)
    told = "\n".join(str(mistake) for mistake in caught.value.mistakes)
    assert "did you mean policies_dir?" in told
    assert "did you mean name?" in told
    assert "local.yaml:11" in told


async def test_another_folder_can_hold_them(appliance_home: Home, start_appliance: Start, tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "local.yml").write_text(OWN, encoding="utf-8")
    appliance_home.write(f"plugins: {{keyword: {{policies_dir: {tmp_path}/ours}}}}\n")
    running = await start_appliance(appliance_home)
    assert await terms(running, "كِتاب قديم") == ["local/green-giant"]


async def test_a_lead_sees_the_policies(running: Running) -> None:
    lead = await running.as_role("lead")
    page = (await lead.get("/keyword")).text
    for words in (
        "Suicide",
        "Bullying and trolling",
        "Words of &lt;our&gt; school",
        "Words that only our school knows.",
    ):
        assert words in page
    assert "1 Minor" in page
    assert "1 term, version 3" in page
    assert "An immediate threat: of violence, death or suicide" in page
    assert str(running.appliance.config.place.config_file.parent / "policies") in page
    assert 'href="/keyword"' in (await lead.get("/")).text


async def test_a_lead_sees_what_each_term_means(running: Running) -> None:
    lead = await running.as_role("lead")
    page = (await lead.get("/keyword/policies/local")).text
    places = "typed text, email being written, text on a page"
    for words in ("green giant", "كتاب قديم", "What a group of year 9 calls", places, "Mrs Khan"):
        assert words in page
    table = (await lead.get("/keyword/policies/suicide")).text.partition("<tbody>")[2]
    assert table.index("tag severe") < table.index("tag moderate")  # the worst first
    assert (await lead.get("/keyword/policies/none")).status == 404


@pytest.mark.parametrize("role", ["it", "teacher", "dpo", "governor"])
async def test_who_judges_no_captures_does_not_see_them(running: Running, role: str) -> None:
    browser = await running.as_role(role)
    assert (await browser.get("/keyword")).status == 403
    assert (await browser.get("/keyword/policies/suicide")).status == 403
    assert 'href="/keyword"' not in (await browser.get("/")).text
