"""The worker: devices ask over real sockets, an upstream follows its script, snapshots come and go."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from dnslib import QTYPE, RR, TXT, DNSRecord

from appliance.hookspecs import Worker
from appliance.workers import WorkerContext, Workers
from appliance_plugins.dns_filter import worker
from appliance_plugins.dns_filter.lists.compiled import FOLDER
from appliance_plugins.dns_filter.settings import Settings
from appliance_plugins.dns_filter.snapshot import build
from appliance_plugins.dns_filter.upstream import OF_ONE

Start = Callable[..., Awaitable[Any]]
PATIENCE = 10.0
NXDOMAIN, REFUSED, SERVFAIL = 3, 5, 2

BLOCKING = {
    "lists": ({"name": "ads", "file": "ads.txt"},),
    "profiles": (
        {"name": "pupil", "mode": "block", "block": ("ads",)},
        {"name": "staff", "mode": "watch", "block": ("ads",)},
        {"name": "guest", "mode": "block", "block": ("ads",), "answer": "refused"},
    ),
}


def rdata(reply: DNSRecord) -> list[str]:
    return [str(rr.rdata) for rr in reply.rr]


async def test_each_group_gets_its_profile(start_filter: Start, upstream: Any, device: Start, list_file: Any) -> None:
    running = await start_filter(
        {**BLOCKING, "upstreams": (upstream.endpoint,)},
        lists={"ads": list_file("ads.example")},
        ranges=[("127.0.0.3/32", "office", "staff"), ("127.0.0.0/30", "wifi", "guest")],
    )
    rcodes = {}
    for source in ("127.0.0.1", "127.0.0.3", "127.0.0.9"):
        rcodes[source] = (await (await device(running.port, source)).ask("www.ads.example")).header.rcode
    assert rcodes == {"127.0.0.1": REFUSED, "127.0.0.3": 0, "127.0.0.9": NXDOMAIN}
    assert upstream.names == ["www.ads.example."]
    noted = [
        (each["client"], each["group"], each["profile"], each["verdict"], each["list"])
        for each in running.context.records
    ]
    assert noted == [
        ("127.0.0.1", "wifi", "guest", "blocked", "ads"),
        ("127.0.0.3", "office", "staff", "would block", "ads"),
        ("127.0.0.9", "", "pupil", "blocked", "ads"),
    ]


async def test_what_is_noted_of_a_query(start_filter: Start, upstream: Any, device: Start) -> None:
    running = await start_filter({"upstreams": (upstream.endpoint,)})
    assert rdata(await (await device(running.port)).ask("WWW.example.org")) == ["192.0.2.53"]
    (record,) = running.context.records
    assert {**record, "t": "", "ms": 0} == {
        "t": "", "client": "127.0.0.1", "group": "", "name": "www.example.org", "type": "A", "verdict": "allowed",
        "list": "", "profile": "pupil", "ms": 0,
    }  # fmt: skip
    assert record["t"].endswith("Z")
    assert record["ms"] >= 0


async def test_exempt_places_are_answered_and_never_noted(
    start_filter: Start, upstream: Any, device: Start, ask_over_tcp: Start, list_file: Any
) -> None:
    running = await start_filter(
        {**BLOCKING, "upstreams": (upstream.endpoint,)},
        lists={"ads": list_file("help.example", "chat.help.example", "ads.example")},
        exempt=["help.example"],
    )
    asking = await device(running.port)
    for name in ("help.example", "HELP.example", "chat.help.example", "deep.chat.help.example"):
        assert rdata(await asking.ask(name)) == ["192.0.2.53"]
        for qtype in ("AAAA", "HTTPS", "ANY", "TXT"):
            assert (await asking.ask(name, qtype)).header.rcode == 0
        assert rdata(await ask_over_tcp(running.port, name)) == ["192.0.2.53"]
    assert (await asking.ask("ads.example")).header.rcode == NXDOMAIN
    assert [record["name"] for record in running.context.records] == ["ads.example"]


async def test_an_exempt_place_is_not_noted_when_its_answer_fails(
    start_filter: Start, upstream: Any, device: Start
) -> None:
    upstream.stop()
    running = await start_filter({"upstreams": (upstream.endpoint,)}, exempt=["help.example"])
    assert (await (await device(running.port)).ask("help.example")).header.rcode == SERVFAIL
    assert running.context.records == []


async def test_strangers_get_no_answer_at_all(
    start_filter: Start, upstream: Any, device: Start, ask_over_tcp: Start
) -> None:
    running = await start_filter({"upstreams": (upstream.endpoint,), "allow_from": ("127.0.0.2/32",)})
    stranger, known = await device(running.port, "127.0.0.1"), await device(running.port, "127.0.0.2")
    stranger.send(bytes(DNSRecord.question("www.example.org").pack()))
    stranger.send(b"\x00\x01\x20" + bytes(20))  # an operation that a known device hears NOTIMP for
    assert (await known.ask("www.example.org")).header.rcode == 0
    # The stranger's packets came first; whatever there was to answer is answered by now.
    assert stranger.received.empty()
    assert await ask_over_tcp(running.port, "www.example.org") is None
    assert await ask_over_tcp(running.port, "www.example.org", source="127.0.0.2") is not None
    assert {record["client"] for record in running.context.records} == {"127.0.0.2"}


async def test_ipv6_and_tcp(start_filter: Start, upstream: Any, device: Start, ask_over_tcp: Start) -> None:
    running = await start_filter({"listen": ("::1", "127.0.0.1"), "upstreams": (upstream.endpoint,)})
    asking = await device(running.port, source="::1", host="::1")
    assert rdata(await asking.ask("one.example.org")) == ["192.0.2.53"]
    assert rdata(await ask_over_tcp(running.port, "two.example.org", host="::1", source="::1")) == ["192.0.2.53"]
    assert rdata(await ask_over_tcp(running.port, "three.example.org")) == ["192.0.2.53"]
    assert [record["client"] for record in running.context.records] == ["::1", "::1", "127.0.0.1"]


async def test_a_dead_upstream_is_shown_until_one_answers(
    start_filter: Start, upstream: Any, start_upstream: Start, device: Start
) -> None:
    upstream.stop()
    running = await start_filter({"upstreams": (upstream.endpoint,), "upstream_timeout": 0.1})
    asking = await device(running.port)
    async with asyncio.timeout(PATIENCE):
        while not running.context.words:
            await asyncio.sleep(0.02)  # a device that asks faster is too fast for the server
            reply = await asking.ask("www.example.org", edns={})
            assert reply.header.rcode == SERVFAIL
            assert reply.ar[0].rdata[0].data[:2] == b"\x00\x16"
    assert f"No name server answers: {upstream.endpoint} refused the connection" in running.context.words
    await running.change(upstreams=[(await start_upstream()).endpoint])
    assert rdata(await asking.ask("www.example.org")) == ["192.0.2.53"]
    assert running.context.words == ""


async def test_a_device_that_fills_its_share_hears_why_and_others_are_answered(
    start_filter: Start, start_upstream: Start, device: Start
) -> None:
    def script(query: DNSRecord, over_tcp: bool) -> bytes | None:
        del over_tcp
        return None if "silent" in str(query.q.qname) else bytes(query.reply().pack())

    upstream = await start_upstream(script)
    running = await start_filter({"upstreams": (upstream.endpoint,)})
    pupil, other = await device(running.port, "127.0.0.1"), await device(running.port, "127.0.0.2")
    async with asyncio.timeout(PATIENCE):
        for number in range(OF_ONE):
            pupil.send(bytes(DNSRecord.question(f"silent{number}.example.org").pack()))
        while len(upstream.asked) < OF_ONE:
            await asyncio.sleep(0)
    refused = await pupil.ask("www.example.org", edns={})
    assert refused.header.rcode == SERVFAIL
    assert b"queries of this device wait already" in refused.ar[0].rdata[0].data
    assert (await other.ask("www.example.org")).header.rcode == 0


async def test_the_machine_is_looked_at_every_few_seconds(
    start_filter: Start, upstream: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert worker.LOOK_SECONDS <= 5.0
    monkeypatch.setattr(worker, "LOOK_SECONDS", 0.01)
    running = await start_filter({"listen": ("0.0.0.0",), "upstreams": (upstream.endpoint,)})
    monkeypatch.setattr(worker, "local_addresses", lambda: ["127.0.0.1", "127.0.0.77"])  # an address that came
    following = asyncio.create_task(running.service.follow_machine())
    async with asyncio.timeout(PATIENCE):
        while "127.0.0.77" not in {endpoint.host for endpoint in running.service.server.endpoints}:
            await asyncio.sleep(0.01)
    following.cancel()


async def test_a_long_answer_is_cut_over_udp_and_whole_over_tcp(
    start_filter: Start, start_upstream: Start, device: Start, ask_over_tcp: Start
) -> None:
    def script(query: DNSRecord, over_tcp: bool) -> bytes:
        reply = query.reply()
        if over_tcp:
            reply.add_answer(*(RR(query.q.qname, QTYPE.TXT, rdata=TXT(b"x" * 250)) for _ in range(9)))
        else:
            reply.header.tc = 1
        return bytes(reply.pack())

    running = await start_filter({"upstreams": ((await start_upstream(script)).endpoint,)})
    cut = await (await device(running.port)).ask("www.example.org", "TXT", edns={"udp_len": 4096})
    assert (cut.header.tc, cut.rr) == (1, [])
    assert len((await ask_over_tcp(running.port, "www.example.org", "TXT")).rr) == 9


async def test_any_is_never_asked_further(start_filter: Start, upstream: Any, device: Start) -> None:
    running = await start_filter({"upstreams": (upstream.endpoint,)})
    reply = await (await device(running.port)).ask("www.example.org", "ANY")
    assert [rr.rtype for rr in reply.rr] == [QTYPE.HINFO]
    assert upstream.asked == []


async def test_a_snapshot_that_cannot_be_used_changes_nothing(
    start_filter: Start, upstream: Any, device: Start, list_file: Any
) -> None:
    running = await start_filter(
        {**BLOCKING, "upstreams": (upstream.endpoint,)}, lists={"ads": list_file("ads.example")}
    )
    good, asking = running.snapshot, await device(running.port)
    for wrong, words in (
        ({"version": 2}, "has format 2"),
        ({"port": "x"}, "cannot be read"),
        ({"default_profile": "nobody"}, "contradicts itself"),
        ({"lists": {"ads": "0" * 64}}, "cannot be read"),
    ):
        await running.change(**wrong)
        assert words in running.context.words
        assert (await asking.ask("ads.example")).header.rcode == NXDOMAIN
        running.snapshot = good
    await running.change()
    assert running.context.words == ""


async def test_a_damaged_list_is_noticed(start_filter: Start, upstream: Any, list_file: Any, tmp_path: Path) -> None:
    digest = list_file("ads.example")
    (tmp_path / "worker" / FOLDER / f"{digest}.names").write_text("ads.example\nmore.example\n")
    running = await start_filter({**BLOCKING, "upstreams": (upstream.endpoint,)}, lists={"ads": digest})
    assert "is damaged" in running.context.words


async def test_a_list_that_could_never_be_read_blocks_nothing(
    start_filter: Start, upstream: Any, device: Start
) -> None:
    running = await start_filter({**BLOCKING, "upstreams": (upstream.endpoint,)}, lists={})
    assert rdata(await (await device(running.port)).ask("ads.example")) == ["192.0.2.53"]


async def test_the_filter_never_asks_itself(start_filter: Start, free_port: Callable[[], int], device: Start) -> None:
    port = free_port()
    running = await start_filter({"port": port, "upstreams": (f"127.0.0.1:{port}",)})
    assert f"127.0.0.1:{port} is this filter itself" in running.context.words
    assert "no name server to ask" in running.context.words
    assert (await (await device(port)).ask("www.example.org")).header.rcode == SERVFAIL


async def test_the_machines_own_resolvers_are_asked_when_none_are_set(
    start_filter: Start, upstream: Any, device: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a test cannot give this machine: another /etc/resolv.conf, and a server on port 53.
    monkeypatch.setattr(worker, "resolver_addresses", lambda: ["127.0.0.1"])
    monkeypatch.setattr(worker, "DNS_PORT", upstream.port)
    running = await start_filter({})
    assert rdata(await (await device(running.port)).ask("www.example.org")) == ["192.0.2.53"]


def dig(*arguments: str) -> str:
    return subprocess.run(["dig", "+tries=1", "+time=5", *arguments], capture_output=True, text=True, check=True).stdout


async def test_dig_understands_every_answer(start_filter: Start, upstream: Any, list_file: Any) -> None:
    running = await start_filter(
        {**BLOCKING, "upstreams": (upstream.endpoint,)}, lists={"ads": list_file("ads.example")}
    )
    server = ("@127.0.0.1", "-p", str(running.port))
    allowed = await asyncio.to_thread(dig, *server, "www.example.org")
    assert "status: NOERROR" in allowed
    assert "192.0.2.53" in allowed
    blocked = await asyncio.to_thread(dig, *server, "WWW.ads.example", "AAAA")
    assert "status: NXDOMAIN" in blocked
    assert "EDE: 15 (Blocked)" in blocked
    assert "localhost. nobody.invalid. 1 3600 1200 604800 60" in blocked
    assert "status: REFUSED" in await asyncio.to_thread(dig, *server, "version.bind", "CH", "TXT")
    assert "BADVERS" in await asyncio.to_thread(dig, *server, "+edns=1", "+noednsneg", "www.example.org")
    assert '"RFC8482" ""' in await asyncio.to_thread(dig, *server, "+notcp", "www.example.org", "ANY")
    assert "192.0.2.53" in await asyncio.to_thread(dig, *server, "+tcp", "+short", "www.example.org")
    upstream.stop()
    assert "EDE: 22 (No Reachable Authority)" in await asyncio.to_thread(dig, *server, "other.example.org")


async def test_the_whole_way_from_the_main_process_and_back(
    tmp_path: Path, upstream: Any, device: Start, free_port: Callable[[], int]
) -> None:
    """The real link: a snapshot through the file, records through the socket, and a change while it runs."""
    received: asyncio.Queue[Any] = asyncio.Queue()

    async def receive(records: Any, dropped: int) -> None:
        received.put_nowait((records, dropped))

    async def run(owner: str, doing: str, call: Callable[[], Awaitable[Any]], seconds: float | None = None) -> Any:
        return await call()

    workers = Workers(tmp_path / "state", tmp_path / "run", run)
    (tmp_path / "run").mkdir()
    workers.register("dns_filter", Worker("dns", worker.dns, receive))
    await workers.start()
    context = WorkerContext("dns_filter.dns", workers.folder("dns_filter.dns"), tmp_path / "run" / "workers.sock")
    context.start()
    task = asyncio.create_task(worker.dns(context))
    try:
        ports = [free_port(), free_port()]
        for port in ports:
            settings = Settings(listen=("127.0.0.1",), port=port, upstreams=(upstream.endpoint,))
            await workers.publish("dns_filter.dns", build(settings, (), (), {}))
            async with asyncio.timeout(PATIENCE):
                asking = await device(port)
                while True:  # the worker takes the snapshot in its own time; an unheard query is asked again
                    asking.send(bytes(DNSRecord.question("www.example.org").pack()))
                    try:
                        await asyncio.wait_for(asking.hear(), 0.1)
                        break
                    except TimeoutError:
                        assert not task.done()
                records, dropped = await received.get()
            assert {record["name"] for record in records} == {"www.example.org"}
            assert dropped == 0
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await context.stop()
        await workers.stop()
