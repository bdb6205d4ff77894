"""The second authority: off by default, told when it changes, and good for blocked names of the moment alone."""

from __future__ import annotations

import asyncio
import socket
import ssl
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from appliance import second_authority
from appliance.access import PERMISSIONS, Actor, Role
from appliance.audit import Audit
from appliance.bus import Bus
from appliance.db import Database
from appliance.errors import Refused
from appliance.exempt import Exempt, ExemptPlace
from appliance.hookspecs import State
from appliance.live import Live
from appliance.loading import resource
from appliance.migrate import CORE, migrate
from appliance.notices import Notices
from appliance.second_authority import AT_ONCE, LEAF_LIFE, LIFE, SecondAuthority
from appliance.trust import Authority, ssl_context
from appliance.web.deadline import GREETED, BareResponse, Door, Limits

IT = Actor("Ida", PERMISSIONS[Role.IT], "ida", Role.IT)
BLOCKED, HELP, OWN = "blocked.example", "childline.org.uk", "box.internal"


@dataclass
class Clock:
    at: datetime = datetime(2026, 11, 26, 9, 0, tzinfo=UTC)
    ticks: float = 0.0


@dataclass
class World:
    """An authority on real stores. ``blocked``: what the filter blocks, as (host, address)."""

    folder: Path
    records: Database
    audit: Audit
    clock: Clock
    authority: SecondAuthority
    blocked: set[tuple[str, str]]

    async def again(self) -> SecondAuthority:
        """As after a restart."""
        notices = Notices(self.records, Bus(self.records, (1.0,), _run), Live())
        found = make(self.folder, self.records, self.audit, notices, self.clock)
        await found.start()
        return found


async def _run(*_parts: object) -> None:
    raise AssertionError("nothing is delivered here")


def make(folder: Path, records: Database, audit: Audit, notices: Notices, clock: Clock) -> SecondAuthority:
    exempt = Exempt([ExemptPlace(HELP, "Childline", "somebody to talk to")])
    return SecondAuthority(
        folder / "trust",
        records,
        audit,
        notices,
        exempt,
        OWN,
        "Mill Lane",
        now=lambda: clock.at,
        ticks=lambda: clock.ticks,
    )


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    records = Database(tmp_path / "records.db", "full")
    await records.open()
    await migrate(records, CORE, resource("migrations"))
    audit, clock = Audit(records), Clock()
    async with records.transaction() as tx:
        await tx.execute(
            "INSERT INTO staff_accounts (id, name, sign_in_name, role, state, made_at, made_by)"
            " VALUES ('lea', 'Lea', 'lea', 'lead', 'active', '', '')"
        )
    authority = make(tmp_path, records, audit, Notices(records, Bus(records, (1.0,), _run), Live()), clock)
    await authority.start()
    found = World(tmp_path, records, audit, clock, authority, {(BLOCKED, "127.0.0.1")})
    authority.ask(lambda host, address: (host, address) in found.blocked)
    yield found
    await records.close()


async def on(world: World) -> SecondAuthority:
    await world.authority.on(IT, "chromebooks trust it", "/here")
    return world.authority


async def test_there_is_no_key_until_it_asks_for_one(world: World) -> None:
    assert not world.authority.is_on
    assert world.authority.context_for(BLOCKED, "127.0.0.1") is None
    assert not (world.folder / "trust" / "second").exists()
    with pytest.raises(Refused, match="off"):
        _ = world.authority.certificate_pem
    assert await world.authority.checks() == []


async def test_switching_it_needs_a_reason_and_the_right(world: World) -> None:
    with pytest.raises(Refused, match="why"):
        await world.authority.on(IT, "  ", "/here")
    for role in (Role.LEAD, Role.HEAD, Role.TEACHER):
        with pytest.raises(Refused):
            await world.authority.on(Actor("Lea", PERMISSIONS[role], "lea", role), "because", "/here")
    assert not world.authority.is_on
    await on(world)
    with pytest.raises(Refused, match="already"):
        await world.authority.on(IT, "again", "/here")


async def test_the_key_is_for_its_owner_alone_and_goes_when_it_is_switched_off(world: World) -> None:
    authority = await on(world)
    key = world.folder / "trust" / "second" / "key.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    assert b"PRIVATE" not in authority.certificate_pem
    assert authority.context_for(BLOCKED, "127.0.0.1") is not None
    await authority.off(IT, "not needed", "/here")
    assert not key.parent.exists()
    assert authority.context_for(BLOCKED, "127.0.0.1") is None
    assert not (await world.again()).is_on


async def test_the_lead_is_told_and_the_record_says_why(world: World) -> None:
    authority = await on(world)
    await authority.off(IT, "not needed", "/here")
    rows = await world.audit.rows(None, 10)
    assert [row["action"] for row in rows] == ["switched the second authority off", "switched the second authority on"]
    assert "chromebooks trust it" in rows[1]["detail"]
    told = await world.records.fetch("SELECT account_id, words, link FROM notices ORDER BY made_at")
    assert [(row["account_id"], row["link"]) for row in told] == [("lea", "/here")] * 2
    assert "Ida switched the second authority on" in told[0]["words"]


async def test_a_change_that_cannot_be_recorded_leaves_no_key(world: World) -> None:
    async with world.records.transaction(schema=True) as tx:
        await tx.execute("ALTER TABLE notices RENAME TO gone")
    with pytest.raises(Exception, match="notices"):
        await on(world)
    assert not (world.folder / "trust" / "second").exists()
    assert not world.authority.is_on


async def test_it_is_still_on_after_a_restart(world: World) -> None:
    authority = await on(world)
    assert (await world.again()).fingerprint == authority.fingerprint


async def test_a_key_that_others_can_read_is_not_used_and_is_said(world: World) -> None:
    await on(world)
    (world.folder / "trust" / "second" / "key.pem").chmod(0o644)
    again = await world.again()
    assert not again.is_on
    (check,) = await again.checks()
    assert check.state is State.WARNING
    await again.off(IT, "it leaked", "/here")
    assert not (world.folder / "trust" / "second").exists()


async def test_it_vouches_for_nothing_else(world: World) -> None:
    authority = await on(world)
    authority.ask(lambda name, _: name != "open.example")  # as if a list named all of them
    assert authority.context_for("other.example", "127.0.0.1") is not None
    for host in (
        *("open.example", HELP, f"www.{HELP}", OWN, f"staff.{OWN}", "www.gov.uk", "111.nhs.uk", "localhost"),
        *("127.0.0.1", "", "x", "*.example", "a/b.example", "b" * 300),
    ):
        assert authority.context_for(host, "127.0.0.1") is None, host


async def test_it_vouches_for_whoever_is_blocked_and_nobody_else(world: World) -> None:
    authority = await on(world)
    assert authority.context_for(BLOCKED, "127.0.0.1") is not None
    assert authority.context_for(BLOCKED, "10.0.0.9") is None  # kept, and still asked for each
    world.blocked.clear()
    assert authority.context_for(BLOCKED, "127.0.0.1") is None
    authority.ask(None)
    assert authority.context_for(BLOCKED, "127.0.0.1") is None


async def test_new_names_all_the_time_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_authority, "KEPT", 70)
    authority = await on(world)
    authority.ask(lambda _host, _address: True)
    made = [authority.context_for(f"a{number}.example", "127.0.0.1") for number in range(AT_ONCE + 5)]
    assert [one is None for one in made] == [False] * AT_ONCE + [True] * 5
    assert authority.context_for("a0.example", "127.0.0.1") is made[0]  # what there is costs nothing
    world.clock.ticks += 1
    assert authority.context_for("fresh.example", "127.0.0.1") is not None
    for number in range(15):
        world.clock.ticks += 1
        authority.context_for(f"b{number}.example", "127.0.0.1")
    assert len(authority._leaves) == 70


async def test_what_it_signs_is_made_anew_before_it_ends_and_the_authority_ends_itself(world: World) -> None:
    authority = await on(world)
    first = authority.context_for(BLOCKED, "127.0.0.1")
    world.clock.at += LEAF_LIFE / 3
    assert authority.context_for(BLOCKED, "127.0.0.1") is first
    world.clock.at += LEAF_LIFE / 3
    assert authority.context_for(BLOCKED, "127.0.0.1") not in {first, None}
    world.clock.at += LIFE
    assert authority.context_for(BLOCKED, "127.0.0.1") is None
    assert [check.state for check in await authority.checks()] == [State.WARNING]


# Over the wire


async def greet(port: int, host: str, trusted: ssl.SSLContext) -> str:
    """The site's own certificate, as a browser that trusts these authorities sees it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusted, server_hostname=host)
    found = writer.get_extra_info("ssl_object").getpeercert()
    writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    async with asyncio.timeout(10):
        assert b"hello" in await reader.read()
    writer.close()
    return ", ".join(value for kind, value in found["subjectAltName"] if kind == "DNS")


@pytest.fixture
async def served(world: World) -> AsyncIterator[tuple[int, Authority]]:
    own = Authority.open(world.folder / "trust", OWN, "Mill Lane")
    certificate = own.ensure_server_certificate([f"staff.{OWN}"], [])
    context = ssl_context(certificate)
    world.authority.serve_on(context, GREETED.get)

    async def hello(_request: web.BaseRequest) -> web.Response:
        return BareResponse(text="hello")

    listening = socket.create_server(("127.0.0.1", 0))
    door = Door(web.Server(hello), Limits(5, 5, 10), context, lambda _request, status: BareResponse(status=status))
    door.open([listening])
    yield listening.getsockname()[1], own
    door.stop_accepting()
    door.abort_all()
    listening.close()
    await asyncio.sleep(0)


def trusting(*pems: bytes) -> ssl.SSLContext:
    return ssl.create_default_context(cadata="".join(pem.decode() for pem in pems))


async def test_a_browser_that_trusts_it_sees_the_page_under_the_name_of_the_site(
    world: World, served: tuple[int, Authority]
) -> None:
    world.clock.at = datetime.now(UTC)
    port, own = served
    authority = await on(world)
    both = trusting(own.certificate_pem, authority.certificate_pem)
    assert await greet(port, BLOCKED, both) == BLOCKED
    assert await greet(port, f"staff.{OWN}", both) == f"staff.{OWN}"  # our own names keep their own certificate
    with pytest.raises(ssl.SSLCertVerificationError):
        await greet(port, "open.example", both)
    with pytest.raises(ssl.SSLCertVerificationError):
        await greet(port, BLOCKED, trusting(own.certificate_pem))
    await authority.off(IT, "done", "/here")
    with pytest.raises(ssl.SSLCertVerificationError):
        await greet(port, BLOCKED, both)


async def test_whose_greeting_it_is_is_known_during_the_handshake(world: World, served: tuple[int, Authority]) -> None:
    world.clock.at = datetime.now(UTC)
    asked: list[tuple[str, str]] = []

    def blocked(host: str, address: str) -> bool:
        asked.append((host, address))
        return True

    authority = await on(world)
    authority.ask(blocked)
    await greet(served[0], BLOCKED, trusting(authority.certificate_pem))
    assert asked == [(BLOCKED, "127.0.0.1")]


async def test_even_a_stolen_key_cannot_speak_for_excluded_names(world: World, tmp_path: Path) -> None:
    world.clock.at = datetime.now(UTC)
    authority = await on(world)
    await forge(world, tmp_path, BLOCKED, good=True)  # the thief's certificates do work for everything else
    for host in (HELP, f"www.{HELP}", f"staff.{OWN}", "www.gov.uk", "a.nhs.uk"):
        await forge(world, tmp_path, host, good=False)
    assert HELP in authority.excluded


async def forge(world: World, folder: Path, host: str, *, good: bool) -> None:
    """A handshake with a certificate that a thief has signed with the stolen key."""
    home = world.folder / "trust" / "second"
    signer = serialization.load_pem_private_key((home / "key.pem").read_bytes(), None)
    issuer = x509.load_pem_x509_certificate((home / "certificate.pem").read_bytes())
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    forged = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    file = folder / "forged.pem"
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    file.write_bytes(forged.public_bytes(serialization.Encoding.PEM) + pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    trusted = trusting((home / "certificate.pem").read_bytes())
    try:
        if good:
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusted, server_hostname=host)
            writer.close()
        else:
            with pytest.raises(ssl.SSLCertVerificationError, match="excluded subtree"):
                await asyncio.open_connection("127.0.0.1", port, ssl=trusted, server_hostname=host)
    finally:
        server.close()
