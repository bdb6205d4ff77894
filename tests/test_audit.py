"""The record of who did what: whatever is changed in it is found."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import sqlite3
import stat
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance import __main__ as command_line
from appliance.audit import Audit, Noted, Verdict, Wanted, _hash, verify
from appliance.bus import Bus
from appliance.db import Database
from appliance.hookspecs import State
from appliance.keys_on_disk import TrustError
from appliance.loading import resource
from appliance.migrate import CORE, migrate
from appliance.signed_heads import SignedHeads, read_statement
from appliance.signing import PublicKey, SigningKey


@pytest.fixture
async def records(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(tmp_path / "records.db")
    await database.open()
    await migrate(database, CORE, resource("migrations"))
    yield database
    await database.close()


async def write_rows(records: Database, count: int) -> Audit:
    audit = Audit(records)
    for number in range(count):
        async with records.transaction() as tx:
            await audit.record(tx, "ada", "changed", f"thing {number}", {"reason": "naïve “quotes”", "n": number})
    return audit


async def test_rows_follow_from_one_another(records: Database) -> None:
    audit = await write_rows(records, 5)
    verdict = await audit.verify()
    assert (verdict.good, verdict.rows) == (True, 5)
    assert (await audit.verify(noted_head=verdict.head)).good


async def test_a_row_is_kept_with_its_change_or_not_at_all(records: Database) -> None:
    audit = Audit(records)
    with pytest.raises(LookupError):
        async with records.transaction() as tx:
            await audit.record(tx, "ada", "changed", "thing", {})
            raise LookupError
    assert await audit.rows(None, 10) == []


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE audit SET actor = 'eve' WHERE seq = 2",
        "DELETE FROM audit WHERE seq = 3",
        "INSERT OR REPLACE INTO audit SELECT seq, at, 'eve', action, subject, detail, previous, hash FROM audit"
        " WHERE seq = 2",
        "INSERT INTO audit VALUES (9, '', 'eve', '', '', '', '', 'x')",
        "INSERT INTO audit VALUES (6, '', 'eve', '', '', '', 'wrong', 'x')",
    ],
)
async def test_the_store_refuses_to_change_it(records: Database, sql: str) -> None:
    await write_rows(records, 5)
    with pytest.raises(sqlite3.IntegrityError, match="audit"):
        async with records.transaction() as tx:
            await tx.execute(sql)


_TAMPERING = {
    "change a word": ("UPDATE audit SET actor = 'eve' WHERE seq = 2", "Row 2 was changed"),
    "change the time": ("UPDATE audit SET at = '2020' WHERE seq = 4", "Row 4 was changed"),
    "take out the middle": ("DELETE FROM audit WHERE seq = 3", "Row 3 is missing"),
    "take out the first": ("DELETE FROM audit WHERE seq = 1", "Row 1 is missing"),
    "take one out and close the gap": (
        "DELETE FROM audit WHERE seq = 3; UPDATE audit SET seq = seq - 1 WHERE seq > 3",
        "Row 3 does not follow",
    ),
    "swap two": (
        "UPDATE audit SET seq = 99 WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 3; "
        "UPDATE audit SET seq = 3 WHERE seq = 99",
        "Row 2 does not follow",
    ),
}


@pytest.mark.parametrize("how", _TAMPERING)
async def test_tampering_with_the_file_is_found_and_named(records: Database, how: str) -> None:
    audit = await write_rows(records, 5)
    sql, words = _TAMPERING[how]
    tamper(records, sql)
    verdict = await audit.verify()
    assert not verdict.good
    assert words in verdict.words


async def test_cutting_off_the_end_is_found_by_a_noted_head(records: Database) -> None:
    audit = await write_rows(records, 5)
    noted = (await audit.verify()).head
    tamper(records, "DELETE FROM audit WHERE seq > 3")
    assert (await audit.verify()).good  # the chain alone cannot tell
    verdict = await audit.verify(noted)
    assert not verdict.good
    assert "cut off" in verdict.words


async def test_several_noted_heads_narrow_down_where_the_record_was_replaced(records: Database) -> None:
    await write_rows(records, 6)
    rows = await records.fetch("SELECT seq, hash FROM audit ORDER BY seq")
    noted = [Noted(f"{row['seq']}:{row['hash']}", f"was noted on day {row['seq']}") for row in rows]
    assert (await verify(records, noted)).good
    rewrite(records, 4)
    assert (await Audit(records).verify()).good  # the chain alone cannot tell
    words = (await verify(records, [noted[4], noted[1]])).words
    assert "Row 5 is not the one that was noted on day 5" in words
    assert "after row 2, which was noted on day 2" in words
    assert not (await verify(records, [noted[3]])).good
    assert (await verify(records, [noted[2]])).good


@pytest.mark.parametrize("head", ["", "x:y", "-1:a", "0:", "²:a", ":"])
async def test_what_is_no_head_is_not_taken_for_one(records: Database, head: str) -> None:
    await write_rows(records, 3)
    assert (await verify(records, [Noted(head)])).good is False


# Choosing rows


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(), [4, 3, 2, 1]),
        (Wanted(actor="ada"), [4, 1]),
        (Wanted(actor="nobody"), []),
        (Wanted(actions=["looked at"]), [3, 2]),
        (Wanted(actions=["looked at", "signed in"]), [3, 2, 1]),
        (Wanted(actions=[]), []),
        (Wanted(actor="bo", actions=["looked at"], since="2026-11-02"), [3]),
        (Wanted(since="2026-11-02T00:00:00.000Z"), [4, 3]),
        (Wanted(before="2026-11-02T00:00:00.000Z"), [2, 1]),
        (Wanted(actor="' OR 1 --"), []),
    ],
)
async def test_rows_are_found_by_who_what_and_when(records: Database, wanted: Wanted, expected: list[int]) -> None:
    audit = Audit(records)
    for actor, action in (("ada", "signed in"), ("bo", "looked at"), ("bo", "looked at"), ("ada", "did")):
        async with records.transaction() as tx:
            await audit.record(tx, actor, action, "thing")
    tamper(records, "UPDATE audit SET at = '2026-11-0' || ((seq + 1) / 2) || 'T12:00:00.000Z'")
    assert [row["seq"] for row in await audit.rows(None, 10, wanted)] == expected
    assert [row["seq"] for row in await audit.rows(3, 10, wanted)] == [seq for seq in expected if seq < 3]
    assert await audit.actors() == ["ada", "bo"]
    assert set(await audit.actions()) == {"signed in", "looked at", "did"}


# The key


def test_a_statement_is_checked_by_openssl_too(tmp_path: Path) -> None:
    key = SigningKey.open(tmp_path / "trust")
    lines = key.sign("one\nné\n").splitlines()
    (tmp_path / "content").write_text("one\nné\n", encoding="utf-8")
    (tmp_path / "signature").write_bytes(base64.b64decode(lines[-1].removeprefix("Signature: ")))
    (tmp_path / "key.pem").write_bytes(key.public.pem)
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin", "-in", "content"]
    done = subprocess.run([*command, "-sigfile", "signature"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    der = ["openssl", "pkey", "-pubin", "-in", "key.pem", "-outform", "DER", "-out", "key.der"]
    subprocess.run(der, cwd=tmp_path, check=True)
    digest = subprocess.run(["sha256sum", "key.der"], cwd=tmp_path, capture_output=True, text=True).stdout
    assert key.public.fingerprint.replace(":", "").lower() == digest.split()[0]


def test_the_key_is_made_once_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "trust"
    made = SigningKey.open(folder).public.fingerprint
    assert SigningKey.open(folder).public.fingerprint == made
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    (folder / "audit.key").unlink()
    with pytest.raises(TrustError, match="has gone"):
        SigningKey.open(folder)


def to_windows(text: str) -> str:
    return text.replace("\n", "\r\n")


def with_spaces(text: str) -> str:
    return "\n\n" + text.replace("\n", "  \n") + "\n"


@pytest.mark.parametrize("how", [str, to_windows, with_spaces, str.strip])
def test_what_mail_does_to_a_statement_is_forgiven(tmp_path: Path, how: Callable[[str], str]) -> None:
    key = SigningKey.open(tmp_path / "trust")
    assert key.public.check(how(key.sign("one\ntwo\n"))) == "one\ntwo\n"


@given(st.data())
def test_a_statement_that_was_changed_anywhere_is_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    key = SigningKey.open(tmp_path_factory.getbasetemp() / "trust")
    statement = key.sign("Day: 2026-11-24\nRows: 12\n")
    place = data.draw(st.integers(0, len(statement.rstrip("=\n")) - 2))
    letter = data.draw(st.sampled_from("aB7:").filter(lambda letter: letter != statement[place]))
    with pytest.raises(TrustError):
        key.public.check(statement[:place] + letter + statement[place + 1 :])


@pytest.mark.parametrize("text", ["", "one\n", "one\ntwo\nthree\n", "Signed with the key A\nSignature: B\n"])
def test_what_is_no_statement_is_explained(tmp_path: Path, text: str) -> None:
    with pytest.raises(TrustError, match="no signed statement"):
        SigningKey.open(tmp_path / "trust").public.check(text)


def test_another_key_is_named(tmp_path: Path) -> None:
    one, other = SigningKey.open(tmp_path / "one"), SigningKey.open(tmp_path / "other")
    with pytest.raises(TrustError, match="not with") as refusal:
        other.public.check(one.sign("one\n"))
    assert one.public.fingerprint in str(refusal.value)


@pytest.mark.parametrize("pem", [b"", b"nonsense", None])
def test_what_is_no_public_key_is_explained(tmp_path: Path, pem: bytes | None) -> None:
    if pem is None:
        for command in ("openssl genrsa -out private 2048", "openssl rsa -in private -pubout -out public"):
            subprocess.run(command.split(), cwd=tmp_path, capture_output=True, check=True)
        pem = (tmp_path / "public").read_bytes()
    with pytest.raises(TrustError, match="no public key"):
        PublicKey.of_pem(pem)


# The daily head


class Clock:
    """The school's clock, for tests that live through days."""

    def __init__(self) -> None:
        self.moment = datetime.now(UTC).replace(hour=4, minute=30)

    def __call__(self) -> datetime:
        return self.moment


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def no_plugin(owner: str, what: str, call: object) -> None:
    raise AssertionError(f"{owner} has no listener")


@pytest.fixture
async def heads(records: Database, clock: Clock, tmp_path: Path) -> SignedHeads:
    bus = Bus(records, (), no_plugin)
    found = SignedHeads(
        records, Audit(records), bus, tmp_path / "trust", "Europe/London", "St Ada's\nNewest row: 1", clock
    )
    await found.start()
    return found


async def verify_signed(records: Database, statements: list[str], key: PublicKey) -> Verdict:
    return await verify(records, [read_statement(statement, key).noted for statement in statements])


async def sign_days(records: Database, heads: SignedHeads, clock: Clock, days: int) -> list[str]:
    """Some days, each with three rows and a signature; the statements, the oldest first."""
    for _ in range(days):
        await write_rows(records, 3)
        await heads.sign()
        clock.moment += timedelta(days=1)
    rows = await records.fetch("SELECT statement FROM audit_heads ORDER BY day")
    return [row["statement"] for row in rows]


async def test_a_day_is_signed_once_and_says_what_was_done_but_not_by_whom(
    records: Database, heads: SignedHeads, clock: Clock
) -> None:
    await write_rows(records, 3)
    await heads.sign()
    await write_rows(records, 2)
    await heads.sign()
    (row,) = await heads.rows(10)
    statement = await heads.statement(row["day"])
    assert statement is not None
    head = read_statement(statement, heads.public_key)
    assert (head.day.isoformat(), head.seq, head.hash) == (row["day"], row["seq"], row["hash"])
    assert (head.day, head.seq) == (clock.moment.date(), 3)
    assert "Rows: 3\n" in statement
    assert "  3 changed\n" in statement
    assert "ada" not in statement.replace("St Ada's", "").lower()
    (event,) = await records.fetch("SELECT payload FROM events WHERE type = 'AuditHeadSigned'")
    assert json.loads(event["payload"])["statement"] == statement
    newest = await Audit(records).rows(None, 10, Wanted(actions=["signed the audit"]))
    assert [row["subject"] for row in newest] == ["up to row 3"]


async def test_the_next_day_counts_from_the_last_signature(records: Database, heads: SignedHeads, clock: Clock) -> None:
    _, second = await sign_days(records, heads, clock, 2)
    assert "Rows since row 3, by what was done:\n  3 changed\n  1 signed the audit\n" in second
    assert [row["seq"] for row in await heads.rows(10)] == [7, 3]
    newest, oldest = await heads.rows(10)
    assert await heads.rows(10, before=newest["day"]) == [oldest]
    assert await heads.statement("2020-01-01") is None


async def test_an_empty_record_is_not_signed(heads: SignedHeads) -> None:
    await heads.sign()
    assert await heads.rows(10) == []


async def test_a_statement_proves_the_record_that_it_was_made_of(
    records: Database, heads: SignedHeads, clock: Clock
) -> None:
    statements = await sign_days(records, heads, clock, 3)
    verdict = await verify_signed(records, statements, heads.public_key)
    assert (verdict.good, verdict.rows) == (True, 12)


_REWRITING = {
    "change one row": ("UPDATE audit SET actor = 'eve' WHERE seq = 6", "Row 6 was changed"),
    "delete one day": ("DELETE FROM audit WHERE seq BETWEEN 5 AND 8", "Row 5 is missing"),
    "delete the last day": ("DELETE FROM audit WHERE seq > 8", "ends with row 8, but row 11 was signed on"),
    "delete everything": ("DELETE FROM audit", "ends with row 0, but row 3 was signed on"),
}


@pytest.mark.parametrize("how", _REWRITING)
async def test_the_checker_names_the_place(records: Database, heads: SignedHeads, clock: Clock, how: str) -> None:
    statements = await sign_days(records, heads, clock, 3)
    sql, words = _REWRITING[how]
    tamper(records, sql)
    verdict = await verify_signed(records, statements, heads.public_key)
    assert not verdict.good
    assert words in verdict.words


async def test_a_record_that_was_written_anew_as_a_whole_is_found_by_what_others_kept(
    records: Database, heads: SignedHeads, clock: Clock
) -> None:
    statements = await sign_days(records, heads, clock, 3)
    rewrite(records, 5)
    assert (await Audit(records).verify()).good
    words = (await verify_signed(records, statements, heads.public_key)).words
    assert words.startswith("Row 7 is not the one that was signed on")
    assert "after row 3, which was signed on" in words


async def test_a_record_that_is_not_whole_is_not_signed_and_the_status_page_says_so(
    records: Database, heads: SignedHeads, clock: Clock
) -> None:
    await sign_days(records, heads, clock, 1)
    tamper(records, "DELETE FROM audit WHERE seq > 2")
    await heads.sign()
    assert len(await heads.rows(10)) == 1
    (check,) = await heads.checks()
    assert check.state is State.BROKEN
    assert "was cut off" in check.words


@pytest.mark.parametrize(
    ("signed", "later", "state"),
    [
        (True, timedelta(days=2, minutes=-1), State.GOOD),
        (True, timedelta(days=2, minutes=1), State.WARNING),
        (False, timedelta(days=1), State.GOOD),
        (False, timedelta(days=3), State.WARNING),
    ],
)
async def test_days_without_a_signature_are_seen(
    records: Database, heads: SignedHeads, clock: Clock, signed: bool, later: timedelta, state: State
) -> None:
    clock.moment = datetime.now(UTC)
    await write_rows(records, 1)
    if signed:
        await heads.sign()
    clock.moment += later
    (check,) = await heads.checks()
    assert check.state is state


# The command line


@pytest.fixture
def umask() -> Iterator[None]:
    """The command line sets one for its whole process."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
async def test_the_checker_works_on_a_copy_elsewhere(
    records: Database, heads: SignedHeads, clock: Clock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    statements = await sign_days(records, heads, clock, 2)
    elsewhere = tmp_path / "elsewhere"
    await records.copy_to(elsewhere / "copy.db")
    for number, statement in enumerate(statements):
        (elsewhere / f"{number}.txt").write_text(to_windows(statement), encoding="utf-8-sig", newline="")
    (elsewhere / "key.pem").write_bytes(heads.public_key.pem)

    async def check(*arguments: str) -> tuple[int, str]:
        files = ["--signed", str(elsewhere / "0.txt"), str(elsewhere / "1.txt"), "--store", str(elsewhere / "copy.db")]
        place = ["--config", str(elsewhere / "none.yaml"), "--trial", str(elsewhere)]
        code = await asyncio.to_thread(command_line.main, [*place, "audit", "verify", *files, *arguments])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    key = ("--public-key", str(elsewhere / "key.pem"))
    assert (await check(*key))[0] == 0
    assert "Row 7" not in (await check(*key))[1]
    code, said = await check()
    assert (code, "--public-key" in said) == (1, True)
    shutil.copytree(tmp_path / "trust", elsewhere / "trust")  # as on the box itself
    assert (await check())[0] == 0
    rewrite(Database(elsewhere / "copy.db"), 5)
    code, said = await check(*key)
    assert code == 1
    assert "Row 7 is not the one that was signed on" in said
    (elsewhere / "1.txt").write_text(statements[1].replace("Rows: 7", "Rows: 6"), encoding="utf-8")
    code, said = await check(*key)
    assert code == 1
    assert "was changed after it was signed" in said
    (elsewhere / "1.txt").unlink()
    code, said = await check(*key)
    assert code == 1
    assert "1.txt" in said


def rewrite(records: Database, first: int) -> None:
    """As root would who knows our code: other words in row ``first``, and every hash from there on made anew."""
    connection = sqlite3.connect(records.path)
    for trigger in ("audit_no_update", "audit_no_delete", "audit_in_order"):
        connection.execute(f"DROP TRIGGER {trigger}")
    connection.execute("UPDATE audit SET subject = 'nothing' WHERE seq = ?", (first,))
    for row in connection.execute("SELECT * FROM audit WHERE seq >= ? ORDER BY seq", (first,)).fetchall():
        previous = connection.execute("SELECT hash FROM audit WHERE seq = ?", (row[0] - 1,)).fetchone()[0]
        fields = (*row[:6], previous)
        connection.execute("UPDATE audit SET previous = ?, hash = ? WHERE seq = ?", (previous, _hash(fields), row[0]))
    connection.commit()
    connection.close()


def tamper(records: Database, sql: str) -> None:
    """As root would: past our triggers, with another program."""
    connection = sqlite3.connect(records.path)
    for trigger in ("audit_no_update", "audit_no_delete", "audit_in_order"):
        connection.execute(f"DROP TRIGGER {trigger}")
    connection.executescript(sql)
    connection.close()
