"""Forms with one file: ``multipart/form-data`` (RFC 7578), read from a body that is bounded like every other.

The whole body is in memory before it is taken apart, at most ``web.max_body_kib``. What kind of file a browser says it
sends is not believed and not kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from email.message import Message

from aiohttp import web

from appliance.errors import Refused
from appliance.web.deadline import SlowBody
from appliance.web.pages import SESSION

MULTIPART = "multipart/form-data"
MOST_PARTS = 50
LONGEST_HEADERS = 2000
"""Of one part, in bytes."""
_PARAMETER = re.compile(r';\s*([\w*]+)=(?:"([^"]*)"|([^";\s]*))')
_DISPOSITION = re.compile(r'form-data((?:;\s*[\w*]+=(?:"[^"]*"|[^";\s]*))*)', re.IGNORECASE)


@dataclass
class Uploaded:
    """What was sent: the fields as they were typed, and the file. ``file_name`` is empty if none was chosen."""

    fields: dict[str, str] = field(default_factory=dict)
    file_name: str = ""
    content: bytes = b""


async def read_upload(request: web.Request) -> Uploaded:
    """The fields of a form and the one file in it. The last of several fields or files counts.

    Answers 400, 408 or 413 in words if it is no such form, comes too slowly or is too big.
    """
    if request.content_type != MULTIPART:
        raise web.HTTPBadRequest
    try:
        body = await request.read()
        found = parse(body, request.headers["Content-Type"])
    except SlowBody:
        raise web.HTTPRequestTimeout from None
    except (ValueError, web.RequestPayloadError):
        raise web.HTTPBadRequest from None
    session = request.get(SESSION)
    if session is not None and session.over.is_set():  # who asks was found out before the form had come
        raise Refused("You were signed out while this was being sent. Nothing was changed.", "Sign in again.")
    return found


def parse(body: bytes, content_type: str) -> Uploaded:
    """Take a body apart. Raises ``ValueError`` if it is not what ``content_type`` says."""
    boundary = _header_value(content_type)
    # The first boundary has no line break before it, each of the others has (RFC 2046 section 5.1.1).
    _, *parts = (b"\r\n" + body).split(b"\r\n--" + boundary)
    if not parts or not parts.pop().startswith(b"--"):
        raise ValueError("the last boundary is missing: the form was cut off")
    if len(parts) > MOST_PARTS:
        raise ValueError("too many parts")
    found = Uploaded()
    for part in parts:
        _take(part, found)
    return found


def _header_value(content_type: str) -> bytes:
    header = Message()
    header["Content-Type"] = content_type
    boundary = header.get_boundary()
    if not boundary or len(boundary) > 70:
        raise ValueError("there is no boundary")
    return boundary.encode("ascii")


def _take(part: bytes, found: Uploaded) -> None:
    head, empty_line, content = part.partition(b"\r\n\r\n")
    if not empty_line or len(head) > LONGEST_HEADERS:
        raise ValueError("a part has no headers, or too many")
    names = _names(head.decode("utf-8"))
    if "filename" not in names:
        text = content.decode("utf-8")
        if "\0" in text:
            raise ValueError("a field holds what nobody types")
        found.fields[names["name"]] = text.replace("\r\n", "\n")
    elif names["filename"]:
        found.file_name, found.content = names["filename"], content


def _names(head: str) -> dict[str, str]:
    """``name`` and ``filename`` of a part: in quotation marks, text as it is (RFC 7578 section 4.2)."""
    headers = [line.partition(":") for line in head.split("\r\n") if line.strip()]
    values = {name.strip().lower(): value.strip() for name, _, value in headers}
    found = _DISPOSITION.fullmatch(values.get("content-disposition", ""))
    names = {name: quoted or plain for name, quoted, plain in _PARAMETER.findall(found[1])} if found else {}
    if not names.get("name") or "content-transfer-encoding" in values:
        raise ValueError("a part is no part of a form")
    return names
