"""The identity file: made, damaged in every way, opened, and put to work on a new box that devices go on trusting."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import pty
import re
import ssl
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from appliance.__main__ import main
from appliance.audit import Audit
from appliance.clock import now, stamp
from appliance.config import Config, ConfigError, PageValue, Place, check, read_source
from appliance.db import Database
from appliance.errors import ApplianceError, Refused
from appliance.hookspecs import State
from appliance.identity.file import VERSION, Identity, NamedFile, SealedIdentity, seal_identity
from appliance.identity.restoring import describe, read_code_file, read_identity_file, restore
from appliance.identity.saving import ASKED_BACK, LARGEST_FILE, Codes, IdentityFiles, collect
from appliance.keys_on_disk import (
    EXTENSION_KEY,
    FACTOR_KEY,
    INTAKE_KEY,
    ExtensionKey,
    TrustError,
    load_or_make_secret,
)
from appliance.loading import resource
from appliance.migrate import CORE, migrate
from appliance.page_state import read_page_state
from appliance.sealing import new_recovery_key
from appliance.signing import AUDIT_KEY, SigningKey
from appliance.testing import HELP_SEEKING, Box, Home, Running
from appliance.trust import Authority, KeptAuthority

DOMAIN = "safeguarding.internal"
SETTINGS = """\
# Written by hand
school: {name: Hill School}
plugins:
  dns_filter:
    lists: [{name: games, file: lists/games.domains}]
"""
SET_ON_PAGE = PageValue("limits.hook_seconds", 7.5, "Jo Lee", "slow disk", "2026-11-26T09:00:00.000Z")
CODE = new_recovery_key()


@dataclass(frozen=True)
class OldBox:
    """A box with a history: its folder has settings, keys and what the settings name."""

    place: Place
    page_values: tuple[PageValue, ...] = (SET_ON_PAGE,)

    @property
    def config(self) -> Config:
        return check(read_source(self.place), {}, self.page_values)

    @property
    def trust(self) -> Path:
        return self.config.settings.storage.state_dir / "trust"

    def identity(self, shipped: Path = Path("/nonexistent")) -> Identity:
        return collect(self.place, self.config.settings, self.page_values, shipped)


def make_box(folder: Path, text: str = SETTINGS, domain: str = DOMAIN) -> OldBox:
    (folder / "lists").mkdir(parents=True)
    (folder / "appliance.yaml").write_text(f"storage: {{state_dir: state, run_dir: run}}\n{text}")
    (folder / "help_seeking.yaml").write_text(HELP_SEEKING)
    (folder / "lists" / "games.domains").write_text("games.example\n")
    box = OldBox(Place(folder / "appliance.yaml"))
    Authority.open(box.trust, domain, "Hill School")
    ExtensionKey.open(box.trust)
    load_or_make_secret(box.trust, FACTOR_KEY, 32)
    load_or_make_secret(box.trust, INTAKE_KEY, 32)
    SigningKey.open(box.trust)
    return box


@pytest.fixture(scope="module")
def old_box(tmp_path_factory: pytest.TempPathFactory) -> OldBox:
    return make_box(tmp_path_factory.mktemp("old") / "etc")


@pytest.fixture(scope="module")
def identity(old_box: OldBox) -> Identity:
    return old_box.identity()


@pytest.fixture(scope="module")
def sealed(identity: Identity) -> bytes:
    return seal_identity(identity, CODE)


# What goes into it


def test_it_holds_what_makes_the_box(old_box: OldBox, identity: Identity) -> None:
    assert identity.school == "Hill School"
    assert identity.settings == old_box.place.config_file.read_text()
    assert identity.authority.fingerprint == Authority.open(old_box.trust, DOMAIN, "").fingerprint
    assert identity.extension_id == ExtensionKey.open(old_box.trust).extension_id
    assert {
        name: (old_box.trust / name).read_bytes() for name in (EXTENSION_KEY, FACTOR_KEY, INTAKE_KEY, AUDIT_KEY)
    } == identity.keys
    assert {file.path: file.content.decode() for file in identity.files} == {
        "help_seeking.yaml": HELP_SEEKING,
        "lists/games.domains": "games.example\n",
    }
    assert [setting.path for setting in identity.page_settings] == ["limits.hook_seconds"]
    assert identity.left_out == ()


def test_what_was_set_for_a_time_only_is_no_part_of_it(old_box: OldBox) -> None:
    for_a_time = PageValue("school.name", "Exam School", "Jo", "exams", stamp(), stamp(now() + timedelta(days=1)))
    box = OldBox(old_box.place, (SET_ON_PAGE, for_a_time))
    assert [setting.path for setting in box.identity().page_settings] == ["limits.hook_seconds"]


async def test_files_elsewhere_and_large_ones_are_left_out_in_words(tmp_path: Path) -> None:
    outside = tmp_path / "outside.domains"
    outside.write_text("x.example\n")
    text = f"""\
plugins:
  dns_filter:
    lists:
    - {{name: outside, file: {outside}}}
    - {{name: up, file: ../outside.domains}}
    - {{name: large, file: large.domains}}
    - {{name: folder, file: lists}}
    - {{name: missing, file: missing.domains}}
"""
    box = make_box(tmp_path / "etc", text)
    (tmp_path / "etc" / "large.domains").write_bytes(bytes(LARGEST_FILE + 1))
    identity = box.identity()
    assert [file.path for file in identity.files] == ["help_seeking.yaml"]
    assert len(identity.left_out) == 4
    records = Database(box.trust.parent / "records.db")
    assert await IdentityFiles(box.config, records, Audit(records)).left_out() == list(identity.left_out)
    for name, why in {
        "outside": "outside the folder",
        "../outside": "outside",
        "large": "larger",
        "lists": "read",
    }.items():
        assert any(name in words and why in words for words in identity.left_out), name


def test_files_that_came_with_the_program_are_left_to_it(old_box: OldBox, tmp_path: Path) -> None:
    (tmp_path / "help_seeking.yaml").write_text(HELP_SEEKING)
    assert [file.path for file in old_box.identity(shipped=tmp_path).files] == ["lists/games.domains"]
    (tmp_path / "help_seeking.yaml").write_text(HELP_SEEKING.replace("Childline", "childline"))
    assert "help_seeking.yaml" in [file.path for file in old_box.identity(shipped=tmp_path).files]
    in_a_checkout = old_box.place.config_file.parent
    assert "help_seeking.yaml" in [file.path for file in old_box.identity(shipped=in_a_checkout).files]


def test_a_lost_key_is_said_and_not_replaced(tmp_path: Path) -> None:
    box = make_box(tmp_path / "etc")
    (box.trust / AUDIT_KEY).unlink()
    with pytest.raises(TrustError, match=r"audit\.key"):
        box.identity()


# The file


def test_it_opens_with_its_code_however_that_is_typed(identity: Identity, sealed: bytes) -> None:
    for typed in (CODE, CODE.lower(), CODE.replace(" ", ""), CODE.replace(" ", "-"), f"  {CODE}\n"):
        assert SealedIdentity.read(sealed).open(typed) == identity


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.replace(b"\n", b"\r\n"),
        lambda content: b"\xef\xbb\xbf" + content,
        lambda content: b"\n\n" + content + b"\n\n",
        lambda content: content.replace(b"\n", b"  \n"),
    ],
    ids=["Windows", "byte order mark", "empty lines", "spaces"],
)
def test_what_mail_does_to_a_text_is_forgiven(
    identity: Identity, sealed: bytes, change: Callable[[bytes], bytes]
) -> None:
    assert SealedIdentity.read(change(sealed)).open(CODE) == identity


def test_it_shows_nothing_without_the_code(identity: Identity, sealed: bytes) -> None:
    readable = sealed.decode("ascii")
    for secret in (identity.authority_key.decode(), "Hill School", DOMAIN, CODE, CODE.replace(" ", "")):
        assert secret not in readable
    assert readable.splitlines()[0] == f"safeguarding appliance identity file, version {VERSION}"
    shown = repr(identity)
    assert "PRIVATE KEY" not in shown
    assert repr(identity.keys[FACTOR_KEY]) not in shown


def test_two_files_of_the_same_contents_differ(identity: Identity, sealed: bytes) -> None:
    assert seal_identity(identity, CODE) != sealed


def test_a_wrong_code_and_a_slip_are_told_apart(sealed: bytes) -> None:
    with pytest.raises(Refused, match="not the one of this identity file"):
        SealedIdentity.read(sealed).open(new_recovery_key())
    slip = CODE[:-1] + ("0" if CODE[-1] != "0" else "1")
    for typed in (slip, "", "ABCD", f"{CODE} {CODE}"):
        with pytest.raises(Refused, match="slip"):
            SealedIdentity.read(sealed).open(typed)


def test_a_newer_version_is_named_before_the_code_is_asked(sealed: bytes) -> None:
    newer = sealed.replace(f"version {VERSION}".encode(), f"version {VERSION + 1}".encode(), 1)
    with pytest.raises(Refused, match="newer version") as refusal:
        SealedIdentity.read(newer)
    assert "Install that version" in refusal.value.todo


@given(where=st.integers(0, 2**16), byte=st.binary(min_size=1, max_size=1), cut=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_damaged_file_never_opens_as_another(
    sealed: bytes, identity: Identity, where: int, byte: bytes, cut: bool
) -> None:
    place = where % len(sealed)
    harmed = sealed[:place] + byte + (b"" if cut else sealed[place + 1 :])
    try:
        found = SealedIdentity.read(harmed).open(CODE)
    except Refused:
        return
    assert found == identity
    assert harmed.split() == sealed.split()  # only the white space between its lines was touched


@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
@settings(deadline=None)
def test_what_is_no_identity_file_is_refused_in_words(content: bytes) -> None:
    first_line = f"safeguarding appliance identity file, version {VERSION}\n".encode()
    for harmed in (content, first_line + content):
        with pytest.raises(Refused):
            SealedIdentity.read(harmed)


@given(where=st.integers(0, 2**16), letter=st.sampled_from("ABab01+/=\n"))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_who_changes_it_and_mends_the_digest_gains_nothing(
    sealed: bytes, identity: Identity, where: int, letter: str
) -> None:
    lines = sealed.decode().splitlines()[:-1]
    text = "\n".join(lines) + "\n"
    place = where % len(text)
    text = text[:place] + letter + text[place + 1 :]
    digest = hashlib.sha256("".join(f"{line.rstrip()}\n" for line in text.splitlines()).encode()).hexdigest()
    try:
        found = SealedIdentity.read(f"{text}sha256: {digest}\n".encode()).open(CODE)
    except Refused:
        return
    assert found == identity


def test_a_file_whose_contents_are_no_good_says_so(identity: Identity) -> None:
    foreign = identity.model_copy(update={"keys": {**identity.keys, FACTOR_KEY: b"short"}})
    with pytest.raises(Refused, match="code is right"):
        SealedIdentity.read(seal_identity(foreign, CODE)).open(CODE)
    mixed = identity.model_copy(update={"authority_key": b"no key"})
    with pytest.raises(Refused, match="code is right"):
        SealedIdentity.read(seal_identity(mixed, CODE)).open(CODE)


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", "", ".", "a\0b"])
def test_no_file_in_it_leads_elsewhere(path: str) -> None:
    with pytest.raises(ValidationError):
        NamedFile(path=path, content=b"", mode=0o640, watched=True)


def test_what_was_set_on_pages_can_be_read_as_yaml(identity: Identity) -> None:
    assert identity.page_settings_yaml() == (
        "limits:\n  # set on a page by Jo Lee on 2026-11-26 09:00 UTC: slow disk\n  hook_seconds: 7.5\n"
    )


def test_describing_it_tells_no_secret(identity: Identity) -> None:
    said = "\n".join(describe(identity))
    for words in ("Hill School", identity.authority.fingerprint, identity.extension_id, DOMAIN, "games.domains", "7.5"):
        assert words in said
    assert "PRIVATE" not in said
    assert identity.keys[FACTOR_KEY].hex() not in said


def test_digests_follow_each_part_but_not_lists(identity: Identity) -> None:
    before = identity.digests()

    def changed(**update: object) -> set[str]:
        after = identity.model_copy(update=update).digests()
        return {part for part in before | after if before.get(part) != after.get(part)}

    assert changed(made_at="later", school="X", program="9") == set()
    assert changed(settings="x") == {"the settings file"}
    assert changed(keys={**identity.keys, FACTOR_KEY: bytes(32)}) == {"the key of second factors"}
    assert changed(page_settings=()) == {"what was set on the Settings page"}
    files = [file.model_copy(update={"content": b"new"}) for file in identity.files]
    assert changed(files=tuple(files)) == {"the file help_seeking.yaml"}
    other_reason = [setting.model_copy(update={"reason": "other"}) for setting in identity.page_settings]
    assert changed(page_settings=tuple(other_reason)) == set()


# The code


async def test_a_code_is_forgotten_when_its_time_is_over() -> None:
    codes = Codes(seconds=0)
    codes.make("a")
    codes.get("a")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(Refused, match="quarter of an hour"):
        codes.get("a")


async def test_each_browser_has_its_own_code_and_the_newest_counts() -> None:
    codes = Codes()
    first, other = codes.make("a"), codes.make("b")
    codes.note("a")
    second = codes.make("a")
    assert len({first.text, other.text, second.text}) == 3
    assert not codes.get("a").noted
    assert codes.get("b") == other
    codes.drop_all()
    for session in ("a", "b"):
        with pytest.raises(Refused):
            codes.get(session)
        codes.drop(session)


async def test_groups_are_typed_back_as_people_type() -> None:
    codes = Codes()
    code = codes.make("a")
    codes.drop_all()
    assert len(set(code.asked)) == ASKED_BACK
    for number in code.asked:
        assert code.is_group(number, f" {code.groups[number].lower()} ")
        assert not code.is_group(number, code.groups[number][:-1])
        assert not code.is_group(number, "")
    assert code.text not in repr(code)


# Saving it


@pytest.fixture
async def saving(tmp_path: Path) -> AsyncIterator[tuple[OldBox, IdentityFiles, Database]]:
    """A box with an open store, whose extension key nothing has needed so far."""
    box = make_box(tmp_path / "etc")
    for name in (EXTENSION_KEY, f"{EXTENSION_KEY}.made"):
        (box.trust / name).unlink()
    records = Database(box.trust.parent / "records.db")
    await records.open()
    await migrate(records, CORE, resource("migrations"))
    files = IdentityFiles(box.config, records, Audit(records))
    yield box, files, records
    await files.stop()
    await records.close()


async def save(files: IdentityFiles) -> tuple[bytes, str]:
    """All three steps; returns the file and its code."""
    await files.begin("ada", "browser")
    code = files.codes.get("browser")
    await files.note("ada", "browser")
    _, content = await files.make("ada", "browser")
    await files.keep("ada", "browser", code.file_id, "the safe", "the head")
    return content, code.text


async def words_of(files: IdentityFiles) -> tuple[State, str]:
    (found,) = await files.checks()
    assert found.name == "Identity file"
    assert bool(found.todo) == (found.state is not State.GOOD)
    return found.state, found.words


async def test_three_steps_save_it_and_each_is_on_the_record(
    saving: tuple[OldBox, IdentityFiles, Database],
) -> None:
    box, files, records = saving
    assert await words_of(files) == (
        State.WARNING,
        "It was never saved. If this box is lost, every device has to be set up again.",
    )
    await files.begin("ada", "browser")
    code = files.codes.get("browser")
    with pytest.raises(Refused, match="not noted"):
        await files.make("ada", "browser")
    await files.note("ada", "browser")
    identity, content = await files.make("ada", "browser")
    assert (await words_of(files))[1].startswith("It was downloaded, but")
    assert not (await files.standing()).good
    assert SealedIdentity.read(content).open(code.text) == identity
    assert identity.extension_id == ExtensionKey.open(box.trust).extension_id

    await files.keep("ada", "browser", code.file_id, "the safe", "the head")
    standing = await files.standing()
    assert standing.good
    assert standing.saved is not None
    assert (standing.saved.file_with, standing.saved.code_with) == ("the safe", "the head")
    state, words = await words_of(files)
    assert state is State.GOOD
    assert f"{now().year}" in words
    with pytest.raises(Refused):
        files.codes.get("browser")

    rows = await records.fetch("SELECT actor, action, subject FROM audit ORDER BY seq")
    assert [row["action"] for row in rows] == [
        "was shown a new code for an identity file",
        "noted the code of an identity file",
        "downloaded the identity file",
        "confirmed who keeps the identity file",
    ]
    assert {(row["actor"], row["subject"]) for row in rows} == {("ada", f"identity file {code.file_id}")}


async def test_a_download_can_be_repeated_and_the_last_one_counts(
    saving: tuple[OldBox, IdentityFiles, Database],
) -> None:
    box, files, records = saving
    await files.begin("ada", "browser")
    await files.note("ada", "browser")
    await files.make("ada", "browser")
    box.place.config_file.write_text(box.place.config_file.read_text() + "# more\n")
    _, content = await files.make("ada", "browser")
    code = files.codes.get("browser")
    await files.keep("ada", "browser", code.file_id, "the safe", "the head")
    assert (await files.standing()).good
    assert SealedIdentity.read(content).open(code.text).settings.endswith("# more\n")
    assert len(await records.fetch("SELECT id FROM identity_files")) == 1
    with pytest.raises(Refused, match="confirmed already"):
        await files.keep("ada", "browser", code.file_id, "x", "y")


async def test_the_code_and_the_keys_are_nowhere_in_the_store(saving: tuple[OldBox, IdentityFiles, Database]) -> None:
    box, files, records = saving
    _, code = await save(files)
    identity = await files.now()
    await records.close()
    stored = b"".join(path.read_bytes() for path in box.trust.parent.glob("records.db*"))
    assert b"identity file" in stored
    for secret in (code.encode(), code.replace(" ", "").encode(), code.split()[0].encode(), identity.authority_key):
        assert secret not in stored


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda box: box.place.config_file.write_text("storage: {state_dir: state}\n"), "the settings file"),
        (lambda box: (box.place.config_file.parent / "help_seeking.yaml").write_text("places: []\n"), "help_seeking"),
        (lambda box: (box.trust / FACTOR_KEY).write_bytes(bytes(32)), "second factors"),
    ],
    ids=["settings", "help-seeking", "key"],
)
async def test_what_changed_since_is_named(
    saving: tuple[OldBox, IdentityFiles, Database], change: Callable[[OldBox], object], words: str
) -> None:
    box, files, _ = saving
    await save(files)
    change(box)
    state, said = await words_of(files)
    assert state is State.WARNING
    assert words in said
    assert words in "; ".join((await files.standing()).changed)
    await save(files)
    assert (await words_of(files))[0] is State.GOOD


async def test_a_list_that_changes_every_day_makes_nobody_save_it_again(
    saving: tuple[OldBox, IdentityFiles, Database],
) -> None:
    box, files, _ = saving
    await save(files)
    (box.place.config_file.parent / "lists" / "games.domains").write_text("more.example\n")
    assert (await words_of(files))[0] is State.GOOD


async def test_a_setting_set_on_a_page_is_a_change_once_it_lasts(
    saving: tuple[OldBox, IdentityFiles, Database],
) -> None:
    _, files, records = saving
    await save(files)
    insert = (
        "INSERT INTO page_values (id, path, value, author, reason, set_at, until) VALUES (?, ?, '9.0', 'jo', 'y', ?, ?)"
    )
    async with records.transaction() as tx:
        await tx.execute(insert, ("1", "limits.hook_seconds", stamp(), stamp(now() + timedelta(days=1))))
    assert (await files.standing()).good
    async with records.transaction() as tx:
        await tx.execute(insert, ("2", "limits.probe_seconds", stamp(), None))
    assert (await files.standing()).changed == ("what was set on the Settings page",)


async def test_settings_with_mistakes_and_lost_keys_are_said_on_the_status_page(
    saving: tuple[OldBox, IdentityFiles, Database],
) -> None:
    box, files, _ = saving
    await save(files)
    box.place.config_file.write_text("school: [")
    state, words = await words_of(files)
    assert (state, "mistakes" in words) == (State.WARNING, True)
    box.place.config_file.write_text("storage: {state_dir: state}\n")
    (box.trust / EXTENSION_KEY).unlink()
    state, words = await words_of(files)
    assert (state, "has gone" in words) == (State.BROKEN, True)
    assert not (await files.standing()).good


# A new box


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


async def test_an_empty_folder_becomes_the_same_box(identity: Identity, tmp_path: Path) -> None:
    place = Place(tmp_path / "new" / "appliance.yaml")
    (tmp_path / "new" / "state" / ".identity-cut-short").mkdir(parents=True)
    words = await restore(identity, place)
    assert "in place" in " ".join(words)
    new = OldBox(place, read_page_state(tmp_path / "new" / "state" / "records.db").page_values)
    again = new.identity()
    assert again.digests() == identity.digests()
    assert [file.content for file in again.files] == [file.content for file in identity.files]
    assert new.page_values == (SET_ON_PAGE,)
    assert new.config.settings.limits.hook_seconds == 7.5
    assert Authority.open(new.trust, DOMAIN, "").fingerprint == identity.authority.fingerprint
    assert ExtensionKey.open(new.trust).extension_id == identity.extension_id
    assert {stat.S_IMODE(path.stat().st_mode) for path in new.trust.rglob("*") if path.is_file()} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in new.trust.rglob("*") if path.is_dir()} == {0o700}
    assert stat.S_IMODE(place.config_file.stat().st_mode) & 0o007 == 0
    assert not list(new.trust.parent.glob(".identity-*"))


async def test_the_new_box_knows_that_its_identity_file_is_saved(identity: Identity, tmp_path: Path) -> None:
    place = Place(tmp_path / "new" / "appliance.yaml")
    await restore(identity, place)
    records = Database(tmp_path / "new" / "state" / "records.db")
    await records.open()
    try:
        await migrate(records, CORE, resource("migrations"))
        audit = Audit(records)
        assert (await IdentityFiles(check(read_source(place), {}), records, audit).standing()).good
        (row,) = await audit.rows(None, 10)
        assert (row["actor"], row["action"]) == ("the command line", "restored an identity file")
        assert (await audit.verify()).good
    finally:
        await records.close()


@pytest.mark.parametrize("there", ["state/trust/server.pem", "state/records.db", "state/activity.db"])
async def test_a_box_that_was_started_before_is_left_alone(identity: Identity, tmp_path: Path, there: str) -> None:
    path = tmp_path / there
    path.parent.mkdir(parents=True)
    path.write_text("something")
    before = contents(tmp_path)
    with pytest.raises(Refused, match="started before") as refusal:
        await restore(identity, Place(tmp_path / "appliance.yaml"))
    assert str(tmp_path / Path(*Path(there).parts[:2])) in str(refusal.value)
    assert contents(tmp_path) == before


async def test_files_that_say_something_else_are_never_overwritten(identity: Identity, tmp_path: Path) -> None:
    mine = "# mine\nstorage: {state_dir: state}\nschool: {name: Vale School}\n"
    (tmp_path / "appliance.yaml").write_text(mine)
    (tmp_path / "appliance.yaml.restored").write_text("from another time")
    (tmp_path / "help_seeking.yaml").write_bytes(identity.files[0].content)
    words = await restore(identity, Place(tmp_path / "appliance.yaml"))
    assert (tmp_path / "appliance.yaml").read_text() == mine
    assert (tmp_path / "appliance.yaml.restored").read_text() == "from another time"
    assert (tmp_path / "appliance.yaml.restored-2").read_text() == identity.settings
    said = "\n".join(words)
    assert "appliance.yaml.restored-2" in said
    assert "help_seeking.yaml is here already" in said
    assert not (tmp_path / "help_seeking.yaml.restored").exists()


@pytest.mark.parametrize(
    ("here", "words"),
    [
        ("web: {domain: other.internal}\n", "web.domain is other.internal"),
        ("storage: {state_dir: elsewhere}\n", "keeps everything in"),
    ],
)
async def test_settings_under_which_devices_would_not_trust_the_box_are_refused(
    identity: Identity, tmp_path: Path, here: str, words: str
) -> None:
    (tmp_path / "appliance.yaml").write_text("storage: {state_dir: state}\n" + here if "storage" not in here else here)
    before = contents(tmp_path)
    with pytest.raises(ApplianceError, match=words) as refusal:
        await restore(identity, Place(tmp_path / "appliance.yaml"))
    assert "Set " in refusal.value.todo
    assert contents(tmp_path) == before


async def test_a_settings_file_with_mistakes_here_is_not_guessed_at(identity: Identity, tmp_path: Path) -> None:
    (tmp_path / "appliance.yaml").write_text("schol: {}\n")
    with pytest.raises(ConfigError, match="schol"):
        await restore(identity, Place(tmp_path / "appliance.yaml"))


async def test_settings_of_another_version_stop_it_before_anything_is_written(
    identity: Identity, tmp_path: Path
) -> None:
    odd = identity.model_copy(update={"settings": "from_the_future: {}\n"})
    place = Place(tmp_path / "appliance.yaml")
    with pytest.raises(Refused, match="from_the_future") as refusal:
        await restore(odd, place)
    assert "yourself" in refusal.value.todo
    assert contents(tmp_path) == {}
    place.config_file.write_text("storage: {state_dir: state}\n")
    await restore(odd, place)
    assert (tmp_path / "appliance.yaml.restored").read_text() == "from_the_future: {}\n"


def test_an_authority_that_ended_or_is_not_begun_is_refused(identity: Identity) -> None:
    authority = identity.authority
    authority.check(f"staff.{DOMAIN}", now())
    with pytest.raises(TrustError, match="ended"):
        authority.check(DOMAIN, authority.not_after + timedelta(days=1))
    with pytest.raises(TrustError, match="clock"):
        authority.check(DOMAIN, now() - timedelta(days=30))
    with pytest.raises(TrustError, match=r"web\.domain"):
        authority.check(f"not{DOMAIN}", now())


def test_an_authority_is_never_put_over_another(identity: Identity, tmp_path: Path) -> None:
    own = Authority.open(tmp_path / "trust", DOMAIN, "Vale School")
    with pytest.raises(TrustError, match="already"):
        identity.authority.put_back(tmp_path / "trust")
    assert Authority.open(tmp_path / "trust", DOMAIN, "").fingerprint == own.fingerprint
    (tmp_path / "trust" / "authority" / "key.pem").write_bytes(identity.authority_key)
    with pytest.raises(TrustError, match="damaged"):
        KeptAuthority.read(tmp_path / "trust")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another account")
async def test_what_root_restores_belongs_to_the_account_of_the_service(identity: Identity, tmp_path: Path) -> None:
    settings, state = tmp_path / "etc", tmp_path / "state"
    for folder, owner in ((settings, (0, 4321)), (state, (4321, 4321))):
        folder.mkdir()
        os.chown(folder, *owner)
    moved = identity.model_copy(update={"settings": f"storage: {{state_dir: {state}}}\n"})
    await restore(moved, Place(settings / "appliance.yaml"))

    def owners(folder: Path) -> set[tuple[int, int]]:
        return {(path.stat().st_uid, path.stat().st_gid) for path in folder.rglob("*")}

    assert owners(state) == {(4321, 4321)}
    assert owners(settings) == {(0, 4321)}
    assert (settings / "lists" / "games.domains").exists()


# The command line


@pytest.fixture
def files_on_a_stick(sealed: bytes, tmp_path: Path) -> tuple[Path, Path]:
    """The identity file and a file with its code."""
    stick = tmp_path / "stick"
    stick.mkdir()
    (stick / "box.identity").write_bytes(sealed)
    (stick / "code.txt").write_text(f"{CODE.lower()}\n")
    return stick / "box.identity", stick / "code.txt"


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run the command line in this process: exit code, output, errors."""
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    umask = os.umask(0o022)

    def command(config: Path, *arguments: object) -> tuple[int, str, str]:
        code = main(["--config", str(config), "identity", *map(str, arguments)])
        said = capsys.readouterr()
        return code, said.out, said.err

    yield command
    os.umask(umask)


def test_the_command_restores_and_says_what_it_did(
    files_on_a_stick: tuple[Path, Path], tmp_path: Path, run: Run
) -> None:
    file, code = files_on_a_stick
    config = tmp_path / "new" / "appliance.yaml"
    exit_code, said, errors = run(config, "restore", file, "--code-file", code)
    assert (exit_code, errors) == (0, "")
    assert f"{config} is in place." in said
    assert "Devices that trusted the box before trust this one" in said
    exit_code, _, errors = run(config, "restore", file, "--code-file", code)
    assert exit_code == 1
    assert "started before" in errors


def test_the_command_shows_what_is_in_it(
    files_on_a_stick: tuple[Path, Path], identity: Identity, tmp_path: Path, run: Run
) -> None:
    file, code = files_on_a_stick
    exit_code, said, _ = run(tmp_path / "none.yaml", "show", file, "--code-file", code)
    assert exit_code == 0
    assert identity.authority.fingerprint in said
    assert "PRIVATE" not in said
    assert CODE.split()[3] not in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("show", "nothing.identity"), "nothing.identity cannot be read"),
        (("show", "other.txt"), "no identity file"),
        (("show", "box.identity"), "--code-file"),
        (("show", "box.identity", "--code-file", "nothing.txt"), "nothing.txt cannot be read"),
        (("restore", "box.identity", "--code-file", "other.txt"), "slip"),
    ],
)
def test_the_command_says_what_is_wrong_and_changes_nothing(
    files_on_a_stick: tuple[Path, Path], arguments: tuple[str, ...], words: str, run: Run
) -> None:
    stick = files_on_a_stick[0].parent
    (stick / "other.txt").write_text("something else")
    before = contents(stick)
    paths = [text if text.startswith("--") else str(stick / text) for text in arguments[1:]]
    exit_code, said, errors = run(stick / "appliance.yaml", arguments[0], *paths)
    assert (exit_code, said) == (1, "")
    assert words in errors
    assert contents(stick) == before


def test_what_is_far_too_large_is_not_read_whole(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(Refused, match="too large"):
        read_identity_file(tmp_path / "huge")
    assert len(read_code_file(tmp_path / "huge")) <= 4096


def test_the_code_is_asked_for_on_the_terminal_and_not_shown(
    files_on_a_stick: tuple[Path, Path], tmp_path: Path
) -> None:
    file, _ = files_on_a_stick
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "appliance", "identity", "show", str(file)],
        stdin=child,
        stdout=child,
        stderr=child,
        start_new_session=True,
    )
    os.close(child)
    said = b""
    while b"while you type" not in said:
        said += os.read(parent, 1000)
    os.write(parent, f"{CODE}\n".encode())
    with suppress(OSError):  # the end of a terminal
        while piece := os.read(parent, 10_000):
            said += piece
    os.close(parent)
    assert process.wait(10) == 0
    assert b"Hill School" in said
    assert CODE.split()[0].encode() not in said


# A real box


async def test_devices_that_trusted_the_old_box_connect_to_the_new_one(
    appliance_home: Home,
    start_appliance: Callable[[Home], Awaitable[Running]],
    start_box: Callable[[Home], Box],
    tmp_path: Path,
) -> None:
    appliance_home.write("school: {name: Hill School}\n")
    old = await start_appliance(appliance_home)
    content, code = await save(old.appliance.identity)
    trusted = Authority.open(appliance_home.state / "trust", "localhost", "").certificate_pem.decode()
    await old.stop()

    new = Home(tmp_path / "new box", appliance_home.web_port, appliance_home.dns_port)
    await restore(SealedIdentity.read(content).open(code), new.place)
    box = start_box(new)
    await box.ready()
    assert await connects(new.web_port, trusted)
    stranger = Authority.open(tmp_path / "another", "localhost", "Vale School").certificate_pem.decode()
    assert not await connects(new.web_port, stranger)
    assert "Hill School" in (await box.get("/set-up")).text
    assert re.search(r"GOOD +Identity file: Saved on", box.cli("status").stdout)


async def connects(port: int, authority: str) -> bool:
    """Whether a device that trusts this authority alone opens the staff pages' address."""
    context = ssl.create_default_context(cadata=authority)
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="staff.localhost")
    except ssl.SSLCertVerificationError:
        return False
    writer.close()
    return True
