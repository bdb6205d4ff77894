"""Terms that leave the box only as keyed hashes: those of hidden policies, and names that are watched for.

::

    key          of the hash (SipHash-2-4), base64url: of this box alone, so no table that was made elsewhere helps
    words        for each surface of a browser, how many words phrases have there
    letters      likewise, in scripts without blanks
    hashes       by the hash of a phrase, where it is looked for; or that, what must stand near it, and within how many
                 words
    near         by a name, hashes of what must stand near; "hat*" is hashed with its star, behind which nothing more
                 is asked for
    longestNear  how many words that has at most

What is hashed are words in plain forms with blanks between them. A device finds them as they are written and in plain
forms, in no other disguise.

A device has to have the key, so whoever takes both out of it can try names and phrases one by one. It keeps them from
being read, not from being guessed; and a key for each device would keep off nobody who has one device.
"""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from ..library.model import Policy, Term
from .phrases import SOLID, is_short, near_forms, phrases_of, plain_forms
from .siphash import hasher
from .surfaces import SHORT_ON, SURFACES

_Way = tuple[int, str, int]
"""Where a phrase is looked for, the name of what has to stand near it, within how many words."""
_Phrase = tuple[str, str, bool]
"""The text that is hashed, its hash, whether it has letters without blanks."""


class Hashes:
    """The hashes of all terms of hidden policies, made once. ``of`` picks what one device is to have."""

    def __init__(self, policies: Sequence[Policy], key: bytes) -> None:
        self._key = key
        self._hasher = hasher(key)
        self._terms = {f"{policy.name}/{term.id}": term for policy in policies for term in policy.terms}
        self._phrases = {name: self._hashed(term) for name, term in self._terms.items()}
        nears = {term.near: _near_texts(term.near) for term in self._terms.values() if term.near}
        self._near = {near: [self._hash(text) for text in texts] for near, texts in nears.items()}
        self._longest_near = max((text.count(" ") + 1 for texts in nears.values() for text in texts), default=0)

    def of(self, wanted: Mapping[str, int]) -> dict[str, Any]:
        """What is sent of the terms that are wanted, by "policy/term" where; nothing if no hidden one is."""
        ways: dict[str, list[_Way]] = defaultdict(list)
        near: dict[str, list[str]] = {}
        words, letters = _Lengths(), _Lengths()
        for name in (one for one in self._terms if one in wanted):  # in their order, so that the same is spelled alike
            for text, hashed, is_solid in self._phrases[name]:
                bits = wanted[name] & SHORT_ON if is_short(text) else wanted[name]
                if bits:
                    ways[hashed].append(self._way(bits, self._terms[name], near))
                    (letters if is_solid else words).note(bits, len(text) if is_solid else text.count(" ") + 1)
        if not ways:
            return {}
        return {
            "key": _base64url(self._key),
            "words": words.by_surface(),
            "letters": letters.by_surface(),
            "hashes": {hashed: _both(found) for hashed, found in ways.items()},
            "near": near,
            "longestNear": self._longest_near,
        }

    def _way(self, bits: int, term: Term, near: dict[str, list[str]]) -> _Way:
        """How a phrase counts as one of a term."""
        if not term.near:
            return bits, "", 0
        hashed = self._near[term.near]
        name = self._hash("".join(hashed))
        near[name] = hashed
        return bits, name, term.within

    def _hashed(self, term: Term) -> list[_Phrase]:
        return [(text, self._hash(text), is_solid) for text, is_solid in _texts(term)]

    def _hash(self, text: str) -> str:
        return _base64url(self._hasher(text.encode()))


class _Lengths:
    """How long phrases are on each surface."""

    def __init__(self) -> None:
        self._found: list[set[int]] = [set() for _ in SURFACES]

    def note(self, bits: int, length: int) -> None:
        """A phrase that is so long is looked for there."""
        for place, found in enumerate(self._found):
            if bits >> place & 1:
                found.add(length)

    def by_surface(self) -> list[list[int]]:
        """All lengths, in the order of surfaces."""
        return [sorted(found) for found in self._found]


def _both(ways: Sequence[_Way]) -> int | list[int | str]:
    """How a phrase counts that several terms may have."""
    anywhere = [bits for bits, near, _ in ways if not near]
    if len(anywhere) == len(ways) == 1:
        return anywhere[0]
    return [part for way in ways for part in way]


def _texts(term: Term) -> Iterator[tuple[str, bool]]:
    """What is hashed of a term, each once, and whether it is in a script without blanks."""
    found: dict[str, bool] = {}
    for kind, phrases in phrases_of(term).items():
        for phrase in phrases:
            plain = plain_forms(phrase.split())
            found[plain.replace(" ", "") if kind == SOLID else plain] = kind == SOLID
    return iter(found.items())


def _near_texts(phrases: Collection[str]) -> list[str]:
    """What has to stand near, up to its first star."""
    return sorted({form[: form.find("*") + 1] or form for form in near_forms(phrases)})


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
