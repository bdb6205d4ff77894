"""How a service tells its supervisor how it is doing: the protocol of sd_notify(3), both sides.

A service sends datagrams of ``NAME=value`` lines to the Unix socket that ``NOTIFY_SOCKET`` names. On an installed box
systemd receives them; in the trial the supervisor does, through ``NotifySocket``.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

SEND_SECONDS = 1.0
"""A supervisor that does not read must not hold its service for longer."""
MESSAGE_BYTES = 4096
QUEUE_LIMIT = 1000
_CREDENTIALS = struct.Struct("3i")  # struct ucred of unix(7): pid, uid, gid


def notify(*assignments: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Send ``READY=1``, ``WATCHDOG=1``, ``STATUS=Serving.``, ``STOPPING=1``... to the supervisor.

    Returns whether it was sent: ``False`` where nobody supervises (``NOTIFY_SOCKET`` unset) and where the supervisor
    cannot be reached, which is no reason for a service to stop. A line break in a value becomes a space, because it
    would start another assignment.
    """
    address = environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return False
    if address.startswith("@"):  # the name of an abstract socket, written so that it fits into the environment
        address = "\0" + address[1:]
    message = "\n".join(" ".join(assignment.splitlines()) for assignment in assignments)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(SEND_SECONDS)
            sender.sendto(message.encode(), address)
    except OSError:
        return False
    return True


def watchdog_seconds(environ: Mapping[str, str] = os.environ) -> float | None:
    """Within how many seconds the supervisor expects each ``WATCHDOG=1``; send it at half of that.

    ``None`` when this process is not watched: ``WATCHDOG_USEC`` (microseconds) is not set, or is meant for the process
    that ``WATCHDOG_PID`` names.
    """
    microseconds = environ.get("WATCHDOG_USEC", "")
    if not microseconds.isdecimal() or int(microseconds) == 0:
        return None
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(microseconds) / 1_000_000


@dataclass(frozen=True, slots=True)
class Message:
    """What one datagram said, and the process that the kernel says it came from."""

    pid: int
    values: Mapping[str, str]


class NotifySocket:
    """The supervisor's side: receives what supervised processes say, each attributed to its sender.

    The socket has an abstract name chosen by the kernel, so it leaves no file behind and knows no limit on the length
    of paths. Anybody on the machine could send to such a name: messages from other users than this process's own and
    root are dropped. Once ``limit`` messages wait to be received, senders wait too.

    Use as an async context manager in the supervisor's loop; give ``address`` to children as ``NOTIFY_SOCKET``.
    """

    def __init__(self, limit: int = QUEUE_LIMIT) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind("")  # unix(7), autobind
        name: bytes = self._socket.getsockname()
        self.address = "@" + name[1:].decode("ascii")
        self._messages: asyncio.Queue[Message] = asyncio.Queue(limit)

    async def __aenter__(self) -> Self:
        self._resume()
        return self

    async def __aexit__(self, *error: object) -> None:
        self._pause()
        self._socket.close()

    async def receive(self) -> Message:
        """The next message; waits for it."""
        message = await self._messages.get()
        self._resume()
        return message

    def _resume(self) -> None:
        asyncio.get_running_loop().add_reader(self._socket, self._readable)

    def _pause(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)

    def _readable(self) -> None:
        """Take one datagram out of the kernel's queue; leave the rest there, where senders wait, while ours is full."""
        if self._messages.full():
            self._pause()
            return
        # Room for the credentials alone: files that a sender attaches (FDSTORE, BARRIER) are closed by the kernel.
        data, ancillary, flags, _ = self._socket.recvmsg(MESSAGE_BYTES, socket.CMSG_SPACE(_CREDENTIALS.size))
        sender = _sender(ancillary)
        if sender is not None and not flags & socket.MSG_TRUNC:
            self._messages.put_nowait(Message(sender, _parse(data)))


def _sender(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    """The pid of a sender who may speak to us: this user or root."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            pid, uid, _ = _CREDENTIALS.unpack(data[: _CREDENTIALS.size])
            return pid if uid in (0, os.getuid()) else None
    return None


def _parse(data: bytes) -> dict[str, str]:
    """``NAME=value`` lines; lines of another form say nothing (sd_notify(3) lets senders add their own)."""
    pairs = (line.partition("=") for line in data.decode("utf-8", "replace").split("\n"))
    return {name: value for name, equals, value in pairs if name and equals}
