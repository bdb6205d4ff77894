"""Commands about what is kept: the record of who did what, events that were not delivered."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path

from appliance.audit import Noted, Verdict, verify
from appliance.bus import parked
from appliance.command_socket import ask
from appliance.commands.asking import core_settings, tell
from appliance.config import Place
from appliance.db import Database
from appliance.errors import ApplianceError
from appliance.signed_heads import read_statement
from appliance.signing import PublicKey


def verify_audit(options: argparse.Namespace, place: Place) -> int:
    """Walk the whole record."""
    state_dir = core_settings(place).storage.state_dir
    noted = [Noted(options.noted)] if options.noted else []
    if options.signed:
        key = _public_key(options.public_key, state_dir / "trust")
        noted += [read_statement(_read(path).decode("utf-8-sig", "replace"), key).noted for path in options.signed]
    verdict = asyncio.run(_verify(options.store or state_dir / "records.db", noted))
    print(f"{verdict.words}\nHead: {verdict.head}")
    return 0 if verdict.good else 1


async def _verify(store: Path, noted: Sequence[Noted]) -> Verdict:
    records = Database(store, read_only=True)
    await records.open()
    try:
        return await verify(records, noted)
    finally:
        await records.close()


def _public_key(path: Path | None, trust_dir: Path) -> PublicKey:
    key = PublicKey.of_pem(_read(path)) if path is not None else PublicKey.of_box(trust_dir)
    if key is None:
        raise ApplianceError(
            "This machine has no key of its own to check signed heads with.",
            "Give the public key that the audit page offers with --public-key FILE.",
        )
    return key


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ApplianceError(f"{path} cannot be read: {error.strerror or error}.") from error


def list_parked(_options: argparse.Namespace, place: Place) -> int:
    """Events that a listener never took."""
    return asyncio.run(_list_parked(place))


async def _list_parked(place: Place) -> int:
    records = Database(core_settings(place).storage.state_dir / "records.db", read_only=True)
    await records.open()
    try:
        rows = await parked(records)
    finally:
        await records.close()
    for row in rows:
        print(f"{row['owner']}  {row['event_id']}  {row['type']}  {row['tries']} tries  {row['error']}")
    print(f"{len(rows)} parked.")
    return 0


def retry(options: argparse.Namespace, place: Place) -> int:
    """Deliver a parked event again."""
    run_dir = core_settings(place).storage.run_dir
    return tell(asyncio.run(ask(run_dir, "events retry", owner=options.owner, event=options.event)))
