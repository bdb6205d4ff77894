"""What other plugins say of a name: a child process that asks them, and what becomes of it when one does not answer.

Their code is a stranger's, so it runs neither here nor in the processes that answer. A plugin that takes too long costs
that one answer and is left out from then on; names are then judged by everything else. ``appliance/verdicts.py`` is the
child, and says what the lines are.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

FILE: Final = "verdicts.json"
ANSWER_SECONDS: Final = 0.2
LOADING_SECONDS: Final = 30.0
WAITING: Final = 500
FAILURES_UNTIL_LEFT_OUT: Final = 3
PAUSES: Final = (0.0, 0.5, 2.0, 10.0, 60.0)
NOTE_BYTES: Final = 4096


class Verdicts:
    """``tell`` hears what is wrong, in words; empty: nothing is."""

    def __init__(self, folder: Path, tell: Callable[[str], None]) -> None:
        self._file = folder / FILE
        self._tell = tell
        self._wanted = b""
        self._keeping: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._there = False
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._number = 0
        self._left_out: dict[str, str] = {}
        self._failures: Counter[str] = Counter()

    async def follow(self, mapping: Mapping[str, Any]) -> None:
        """Run the child while some policy wants verdicts, and a new one when the plugins or their settings changed."""
        wants = any(policy.get("verdicts") for policy in mapping.get("policies", {}).values())
        content = b""
        if wants:
            with suppress(OSError):
                content = await asyncio.to_thread(self._file.read_bytes)
        if content == self._wanted:
            return
        await self.close()
        self._wanted = content
        self._left_out.clear()
        self._failures.clear()
        self._say_what_is_wrong()
        if content:
            self._keeping = asyncio.create_task(self._keep(), name="verdicts of plugins")

    async def ask(self, question: bytes) -> bytes:
        """JSON with name, type and profile -> ``block: why``, ``allow``, or nothing where nobody said so in time."""
        process = self._process
        if process is None or process.stdin is None or not self._there or len(self._waiting) >= WAITING:
            return b""
        self._number += 1
        number = self._number
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            process.stdin.write(json.dumps({"id": number, **json.loads(question)}).encode() + b"\n")
            async with asyncio.timeout(ANSWER_SECONDS):
                return await answer
        except TimeoutError:
            if number == min(self._waiting):  # the one that the child is at; the others only stand behind it
                self._overrun(process)
            return b""
        except (OSError, RuntimeError):  # RuntimeError: the pipe is being closed
            return b""
        finally:
            del self._waiting[number]

    async def close(self) -> None:
        """End the child."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait({self._keeping})
            self._keeping = None

    # The child

    async def _keep(self) -> None:
        tries = 0
        while True:
            note = os.memfd_create("note")
            os.ftruncate(note, NOTE_BYTES)
            try:
                await self._run(note)
                culprit = os.pread(note, NOTE_BYTES, 0).split(b"\0", 1)[0].decode("utf-8", "replace").partition(" ")[0]
                if culprit:
                    self._leave_out(culprit, "did not come to an end")
            finally:
                os.close(note)
            await asyncio.sleep(PAUSES[min(tries, len(PAUSES) - 1)])
            tries += 1

    async def _run(self, note: int) -> None:
        """Start a child and listen to it until it ends."""
        program = sys.orig_argv[: sys.orig_argv.index("worker")]
        process = self._process = await asyncio.create_subprocess_exec(
            *program, "verdicts", "--parent", str(os.getpid()), "--file", str(self._file),
            "--note", f"/proc/self/fd/{note}", "--without", *self._left_out,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            pass_fds=(note,), start_new_session=True,
        )  # fmt: skip
        assert process.stdout is not None
        try:
            async with asyncio.timeout(LOADING_SECONDS):
                hello = json.loads(await process.stdout.readline() or b"{}")
            for plugin, why in hello.get("failed", {}).items():
                self._leave_out(plugin, why)
            self._there = True
            while line := await process.stdout.readline():
                self._take(json.loads(line))
        except (TimeoutError, ValueError, OSError):
            pass  # it is ended below, and its note says who held it up
        finally:
            self._there = False
            self._process = None
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_result(b"")

    def _take(self, said: Mapping[str, Any]) -> None:
        for plugin, why in said["failed"].items():
            self._failures[plugin] += 1
            if self._failures[plugin] >= FAILURES_UNTIL_LEFT_OUT:
                self._leave_out(plugin, why)
        answer = self._waiting.get(said["id"])
        if answer is not None and not answer.done():
            answer.set_result(f"block: {said['why']}".encode() if said["verdict"] == "block" else b"allow")

    def _overrun(self, process: asyncio.subprocess.Process) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)

    def _leave_out(self, plugin: str, why: str) -> None:
        self._left_out[plugin] = why
        self._say_what_is_wrong()

    def _say_what_is_wrong(self) -> None:
        said = (
            f"The plugin {name} is not asked about names any more: it {why}." for name, why in self._left_out.items()
        )
        self._tell(" ".join(said))
