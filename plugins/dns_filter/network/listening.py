"""The one raw socket: it hears what passes an interface, and never sends."""

from __future__ import annotations

import ctypes
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from .packet_filter import packed

_SO_ATTACH_FILTER = 26  # socket(7)
_SOL_PACKET, _ADD_MEMBERSHIP, _STATISTICS, _IGNORE_OUTGOING = 263, 1, 6, 23  # packet(7)
_PROMISCUOUS = 1
_ETH_P_ALL = 0x0003
_IFF_UP = 0x1  # netdevice(7)
_ARPHRD_ETHER = "1"
RECEIVE_BUFFER = 2 * 1024 * 1024
"""What may wait in the kernel. What comes while it is full is counted there, and lost."""
AUTO = "auto"


class CannotListen(Exception):
    """There is nothing to hear, and why, in words for IT."""


@dataclass(eq=False)
class Listener:
    """An open socket at one interface."""

    interface: str
    socket: socket.socket

    def dropped(self) -> int:
        """How many packets the kernel had to drop since this was asked last."""
        _, dropped = struct.unpack("=II", self.socket.getsockopt(_SOL_PACKET, _STATISTICS, 8))
        return int(dropped)

    def close(self) -> None:
        """Hear nothing any more."""
        self.socket.close()


def listen(wanted: str) -> Listener:
    """Hear an interface; ``auto``: the one over which this box reaches the others. Raises ``CannotListen``."""
    interface = chosen(wanted)
    try:
        # Without a protocol it hears nothing, so that nothing comes in before the filter is there.
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    except PermissionError:
        raise CannotListen(
            "The right to hear the network is missing. Install appliance-sniffer.service as it is supplied: it gives"
            " this part, and no other, CAP_NET_RAW."
        ) from None
    try:
        raw.setblocking(False)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        attach(raw)
        raw.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
        number = socket.if_nametoindex(interface)
        # A mirror port carries what is meant for others.
        raw.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, struct.pack("=iHH8s", number, _PROMISCUOUS, 0, b""))
        raw.bind((interface, _ETH_P_ALL))
    except OSError as error:
        raw.close()
        raise CannotListen(f"The interface {interface} cannot be heard: {error.strerror or error}.") from None
    return Listener(interface, raw)


def attach(raw: socket.socket) -> None:
    """Let only what the filter names come through a socket."""
    program = packed()
    kept = ctypes.create_string_buffer(program, len(program))
    pointer = struct.pack("@HP", len(program) // 8, ctypes.addressof(kept))
    raw.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, pointer)


def chosen(wanted: str) -> str:
    """The interface that is meant, which must be there and be up."""
    names = [name for _, name in socket.if_nameindex()]
    if wanted != AUTO:
        if wanted not in names:
            raise CannotListen(f"There is no interface {wanted} on this box. There are: {', '.join(sorted(names))}.")
        if not _is_up(wanted):
            raise CannotListen(
                f"The interface {wanted} is down. Plug in its cable, or switch it on: ip link set {wanted} up."
            )
        return wanted
    found = _of_default_route() or next((name for name in names if _is_ethernet(name) and _is_up(name)), "")
    if not found:
        raise CannotListen("No network interface of this box is up. Plug in its cable.")
    return found


def _of_default_route(table: Path = Path("/proc/self/net/route")) -> str:
    """The interface that leads out (proc_pid_net(5)); empty if none does or the table is not to be seen."""
    try:
        rows = [line.split() for line in table.read_text(encoding="ascii").splitlines()[1:]]
    except OSError:
        return ""
    return next((row[0] for row in rows if len(row) > 7 and row[1] == "00000000" and row[7] == "00000000"), "")


def _is_up(name: str) -> bool:
    return bool(int(_of_interface(name, "flags") or "0", 16) & _IFF_UP)


def _is_ethernet(name: str) -> bool:
    return _of_interface(name, "type") == _ARPHRD_ETHER


def _of_interface(name: str, what: str) -> str:
    """What the kernel says of an interface (sysfs-class-net); empty if there is none of this name."""
    try:
        return Path("/sys/class/net", name, what).read_text(encoding="ascii").strip()
    except OSError:
        return ""
