"""Whoever has root on the box cannot read what was sealed: not on its disk, and not in its memory once nobody is in.

A whole appliance runs in processes of its own. A safeguarding lead joins it on the real pages, over HTTPS, writes
things that are sealed, reads them and changes them. Then every file of the box and the memory of every process of it
is searched for what she wrote and for what would open it, in every form that a program may have kept it in.

Each test also searches for something that is not sealed, and finds it: so the search would find the rest.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import sqlite3
from array import array
from base64 import b32decode, b64encode, urlsafe_b64encode
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from appliance.access import Role
from appliance.accounts.credentials import _BY_RECOVERY
from appliance.sealing import key_from_recovery, open_key, read_recovery_key, unwrap
from appliance.simulated_browser import A_PICTURE
from appliance.testing import HELP_SEEKING, Answer, Box, Colleague, Home, free_port, launch
from appliance.testing_school import begin_trial, found, let_in, make_trolley
from appliance.vaults import _grant_context

pytestmark = pytest.mark.asyncio(loop_scope="module")

FORGOTTEN_WITHIN_SECONDS = 60
PAGE_BYTES = 4096
PASSED_OVER = b"\0\xa5"
"""Left out of everything before it is searched: the zeros that UTF-16 and UTF-32 put between letters, and what glibc
writes over memory that is freed. So one search finds all three forms, and has half as much to look through."""
SETTINGS = """
plugins:
  sealed_notes: {{}}
  keyword: {{}}
  dns_filter:
    listen: ["127.0.0.1"]
    port: {dns_port}
    upstreams: ["127.0.0.1:9"]
"""
COMMENT = b"\xff\xfe"
"""Marker of a comment in a JPEG (ISO/IEC 10918-1 annex B)."""
LONG = 100_000
"""Bytes, as of a long report or a picture of a screen."""


# The search


@dataclass(frozen=True)
class Canary:
    """Something to search for, in each of its forms."""

    name: str
    forms: frozenset[bytes]

    @classmethod
    def of(cls, name: str, *secret: str | bytes) -> Canary:
        """``secret``: as text, as bytes, or both."""
        return cls(name, frozenset(form for one in secret for form in _forms(one)))

    def found_in(self, content: bytes) -> str:
        """What stands around it; empty if it is not there."""
        for form in self.forms:
            place = content.find(form)
            if place >= 0:
                return repr(content[max(place - 60, 0) : place + len(form) + 60])
        return ""


def _forms(secret: str | bytes) -> Iterator[bytes]:
    plain = secret.encode() if isinstance(secret, str) else secret
    yield without_padding(plain)
    for form in (plain.hex(), plain.hex().upper(), quote(plain), quote_plus(plain)):
        yield form.encode()
    for before in range(3):
        form = _inner_base64(plain, before)
        yield from (form, form.translate(bytes.maketrans(b"+/", b"-_")))


def _inner_base64(plain: bytes, before: int) -> bytes:
    """What base 64 makes of it behind some other bytes: letters that depend on what is around are left out."""
    whole = b64encode(bytes(before) + plain)
    return whole[4 if before else 0 : (before + len(plain)) // 3 * 4]


def without_padding(content: bytes) -> bytes:
    return content.translate(None, PASSED_OVER)


def files_of(box: Box) -> Iterator[tuple[str, bytes]]:
    """Every file of the box: stores and their logs, keys, backups, what runs note, what was printed."""
    for path in (*box.home.folder.rglob("*"), box.output):
        if path.is_file():
            with suppress(FileNotFoundError):  # gone since it was listed
                yield str(path), without_padding(path.read_bytes())


def processes_of(box: Box) -> list[int]:
    """The supervisor, the main process and the workers."""
    found = [box.process.pid]
    for pid in found:
        with suppress(FileNotFoundError, ProcessLookupError):
            for thread in Path(f"/proc/{pid}/task").iterdir():
                found += map(int, (thread / "children").read_text().split())
    return found


def memory_of(box: Box) -> Iterator[tuple[str, bytes]]:
    """The memory of every process of the box, but for pages that are still as they are in a file."""
    for pid in processes_of(box):
        with suppress(FileNotFoundError, ProcessLookupError):
            for area, start, end in _areas(pid):
                yield f"process {pid}, {area}", without_padding(_present(pid, start, end))


def _areas(pid: int) -> list[tuple[str, int, int]]:
    """Areas that hold pages of the process's own, in memory or swapped out (proc(5))."""
    found: dict[str, tuple[str, int, int]] = {}
    head = ""
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            head = line
        elif line.startswith(("Anonymous:", "Swap:", "Private_Dirty:")) and int(line.split()[1]):
            start, end = (int(number, 16) for number in head.split()[0].split("-"))
            found[head] = (head, start, end)
    return list(found.values())


def _present(pid: int, start: int, end: int) -> bytes:
    """The content of an area without pages that were never touched (``pagemap``: the two highest bits)."""
    with (
        Path(f"/proc/{pid}/pagemap").open("rb", buffering=0) as pagemap,
        Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory,
    ):
        pagemap.seek(start // PAGE_BYTES * 8)
        pages = array("Q", pagemap.read((end - start) // PAGE_BYTES * 8))
        content = []
        run = 0
        for number, page in enumerate((*pages, 0)):
            if page >> 62:
                run += 1
            elif run:
                memory.seek(start + (number - run) * PAGE_BYTES)
                with suppress(OSError):  # let go of meanwhile
                    content.append(memory.read(run * PAGE_BYTES))
                run = 0
        return b"".join(content)


def search(places: Iterator[tuple[str, bytes]], canaries: Sequence[Canary]) -> list[str]:
    """Where which canary was found."""
    found = []
    for place, content in places:
        for canary in canaries:
            around = canary.found_in(content)
            if around:
                found.append(f"{canary.name} in {place}: {around}")
    return found


async def on_disk(box: Box, *canaries: Canary) -> list[str]:
    """Where on the disk."""
    return await asyncio.to_thread(lambda: search(files_of(box), canaries))


async def in_memory(box: Box, *canaries: Canary) -> list[str]:
    """Where in memory."""
    return await asyncio.to_thread(lambda: search(memory_of(box), canaries))


async def are_forgotten(box: Box, *canaries: Canary) -> None:
    """Wait until none of them is found anywhere; fails with the places after a minute."""
    found: list[str] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(FORGOTTEN_WITHIN_SECONDS):
            while found := [*await on_disk(box, *canaries), *await in_memory(box, *canaries)]:
                await asyncio.sleep(0.2)
    assert not found, "\n".join(found)


# The box and the lead


@dataclass
class Place:
    """A box that is set up, its lead, and what is known of her."""

    box: Box
    lead: Colleague
    school: Canary
    """Not sealed: the negative control."""
    credentials: tuple[Canary, ...]
    keys: tuple[Canary, ...]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    folder = tmp_path_factory.mktemp("root") / "home"
    folder.mkdir(mode=0o755)
    (folder / "help_seeking.yaml").write_text(HELP_SEEKING)
    home = Home(folder, free_port(), free_port())
    home.add_plugin(Path(__file__).parent / "sealed_notes")
    home.write(SETTINGS.format(dns_port=home.dns_port))
    box = launch(home, folder.parent / "box.log")
    try:
        yield await set_up(box)
    finally:
        box.stop()


async def set_up(box: Box) -> Place:
    school, password = token(), token()
    await box.ready()
    await box.set_up(f"School {school}")
    lead = box.colleague("lea", f"{password} wombat")
    await lead.join(await box.invite("Lea Lead", "lea", Role.LEAD))
    recovery, factor = lead.recovery_key, lead.factor.replace(" ", "")
    credentials = (
        Canary.of("the password", password),
        Canary.of("the recovery key", recovery, recovery.replace(" ", ""), read_recovery_key(recovery)),
        Canary.of("the second factor", lead.factor, factor, b32decode(factor)),
    )
    keys = tuple(Canary.of(name, key) for name, key in keys_of(box, lead))
    assert len(keys) == 3
    return Place(box, lead, Canary.of("the school's name", school), credentials, keys)


def token() -> str:
    return secrets.token_hex(12)


def keys_of(box: Box, lead: Colleague) -> Iterator[tuple[str, bytes]]:
    """Her private key and those of the vaults, opened with what is on her recovery sheet."""
    with closing(sqlite3.connect(f"file:{box.home.state / 'records.db'}?mode=ro", uri=True)) as store:
        account, wrapped = store.execute(
            "SELECT id, key_by_recovery FROM staff_accounts WHERE sign_in_name = 'lea'"
        ).fetchone()
        own = unwrap(wrapped, key_from_recovery(read_recovery_key(lead.recovery_key)), _BY_RECOVERY + account.encode())
        yield "her private key", bytes(own)
        for vault, epoch, sealed in store.execute("SELECT vault_id, epoch, sealed_key FROM vault_grants"):
            yield f"the key of vault {vault}", bytes(open_key(sealed, own, _grant_context(vault, epoch, account)))


@dataclass(frozen=True)
class Written:
    """What the lead has written, and where it stands."""

    path: str
    canary: Canary


async def add_pupil(box: Box) -> tuple[str, Canary]:
    """Somebody new in the directory, whose name is not sealed: another negative control."""
    name = token()
    answer = await box.post("/people/new", {"kind": "pupil", "name": f"Canary {name}"})
    assert answer.status == 303, answer.text
    return answer.headers["Location"].rpartition("/")[2], Canary.of("a pupil's name", name)


async def put_on_list(lead: Colleague, pupil: str) -> Written:
    """Put a pupil on the vulnerable list; at first with a slip, so that the page shows again what was typed."""
    reason = token()
    words = "\n".join(f"{reason} {number}" for number in range(100))
    slip = await lead.post(f"/vulnerable/add/{pupil}", {"reason": words, "until_on": "soon"})
    assert slip.status == 422
    assert f"{reason} 99" in slip.text
    answer = await lead.post(f"/vulnerable/add/{pupil}", {"reason": words})
    assert answer.status == 303, answer.text
    written = Written(answer.headers["Location"], Canary.of("a reason", reason))
    assert f"{reason} 99" in (await lead.get(written.path)).text
    return written


async def add_note(lead: Colleague, entry: Written) -> Written:
    """Write more about why."""
    note = token()
    assert (await lead.post(f"{entry.path}/note", {"note": f"{note} and more"})).status == 303
    assert note in (await lead.get(entry.path)).text
    return Written(entry.path, Canary.of("another note", note))


async def take_off_list(lead: Colleague, entry: Written) -> Written:
    """Say why, and read that too."""
    reason = token()
    assert (await lead.post(f"{entry.path}/end", {"end": f"{reason} is why"})).status == 303
    assert reason in (await lead.get(entry.path)).text
    return Written(entry.path, Canary.of("the reason at the end", reason))


async def write(lead: Colleague, at: str = "") -> Written:
    """Write a long note with a picture, in place of the one ``at`` a path; every piece of both is the canary."""
    words, picture = token(), secrets.token_bytes(24)
    form = {
        "words": " ".join(f"{words} {number}." for number in range(LONG // 30)),
        "picture": b64encode(b"".join(picture + secrets.token_bytes(8) for _ in range(LONG // 32))).decode(),
    }
    answer = await lead.post("/sealed_notes", {**form, "id": at.rpartition("/")[2]} if at else form)
    assert answer.status == 303, answer.text
    written = Written(answer.headers["Location"], Canary.of("a note", words, picture))
    shown = await read(lead, written)
    assert all(f"{words} {number}." in shown[0].text for number in (0, LONG // 30 - 1))
    assert shown[1].headers["Content-Length"] == str(LONG)
    return written


async def read(lead: Colleague, written: Written) -> list[Answer]:
    """Open the note and its picture, at the same time as a browser does."""
    shown = await asyncio.gather(lead.get(written.path), lead.get(f"{written.path}/picture"))
    assert [answer.status for answer in shown] == [200, 200]
    return shown


# Whether the search finds things


@given(st.binary(min_size=20, max_size=40), st.binary(max_size=8), st.binary(max_size=8))
async def test_the_search_finds_every_form(secret: bytes, before: bytes, after: bytes) -> None:
    canary = Canary.of("a secret", secret)
    for form in (secret, secret.hex().encode(), quote(secret).encode()):
        assert canary.found_in(without_padding(before + form + after))
    for encode in (b64encode, urlsafe_b64encode):
        assert canary.found_in(without_padding(encode(before + secret + after)))


@given(st.text("abcdef 0123456789", min_size=20), st.sampled_from(["utf-8", "utf-16-le", "utf-16-be", "utf-32"]))
async def test_the_search_finds_text_however_it_is_kept(secret: str, encoding: str) -> None:
    canary = Canary.of("a secret", secret)
    assert canary.found_in(without_padding(f"before {secret} after".encode(encoding)))
    assert canary.found_in(without_padding(f"words={quote_plus(secret)}&more".encode(encoding)))


# What is promised


async def test_what_was_written_and_read_is_nowhere_after_signing_out(place: Place) -> None:
    box, lead = place.box, place.lead
    pupil, name = await add_pupil(box)
    await lead.sign_in()
    async with lead.kept_alive():
        first = await write(lead)
        written = [first, await write(lead, at=first.path), entry := await put_on_list(lead, pupil)]
        await a_backup_is_made(box)
        await asyncio.gather(read(lead, first), lead.get(entry.path))
        written += [await add_note(lead, entry), await take_off_list(lead, entry)]
        assert await in_memory(box, *place.keys)  # root could take them now, as docs/security.md says
        assert (await lead.post("/sign-out")).status == 200
        await are_forgotten(box, *(one.canary for one in written), *place.credentials, *place.keys)
        assert await on_disk(box, place.school)
        assert await on_disk(box, name)
        assert await in_memory(box, place.school)


async def a_backup_is_made(box: Box) -> None:
    """As before every change of tables; with it a new generation of everything begins, while somebody is signed in."""
    migration = box.home.place.drop_in_dir / "sealed_notes" / "migrations" / "0002_index.sql"
    migration.write_text("CREATE INDEX sealed_notes_by_id ON sealed_notes_notes (id);\n")
    reloaded = await asyncio.to_thread(box.cli, "reload")
    while "Try again in a moment" in reloaded.stdout:  # the box has seen the new file by itself, and applies it
        reloaded = await asyncio.to_thread(box.cli, "reload")
    assert reloaded.returncode == 0
    assert any("before-sealed_notes" in name for name, _ in files_of(box))


async def test_what_was_written_and_read_is_nowhere_in_a_locked_browser(place: Place) -> None:
    box, lead = place.box, place.lead
    await lead.sign_in()
    pupil, name = await add_pupil(box)
    async with lead.kept_alive():
        written = await write(lead)
        entry = await put_on_list(lead, pupil)
        await asyncio.gather(read(lead, written), lead.get(entry.path))
        assert (await lead.post("/lock")).status == 303
        too_late = token()
        assert (await lead.post(f"{entry.path}/note", {"note": f"{too_late} too"})).status == 403
        late = Canary.of("what was typed when the browser was locked already", too_late)
        await are_forgotten(box, written.canary, entry.canary, late, *place.credentials, *place.keys)
        assert await on_disk(box, name)
        assert await on_disk(box, place.school)
        assert await in_memory(box, place.school)


async def test_what_a_pupil_typed_is_nowhere_once_it_was_judged(place: Place) -> None:
    """A capture, from a browser to the lead who reads it and signs out; and something in which nothing is found."""
    box, lead = place.box, place.lead
    await lead.sign_in()
    (browser,) = await let_in(box, trolley := await make_trolley(box))
    await begin_trial(lead, trolley)
    typed, shown, title, harmless = token(), secrets.token_bytes(24), token(), token()
    picture = A_PICTURE[:20] + COMMENT + (len(shown) + 2).to_bytes(2, "big") + shown + A_PICTURE[20:]
    async with browser.connected():
        await browser.greet()
        await browser.monitored()
        words = f"{typed} i want to die"
        assert (await browser.observe(typed=words, title=title, picture=picture))["type"] == "kept"
        assert (await browser.observe(typed=f"{harmless} is nothing", title=title))["type"] == "kept"
    async with lead.kept_alive():
        path = found(r'href="(/captures/[0-9a-f-]{36})"', (await lead.get("/captures")).text)
        assert typed in (await lead.get(path)).text
        assert (await lead.get(f"{path}/picture")).headers["Content-Type"] == "image/jpeg"
        assert (await lead.post("/sign-out")).status == 200
        await are_forgotten(
            box,
            Canary.of("what was typed", typed),
            Canary.of("what was seen", shown),
            Canary.of("a title", title),
            Canary.of("what nothing was found in", harmless),
            *place.keys,
        )
        assert await on_disk(box, place.school)
        assert await in_memory(box, place.school)


async def test_what_was_taken_out_was_never_on_disk_in_clear(place: Place) -> None:
    box, lead = place.box, place.lead
    await lead.sign_in()
    written = await write(lead)
    assert (await lead.post(f"{written.path}/delete")).status == 303
    assert (await lead.get(written.path)).status == 404
    assert (await lead.post("/sign-out")).status == 200
    assert not await on_disk(box, written.canary)
    assert await on_disk(box, place.school)


async def test_a_kill_in_the_middle_of_writing_leaves_nothing_on_disk(place: Place) -> None:
    box, lead = place.box, place.lead
    await lead.sign_in()
    words = token()
    canaries = (Canary.of("a note", words), *place.credentials, *place.keys)
    posts = [asyncio.create_task(lead.post("/sealed_notes", {"words": f"{words} " * 500})) for _ in range(20)]
    await asyncio.wait(posts, return_when=asyncio.FIRST_COMPLETED)
    old = box.kill_main()
    await asyncio.gather(*posts, return_exceptions=True)
    assert not await on_disk(box, *canaries)

    async def is_back() -> bool:
        return box.main_pid() != old and await box.answers()

    await box.until(is_back)
    assert not await on_disk(box, *canaries)
    assert await on_disk(box, place.school)
