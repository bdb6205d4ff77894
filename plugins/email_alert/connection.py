"""One connection to the mail server: open it step by step, sign in, hand mails over, and say in words what went wrong.

Three kinds of failure. ``ServerTrouble`` concerns every mail: the server cannot be reached, cannot be trusted, does not
let us in, does not let this sender send. ``NotNow`` concerns one mail, which is tried again. ``AddressRefused`` is for
good: nobody has this address. Only what is surely the address's own fault is for good; all else is tried again, because
a mail too many does less harm than one too few.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohappyeyeballs
import aiosmtplib

from appliance.api import ApplianceError

from .addresses import without_addresses
from .secret_files import read_secret
from .settings import Settings
from .tokens import Tokens

SIGN_IN_CODES = frozenset({530, 534, 535, 538})
NOT_THE_ADDRESS = frozenset({500, 501, 502, 503, 504, 521, 530, 534, 535, 538, 552})
"""5xx answers to a recipient that speak of something else: the dialogue, the sign-in, a mailbox that is full today."""
STEPS_OF_OPENING = 3
STEPS_OF_A_MAIL = 6
NEXT_ADDRESS_SECONDS = 0.25
"""How long one address of the server is waited for before the next is tried beside it (RFC 8305)."""
QUIT_SECONDS = 0.5
DATA_PATIENCE = 4
"""The last answer may take so many times longer: giving up on it too early sends a mail twice (RFC 5321, 4.5.3.2.6)."""
_POLICY = re.compile(r"\b5\.7\.\d{1,3}\b")
_UNSEEN = re.compile(r"[^\x20-\x7e]+")


class ServerTrouble(ApplianceError):
    """Nothing can be sent at this moment, to nobody. ``sign_in``: the server is there and does not let us in.
    ``sender``: it lets us in and does not take mails from this sender, which only a mail that is taken disproves.
    """

    def __init__(self, what: str, todo: str = "", *, sign_in: bool = False, sender: bool = False) -> None:
        super().__init__(what, todo)
        self.sign_in = sign_in
        self.sender = sender


class NotNow(ApplianceError):
    """The server does not take this mail yet."""


class AddressRefused(ApplianceError):
    """The server says that there is no such address."""


class Connection:
    """A connection that is opened once and used for many mails, one after the other."""

    def __init__(self, settings: Settings, tokens: Tokens, hello: str, resolve: Callable[[Path], Path]) -> None:
        self._settings = settings
        self._tokens = tokens
        self._hello = hello
        self._resolve = resolve
        self._client: aiosmtplib.SMTP | None = None

    @property
    def is_open(self) -> bool:
        """Whether mails can be handed over, as far as we know."""
        return self._client is not None and self._client.is_connected

    async def open(self) -> None:
        """Connect, encrypt, sign in. Raises ``ServerTrouble``."""
        await self.close()
        server = self._settings.server
        if not server.host:
            raise ServerTrouble("No mail server is named.", "Set plugins.email_alert.server.host in the settings file.")
        context = await asyncio.to_thread(self._tls) if server.security != "none" else None
        client = aiosmtplib.SMTP(
            hostname=server.host,
            use_tls=server.security == "tls",
            start_tls=False,
            tls_context=context,
            timeout=server.timeout,
            local_hostname=self._hello,
        )
        try:
            async with self._in_words(f"{server.host}, port {server.port}"), self._limit(STEPS_OF_OPENING):
                await client.connect(sock=await self._reach())
                await client.ehlo()
                if server.security == "starttls":
                    await self._encrypt(client)
                await self._sign_in(client)
        except BaseException:
            client.close()
            raise
        self._client = client

    async def _reach(self) -> socket.socket:
        """The first of the server's addresses that answers: in many schools IPv6 is there and leads nowhere."""
        server = self._settings.server
        async with self._limit(1):
            found = await asyncio.get_running_loop().getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
            return await aiohappyeyeballs.start_connection(found, happy_eyeballs_delay=NEXT_ADDRESS_SECONDS)

    async def ask(self) -> bool:
        """Whether the server still answers on this connection, which has rested for a while."""
        if self._client is None:
            return False
        try:
            async with self._limit(1):
                await self._client.noop()
        except (aiosmtplib.SMTPException, OSError, TimeoutError):
            await self.close()
            return False
        return True

    async def send(self, sender: str, to: str, mail: bytes) -> None:
        """Hand one mail over; it is the server's when this returns. Raises ``NotNow`` and the like."""
        assert self._client is not None, "open comes first"
        client = self._client
        try:
            async with asyncio.timeout(self._settings.server.timeout * (STEPS_OF_A_MAIL + DATA_PATIENCE)):
                await self._dialogue(client, sender, to, mail)
        except aiosmtplib.SMTPSenderRefused as refused:
            raise _sender_refused(sender, refused.code, refused.message) from None
        except aiosmtplib.SMTPRecipientRefused as refused:
            raise _recipient_refused(sender, to, refused.code, refused.message) from None
        except aiosmtplib.SMTPResponseException as refused:
            raise NotNow(f"The mail server does not take the mail: {shown(refused.code, refused.message)}.") from None
        except TimeoutError:
            await self.close()
            raise NotNow("The mail server did not answer in time.") from None
        except (aiosmtplib.SMTPException, OSError):
            await self.close()
            raise NotNow("The connection to the mail server broke off.") from None
        except asyncio.CancelledError:
            client.close()
            raise

    async def close(self) -> None:
        """Say good-bye if the server listens."""
        client, self._client = self._client, None
        if client is None:
            return
        if client.is_connected:
            with suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
                await client.quit(timeout=min(self._settings.server.timeout, QUIT_SECONDS))
        client.close()

    # Step by step

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        own = self._settings.server.ca_file
        if own is not None:
            path = self._resolve(own)
            try:
                context.load_verify_locations(cafile=path)
            except (OSError, ssl.SSLError) as error:
                why = error.strerror if not isinstance(error, ssl.SSLError) else "it holds no certificate"
                raise ServerTrouble(
                    f"{path} cannot be used: {why}.", "Put the certificate of the authority there."
                ) from None
        return context

    async def _encrypt(self, client: aiosmtplib.SMTP) -> None:
        if not client.supports_extension("starttls"):
            raise ServerTrouble(
                "The mail server does not offer encryption (STARTTLS), or something on the way takes the offer out. "
                "Nothing was sent.",
                "Look whether host and port are right; if they are, ask who runs the network.",
            )
        await client.starttls()
        await client.ehlo()

    async def _sign_in(self, client: aiosmtplib.SMTP) -> None:
        sign_in = self._settings.sign_in
        if sign_in.method == "none":
            return
        try:
            if sign_in.method == "password":
                await self._with_password(client)
            else:
                await self._with_token(client)
        except aiosmtplib.SMTPAuthenticationError as refused:
            if refused.code < 500:  # for example 454: its own directory does not answer
                raise ServerTrouble(
                    f"The mail server cannot check the sign-in now: {shown(refused.code, refused.message)}.",
                    "It is tried again.",
                    sign_in=True,
                ) from None
            raise self._not_let_in(refused.code, refused.message) from None

    def _not_let_in(self, code: int, message: str) -> ServerTrouble:
        sign_in = self._settings.sign_in
        if sign_in.method == "password":
            what, todo = (
                "the name or the password is wrong",
                "Put the right password in the file that password_file names.",
            )
        else:
            what = "it does not take the access token"
            todo = "Look whether this application may send mail as this user: the README of this plugin has the steps."
        words = f"The mail server does not let {sign_in.user} in: {what} ({shown(code, message)})."
        return ServerTrouble(words, todo, sign_in=True)

    async def _with_password(self, client: aiosmtplib.SMTP) -> None:
        sign_in = self._settings.sign_in
        assert sign_in.password_file is not None  # the settings were checked
        try:
            password = await asyncio.to_thread(read_secret, self._resolve(sign_in.password_file))
        except ApplianceError as error:
            raise ServerTrouble(error.what, error.todo, sign_in=True) from None
        ways = {
            "plain": client.auth_plain,
            "login": client.auth_login,
        }  # both inside TLS; CRAM-MD5 adds nothing to that
        way = next((ways[name] for name in ways if name in client.server_auth_methods), None)
        if way is None:
            raise ServerTrouble(
                "The mail server takes no passwords on this port.",
                "Try port 587, or use oauth2: Microsoft 365 and Google take no passwords any more.",
                sign_in=True,
            )
        await way(sign_in.user, password)

    async def _with_token(self, client: aiosmtplib.SMTP) -> None:
        if "xoauth2" not in client.server_auth_methods:
            raise ServerTrouble(
                "The mail server takes no access tokens (XOAUTH2).", "Look at host and port.", sign_in=True
            )
        for last in (False, True):  # a token that was taken back earlier than it said is replaced once
            try:
                token = await self._tokens.token()
            except ApplianceError as error:
                raise ServerTrouble(error.what, error.todo, sign_in=True) from None
            try:
                await client.auth_xoauth2(self._settings.sign_in.user, token)
            except aiosmtplib.SMTPAuthenticationError:
                self._tokens.forget()
                if last:
                    raise
            else:
                return

    async def _dialogue(self, client: aiosmtplib.SMTP, sender: str, to: str, mail: bytes) -> None:
        try:
            await client.mail(sender, options=[f"SIZE={len(mail)}"] if client.supports_extension("size") else [])
            await client.rcpt(to)
            await client.data(mail, timeout=self._settings.server.timeout * DATA_PATIENCE)
        except aiosmtplib.SMTPResponseException:
            if client.is_connected:
                with suppress(aiosmtplib.SMTPResponseException):
                    await client.rset()
            raise

    @asynccontextmanager
    async def _in_words(self, where: str) -> AsyncIterator[None]:
        """Whatever keeps a connection from being made, as ``ServerTrouble``."""
        try:
            yield
        except ApplianceError:
            raise
        except aiosmtplib.SMTPResponseException as refused:
            answer = shown(refused.code, refused.message)
            raise ServerTrouble(f"The mail server {where} says: {answer}.", "It is tried again.") from None
        except (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError) as error:
            raise ServerTrouble(*_why_not(error, where)) from None

    @asynccontextmanager
    async def _limit(self, steps: int) -> AsyncIterator[None]:
        """A limit for all steps together: a server that is slow at each of them must not hold everything up."""
        async with asyncio.timeout(self._settings.server.timeout * steps):
            yield


def shown(code: int, message: str) -> str:
    """An answer of the server for a page: one short line."""
    return f"{code} {' '.join(_UNSEEN.sub(' ', message).split())}"[:160].strip()


def _sender_refused(sender: str, code: int, message: str) -> ApplianceError:
    if code < 500:
        return NotNow(f"The mail server does not take the mail yet: {shown(code, message)}.")
    return ServerTrouble(
        f"The mail server does not let {sender} send: {shown(code, message)}.",
        "Let the sign-in send as this address, or change sender.address.",
        sign_in=code in SIGN_IN_CODES,
        sender=True,
    )


def _recipient_refused(sender: str, to: str, code: int, message: str) -> ApplianceError:
    if code < 500:
        return NotNow(f"The mail server does not take mail for {to} yet: {shown(code, message)}.")
    if code in SIGN_IN_CODES:
        return ServerTrouble(
            f"The mail server wants a sign-in: {without_addresses(shown(code, message), sender)}.",
            "Set sign_in.method.",
            sign_in=True,
            sender=True,
        )
    if code in NOT_THE_ADDRESS or _POLICY.search(message):
        return NotNow(f"The mail server does not want to take mail for {to}: {shown(code, message)}.")
    return AddressRefused(
        f"The mail server refuses {to}: {shown(code, message)}.", "Look whether the address is right."
    )


def _why_not(error: BaseException, where: str) -> tuple[str, str]:
    """What kept a connection from being made, and what to do: the innermost cause that we have words for."""
    seen: BaseException | None = error
    while seen is not None:
        for kind, (what, todo) in _CAUSES.items():
            if isinstance(seen, kind):
                why = seen.verify_message.rstrip(".") if isinstance(seen, ssl.SSLCertVerificationError) else ""
                return what.format(where=where, why=why), todo
        seen = seen.__cause__ or seen.__context__
    if isinstance(error, OSError) and error.strerror:
        return f"The mail server {where} cannot be reached: {error.strerror[:100]}.", "Look at the network."
    return f"The mail server {where} broke the connection off.", "Look at security and port. It is tried again."


_CAUSES: Mapping[type[BaseException], tuple[str, str]] = {
    ssl.SSLCertVerificationError: (
        "The certificate of the mail server {where} cannot be trusted: {why}. Nothing was sent.",
        "If it is the school’s own, name its authority with ca_file. If not, somebody may be in between.",
    ),
    ssl.SSLError: (
        "No encrypted connection to the mail server {where} could be made.",
        "Look at security and port: tls goes with 465, starttls with 587.",
    ),
    socket.gaierror: (
        "The name of the mail server cannot be found: {where}.",
        "Look at server.host and the name servers.",
    ),
    ConnectionRefusedError: (
        "Nothing answers at the mail server {where}.",
        "Look at server.host and server.port, or at the server.",
    ),
    TimeoutError: (
        "The mail server {where} does not answer in time.",
        "Look at the firewall: is this port open outwards?",
    ),
}
"""The more particular before the more general."""
