"""What this machine is on its network, who holds a port, and sockets that say in words why they cannot be opened.

Linux only: addresses come from the kernel by rtnetlink, holders of ports from ``/proc``. Nothing here is sent to the
network.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import socket
import stat
import struct
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from appliance.errors import CannotStart

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Kind = Literal["tcp", "udp"]
UnixHandler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

BACKLOG = 1024
STREAM_LIMIT = 2**16
"""The longest line that a stream reads, in bytes: asyncio's own default."""
UNIX_PATH_LIMIT = 107
"""Bytes of a path that fit into an address of a Unix socket before its closing zero, unix(7)."""

_PROC = Path("/proc")


# ------------------------------------------------------------------------------------------- this machine's addresses


@dataclass(frozen=True, slots=True)
class Assigned:
    """An address that the kernel has. ``temporary``: an IPv6 address for going out, changed daily (RFC 8981)."""

    address: Address
    temporary: bool = False


def local_addresses() -> list[str]:
    """Every address of this machine, loopback and link-local too: IPv4 first, then IPv6, in the kernel's order."""
    return _in_order(_kernel_addresses())


def bracketed(address: str) -> str:
    """An address as it stands in a URL (RFC 3986 section 3.2.2)."""
    return f"[{address}]" if ":" in address else address


def lan_addresses() -> list[str]:
    """The addresses at which others reach this machine, IPv4 first: no loopback, no IPv6 link-local or temporary."""
    return _in_order(assigned for assigned in _kernel_addresses() if reachable(assigned))


def _in_order(found: Iterable[Assigned]) -> list[str]:
    addresses = sorted((assigned.address for assigned in found), key=lambda address: address.version)
    return list(dict.fromkeys(map(str, addresses)))


def reachable(assigned: Assigned) -> bool:
    """Whether others can be told this address and find this machine there tomorrow too."""
    address = assigned.address
    return not (address.is_loopback or assigned.temporary or (address.version == 6 and address.is_link_local))


# rtnetlink(7): C structures in the machine's own byte order, each beginning at a multiple of four bytes.
_MESSAGE = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_ADDRESS = struct.Struct("=BBBBI")  # ifaddrmsg: family, prefix length, flags, scope, interface
_ATTRIBUTE = struct.Struct("=HH")  # rtattr: length, type
_ERROR, _DONE, _NEW_ADDRESS, _GET_ADDRESS = 2, 3, 20, 22
_LIST_ALL = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_TEMPORARY = 0x01  # IFA_F_TEMPORARY; for IPv4 the same bit means secondary
_TAKEN_BY_ANOTHER = 0x08  # IFA_F_DADFAILED: another machine has this IPv6 address, so the kernel does not use it
_ADDRESS_BYTES = {int(socket.AF_INET): 4, int(socket.AF_INET6): 16}


def _kernel_addresses() -> list[Assigned]:
    """Ask the kernel for all addresses, secondary ones too (RTM_GETADDR)."""
    request = _MESSAGE.pack(_MESSAGE.size + _ADDRESS.size, _GET_ADDRESS, _LIST_ALL, 1, 0)
    request += _ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
    addresses: list[Assigned] = []
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC) as kernel:
            kernel.settimeout(5)
            kernel.sendto(request, (0, 0))
            last = False
            while not last:
                found, last = parse_addresses(kernel.recv(2**17))
                addresses += found
    except OSError as error:
        raise CannotStart(
            f"The kernel did not list this machine's addresses ({error.strerror or error}).",
            "If this runs as a service, its unit must name AF_NETLINK in RestrictAddressFamilies.",
        ) from error
    return addresses


def parse_addresses(datagram: bytes) -> tuple[list[Assigned], bool]:
    """The addresses in one answer to RTM_GETADDR, and whether it is the last answer. OSError if the kernel refused."""
    found: list[Assigned] = []
    for kind, body in _pieces(datagram, _MESSAGE):
        if kind == _DONE:
            return found, True
        if kind == _ERROR:
            number = -int.from_bytes(body[:4], sys.byteorder, signed=True)
            raise OSError(number, os.strerror(number))
        if kind == _NEW_ADDRESS and len(body) >= _ADDRESS.size:
            found += _address(body)
    return found, False


def _address(body: bytes) -> list[Assigned]:
    family, _, flags, _, _ = _ADDRESS.unpack_from(body)
    attributes = dict(_pieces(body[_ADDRESS.size :], _ATTRIBUTE))
    # On a link between two points IFA_ADDRESS is the other end; IFA_LOCAL, where there is one, is always ours.
    packed = attributes.get(_IFA_LOCAL, attributes.get(_IFA_ADDRESS, b""))
    if flags & _TAKEN_BY_ANOTHER or len(packed) != _ADDRESS_BYTES.get(family):
        return []
    address = ipaddress.ip_address(packed)
    return [Assigned(address, address.version == 6 and bool(flags & _TEMPORARY))]


def _pieces(data: bytes, header: struct.Struct) -> Iterator[tuple[int, bytes]]:
    """Cut messages or attributes apart: the kind of each, and what follows its header of length, kind and more."""
    offset = 0
    while offset + header.size <= len(data):
        length, kind, *_ = header.unpack_from(data, offset)
        if length < header.size:
            return
        yield kind, data[offset + header.size : offset + length]
        offset += (length + 3) & ~3


def resolver_addresses(path: Path = Path("/etc/resolv.conf")) -> list[str]:
    """The resolvers that this machine itself asks (``nameserver`` lines, resolv.conf(5)); none if there is no file."""
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return []
    values = [words[1] for words in map(str.split, lines) if len(words) > 1 and words[0] == "nameserver"]
    return list(dict.fromkeys(value for value in values if is_address(value)))


def is_address(text: str) -> bool:
    """Whether a text is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


# ------------------------------------------------------------------------------------------------- who holds a port


@dataclass(frozen=True, slots=True)
class _Held:
    """A socket that listens (TCP) or is bound (UDP): its address, its owner's user id, and its inode."""

    address: Address
    uid: int
    inode: str


def port_holder(kind: Kind, port: int, address: str | None = None) -> str | None:
    """Who holds a port, in words: "dnsmasq (process 812)"; None if nobody does.

    With ``address``, only sockets that stand in the way of that address. A socket whose program cannot be seen, because
    it belongs to somebody else, is "another user's program".
    """
    held = [socket_ for socket_ in _held(kind, port) if address is None or _in_the_way(socket_, address)]
    if not held:
        return None
    programs = _programs({socket_.inode for socket_ in held})
    words = [programs.get(socket_.inode) or _unseen(socket_) for socket_ in held]
    return " and ".join(dict.fromkeys(words))


def _held(kind: Kind, port: int) -> list[_Held]:
    """The sockets on a port, from ``/proc/self/net/{tcp,tcp6,udp,udp6}``, proc_pid_net(5)."""
    held = []
    for table in (kind, f"{kind}6"):
        try:
            lines = (_PROC / "self/net" / table).read_text().splitlines()[1:]
        except OSError:  # no such table where IPv6 is switched off
            continue
        for fields in map(str.split, lines):
            local, state, uid, inode = fields[1], fields[3], fields[7], fields[9]
            address, _, number = local.partition(":")
            listens = kind == "udp" or state == "0A"
            if int(number, 16) == port and listens and inode != "0":
                held.append(_Held(_from_proc(address), int(uid), inode))
    return held


def _from_proc(digits: str) -> Address:
    """An address as ``/proc/net`` writes it: 32-bit words in the machine's own byte order."""
    packed = bytes.fromhex(digits)
    if sys.byteorder == "little":
        packed = b"".join(packed[start : start + 4][::-1] for start in range(0, len(packed), 4))
    address = ipaddress.ip_address(packed)
    return getattr(address, "ipv4_mapped", None) or address


def _in_the_way(held: _Held, address: str) -> bool:
    """Whether a socket there can keep us from ``address``. ``::`` may stand for IPv4 too; /proc does not say."""
    wanted = ipaddress.ip_address(address.partition("%")[0])
    if held.address.version != wanted.version:
        return held.address.version == 6 and held.address.is_unspecified
    return held.address == wanted or held.address.is_unspecified or wanted.is_unspecified


def _programs(inodes: set[str]) -> dict[str, str]:
    """Inode of a socket -> the program that has it open, for every process that we may look into."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[str, str] = {}
    for process in sorted(int(path.name) for path in _PROC.iterdir() if path.name.isdecimal()):
        with suppress(OSError):  # it has ended, or is none of our business
            for descriptor in (_PROC / str(process) / "fd").iterdir():
                with suppress(OSError):
                    inode = wanted.get(str(descriptor.readlink()))
                    if inode is not None:
                        found.setdefault(inode, _program(process))
    return found


def _program(process: int) -> str:
    name = (_PROC / str(process) / "comm").read_text("utf-8", errors="replace").strip()
    printable = "".join(letter if letter.isprintable() else "?" for letter in name)
    return f"{printable} (process {process})"


def _unseen(held: _Held) -> str:
    return "another user's program" if held.uid != os.geteuid() else "a program that cannot be seen from here"


# ------------------------------------------------------------------------------------------------- listening by TCP


class FamilyUnavailable(CannotStart):
    """The machine does not have this kind of address at all, for example because IPv6 is switched off."""


def bind_tcp(address: str, port: int, todo: str = "", backlog: int = BACKLOG) -> socket.socket:
    """A listening, non-blocking socket. ``port`` 0 takes a free one.

    CannotStart says who holds the port, or which right is missing; ``todo`` tells what to do about a held port, for
    example "Stop it, or set another port with web.port in /etc/appliance/appliance.yaml.".
    """
    family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
    try:
        listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    except OSError as error:
        raise _cannot_listen(error, address, port, todo) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # 0.0.0.0 and :: are two sockets, so that an IPv4 client always shows up with an IPv4 address.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address, port))
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        raise _cannot_listen(error, address, port, todo) from error
    return listener


def bind_all(addresses: Iterable[str], port: int, todo: str = "", backlog: int = BACKLOG) -> list[socket.socket]:
    """Listen at every address, or at none.

    Left out are only addresses of a kind that the machine does not have (IPv6 switched off). A held port, a missing
    right or an address that is not this machine's is CannotStart. With ``port`` 0 each socket takes a port of its own.
    """
    listeners: list[socket.socket] = []
    missing: FamilyUnavailable | None = None
    try:
        for address in addresses:
            try:
                listeners.append(bind_tcp(address, port, todo, backlog))
            except FamilyUnavailable as error:
                missing = error
        if not listeners:
            raise missing or CannotStart("No address to listen at is set.", todo)
    except CannotStart:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _cannot_listen(error: OSError, address: str, port: int, todo: str) -> CannotStart:
    """What stands behind the error of ``socket``, ``bind`` or ``listen``, in words."""
    if error.errno == errno.EAFNOSUPPORT or (error.errno == errno.EADDRNOTAVAIL and _ipv6_is_off(address)):
        return FamilyUnavailable(f"This machine has no addresses like {address}: IPv6 or IPv4 is switched off.", todo)
    if error.errno == errno.EADDRINUSE:
        holder = port_holder("tcp", port, address) or "another program"
        return CannotStart(f"Port {port} is held by {holder}.", todo)
    if error.errno == errno.EADDRNOTAVAIL:
        return CannotStart(
            f"{address} is not an address of this machine, so nothing can listen there.",
            f"Its addresses are {', '.join(local_addresses())}.",
        )
    if error.errno == errno.EACCES and port < _first_free_port():
        return CannotStart(
            f"This program does not have the right to listen at port {port}.",
            f"Start it with the capability CAP_NET_BIND_SERVICE, or set a port from {_first_free_port()} up.",
        )
    return CannotStart(f"Nothing can listen at {address} port {port}: {error.strerror or error}.", todo)


def _ipv6_is_off(address: str) -> bool:
    """Whether this is an IPv6 address and no interface has one, not even loopback (sysctl disable_ipv6)."""
    if ipaddress.ip_address(address).version == 4:
        return False
    table = _PROC / "self/net/if_inet6"
    return not table.exists() or not table.read_text().strip()


def _first_free_port() -> int:
    """The first port that needs no right of its own, ip(7)."""
    try:
        return int((_PROC / "sys/net/ipv4/ip_unprivileged_port_start").read_text())
    except OSError:  # a hardened unit may hide it (ProcSubset=pid)
        return 1024


# ----------------------------------------------------------------------------------------------------- Unix sockets


@contextmanager
def unix_path(path: Path) -> Iterator[str]:
    """The path as text that fits into an address of a Unix socket; valid inside the ``with`` block only.

    Where the path is longer than 107 bytes, its folder is reached through ``/proc/self/fd``. OSError if there is no
    such folder, or if the name alone is too long.
    """
    if len(os.fsencode(path)) <= UNIX_PATH_LIMIT:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        short = f"/proc/self/fd/{folder}/{path.name}"
        if len(os.fsencode(short)) > UNIX_PATH_LIMIT:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), str(path))
        yield short
    finally:
        os.close(folder)


async def start_unix_server(
    handler: UnixHandler, path: Path, mode: int = 0o600, limit: int = STREAM_LIMIT
) -> asyncio.Server:
    """Serve streams at a Unix socket whose file has exactly this mode, whatever the umask; ``limit`` in bytes a line.

    A socket file that nobody listens at any more is replaced. CannotStart if somebody does, if the path is something
    else than a socket, or if the folder is missing or not ours.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        with unix_path(path) as short:
            _remove_stale(Path(short), path)
            listener.bind(short)
            Path(short).chmod(mode)  # before listen(): until then nobody can connect, so there is no moment of risk
            listener.listen(BACKLOG)
        # Not asyncio.start_unix_server: from Python 3.13 on it later removes the file by the short path.
        return await asyncio.start_server(handler, sock=listener, limit=limit)
    except OSError as error:
        listener.close()
        raise CannotStart(
            f"The socket {path} cannot be made: {error.strerror or error}.",
            "Its folder must exist and belong to the account that this program runs as.",
        ) from error
    except CannotStart:
        listener.close()
        raise


def _remove_stale(file: Path, path: Path) -> None:
    """Remove a socket file that a program left behind. ``path`` is what to call it in words."""
    try:
        kind = file.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise CannotStart(f"{path} is in the way: a socket belongs there.", "Move it elsewhere.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(str(file))
        except ConnectionRefusedError:
            file.unlink()
            return
        except BlockingIOError:  # somebody listens, and others already wait for an answer
            pass
    raise CannotStart(f"Another program listens at {path}.", "This program already runs; stop the other one first.")


async def open_unix(path: Path, limit: int = STREAM_LIMIT) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to a Unix socket; OSError if nobody listens there or if too many others wait already.

    A local connect never waits, so it is made here: asyncio takes "too many wait" (EAGAIN) for a connection.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        with unix_path(path) as short:
            connection.connect(short)
        return await asyncio.open_unix_connection(sock=connection, limit=limit)
    except OSError:
        connection.close()
        raise


def peer_uid(writer: asyncio.StreamWriter) -> int:
    """The user id of the process at the other end of a Unix stream, as the kernel knows it (SO_PEERCRED)."""
    credentials = struct.Struct("=iII")  # struct ucred: process, user, group
    packed = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, credentials.size)
    _, uid, _ = credentials.unpack(packed)
    return int(uid)
