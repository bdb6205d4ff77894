"""The worker process as a whole: real processes, killed; real sockets; a main process that comes and goes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import struct
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from dnslib import EDNS0, HTTPS, QTYPE, RCODE, RR, DNSRecord, EDNSOption
from worker_process import PATIENCE, policy, running, snapshot

from appliance.testing import free_port


def rcode(answer: DNSRecord) -> str:
    return str(RCODE[answer.header.rcode])


async def ask_stream(port: int, *names: str) -> list[DNSRecord]:
    """The answers over one TCP connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for name in names:
        packet = bytes(DNSRecord.question(name).pack())
        writer.write(struct.pack("!H", len(packet)) + packet)
    answers = []
    async with asyncio.timeout(PATIENCE):
        for _ in names:
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            answers.append(DNSRecord.parse(await reader.readexactly(length)))
    writer.close()
    return answers


async def gone(pid: int) -> None:
    """Return when a process has ended."""
    async with asyncio.timeout(PATIENCE):
        with suppress(FileNotFoundError, ProcessLookupError):  # gone before it was opened, or before it was read
            while "State:\tZ" not in Path(f"/proc/{pid}/status").read_text():
                await asyncio.sleep(0.01)


async def test_it_blocks_forwards_and_says_so(tmp_path: Path, upstream: Any) -> None:
    async with running(tmp_path, names=["bad.example"], upstreams=[(upstream.host, upstream.port)]) as worker:
        assert rcode(await worker.ask("www.bad.example")) == "NXDOMAIN"
        assert str((await worker.ask("good.example")).a.rdata) == "192.0.2.53"
        blocked = await worker.record("www.bad.example")
        assert (blocked["verdict"], blocked["why"], blocked["list"]) == ("blocked", "list", "bad")
        assert (blocked["rule"], blocked["category"], blocked["client"]) == ("bad.example", "adult", "127.0.0.1")
        allowed = await worker.record("good.example")
        assert (allowed["verdict"], allowed["type"], allowed["profile"]) == ("allowed", "A", "pupil")
        assert allowed["upstream"].startswith("127.0.0.1")


async def test_ready_answers_are_counted_and_keep_the_spelling(tmp_path: Path, upstream: Any) -> None:
    async with running(tmp_path, names=["bad.example"], upstreams=[(upstream.host, upstream.port)]) as worker:
        for spelling in ("bad.example", "BAD.example", "bAd.ExAmPlE", "good.example", "GOOD.example", "gOOd.eXample"):
            answer = await worker.ask(spelling)
            assert str(answer.q.qname) == f"{spelling}."
        assert len(upstream.names) == 1
        await worker.until(lambda: sum(r["count"] for r in worker.records if r.get("name") == "bad.example") == 3)
        await worker.until(lambda: sum(r["count"] for r in worker.records if r.get("name") == "good.example") == 3)


async def test_no_type_is_taken_for_another_one_in_any_spelling(tmp_path: Path, upstream: Any) -> None:
    """65 (HTTPS) and 97 are a capital letter and its small one."""

    def script(query: DNSRecord, _: bool) -> bytes:
        reply = query.reply(aa=0)
        if query.q.qtype == QTYPE.HTTPS:
            reply.add_answer(RR(query.q.qname, QTYPE.HTTPS, rdata=HTTPS(1, [], []), ttl=300))
        else:
            reply.add_auth(*RR.fromZone("example. 300 IN SOA ns.example. nobody.example. 1 300 300 300 300"))
        return bytes(reply.pack())

    upstream.script = script
    async with running(tmp_path, names=["bad.example"], upstreams=[(upstream.host, upstream.port)]) as worker:
        for _ in range(2):
            for qtype in ("TYPE97", "HTTPS", "TYPE97"):
                for spelling in ("good.example", "GOOD.EXAMPLE", "gOOd.example"):
                    answer = await worker.ask(spelling, qtype)
                    assert (str(answer.q.qname), len(answer.rr)) == (f"{spelling}.", qtype == "HTTPS")
        assert len(upstream.names) == 2
        await worker.until(lambda: sum(one["count"] for one in worker.records if one.get("type") == "HTTPS") == 6)
        assert {one["type"] for one in worker.records if "type" in one} == {"HTTPS", "TYPE97"}


@pytest.mark.parametrize("cookie", [False, True])
async def test_what_else_a_packet_brings_is_no_part_of_the_name(tmp_path: Path, upstream: Any, cookie: bool) -> None:
    async with running(tmp_path, names=["bad.example"], upstreams=[(upstream.host, upstream.port)]) as worker:
        options = [EDNSOption(10, b"12345678")] if cookie else []
        for name in ("bad.example", "good.example"):
            for _ in range(2):
                assert (await worker.ask(name, edns=EDNS0(udp_len=1232, opts=options))).ar
            await worker.until(
                lambda name=name: sum(one["count"] for one in worker.records if one.get("name") == name) == 2
            )
        assert {one["name"] for one in worker.records if "name" in one} == {"bad.example", "good.example"}


async def test_places_of_help_are_answered_and_never_noted(tmp_path: Path, upstream: Any) -> None:
    servers = [(upstream.host, upstream.port)]
    async with running(tmp_path, names=["childline.org.uk", "bad.example"], upstreams=servers) as worker:
        assert str((await worker.ask("www.childline.org.uk")).a.rdata) == "192.0.2.53"
        assert str((await worker.ask("www.childline.org.uk")).a.rdata) == "192.0.2.53"
        await worker.ask("bad.example")
        await worker.record("bad.example")
        assert not [one for one in worker.records if "childline" in str(one)]


async def test_the_same_over_tcp(tmp_path: Path, upstream: Any) -> None:
    async with running(tmp_path, names=["bad.example"], upstreams=[(upstream.host, upstream.port)]) as worker:
        answers = await ask_stream(worker.port, "bad.example", "good.example", "bad.example")
        assert [rcode(answer) for answer in answers] == ["NXDOMAIN", "NOERROR", "NXDOMAIN"]
        await worker.until(lambda: sum(r["count"] for r in worker.records if r.get("name") == "bad.example") == 2)


async def test_ipv6(tmp_path: Path, upstream: Any) -> None:
    servers = [(upstream.host, upstream.port)]
    async with running(tmp_path, names=["bad.example"], upstreams=servers, listen=["127.0.0.1", "::1"]) as worker:
        assert rcode(await worker.ask("bad.example", host="::1")) == "NXDOMAIN"
        assert str((await worker.ask("good.example", host="::1")).a.rdata) == "192.0.2.53"
        assert rcode(await worker.ask("bad.example", host="::1")) == "NXDOMAIN"
        assert (await worker.record("bad.example"))["client"] == "::1"


async def test_each_address_has_its_own_profile_and_strangers_hear_nothing(tmp_path: Path, upstream: Any) -> None:
    policies = {"pupil": policy(), "staff": policy(profile="staff", lists=[])}
    async with running(
        tmp_path,
        names=["bad.example"],
        upstreams=[(upstream.host, upstream.port)],
        policies=policies,
        clients={"127.0.0.7": [["staff", None]]},
        allow_from=["127.0.0.1/32", "127.0.0.7/32"],
    ) as worker:
        assert rcode(await worker.ask("bad.example")) == "NXDOMAIN"
        assert rcode(await worker.ask("bad.example", source="127.0.0.7")) == "NOERROR"
        with pytest.raises(AssertionError, match="no answer"):
            await worker.ask("bad.example", source="127.0.0.9", tries=1)
        with pytest.raises(asyncio.IncompleteReadError):
            await _from_a_stranger(worker.port)


async def _from_a_stranger(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.9", 0))
    packet = bytes(DNSRecord.question("bad.example").pack())
    writer.write(struct.pack("!H", len(packet)) + packet)
    async with asyncio.timeout(PATIENCE):
        await reader.readexactly(2)


async def test_one_client_that_asks_too_much_is_not_answered_and_others_are(tmp_path: Path) -> None:
    async with running(tmp_path, names=["bad.example"], rate={"per_second": 1, "burst": 20}) as worker:
        loop = asyncio.get_running_loop()
        packet = bytes(DNSRecord.question("bad.example").pack())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.setblocking(False)
            udp.connect(("127.0.0.1", worker.port))
            for _ in range(100):
                await loop.sock_sendall(udp, packet)
            assert rcode(await worker.ask("bad.example", source="127.0.0.2")) == "NXDOMAIN"
            heard = 0
            try:
                while heard < 100:
                    await loop.run_in_executor(None, lambda: None)
                    udp.recv(512)
                    heard += 1
            except BlockingIOError:
                pass
        assert 20 <= heard < 40
        await worker.until(lambda: any(one.get("too_many", 0) >= 60 for one in worker.records))


async def test_new_rules_apply_to_what_was_ready(tmp_path: Path, upstream: Any) -> None:
    servers = [(upstream.host, upstream.port)]
    async with running(tmp_path, names=["bad.example"], upstreams=servers) as worker:
        assert rcode(await worker.ask("other.example")) == "NOERROR"
        assert rcode(await worker.ask("bad.example")) == "NXDOMAIN"
        newer = worker.compile(["other.example"])
        await worker.publish(snapshot(worker.port, servers, table=newer))
        async with asyncio.timeout(PATIENCE):
            while rcode(await worker.ask("other.example")) != "NXDOMAIN":
                pass
        assert rcode(await worker.ask("bad.example")) == "NOERROR"


async def test_rules_end_by_themselves_without_the_main_process(tmp_path: Path, upstream: Any) -> None:
    until = time.time() + 1.5
    chain = [["paused", until], ["pupil", None]]
    policies = {"pupil": policy(), "paused": policy(mode="off")}
    servers = [(upstream.host, upstream.port)]
    async with running(tmp_path, names=["bad.example"], upstreams=servers, policies=policies, default=chain) as worker:
        await worker.main_goes()
        assert rcode(await worker.ask("bad.example")) == "NOERROR"
        async with asyncio.timeout(PATIENCE):
            while rcode(await worker.ask("bad.example")) != "NXDOMAIN":
                pass
        await worker.main_comes()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": 99}, "has format 99"),
        ({"table": "0" * 64}, "cannot be read"),
        ({"policies": {}}, ""),
        ({"listen": ["nonsense"]}, "contradicts itself"),
    ],
)
async def test_a_snapshot_that_cannot_be_used_changes_nothing(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    async with running(tmp_path, names=["bad.example"]) as worker:
        assert rcode(await worker.ask("bad.example")) == "NXDOMAIN"
        await worker.publish(snapshot(worker.port, **changes))
        problem = await worker.until(lambda: worker.problems[-1])
        assert words in problem
        assert "The rules from before stay in force." in problem
        assert rcode(await worker.ask("bad.example")) == "NXDOMAIN"
        pids = worker.kill_answerers()
        await asyncio.gather(*map(gone, pids))
        assert rcode(await worker.ask("bad.example")) == "NXDOMAIN", "also for the process that comes after"


async def test_a_damaged_table_is_noticed(tmp_path: Path) -> None:
    async with running(tmp_path, names=["bad.example"]) as worker:
        newer = worker.compile(["other.example"])
        file = worker.lists / f"{newer}.table"
        octets = bytearray(file.read_bytes())
        octets[-1] ^= 1
        file.chmod(0o640)
        file.write_bytes(octets)
        await worker.publish(snapshot(worker.port, table=newer))
        assert "damaged" in await worker.until(lambda: worker.problems[-1])
        assert rcode(await worker.ask("bad.example")) == "NXDOMAIN"


async def test_without_its_lists_it_starts_all_the_same_and_says_so(tmp_path: Path, upstream: Any) -> None:
    policies = {"pupil": policy(entries=[["block", "worse.example", "7"]])}
    servers = [(upstream.host, upstream.port)]
    async with running(tmp_path, upstreams=servers, policies=policies, table="0" * 64) as worker:
        assert "Nothing of the lists is in force" in await worker.until(lambda: worker.problems[-1])
        assert rcode(await worker.ask("good.example")) == "NOERROR"
        assert rcode(await worker.ask("worse.example")) == "NXDOMAIN"
        await worker.publish(snapshot(worker.port, servers, table=worker.compile(["bad.example"])))
        await worker.until(lambda: worker.problems[-1] == "")
        assert rcode(await worker.ask("bad.example")) == "NXDOMAIN"


async def test_dns_goes_on_while_the_main_process_is_away_and_the_log_comes_later(tmp_path: Path) -> None:
    async with running(tmp_path, names=["bad.example"]) as worker:
        await worker.main_goes()
        assert rcode(await worker.ask("while-away.bad.example")) == "NXDOMAIN"
        await worker.main_comes()
        await worker.record("while-away.bad.example")


async def test_a_killed_answerer_is_back_and_what_waited_is_answered(tmp_path: Path) -> None:
    async with running(tmp_path, names=["bad.example"]) as worker:
        before = worker.kill_answerers()
        assert len(before) == 1
        assert rcode(await worker.ask("bad.example")) == "NXDOMAIN"
        assert worker.answerers() != before


async def test_a_packet_that_waits_in_a_stopped_process_is_answered_by_the_next_one(tmp_path: Path) -> None:
    async with running(tmp_path, names=["bad.example"]) as worker:
        (pid,) = worker.answerers()
        os.kill(pid, signal.SIGSTOP)
        asking = asyncio.create_task(worker.ask("bad.example", tries=1_000))
        await asyncio.sleep(0)
        os.kill(pid, signal.SIGKILL)
        assert rcode(await asking) == "NXDOMAIN"


async def test_a_killed_worker_answers_again_from_its_last_snapshot(tmp_path: Path) -> None:
    async with running(tmp_path, names=["bad.example"]) as worker:
        children = worker.answerers()
        await worker.kill()
        await asyncio.gather(*map(gone, children))  # they do not outlive it and hold the port
        await worker.main_goes()
        await worker.start()
        assert rcode(await worker.ask("bad.example")) == "NXDOMAIN"
        await worker.main_comes()


async def test_several_processes_share_the_port(tmp_path: Path) -> None:
    async with running(tmp_path, names=["bad.example"], processes=2) as worker:
        assert len(worker.answerers()) == 2
        for number in range(20):
            assert rcode(await worker.ask("bad.example", source=f"127.0.0.{number + 2}")) == "NXDOMAIN"
        await worker.publish(snapshot(worker.port, table=worker.compile(["bad.example"]), processes=1))
        async with asyncio.timeout(PATIENCE):
            while len(worker.answerers()) != 1:
                await asyncio.sleep(0.01)
        assert rcode(await worker.ask("bad.example")) == "NXDOMAIN"


async def test_a_port_that_is_held_is_named_and_the_old_one_kept(tmp_path: Path) -> None:
    async with running(tmp_path, names=["bad.example"]) as worker:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
            holder.bind(("127.0.0.1", 0))
            held = holder.getsockname()[1]
            table = worker.compile(["bad.example"])
            await worker.publish(snapshot(held, table=table))
            assert f"Port {held} is held by" in await worker.until(lambda: worker.problems[-1])
            assert rcode(await worker.ask("bad.example")) == "NXDOMAIN"
        newer = free_port()
        await worker.publish(snapshot(newer, table=table))
        assert rcode(await worker.ask("bad.example", port=newer)) == "NXDOMAIN"
        await worker.until(lambda: worker.problems[-1] == "")


async def test_an_upstream_that_is_the_filter_itself_is_not_asked(tmp_path: Path) -> None:
    async with running(tmp_path, names=["bad.example"]) as worker:
        await worker.publish(snapshot(worker.port, [("127.0.0.1", worker.port)]))
        assert "is this filter itself" in await worker.until(lambda: worker.problems[-1])


async def test_a_truncated_answer_is_fetched_over_tcp(tmp_path: Path, upstream: Any) -> None:
    def script(query: DNSRecord, over_tcp: bool) -> bytes:
        reply = query.reply()
        if not over_tcp:
            reply.header.tc = 1
            return bytes(reply.pack())
        for number in range(100):
            reply.add_answer(*RR.fromZone(f"{query.q.qname} 60 A 192.0.2.{number}"))
        return bytes(reply.pack())

    upstream.script = script
    async with running(tmp_path, upstreams=[(upstream.host, upstream.port)]) as worker:
        (answer,) = await ask_stream(worker.port, "many.example")
        assert len(answer.rr) == 100
        over_udp = await worker.ask("many.example")
        assert over_udp.header.tc == 1
        assert over_udp.rr == []


@pytest.mark.parametrize(("name", "wanted"), [("dns.test", "NOERROR"), ("other.test", "SERVFAIL")])
async def test_dns_over_tls_checks_the_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, wanted: str
) -> None:
    authority, certificate, key = _certificates(tmp_path, "dns.test")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                (length,) = struct.unpack("!H", await reader.readexactly(2))
                query = DNSRecord.parse(await reader.readexactly(length))
                reply = query.reply()
                reply.add_answer(*RR.fromZone(f"{query.q.qname} 60 A 192.0.2.99"))
                packet = bytes(reply.pack())
                writer.write(struct.pack("!H", len(packet)) + packet)
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    async with running(tmp_path / "worker", upstreams=[]) as worker:
        servers = [{"host": "127.0.0.1", "port": port, "tls": name}]
        await worker.publish({**snapshot(worker.port), "upstreams": servers})
        async with asyncio.timeout(PATIENCE):
            while rcode(answer := await worker.ask("secret.example")) != wanted:
                pass
        assert [str(record.rdata) for record in answer.rr] == (["192.0.2.99"] if wanted == "NOERROR" else [])
    server.close()


def _certificates(folder: Path, name: str) -> tuple[Path, Path, Path]:
    """An authority and a certificate of it for a name."""
    authority, authority_key = folder / "authority.pem", folder / "authority.key"
    request, certificate, key = folder / "request.pem", folder / "certificate.pem", folder / "key.pem"
    new = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run(
        [*new, "-x509", "-keyout", authority_key, "-out", authority, "-subj", "/CN=Test authority", "-days", "1"],
        check=True, capture_output=True,
    )  # fmt: skip
    subprocess.run([*new, "-keyout", key, "-out", request, "-subj", f"/CN={name}"], check=True, capture_output=True)
    extensions = folder / "extensions"
    extensions.write_text(f"subjectAltName=DNS:{name}\n")
    subprocess.run(
        ["openssl", "x509", "-req", "-in", request, "-CA", authority, "-CAkey", authority_key, "-out", certificate,
         "-days", "1", "-extfile", extensions],
        check=True, capture_output=True,
    )  # fmt: skip
    return authority, certificate, key


async def test_queries_of_every_type_of_packet_leave_it_alive(tmp_path: Path) -> None:
    async with running(tmp_path, names=["bad.example"]) as worker:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.setblocking(False)
            udp.connect(("127.0.0.1", worker.port))
            for number in range(300):
                await loop.sock_sendall(udp, os.urandom(number))
        pids = worker.answerers()
        assert rcode(await worker.ask("bad.example", source="127.0.0.2")) == "NXDOMAIN"
        assert worker.answerers() == pids
