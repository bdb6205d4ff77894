"""Starts the process that compiles lists, and listens to it. It imports nothing of the appliance: see ``compiling``."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from .copies import ListUnreadable

# The package is entered without its __init__, which would load the whole appliance.
_START = """
import sys, types
package = types.ModuleType("dns_filter")
package.__path__ = [sys.argv[1]]
sys.modules["dns_filter"] = package
from dns_filter.lists.compiling import main
main()
"""
_LONGEST_LINE = 64 * 1024 * 1024
_GONE = "Try again with “Look again”. If it happens again, look at the memory and the disk of the box."


async def run(task: Mapping[str, Any], progress: Callable[[int, int], None]) -> dict[str, Any]:
    """Do a task of ``compiling`` in a process of its own. ``progress`` hears octets and names so far.

    Raises ``ListUnreadable`` with the words of the process, or if it ended without any.
    """
    folder = Path(__file__).parent.parent
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-c", _START, str(folder),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        limit=_LONGEST_LINE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        with suppress(ConnectionError):  # it ended at once; what it said tells why
            process.stdin.write(json.dumps(task).encode("utf-8"))
            process.stdin.close()
        async for line in process.stdout:
            said = json.loads(line)
            if "done" in said:
                done: dict[str, Any] = said["done"]
                return done
            if "failed" in said:
                raise ListUnreadable(said["failed"], "Check the list and its format.")
            progress(said["octets"], said["names"])
        raise ListUnreadable("The process that reads lists ended before it was done.", _GONE)
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        await process.wait()
