"""Everything that keeps a connection from being made, in words for IT; passwords and access tokens, for real."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from appliance.errors import ApplianceError
from appliance.testing_mail import MailServer, certified, closed_port, is_allowed
from appliance_plugins.email_alert.connection import AddressRefused, Connection, NotNow, ServerTrouble, shown
from appliance_plugins.email_alert.secret_files import BadSecretFile, read_secret
from appliance_plugins.email_alert.settings import Settings
from appliance_plugins.email_alert.tokens import GOOGLE_SCOPE, MICROSOFT_SCOPE, NoToken, Tokens

PASSWORD = "correct horse battery staple"
MAIL = b"Subject: hello\r\n\r\n.a line that begins with a dot\r\n"


@pytest.fixture
def trusted(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    """A certificate for localhost and the file of its authority."""
    folder = tmp_path / "mail"
    folder.mkdir(mode=0o700)
    return certified(folder)


def secret(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_text(text + "\n")
    path.chmod(0o600)
    return path


def connection(tmp_path: Path, mail: MailServer, sign_in: dict[str, Any] | None = None, /, **more: Any) -> Connection:
    given = json.loads(mail.settings(**more))
    settings = Settings.model_validate_json(json.dumps({**given, "sign_in": sign_in or {}}))
    tokens = Tokens(settings.sign_in, tmp_path.joinpath, settings.server.timeout)
    return Connection(settings, tokens, "box.school.example", tmp_path.joinpath)


async def trouble_of(opened: Connection) -> ServerTrouble:
    with pytest.raises(ServerTrouble) as caught:
        await opened.open()
    assert not opened.is_open
    assert caught.value.todo
    return caught.value


# Encryption


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_mails_go_over_an_encrypted_connection(tmp_path: Path, trusted: Any, security: Any) -> None:
    async with MailServer(security, certificate=trusted[0], ca_file=trusted[1]) as server:
        opened = connection(tmp_path, server)
        await opened.open()
        await opened.send("box@school.example", "lena@school.example", MAIL)
        assert await opened.ask()
        await opened.send("box@school.example", "dev@school.example", MAIL)
        await opened.close()
        assert [one.to for one in server.letters] == ["lena@school.example", "dev@school.example"]
        assert server.letters[0].raw.endswith(b"\r\n.a line that begins with a dot\r\n")
        assert server.connections == 1


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path, trusted: Any, security: Any) -> None:
    async with MailServer(security, certificate=trusted[0]) as server:
        trouble = await trouble_of(connection(tmp_path, server))
        assert "cannot be trusted" in trouble.what
        assert "Nothing was sent" in trouble.what
        assert "ca_file" in trouble.todo
        assert server.letters == []


async def test_a_certificate_for_another_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir(mode=0o700)
    certificate, ca_file = certified(tmp_path / "other", ("mail.localhost",))
    async with MailServer("starttls", certificate=certificate, ca_file=ca_file) as server:
        trouble = await trouble_of(connection(tmp_path, server))
        assert "cannot be trusted" in trouble.what
        assert "localhost" in trouble.what
        assert server.letters == []


async def test_a_server_without_starttls_is_never_used_in_clear(tmp_path: Path) -> None:
    async with MailServer("none", allow=is_allowed({"box": PASSWORD})) as server:
        server.security = "starttls"  # what the settings ask for; the offer was taken out on the way
        file = secret(tmp_path, "password", PASSWORD)
        trouble = await trouble_of(
            connection(tmp_path, server, {"method": "password", "user": "box", "password_file": str(file)})
        )
        assert "does not offer encryption (STARTTLS)" in trouble.what
        assert server.signed_in == []


@pytest.mark.parametrize(("asked", "offered"), [("tls", "none"), ("starttls", "tls")])
async def test_the_wrong_port_is_told_in_words(tmp_path: Path, trusted: Any, asked: Any, offered: Any) -> None:
    async with MailServer(offered, certificate=trusted[0], ca_file=trusted[1]) as server:
        server.security = asked
        trouble = await trouble_of(connection(tmp_path, server, server={"timeout": 0.5}))
        assert "port" in trouble.todo


async def test_an_authority_that_cannot_be_read_is_named(tmp_path: Path, trusted: Any) -> None:
    async with MailServer("tls", certificate=trusted[0]) as server:
        server.ca_file = tmp_path / "nowhere.pem"
        assert "nowhere.pem cannot be used: No such file" in (await trouble_of(connection(tmp_path, server))).what
        server.ca_file.write_text("no certificate")
        assert "it holds no certificate" in (await trouble_of(connection(tmp_path, server))).what


# Reaching it


async def test_a_server_that_is_not_there_is_told_in_words(tmp_path: Path) -> None:
    server = MailServer(port=closed_port())
    assert "Nothing answers" in (await trouble_of(connection(tmp_path, server))).what
    away = connection(tmp_path, server, server={"host": "mail.invalid"})
    assert "cannot be found" in (await trouble_of(away)).what
    assert "No mail server" in (await trouble_of(connection(tmp_path, server, server={"host": ""}))).what


@pytest.mark.parametrize("step", ["CONNECT", "AUTH"])
async def test_a_server_that_never_answers_is_left(tmp_path: Path, trusted: Any, step: str) -> None:
    file = secret(tmp_path, "password", PASSWORD)
    sign_in = {"method": "password", "user": "box", "password_file": str(file)}
    allow = is_allowed({"box": PASSWORD})
    async with MailServer("starttls", allow, certificate=trusted[0], ca_file=trusted[1]) as server:
        server.hold(step)
        trouble = await trouble_of(connection(tmp_path, server, sign_in, server={"timeout": 0.3}))
        assert "does not answer in time" in trouble.what


async def test_a_server_that_speaks_one_letter_at_a_time_is_left(tmp_path: Path) -> None:
    async def drips(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(b"220-x\r\n")
            await asyncio.sleep(0.01)
        writer.close()

    listening = await asyncio.start_server(drips, "127.0.0.1", 0)
    server = MailServer(port=listening.sockets[0].getsockname()[1])
    trouble = await trouble_of(connection(tmp_path, server, server={"timeout": 0.3}))
    assert trouble.what
    listening.close()


@pytest.mark.parametrize("greeting", [b"554 go away\r\n", b"421 busy\r\n", b"hello\r\n", b"220 " + b"x" * 50_000, b""])
async def test_a_server_that_talks_nonsense_is_told_in_words(tmp_path: Path, greeting: bytes) -> None:
    async def talks(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        writer.close()

    listening = await asyncio.start_server(talks, "127.0.0.1", 0)
    server = MailServer(port=listening.sockets[0].getsockname()[1])
    trouble = await trouble_of(connection(tmp_path, server, server={"timeout": 0.5}))
    assert len(str(trouble)) < 400
    listening.close()


async def test_an_address_that_leads_nowhere_does_not_hide_the_one_that_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    waiting = [socket.socket() for _ in range(3)]  # nobody accepts: further connections hear nothing
    for one in waiting:
        one.setblocking(False)
        one.connect_ex(full.getsockname())
    async with MailServer() as server:
        addresses = [full.getsockname(), ("127.0.0.1", server.port)]

        async def both(*_: object, **__: object) -> list[Any]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", both)
        opened = connection(tmp_path, server)
        await opened.open()
        await opened.send("box@school.example", "lena@school.example", MAIL)
        await opened.close()
    for one in (full, *waiting):
        one.close()


# What it says of one mail


async def test_answers_are_sorted_by_whom_they_concern(tmp_path: Path) -> None:
    async with MailServer() as server:
        opened = connection(tmp_path, server)
        await opened.open()
        server.refuse = {"a@x": "550 5.1.1 nobody", "b@x": "451 4.7.1 later", "c@x": "550 5.7.1 relaying denied"}
        server.refuse["d@x"] = "530 5.7.0 sign in"
        for to, kind in (("a@x", AddressRefused), ("b@x", NotNow), ("c@x", NotNow), ("d@x", ServerTrouble)):
            with pytest.raises(kind):
                await opened.send("box@school.example", to, MAIL)
        await opened.send("box@school.example", "e@x", MAIL)  # the conversation goes on
        server.refuse_sender = "451 4.3.0 not now"
        with pytest.raises(NotNow):
            await opened.send("box@school.example", "e@x", MAIL)
        await server.stop()
        server.refuse_sender = ""
        with pytest.raises(NotNow):
            await opened.send("box@school.example", "e@x", MAIL)
        assert not opened.is_open
        assert not await opened.ask()
        await opened.close()
    assert len(server.letters) == 1


def test_answers_are_shown_as_one_short_line() -> None:
    assert shown(550, "no\r\nsuch \x1b[31m thing\n" + "x" * 500).startswith("550 no such [31m thing xxx")
    assert len(shown(550, "x" * 500)) == 160


# Signing in


@pytest.mark.parametrize("way", ["PLAIN", "LOGIN"])
async def test_a_password_lets_us_in(tmp_path: Path, trusted: Any, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = secret(tmp_path, "password", PASSWORD)
    sign_in = {"method": "password", "user": "box@school.example", "password_file": str(file)}
    async with MailServer("starttls", certificate=trusted[0], ca_file=trusted[1]) as server:
        server.allow = is_allowed({"box@school.example": PASSWORD})
        server.without = {"PLAIN", "LOGIN"} - {way}
        opened = connection(tmp_path, server, sign_in)
        await opened.open()
        await opened.send("box@school.example", "lena@school.example", MAIL)
        await opened.close()
        assert server.signed_in == [(way, "box@school.example")]
        file.write_text("wrong")
        trouble = await trouble_of(opened)
        assert trouble.sign_in
        assert "does not let box@school.example in: the name or the password is wrong (535" in trouble.what
        assert "wrong\n" not in str(trouble)
        file.write_text(PASSWORD)  # put right: no restart is needed
        await opened.open()
        await opened.close()


async def test_a_secret_file_that_cannot_be_used_is_named(tmp_path: Path, trusted: Any) -> None:
    file = tmp_path / "password"
    sign_in = {"method": "password", "user": "box", "password_file": "password"}
    allow = is_allowed({"box": PASSWORD})
    async with MailServer("starttls", allow, certificate=trusted[0], ca_file=trusted[1]) as server:
        opened = connection(tmp_path, server, sign_in)
        assert f"{file} cannot be read" in (await trouble_of(opened)).what
        file.write_text(PASSWORD)
        file.chmod(0o644)
        trouble = await trouble_of(opened)
        assert trouble.todo == f"Run: chmod o=,g-w {file}"
        file.chmod(0o640)
        await opened.open()
        await opened.close()
    for content in (b"", b"\n", b"\xff\xfe", b"x" * 70_000):
        file.write_bytes(content)
        with pytest.raises(BadSecretFile, match="holds no secret"):
            read_secret(file)


async def test_a_server_that_takes_no_passwords_is_told_in_words(tmp_path: Path, trusted: Any) -> None:
    file = secret(tmp_path, "password", PASSWORD)
    sign_in = {"method": "password", "user": "box", "password_file": str(file)}
    async with MailServer("starttls", certificate=trusted[0], ca_file=trusted[1]) as server:
        assert "takes no passwords" in (await trouble_of(connection(tmp_path, server, sign_in))).what
        oauth = {"method": "oauth2", "user": "box", "tenant": "t", "client_id": "c", "client_secret_file": str(file)}
        assert "takes no access tokens" in (await trouble_of(connection(tmp_path, server, oauth))).what


# Access tokens


@dataclass
class Provider:
    """A small provider of access tokens on aiohttp, on loopback."""

    public_key: rsa.RSAPublicKey
    url: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)
    given: list[str] = field(default_factory=list)
    seconds: int = 3600
    answer: Callable[[dict[str, str]], web.Response] | None = None

    async def token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.asked.append(form)
        if self.answer is not None:
            return self.answer(form)
        if not self._is_right(form):
            words = "AADSTS7000215: Invalid client secret provided for app 'hunter2'."
            return web.json_response({"error": "invalid_client", "error_description": words}, status=401)
        self.given.append(f"token-{len(self.given)}")
        return web.json_response({"access_token": self.given[-1], "expires_in": self.seconds, "token_type": "Bearer"})

    def _is_right(self, form: dict[str, str]) -> bool:
        if form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return self._is_signed(form["assertion"])
        return form.get("client_secret") == "s3cret" and form.get("client_id") == "app"

    def _is_signed(self, statement: str) -> bool:
        content, _, signature = statement.rpartition(".")
        self.public_key.verify(unpacked(signature), content.encode(), padding.PKCS1v15(), hashes.SHA256())
        return True

    def allows(self, _mechanism: str, user: str, token: str) -> bool:
        return user == "box@school.example" and self.given != [] and token == self.given[-1]


def unpacked(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@pytest.fixture(scope="module")
def service_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
async def provider(service_key: rsa.RSAPrivateKey) -> AsyncIterator[Provider]:
    found = Provider(service_key.public_key())
    application = web.Application()
    application.router.add_post("/token", found.token)
    async with TestServer(application, host="127.0.0.1") as server:
        found.url = str(server.make_url("/token"))
        yield found


@pytest.fixture
async def modern(provider: Provider, trusted: Any) -> AsyncIterator[MailServer]:
    """A mail server that takes access tokens of ``provider``."""
    async with MailServer("starttls", provider.allows, certificate=trusted[0], ca_file=trusted[1]) as server:
        yield server


def signs_in(of: Provider, tmp_path: Path, /, **more: Any) -> dict[str, Any]:
    file = secret(tmp_path, "client-secret", "s3cret")
    own = {"method": "oauth2", "user": "box@school.example", "token_url": of.url}
    return {**own, "client_id": "app", "client_secret_file": str(file), **more}


async def test_microsoft_365_lets_an_application_in(tmp_path: Path, provider: Provider, modern: MailServer) -> None:
    opened = connection(tmp_path, modern, signs_in(provider, tmp_path, provider="microsoft365", tenant="school"))
    await opened.open()
    await opened.send("box@school.example", "lena@school.example", MAIL)
    await opened.close()
    assert modern.signed_in == [("XOAUTH2", "box@school.example")]
    assert provider.asked == [
        {
            "grant_type": "client_credentials",
            "scope": MICROSOFT_SCOPE,
            "client_id": "app",
            "client_secret": "s3cret",
        }
    ]
    await opened.open()  # the token is still good
    await opened.close()
    assert len(provider.asked) == 1


async def test_google_lets_a_service_account_in(
    tmp_path: Path, provider: Provider, modern: MailServer, service_key: rsa.RSAPrivateKey
) -> None:
    pem = service_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    content = {"client_email": "box@project.iam.example", "private_key": pem, "private_key_id": "k1", "type": "x"}
    file = secret(tmp_path, "google.json", json.dumps(content))
    sign_in = {"method": "oauth2", "provider": "google", "user": "box@school.example", "token_url": provider.url}
    opened = connection(tmp_path, modern, {**sign_in, "service_account_file": str(file)})
    await opened.open()
    await opened.close()
    head, claims, _ = provider.asked[0]["assertion"].split(".")
    assert json.loads(unpacked(head)) == {"alg": "RS256", "typ": "JWT", "kid": "k1"}
    said = json.loads(unpacked(claims))
    assert (said["iss"], said["sub"]) == ("box@project.iam.example", "box@school.example")
    assert (said["scope"], said["aud"]) == (GOOGLE_SCOPE, provider.url)
    assert 0 < said["exp"] - said["iat"] <= 3600
    for wrong in ("{}", "nonsense", json.dumps({**content, "private_key": "no key"}), "[]"):
        file.write_text(wrong)
        opened = connection(tmp_path, modern, {**sign_in, "service_account_file": str(file)})
        trouble = await trouble_of(opened)
        assert trouble.sign_in
        assert "no key" in str(trouble).lower() or "no rsa key" in str(trouble).lower()


@pytest.mark.parametrize("who", ["google", "custom"])
async def test_a_refresh_token_lets_us_in(tmp_path: Path, provider: Provider, modern: MailServer, who: str) -> None:
    file = secret(tmp_path, "refresh", "1//refresh")
    opened = connection(tmp_path, modern, signs_in(provider, tmp_path, provider=who, refresh_token_file=str(file)))
    await opened.open()
    await opened.close()
    assert provider.asked[0]["refresh_token"] == "1//refresh"


async def test_a_token_that_was_taken_back_is_replaced_once(
    tmp_path: Path, provider: Provider, modern: MailServer
) -> None:
    opened = connection(tmp_path, modern, signs_in(provider, tmp_path, tenant="school"))
    await opened.open()
    await opened.close()
    provider.given.append("another")  # the server knows only the latest
    await opened.open()
    await opened.close()
    assert len(provider.asked) == 2
    modern.allow = lambda *_: False
    trouble = await trouble_of(opened)
    assert trouble.sign_in
    assert "does not take the access token (535" in trouble.what


async def test_a_token_that_ends_soon_is_not_used_again(tmp_path: Path, provider: Provider, modern: MailServer) -> None:
    provider.seconds = 60
    opened = connection(tmp_path, modern, signs_in(provider, tmp_path, tenant="school"))
    for _ in range(2):
        await opened.open()
        await opened.close()
    assert len(provider.asked) == 2


async def test_a_wrong_secret_is_told_without_what_the_provider_writes(
    tmp_path: Path, provider: Provider, modern: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "appliance_plugins")
    sign_in = signs_in(provider, tmp_path, tenant="school")
    secret(tmp_path, "client-secret", "an old one")
    trouble = await trouble_of(connection(tmp_path, modern, sign_in))
    assert trouble.sign_in
    assert trouble.what == "Microsoft gives no access token: invalid_client AADSTS7000215."
    assert "client_secret_file" in trouble.todo
    assert "hunter2" not in str(trouble)
    assert "an old one" not in caplog.text


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("<html>", "status 200"),
        ("[]", "status 200"),
        ('{"access_token": ""}', "status 200"),
        ('{"access_token": "a\\r\\nb"}', "status 200"),
        ('{"access_token": 7}', "status 200"),
        ('{"error": "invalid_grant"}', "invalid_grant"),
        ('{"error": "' + "x" * 500 + '"}', "status 200"),
    ],
)
async def test_a_strange_answer_is_no_token(
    tmp_path: Path, provider: Provider, modern: MailServer, body: str, words: str
) -> None:
    provider.answer = lambda _: web.Response(text=body)
    trouble = await trouble_of(connection(tmp_path, modern, signs_in(provider, tmp_path, tenant="school")))
    assert words in trouble.what


async def test_a_provider_that_is_away_is_told_in_words(tmp_path: Path, provider: Provider) -> None:
    settings = Settings.model_validate_json(
        json.dumps(
            {"sign_in": signs_in(provider, tmp_path, tenant="x", token_url=f"http://127.0.0.1:{closed_port()}/")}
        )
    )
    with pytest.raises(NoToken, match="Microsoft could not be asked"):
        await Tokens(settings.sign_in, Path, 5.0).token()

    async def never(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    silent = await asyncio.start_server(never, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}/"
    settings = Settings.model_validate_json(
        json.dumps({"sign_in": signs_in(provider, tmp_path, tenant="x", token_url=url)})
    )
    with pytest.raises(NoToken, match="did not answer in time"):
        await Tokens(settings.sign_in, Path, 0.2).token()
    silent.close()
    assert issubclass(NoToken, ApplianceError)
