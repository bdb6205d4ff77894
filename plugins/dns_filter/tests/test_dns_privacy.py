"""What IT is not told of a child, and that nobody opens in silence what a locked list blocks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from appliance.hookspecs import State
from appliance.people.directory import Details
from appliance_plugins.dns_filter.tests.conftest import HELP, YAML

WHY = "she is not well and searches for ways to hurt herself"


async def test_why_a_child_has_a_profile_of_her_own_is_not_for_it(house: Any, pages: Any) -> None:
    await house.appliance.directory.add(pages.lead.actor, Details("pupil", "Ada Okafor"))
    form = {
        "group": "",
        "name": "Ada Okafor",
        "profile": "exam",
        "reason": WHY,
        "last_day": "",
        "sure": "exam for Ada Okafor",
    }
    assert (await pages.lead.post("/dns_filter/groups", form)).status == 303
    assert WHY in (await pages.lead.get("/dns_filter/groups")).text
    for path in ("/dns_filter/groups", "/audit", "/dns_filter/explain?name=ads.example&client=10.7.0.1"):
        answer = await pages.it.get(path)
        assert answer.status == 200, answer.text
        assert WHY not in answer.text


async def test_a_locked_list_against_a_place_of_help_is_said_loudly(
    settings_file: Callable[..., Path], run_house: Callable[[Path], AbstractAsyncContextManager[Any]]
) -> None:
    yaml = YAML.replace("    profiles:\n", "      - {name: law, file: lists/law.txt, locked: true}\n    profiles:\n", 1)
    file = settings_file(yaml)
    (file.parent / "lists" / "law.txt").write_text("evil.example\n")
    (file.parent / "help.yaml").write_text(HELP + "  - {host: www.evil.example, name: Nice, why: It wants in.}\n")
    async with run_house(file) as house:
        found = [check for check in await house.plugin.profiles.health() if check.name == "Locked lists"]
        assert [(check.state, "www.evil.example (law)" in check.words) for check in found] == [(State.BROKEN, True)]
    (file.parent / "help.yaml").write_text(HELP)
    async with run_house(file) as house:
        assert await house.plugin.profiles.health() == []
