"""Ready answers: what the very same packet got a moment ago, without reading it again.

An answer is kept in pieces, around the question that the packet itself brings::

    id of the packet | head | question of the packet | rest

so one entry serves every id and every spelling (draft-vixie-dnsext-dns0x20), and blocked names, whose answers differ in
nothing but the question, share one. The key is the packet without its id, the name in lower case: type, flags
and EDNS size are in it, so nothing has to be read to know that it is the same question.

Whoever looks may put all of the packet in lower case, which is quicker than the name alone: nothing is kept whose
octets behind the name could be capital letters of another packet, as those of TYPE97 are of HTTPS (65).
"""

from __future__ import annotations

from typing import Any, Final

ENTRIES: Final = 120_000
"""Answers of all policies together; about 200 octets each."""

LONG: Final = 9
"""An entry counts once more for each 512 octets: nobody shall fill the memory with long ones."""

SECONDS: Final = 10
"""How long an answer from upstream is ready at most: by so much its TTL may be too high."""

FOR_EVER: Final = 1 << 62
_NAME_AT: Final = 10
PLAIN_OPT: Final = 11
"""Octets of an OPT record without options."""

Answer = tuple[bytes, bytes, int, "int | None", int]
"""Head, rest, how far before the end of the packet the question ends (0 or less), number of the note, until which
tick."""

Policies = dict[str, dict[bytes, Answer]]


class Ready:
    """The answers of each policy. ``tick`` counts on as time passes."""

    def __init__(self) -> None:
        self.tick = 0
        self._policies: Policies = {}
        self._entries = 0
        self._shared: dict[Answer, Answer] = {}
        self._plain: dict[str, dict[Any, Answer]] = {}

    def of(self, policy: str) -> dict[bytes, Answer]:
        """Where the answers of a policy are; the same object until ``forget``."""
        return self._policies.setdefault(policy, {})

    def plain_of(self, policy: str) -> dict[Any, Answer]:
        """Where the answers of a policy are that need no thinking (see ``quick``); the same object always."""
        return self._plain.setdefault(policy, {})

    def forget(self) -> None:
        """Everything: other rules apply, or there is no room."""
        for answers in self._policies.values():
            answers.clear()  # in place: clients hold them
        self._entries = 0
        self._shared.clear()
        for plain in self._plain.values():
            plain.clear()

    def forget_policies(self) -> None:
        """Everything, and whose it was."""
        self.forget()
        self._policies = {}

    def keep(self, answers: dict[bytes, Answer], key: bytes, answer: Answer) -> None:
        """Have an answer ready. When there is no room everything goes: what is asked often comes back at once."""
        behind = key[key.find(0, _NAME_AT) :]
        if behind != behind.upper():
            return
        if self._entries >= ENTRIES:
            self.forget()
        answers[key] = answer
        self._entries += 1 + (len(key) + len(answer[1]) >> LONG)

    def share(self, answer: Answer) -> Answer:
        """The same answer, in one copy with all that are equal to it: blocked names differ in nothing but the key."""
        return self._shared.setdefault(answer, answer)


def split(packet: bytes, tail: bytes, note: int | None, until: int) -> Answer | None:
    """A whole answer (without its id) in pieces, or ``None`` if it does not repeat the question of the packet."""
    end = packet.find(0, 12) + 5
    if end < 17:
        return None
    length = end - 12
    if tail[10 : 10 + length] != packet[12:end]:
        return None
    behind = len(packet) - end
    if behind not in (0, PLAIN_OPT):
        return None
    return tail[:10], tail[10 + length :], -PLAIN_OPT if behind else 0, note, until
