"""Many datagrams in one system call: recvmmsg(2) and sendmmsg(2), which Python's socket module does not offer.

One call for up to ``BATCH`` packets costs the kernel a quarter less than two calls for each. Everything the kernel
writes to lies in anonymous memory maps, because a slice of a map is bytes at once, without a view in between.

Layouts: struct msghdr and struct mmsghdr of recvmmsg(2) on 64-bit Linux, struct sockaddr_in and sockaddr_in6 of ip(7)
and ipv6(7).
"""

from __future__ import annotations

import ctypes
import mmap
import socket
import struct
from typing import Final

BATCH: Final = 32
SLOT: Final = 4096
"""Octets for one packet, in and out; what is longer than that is no query, and no answer over UDP."""

NAME_SLOT: Final = 32
_HEADER: Final = struct.Struct("=QI4xQQQQi4xI4x")
"""struct mmsghdr: name, length of the name, vector, its length, control, its length, flags, octets of the packet."""

NAME_LENGTH: Final = {socket.AF_INET: 16, socket.AF_INET6: 28}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.recvmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
_libc.sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)


class Batches:
    """The buffers of one UDP socket. Slot ``i`` is the same packet in all of them.

    ``packets`` and ``senders`` hold what ``receive`` got, ``lengths`` how long each packet is (every
    ``LENGTH_STEP``-th number). An answer is written over its packet, because most of it is the packet: id and question
    stay where they are. Its length goes into ``answer_lengths`` (every second number).
    """

    LENGTH_STEP: Final = _HEADER.size // 4
    LENGTH_AT: Final = 56 // 4

    def __init__(self, udp: socket.socket) -> None:
        self._fd = udp.fileno()
        self.packets = mmap.mmap(-1, BATCH * SLOT)
        self.senders = mmap.mmap(-1, BATCH * NAME_SLOT)
        name_length = NAME_LENGTH[udp.family]
        self._in, self._in_vectors = _headers(self.packets, self.senders, name_length)
        self._out, out_vectors = _headers(self.packets, self.senders, name_length)
        self.lengths = memoryview(self._in).cast("I")
        self.answer_lengths = memoryview(out_vectors).cast("Q")[1:]
        self._in_at = _address(self._in)
        self._out_at = _address(self._out)

    def receive(self) -> int:
        """Take what waits, up to ``BATCH`` packets; 0 if nothing does. Never waits."""
        received: int = _libc.recvmmsg(self._fd, self._in_at, BATCH, socket.MSG_DONTWAIT, None)
        return max(received, 0)

    def send(self, first: int, count: int) -> int:
        """Send the answers of these slots to whom the packets came from; returns how many the kernel did not take."""
        at, left = self._out_at + first * _HEADER.size, count
        while left:
            sent = _libc.sendmmsg(self._fd, at, left, socket.MSG_DONTWAIT)
            if sent <= 0:  # one that cannot be sent (its network is gone, the queue is full) must not stop the others
                sent = 1
                count -= 1
            at += sent * _HEADER.size
            left -= sent
        return count


def _headers(packets: mmap.mmap, senders: mmap.mmap, name_length: int) -> tuple[mmap.mmap, mmap.mmap]:
    """An array of struct mmsghdr and its array of struct iovec, each slot pointing to its piece of the buffers."""
    headers = mmap.mmap(-1, BATCH * _HEADER.size)
    vectors = mmap.mmap(-1, BATCH * 16)
    packets_at, senders_at, vectors_at = _address(packets), _address(senders), _address(vectors)
    for slot in range(BATCH):
        struct.pack_into("=QQ", vectors, slot * 16, packets_at + slot * SLOT, SLOT)
        _HEADER.pack_into(
            headers,
            slot * _HEADER.size,
            senders_at + slot * NAME_SLOT,
            name_length,
            vectors_at + slot * 16,
            1,
            0,
            0,
            0,
            0,
        )
    return headers, vectors


def _address(memory: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))
