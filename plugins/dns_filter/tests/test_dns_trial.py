"""The trial run ends by itself, and where it came with the box somebody is told that its week is over."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from appliance.api import State, now, parse, stamp


def mode_at(house: Any, profile: str, days: int) -> str:
    mode: str = house.plugin.profiles.publishing.basis().profile(profile, stamp(now() + timedelta(days=days))).mode
    return mode


async def a_week_passes(house: Any) -> None:
    async with house.appliance.records.transaction() as tx:
        long_ago = stamp(now() - timedelta(days=8))
        await tx.execute("UPDATE migrations SET applied_at = ? WHERE owner = 'dns_filter'", (long_ago,))


async def trial_lines(house: Any) -> list[Any]:
    return [one for one in await house.plugin.health() if one.name == "Trial run of the web filter"]


async def test_a_trial_run_chosen_on_the_page_ends_by_itself_and_then_it_blocks(house: Any, pages: Any) -> None:
    path = "/dns_filter/profiles/guest"
    await pages.it.post(path, {"mode": "off", "reason": "A slip"})
    await pages.it.post(path, {"mode": "watch", "shown": "service:tiktok", "service:tiktok": "on", "reason": "Look"})
    assert [mode_at(house, "guest", days) for days in (0, 6, 9)] == ["watch", "watch", "block"]
    kept = house.plugin.profiles.store.in_force.changes
    (tiktok,) = [one for one in kept if one.switch == "service:tiktok"]
    assert tiktok.until is None, "only the trial run ends"
    assert len(house.snapshot()["policies"]) > 4, "the worker knows of the end: it blocks then without the main process"
    (watch,) = [one for one in kept if one.value == "watch"]
    assert (await pages.it.post(f"{path}/undo", {"id": watch.id})).status == 303
    assert [mode_at(house, "guest", days) for days in (0, 9)] == ["off", "off"], "undoing it leaves nothing of it"


async def test_a_trial_run_ends_after_the_day_that_was_given_and_is_prolonged_with_a_reason(
    house: Any, pages: Any
) -> None:
    path, day = "/dns_filter/profiles/guest", f"{now() + timedelta(days=20):%Y-%m-%d}"
    assert "ends by itself after seven days" in (await pages.it.get(path)).text
    assert (await pages.it.post(path, {"mode": "watch", "last_day": day, "reason": ""})).status == 422
    assert (await pages.it.post(path, {"mode": "watch", "last_day": "", "reason": "Longer"})).status == 422
    assert (await pages.it.post(path, {"mode": "watch", "last_day": day, "reason": "Longer"})).status == 303
    assert [mode_at(house, "guest", days) for days in (0, 19, 22)] == ["watch", "watch", "block"]
    page = (await pages.lead.get("/notices")).text
    assert "gave another last day to the trial run of the web filter profile Guests" in page
    sooner = f"{now() + timedelta(days=3):%Y-%m-%d}"
    await pages.it.post(path, {"mode": "watch", "last_day": sooner, "reason": "Sooner"})
    assert [mode_at(house, "guest", days) for days in (2, 5, 30)] == ["watch", "block", "block"]


async def test_it_and_the_leads_are_told_once_that_the_week_of_the_trial_run_is_over(house: Any, pages: Any) -> None:
    trial, waiting = house.plugin.profiles._trial, house.appliance.notices.waiting
    (job,) = [one for one in house.plugin.register_jobs() if one.name == "end of the trial run"]
    await job.run()
    assert not await trial_lines(house)
    await a_week_passes(house)
    (line,) = await trial_lines(house)
    assert line.state is State.WARNING
    assert line.words.endswith("blocked yet for: Guests."), "the file lets pupils' profile block; staff may stay"
    await job.run()
    await job.run()
    assert [waiting(client.actor.account) for client in (pages.it, pages.lead)] == [1, 1]
    assert "trial run is over, and it blocks nothing yet for: Guests." in (await pages.lead.get("/notices")).text
    day = f"{now() + timedelta(days=3):%Y-%m-%d}"
    await pages.it.post("/dns_filter/profiles/guest", {"mode": "watch", "last_day": day, "reason": "Exams"})
    assert not await trial_lines(house), "it has an end now"
    assert not await trial.overdue()
    (watch,) = [one for one in house.plugin.profiles.store.in_force.changes if one.value == "watch"]
    assert parse(watch.until) > now()
