"""A form with a file arrives as it was sent, whatever the file holds; what is no form is refused and never too big."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st

from appliance.web.uploads import MOST_PARTS, Uploaded, parse, read_upload

TYPE = "multipart/form-data; boundary=xx"


def body(*parts: tuple[str, bytes]) -> bytes:
    """A body as a browser writes it: what stands after ``form-data``, and the content."""
    written = b""
    for disposition, content in parts:
        written += b"--xx\r\nContent-Disposition: form-data; " + disposition.encode() + b"\r\n\r\n" + content + b"\r\n"
    return written + b"--xx--\r\n"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (body(('name="kind"', b"pupil")), Uploaded({"kind": "pupil"})),
        (body(('name="kind"', b"a"), ('name="kind"', b"b")), Uploaded({"kind": "b"})),
        (body(('name="text"', "Zoë\r\nBen".encode())), Uploaded({"text": "Zoë\nBen"})),
        (body(('name="file"; filename="a.csv"', b"x,y\r\n")), Uploaded({}, "a.csv", b"x,y\r\n")),
        (body(('name="file"; filename="Schüler.csv"', b"")), Uploaded({}, "Schüler.csv", b"")),
        (body(('name="file"; filename="a%22b.csv"', b"x")), Uploaded({}, "a%22b.csv", b"x")),
        (body(('name="file"; filename="a.csv"\r\nContent-Type: text/csv', b"x")), Uploaded({}, "a.csv", b"x")),
        (body(('name="file"; filename="a;b=c.csv"', b"x")), Uploaded({}, "a;b=c.csv", b"x")),
        (body(('name="file"; filename=""', b"")), Uploaded()),
        (body(), Uploaded()),
        (b"a preamble\r\n" + body(('name="a"', b"")) + b"an epilogue", Uploaded({"a": ""})),
    ],
)
def test_what_browsers_send(content: bytes, found: Uploaded) -> None:
    assert parse(content, TYPE) == found


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"", TYPE),
        (b"kind=pupil", TYPE),
        (body(('name="kind"', b"pupil"))[:-8], TYPE),  # cut off
        (body(('name="kind"', b"pupil")), "multipart/form-data"),
        (body(('name="kind"', b"pupil")), "multipart/form-data; boundary=yy"),
        (body(('name="kind"', b"pupil")), f"multipart/form-data; boundary={'x' * 71}"),
        (body(('name="kind"', b"\xff")), TYPE),
        (body(('name="kind"', b"a\0b")), TYPE),
        (body(("", b"pupil")), TYPE),
        (b"--xx\r\n\r\nno headers\r\n--xx--", TYPE),
        (b"--xx\r\nContent-Disposition: attachment; name=a\r\n\r\nx\r\n--xx--", TYPE),
        (body(('name="a"\r\nContent-Transfer-Encoding: base64', b"eA==")), TYPE),
        (body((f'name="a"; filename="{"x" * 3000}"', b"x")), TYPE),
        (body(*[('name="a"', b"x")] * (MOST_PARTS + 1)), TYPE),
    ],
)
def test_what_is_no_such_form_is_refused(content: bytes, content_type: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(content, content_type)


@given(st.binary(max_size=300))
def test_a_file_may_hold_anything(content: bytes) -> None:
    if b"\r\n--xx" not in b"\r\n" + content:
        assert parse(body(('name="file"; filename="a"', content)), TYPE).content == content


@given(st.binary(max_size=300))
def test_any_body_is_a_form_or_refused(content: bytes) -> None:
    with suppress(ValueError):
        parse(b"--xx\r\n" + content, TYPE)


@pytest.fixture
async def client() -> AsyncIterator[TestClient[web.Request, web.Application]]:
    async def view(request: web.Request) -> web.Response:
        found = await read_upload(request)
        return web.json_response({**found.fields, "file": found.file_name, "size": len(found.content)})

    application = web.Application(client_max_size=2000)
    application.router.add_post("/", view)
    async with TestClient(TestServer(application)) as found:
        yield found


async def test_a_form_arrives_over_the_wire(client: TestClient[web.Request, web.Application]) -> None:
    form = aiohttp.FormData({"kind": "pupil"})
    form.add_field("file", b"\r\n--\r\n\0\xff", filename="Schüler.csv", content_type="text/csv")
    form.add_field("text", "Zoë")
    answer = await client.post("/", data=form)
    found = await answer.json()
    assert (found["kind"], found["text"], found["size"]) == ("pupil", "Zoë", 8)
    assert found["file"]


async def test_another_kind_of_form_and_one_that_is_too_big_are_refused(
    client: TestClient[web.Request, web.Application],
) -> None:
    assert (await client.post("/", data={"kind": "pupil"})).status == 400
    form = aiohttp.FormData()
    form.add_field("file", b"x" * 3000, filename="a.csv")
    assert (await client.post("/", data=form)).status == 413
    headers = {"Content-Type": "multipart/form-data; boundary=xx"}

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b"x" * 100

    assert (await client.post("/", data=chunks(), headers=headers)).status == 413
