"""Bundles come from files, folders and a real HTTPS server: bounded, only if changed, every refusal in words."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from pydantic import ValidationError

from appliance.signing import SigningKey
from appliance.trust import Authority, ssl_context
from appliance_plugins.keyword.bundles.bundle_settings import BundleSettings
from appliance_plugins.keyword.bundles.sources import MOST_FILES, FilePlace, Found, Unreachable, WebPlace

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Keeper:
    """A server with a certificate of our own."""

    base: str
    trusted: ssl.SSLContext
    asked: list[web.BaseRequest] = field(default_factory=list)
    content: bytes = b"a bundle"
    answer: Answer | None = None

    def place(self, path: str = "/x.tar", most: int = 10_000, proxy: str = "") -> WebPlace:
        return WebPlace(self.base + path, proxy, most, self.trusted)

    async def reply(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        if self.answer is not None:
            return await self.answer(request)
        if request.headers.get("If-None-Match") == '"one"':
            return web.Response(status=304)
        return web.Response(body=self.content, headers={"ETag": '"one"'})


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    made = Authority.open(tmp_path_factory.mktemp("keeper") / "trust", "localhost", "Keeper")
    certificate = made.ensure_server_certificate(("localhost",), ("127.0.0.1",))
    return ssl_context(certificate), ssl.create_default_context(cadata=made.certificate_pem.decode())


@pytest.fixture
async def keeper(authority: tuple[ssl.SSLContext, ssl.SSLContext]) -> AsyncIterator[Keeper]:
    server_side, trusted = authority
    app = web.Application()
    found = Keeper("", trusted)
    app.router.add_get("/{path:.*}", found.reply)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_side)
    await site.start()
    found.base = f"https://localhost:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]
    yield found
    await runner.cleanup()


async def refused(place: WebPlace | FilePlace) -> str:
    with pytest.raises(Unreachable) as caught:
        await place.look("")
    assert caught.value.todo
    return caught.value.what


async def test_what_has_not_changed_is_not_sent_again(keeper: Keeper) -> None:
    found = await keeper.place().look("")
    assert [(offer.name, offer.packed, offer.trouble) for offer in found.offers] == [("x.tar", b"a bundle", "")]
    assert await keeper.place().look(found.etag) == Found((), '"one"')


@pytest.mark.parametrize("says_how_long", [True, False])
async def test_what_is_too_large_is_not_read_to_its_end(keeper: Keeper, says_how_long: bool) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if says_how_long:
            response.content_length = 10_000_000
        await response.prepare(request)
        for _ in range(100):  # until nobody listens any more
            await response.write(b"x" * 100_000)
        return response

    keeper.answer = endless
    (offer,) = (await keeper.place(most=1_000_000).look("")).offers
    assert "larger than 1 MB" in offer.trouble
    assert offer.packed == b""


async def test_packing_on_the_way_is_not_undone(keeper: Keeper) -> None:
    async def bomb(request: web.Request) -> web.StreamResponse:
        assert request.headers["Accept-Encoding"] == "identity"
        return web.Response(body=b"\x1f\x8bzip", headers={"Content-Encoding": "gzip"})

    keeper.answer = bomb
    assert (await keeper.place().look("")).offers[0].packed == b"\x1f\x8bzip"


async def test_redirects_are_followed_over_https_alone(keeper: Keeper) -> None:
    async def moved(request: web.Request) -> web.StreamResponse:
        to = {"/moved": "/there", "/plain": "http://localhost/x", "/round": "/round"}.get(request.path)
        return web.Response(status=302, headers={"Location": to}) if to else web.Response(body=b"there")

    keeper.answer = moved
    assert (await keeper.place("/moved").look("")).offers[0].packed == b"there"
    assert "not HTTPS" in await refused(keeper.place("/plain"))
    assert "without end" in await refused(keeper.place("/round"))


async def test_trouble_is_told(keeper: Keeper) -> None:
    async def gone(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=404)

    keeper.answer = gone
    assert "answers 404 Not Found" in await refused(keeper.place())
    stranger = WebPlace(keeper.base, "", 1000, ssl.create_default_context())
    assert "not one to trust" in await refused(stranger)
    assert "Nothing can be fetched from localhost" in await refused(WebPlace("https://localhost:1/x", "", 1000))


async def test_a_proxy_is_asked(keeper: Keeper) -> None:
    assert "127.0.0.1:1" in await refused(keeper.place(proxy="http://127.0.0.1:1"))
    assert keeper.asked == []


async def test_files_and_folders_are_read(tmp_path: Path) -> None:
    (tmp_path / "b.tar").write_bytes(b"b")
    (tmp_path / "a.tgz").write_bytes(b"a" * 2000)
    (tmp_path / "notes.txt").write_bytes(b"no bundle")
    offers = (await FilePlace(tmp_path, 1000).look("")).offers
    assert [(offer.name, offer.packed, bool(offer.trouble)) for offer in offers] == [
        ("a.tgz", b"", True),
        ("b.tar", b"b", False),
    ]
    assert (await FilePlace(tmp_path / "b.tar", 1000).look("")).offers[0].packed == b"b"
    assert "cannot be read" in await refused(FilePlace(tmp_path / "none", 1000))
    for number in range(MOST_FILES):
        (tmp_path / f"{number}.tar").touch()
    assert f"more than {MOST_FILES} bundles" in await refused(FilePlace(tmp_path, 1000))


# Settings


@pytest.mark.parametrize(
    "wrong",
    [
        {"source": "http://example.org/x.tar"},
        {"source": "https://user:secret@example.org/x.tar"},
        {"source": "ftp://example.org/x"},
        {"proxy": "proxy.school.internal:3128"},
        {"keys": [{"name": "Acme", "key": "nonsense"}]},
        {"keys": [{"name": "Acme", "key": SigningKey.new().public.text[:-4] + "===="}]},
        {"max_mb": 0},
    ],
)
def test_settings_that_cannot_be_right_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        BundleSettings.model_validate(wrong)


def test_nobody_is_trusted_and_nothing_is_fetched_by_default() -> None:
    assert (BundleSettings().source, BundleSettings().keys, BundleSettings().trusted) == ("", (), ())
    key = SigningKey.new().public
    found = BundleSettings.model_validate({"source": "bundles", "keys": [{"name": "Acme", "key": key.text}]})
    assert found.trusted[0].key.fingerprint == key.fingerprint
    assert not found.is_address
