"""Events: in the transaction of their cause, at least once, retried, parked; nobody holds up another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.bus import Bus
from appliance.clock import now, stamp
from appliance.db import Database
from appliance.errors import PluginError
from appliance.events import Event, SettingChanged
from appliance.hookspecs import State
from appliance.loading import resource
from appliance.migrate import CORE, migrate


class Arrived(Event):
    """Somebody came."""

    name: str


async def run_plainly(_owner: str, _doing: str, call: Callable[[], Awaitable[None]]) -> None:
    await call()


async def open_records(path: Path) -> Database:
    records = Database(path)
    await records.open()
    await migrate(records, CORE, resource("migrations"))
    return records


@pytest.fixture
async def records(tmp_path: Path) -> AsyncIterator[Database]:
    database = await open_records(tmp_path / "records.db")
    yield database
    await database.close()


class Listener:
    """Remembers what it heard; fails while told to."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.failing = False
        self.changed = asyncio.Condition()

    async def on_arrived(self, event: Arrived) -> None:
        async with self.changed:
            self.heard.append(event.name)
            self.changed.notify_all()
        if self.failing:
            raise LookupError(f"no bed for {event.name}")

    async def until(self, count: int) -> None:
        async with self.changed:
            await asyncio.wait_for(self.changed.wait_for(lambda: len(self.heard) >= count), 10)


async def start(records: Database, listeners: dict[str, Listener], pauses: tuple[float, ...] = (0.01, 0.01)) -> Bus:
    bus = Bus(records, pauses, run_plainly)
    bus.register("hotel", Arrived)
    for owner, listener in listeners.items():
        await bus.subscribe(owner, {Arrived: listener.on_arrived})
        bus.start(owner)
    return bus


async def publish(bus: Bus, records: Database, *names: str) -> None:
    for name in names:
        async with records.transaction() as tx:
            await bus.publish(tx, Arrived(name=name))


async def until_parked(bus: Bus, count: int) -> None:
    async with asyncio.timeout(10):
        while len(await bus.parked()) < count:
            await asyncio.sleep(0.01)


async def until_idle(bus: Bus) -> None:
    async with asyncio.timeout(10):
        while await bus.waiting():
            await asyncio.sleep(0.01)


async def test_an_event_is_delivered_after_the_commit(records: Database) -> None:
    listener = Listener()
    bus = await start(records, {"hotel": listener})
    async with records.transaction() as tx:
        await bus.publish(tx, Arrived(name="Ada"))
        assert listener.heard == []
    await listener.until(1)
    await until_idle(bus)
    assert listener.heard == ["Ada"]
    await bus.stop_all()


async def test_an_event_whose_cause_failed_never_happened(records: Database) -> None:
    listener = Listener()
    bus = await start(records, {"hotel": listener})
    with pytest.raises(LookupError):
        async with records.transaction() as tx:
            await bus.publish(tx, Arrived(name="nobody"))
            raise LookupError
    await publish(bus, records, "Ada")
    await listener.until(1)
    assert listener.heard == ["Ada"]
    await bus.stop_all()


async def test_a_listener_that_fails_is_tried_again_and_parked_and_holds_nobody_up(records: Database) -> None:
    bad, good = Listener(), Listener()
    bad.failing = True
    bus = await start(records, {"bad": bad, "good": good})
    await publish(bus, records, "Ada", "Ben")
    await good.until(2)
    await until_parked(bus, 2)
    assert sorted(bad.heard) == ["Ada"] * 3 + ["Ben"] * 3
    rows = await bus.parked()
    assert {row["tries"] for row in rows} == {3}
    assert "no bed for" in rows[0]["error"]
    [check] = await bus.checks()
    assert (check.state, "2 could not be delivered to bad" in check.words) == (State.BROKEN, True)
    bad.failing = False
    await publish(bus, records, "Cem")
    await bad.until(7)
    assert bad.heard[-1] == "Cem"
    await bus.stop_all()


async def test_a_parked_event_can_be_tried_again_or_dropped(records: Database) -> None:
    listener = Listener()
    listener.failing = True
    bus = await start(records, {"hotel": listener}, pauses=())
    await publish(bus, records, "Ada", "Ben")
    await until_parked(bus, 2)
    first, second = await bus.parked()
    listener.failing = False
    async with records.transaction() as tx:
        assert await bus.retry(tx, "hotel", first["event_id"])
        assert await bus.drop(tx, "hotel", second["event_id"])
        assert not await bus.drop(tx, "hotel", second["event_id"])
    await listener.until(3)
    await until_idle(bus)
    assert await bus.parked() == []
    assert sorted(listener.heard) == ["Ada", "Ada", "Ben"]
    await bus.stop_all()


async def test_a_listener_that_hangs_holds_nobody_up(records: Database) -> None:
    stuck = asyncio.Event()

    class Hangs(Listener):
        async def on_arrived(self, event: Arrived) -> None:
            stuck.set()
            await asyncio.Event().wait()

    good = Listener()
    bus = await start(records, {"hangs": Hangs(), "good": good})
    await publish(bus, records, "Ada", "Ben")
    await stuck.wait()
    await good.until(2)
    await bus.stop_all()


async def test_tries_and_waiting_events_survive_a_restart(tmp_path: Path) -> None:
    records = await open_records(tmp_path / "records.db")
    listener = Listener()
    listener.failing = True
    bus = await start(records, {"hotel": listener}, pauses=(3600.0,))
    await publish(bus, records, "Ada")
    await listener.until(1)
    await until_first_failure_is_noted(records)
    await bus.stop_all()
    await records.close()

    records = await open_records(tmp_path / "records.db")
    again = Listener()
    bus = await start(records, {"hotel": again}, pauses=(3600.0,))
    await publish(bus, records, "Ben")
    await again.until(1)
    assert again.heard == ["Ben"]  # Ada's next try is an hour away
    row = await records.fetch_one("SELECT tries FROM deliveries")
    assert row is not None
    assert row["tries"] == 1
    await bus.stop_all()
    await records.close()


async def until_first_failure_is_noted(records: Database) -> None:
    async with asyncio.timeout(10):
        while not await records.fetch_one("SELECT 1 FROM deliveries WHERE tries = 1"):
            await asyncio.sleep(0.01)


async def test_what_a_plugin_missed_while_it_was_off_is_kept_for_it(records: Database) -> None:
    bus = await start(records, {"hotel": Listener()})
    await bus.stop("hotel")
    await publish(bus, records, "Ada")
    assert await bus.waiting() == 1
    listener = Listener()
    await bus.subscribe("hotel", {Arrived: listener.on_arrived})
    bus.start("hotel")
    await listener.until(1)
    assert listener.heard == ["Ada"]
    await bus.stop_all()


async def test_nothing_is_kept_for_whom_the_settings_no_longer_name(records: Database) -> None:
    bus = await start(records, {"hotel": Listener()})
    await bus.stop("hotel")
    await bus.keep_only(set())
    await publish(bus, records, "Ada")
    assert await bus.waiting() == 0
    await bus.stop_all()


async def test_a_clock_that_was_ahead_does_not_hold_events_up(records: Database) -> None:
    listener = Listener()
    bus = await start(records, {"hotel": listener})
    await bus.stop("hotel")
    await publish(bus, records, "Ada")
    async with records.transaction() as tx:
        await tx.execute("UPDATE deliveries SET next_at = ?", (stamp(now() + timedelta(days=3650)),))
    await bus.subscribe("hotel", {Arrived: listener.on_arrived})
    bus.start("hotel")
    await listener.until(1)
    await bus.stop_all()


async def test_an_unregistered_event_is_refused(records: Database) -> None:
    bus = Bus(records, (), run_plainly)
    with pytest.raises(PluginError, match="no registered event"):
        async with records.transaction() as tx:
            await bus.publish(tx, Arrived(name="x"))


async def test_an_event_that_this_version_cannot_read_is_parked_not_lost(records: Database) -> None:
    listener = Listener()
    bus = await start(records, {"hotel": listener}, pauses=())
    async with records.transaction() as tx:
        await bus.publish(tx, Arrived(name="Ada"))
        await tx.execute("UPDATE events SET payload = '{}'")
    await until_parked(bus, 1)
    assert listener.heard == []
    await bus.stop_all()


async def test_retention_keeps_what_somebody_still_waits_for(records: Database) -> None:
    bus = await start(records, {"hotel": Listener()})
    async with records.transaction() as tx:
        await bus.publish(tx, SettingChanged(path="x", author="y"))
    await bus.stop("hotel")
    await publish(bus, records, "Ada")
    async with records.transaction() as tx:
        assert await bus.forget(tx, stamp(now() + timedelta(days=1))) == 1
    assert await bus.waiting() == 1


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fates=st.lists(st.lists(st.booleans(), max_size=3), max_size=8))
def test_every_event_is_heard_until_success_or_parked(
    tmp_path_factory: pytest.TempPathFactory, fates: list[list[bool]]
) -> None:
    """``fates[i]``: whether each try of event i fails; two retries are allowed."""

    async def run() -> None:
        records = await open_records(tmp_path_factory.mktemp("bus") / "records.db")
        tries: dict[str, int] = {}

        async def on_arrived(event: Arrived) -> None:
            number, count = int(event.name), tries.get(event.name, 0)
            tries[event.name] = count + 1
            if count < len(fates[number]) and fates[number][count]:
                raise LookupError

        bus = Bus(records, (0.0, 0.0), run_plainly)
        bus.register("hotel", Arrived)
        await bus.subscribe("hotel", {Arrived: on_arrived})
        bus.start("hotel")
        await publish(bus, records, *map(str, range(len(fates))))
        await until_idle(bus)
        expected = {}
        for number, fate in enumerate(fates):
            successes = [at for at in range(3) if not (at < len(fate) and fate[at])]
            expected[str(number)] = successes[0] + 1 if successes else 3
        assert tries == expected
        assert len(await bus.parked()) == sum(len(fate) == 3 and all(fate) for fate in fates)
        await bus.stop_all()
        await records.close()

    asyncio.run(run())
