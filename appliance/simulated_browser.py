"""A browser on a school device, in Python: ``docs/endpoint-protocol.md`` with real keys on a real socket.

    browser = SimulatedBrowser(port, extension_id, token=token)
    async with browser.connected():
        assert await browser.enrol() == "waiting"      # "welcome" if somebody has let it in already
        await browser.welcomed()                       # once it was let in; ``browser.policy`` is there then
        answer = await browser.observe(typed="how to buy a knife", picture=A_PICTURE)
        assert answer["type"] == "kept"

For the demonstration, for measuring and for tests. ``say`` and ``hear`` are there for whoever wants to break the rules.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from appliance.endpoints.policies import patched
from appliance.sealing import Recipient, seal

WAIT_SECONDS = 20.0
ALIVE_SECONDS = 20.0
A_PICTURE = bytes.fromhex(
    "ffd8ffe000104a46494600010100000100010000ffdb004300" + "01" * 64 + "ffc0000b080001000101011100"
    "ffc40014000100000000000000000000000000000009ffc40014100100000000000000000000000000000000"
    "ffda0008010100003f002a9fffd9"
)
"""A grey JPEG of one pixel."""


class Closed(Exception):
    """The box has ended the connection; ``code`` is why."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


def to_text(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def to_bytes(text: str) -> bytes:
    """What ``to_text`` gave."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def new_key() -> ec.EllipticCurvePrivateKey:
    """As a browser makes it."""
    return ec.generate_private_key(ec.SECP256R1())


def pem_of_key(key: ec.EllipticCurvePrivateKey) -> str:
    """For keeping a browser that is to come back. Only simulated ones can: a real one cannot hand out its key."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode("ascii")


def key_of_pem(pem: str) -> ec.EllipticCurvePrivateKey:
    """What ``pem_of_key`` gave."""
    key = serialization.load_pem_private_key(pem.encode("ascii"), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


@dataclass
class SimulatedBrowser:
    """One browser. Its key, its counter and what it knows stay from one connection to the next."""

    port: int
    extension_id: str
    token: str = ""
    name: str = ""
    serial: str = ""
    profile: str = ""
    version: str = "1.0.0.0"
    browser: str = "Chromium 156"
    platform: str = "linux"
    scheme: str = "http"
    host: str = ""
    """The box as this browser calls it."""
    origin: str = ""
    key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    counter: int = 0
    policy: dict[str, Any] = field(default_factory=dict)
    policy_version: str = ""
    welcome: dict[str, Any] = field(default_factory=dict)
    heard: list[dict[str, Any]] = field(default_factory=list)
    """Everything that the box has said on the connection of now."""

    def __post_init__(self) -> None:
        self.host = self.host or f"endpoint.localhost:{self.port}"
        self.origin = self.origin or f"chrome-extension://{self.extension_id}"
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._unread: deque[dict[str, Any]] = deque()
        self.nonce = b""

    @property
    def spki(self) -> bytes:
        """The public key as it is sent."""
        return self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    # The connection

    @asynccontextmanager
    async def connected(self, session: aiohttp.ClientSession | None = None) -> AsyncIterator[SimulatedBrowser]:
        """A connection, closed at the end. ``session``: one that many browsers share."""
        own = session or aiohttp.ClientSession()
        try:
            await self.open(own)
            yield self
        finally:
            await self.close()
            if session is None:
                await own.close()

    async def open(self, session: aiohttp.ClientSession) -> None:
        """Connect and take the challenge."""
        self._socket = await session.ws_connect(
            f"{self.scheme}://127.0.0.1:{self.port}/connect",
            headers={"Host": self.host, "Origin": self.origin},
            ssl=False,
            max_msg_size=0,
            timeout=aiohttp.ClientWSTimeout(ws_close=1),
        )
        self._unread.clear()
        self.heard = []
        self.policy_version = ""
        challenge = await self.hear("challenge")
        self.nonce = to_bytes(challenge["nonce"])

    async def close(self) -> None:
        """Close the connection, if there is one."""
        if self._socket is not None:
            await self._socket.close()
            self._socket = None

    async def vanish(self) -> None:
        """Break the connection without a word, as a cable does that is pulled out."""
        assert self._socket is not None
        transport = self._socket._response.connection
        assert transport is not None
        assert transport.transport is not None
        transport.transport.abort()
        self._socket = None

    # Messages

    async def say(self, message: dict[str, Any] | str | bytes) -> None:
        """Send a frame."""
        assert self._socket is not None
        if isinstance(message, bytes):
            await self._socket.send_bytes(message)
        else:
            await self._socket.send_str(message if isinstance(message, str) else json.dumps(message))

    async def hear(self, *kinds: str, seconds: float = WAIT_SECONDS) -> dict[str, Any]:
        """The next message of one of these kinds (any, if none is named); policies are taken on the way."""
        for message in tuple(self._unread):
            if not kinds or message["type"] in kinds:
                self._unread.remove(message)
                return message
        async with asyncio.timeout(seconds):
            while True:
                message = await self._receive()
                if not kinds or message["type"] in kinds:
                    return message
                self._unread.append(message)

    async def _receive(self) -> dict[str, Any]:
        assert self._socket is not None
        frame = await self._socket.receive()
        if frame.type is not aiohttp.WSMsgType.TEXT:
            raise Closed(self._socket.close_code)
        message: dict[str, Any] = json.loads(frame.data)
        self.heard.append(message)
        if message["type"] == "policy":
            self.policy = patched(self.policy, message["patch"]) if "patch" in message else message["policy"]
            self.policy_version = message["version"]
        elif message["type"] == "welcome":
            self.welcome = message
        return message

    async def closed(self, seconds: float = WAIT_SECONDS) -> int | None:
        """Read until the box ends the connection; why it did."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    await self._receive()
        except Closed as closed:
            return closed.code

    def hello(self, **other: Any) -> dict[str, Any]:
        """A greeting that is right; ``other`` replaces what it says."""
        counter = other.get("counter", self.counter)
        message = {
            "type": "hello",
            "protocol": 1,
            "key": to_text(self.spki),
            "counter": counter,
            "signature": to_text(self.sign(self.host, self.nonce, counter)),
            "version": self.version,
            "browser": self.browser,
            "platform": self.platform,
            "name": self.name,
            "serial": self.serial,
            "profile": self.profile,
            "queued": 0,
            "dropped": 0,
            "policy": self.policy_version,
        }
        return {**message, **other}

    def sign(self, host: str, nonce: bytes, counter: int) -> bytes:
        """r and s, 32 bytes each."""
        content = b"\0".join((b"appliance endpoint v1", host.encode(), nonce, str(counter).encode()))
        r, s = decode_dss_signature(self.key.sign(content, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    # What browsers do

    async def enrol(self, **other: Any) -> str:
        """Say hello with the enrolment key; ``waiting``, ``welcome``, ``unknown`` or ``refused``."""
        return await self.greet(**{"token": self.token, **other})

    async def greet(self, **other: Any) -> str:
        """Say hello as a browser that was let in; the kind of the answer."""
        self.counter += 1
        await self.say(self.hello(**other))
        answer = await self.hear("waiting", "welcome", "unknown", "refused")
        return str(answer["type"])

    async def welcomed(self, seconds: float = WAIT_SECONDS) -> dict[str, Any]:
        """Wait until it is let in and has a policy; the policy."""
        if not self.welcome:
            await self.hear("welcome", seconds=seconds)
        while not self.policy_version:
            await self.hear("policy", seconds=seconds)
        return self.policy

    async def monitored(self, seconds: float = WAIT_SECONDS) -> None:
        """Wait until its policy says that it is monitored."""
        await self.welcomed(seconds)
        while not self.policy["monitored"]:
            await self.hear("policy", seconds=seconds)

    async def alive(self, **other: Any) -> dict[str, Any]:
        """Give a sign of life; the answer."""
        await self.say({"type": "alive", "queued": 0, "dropped": 0, "profile": self.profile, **other})
        return await self.hear("alive")

    async def stay(self, seconds: float) -> None:
        """Be there for so long, with a sign of life now and then; policies are taken meanwhile."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            with suppress(TimeoutError):
                await self.hear("nothing that comes", seconds=min(left, ALIVE_SECONDS))
            self._unread.clear()
            await self.alive()

    async def observe(self, *, item: str = "", **what: Any) -> dict[str, Any]:
        """Send an observation; the answer. ``typed``, ``page``, ``title``, ``address``, ``search`` or ``content``."""
        await self.say(self.envelope(item=item, **what))
        return await self.hear("kept", "later", "rejected")

    def envelope(self, *, item: str = "", content: bytes | None = None, **what: Any) -> bytes:
        """An observation, sealed to the key in the policy. ``content``: instead of what ``observation`` would make."""
        intake = self.policy["intake"]
        recipient = Recipient(intake["vault"], intake["epoch"], to_bytes(intake["key"]))
        inside = content if content is not None else observation(profile=self.profile, **what)
        return seal(inside, item or str(uuid.uuid4()), "observation", [recipient])


def observation(
    typed: str = "",
    *,
    surface: str = "typed",
    text: str = "",
    title: str = "A page",
    address: str = "https://chat.example/room?id=7",
    at: int | None = None,
    profile: str = "",
    picture: bytes | None = None,
    picture_state: str = "",
    **other: Any,
) -> bytes:
    """The content of an observation. ``typed``: the text, typed; ``text`` with another ``surface``."""
    inside = {
        "surface": surface,
        "text": typed or text,
        "title": title,
        "address": address,
        "at": int(time.time() * 1000) if at is None else at,
        "profile": profile,
        "picture": picture_state or ("taken" if picture is not None else "failed"),
        **other,
    }
    spelled = json.dumps(inside).encode()
    return len(spelled).to_bytes(4, "big") + spelled + (picture or b"")
