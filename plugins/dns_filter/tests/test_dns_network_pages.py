"""The main side of the listening: what becomes of what was heard, who is told, and the three pages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from accounts import no_store_is_left_open
from barriers import barriers
from browsers import a_chromium

from appliance.access import Role
from appliance.api import DeviceDetails, Target, TargetKind
from appliance.clock import now, stamp
from appliance.hookspecs import State
from appliance.testing import HELP_SEEKING, Home, Running, free_port, start_in_process
from appliance.web.pages import COOKIE
from appliance_plugins.dns_filter.network.known import supplied
from appliance_plugins.dns_filter.network.matching import Match, matches
from appliance_plugins.dns_filter.network.room import LEARNED_AT_ONCE
from appliance_plugins.dns_filter.network.store import GUIDES_MOST, Seen
from appliance_plugins.dns_filter.network.telling import ALERTS_OF_THEIR_OWN, GUIDES_OF_THEIR_OWN

__all__ = ["no_store_is_left_open"]

pytestmark = pytest.mark.asyncio(loop_scope="module")

MAC, OTHER, ROUTER = "70:11:22:33:44:55", "70:11:22:33:44:66", "70:99:99:99:99:99"
ELSEWHERE = "203.0.113.53"
HERE = "/dns_filter/network"


class Box:
    """A running appliance and its room."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.room = running.appliance.plugins._registered["dns_filter"].plugin.network

    def snapshot(self) -> dict[str, Any]:
        path = self.running.appliance.workers.folder("dns_filter.sniffer") / "snapshot.json"
        return json.loads(path.read_text())  # type: ignore[no-any-return]

    async def hears(self, *found: dict[str, Any]) -> None:
        """What the worker would report."""
        await self.room.receive(found, 0)

    async def page(self, path: str = HERE) -> str:
        answer = await self.running.get(path)
        assert answer.status == 200, answer.text
        return answer.text

    async def alerts(self) -> dict[str, str]:
        """Words of the open alerts about the network, by category."""
        rows = await self.running.appliance.alerts.open(self.running.actor)
        return {row["category"]: row["words"] for row in rows if row["kind"] == "network"}

    async def add_device(self, name: str, serial: str = "") -> str:
        devices = self.running.appliance.directory.devices
        return await devices.add(self.running.actor, DeviceDetails(name, serial))


def device(mac: str = MAC, address: str = "10.7.0.9", host: str = "") -> dict[str, Any]:
    return {"kind": "device", "mac": mac, "address": address, "host": host, "at": stamp()}


def attempt(mac: str = MAC, address: str = "10.7.0.9", **parts: Any) -> dict[str, Any]:
    moment = stamp()
    return {
        "kind": "attempt", "way": "resolver", "mac": mac, "address": address, "to": "9.9.9.9", "count": 1,
        "first": moment, "last": moment, **parts,
    }  # fmt: skip


def guide(mac: str = ROUTER, resolvers: tuple[str, ...] = (ELSEWHERE,), by: str = "dhcp") -> dict[str, Any]:
    return {
        "kind": "announcer", "by": by, "mac": mac, "address": f"10.7.0.{int(mac[-2:], 16)}",
        "resolvers": list(resolvers), "at": stamp(),
    }  # fmt: skip


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def started(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Box]:
    """One appliance for all tests: what is asked of it takes a moment, its start takes seconds."""
    home = Home(tmp_path_factory.mktemp("home"), free_port(), free_port())
    (home.folder / "help_seeking.yaml").write_text(HELP_SEEKING, encoding="utf-8")
    home.write(
        f"plugins: {{dns_filter: {{port: {home.dns_port},"
        " sniffer: {managed_networks: [10.7.0.0/24], own_resolvers: [10.7.0.2]}}}"
    )
    box = Box(await start_in_process(home))
    yield box
    await box.running.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def box(started: Box) -> Box:
    """As if nothing had been heard yet."""
    records = started.running.appliance.records
    async with records.transaction() as tx:
        for table in ("devices", "attempts", "announcers", "decisions", "alerts"):
            await tx.execute(f"DELETE FROM dns_filter_network_{table}")
        await tx.execute("DELETE FROM alerts")
        await tx.execute("DELETE FROM devices")
        await tx.execute("DELETE FROM events")
    async with started.running.appliance.activity.transaction() as tx:
        await tx.execute("DELETE FROM dns_filter_queries")
    await started.room.startup()
    return started


# Switching


async def test_it_is_off_until_somebody_says_why_and_comes_back_as_it_was_left(box: Box) -> None:
    assert box.snapshot()["on"] is False
    assert "This box does not listen." in await box.page()
    answer = await box.running.post(f"{HERE}/switch", {"on": "yes", "reason": " "})
    assert (answer.status, box.snapshot()["on"]) == (422, False)
    assert "Say why" in answer.text
    await box.running.post(f"{HERE}/switch", {"on": "yes", "reason": "Agreed with the head"})
    snapshot = box.snapshot()
    assert snapshot["on"] is True
    assert (snapshot["own"], snapshot["interface"]) == (["10.7.0.2"], "auto")
    assert "childline.org.uk" in snapshot["exempt"]
    assert snapshot["services"]["dns.google"] == "doh"
    (row,) = await box.running.appliance.records.fetch(
        "SELECT actor, detail FROM audit WHERE action = 'switched on listening'"
    )
    assert row["actor"] == "Ida Technician"
    assert "Agreed with the head" in row["detail"]
    box.room.switch.decision = None
    await box.room.startup()
    assert box.snapshot()["on"] is True
    assert "Switched on by Ida Technician" in await box.page()


async def test_what_the_file_says_cannot_be_changed_on_the_page(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(box.room.switch, "fixed", True)
    await box.room.publish()
    assert box.snapshot()["on"] is True
    assert "The settings file says so" in await box.page()
    answer = await box.running.post(f"{HERE}/switch", {"on": "no", "reason": "Because"})
    assert (answer.status, box.snapshot()["on"]) == (422, True)


# Who is where


async def test_a_device_that_is_seen_somewhere_has_its_profile_there(box: Box) -> None:
    plugin = box.running.appliance.plugins._registered["dns_filter"].plugin
    name = "Visitors’ tablet"
    id_ = await box.add_device(name)
    target = Target(TargetKind.DEVICE, id_)
    await box.running.appliance.assignments.assign("Ida", "dns_profile", target, "guest", "It is lent out", None)
    await box.hears(device(address="10.7.0.31"))
    await box.running.post(f"{HERE}/add", {"mac": MAC, "name": name})

    async def profile_at(address: str, wanted: list[str]) -> None:
        async with asyncio.timeout(20):
            while [link[0] for link in plugin.profiles.publishing.written["clients"].get(address, ())] != wanted:
                await asyncio.sleep(0.02)

    await profile_at("10.7.0.31", ["guest"])
    await box.hears(device(address="10.7.0.32"))  # it has moved; nothing else happens
    await profile_at("10.7.0.32", ["guest"])
    await box.hears(device(mac=OTHER, address="10.7.0.31"))  # somebody else has its old address
    await profile_at("10.7.0.31", [])


# Going around the filter


async def test_however_often_a_device_goes_around_there_is_one_alert(box: Box) -> None:
    lead = await box.running.as_role(Role.LEAD, name="Lena")
    head = await box.running.as_role(Role.HEAD, name="Hana")
    await box.add_device("Trolley 7")
    await box.hears(device(host="trolley-7"), attempt(count=2))
    await box.room.look_again()
    (row,) = await box.running.appliance.alerts.open(lead.actor)
    assert (row["kind"], row["category"]) == ("network", "A device goes around the web filter")
    assert "9.9.9.9 (Quad9), 2 times" in row["words"]
    await box.hears(*(attempt() for _ in range(5)), attempt(way="vpn", to="nordvpn.com"))
    assert len(await box.alerts()) == 1
    words = (await box.alerts())["A device goes around the web filter"]
    assert "nordvpn.com (VPN services), once" in words
    assert "9.9.9.9 (Quad9), 7 times" in words
    assert "names that this device asks elsewhere are neither blocked" in words
    told = [row["accounts"] for row in await _raised(box)]
    assert told == [sorted([box.running.account, lead.account])], "IT and the lead, at once, and once"
    assert await box.running.appliance.alerts.open(head.actor) == []
    page = (await lead.get(f"/alerts/{row['id']}")).text
    assert "On the school’s network: A device goes around the web filter" in page
    assert "It closes by itself when it has not been seen for a day." in page
    assert "It took another way: nordvpn.com, once." in page
    assert "Switch it on" not in (await lead.get(HERE)).text, "she may look, IT decides"


async def _raised(box: Box) -> list[dict[str, Any]]:
    rows = await box.running.appliance.records.fetch("SELECT payload FROM events WHERE type LIKE '%AlertRaised'")
    found = [json.loads(row["payload"]) for row in rows]
    return [{**one, "accounts": sorted(one["accounts"])} for one in found]


async def test_an_alert_names_the_device_and_ends_when_it_is_quiet_for_a_day(box: Box) -> None:
    await box.add_device("Trolley-7")
    await box.hears(device(host="TROLLEY-7.school.internal"), attempt())
    assert (await box.alerts())["A device goes around the web filter"].startswith(
        "Trolley-7 (as the device calls itself), since "
    )
    await box.room.look_again()
    assert len(await box.alerts()) == 1
    async with box.running.appliance.records.transaction() as tx:
        await tx.execute("UPDATE dns_filter_network_attempts SET last_at = ?", (stamp(now() - timedelta(hours=25)),))
    await box.room.look_again()
    assert await box.alerts() == {}
    await box.hears(attempt())
    assert len(await box.alerts()) == 1, "it begins again"


async def test_what_it_calls_expected_opens_no_alert_until_that_is_taken_back(box: Box) -> None:
    await box.hears(device(), attempt())
    subject = {"subject": f"device {MAC}", "value": "expected"}
    assert (await box.running.post(f"{HERE}/decide", {**subject, "reason": ""})).status == 422
    assert (await box.running.post(f"{HERE}/decide", {**subject, "reason": "A printer"})).status == 303
    assert await box.alerts() == {}
    await box.hears(attempt())
    assert await box.alerts() == {}
    page = await box.page()
    assert "Expected</span> Ida Technician" in page
    (decision,) = (await box.room.store.decisions()).values()
    await box.running.post(f"{HERE}/undo", {"id": decision["id"]})
    await box.hears(attempt())
    assert len(await box.alerts()) == 1
    assert (await box.running.post(f"{HERE}/undo", {"id": decision["id"]})).status == 422


async def test_many_devices_share_an_alert(box: Box) -> None:
    for number in range(ALERTS_OF_THEIR_OWN + 3):
        await box.hears(attempt(f"70:00:00:00:00:{number:02x}", f"10.7.1.{number + 1}"))
    rows = await box.running.appliance.alerts.open(box.running.actor)
    categories = [row["category"] for row in rows]
    assert categories.count("A device goes around the web filter") == ALERTS_OF_THEIR_OWN
    assert categories.count("Several devices go around the web filter") == 1


async def test_an_alert_waits_for_as_many_tries_as_the_settings_say(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(box.room.telling, "_alert_after", 3)
    await box.hears(attempt(count=2))
    assert await box.alerts() == {}
    assert "9.9.9.9 (Quad9)" in await box.page()
    await box.hears(attempt())
    assert len(await box.alerts()) == 1


async def test_behind_a_router_each_address_is_a_device(box: Box) -> None:
    await box.hears(guide(ROUTER, (), "router"), device(MAC, "10.7.0.9"))
    await box.hears(
        attempt(MAC, "10.7.0.9"), attempt(ROUTER, "10.8.0.1"), attempt(ROUTER, "fd00::8"), attempt(OTHER, "fd00::9")
    )
    assert {one.who for one in await box.room.store.attempts("")} == {MAC, "10.8.0.1", "fd00::8", OTHER}


# Who shows devices the way


async def test_whoever_leads_devices_elsewhere_opens_an_alert_that_ends_when_it_is_put_right(box: Box) -> None:
    await box.hears(guide(resolvers=("10.7.0.2",)))
    assert await box.alerts() == {}, "the school's own name server"
    assert "Nobody has said whose it is" in await box.page()
    await box.hears(guide(resolvers=("10.7.0.2", "8.8.8.8")))
    words = (await box.alerts())["A DHCP server sends devices to another name server"]
    assert "tells devices to ask 8.8.8.8 (Google Public DNS)." in words
    assert "Leads elsewhere" in await box.page()
    await box.hears(guide(resolvers=("10.7.0.2",)))
    assert await box.alerts() == {}


async def test_whoever_pretends_to_be_hundreds_of_servers_opens_few_alerts_and_fills_no_disk(box: Box) -> None:
    await box.hears(guide(resolvers=("10.7.0.2",)))
    pretended = [guide(f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}") for number in range(GUIDES_MOST + 60)]
    await box.hears(*pretended)
    rows = await box.running.appliance.records.fetch("SELECT mac FROM dns_filter_network_announcers")
    assert len(rows) == GUIDES_MOST
    assert {"mac": ROUTER} in [dict(row) for row in rows], "the one that was there before"
    alerts = await box.running.appliance.records.fetch("SELECT subject FROM dns_filter_network_alerts")
    assert len(alerts) == GUIDES_OF_THEIR_OWN


async def test_a_second_server_beside_ours_opens_an_alert(box: Box) -> None:
    await box.hears(guide(resolvers=("10.7.0.2",)), guide(OTHER, ("10.7.0.2",)))
    assert await box.alerts() == {}
    ours = {"subject": f"announcer dhcp {ROUTER}", "value": "ours", "reason": "The server in the cellar"}
    assert (await box.running.post(f"{HERE}/decide", ours)).status == 303
    assert list(await box.alerts()) == ["A second DHCP server answers"]
    assert OTHER in (await box.alerts())["A second DHCP server answers"]
    too = {"subject": f"announcer dhcp {OTHER}", "value": "ours", "reason": "Its spare"}
    await box.running.post(f"{HERE}/decide", too)
    assert await box.alerts() == {}


# Devices


async def test_an_address_leads_to_a_device_that_is_known_by_more_than_its_own_word(box: Box) -> None:
    named, other = await box.add_device("Library-1"), await box.add_device("Library-2")
    await box.hears(device(MAC, "10.7.0.9", "library-1"), device(OTHER, "10.7.0.10"))
    assert box.room.device_of(MAC) == named
    assert box.room.device_at("10.7.0.9") is None, "anybody can call themselves so"
    assert box.room.name_of(MAC) == "Library-1 (as the device calls itself)"
    await box.running.post(f"{HERE}/add", {"mac": OTHER, "name": "Library-2"})
    assert box.room.device_at("10.7.0.10") == other
    assert box.room.sightings() == {"10.7.0.10": other}
    assert box.room.device_at("10.7.0.11") is None
    await box.hears({**device(MAC, "10.7.0.10"), "at": stamp(now() + timedelta(seconds=1))})
    assert box.room.device_at("10.7.0.10") is None, "somebody else used it last"
    await box.hears({**device(OTHER, "10.7.0.10"), "at": stamp(now() + timedelta(seconds=2))})
    assert box.room.device_at("10.7.0.10") == other
    devices = box.running.appliance.directory.devices
    await devices.remove(box.running.actor, other)
    await box.running.delivered()
    assert box.room.device_at("10.7.0.10") is None


async def test_devices_are_matched_by_the_surest_way_and_never_by_a_guess() -> None:
    moment = now()
    rows: Any = [
        {"id": "a", "name": "Twin", "serial": None}, {"id": "b", "name": "twin", "serial": None},
        {"id": "c", "name": "Single", "serial": "S1"}, {"id": "d", "name": "Linked", "serial": None},
    ]  # fmt: skip

    def seen(mac: str, host: str, address: str) -> Seen:
        return Seen(mac, host, {address: stamp(moment)}, stamp(moment), stamp(moment), None, "")

    found = matches(
        [seen("1", "twin", "10.0.0.1"), seen("2", "single", "10.0.0.2"), seen("3", "s1", "10.0.0.3"),
         seen("4", "single", "10.0.0.4"), seen("5", "", "10.0.0.5")],
        rows, {"d": ["10.0.0.4", "10.0.0.5"], "c": ["10.0.0.5"]}, moment,
    )  # fmt: skip
    assert found == [Match("2", "c", "name"), Match("3", "c", "serial"), Match("4", "d", "browser")]
    two = [seen("1", "", "10.0.0.4"), seen("2", "", "10.0.0.4")]
    assert matches(two, rows, {"d": ["10.0.0.4"]}, moment) == [], "one of them may be lying"


async def test_unknown_devices_on_a_managed_network_are_a_warning_until_they_are_in_the_directory(box: Box) -> None:
    await box.hears(device(host="Toms-Phone"), device(OTHER, "10.9.0.1", "guest"))
    (check,) = await box.room.health()
    assert (check.state, check.words[:10]) == (State.WARNING, "One device")
    page = await box.page()
    assert "On a managed network" in page
    assert "Toms-Phone" in page
    answer = await box.running.post(f"{HERE}/add", {"mac": MAC, "name": " "})
    assert answer.status == 422
    field = f"name-{MAC.replace(':', '')}"
    assert f'<a href="#{field}">' in answer.text
    assert f'id="{field}-error"' in answer.text
    assert (await box.running.post(f"{HERE}/add", {"mac": "70:00:00:00:00:00", "name": "x"})).status == 422
    assert (await box.running.post(f"{HERE}/add", {"mac": MAC, "name": "Phone of the office"})).status == 303
    assert await box.room.health() == []
    found = box.room.device_at("10.7.0.9")
    assert found is not None
    assert "Phone of the office" in (await box.running.get(f"/devices/{found}")).text
    await box.running.post(f"{HERE}/add", {"mac": OTHER, "name": "phone of the OFFICE"})
    assert box.room.device_at("10.9.0.1") == found, "one that is in the directory already"


# The other pages


async def test_the_guide_shows_the_addresses_and_warns_when_one_asks_for_all(box: Box) -> None:
    page = await box.page("/dns_filter/point")
    assert "Nothing has asked this box within the last day." in page
    for words in ("DHCP option 6", "RDNSS", "root hints", "How to go back", "nslookup www.example.org 9.9.9.9"):
        assert words in page
    queries = box.running.appliance.plugins._registered["dns_filter"].plugin.queries
    record = {
        "t": stamp(), "name": "www.example.org", "type": "A", "verdict": "allowed", "why": "", "list": "", "rule": "",
        "category": "", "profile": "pupil", "upstream": "10.0.0.1", "ms": 1.0,
    }  # fmt: skip
    one, other = {**record, "client": "10.7.0.2"}, {**record, "client": "10.7.0.9"}
    await queries.receive([{**one, "count": 180}, {**other, "count": 70}], 0)
    page = await box.page("/dns_filter/point")
    assert "72 of 100 queries of the last day came from one address, 10.7.0.2." in page
    await queries.receive([{**other, "count": 180}], 0)
    assert "of 100 queries" not in await box.page("/dns_filter/point")


@pytest.mark.parametrize("role", [Role.GOVERNOR, Role.TEACHER, Role.LEAD, None])
async def test_everybody_may_read_what_the_filter_does_not_do(role: Role | None, box: Box) -> None:
    client = await box.running.as_role(role)
    page = await client.get("/dns_filter/limits")
    assert page.status == 200
    for words in ("It sees names of sites, and nothing else.", "AI chat", "Chromebook", "mobile data", "ClientHello"):
        assert words in page.text
    assert (await client.get("/dns_filter/point")).status != 200


async def test_what_is_known_is_well_formed() -> None:
    known = supplied()
    assert known.title("8.8.8.8") == "Google Public DNS"
    assert known.services["cloudflare-dns.com"] == "doh"
    assert known.services["nordvpn.com"] == "vpn"
    assert all("childline" not in host for host in known.services)


async def test_the_pages_are_free_of_barriers(box: Box) -> None:
    await box.running.post(f"{HERE}/switch", {"on": "yes", "reason": "Agreed with the head"})
    await box.hears(
        device(host="Toms-Phone"), attempt(), attempt(way="vpn", to="nordvpn.com"), guide(), guide(OTHER, ())
    )
    async with a_chromium() as chromium:
        context = await chromium.new_context(viewport={"width": 320, "height": 700}, bypass_csp=True)
        cookie = f"{COOKIE}={box.running.cookie}"
        await context.set_extra_http_headers({"Cookie": cookie})
        page = await context.new_page()
        for path in (HERE, "/dns_filter/point", "/dns_filter/limits"):
            answer = await page.goto(f"http://staff.localhost:{box.running.port}{path}")
            assert answer is not None
            assert answer.status == 200, path
            assert not await barriers(page)
            wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, f"{path} is wider than a phone"


async def test_a_device_that_repeats_itself_costs_nothing_and_one_that_moves_is_noticed(box: Box) -> None:
    await box.hears(device(address="10.7.0.31", host="laptop"))
    before = box.room.addresses
    await box.hears(device(address="10.7.0.31", host="laptop"), device(address="10.7.0.31"))
    assert box.room.addresses is before
    await box.hears(device(OTHER, "10.7.0.31"))
    assert box.room.addresses.mac_at("10.7.0.31", now()) == OTHER


async def test_whoever_invents_very_many_devices_does_not_keep_the_box_busy(box: Box) -> None:
    await box.hears(*(device(f"72:00:00:00:{one >> 8:02x}:{one & 255:02x}", "") for one in range(LEARNED_AT_ONCE + 1)))
    await box.hears(device("70:11:22:33:44:77", "10.7.0.32"))
    assert box.room.addresses.mac_at("10.7.0.32", now()) is None
    await box.room.look_again()
    assert box.room.addresses.mac_at("10.7.0.32", now()) == "70:11:22:33:44:77"
