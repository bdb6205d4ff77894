"""The box's side of ``docs/endpoint-protocol.md`` and nothing else, so that a test decides what the browser is told.

It gives out a real extension, checks who is there, opens what it is sent, and serves web pages for pupils to read.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

from appliance.config import Settings
from appliance.endpoints.crx import crx
from appliance.endpoints.extension import gather, generated, manifest
from appliance.endpoints.messages import from_base64url, signed_bytes, to_base64url
from appliance.endpoints.policies import Policies
from appliance.exempt import Exempt, ExemptPlace
from appliance.keys_on_disk import ExtensionKey
from appliance.sealing import Keys, new_pair, open_envelope, read_header
from appliance.signing import BrowserKey
from appliance_plugins.keyword.needles.tables import PATH, tables_module

VAULT = "0192f0a0-0000-7000-8000-000000000001"
EPOCH = 3
WAIT_SECONDS = 30.0
TOKEN = "ABCD-EFGH"
EXEMPT = Exempt([ExemptPlace("childline.test", "Childline", "somebody to talk to")])
KEYWORD = Path(__file__).parent.parent / "plugins" / "keyword"
NEEDLES = (
    {"id": "die", "words": ["want", "to", "die"], "surfaces": ["typed", "page", "title", "address", "search"]},
    {"id": "knife", "words": ["buy", "a", "knife"], "surfaces": ["typed", "search"]},
)


SURFACES = ("typed", "page", "title", "address", "search")


def needles_of(needles: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Needles as the plugin sends them. ``needles``: {id, words, surfaces}."""
    terms = {
        one["id"]: {
            "loose": " ".join(one["words"]),
            "surfaces": sum(1 << SURFACES.index(surface) for surface in one["surfaces"]),
        }
        for one in needles
    }
    return {"terms": terms, "near": {}, "taught": {}}


@dataclass(frozen=True, slots=True)
class Received:
    """An observation as it arrived, opened."""

    id: str
    content: Mapping[str, Any]
    picture: bytes


@dataclass
class ProtocolBox:
    """What a test sets, and what it has seen. ``answer`` says what to do with an observation."""

    key: ExtensionKey
    settings: Settings = field(default_factory=Settings)
    let_in: bool = True
    knows: set[str] = field(default_factory=set)
    needles: tuple[Mapping[str, Any], ...] = NEEDLES
    own: tuple[str, ...] = ()
    exempt: tuple[str, ...] = EXEMPT.hosts()
    answer: Callable[[Received], Mapping[str, Any] | None] = lambda received: {"type": "kept", "id": received.id}
    version: str = "2026.1124.900"
    pages: dict[str, str] = field(default_factory=dict)
    hellos: list[dict[str, Any]] = field(default_factory=list)
    alive: list[dict[str, Any]] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    origins: list[str] = field(default_factory=list)
    port: int = 0
    _sockets: set[web.WebSocketResponse] = field(default_factory=set)
    _runner: web.AppRunner | None = None
    _serial: int = 0
    sends_changes: bool = False
    asked_for_whole: int = 0
    version_sent: str = ""

    def __post_init__(self) -> None:
        private, self._public = new_pair()
        self._keys = Keys("a test", private)
        self._keys.put(VAULT, EPOCH, private)
        self._policies = Policies(self.key.sign)

    @property
    def url(self) -> str:
        """Where browsers reach it."""
        return f"http://endpoint.localhost:{self.port}"

    async def start(self) -> None:
        """Listen; the same port as before, if it was stopped."""
        application = web.Application()
        application.router.add_get("/extension/updates.xml", self._updates)
        application.router.add_get("/extension/appliance.crx", self._crx)
        application.router.add_get("/connect", self._connect)
        application.router.add_get("/{path:.*}", self._page)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Be away."""
        for socket in tuple(self._sockets):
            await socket.close()
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner = None

    async def until(self, condition: Callable[[], Any], seconds: float = WAIT_SECONDS) -> None:
        """Wait until ``condition`` holds."""
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.02)

    async def tell(self, message: Mapping[str, Any]) -> None:
        """Send something to every browser."""
        for socket in self._sockets:
            await socket.send_json(message)

    async def send_policy(self) -> None:
        """Send the policy as it is now."""
        await self.tell(self.policy())

    def of(self, surface: str) -> list[Received]:
        """What was received of one surface."""
        return [received for received in self.received if received.content["surface"] == surface]

    # The extension

    def files(self) -> dict[str, bytes]:
        """The files of the extension."""
        folders = {"keyword": KEYWORD}
        about = {**manifest(self.key, EXEMPT, self.settings), "version": self.version}
        files = {**gather(folders, {"keyword": {PATH: tables_module()}}), **generated(folders, EXEMPT, self.settings)}
        return {**files, "manifest.json": json.dumps(about).encode()}

    async def _updates(self, request: web.Request) -> web.Response:
        address = f"http://{request.host}/extension/appliance.crx"
        return web.Response(
            text="<?xml version='1.0' encoding='UTF-8'?>"
            "<gupdate xmlns='http://www.google.com/update2/response' protocol='2.0'>"
            f"<app appid='{self.key.extension_id}'><updatecheck codebase='{address}' version='{self.version}'/></app>"
            "</gupdate>",
            content_type="text/xml",
        )

    async def _crx(self, _request: web.Request) -> web.Response:
        return web.Response(body=crx(self.files(), self.key), content_type="application/x-chrome-extension")

    async def _page(self, request: web.Request) -> web.Response:
        text = self.pages.get(request.path, "<!doctype html><title>A page</title>")
        return web.Response(text=text, content_type="text/html")

    # The connection

    async def _connect(self, request: web.Request) -> web.WebSocketResponse:
        self.origins.append(request.headers.get("Origin", ""))
        socket = web.WebSocketResponse(max_msg_size=4 * 2**20)
        await socket.prepare(request)
        self._sockets.add(socket)
        try:
            await self._greet(socket, request.host)
            async for message in socket:
                await self._hear(socket, message.type, message.data)
        except (ConnectionError, TypeError):  # it has gone
            pass
        finally:
            self._sockets.discard(socket)
        return socket

    async def _greet(self, socket: web.WebSocketResponse, host: str) -> None:
        nonce = secrets.token_bytes(32)
        await socket.send_json({"type": "challenge", "protocol": 1, "nonce": to_base64url(nonce), "time": 0})
        while True:
            hello = json.loads(await socket.receive_str())
            spki, signature = from_base64url(hello["key"]), from_base64url(hello["signature"])
            assert BrowserKey.of_spki(spki).has_signed(signature, signed_bytes(host, nonce, hello["counter"]))
            self.hellos.append(hello)
            if hello["key"] in self.knows:
                break
            if hello.get("token") == TOKEN:
                self.knows.add(hello["key"])
                break
            await socket.send_json({"type": "unknown"})
        if not self.let_in:
            await socket.send_json({"type": "waiting"})
            await self.until(lambda: self.let_in or socket.closed)
        await socket.send_json({"type": "welcome", "name": "A laptop"})
        await socket.send_json(self.policy())

    def policy(self) -> dict[str, Any]:
        """The message that holds the policy as it is now; a new version each time."""
        self._serial += 1
        intake = {"vault": VAULT, "epoch": EPOCH, "key": to_base64url(self._public)}
        plugins = {"keyword": needles_of(self.needles), "not_here": {"anything": self._serial}}
        wanted = {"monitored": True, "intake": intake, "exempt": list(self.exempt), "own": list(self.own)}
        policy = self._policies.of({**wanted, "plugins": plugins})
        browser = self.hellos[-1]["key"] if self.hellos else ""
        known = self.version_sent if self.sends_changes else ""
        self.version_sent = policy.version
        found: dict[str, Any] = json.loads(
            self._policies.message(policy, browser=browser, serial=self._serial, known=known)
        )
        return found

    async def _hear(self, socket: web.WebSocketResponse, kind: WSMsgType, data: Any) -> None:
        if kind is WSMsgType.TEXT:
            message = json.loads(data)
            if message["type"] == "whole":
                self.asked_for_whole += 1
                return
            assert message["type"] == "alive", message
            self.alive.append(message)
            await socket.send_json({"type": "alive", "time": 0})
            return
        received = self.open(data)
        self.received.append(received)
        answer = self.answer(received)
        if answer is not None:
            await socket.send_json(answer)

    def open(self, envelope: bytes) -> Received:
        """Open an envelope as the box does."""
        header = read_header(envelope)
        assert (header.kind, header.recipients) == ("observation", ((VAULT, EPOCH),))
        content = open_envelope(envelope, self._keys)
        (length,) = struct.unpack_from(">I", content)
        return Received(header.item_id, json.loads(content[4 : 4 + length]), content[4 + length :])
