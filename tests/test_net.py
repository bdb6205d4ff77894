"""Addresses, ports and Unix sockets of this machine: with its own kernel, real sockets and real processes."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from appliance.errors import CannotStart
from appliance.net import (
    STREAM_LIMIT,
    UNIX_PATH_LIMIT,
    Address,
    Assigned,
    FamilyUnavailable,
    Kind,
    bind_all,
    bind_tcp,
    lan_addresses,
    local_addresses,
    open_unix,
    parse_addresses,
    peer_uid,
    port_holder,
    reachable,
    resolver_addresses,
    start_unix_server,
    unix_path,
)

# A socket that is only closed because nothing refers to it any more is a leak.
pytestmark = pytest.mark.filterwarnings("error::ResourceWarning")

NOBODY = 65534


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    """Closes at the end what a test opened."""
    with ExitStack() as stack:
        yield stack


@contextmanager
def program(code: str) -> Iterator[tuple[int, str]]:
    """Another process that runs this code until the end of the block: its number and the first line it printed."""
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.pid, process.stdout.readline().strip()
        finally:
            process.kill()


def answer_of(code: str) -> str:
    """What a process that runs this code prints; a failure fails the test."""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


HOLD = """
    import socket
    held = socket.socket({family}, {kind})
    held.bind(({address!r}, 0))
    if {kind} == socket.SOCK_STREAM:
        held.listen()
    print(held.getsockname()[1], flush=True)
    input()
"""


def hold(address: str = "127.0.0.1", kind: str = "socket.SOCK_STREAM") -> str:
    family = "socket.AF_INET6" if ":" in address else "socket.AF_INET"
    return HOLD.format(family=family, kind=kind, address=address)


# ------------------------------------------------------------------------------------------- this machine's addresses


def test_every_address_can_really_be_bound(closing: ExitStack) -> None:
    addresses = local_addresses()
    assert "127.0.0.1" in addresses
    for address in addresses:
        if not ipaddress.ip_address(address).is_link_local:  # those need the interface too
            closing.enter_context(bind_tcp(address, 0))


def test_ipv4_comes_first_and_nothing_twice() -> None:
    versions = [ipaddress.ip_address(address).version for address in local_addresses()]
    assert versions == sorted(versions)
    assert len(set(local_addresses())) == len(local_addresses())


def test_ipv6_addresses_agree_with_the_other_place_where_the_kernel_lists_them() -> None:
    table = Path("/proc/self/net/if_inet6")
    listed = table.read_text().splitlines() if table.exists() else []
    assert {address for address in local_addresses() if ":" in address} == {
        str(ipaddress.IPv6Address(bytes.fromhex(line.split()[0]))) for line in listed
    }


def test_lan_addresses_are_those_that_others_can_reach() -> None:
    left_out = [ipaddress.ip_address(text) for text in local_addresses() if text not in lan_addresses()]
    assert set(lan_addresses()) <= set(local_addresses())
    assert "127.0.0.1" not in lan_addresses()
    assert all(address.is_loopback or address.version == 6 for address in left_out)


@pytest.mark.parametrize(
    ("address", "temporary", "expected"),
    [
        ("192.168.1.2", False, True),
        ("169.254.3.4", False, True),
        ("127.0.0.1", False, False),
        ("fd00::5", False, True),
        ("2001:db8::5", True, False),
        ("fe80::5", False, False),
        ("::1", False, False),
    ],
)
def test_which_addresses_others_can_reach(address: str, temporary: bool, expected: bool) -> None:
    assert reachable(Assigned(ipaddress.ip_address(address), temporary)) is expected


def attribute(kind: int, content: bytes) -> bytes:
    padding = b"\0" * (-len(content) % 4)
    return struct.pack("=HH", 4 + len(content), kind) + content + padding


def message(kind: int, body: bytes) -> bytes:
    padding = b"\0" * (-len(body) % 4)
    return struct.pack("=IHHII", 16 + len(body), kind, 2, 1, 0) + body + padding


def address_message(*attributes: bytes, family: int = socket.AF_INET, flags: int = 0) -> bytes:
    return message(20, struct.pack("=BBBBI", family, 24, flags, 0, 2) + b"".join(attributes))


def packed(text: str) -> bytes:
    return ipaddress.ip_address(text).packed


def test_an_answer_of_the_kernel_is_read_with_secondary_addresses_and_links_between_two_points() -> None:
    first = address_message(attribute(1, packed("10.0.0.1")), attribute(2, packed("10.0.0.1")), attribute(3, b"eth0\0"))
    second = address_message(attribute(1, packed("10.0.0.9")), attribute(2, packed("10.0.0.9")), flags=1)
    tunnel = address_message(attribute(1, packed("10.8.0.2")), attribute(2, packed("10.8.0.1")))
    six = address_message(attribute(1, packed("fd00::5")), family=socket.AF_INET6)
    taken = address_message(attribute(1, packed("fd00::6")), family=socket.AF_INET6, flags=0x08)
    unknown = address_message(attribute(1, b"\1\2\3\4"), family=7)
    brief = address_message(attribute(1, packed("fd00::7")), family=socket.AF_INET6, flags=0x01)
    found, last = parse_addresses(first + second + tunnel + six + brief + taken + unknown)
    assert [(str(assigned.address), assigned.temporary) for assigned in found] == [
        *(("10.0.0.1", False), ("10.0.0.9", False), ("10.8.0.1", False)),
        *(("fd00::5", False), ("fd00::7", True)),
    ]
    assert not last
    found, last = parse_addresses(first + message(3, b"\0\0\0\0") + second)
    assert [str(assigned.address) for assigned in found] == ["10.0.0.1"]
    assert last


def test_a_refusal_of_the_kernel_is_an_error() -> None:
    with pytest.raises(PermissionError):
        parse_addresses(message(2, struct.pack("=i", -errno.EPERM) + b"\0" * 16))


@given(st.binary(max_size=200), st.integers(0, 120))
@example(b"\0" * 40, 0)
def test_nonsense_from_the_kernel_is_survived(noise: bytes, cut: int) -> None:
    whole = address_message(attribute(1, packed("10.0.0.1"))) * 2
    for datagram in (noise, whole[:cut] + noise, message(20, noise)):
        try:
            found, _ = parse_addresses(datagram)
        except OSError:
            continue
        assert all(isinstance(assigned.address, Address) for assigned in found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nameserver 192.168.1.1\nnameserver fd00::1\n", ["192.168.1.1", "fd00::1"]),
        ("# nameserver 9.9.9.9\n;nameserver 9.9.9.9\nsearch internal\noptions edns0\n", []),
        ("nameserver\t10.0.0.1   # the router\nnameserver 10.0.0.1\n", ["10.0.0.1"]),
        ("nameserver fe80::1%eth0\nnameserver dns.example\nnameserver\n\n", ["fe80::1%eth0"]),
        ("nameserver 127.0.0.53\n\xff\xfe\n", ["127.0.0.53"]),
        ("", []),
    ],
)
def test_the_resolvers_that_the_machine_asks(tmp_path: Path, text: str, expected: list[str]) -> None:
    path = tmp_path / "resolv.conf"
    path.write_bytes(text.encode("latin-1"))
    assert resolver_addresses(path) == expected


def test_without_a_resolver_file_there_are_no_resolvers(tmp_path: Path) -> None:
    assert resolver_addresses(tmp_path / "none") == []


# ------------------------------------------------------------------------------------------------- who holds a port


@pytest.mark.parametrize(
    ("kind", "socket_kind"), [("tcp", "socket.SOCK_STREAM"), ("udp", "socket.SOCK_DGRAM")], ids=["tcp", "udp"]
)
@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_the_holder_of_a_port_is_named(kind: Kind, socket_kind: str, address: str) -> None:
    with program(hold(address, socket_kind)) as (number, port):
        name = Path(f"/proc/{number}/comm").read_text().strip()
        assert port_holder(kind, int(port)) == f"{name} (process {number})"


def test_nobody_holds_a_port_that_is_free(closing: ExitStack) -> None:
    listener = closing.enter_context(bind_tcp("127.0.0.1", 0))
    port = listener.getsockname()[1]
    assert port_holder("udp", port, "127.0.0.1") is None
    listener.close()
    assert port_holder("tcp", port) is None


def test_a_connection_is_no_holder(closing: ExitStack) -> None:
    listener = closing.enter_context(bind_tcp("127.0.0.1", 0))
    visitor = closing.enter_context(socket.create_connection(listener.getsockname()))
    assert port_holder("tcp", visitor.getsockname()[1]) is None


def test_all_holders_are_named_or_those_that_stand_in_the_way() -> None:
    with program(hold("127.0.0.1")) as (first, port):
        other = f"""
            import socket
            held = socket.create_server(("127.0.0.2", {port}))
            print(flush=True)
            input()
        """
        with program(other) as (second, _):
            everybody = port_holder("tcp", int(port)) or ""
            assert f"(process {first})" in everybody
            assert f"(process {second})" in everybody
            assert " and " in everybody
            in_the_way = port_holder("tcp", int(port), "127.0.0.2") or ""
            assert f"(process {second})" in in_the_way
            assert f"(process {first})" not in in_the_way
            assert port_holder("tcp", int(port), "0.0.0.0") == everybody
            assert port_holder("tcp", int(port), "127.0.0.3") is None
            assert port_holder("tcp", int(port), "::1") is None


def test_a_program_that_we_may_not_look_into_is_still_spoken_of() -> None:
    """Holder: its files cannot be seen by others of its own account. Looker: not root."""
    hidden = "import ctypes\nctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE\n" + textwrap.dedent(hold())
    with program(hidden) as (_, port):
        look = f"""
            import os
            from appliance.net import port_holder
            if os.geteuid() == 0:
                os.setuid({NOBODY})
            print(port_holder("tcp", {port}))
        """
        root = os.geteuid() == 0
        assert answer_of(look) == ("another user's program" if root else "a program that cannot be seen from here")


# ------------------------------------------------------------------------------------------------- listening by TCP


@pytest.mark.parametrize(("address", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_a_socket_that_listens(closing: ExitStack, address: str, family: int) -> None:
    listener = closing.enter_context(bind_tcp(address, 0))
    assert listener.family == family
    assert not listener.getblocking()
    assert not listener.get_inheritable()
    visitor = closing.enter_context(socket.create_connection(listener.getsockname()[:2]))
    accepted, _ = listener.accept()
    closing.enter_context(accepted)
    visitor.sendall(b"hello")
    assert accepted.recv(5) == b"hello"


def test_a_port_can_be_taken_again_at_once_after_a_restart(closing: ExitStack) -> None:
    listener = bind_tcp("127.0.0.1", 0)
    port = listener.getsockname()[1]
    visitor = closing.enter_context(socket.create_connection(("127.0.0.1", port)))
    accepted, _ = listener.accept()
    accepted.close()  # we close first, so that our side waits in TIME_WAIT
    listener.close()
    assert visitor.recv(1) == b""
    closing.enter_context(bind_tcp("127.0.0.1", port))


@pytest.mark.parametrize("wanted", ["127.0.0.1", "0.0.0.0"])
def test_a_held_port_names_its_holder_and_what_to_do(wanted: str) -> None:
    todo = "Stop it, or set another port with web.port in /etc/appliance/appliance.yaml."
    with program(hold()) as (number, port):
        with pytest.raises(CannotStart) as refusal:
            bind_tcp(wanted, int(port), todo)
        name = Path(f"/proc/{number}/comm").read_text().strip()
        assert str(refusal.value) == f"Port {port} is held by {name} (process {number}). {todo}"


def test_an_address_of_another_machine_is_explained() -> None:
    with pytest.raises(CannotStart, match=r"198\.51\.100\.7 is not an address of this machine") as refusal:
        bind_tcp("198.51.100.7", 0)
    assert "127.0.0.1" in refusal.value.todo
    assert not isinstance(refusal.value, FamilyUnavailable)


def test_a_port_that_needs_a_right_is_explained_to_who_does_not_have_it() -> None:
    first_free = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    port = max(first_free - 1, 1)
    answer = answer_of(f"""
        import os
        from appliance.errors import CannotStart
        from appliance.net import bind_tcp
        if os.geteuid() == 0:
            os.setuid({NOBODY})
        try:
            bind_tcp("127.0.0.1", {port}, "Stop it.")
        except CannotStart as refusal:
            print(refusal)
        else:
            print("listens")
    """)
    expected = (
        "listens"  # some containers free all ports
        if first_free <= 1
        else f"This program does not have the right to listen at port {port}. "
        f"Start it with the capability CAP_NET_BIND_SERVICE, or set a port from {first_free} up."
    )
    assert answer == expected


def test_all_addresses_are_bound_ipv4_and_ipv6_side_by_side(closing: ExitStack) -> None:
    port = closing.enter_context(bind_tcp("0.0.0.0", 0)).getsockname()[1]
    (six,) = bind_all(["::"], port)  # with IPV6_V6ONLY the two do not touch
    closing.enter_context(six)
    visitor = closing.enter_context(socket.create_connection(("::1", port)))
    accepted, (peer, *_) = six.accept()
    closing.enter_context(accepted)
    assert peer == "::1"
    assert visitor.getpeername()[0] == "::1"


def test_one_held_port_leaves_no_other_socket_open(closing: ExitStack) -> None:
    held = closing.enter_context(bind_tcp("127.0.0.2", 0))
    port = held.getsockname()[1]
    with pytest.raises(CannotStart, match=f"Port {port} is held by"):
        bind_all(["127.0.0.1", "127.0.0.2"], port)
    closing.enter_context(bind_tcp("127.0.0.1", port))


def test_no_address_at_all_is_a_mistake() -> None:
    with pytest.raises(CannotStart, match="No address"):
        bind_all([], 0)


# A machine without IPv6 refuses its sockets with EAFNOSUPPORT. So does a seccomp filter, which is also what systemd's
# RestrictAddressFamilies= sets: load the architecture's number of socket(2), then the family, and refuse family 10.
WITHOUT_IPV6 = """
    import ctypes, errno, platform, struct
    number = {"x86_64": 41, "aarch64": 198, "riscv64": 198}[platform.machine()]
    steps = [
        (0x20, 0, 0, 0),                        # load the number of the system call
        (0x15, 0, 3, number),                   # not socket(2): allow
        (0x20, 0, 0, 16),                       # load its first argument
        (0x15, 0, 1, 10),                       # not AF_INET6: allow
        (0x06, 0, 0, 0x00050000 | errno.EAFNOSUPPORT),
        (0x06, 0, 0, 0x7FFF0000),
    ]
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    class Filter(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_void_p)]
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0      # PR_SET_NO_NEW_PRIVS
    filter_ = Filter(len(steps), ctypes.cast(program, ctypes.c_void_p))
    assert libc.prctl(22, 2, ctypes.byref(filter_), 0, 0) == 0, ctypes.get_errno()  # PR_SET_SECCOMP
"""


def test_a_machine_without_ipv6_listens_with_ipv4_alone() -> None:
    answer = answer_of(
        textwrap.dedent(WITHOUT_IPV6)
        + textwrap.dedent("""
            from appliance.net import FamilyUnavailable, bind_all
            print(*(listener.getsockname()[0] for listener in bind_all(["0.0.0.0", "::"], 0)))
            try:
                bind_all(["::"], 0, "Set web.listen.")
            except FamilyUnavailable as refusal:
                print(refusal)
        """)
    )
    assert answer.splitlines() == [
        "0.0.0.0",
        "This machine has no addresses like ::: IPv6 or IPv4 is switched off. Set web.listen.",
    ]


# ----------------------------------------------------------------------------------------------------- Unix sockets


def short(folder: Path) -> Path:
    return folder / "s"


def exact(folder: Path) -> Path:
    middle = folder / ("f" * 40)
    return middle / ("e" * (UNIX_PATH_LIMIT - len(os.fsencode(middle)) - 1))


def one_more(folder: Path) -> Path:
    return exact(folder).with_name(exact(folder).name + "m")


def deep(folder: Path) -> Path:
    return folder / ("d" * 150) / ("é" * 100) / "main.sock"


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write((await reader.readline()).upper())
    await writer.drain()
    await hang_up(writer)


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    await writer.wait_closed()


async def ask(path: Path, line: bytes, limit: int = STREAM_LIMIT) -> bytes:
    """Connect, say one line, and read until the other end hangs up."""
    reader, writer = await open_unix(path, limit)
    writer.write(line)
    answer = await reader.read()
    await hang_up(writer)
    return answer


@pytest.fixture
def shallow() -> Iterator[Path]:
    """A folder whose path is short, unlike pytest's own."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        yield Path(name)


@pytest.mark.parametrize("place", [short, exact, one_more, deep])
async def test_streams_work_at_paths_of_any_length(shallow: Path, place: Callable[[Path], Path]) -> None:
    path = place(shallow)
    path.parent.mkdir(parents=True, exist_ok=True)
    async with await start_unix_server(shout, path):
        assert await ask(path, b"hello\n") == b"HELLO\n"
    assert path.is_socket()


def test_a_short_path_is_used_as_it_is_and_a_long_one_is_shortened(shallow: Path) -> None:
    with unix_path(exact(shallow)) as text:
        assert text == str(exact(shallow))
        assert len(text) == UNIX_PATH_LIMIT
    one_more(shallow).parent.mkdir()
    with unix_path(one_more(shallow)) as text:
        assert text.startswith("/proc/self/fd/")
        Path(text).touch()
    assert one_more(shallow).exists()
    assert not Path(text).exists()


def test_a_name_that_is_too_long_by_itself_is_an_error(shallow: Path) -> None:
    with pytest.raises(OSError, match="too long"), unix_path(shallow / ("n" * 200)):
        pass


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
@pytest.mark.parametrize("mode", [0o600, 0o660])
async def test_the_file_has_exactly_the_mode_that_was_asked_for(tmp_path: Path, umask: int, mode: int) -> None:
    path = tmp_path / "box.sock"
    before = os.umask(umask)
    try:
        server = await start_unix_server(shout, path, mode)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    server.close()
    await server.wait_closed()


async def test_a_socket_file_that_was_left_behind_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "box.sock"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    async with await start_unix_server(shout, path):
        assert await ask(path, b"hello\n") == b"HELLO\n"


async def test_a_socket_that_somebody_listens_at_is_not_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "box.sock"
    async with await start_unix_server(shout, path):
        with pytest.raises(CannotStart, match="Another program listens"):
            await start_unix_server(shout, path)
        assert await ask(path, b"still here\n") == b"STILL HERE\n"


async def test_a_socket_whose_queue_is_full_is_not_taken_away_either(tmp_path: Path, closing: ExitStack) -> None:
    path = tmp_path / "box.sock"
    busy = closing.enter_context(socket.socket(socket.AF_UNIX))
    busy.bind(str(path))
    busy.listen(0)
    closing.enter_context(socket.socket(socket.AF_UNIX)).connect(str(path))
    with pytest.raises(CannotStart, match="Another program listens"):
        await start_unix_server(shout, path)
    with pytest.raises(BlockingIOError):
        await open_unix(path)


async def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    with pytest.raises(CannotStart, match="in the way"):
        await start_unix_server(shout, path)
    assert path.read_text() == "mine"


@pytest.mark.parametrize("place", [short, deep])
async def test_a_missing_folder_is_explained(tmp_path: Path, place: Callable[[Path], Path]) -> None:
    path = place(tmp_path / "none")
    with pytest.raises(CannotStart, match="No such file") as refusal:
        await start_unix_server(shout, path)
    assert str(path) in str(refusal.value)


async def test_connecting_to_nobody_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await open_unix(tmp_path / "none")
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "left"))
    left.close()
    with pytest.raises(ConnectionRefusedError):
        await open_unix(tmp_path / "left")


async def test_lines_may_be_as_long_as_the_limit_says(tmp_path: Path) -> None:
    path = tmp_path / "box.sock"
    line = b"x" * 200_000 + b"\n"
    async with await start_unix_server(shout, path, limit=len(line) + 1):
        assert await ask(path, line, limit=len(line) + 1) == line.upper()


async def test_the_kernel_says_who_is_at_the_other_end(tmp_path: Path) -> None:
    path = tmp_path / "box.sock"
    seen: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def note(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.set_result(peer_uid(writer))
        await hang_up(writer)

    async with await start_unix_server(note, path):
        reader, writer = await open_unix(path)
        assert peer_uid(writer) == os.geteuid()
        assert await reader.read() == b""
        await hang_up(writer)
    assert await seen == os.geteuid()


async def test_no_file_descriptor_is_left_open_by_failures(tmp_path: Path) -> None:
    def count() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = count()
    for path in (tmp_path / "none" / "s", deep(tmp_path), tmp_path / ("n" * 200), tmp_path):
        with pytest.raises(CannotStart):
            await start_unix_server(shout, path)
        with pytest.raises(OSError, match=r"\[Errno"):
            await open_unix(path)
    with pytest.raises(CannotStart):
        bind_tcp("198.51.100.7", 0)
    assert count() == before
