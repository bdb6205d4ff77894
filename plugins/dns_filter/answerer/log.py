"""What was answered, counted and handed to the keeper in pieces. Nothing here ever waits.

A frame is four octets of length and ``marshal`` of ``(notes, counts, dropped)``: ``notes`` are the notes that no frame
has named before, in the order of their numbers (an empty one: they begin anew); ``counts`` says how often there was
each ``(client, question, number of the note)``.
Both ends are this program in the same version, so ``marshal``, which is several times quicker than JSON, is no risk.
"""

from __future__ import annotations

import errno
import fcntl
import marshal
import os
import struct
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, Protocol

PIPE_OCTETS: Final = 1 << 20
RECORDS_IN_FRAME: Final = 1000
NOTES_KNOWN: Final = 20_000
LENGTH: Final = struct.Struct("=I")

HEAD: Final = 10
"""Octets of a header behind the id; the last one says whether there is an OPT record, which is all there can be."""
OPT: Final = 11
NO_HEAD: Final = bytes(HEAD)
"""For a question that stands alone."""


class Named(Protocol):
    """A client."""

    text: str


Note = tuple[Any, ...]
Entry = tuple[Named, bytes, int]
Counts = dict[tuple[str, bytes, int], int]


def pipe() -> tuple[int, int]:
    """The two ends of a pipe that never blocks: to read, to write."""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_OCTETS)
    return reading, writing


class LogWriter:
    """The answerer's end. ``dropped``: queries that could not be handed over and of which nobody was told yet."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._notes: dict[Note, int] = {}
        self._new: list[Note] = []
        self._unsent = b""
        self.dropped = 0

    def number(self, note: Note) -> int:
        """The number of a note. Notes are few: they say why, not what."""
        known = self._notes.get(note)
        if known is None:
            known = self._notes[note] = len(self._notes)
            self._new.append(note)
        return known

    @property
    def is_full(self) -> bool:
        """Whether so many notes are known that ready answers should be forgotten with them."""
        return len(self._notes) >= NOTES_KNOWN

    def forget(self) -> None:
        """Begin to number notes anew; nobody may use an old number after that."""
        self._notes.clear()
        self._new = [()]  # tells the other end

    def write(self, log: list[Entry]) -> None:
        """Hand over what ``log`` holds: client, packet without its id or the key under which it is known, number of the
        note.
        """
        counts: Counts = {}
        for (client, key, note), times in Counter(log).items():
            question = key[HEAD:-OPT] if key[HEAD - 1] and len(key) > HEAD + OPT else key[HEAD:]
            one = (client.text, question, note)
            counts[one] = counts.get(one, 0) + times
        if len(counts) <= RECORDS_IN_FRAME:
            self._send(counts)
            return
        waiting = iter(counts.items())
        while some := dict(islice(waiting, RECORDS_IN_FRAME)):
            self._send(some)

    def _send(self, counts: Counts) -> None:
        if self._unsent:
            self._push(self._unsent)
        if self._unsent:  # the keeper is behind
            self.dropped += sum(counts.values())
            return
        body = marshal.dumps((self._new, counts, self.dropped), 2)
        self._new, self.dropped = [], 0
        self._push(LENGTH.pack(len(body)) + body)

    def _push(self, octets: bytes) -> None:
        try:
            sent = os.write(self._fd, octets)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            if error.errno != errno.EPIPE:
                raise
            sent = len(octets)  # the keeper has ended, and so shall we
        self._unsent = octets[sent:]


class LogReader:
    """The keeper's end. ``notes`` are those that the numbers of the last frame mean."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._rest = b""
        self.notes: list[Note] = []

    def read(self) -> Iterator[tuple[list[Note], Counts, int]]:
        """What has come since the last call: the notes that the numbers mean, the counts, and how many were dropped.

        The list of notes grows with the next frame, and is another one once they have begun anew. Raises ``EOFError``
        at the end.
        """
        try:
            octets = os.read(self._fd, PIPE_OCTETS)
        except BlockingIOError:
            return
        if not octets:
            raise EOFError
        octets = self._rest + octets
        at = 0
        while len(octets) - at >= LENGTH.size:
            (length,) = LENGTH.unpack_from(octets, at)
            if len(octets) - at - LENGTH.size < length:
                break
            new, counts, dropped = marshal.loads(octets[at + LENGTH.size : at + LENGTH.size + length])  # noqa: S302
            self._learn(new)
            yield self.notes, counts, dropped
            at += LENGTH.size + length
        self._rest = octets[at:]

    def _learn(self, new: list[Note]) -> None:
        for note in new:
            if note:
                self.notes.append(note)
            else:
                self.notes = []
