"""Trying a plugin in a child process before it is let in: import it, make it, ask its ``register_*`` hooks.

The child inherits nothing but the settings. If it fails, crashes, spins or hangs, only the child is lost.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from appliance import memory
from appliance.config import ConfigError
from appliance.errors import ApplianceError


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why the child did not get through: in words, and the trace."""

    reason: str
    trace: str = ""
    only_settings: bool = False
    """The plugin itself is well; its section of the settings file is not."""


def _environment() -> dict[str, str]:
    """Ours without what makes memory forget: a probe opens nothing, and is a good deal faster so. Nor does it call
    anybody, so it need not read which authorities to trust, which takes a tenth of its time.
    """
    ours = {name: value for name, value in os.environ.items() if name not in memory.ENVIRONMENT}
    return {**ours, "SSL_CERT_FILE": os.devnull}


async def probe(name: str, arguments: Sequence[str], seconds: float) -> Trouble | None:
    """Run ``appliance probe NAME`` with the same settings. ``None`` when the plugin may be let in."""
    read_end, write_end = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "appliance", *arguments, "probe", name, "--report", str(write_end),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            pass_fds=(write_end,), start_new_session=True, env=_environment(),
        )  # fmt: skip
    finally:
        os.close(write_end)
    reading = asyncio.ensure_future(asyncio.to_thread(_read_all, read_end))
    try:
        async with asyncio.timeout(seconds):
            code = await process.wait()
            report = await reading
    except TimeoutError:
        return Trouble(f"did not finish being loaded within {seconds:g} seconds")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(asyncio.CancelledError):
            await asyncio.shield(reading)
    return _judge(code, report)


def _judge(code: int, report: bytes) -> Trouble | None:
    if not report:
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return Trouble(f"the process in which it was tried {how}")
    answer = json.loads(report)
    if answer["good"]:
        return None
    return Trouble(answer["reason"], answer["trace"], answer["only_settings"])


def _read_all(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as pipe:
        return pipe.read()


def report(descriptor: int, error: BaseException | None, trace: str = "") -> None:
    """The child's answer: well, or what went wrong."""
    reason = ""
    if error is not None:
        known = isinstance(error, ApplianceError)
        reason = str(error) if known else f"failed when it was tried: {type(error).__name__}: {error}"
        trace = str(getattr(error, "trace", "")) if known else trace
    only_settings = isinstance(error, ConfigError)
    answer = {"good": error is None, "reason": reason, "trace": trace[-8000:], "only_settings": only_settings}
    with os.fdopen(descriptor, "w", encoding="utf-8") as pipe:
        json.dump(answer, pipe)
