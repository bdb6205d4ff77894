"""What becomes of an observation that a browser has sent: opened, judged, and kept if a detector has found something.

The browser forgets an observation only when it is told "kept", so that is said only when it is on the disk, or when
there is nothing to keep. Nothing of what a child wrote is ever logged here, or stands in words that are sent back.
"""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from appliance.captures.keeping import Captures, Seen
from appliance.clock import now, stamp
from appliance.detection import Detection, DetectionAway
from appliance.endpoints.connections import Connection, Connections
from appliance.endpoints.messages import Malformed, to_base64url, whole
from appliance.endpoints.pace import Pace
from appliance.errors import NotReady, Refused, StoreError
from appliance.exempt import Exempt, canonical_host
from appliance.keys_on_disk import INTAKE_KEY, INTAKE_KEY_BYTES, load_or_make_secret
from appliance.monitoring.switching import Monitoring
from appliance.observations import Finding, Observation, Surface
from appliance.people.names import LONGEST_ADDRESS
from appliance.sealing import Keys, SealError, open_envelope, public_of, read_header
from appliance.webmail import is_webmail
from appliance.weighing import Weighing

INTAKE_VAULT = "5c1e0f6a-7d0b-4f5e-9a55-3f4b6a1c9e21"
"""What envelopes call the box's own key. It is no vault of the store: the box itself opens what is sealed to it."""
EPOCH = 1
KIND = "observation"
LONGEST_TEXT = 4000
LONGEST_TITLE = 1000
LONGEST_WEB_ADDRESS = 4000
LARGEST_PICTURE = 2 * 2**20
"""In bytes."""
OLDEST = timedelta(days=14)
"""An observation that claims to be older was made by a clock that is wrong."""
CLOCK_SLIP = 2.0
"""Seconds by which clocks may differ without anything being set right."""
RATE, BURST = 10.0, 120
"""Observations of one browser: a storm of them waits its turn in that browser."""
SOON, LATER = 5, 60
"""Seconds after which a browser sends again: because something is away for a moment, or because people must act."""
MOST_PIXELS = 40_000_000
"""A small file can hold a picture so large that whoever looks at it runs out of memory."""
_JPEG = b"\xff\xd8"
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""Markers with which a frame begins, and with it the size of the picture (ITU-T T.81, table B.1)."""
_SCAN, _FILL = 0xDA, 0xFF
_SEGMENTS = range(0xC0, 0xFF)
_ALONE = frozenset({*range(0xD0, 0xDA)})
"""Markers that no segment follows, and that have no place before the first scan."""
_LENGTH_BYTES = 4
_ID_BYTES = 16
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

log = logging.getLogger(__name__)


class IntakeKey:
    """The key pair that browsers seal to. It is in the identity file, so that what waits in them survives a new box."""

    def __init__(self, secret: bytes) -> None:
        self._keys = Keys("the appliance", secret)
        self._keys.put(INTAKE_VAULT, EPOCH, secret)
        self.public = public_of(secret)

    @classmethod
    def load(cls, trust: Path) -> IntakeKey:
        """The key of this box; made if there has never been one. TrustError if it was lost."""
        return cls(load_or_make_secret(trust, INTAKE_KEY, INTAKE_KEY_BYTES))

    def for_browsers(self) -> Mapping[str, Any]:
        """As it stands in the policy."""
        return {"vault": INTAKE_VAULT, "epoch": EPOCH, "key": to_base64url(self.public)}

    def open(self, frame: bytes) -> bytes:
        """The content of an envelope. Raises ``SealError``."""
        return open_envelope(frame, self._keys)


def _text(longest: int) -> AfterValidator:
    return AfterValidator(lambda text: whole(_CONTROL.sub("", text)[:longest]))


class Content(BaseModel):
    """The JSON of an observation. Texts that are too long are cut, never refused: what was noticed counts."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True)

    surface: Literal["typed", "page", "title", "address", "search"]
    text: Annotated[str, _text(LONGEST_TEXT)] = Field(repr=False)
    title: Annotated[str, _text(LONGEST_TITLE)] = Field("", repr=False)
    address: Annotated[str, _text(LONGEST_WEB_ADDRESS)] = Field("", repr=False)
    at: int = Field(ge=0, le=2**53)
    profile: Annotated[str, _text(LONGEST_ADDRESS)] = Field("", repr=False)
    picture: Literal["taken", "hidden", "exempt", "secret", "failed", "none"] = "none"


@dataclass(frozen=True, slots=True)
class Opened:
    """An observation that was opened: its content, and the picture if there is one that can be one."""

    content: Content = field(repr=False)
    picture: bytes | None = field(repr=False)
    picture_state: str


class Intake:
    """``take`` is the only way in; it never raises for what a browser may have sent."""

    def __init__(
        self,
        detection: Detection,
        captures: Captures,
        monitoring: Monitoring,
        exempt: Exempt,
        is_own: Callable[[str], bool],
        passed_test: Callable[[str, str], Awaitable[None]],
        weighing: Weighing,
    ) -> None:
        """``is_own``: whether a host is the box itself.

        ``passed_test`` hears of a browser and of its observation that is kept: whether that was a test, it finds out.
        """
        self._detection = detection
        self._captures = captures
        self._monitoring = monitoring
        self._exempt = exempt
        self._is_own = is_own
        self._passed_test = passed_test
        self._weighing = weighing
        self._key: IntakeKey | None = None
        self._who: Connections | None = None

    def start(self, key: IntakeKey, connections: Connections) -> None:
        """What opens observations, and what knows who is on a device."""
        self._key = key
        self._who = connections

    async def take(self, connection: Connection, frame: bytes) -> Mapping[str, Any]:
        """What to answer to a frame of this browser."""
        item = item_of(frame)
        try:
            _check_header(frame)
            if not self._in_pace(connection):
                return _later(item, SOON)
            return await self._take(connection, item, frame)
        except Malformed as error:
            return {"type": "rejected", "id": item, "words": error.what}
        except SealError:
            return {"type": "rejected", "id": item, "words": "the envelope cannot be opened"}
        except (DetectionAway, NotReady, StoreError) as error:
            log.info("An observation has to wait: %s", type(error).__name__)
            return _later(item, SOON)
        except Refused:
            log.info("An observation has to wait: nobody could open its capture")
            return _later(item, LATER)

    @staticmethod
    def _in_pace(connection: Connection) -> bool:
        if connection.observations is None:
            connection.observations = Pace(RATE, BURST)
        return connection.observations.take()

    async def _take(self, connection: Connection, item: str, frame: bytes) -> Mapping[str, Any]:
        assert self._key is not None
        kept = {"type": "kept", "id": item}
        endpoint = connection.endpoint
        if await self._captures.known(endpoint.id, item):
            await self._passed_test(endpoint.id, item)  # perhaps it was kept, and then the store was away
            return kept
        opened = read_content(self._key.open(frame))
        observation = self._observation(item, opened.content, connection.clock_offset)
        if self._is_nobodys_business(observation.host):
            return kept
        if not self._monitoring.can_open():
            return _later(item, LATER)
        seen = await self._judged(connection, observation, opened)
        if seen.findings:
            await self._captures.keep(seen)
            if any(finding.is_test for finding in seen.findings):
                await self._passed_test(endpoint.id, item)
        return kept

    async def _judged(self, connection: Connection, observation: Observation, opened: Opened) -> Seen:
        """What detectors find; of a child who is not monitored nothing but the test phrase."""
        assert self._who is not None
        await self._who.learn()
        who = self._who.who_is(connection, opened.content.profile)
        device, moment = connection.endpoint.device, datetime.fromisoformat(observation.at)
        findings: Sequence[Finding] = await self._detection.judge(observation)
        if not self._who.monitored(who.person, device, moment).on:
            findings = [finding for finding in findings if finding.is_test]
        address = connection.wire.address
        return Seen(
            observation=observation,
            findings=await self._weighing.weigh(
                observation, findings, person=who.person, device=device, address=address
            ),
            endpoint=connection.endpoint.id,
            device=device,
            person=who.person,
            claim=who.claim,
            picture=opened.picture,
            picture_state=opened.picture_state,
            received_at=stamp(),
        )

    def _observation(self, item: str, content: Content, clock_offset: float) -> Observation:
        return Observation(
            id=item,
            at=stamp(moment_of(content.at, clock_offset)),
            surface=_surface_of(content),
            text=content.text,
            title=content.title,
            address=content.address,
            host=host_of(content.address),
        )

    def _is_nobodys_business(self, host: str) -> bool:
        """Places of help, and the box's own pages. Browsers leave them out; what comes all the same is dropped."""
        return bool(host) and (self._is_own(host) or self._exempt.matches(host) is not None)


def _surface_of(content: Content) -> Surface:
    """Browsers cannot tell an email from other typed text; the site can."""
    surface = Surface(content.surface)
    return Surface.EMAIL if surface is Surface.TYPED and is_webmail(content.address) else surface


def read_content(content: bytes) -> Opened:
    """What an observation holds. Raises ``Malformed``; a picture that can be none is left out, and the rest counts."""
    length = int.from_bytes(content[:_LENGTH_BYTES], "big")
    text, picture = content[_LENGTH_BYTES : _LENGTH_BYTES + length], content[_LENGTH_BYTES + length :]
    if len(content) < _LENGTH_BYTES or len(text) < length:
        raise Malformed("the observation ends too early")
    try:
        read = Content.model_validate(json.loads(text))
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors(include_input=False)[0]["loc"])
        raise Malformed(f"the observation is not as it should be: {place[:40] or 'it is no object'}") from None
    except (ValueError, RecursionError):
        raise Malformed("the observation is no JSON") from None
    if read.picture != "taken":
        return Opened(read, None, read.picture)
    if len(picture) > LARGEST_PICTURE or not 0 < pixels_of(picture) <= MOST_PIXELS:
        return Opened(read, None, "failed")
    return Opened(read, picture, "taken")


def pixels_of(picture: bytes) -> int:
    """How many pixels a JPEG says that it has; 0 if it is none, or not written as a browser writes one."""
    if not picture.startswith(_JPEG):
        return 0
    pixels, place = 0, len(_JPEG)
    while segment := _segment(picture, place):
        marker, content, place = segment
        if marker == _SCAN:
            return pixels
        if marker in _FRAMES:
            if pixels or len(content) < 6 or len(content) != 6 + 3 * content[5]:
                return 0
            pixels = int.from_bytes(content[1:3], "big") * int.from_bytes(content[3:5], "big")
            if not pixels:
                return 0
    return 0


def _segment(picture: bytes, place: int) -> tuple[int, bytes, int] | None:
    """The marker and the content of the segment that begins here, and where the next one does."""
    while picture[place : place + 2] == bytes((_FILL, _FILL)):
        place += 1
    if len(picture) < place + 4 or picture[place] != _FILL:
        return None
    marker, length = picture[place + 1], int.from_bytes(picture[place + 2 : place + 4], "big")
    end = place + 2 + length
    if marker not in _SEGMENTS or marker in _ALONE or length < 2 or end > len(picture):
        return None
    return marker, picture[place + 4 : end], end


def moment_of(milliseconds: int, clock_offset: float) -> datetime:
    """When something was, by our clock: never in the future, and not longer ago than a browser keeps anything."""
    moment = now()
    oldest = moment - OLDEST
    ahead = clock_offset if abs(clock_offset) > CLOCK_SLIP else 0.0
    seconds = milliseconds / 1000 + ahead
    if seconds >= moment.timestamp():
        return moment
    return max(oldest, datetime.fromtimestamp(max(seconds, oldest.timestamp()), moment.tzinfo))


def host_of(address: str) -> str:
    """The host of a web address; empty if it has none."""
    try:
        return canonical_host(urlsplit(address).hostname or "")
    except ValueError:
        return ""


def item_of(frame: bytes) -> str:
    """The id of an observation, also where the rest of its envelope is damaged; empty if there is none."""
    place = frame[2:18]
    return str(uuid.UUID(bytes=place)) if len(place) == _ID_BYTES else ""


def _check_header(frame: bytes) -> None:
    try:
        header = read_header(frame)
    except SealError:
        raise Malformed("this is no envelope") from None
    if header.kind != KIND or header.recipients != ((INTAKE_VAULT, EPOCH),):
        raise Malformed("this envelope is not for the appliance")


def _later(item: str, seconds: int) -> Mapping[str, Any]:
    return {"type": "later", "id": item, "seconds": seconds}
