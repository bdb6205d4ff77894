"""What child processes that run plugins' code have in common: pipes of their own, and bounds."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from appliance.sealing import wipe

MEMORY_BYTES = 1024 * 1024 * 1024
"""Code that asks for more gets an error, instead of the whole machine running out of memory."""
PIECE_BYTES = 65536
FIRST_TO_GO = "500"
"""If the machine runs out of memory all the same, the kernel ends such a process rather than the main one."""


def bound_this_process() -> None:
    """Bound its memory, and leave no core file."""
    for limit, value in ((resource.RLIMIT_DATA, MEMORY_BYTES), (resource.RLIMIT_CORE, 0)):
        _, most = resource.getrlimit(limit)
        resource.setrlimit(limit, (value if most == resource.RLIM_INFINITY else min(value, most), most))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO, encoding="ascii")


def own_pipes() -> tuple[int, int]:
    """Questions and answers on descriptors of their own; what anybody else reads or prints is nothing."""
    questions, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    os.close(nothing)
    return questions, answers


def lines_of(descriptor: int) -> Iterator[bytearray]:
    """Line by line. Each is overwritten when the next is asked for, and no buffer keeps it: what was judged must not
    wait here for hours, for whoever has root, until the next device notices something.
    """
    held = bytearray()
    while piece := os.read(descriptor, PIECE_BYTES):
        held += piece
        del piece
        while (end := held.find(b"\n")) >= 0:
            line, rest = held[: end + 1], held[end + 1 :]
            wipe(held)
            held = rest
            yield line
            wipe(line)


def say(answers: int, message: Mapping[str, Any]) -> None:
    """One line of JSON."""
    content = memoryview(json.dumps(message, separators=(",", ":")).encode() + b"\n")
    while content:
        content = content[os.write(answers, content) :]
