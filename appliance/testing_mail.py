"""A real SMTP server with a mailbox, for tests, journeys and benchmarks: real sockets, TLS, sign-in, and bad manners.

::

    async with MailServer() as mail:                       # or the fixture ``mail_server`` of ``appliance.testing``
        home.write(f"plugins: {{email_alert: {mail.settings()}}}")
        ...
        letter = await mail.letter(to="lead@school.example")
        assert "Severe" in letter.subject

It runs in the loop of whoever starts it and serves other processes too. Needs ``aiosmtpd`` (the extra ``test``).
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from time import monotonic
from typing import Any, Literal, Self

from aiosmtpd.smtp import MISSING, SMTP, AuthResult, Envelope, LoginPassword, Session

from appliance.trust import Authority, ssl_context

PATIENCE = 30.0
Security = Literal["none", "starttls", "tls"]


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail that the server has taken: for whom, from whom (both of the envelope), what, and when (monotonic)."""

    to: str
    sender: str
    subject: str
    message: EmailMessage
    raw: bytes
    at: float

    @property
    def id(self) -> str:
        """The Message-ID."""
        return str(self.message["Message-ID"])

    @property
    def text(self) -> str:
        """The plain text."""
        return self._part("plain")

    @property
    def html(self) -> str:
        """The same as HTML."""
        return self._part("html")

    @property
    def links(self) -> list[str]:
        """Every address in the plain text."""
        return re.findall(r"https://\S+", self.text)

    def _part(self, kind: str) -> str:
        part = self.message.get_body((kind,))
        assert part is not None, f"There is no part text/{kind}."
        return str(part.get_content())


@dataclass
class MailServer:
    """The server. What it is to refuse or to be slow about may be changed while it runs.

    ``refuse``: recipient -> the whole answer (``550 5.1.1 nobody here``). ``refuse_data``: the answer to every mail.
    ``hold``: names of steps at which it says nothing more (``CONNECT``, ``AUTH``, ``RCPT``, ``DATA``: the mail is kept
    first, so the client cannot know) until the name is taken out by ``release``. ``allow``: decides about a password or
    an access token (mechanism, name, secret); without it nobody signs in. ``without``: ways to sign in that it has not.
    """

    security: Security = "none"
    allow: Callable[[str, str, str], bool] | None = None
    certificate: ssl.SSLContext | None = None
    ca_file: Path | None = None
    port: int = 0
    refuse: dict[str, str] = field(default_factory=dict)
    refuse_data: str = ""
    refuse_sender: str = ""
    without: set[str] = field(default_factory=set)
    letters: list[Letter] = field(default_factory=list)
    signed_in: list[tuple[str, str]] = field(default_factory=list)
    connections: int = 0
    _held: dict[str, asyncio.Event] = field(default_factory=dict)
    _server: asyncio.Server | None = None
    _open: set[asyncio.BaseTransport] = field(default_factory=set)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    # Starting and stopping

    async def start(self) -> None:
        """Listen on loopback, on the port of the last time if there was one."""
        context = self.certificate if self.security == "tls" else None
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocol, "127.0.0.1", self.port, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Go away: stop listening and cut every connection."""
        if self._server is None:
            return
        for event in self._held.values():
            event.set()
        self._server.close()
        for transport in list(self._open):
            transport.abort()  # type: ignore[attr-defined]
        await self._server.wait_closed()
        self._server = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def settings(self, **more: Any) -> str:
        """The settings of ``plugins.email_alert`` for this server, as YAML that is JSON too."""
        server: dict[str, Any] = {"host": "localhost", "port": self.port, "security": self.security}
        if self.ca_file is not None:
            server["ca_file"] = str(self.ca_file)
        own = {"server": {**server, **more.pop("server", {})}, "sender": {"address": "box@school.example"}}
        return json.dumps({**own, **more})

    # What happens in a client's connection

    def hold(self, step: str) -> None:
        """From now on say nothing at this step."""
        self._held[step] = asyncio.Event()

    def release(self, step: str) -> None:
        """Go on where it was held."""
        self._held.pop(step).set()

    async def at(self, step: str) -> None:
        """Wait here for as long as the step is held."""
        held = self._held.get(step)
        if held is not None:
            await held.wait()

    def accept(self, letter: Letter) -> None:
        """Put a mail in the mailbox."""
        self.letters.append(letter)
        self.tell()

    def tell(self) -> None:
        """Wake whoever waits for something."""

        async def wake() -> None:
            async with self._news:
                self._news.notify_all()

        task = asyncio.get_running_loop().create_task(wake())
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _protocol(self) -> SMTP:
        return _Connection(self)

    # Looking into the mailbox

    async def until(self, condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
        """Wait until something holds of what this server has seen."""
        try:
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(condition)
        except TimeoutError:
            found = [f"{one.to}: {one.subject}" for one in self.letters]
            raise AssertionError(f"Waited {seconds:g} seconds in vain. In the mailbox: {found}") from None

    async def letter(self, *, to: str = "", subject: str = "", number: int = 1, seconds: float = PATIENCE) -> Letter:
        """The mail for ``to`` with ``subject`` in its subject, the ``number``-th of them, as soon as it is there."""
        await self.until(lambda: len(self.found(to, subject)) >= number, seconds)
        return self.found(to, subject)[number - 1]

    def found(self, to: str = "", subject: str = "") -> list[Letter]:
        """Every mail of the mailbox that fits."""
        return [one for one in self.letters if one.to == (to or one.to) and subject in one.subject]


class _Connection(SMTP):
    """One client's connection; keeps itself known to the server, so that it can be cut."""

    def __init__(self, server: MailServer) -> None:
        encrypted = server.certificate is not None and server.security == "starttls"
        super().__init__(
            _Handler(server),
            hostname="mail.school.example",
            tls_context=server.certificate if encrypted else None,
            require_starttls=encrypted,
            auth_require_tls=encrypted,
            auth_required=server.allow is not None and encrypted,
            authenticator=_authenticator(server) if server.allow is not None else None,
            auth_exclude_mechanism=server.without if server.allow is not None else ("LOGIN", "PLAIN", "XOAUTH2"),
            loop=asyncio.get_running_loop(),
        )
        self._kept_by = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._kept_by._open.add(transport)
        self._kept_by.connections += self._original_transport is None  # STARTTLS makes a second one of the first
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._kept_by._open.discard(self.transport)
        with suppress(AttributeError):  # it was cut while it was being made
            super().connection_lost(error)
        self._kept_by.tell()

    async def _handle_client(self) -> None:
        await self._kept_by.at("CONNECT")
        await super()._handle_client()


def _authenticator(server: MailServer) -> Callable[[Any, Session, Envelope, str, Any], AuthResult]:
    def decide(_server: Any, _session: Session, _envelope: Envelope, mechanism: str, given: Any) -> AuthResult:
        name, secret = given.login.decode(), given.password.decode()
        assert server.allow is not None
        if not server.allow(mechanism, name, secret):
            return AuthResult(success=False, handled=False)
        server.signed_in.append((mechanism, name))
        return AuthResult(success=True, auth_data=given)

    return decide


class _Handler:
    """The hooks that aiosmtpd calls."""

    def __init__(self, server: MailServer) -> None:
        self._server = server

    async def auth_XOAUTH2(self, connection: SMTP, args: list[str]) -> AuthResult:  # noqa: N802 - its name is the mechanism's
        """``user=NAME^Aauth=Bearer TOKEN^A^A``; on failure a challenge with JSON, as Google and Microsoft do."""
        parts = b64decode(args[1]).split(b"\x01")
        given = LoginPassword(parts[0].removeprefix(b"user="), parts[1].removeprefix(b"auth=Bearer "))
        found = connection._authenticate("XOAUTH2", given)
        if found.success:
            return found
        await connection.push(b"334 " + b64encode(b'{"status":"401","schemes":"bearer"}'))
        await connection._reader.readline()
        return found

    async def handle_AUTH(self, *_: object) -> Any:  # noqa: N802
        """Hold here if the test says so; then let aiosmtpd decide."""
        await self._server.at("AUTH")
        return MISSING

    async def handle_MAIL(self, _c: SMTP, _s: Session, envelope: Envelope, address: str, _o: list[str]) -> str:  # noqa: N802
        """Who sends."""
        if self._server.refuse_sender:
            return self._server.refuse_sender
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, _c: SMTP, _s: Session, envelope: Envelope, address: str, _o: list[str]) -> str:  # noqa: N802
        """Who is to have it."""
        await self._server.at("RCPT")
        refused = self._server.refuse.get(address)
        if refused:
            self._server.tell()
            return refused
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _c: SMTP, _s: Session, envelope: Envelope) -> str:  # noqa: N802
        """The mail itself."""
        if self._server.refuse_data:
            self._server.tell()
            return self._server.refuse_data
        content = envelope.content
        assert isinstance(content, bytes)
        message = message_from_bytes(content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        at, subject = monotonic(), str(message["Subject"])
        for to in envelope.rcpt_tos:
            self._server.accept(Letter(to, envelope.mail_from or "", subject, message, content, at))
        await self._server.at("DATA")
        return "250 2.0.0 taken"


def certified(folder: Path, names: tuple[str, ...] = ("localhost",)) -> tuple[ssl.SSLContext, Path]:
    """A certificate for a mail server and the file of the authority to trust for it, both made in ``folder``."""
    authority = Authority.open(folder, "localhost", "Mail")
    addresses = ["127.0.0.1"] if "localhost" in names else []
    context = ssl_context(authority.ensure_server_certificate(list(names), addresses))
    context.set_alpn_protocols([])
    ca_file = folder / "ca.pem"
    ca_file.write_bytes(authority.certificate_pem)
    return context, ca_file


def is_allowed(passwords: Mapping[str, str]) -> Callable[[str, str, str], bool]:
    """An ``allow`` that knows names and their passwords or tokens."""
    return lambda _mechanism, name, secret: passwords.get(name) == secret


def closed_port() -> int:
    """A port of loopback at which nobody listens at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
