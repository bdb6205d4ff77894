"""The resolver: what it keeps and for how long, whom it asks and when, what it answers when nobody does."""

from __future__ import annotations

from typing import Any

import pytest
from dnslib import QTYPE, RCODE, DNSRecord
from resolver_bench import (
    CLIENT,
    Device,
    Upstream,
    a_closed_port,
    addresses,
    device,
    error_of,
    policy,
    query,
    table,
    zone,
)

from appliance_plugins.dns_filter.answerer.notes import FIELDS
from appliance_plugins.dns_filter.answerer.resolving import OF_ONE, STALE_TTL

SOA = "example. 900 IN SOA ns.example. h.example. 1 2 3 4 120"
SERVFAIL, NXDOMAIN, REFUSED = RCODE.SERVFAIL, RCODE.NXDOMAIN, RCODE.REFUSED
SHORT = 0.05
"""A timeout for those who never answer."""


def silent(message: bytes, over_tcp: bool) -> list[bytes]:
    return []


def failing(message: bytes, over_tcp: bool) -> list[bytes]:
    return [message[:2] + b"\x81\x82" + message[4:]]


def refusing(message: bytes, over_tcp: bool) -> list[bytes]:
    return [message[:2] + b"\x81\x85" + message[4:]]


def away(asker: Device) -> None:
    """The upstream answers no more, which is found out soon."""
    asker.upstreams[0].script = silent
    asker.use(upstream_timeout=SHORT)


def back(asker: Device) -> None:
    """It does again, and may take its time."""
    asker.upstreams[0].script = addresses
    asker.use()


def ttl(reply: DNSRecord) -> int:
    return int(reply.rr[0].ttl)


# The cache


def test_an_answer_is_kept_and_grows_old() -> None:
    with device(addresses) as asker:
        assert ttl(asker.ask("a.example")) == 300
        asker.bench.skip(100)
        assert 180 <= ttl(asker.ask("a.example")) <= 200
        asker.bench.skip(201)
        assert ttl(asker.ask("a.example")) == 300
        assert asker.upstreams[0].names == ["a.example.", "a.example."]


def test_a_packet_answered_again_by_the_same_octets_never_outlives_the_answer() -> None:
    with device(addresses) as asker:
        asker.ask("a.example")
        for age in (0, 100, 150, 30, 15):
            asker.bench.skip(age)
            made = asker.ask_packet(query("a.example"))
            left = ttl(DNSRecord.parse(b"\0\0" + made.tail))
            passed = sum((0, 100, 150, 30, 15)[: (0, 100, 150, 30, 15).index(age) + 1])
            assert left + made.seconds <= 300 - passed
        assert len(asker.upstreams[0].asked) <= 2


def test_the_first_answer_is_not_for_the_very_same_packet() -> None:
    with device(addresses) as asker:
        assert asker.ask_packet(query("a.example")).seconds == 0
        assert asker.ask_packet(query("a.example")).seconds > 0
        assert asker.ask_packet(query("a.example"), tcp=True).seconds == 0


@pytest.mark.parametrize(("given", "bounds", "kept"), [(5, {"min_ttl": 60}, 60), (90000, {"max_ttl": 600}, 600)])
def test_ttls_are_clamped(given: int, bounds: dict[str, int], kept: int) -> None:
    with device(lambda m, t: addresses(m, t, given), cache=bounds) as asker:
        assert ttl(asker.ask("a.example")) == kept


def test_signatures_and_unchecked_answers_are_kept_apart() -> None:
    with device(addresses) as asker:
        asker.ask("a.example", edns=b"")
        asker.ask("a.example", edns=b"", do=True)
        asker.ask("a.example", second=0x10)
        assert len(asker.upstreams[0].asked) == 3
        asker.ask("A.EXAMPLE", edns=b"", do=True)
        assert len(asker.upstreams[0].asked) == 3


def test_a_failure_is_remembered_for_a_moment() -> None:
    with device(failing) as asker:
        assert asker.ask("a.example").header.rcode == SERVFAIL
        assert asker.ask("a.example").header.rcode == SERVFAIL
        asked = len(asker.upstreams[0].asked)
        asker.bench.skip(3)
        asker.upstreams[0].script = addresses
        assert asker.ask("a.example").header.rcode == 0
        assert len(asker.upstreams[0].asked) == asked + 1 == 2


def test_the_cache_is_bounded_and_keeps_what_is_asked_for() -> None:
    with device(addresses, cache={"entries": 20}) as asker:
        for number in range(100):
            asker.ask(f"a{number}.example")
            asker.ask("often.example")
        assert len(asker.resolver._answers) <= 20
        assert asker.upstreams[0].names.count("often.example.") == 1


def test_hot_names_are_fetched_before_their_end() -> None:
    with device(addresses) as asker:
        for _ in range(4):
            asker.ask("hot.example")
        asker.ask("cold.example")
        asker.bench.skip(280)
        assert ttl(asker.ask("hot.example")) <= 20  # the old one, at once
        assert ttl(asker.ask("cold.example")) <= 20
        asker.bench.run_until(lambda: not asker.in_flight)
        assert ttl(asker.ask("hot.example")) > 250
        assert sorted(asker.upstreams[0].names) == ["cold.example.", "hot.example.", "hot.example."]


def test_nothing_is_fetched_ahead_where_that_is_off() -> None:
    with device(addresses, cache={"prefetch": False}) as asker:
        for _ in range(4):
            asker.ask("hot.example")
        asker.bench.skip(280)
        asker.ask("hot.example")
        assert not asker.in_flight


# Old answers (RFC 8767)


def test_an_old_answer_while_nobody_answers() -> None:
    with device(addresses) as asker:
        asker.ask("a.example")
        away(asker)
        asker.bench.skip(400)
        reply = asker.ask("a.example", edns=b"")
        assert (ttl(reply), error_of(reply), reply.header.rcode) == (STALE_TTL, 3, 0)


def test_it_is_given_at_once_while_all_are_known_to_be_away_and_the_new_one_when_they_are_back() -> None:
    with device(addresses) as asker:
        asker.ask("a.example")
        away(asker)
        for number in range(3):
            assert asker.ask(f"b{number}.example").header.rcode == SERVFAIL
        assert asker.resolver._upstreams.reports()[0]["state"] == "resting"
        asker.bench.skip(400)
        (made,) = asker.send(query("a.example", edns=b""))
        assert error_of(DNSRecord.parse(b"\0\0" + made.tail)) == 3
        asker.bench.run_until(lambda: not asker.in_flight)  # nobody heard the question behind it
        back(asker)
        asker.bench.run_until(lambda: asker.resolver._upstreams.reports()[0]["state"] == "up")
        asker.bench.skip(10)
        assert ttl(asker.ask("a.example")) > STALE_TTL


def test_old_answers_have_an_end() -> None:
    with device(addresses, cache={"stale_seconds": 1000}) as asker:
        asker.ask("a.example")
        asker.upstreams[0].script = silent
        asker.use(cache={"stale_seconds": 1000}, upstream_timeout=SHORT)
        asker.bench.skip(1301)
        assert asker.ask("a.example").header.rcode == SERVFAIL


def test_an_old_answer_instead_of_an_upstreams_failure() -> None:
    with device(addresses) as asker:
        asker.ask("a.example")
        asker.upstreams[0].script = failing
        asker.bench.skip(400)
        assert ttl(asker.ask("a.example")) == STALE_TTL


def test_old_news_that_there_is_no_such_name() -> None:
    with device(zone("", rcode=NXDOMAIN, auth=SOA)) as asker:
        asker.ask("a.example")
        asker.upstreams[0].script = failing
        asker.bench.skip(400)
        reply = asker.ask("a.example", edns=b"")
        assert (reply.header.rcode, error_of(reply)) == (NXDOMAIN, 19)


# Whom to ask


def test_each_query_leaves_from_a_port_of_its_own_with_an_id_and_a_spelling_at_random() -> None:
    with device(addresses) as asker:
        for number in range(40):
            asker.ask(f"somewhere-long-enough-{number}.example")
        asked = asker.upstreams[0].asked
    assert len({port for _, _, port in asked}) >= 38
    assert len({message[:2] for _, message, _ in asked}) >= 38
    assert len({message[13:34].swapcase() for _, message, _ in asked}) >= 38


def test_the_same_question_is_asked_once_for_all_who_wait() -> None:
    with device(addresses) as asker:
        waiting = [asker.send(query(name)) for name in ("a.example", "A.example", "a.EXAMPLE")]
        asker.bench.run_until(lambda: all(waiting))
        assert len(asker.upstreams[0].asked) == 1
        assert [len(answers) for answers in waiting] == [1, 1, 1]
        assert [answers[0].tail[11:20] for answers in waiting] == [b"a\7example", b"A\7example", b"a\7EXAMPLE"]


def test_one_client_cannot_take_all_places() -> None:
    with device(silent) as asker:
        mine = [asker.send(query(f"a{number}.example", edns=b"")) for number in range(OF_ONE + 5)]
        refused = [DNSRecord.parse(b"\0\0" + answers[0].tail) for answers in mine if answers]
        assert [(reply.header.rcode, error_of(reply)) for reply in refused] == [(SERVFAIL, 0)] * 5
        asker.upstreams[0].script = addresses
        asker.client = "10.0.0.8"
        assert asker.ask("b.example").header.rcode == 0


def test_places_are_given_back() -> None:
    with device(addresses) as asker:
        for number in range(OF_ONE + 50):
            assert asker.ask(f"a{number}.example").header.rcode == 0
        asker.leaves_nothing_open()


def test_the_first_server_is_asked_while_it_answers() -> None:
    with device(addresses, addresses) as asker:
        for number in range(10):
            asker.ask(f"a{number}.example")
        assert [len(each.asked) for each in asker.upstreams] == [10, 0]


def test_the_next_server_is_asked_when_one_is_silent_and_a_late_answer_still_counts() -> None:
    with device(silent, addresses, upstream_timeout=0.6) as asker:
        assert asker.ask("a.example").header.rcode == 0
        assert [len(each.asked) for each in asker.upstreams] == [1, 1]


def test_a_server_that_cannot_be_reached_costs_no_time() -> None:
    with device(addresses, upstream_timeout=60) as asker:
        away = {"host": "127.0.0.1", "port": a_closed_port(), "tls": ""}
        asker.use(upstreams=[away, asker.upstreams[0].part()], upstream_timeout=60)
        for number in range(4):
            assert asker.ask(f"a{number}.example").header.rcode == 0
        first, second = asker.resolver._upstreams.reports()
        assert (first["state"], second["state"]) == ("resting", "up")
        assert [each["state"] for each in asker.health[-1]["upstreams"]] == ["resting", "up"]


def test_nobody_can_be_reached() -> None:
    with device() as asker:
        asker.use(upstreams=[{"host": "127.0.0.1", "port": a_closed_port(), "tls": ""}])
        reply = asker.ask("a.example", edns=b"")
        assert (reply.header.rcode, error_of(reply)) == (SERVFAIL, 23)


def test_there_is_nobody_to_ask() -> None:
    with device() as asker:
        reply = asker.ask("a.example", edns=b"")
        assert (reply.header.rcode, error_of(reply)) == (SERVFAIL, 23)


def test_a_server_that_rests_is_asked_last_and_comes_back_by_a_probe() -> None:
    with device(silent, addresses, upstream_timeout=0.6) as asker:
        for number in range(3):
            asker.ask(f"a{number}.example")
        asker.bench.run_until(lambda: asker.resolver._upstreams.group(asker.world.upstreams).servers[0].is_resting)
        asked = len(asker.upstreams[0].asked)
        for number in range(5):
            asker.ask(f"b{number}.example")
        assert len(asker.upstreams[0].asked) == asked
        asker.upstreams[0].script = addresses
        asker.bench.run_until(lambda: not asker.resolver._upstreams.group(asker.world.upstreams).servers[0].is_resting)
        asker.ask("c.example")
        assert asker.upstreams[0].names[-1] == "c.example."


def test_another_server_may_know_what_one_could_not_find_out() -> None:
    with device(failing, addresses) as asker:
        assert asker.ask("a.example").header.rcode == 0


def test_a_refusal_is_the_providers_word_and_is_not_gone_around() -> None:
    with device(addresses, addresses) as asker:
        asker.ask("fine.example")
        asker.upstreams[0].script = refusing
        assert asker.ask("forbidden.example").header.rcode == REFUSED
        assert not asker.upstreams[1].asked


def test_a_server_that_refuses_everything_is_passed_over() -> None:
    with device(refusing, addresses) as asker:
        assert asker.ask("a.example").header.rcode == 0


def test_what_does_not_fit_is_fetched_over_tcp() -> None:
    def cut(message: bytes, over_tcp: bool) -> list[bytes]:
        whole = addresses(message)[0]
        return [whole] if over_tcp else [message[:2] + b"\x83\x80" + message[4:]]

    with device(cut) as asker:
        assert len(asker.ask("a.example").rr) == 1
        assert [kind for kind, _, _ in asker.upstreams[0].asked] == ["udp", "tcp"]
        assert asker.bench.relays[0]["tls"] == ""


def test_a_server_with_a_certificate_is_asked_through_the_keeper_only() -> None:
    with device(addresses) as asker:
        asker.use(upstreams=[{**asker.upstreams[0].part(), "tls": "dns.example"}])
        assert asker.ask("a.example").header.rcode == 0
        assert [kind for kind, _, _ in asker.upstreams[0].asked] == ["tcp"]
        assert asker.bench.relays[0]["tls"] == "dns.example"


def test_a_server_that_knows_no_edns_is_asked_without() -> None:
    def old(message: bytes, over_tcp: bool) -> list[bytes]:
        return [message[:2] + b"\x81\x81" + bytes(8)] if message[11] else addresses(message)

    with device(old) as asker:
        assert asker.ask("a.example", edns=b"").header.rcode == 0
        assert asker.ask("b.example", edns=b"").header.rcode == 0
        assert [message[11] for _, message, _ in asker.upstreams[0].asked] == [1, 0, 0]


def test_a_server_that_keeps_no_case_is_asked_in_plain_case_after_a_while() -> None:
    def lower(message: bytes, over_tcp: bool) -> list[bytes]:
        end = message.index(b"\0", 12)
        return [reply[:12] + reply[12:end].lower() + reply[end:] for reply in addresses(message)]

    with device(lower) as asker:
        for number in range(6):
            assert asker.ask(f"a-rather-long-name-{number}.example").header.rcode == 0
        assert len(asker.upstreams[0].asked) == 2 * 3 + 3


# Zones, local records, private addresses


def test_a_zone_has_its_own_servers_and_the_longest_counts() -> None:
    school, lab = Upstream(zone("")), Upstream(zone(""))
    school.script = zone("pc.school.example. 60 IN A 10.0.0.9")
    lab.script = zone("pc.lab.school.example. 60 IN A 10.0.0.10")
    with device(addresses) as asker:
        asker.use(
            zones=[
                {"zone": "school.example", "servers": [school.part()]},
                {"zone": "lab.school.example", "servers": [lab.part()]},
                {"zone": "10.in-addr.arpa", "servers": [school.part()]},
            ]
        )
        assert str(asker.ask("pc.school.example").rr[0].rdata) == "10.0.0.9"
        assert str(asker.ask("pc.lab.school.example").rr[0].rdata) == "10.0.0.10"
        school.script = zone("9.0.0.10.in-addr.arpa. 60 IN PTR pc.school.example.")
        assert str(asker.ask("9.0.0.10.in-addr.arpa", "PTR").rr[0].rdata) == "pc.school.example."
        assert asker.ask("1.0.168.192.in-addr.arpa", "PTR").header.rcode == NXDOMAIN
        assert not asker.upstreams[0].asked
    school.close()
    lab.close()


LOCAL = {
    "box.school.example": [["A", 300, "10.0.0.2"], ["AAAA", 300, "fd00::2"], ["TXT", 300, 'v=1 "x"']],
    "www.school.example": [["CNAME", 300, "box.school.example"]],
    "far.school.example": [["CNAME", 300, "elsewhere.example"]],
    "2.0.0.10.in-addr.arpa": [["PTR", 300, "box.school.example"]],
    "_ldap._tcp.school.example": [["SRV", 300, "0 5 389 box.school.example"]],
    "school.example": [["MX", 300, "10 box.school.example"]],
}


def test_the_schools_own_records() -> None:
    with device(addresses, local=LOCAL) as asker:
        found = {
            (name, kind): [str(rr.rdata) for rr in asker.ask(name, kind).rr]
            for name, kind in [
                ("BOX.school.example", "A"), ("box.school.example", "AAAA"), ("box.school.example", "TXT"),
                ("www.school.example", "A"), ("www.school.example", "CNAME"), ("2.0.0.10.in-addr.arpa", "PTR"),
                ("_ldap._tcp.school.example", "SRV"), ("school.example", "MX"),
            ]
        }  # fmt: skip
        assert found == {
            ("BOX.school.example", "A"): ["10.0.0.2"],
            ("box.school.example", "AAAA"): ["fd00::2"],
            ("box.school.example", "TXT"): ['"v=1 "x""'],
            ("www.school.example", "A"): ["box.school.example.", "10.0.0.2"],
            ("www.school.example", "CNAME"): ["box.school.example."],
            ("2.0.0.10.in-addr.arpa", "PTR"): ["box.school.example."],
            ("_ldap._tcp.school.example", "SRV"): ["0 5 389 box.school.example."],
            ("school.example", "MX"): ["10 box.school.example."],
        }
        nothing = asker.ask("box.school.example", "HTTPS")
        assert (nothing.header.rcode, nothing.rr, nothing.auth[0].rtype) == (0, [], QTYPE.SOA)
        assert not asker.upstreams[0].asked
        assert [str(rr.rdata) for rr in asker.ask("far.school.example").rr] == ["elsewhere.example.", "192.0.2.53"]
        assert asker.upstreams[0].names == ["elsewhere.example."]


@pytest.mark.parametrize(
    "text",
    [
        *(f"a.example. 60 IN A {address}" for address in ("10.1.2.3", "127.0.0.1", "192.168.1.1", "172.31.0.1",
                                                          "169.254.1.1", "0.0.0.0", "100.64.0.1", "100.127.9.9")),
        *(f"a.example. 60 IN AAAA {address}" for address in ("::1", "::", "fe80::1", "fd00::1", "fec0::1",
                                                             "::ffff:a00:1", "64:ff9b::a00:1", "2002:a00:1::1")),
        "a.example. 60 IN CNAME b.example.\nb.example. 60 IN A 10.0.0.1",
        "a.example. 60 IN A 192.0.2.1\na.example. 60 IN A 10.0.0.1",
    ],
)  # fmt: skip
def test_a_public_name_never_leads_into_the_school(text: str) -> None:
    qtype = "AAAA" if "AAAA" in text else "A"
    with device(zone(text)) as asker:
        reply = asker.ask("a.example", qtype, edns=b"")
        assert (reply.header.rcode, error_of(reply), reply.rr) == (NXDOMAIN, 15, [])
        asker.use(private_names=["example"])
        assert asker.ask("a.example", qtype).rr
        asker.use(policy=policy(mode="watch"))
        assert asker.ask("a.example", qtype).rr


@pytest.mark.parametrize("address", ["100.63.255.255", "100.128.0.1", "2002:808:808::1", "2001:db8::1"])
def test_what_lies_beside_a_private_network_is_answered(address: str) -> None:
    qtype = "AAAA" if ":" in address else "A"
    with device(zone(f"a.example. 60 IN {qtype} {address}")) as asker:
        assert [str(rr.rdata) for rr in asker.ask("a.example", qtype).rr] == [address]


@pytest.mark.parametrize("hint", [b"\0\4\0\4\x0a\0\0\1", b"\0\6\0\x10\xfd" + bytes(15)])
def test_nor_do_the_hints_of_an_https_record(hint: bytes) -> None:
    def hinting(message: bytes, over_tcp: bool) -> list[bytes]:
        end = message.index(b"\0", 12) + 5
        data = b"\0\1\0" + hint
        record = b"\xc0\x0c\0\x41\0\1\0\0\0\x3c" + len(data).to_bytes(2, "big") + data
        return [message[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + message[12:end] + record]

    with device(hinting) as asker:
        assert asker.ask_packet(query("a.example", "HTTPS")).tail[1] & 15 == NXDOMAIN


def test_public_addresses_are_public() -> None:
    public = ("172.32.0.1", "11.0.0.1", "192.169.0.1")
    with device(zone("\n".join(f"a.example. 60 IN A {address}" for address in public))) as asker:
        assert len(asker.ask("a.example").rr) == 3


# What policies make of answers


def test_blocked_names_are_answered_as_the_policy_says_and_forwarded_never() -> None:
    entries = [["block", "bad.example", "7"]]
    with device(addresses) as asker:
        for answer, kind, expected in [
            ("nxdomain", "A", (3, [], 1)), ("refused", "A", (5, [], 0)), ("page", "A", (0, ["10.0.0.2"], 0)),
            ("page", "AAAA", (0, ["fd00::2"], 0)), ("page", "HTTPS", (0, [], 1)),
            ("address", "A", (0, ["10.0.0.2"], 0)), ("address", "TXT", (0, [], 1)),
            ("nxdomain", "HTTPS", (3, [], 1)), ("nxdomain", "ANY", (3, [], 1)),
        ]:  # fmt: skip
            asker.use(policy=policy(entries=entries, answer=answer), block_ttl=77)
            reply = asker.ask("www.BAD.example", kind, edns=b"")
            assert (reply.header.rcode, [str(rr.rdata) for rr in reply.rr], len(reply.auth)) == expected, (answer, kind)
            assert error_of(reply) == 15
            assert all(rr.ttl == 77 for rr in (*reply.rr, *reply.auth))
        assert not asker.upstreams[0].asked


def test_the_safe_name_is_answered_and_everything_else_of_it_is_as_it_was() -> None:
    safe = policy(rewrites={"www.search.example": "safe.search.example"})
    with device(addresses, policy=safe) as asker:
        reply = asker.ask("www.Search.example")
        assert [(str(rr.rname), str(rr.rdata)) for rr in reply.rr] == [
            ("www.Search.example.", "safe.search.example."),
            ("safe.search.example.", "192.0.2.53"),
        ]
        made = asker.ask_packet(query("www.search.example", "HTTPS"))
        assert made.tail[1] & 15 == 0
        assert made.tail[4:6] == b"\0\0"
        asker.ask("www.search.example")
        asker.ask("www.search.example", "MX")
        assert asker.upstreams[0].names == ["safe.search.example.", "www.search.example."]
        asker.use()
        assert len(asker.ask("www.search.example").rr) == 1  # another policy hears of the name itself


def test_a_safe_name_that_cannot_be_found_out_is_no_way_to_the_other() -> None:
    with device(failing, policy=policy(rewrites={"www.search.example": "safe.search.example"})) as asker:
        assert asker.ask("www.search.example").header.rcode == SERVFAIL
        assert asker.upstreams[0].names == ["safe.search.example."]


CLOAK = "shop.example. 60 IN CNAME Tracker.Example.\ntracker.example. 60 IN A 192.0.2.1"


def test_where_an_alias_leads_is_judged_for_each_policy() -> None:
    blocking = policy(entries=[["block", "tracker.example", "9"]])
    with device(zone(CLOAK), policy=blocking) as asker:
        for _ in range(2):  # fetched, then kept
            made = asker.ask_packet(query("shop.example"))
            assert made.tail[1] & 15 == NXDOMAIN
            assert made.note is not None
            assert made.note[:4] == ("blocked", "cname", "", "9")
        asker.use()
        assert asker.ask("shop.example").rr
        asker.use(policy=policy(mode="watch", entries=[["block", "tracker.example", "9"]]))
        made = asker.ask_packet(query("shop.example"))
        assert made.tail[1] & 15 == 0
        assert made.note is not None
        assert made.note[:2] == ("would block", "cname")
        asker.use(policy=policy(entries=[["block", "tracker.example", "9"], ["allow", "shop.example", "10"]]))
        assert asker.ask("shop.example").rr
        assert len(asker.upstreams[0].asked) == 1


def test_a_locked_list_is_not_gone_around_by_an_alias(tmp_path: Any) -> None:
    names = table(tmp_path, ("locked", 3, ["tracker.example"]))
    parts = {
        "lists": {"locked": {"title": "L", "category": "c", "locked": True}},
        "policy": policy(mode="off", entries=[["allow", "shop.example", "10"]]),
    }
    with device(zone(CLOAK), names=names, **parts) as asker:
        made = asker.ask_packet(query("shop.example"))
        assert made.note is not None
        assert made.note[:5] == ("blocked", "cname", "locked", "tracker.example", "c")


def test_an_exempt_place_is_answered_and_nothing_is_noted_of_it() -> None:
    world = {"exempt": ["help.example"], "policy": policy(entries=[["block", "help.example", "1"]])}
    with device(zone("www.help.example. 60 IN CNAME cdn.example.\ncdn.example. 60 IN A 10.0.0.1"), **world) as asker:
        first, second = asker.ask_packet(query("www.help.example")), asker.ask_packet(query("www.help.example"))
        assert first.note is second.note is None
        assert first.tail[1] & 15 == 0
        assert asker.ask_packet(query("help.example", "ANY")).note is None
        asker.upstreams[0].script = failing
        assert asker.ask_packet(query("other.help.example")).note is None


def test_what_is_noted() -> None:
    with device(addresses, policy=policy(entries=[["block", "bad.example", "7"]])) as asker:
        first = asker.ask_packet(query("www.Example", "A"))
        again = asker.ask_packet(query("www.example", "A"))
        blocked = asker.ask_packet(query("a.bad.example", "HTTPS"))
        assert first.note is not None
        assert again.note is not None
        assert blocked.note is not None
        upstream = f"127.0.0.1:{asker.upstreams[0].port}"
        noted = dict(zip(FIELDS, first.note, strict=True))
        assert noted.pop("ms") > 0
        assert noted == {
            "verdict": "allowed", "why": "", "list": "", "rule": "", "category": "", "profile": "pupil",
            "upstream": upstream,
        }  # fmt: skip
        assert dict(zip(FIELDS, again.note, strict=True))["upstream"] == "cache"
        assert dict(zip(FIELDS, blocked.note, strict=True)) == {
            "verdict": "blocked", "why": "entry", "list": "", "rule": "7", "category": "", "profile": "pupil",
            "upstream": "", "ms": 0.0,
        }  # fmt: skip


def test_plugins_are_asked_once_for_a_name_and_never_about_exempt_or_allowed_ones() -> None:
    world = {"exempt": ["help.example"], "policy": policy(verdicts=True, entries=[["allow", "fine.example", "1"]])}
    with device(addresses, **world) as asker:
        asker.bench.verdicts = {"bad.example": "block: odd name"}
        for _ in range(2):
            made = asker.ask_packet(query("bad.example"))
            assert made.tail[1] & 15 == NXDOMAIN
            assert made.note is not None
            assert made.note[:4] == ("blocked", "plugin", "", "odd name")
        for name in ("good.example", "good.example", "help.example", "fine.example"):
            assert asker.ask(name).rr
        assert asker.bench.asked_verdicts == [("bad.example", "A", "pupil"), ("good.example", "A", "pupil")]
        assert "bad.example." not in asker.upstreams[0].names
        assert asker.resolver._held == {}


def test_plugins_that_said_nothing_in_time_are_asked_again() -> None:
    with device(addresses, policy=policy(verdicts=True)) as asker:
        asker.bench.verdicts = {"bad.example": None}
        assert asker.ask("bad.example").rr
        asker.bench.verdicts = {"bad.example": "block: odd name"}
        assert asker.ask_packet(query("bad.example")).tail[1] & 15 == NXDOMAIN


def test_a_router_that_refuses_does_not_spoil_what_was_known() -> None:
    with device(addresses) as asker:
        assert asker.ask("www.example").rr
        asker.bench.skip(4000)
        asker.upstreams[0].script = refusing
        assert asker.ask("www.example").rr, "the old answer is better"


# Another snapshot


def test_a_new_rule_counts_for_answers_that_are_kept_and_for_those_on_their_way() -> None:
    with device(addresses) as asker:
        asker.ask("a.example")
        asker.use(policy=policy(entries=[["block", "a.example", "1"]]))
        assert asker.ask("a.example").header.rcode == NXDOMAIN
        asker.use()
        assert asker.ask("a.example").rr
        assert len(asker.upstreams[0].asked) == 1


def test_answers_of_servers_that_are_not_asked_any_more_are_forgotten() -> None:
    other = Upstream(zone("a.example. 60 IN A 192.0.2.99"))
    with device(addresses) as asker:
        asker.ask("a.example")
        waiting = asker.send(query("b.example"))
        asker.use(upstreams=[other.part()])
        assert str(asker.ask("a.example").rr[0].rdata) == "192.0.2.99"
        asker.bench.run_until(lambda: bool(waiting))
        other.script = zone("b.example. 60 IN A 192.0.2.98")
        assert str(asker.ask("b.example").rr[0].rdata) == "192.0.2.98"
    other.close()


def test_the_health_of_servers_is_told_again_and_again() -> None:
    with device(addresses) as asker:
        asker.ask("a.example")
        asker.bench.skip(11)
        asker.bench.run_until(lambda: bool(asker.health))
        record = asker.health[-1]
        assert record["kind"] == "health"
        (server,) = record["upstreams"]
        where = f"127.0.0.1:{asker.upstreams[0].port}"
        assert (server["state"], server["failures"], server["server"]) == ("up", 0, where)
        assert server["ms"] > 0
        assert record["cache"]["misses"] == 1


def test_who_may_not_ask_has_no_policy() -> None:
    with device(addresses) as asker:
        assert asker.world.policy_for("192.0.2.1", 0.0)[0] is None
        assert asker.world.policy_for(CLIENT, 0.0)[0] is asker.world.policies["pupil"]
