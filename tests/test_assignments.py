"""The one resolver: the most specific network decides, the file wins over pages, the rest falls to the default."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.assignments import Assignments
from appliance.audit import Audit
from appliance.bus import Bus
from appliance.clock import now, stamp
from appliance.config import GroupSettings
from appliance.db import Database
from appliance.errors import ApplianceError, Refused
from appliance.loading import resource
from appliance.migrate import CORE, migrate

KIND = "dns_profile"
GROUPS = (
    GroupSettings(name="pupils", addresses=("10.0.0.0/8", "fd00:1::/32")),
    GroupSettings(name="library", addresses=("10.1.0.0/16",)),
    GroupSettings(name="desk", addresses=("10.1.2.3/32",)),
)


async def run_plainly(*_: object) -> None:
    """Nobody listens in these tests."""


@pytest.fixture
async def records(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(tmp_path / "records.db")
    await database.open()
    await migrate(database, CORE, resource("migrations"))
    yield database
    await database.close()


def resolver(records: Database, fixed: dict[str, str] | None = None) -> Assignments:
    found = Assignments(records, Bus(records, (), run_plainly), Audit(records), GROUPS)
    found.declare(KIND, "pupil", fixed or {}, ["pupil", "staff", "exam"])
    return found


@pytest.mark.parametrize(
    ("address", "fixed", "value", "group"),
    [
        ("192.168.0.1", {}, "pupil", None),
        ("10.9.9.9", {}, "pupil", None),
        ("10.9.9.9", {"pupils": "exam"}, "exam", "pupils"),
        ("10.1.9.9", {"pupils": "exam"}, "exam", "pupils"),
        ("10.1.9.9", {"pupils": "exam", "library": "staff"}, "staff", "library"),
        ("10.1.2.3", {"library": "staff"}, "staff", "library"),
        ("10.1.2.3", {"library": "staff", "desk": "pupil"}, "pupil", "desk"),
        ("::ffff:10.1.2.3", {"desk": "staff"}, "staff", "desk"),
        ("fd00:1::7", {"pupils": "exam"}, "exam", "pupils"),
        ("fe80::1%eth0", {}, "pupil", None),
    ],
)
async def test_the_most_specific_network_with_a_value_decides(
    records: Database, address: str, fixed: dict[str, str], value: str, group: str | None
) -> None:
    found = resolver(records, fixed).effective(KIND, address)
    assert (found.value, found.group) == (value, group)


async def test_what_a_page_sets_applies_ends_and_can_be_undone(records: Database) -> None:
    assignments = resolver(records)
    until = now() + timedelta(hours=1)
    await assignments.assign("ada", KIND, "library", "staff", "open evening", until)
    found = assignments.effective(KIND, "10.1.9.9")
    assert (found.value, found.origin) == ("staff", "set by ada: open evening")
    assert assignments.effective(KIND, "10.1.9.9", at=until).value == "pupil"

    again = resolver(records)
    await again.start()
    assert again.effective(KIND, "10.1.9.9").value == "staff"
    await again.undo("ben", await history_id(again))
    assert again.effective(KIND, "10.1.9.9").value == "pupil"
    with pytest.raises(Refused, match="undone already"):
        await again.undo("ben", await history_id(again))
    assert [row["action"] for row in await Audit(records).rows(None, 9)] == ["undid assignment", "assigned"]


async def history_id(assignments: Assignments) -> str:
    return str((await assignments.history(KIND))[0]["id"])


async def test_a_newer_choice_replaces_an_older_one_and_its_undo_brings_that_back(records: Database) -> None:
    assignments = resolver(records)
    await assignments.assign("ada", KIND, "library", "staff", "one", None)
    await assignments.assign("ada", KIND, "library", "exam", "two", None)
    assert assignments.effective(KIND, "10.1.9.9").value == "exam"
    await assignments.undo("ada", await history_id(assignments))
    assert assignments.effective(KIND, "10.1.9.9").value == "staff"


async def test_when_a_choice_ends_the_one_before_it_applies_again(records: Database) -> None:
    assignments = resolver(records)
    until = now() + timedelta(hours=1)
    await assignments.assign("ada", KIND, "library", "staff", "for good", None)
    await assignments.assign("ada", KIND, "library", "exam", "this morning", until)
    assert assignments.effective(KIND, "10.1.9.9").value == "exam"
    assert assignments.effective(KIND, "10.1.9.9", at=until).value == "staff"


async def test_what_has_ended_is_announced_once(records: Database) -> None:
    assignments = resolver(records)
    await assignments.assign("ada", KIND, "library", "staff", "short", now() + timedelta(hours=1))
    async with records.transaction() as tx:
        await tx.execute("UPDATE assignments SET until = ?", (stamp(now() + timedelta(milliseconds=1)),))
    await assignments.start()
    while assignments.effective(KIND, "10.1.9.9").value == "staff":
        pass
    await assignments.end_what_is_over()
    await assignments.end_what_is_over()
    rows = await records.fetch("SELECT payload FROM events WHERE type = 'AssignmentChanged'")
    assert len(rows) == 2  # set, ended


@pytest.mark.parametrize(
    ("group", "value", "reason", "hours", "words"),
    [
        ("nowhere", "staff", "why not", None, "no group called"),
        ("desk", "staff", "why not", None, "The settings file fixes this"),
        ("library", "teacher", "why not", None, "is not one of: pupil, staff, exam"),
        ("library", "staff", "  ", None, "Say why"),
        ("library", "staff", "why not", -1, "lies in the past"),
    ],
)
async def test_what_is_refused_changes_nothing(
    records: Database, group: str, value: str, reason: str, hours: int | None, words: str
) -> None:
    assignments = resolver(records, {"desk": "pupil"})
    until = None if hours is None else now() + timedelta(hours=hours)
    with pytest.raises(Refused, match=words):
        await assignments.assign("ada", KIND, group, value, reason, until)
    assert await assignments.history(KIND) == []
    assert await Audit(records).rows(None, 9) == []


async def test_a_value_that_the_settings_no_longer_know_falls_back(records: Database) -> None:
    assignments = resolver(records)
    await assignments.assign("ada", KIND, "library", "exam", "summer", None)
    assignments.declare(KIND, "pupil", {}, ["pupil", "staff"])
    assert assignments.effective(KIND, "10.1.9.9").value == "pupil"


async def test_an_unknown_kind_is_an_error_in_words(records: Database) -> None:
    with pytest.raises(ApplianceError, match="Nothing called 'shoes' can be assigned"):
        resolver(records).effective("shoes", "10.0.0.1")


_NETWORKS = st.builds(
    lambda bits, length: ipaddress.ip_network((bits & (0xFFFFFFFF << (32 - length)) & 0xFFFFFFFF, length)),
    st.integers(0, 0xFF).map(lambda low: 0x0A000000 | low << 16),
    st.integers(8, 32),
)


@given(
    networks=st.lists(_NETWORKS, min_size=1, max_size=6, unique=True),
    values=st.lists(st.sampled_from(["staff", "exam", None]), min_size=6, max_size=6),
    host=st.integers(0, 0xFFFF),
)
def test_the_resolver_agrees_with_the_rule_read_aloud(
    networks: list[ipaddress.IPv4Network], values: list[str | None], host: int
) -> None:
    groups = [GroupSettings(name=f"g{n}", addresses=(str(net),)) for n, net in enumerate(networks)]
    fixed = {f"g{n}": value for n, value in enumerate(values[: len(networks)]) if value is not None}
    records = Database(Path("nowhere.db"))
    assignments = Assignments(records, Bus(records, (), run_plainly), Audit(records), groups)
    assignments.declare(KIND, "pupil", fixed, ["pupil", "staff", "exam"])
    client = ipaddress.ip_address(0x0A000000 | host)
    holding = [(net.prefixlen, f"g{n}") for n, net in enumerate(networks) if client in net and f"g{n}" in fixed]
    expected = fixed[max(holding)[1]] if holding else "pupil"
    assert assignments.effective(KIND, str(client)).value == expected
