"""The supervisor protocol, over real sockets and, where the sender's pid matters, from a real child process."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from appliance.notify import Message, NotifySocket, _sender, notify, watchdog_seconds

GUARD_SECONDS = 20


async def test_messages_arrive_with_the_pid_of_the_child_that_sent_them() -> None:
    async with NotifySocket() as supervisor:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            "from appliance.notify import notify; assert notify('READY=1', 'STATUS=Serving.')",
            env={**os.environ, "NOTIFY_SOCKET": supervisor.address},
        )
        message = await asyncio.wait_for(supervisor.receive(), GUARD_SECONDS)
        assert await child.wait() == 0
    assert message == Message(child.pid, {"READY": "1", "STATUS": "Serving."})


async def test_a_full_queue_holds_senders_back_and_loses_nothing_that_was_sent() -> None:
    async with NotifySocket(limit=2) as supervisor:
        environ = {"NOTIFY_SOCKET": supervisor.address}
        loop = asyncio.get_running_loop()
        sending = [loop.run_in_executor(None, partial(notify, f"N={n}", environ=environ)) for n in range(8)]
        received = [(await asyncio.wait_for(supervisor.receive(), GUARD_SECONDS)).values["N"] for _ in range(8)]
        assert await asyncio.gather(*sending) == [True] * 8
    assert sorted(received) == [str(n) for n in range(8)]


async def test_malformed_and_oversized_messages_do_no_harm() -> None:
    async with NotifySocket() as supervisor:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.connect("\0" + supervisor.address[1:])
            sender.send(b"X=" + b"x" * 5000)
            sender.send(b"\xff\xfe\n=nothing\nno equals sign\nA=b=c\n\nB=")
        message = await asyncio.wait_for(supervisor.receive(), GUARD_SECONDS)
    assert message.values == {"A": "b=c", "B": ""}


async def test_a_file_sent_along_is_closed_at_once() -> None:
    """As systemd-notify does to learn that its messages have been read (BARRIER=1)."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    async with NotifySocket() as supervisor:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.connect("\0" + supervisor.address[1:])
            socket.send_fds(sender, [b"BARRIER=1"], [writing])
        os.close(writing)
        await asyncio.wait_for(supervisor.receive(), GUARD_SECONDS)
        assert os.read(reading, 1) == b""  # the end of the file: no copy of the other end is open any more
    os.close(reading)


@pytest.mark.parametrize(
    ("uid", "pid"),
    [
        pytest.param(os.getuid, 77, id="our own user"),
        pytest.param(lambda: 0, 77, id="root"),
        pytest.param(lambda: os.getuid() + 4000, None, id="somebody else on the machine"),
    ],
)
def test_only_our_own_user_and_root_are_believed(uid: Callable[[], int], pid: int | None) -> None:
    credentials = struct.pack("3i", 77, uid(), 100)
    assert _sender([(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, credentials)]) == pid


def test_a_message_without_credentials_is_from_nobody() -> None:
    assert _sender([]) is None


def test_a_socket_at_a_path_is_told_as_systemd_expects_it(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(tmp_path / "notify"))
        supervisor.settimeout(GUARD_SECONDS)
        sent = notify("READY=1", "STATUS=two\nlines", environ={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert sent
        assert supervisor.recv(4096) == b"READY=1\nSTATUS=two lines"


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({}, id="nobody supervises"),
        pytest.param({"NOTIFY_SOCKET": ""}, id="empty"),
        pytest.param({"NOTIFY_SOCKET": "vsock:2:1234"}, id="another kind of address"),
        pytest.param({"NOTIFY_SOCKET": "/nowhere/notify"}, id="the supervisor has gone"),
        pytest.param({"NOTIFY_SOCKET": "@appliance-test-nobody-listens"}, id="nobody listens"),
        pytest.param({"NOTIFY_SOCKET": "/" + "x" * 200}, id="longer than a socket's address can be"),
    ],
)
def test_where_nobody_can_be_told_nothing_happens(environ: dict[str, str]) -> None:
    assert notify("READY=1", environ=environ) is False


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "10000000"}, 10.0),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": str(os.getpid() + 1)}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": ""}, None),
    ],
)
def test_the_time_the_watchdog_gives(environ: dict[str, str], seconds: float | None) -> None:
    assert watchdog_seconds(environ) == seconds
