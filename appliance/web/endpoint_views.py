"""The one WebSocket of the endpoint site, through which browsers on school devices speak with the box.

It is public for the guard, because no cookie and no form is involved; ``Connections`` checks everything itself.
"""

from __future__ import annotations

from aiohttp import WSMessage, WSMsgType, web

from appliance.endpoints.connections import Gone
from appliance.endpoints.messages import LONGEST_MESSAGE
from appliance.hookspecs import Page, Permission
from appliance.web.deadline import Connection as Door
from appliance.web.pages import context_of

CONNECT_PATH = "/connect"
LARGEST_FRAME = 4 * 2**20
"""In bytes: an observation with its picture."""
ALLOWED_BEFORE = 2 * LONGEST_MESSAGE
"""What somebody who was not let in may send before anybody looks at it: messages are gathered in memory."""
CLOSE_SECONDS = 0.2
"""How long a browser may take to say goodbye."""


def pages() -> tuple[Page, ...]:
    """The routes."""
    return (Page("endpoint", "GET", CONNECT_PATH, connect, Permission.PUBLIC),)


async def connect(request: web.Request) -> web.StreamResponse:
    """``GET /connect``: a WebSocket, for our own extension alone."""
    endpoints = context_of(request).appliance.endpoints
    if request.headers.getall("Origin", []) != [f"chrome-extension://{endpoints.extension.id}"]:
        raise web.HTTPForbidden
    socket = web.WebSocketResponse(timeout=CLOSE_SECONDS, compress=False, max_msg_size=LARGEST_FRAME)
    if not socket.can_prepare(request).ok:
        raise web.HTTPBadRequest
    address = request.remote or ""
    if not endpoints.connections.has_room(address):
        raise web.HTTPTooManyRequests
    wire = SocketWire(socket, request, address)
    await socket.prepare(request)
    await endpoints.connections.serve(wire)
    return socket


class SocketWire:
    """A WebSocket as ``Connections`` sees it."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request, address: str) -> None:
        self.host = request.host.lower().removesuffix(":443")
        self.address = address
        self._socket = socket
        self._door = request.protocol
        self._trusted = False
        self._allow()

    def _allow(self) -> None:
        if isinstance(self._door, Door):
            self._door.allow(None if self._trusted else ALLOWED_BEFORE)

    def trust(self) -> None:
        """From now on frames may be as large as observations are."""
        self._trusted = True
        self._allow()

    async def receive(self) -> str | bytes:
        """The next frame. Raises ``Gone``."""
        message: WSMessage = await self._socket.receive()
        self._allow()
        if message.type is WSMsgType.TEXT or message.type is WSMsgType.BINARY:
            data: str | bytes = message.data
            return data
        raise Gone

    async def send(self, text: str) -> None:
        """Send a text frame. Raises ``Gone``."""
        if self._socket.closed:
            raise Gone
        try:
            await self._socket.send_str(text)
        except ConnectionError as error:
            raise Gone from error

    async def close(self, code: int, words: str = "") -> None:
        """Say goodbye; nothing happens if it is closed already."""
        await self._socket.close(code=code, message=words.encode()[:120])
