"""Passwords: which ones serve, and how one is stretched and split.

A password is stretched once with Argon2id (RFC 9106; 64 MiB, three passes, one lane: the second recommended choice) and
split by HKDF (RFC 5869): the *verifier* is kept and tells whether a password is right, the *key* opens the account's
private key and is kept nowhere. Neither can be computed from the other.

Whether a password serves is judged by how many guesses it would take (zxcvbn, Wheeler 2016), with lists of passwords
from known breaches and of common words and names that come with that library: nothing is asked of the internet.
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hmac import compare_digest
from typing import TypeVar

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from appliance.errors import Refused

SHORTEST = 12
LONGEST = 200
GUESSES_LOG10 = 12.0
"""A thief who carries the box away can try some thousand passwords a second: a trillion guesses take years."""
_JUDGED = 72  # zxcvbn looks at no more; what stands behind only makes a password better
_JUDGED_AT_LEAST = 20
_LIKE_LETTERS = frozenset("4@8({[<369!1|7$50+%2")
_LIKE_LETTERS_MOST = 10
"""zxcvbn tries every way of reading such signs as letters; with all of them in 72 it would take half a minute."""
MEMORY_KIB = 64 * 1024
PASSES = 3
SALT_BYTES = 16
WAITING_MOST = 16
WAITING_MOST_KNOWN = 100

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, repr=False)
class Stretched:
    """The two halves of a stretched password, 32 bytes each."""

    verifier: bytes
    key: bytes

    def matches(self, verifier: bytes) -> bool:
        """Whether this password has that verifier; takes equally long either way."""
        return compare_digest(self.verifier, verifier)


def stretch(password: str, salt: bytes) -> Stretched:
    """Stretch and split (about a quarter of a second, 64 MiB). The same password typed on another keyboard is equal."""
    text = _as_composed(password)[: LONGEST + 1].encode("utf-8", "surrogatepass")
    root = Argon2id(salt=salt, length=32, iterations=PASSES, lanes=1, memory_cost=MEMORY_KIB).derive(text)
    return Stretched(_half(root, b"appliance password v1 verifier"), _half(root, b"appliance password v1 key"))


def _as_composed(password: str) -> str:
    """As one keyboard types it: another may send a letter and its accent apart."""
    return unicodedata.normalize("NFC", password)


def _half(root: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(root)


def fault(password: str, about: Sequence[str] = ()) -> str:
    """What is wrong with a new password, in words; empty if nothing is. ``about``: names that make it easy to guess.

    Takes up to a second; call it from one thread at a time (``Stretcher.fault`` does), because zxcvbn keeps ``about``
    in its module.
    """
    password = _as_composed(password)
    if len(password) < SHORTEST:
        return f"Use at least {SHORTEST} characters. Four words that have nothing to do with each other are good."
    if len(password) > LONGEST:
        return f"Use at most {LONGEST} characters."
    if len(set(password)) < 4:
        return "Use more different letters."
    from zxcvbn import zxcvbn  # noqa: PLC0415 - its lists of words are large, and few processes ever need them

    words = [word for text in about for word in (text, *text.split()) if len(word) > 2]
    found = zxcvbn(_judged(password), user_inputs=words)
    if found["guesses_log10"] < GUESSES_LOG10:
        if _is_breached(found):
            return "This password, or nearly this one, is on lists of stolen passwords. Choose another one."
        return "This is too easy to guess. Four words that have nothing to do with each other are good."
    return ""


def _judged(password: str) -> str:
    """As much of the beginning as can be judged in a second. The whole is at least as hard to guess."""
    seen: set[str] = set()
    for place, sign in enumerate(password[:_JUDGED]):
        seen |= {sign} & _LIKE_LETTERS
        if len(seen) > _LIKE_LETTERS_MOST and place >= _JUDGED_AT_LEAST:
            return password[:place]
    return password[:_JUDGED]


def _is_breached(found: dict[str, object]) -> bool:
    sequence = found["sequence"]
    assert isinstance(sequence, list)
    return any(part.get("dictionary_name") == "passwords" for part in sequence)


class _Line:
    """Work for one thread, and how much of it may wait."""

    def __init__(self, most: int) -> None:
        self._pool = ThreadPoolExecutor(1, "stretch")
        self._most = most
        self._waiting = 0

    async def run(self, work: Callable[[], _T]) -> _T:
        """Do the work when its turn comes. Raises ``Refused`` while too much waits."""
        if self._waiting >= self._most:
            raise Refused("Too many people are signing in at this moment.", "Wait a minute, then try again.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


class Stretcher:
    """Stretches and judges passwords away from the loop, a bounded number at a time.

    Browsers that are known, and whoever holds a link, have a line of their own, so that a flood of tries from elsewhere
    cannot hold them up.
    """

    def __init__(self) -> None:
        self._known = _Line(WAITING_MOST_KNOWN)
        self._others = _Line(WAITING_MOST)
        self._judge = _Line(WAITING_MOST_KNOWN)

    async def stretch(self, password: str, salt: bytes, *, known: bool = False) -> Stretched:
        """``stretch`` on a thread. Raises ``Refused`` while too many wait."""
        return await (self._known if known else self._others).run(lambda: stretch(password, salt))

    async def fault(self, password: str, about: Sequence[str] = ()) -> str:
        """``fault`` on a thread. Raises ``Refused`` while too many wait."""
        return await self._judge.run(lambda: fault(password, about))

    def close(self) -> None:
        """Let the threads end."""
        for line in (self._known, self._others, self._judge):
            line.close()
