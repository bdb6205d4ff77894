"""What the listening makes of packets: the kernel's filter, readers of hostile bytes, and what is reported."""

from __future__ import annotations

import ipaddress
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from crafted_frames import (
    ARP_SAYS,
    BOX,
    DHCP6,
    DHCP_OFFER,
    DHCP_REQUEST,
    ELSEWHERE,
    MAC,
    PUPIL,
    ROUTER,
    ROUTER_SAYS,
    WIREGUARD,
    asks,
    client_hello,
    crypto,
    ether,
    initial,
    opens,
    query,
    records,
    to,
)
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Raw

from appliance_plugins.dns_filter.network import announced, hello, quic, watching
from appliance_plugins.dns_filter.network.frames import Malformed, Packet, question, read
from appliance_plugins.dns_filter.network.listening import attach
from appliance_plugins.dns_filter.network.packet_filter import instructions
from appliance_plugins.dns_filter.network.watching import SAY_AGAIN_SECONDS, Rules, Watcher

AT = "2026-11-26T09:00:00.000Z"
RULES = Rules(
    box=frozenset({BOX}),
    own=frozenset({"10.7.0.2"}),
    exempt=frozenset({"childline.org.uk"}),
    services={"dns.example": "doh", "vpn.example": "vpn"},
    resolvers=frozenset({"9.9.9.9"}),
    networks=(ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")),
)


# The kernel's filter


@pytest.fixture
def passes() -> Iterator[Callable[[bytes], bool]]:
    """``passes(frame)``: whether the kernel hands a frame over. The same filter, at a socket that needs no right."""
    sending, receiving = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with sending, receiving:
        attach(receiving)
        receiving.setblocking(False)

        def ask(frame: bytes) -> bool:
            sending.send(frame)
            try:
                return len(receiving.recv(9000)) > 0
            except BlockingIOError:
                return False

        yield ask


LONG = records(client_hello("dns.example", filler=1800))
INTERESTING = {
    "a query": asks(),
    "a query with IP options": ether(
        IP(src=PUPIL, dst=ELSEWHERE, options=[b"\x94\x04\0\0"]) / UDP(dport=53) / query("x.org")
    ),
    "a query over IPv6": ether(IPv6(src="fd00::9", dst="2001:db8::53") / UDP(dport=53) / query("x.org")),
    "a query over TCP": to(ELSEWHERE, TCP(dport=53, flags="PA") / Raw(b"\0\x1d" + bytes(query("x.org")))),
    "encrypted DNS begins": to(ELSEWHERE, TCP(dport=853, flags="S")),
    "encrypted DNS over UDP": to(ELSEWHERE, UDP(dport=853) / Raw(b"x")),
    "TLS begins": opens(records(client_hello("dns.example"))),
    "TLS begins after TCP options": to(
        ELSEWHERE, TCP(dport=443, flags="PA", options=[("Timestamp", (1, 2))]) / Raw(records(client_hello("x.org")))
    ),
    "the first half": opens(LONG[:1400], flags="A"),
    "the second half": opens(LONG[1400:], sequence=1500),
    "QUIC begins": to(ELSEWHERE, UDP(dport=443) / Raw(initial(crypto(0, client_hello("x.org"))))),
    "QUIC 2 begins": to(ELSEWHERE, UDP(dport=443) / Raw(initial(crypto(0, client_hello("x.org")), 0x6B3343CF))),
    "WireGuard": WIREGUARD,
    "OpenVPN": to(ELSEWHERE, UDP(dport=1194) / Raw(b"\x38" + bytes(13))),
    "ARP": ARP_SAYS,
    "DHCP": DHCP_REQUEST,
    "a DHCP server": DHCP_OFFER,
    "a router": ROUTER_SAYS,
    "DHCPv6": DHCP6,
}
DULL = {
    "a page": opens(b"\x17\x03\x03\0\x10" + bytes(16)),
    "an upload": opens(bytes(range(200, 255)), flags="A"),
    "an acknowledgement": to(ELSEWHERE, TCP(dport=443, flags="A")) + bytes(6),
    "a plain page": to(ELSEWHERE, TCP(dport=80, flags="PA") / Raw(b"GET / HTTP/1.1")),
    "an answer": to(PUPIL, UDP(sport=53, dport=4000) / query("x.org"), ELSEWHERE),
    "QUIC goes on": to(ELSEWHERE, UDP(dport=443) / Raw(b"\x40" + bytes(100))),
    "encrypted DNS goes on": to(ELSEWHERE, TCP(dport=853, flags="PA") / Raw(b"\x17\x03\x03")),
    "a later fragment": ether(IP(src=PUPIL, dst=ELSEWHERE, frag=10, proto=17) / Raw(b"\0\x35\0\x35" * 8)),
    "ping": ether(IPv6(src="fd00::9", dst="fd00::1", nh=58) / Raw(b"\x80\0\0\0\0\0\0\0")),
    "something else": ether(Raw(b"\x88\x99" * 20)),
    "nothing": b"\0",
}


@pytest.mark.parametrize("what", INTERESTING)
def test_the_kernel_lets_what_matters_through(what: str, passes: Callable[[bytes], bool]) -> None:
    assert passes(INTERESTING[what])


@pytest.mark.parametrize("what", DULL)
def test_the_kernel_keeps_everything_else_to_itself(what: str, passes: Callable[[bytes], bool]) -> None:
    assert not passes(DULL[what])


def test_every_jump_of_the_filter_stays_inside() -> None:
    program = instructions()
    for number, (_, if_true, if_not, _) in enumerate(program):
        assert number + 1 + max(if_true, if_not) <= len(program)


# Readers


@given(st.binary(max_size=200))
def test_no_bytes_break_a_reader(data: bytes) -> None:
    packet = Packet("udp", MAC, data, PUPIL, ELSEWHERE, 1, 2, data)
    for reader in (
        lambda: read(data), lambda: question(data), lambda: hello.name_in_records(data),
        lambda: hello.name_in_message(data), lambda: quic.pieces_in(data), lambda: announced.of_arp(packet),
        lambda: announced.of_dhcp(packet), lambda: announced.of_router(packet), lambda: announced.of_dhcp6(packet),
    ):  # fmt: skip
        with suppress(Malformed):
            reader()


@given(st.sampled_from(sorted(INTERESTING)), st.data())
def test_a_damaged_packet_never_stops_the_watcher(what: str, data: st.DataObject) -> None:
    frame = bytearray(INTERESTING[what])
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(frame) - 1), st.integers(0, 255)), max_size=6)):
        frame[at] = value
    watcher = Watcher(announced, lambda _: None)
    watcher.rules = RULES
    watcher.look(bytes(frame[: data.draw(st.integers(0, len(frame)))]), AT, 0.0)
    watcher.tell()


def test_the_keys_are_those_of_the_standard() -> None:
    """RFC 9001 appendix A.1 and RFC 9369 appendix A.1."""
    connection = bytes.fromhex("8394c8f03e515708")
    first, second = quic.initial_keys(1, connection), quic.initial_keys(0x6B3343CF, connection)
    assert first.key.hex() == "1f369613dd76d5467730efcbe3b1a22d"
    assert (first.iv.hex(), first.header.hex()) == ("fa044b2f42a3fd3b46fb255c", "9f50449e04a0e810283a1e9933adedd2")
    assert second.key.hex() == "8b1a0bc121284290a29e0971b5cd045d"
    assert (second.iv.hex(), second.header.hex()) == ("91f73e2351d8fa91660e909f", "45b95e15235d6f45a6b19cbcb0294ba9")


# What is reported


@pytest.fixture
def reported() -> list[Any]:
    return []


@pytest.fixture
def watch(reported: list[Any]) -> Callable[..., list[Any]]:
    """``watch(frame, ...)``: what is reported of these frames."""
    watcher = Watcher(announced, reported.append)
    watcher.rules = RULES

    def look(*frames: bytes, moment: float = 0.0) -> list[Any]:
        reported.clear()
        for frame in frames:
            watcher.look(frame, AT, moment)
        watcher.tell()
        return list(reported)

    return look


def ways(found: list[Any]) -> list[tuple[str, str, int]]:
    return [(one["way"], one["to"], one["count"]) for one in found if one["kind"] == "attempt"]


def test_asking_somebody_else_is_seen_and_what_was_asked_is_not_kept(watch: Callable[..., list[Any]]) -> None:
    found = watch(asks("secret.example"), asks("other.example"))
    assert ways(found) == [("resolver", ELSEWHERE, 2)]
    assert found[0] == {
        "kind": "attempt", "way": "resolver", "mac": MAC, "address": PUPIL, "to": ELSEWHERE, "count": 2, "first": AT,
        "last": AT,
    }  # fmt: skip
    assert "secret" not in str(found)
    assert watch() == []


def test_asking_this_box_or_the_schools_own_servers_is_nothing(watch: Callable[..., list[Any]]) -> None:
    assert watch(asks(target=BOX), asks(target="10.7.0.2"), asks(source=BOX), asks(target="224.0.0.251")) == []
    assert watch(asks(source="198.51.100.7")) == [], "not a device of the school"


@pytest.mark.parametrize("name", ["childline.org.uk", "WWW.Childline.org.uk"])
def test_places_of_help_are_never_noted(name: str, watch: Callable[..., list[Any]]) -> None:
    over_tcp = to(ELSEWHERE, TCP(dport=53, flags="PA") / Raw(b"\0\x20" + bytes(query(name))))
    over_quic = to("9.9.9.9", UDP(dport=443) / Raw(initial(crypto(0, client_hello(name)))))
    assert watch(asks(name), over_tcp, opens(records(client_hello(name)), "9.9.9.9"), over_quic) == []


def test_known_services_are_seen_by_name_and_by_address_and_nothing_else_is(watch: Callable[..., list[Any]]) -> None:
    found = watch(
        opens(records(client_hello("family.dns.example"))),
        opens(records(client_hello("api.vpn.example")), sequence=5),
        opens(records(client_hello("")), "9.9.9.9"),
        opens(records(client_hello("www.example.org"))),
        opens(records(client_hello("notdns.example"))),
    )
    assert ways(found) == [("doh", "dns.example", 1), ("vpn", "vpn.example", 1), ("doh", "9.9.9.9", 1)]
    assert "family" not in str(found)


@pytest.mark.parametrize("cut", [3, 60, 1400, len(LONG) - 1])
def test_a_client_hello_in_two_packets_is_put_together(cut: int, watch: Callable[..., list[Any]]) -> None:
    halves = opens(LONG[:cut], flags="A"), opens(LONG[cut:], sequence=100 + cut)
    assert ways(watch(*halves)) == [("doh", "dns.example", 1)]
    assert watch(opens(LONG[:cut]), opens(LONG[cut:], sequence=999)) == [], "not what follows"


def test_a_client_hello_in_many_records_is_read(watch: Callable[..., list[Any]]) -> None:
    assert ways(watch(opens(records(client_hello("dns.example"), 20)))) == [("doh", "dns.example", 1)]


@pytest.mark.parametrize("version", [1, 0x6B3343CF])
def test_the_name_in_quic_is_read_however_it_is_shuffled(version: int, watch: Callable[..., list[Any]]) -> None:
    message = client_hello("dns.example", filler=1500)
    first = crypto(1000, message[1000:1100]) + b"\x01" + crypto(0, message[:400]) + crypto(400, message[400:1000])
    second = b"\x02\x05\x00\x00\x01" + crypto(1100, message[1100:])
    frames = [to(ELSEWHERE, UDP(sport=5, dport=443) / Raw(initial(part, version))) for part in (first, second)]
    assert ways(watch(*frames)) == [("doh", "dns.example", 1)]
    assert ways(watch(*reversed(frames))) == [("doh", "dns.example", 1)]


def test_encrypted_dns_and_vpns_are_seen_by_their_first_packet(watch: Callable[..., list[Any]]) -> None:
    found = watch(
        to(ELSEWHERE, TCP(dport=853, flags="S")),
        to(ELSEWHERE, TCP(dport=853, flags="PA") / Raw(b"x")),
        to(ELSEWHERE, UDP(dport=853) / Raw(b"x")),
        WIREGUARD,
        to(ELSEWHERE, UDP(dport=1194) / Raw(b"\x38" + bytes(13))),
        to(BOX, TCP(dport=853, flags="S")),
    )
    assert ways(found) == [("encrypted", ELSEWHERE, 2), ("tunnel", ELSEWHERE, 2)]


def test_a_tag_of_a_virtual_network_does_not_hide_a_query(watch: Callable[..., list[Any]]) -> None:
    frame = bytes(Ether(src=MAC) / Dot1Q(vlan=7) / IP(src=PUPIL, dst=ELSEWHERE) / UDP(dport=53) / query("x.org"))
    assert ways(watch(frame)) == [("resolver", ELSEWHERE, 1)]


def test_devices_say_who_they_are_and_are_reported_once_in_a_while(watch: Callable[..., list[Any]]) -> None:
    assert watch(ARP_SAYS, ARP_SAYS) == [{"kind": "device", "mac": MAC, "address": PUPIL, "host": "", "at": AT}]
    assert watch(DHCP_REQUEST)[0]["host"] == "LAPTOP-7"
    assert watch(ARP_SAYS, moment=SAY_AGAIN_SECONDS - 1) == []
    assert len(watch(ARP_SAYS, moment=SAY_AGAIN_SECONDS)) == 1
    forged = ether(ARP(op=1, hwsrc="02:00:00:00:00:01", psrc=PUPIL))
    assert watch(forged) == [], "nobody else says where a device is"


def test_whoever_shows_the_way_is_reported_with_what_it_announces(watch: Callable[..., list[Any]]) -> None:
    found = watch(DHCP_OFFER, ROUTER_SAYS, DHCP6)
    assert [
        (one["by"], one["mac"], one["address"], one["resolvers"]) for one in found if one["kind"] == "announcer"
    ] == [
        ("dhcp", ROUTER, "10.7.0.66", [ELSEWHERE, "9.9.9.9"]),
        ("router", ROUTER, "fe80::66", ["2001:db8::53"]),
        ("dhcp6", ROUTER, "fe80::67", ["2001:db8::54"]),
    ]
    assert {"kind": "device", "mac": MAC, "address": "10.7.0.77", "host": "", "at": AT} in found
    far = bytearray(ROUTER_SAYS)
    far[21] = 64
    assert watch(bytes(far)) == [], "not of this network"


def test_what_is_remembered_has_an_end(watch: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "FINDINGS_MOST", 3)
    monkeypatch.setattr(watching, "SAID_MOST", 2)
    assert len(watch(*(asks(target=f"203.0.113.{number}") for number in range(5)))) == 3
    arps = [ether(ARP(op=1, hwsrc=MAC, psrc=f"10.7.0.{number}")) for number in range(3)]
    assert len(watch(*arps, arps[0])) == 4, "the first was forgotten"


# The process


def test_while_it_is_off_scapy_is_not_loaded() -> None:
    code = (
        "import sys, appliance_plugins.dns_filter.worker, appliance_plugins.dns_filter.network.sniffer;"
        "print([name for name in sys.modules if name.startswith('scapy')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_only_the_layers_that_are_needed_are_loaded_and_no_extensions() -> None:
    code = (
        "import sys, appliance_plugins.dns_filter.network.announced; from scapy.config import conf;"
        "print('scapy.all' in sys.modules, [n for n in sys.modules if n.startswith('scapy.contrib')], conf.exts.exts)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False [] []"
