"""How the command line talks to the running appliance: one line of JSON each way over a Unix socket (mode 0600).

{"command": "plugin reset", "name": "dns_filter"}   ->   {"good": true, "words": "..."}
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from appliance.config import ConfigError
from appliance.errors import ApplianceError
from appliance.net import open_unix, peer_uid, start_unix_server

SOCKET = "control.sock"
READ_SECONDS = 10.0
ANSWER_SECONDS = 120.0
LONGEST_LINE = 2**24
"""Bytes of a command or an answer: whoever tries the test bench with sentences of their own sends them along."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the appliance answered: whether it did what was asked, and the words to print."""

    good: bool
    words: str


Command = Callable[[str, Mapping[str, Any]], Awaitable[Reply]]
"""``command(actor, request)``."""


async def serve_commands(run_dir: Path, commands: Mapping[str, Command]) -> asyncio.Server:
    """Answer commands until the server is closed. Whoever may open the socket is named in the record by account."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reply = await _answer(reader, f"the command line (account {peer_uid(writer)})", commands)
        with suppress(ConnectionError):
            writer.write(json.dumps(asdict(reply)).encode() + b"\n")
            await writer.drain()
        writer.close()

    return await start_unix_server(serve, run_dir / SOCKET, mode=0o600, limit=LONGEST_LINE)


async def _answer(reader: asyncio.StreamReader, actor: str, commands: Mapping[str, Command]) -> Reply:
    try:
        request = json.loads(await asyncio.wait_for(reader.readline(), READ_SECONDS))
        command = commands.get(request["command"])
        if command is None:
            return Reply(False, f"The appliance that runs knows no command {request['command']!r}.")
        return await command(actor, request)
    except ConfigError as error:
        return Reply(False, "\n".join(map(str, error.mistakes)))
    except ApplianceError as error:
        return Reply(False, str(error))
    except (OSError, sqlite3.Error) as error:
        return Reply(False, f"It failed: {error}.")
    except (ValueError, KeyError, TypeError) as error:
        return Reply(False, f"That was no command: {error!r}.")


async def ask(run_dir: Path, command: str, **details: Any) -> Reply | None:
    """Send a command to the appliance that runs; ``None`` if none does."""
    try:
        reader, writer = await open_unix(run_dir / SOCKET, LONGEST_LINE)
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    try:
        writer.write(json.dumps({"command": command, **details}).encode() + b"\n")
        await writer.drain()
        line = await asyncio.wait_for(reader.readline(), ANSWER_SECONDS)
    except TimeoutError:
        return Reply(False, f"The appliance did not answer within {ANSWER_SECONDS:g} seconds.")
    finally:
        writer.close()
    return Reply(**json.loads(line)) if line else Reply(False, "The appliance stopped before it had answered.")
