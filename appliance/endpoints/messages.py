"""What a browser says, checked before anything believes it (``docs/endpoint-protocol.md``)."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from appliance.errors import Refused
from appliance.keys_on_disk import TrustError
from appliance.people.names import LONGEST_ADDRESS, LONGEST_NAME, LONGEST_REFERENCE, tidy
from appliance.signing import BrowserKey

PROTOCOL = 1
NONCE_BYTES = 32
LONGEST_MESSAGE = 16 * 1024
"""In bytes, for text. Observations are binary."""
_SIGNED = b"appliance endpoint v1"
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")
_MOST = 10**9
_LATEST = 2**53 - 1
"""The largest number that JavaScript counts to without slips."""


class Malformed(Refused):
    """A message is none that a browser of ours sends: the connection ends."""


def whole(text: str) -> str:
    """Without halves of surrogate pairs: JSON can spell them, and neither the store nor a page can hold them."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _cut(longest: int) -> AfterValidator:
    """On one line and not too long: these are shown on pages."""
    return AfterValidator(lambda text: tidy(whole(text[: 4 * longest]))[:longest])


def _bytes_of(text: str) -> bytes:
    return from_base64url(text)


class _Said(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True, defer_build=True)


Bytes = Annotated[str, Field(max_length=400), AfterValidator(_bytes_of)]


class Alive(_Said):
    """A sign of life. ``queued`` and ``dropped`` count observations; ``time`` is the browser's clock, if it says so."""

    type: Literal["alive"]
    queued: int = Field(0, ge=0, le=_MOST)
    dropped: int = Field(0, ge=0, le=_MOST)
    profile: Annotated[str, _cut(LONGEST_ADDRESS)] = ""
    time: int | None = Field(None, ge=0, le=_LATEST)


class Whole(_Said):
    """What has changed did not fit the policy that it has: it wants the whole."""

    type: Literal["whole"]


class _Later(_Said):
    type: Literal["alive", "whole"]


class Hello(_Said):
    """Who is there: a key, a signature that proves it, and what the browser says of itself."""

    type: Literal["hello"]
    protocol: Literal[1]
    key: Bytes
    counter: int = Field(ge=0, le=_LATEST)
    signature: Bytes
    token: Annotated[str, _cut(100)] = ""
    version: Annotated[str, _cut(32)] = ""
    browser: Annotated[str, _cut(100)] = ""
    platform: Annotated[str, _cut(40)] = ""
    name: Annotated[str, _cut(LONGEST_NAME)] = ""
    serial: Annotated[str, _cut(LONGEST_REFERENCE)] = ""
    profile: Annotated[str, _cut(LONGEST_ADDRESS)] = ""
    policy: Annotated[str, _cut(64)] = ""
    policy_serial: int = Field(0, ge=0, le=_LATEST - _MOST, alias="policySerial")
    queued: int = Field(0, ge=0, le=_MOST)
    dropped: int = Field(0, ge=0, le=_MOST)
    time: int | None = Field(None, ge=0, le=_LATEST)

    @property
    def spelled_key(self) -> str:
        """Its public key, as it says it."""
        return to_base64url(self.key)  # type: ignore[arg-type]

    def proves(self, host: str, nonce: bytes) -> bool:
        """Whether the key has signed this host, this nonce and this counter."""
        try:
            key = BrowserKey.of_spki(self.key)  # type: ignore[arg-type]
        except TrustError:
            return False
        return key.has_signed(self.signature, signed_bytes(host, nonce, self.counter))  # type: ignore[arg-type]


def signed_bytes(host: str, nonce: bytes, counter: int) -> bytes:
    """What a browser signs. ``host``: the box as the browser calls it, with its port unless that is 443."""
    return b"\0".join((_SIGNED, host.encode(), nonce, str(counter).encode("ascii")))


def read_hello(text: str) -> Hello:
    """The greeting in a frame. Raises ``Malformed``."""
    return _read(Hello, text)


def read_alive(text: str) -> Alive:
    """The sign of life in a frame. Raises ``Malformed``."""
    return _read(Alive, text)


def read_later(text: str) -> Alive | Whole:
    """What a browser says once it is known. Raises ``Malformed``."""
    return _read(Whole, text) if _read(_Later, text).type == "whole" else _read(Alive, text)


Said = TypeVar("Said", bound=_Said)


def _read(model: type[Said], text: str) -> Said:
    if len(text) > LONGEST_MESSAGE:
        raise Malformed("a message is too long")
    try:
        return model.model_validate(json.loads(text))
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors(include_input=False)[0]["loc"])
        raise Malformed(f"a message is not as it should be: {place[:40] or 'it is no object'}") from None
    except (ValueError, RecursionError):
        raise Malformed("a message is no JSON") from None


def to_base64url(data: bytes) -> str:
    """Base64url without padding (RFC 4648 section 5)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def from_base64url(text: str) -> bytes:
    """The bytes. ``ValueError`` for anything but the one way to write them."""
    if not _BASE64URL.fullmatch(text):
        raise ValueError("not base64url")
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise ValueError("not base64url") from None
    if to_base64url(data) != text:
        raise ValueError("not base64url")
    return data


def challenge(nonce: bytes, time: int) -> Mapping[str, Any]:
    """The first message on a connection."""
    return {"type": "challenge", "protocol": PROTOCOL, "nonce": to_base64url(nonce), "time": time}
