"""A school in network namespaces: one pupil asks the box, another a second resolver on a network of its own.

The listening is the real process, at a real interface; frames cross veth pairs and a bridge. Needs root, as on any
machine that can give CAP_NET_RAW away.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from crafted_frames import DHCP_OFFER, DHCP_REQUEST, ROUTER_SAYS, WIREGUARD, client_hello, crypto, initial, to
from scapy.layers.inet import UDP
from scapy.packet import Raw

from appliance.access import Role
from appliance.testing import Home, Running

PATIENCE = 40.0
BOX, FIRST, SECOND, RESOLVER = "10.7.0.1", "10.7.0.8", "10.7.0.9", "10.8.0.53"
ANSWERS = """
import socket, sys
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind((sys.argv[1], 53))
tcp = socket.create_server((sys.argv[1], 443))
print("ready", flush=True)
while True:
    packet, asker = udp.recvfrom(512)
    end = packet.index(0, 12) + 5
    udp.sendto(packet[:2] + bytes([0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]) + packet[12:end]
               + bytes([0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7]), asker)
"""
SENDS = """
import json, socket, sys
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
raw.bind(("eth0", 0))
for frame in json.load(sys.stdin):
    raw.send(bytes.fromhex(frame))
"""
OPENS = """
import contextlib, socket, ssl, sys
raw = socket.create_connection((sys.argv[1], 443), timeout=5)
raw.settimeout(0.2)
context = ssl.create_default_context()
with contextlib.suppress(OSError):
    context.wrap_socket(raw, server_hostname=sys.argv[2])
"""


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=20)


@dataclass
class Net:
    """The namespaces: ``box``, ``first`` and ``second`` (pupils at one switch), ``resolver`` (behind the box)."""

    mark: str = field(default_factory=lambda: f"e{os.getpid()}")
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    def name(self, who: str) -> str:
        return f"{self.mark}-{who}"

    def make(self) -> None:
        for who in ("box", "first", "second", "resolver"):
            ip("netns", "add", self.name(who))
            ip("-n", self.name(who), "link", "set", "lo", "up")
        box = self.name("box")
        ip("-n", box, "link", "add", "br0", "type", "bridge")
        for who, address in (("first", FIRST), ("second", SECOND), ("resolver", RESOLVER)):
            there = self.name(who)
            ip("-n", box, "link", "add", who, "type", "veth", "peer", "name", "eth0", "netns", there)
            ip("-n", box, "link", "set", who, "up")
            ip("-n", there, "addr", "add", f"{address}/24", "dev", "eth0")
            ip("-n", there, "link", "set", "eth0", "up")
            ip("-n", there, "route", "add", "default", "via", BOX if who != "resolver" else "10.8.0.1")
            if who != "resolver":
                ip("-n", box, "link", "set", who, "master", "br0")
        ip("-n", box, "addr", "add", f"{BOX}/24", "dev", "br0")
        ip("-n", box, "link", "set", "br0", "up")
        ip("-n", box, "addr", "add", "10.8.0.1/24", "dev", "resolver")
        self.run("box", sys.executable, "-c", "open('/proc/sys/net/ipv4/ip_forward', 'w').write('1')")

    def remove(self) -> None:
        for process in self.running:
            process.terminate()
            process.wait(10)
        for who in ("box", "first", "second", "resolver"):
            with suppress(subprocess.CalledProcessError):
                ip("netns", "del", self.name(who))

    def run(self, who: str, *command: str, given: str = "") -> str:
        whole = ["ip", "netns", "exec", self.name(who), *command]
        done = subprocess.run(whole, input=given, capture_output=True, text=True, timeout=30, check=True)
        return done.stdout

    def start(self, who: str, *command: str, wait: bool = True) -> subprocess.Popen[str]:
        whole = ["ip", "netns", "exec", self.name(who), *command]
        process = subprocess.Popen(whole, stdout=subprocess.PIPE if wait else None, text=True)
        self.running.append(process)
        if wait:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        return process

    def asks(self, who: str, server: str, name: str) -> str:
        return self.run(who, "dig", f"@{server}", name, "+short", "+tries=1", "+time=5").strip()

    def sends(self, *frames: bytes) -> None:
        """Out of the second pupil's network card."""
        self.run("second", sys.executable, "-c", SENDS, given=json.dumps([frame.hex() for frame in frames]))

    def mac(self, who: str) -> str:
        return str(json.loads(self.run(who, "ip", "-j", "link", "show", "eth0"))[0]["address"])


@pytest.fixture
def net() -> Iterator[Net]:
    made = Net()
    try:
        made.make()
        made.start("resolver", sys.executable, "-c", ANSWERS, RESOLVER)
        made.start("box", sys.executable, "-c", ANSWERS, BOX)
        yield made
    finally:
        made.remove()


async def until(condition: Callable[[], Awaitable[Any]]) -> Any:
    async with asyncio.timeout(PATIENCE):
        while not (found := await condition()):
            await asyncio.sleep(0.05)
    return found


async def test_asking_a_second_resolver_is_seen_and_alerted_once(
    net: Net, appliance_home: Home, start_appliance: Callable[[Home], Awaitable[Running]]
) -> None:
    appliance_home.write(
        f"plugins: {{dns_filter: {{port: {appliance_home.dns_port},"
        f" sniffer: {{interface: br0, other_resolvers: [{RESOLVER}], managed_networks: [10.7.0.0/24]}}}}}}"
    )
    box = await start_appliance(appliance_home)
    lead = await box.as_role(Role.LEAD, name="Lena")
    appliance, room = box.appliance, box.appliance.plugins._registered["dns_filter"].plugin.network
    place = ["--config", str(appliance_home.config_file), "--trial", str(appliance_home.state)]
    worker = net.start(
        "box", sys.executable, "-m", "appliance", *place, "worker", "dns_filter.sniffer", wait=False
    )  # fmt: skip

    async def is_off() -> bool:
        return room.heard.known and not room.heard.listening

    await until(is_off)
    assert "packet" not in raw_sockets_of(worker.pid), "while it is off it holds no raw socket"
    answer = await box.post("/dns_filter/network/switch", {"on": "yes", "reason": "Agreed with the head"})
    assert answer.status == 303

    async def is_on() -> bool:
        return bool(room.heard.listening)

    await until(is_on)
    assert room.heard.interface == "br0"

    assert net.asks("first", BOX, "www.example.org") == "192.0.2.7"
    assert net.asks("second", RESOLVER, "childline.org.uk") == "192.0.2.7"
    assert net.asks("second", RESOLVER, "secret.example") == "192.0.2.7"

    async def alerts() -> list[Any]:
        return [row for row in await appliance.alerts.open(lead.actor) if row["kind"] == "network"]

    (alert,) = await until(alerts)
    second = net.mac("second")
    assert alert["category"] == "A device goes around the web filter"
    assert f"{RESOLVER} (named in the settings), once" in alert["words"]
    assert f"({second})" in alert["words"]
    assert "For the safeguarding lead: while this goes on, names that this device asks elsewhere" in alert["words"]
    assert appliance.alerts.waiting(box.account) == appliance.alerts.waiting(lead.account) == 1
    (attempt,) = await room.store.attempts("")
    assert (attempt.who, attempt.to, attempt.count) == (second, RESOLVER, 1), "childline.org.uk is never noted"

    net.run("second", sys.executable, "-c", OPENS, RESOLVER, "dns.google")
    quic = to("198.51.100.1", UDP(sport=7, dport=443) / Raw(initial(crypto(0, client_hello("nordvpn.com")))), SECOND)
    for _ in range(2):
        net.asks("second", RESOLVER, "secret.example")
    net.sends(quic, WIREGUARD, DHCP_REQUEST, DHCP_OFFER, ROUTER_SAYS)

    async def all_of_it() -> bool:
        found = {(one.way, one.to): one.count for one in await room.store.attempts("")}
        return {("resolver", RESOLVER): 3, ("doh", "dns.google"): 1, ("vpn", "nordvpn.com"): 1}.items() <= found.items()

    await until(all_of_it)

    async def three_alerts() -> list[Any]:
        return [row for row in await alerts() if len(await alerts()) >= 3]

    found = {row["category"]: row["words"] for row in await until(three_alerts)}
    assert set(found) == {
        "A device goes around the web filter",
        "A DHCP server sends devices to another name server",
        "An IPv6 router sends devices to another name server",
    }

    async def strangers() -> bool:
        await room.look_again()
        return {second, net.mac("first")} <= {one.mac for one in room.strangers}

    await until(strangers)
    kept = json.dumps([[dict(row) for row in await appliance.records.fetch(f"SELECT * FROM {table}")] for table in (
        "dns_filter_network_devices", "dns_filter_network_attempts", "alerts", "alert_steps")])  # fmt: skip
    assert "secret.example" not in kept
    assert "childline" not in kept
    page = (await box.get("/dns_filter/network")).text
    assert "It listens at the interface br0" in page
    assert "dns.google" in page
    assert "Leads elsewhere" in page

    await box.post("/dns_filter/network/switch", {"on": "no", "reason": "Over"})
    await until(is_off)
    assert "packet" not in raw_sockets_of(worker.pid)


def raw_sockets_of(pid: int) -> str:
    """What the kernel lists as packet sockets in the namespace of a process."""
    lines = Path(f"/proc/{pid}/net/packet").read_text(encoding="ascii").splitlines()[1:]
    return "packet" if lines else ""
