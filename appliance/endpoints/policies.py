"""What a browser is to know, as it is sent: its version, its signature, and what has changed since another version.

A policy is JSON of texts, whole numbers, true, false, lists and objects. Its version is the SHA-256 of what stands at
its top, with the SHA-256 of each thing that a plugin has answered in that one's place: so what thousands of browsers
share is looked through once. What is hashed is spelled in one way only: keys in order, no blanks, ASCII.

The key of the extension signs (RSASSA-PKCS1-v1_5 with SHA-256): each browser that has the extension has the public half
of it, which is what the extension's id is made of, and every browser that can run the extension can check it with
WebCrypto. Ed25519 came to WebCrypto with Chromium 137, and the extension runs from 133 on.

A difference is a JSON merge patch (RFC 7396), made against one of the last policies that were sent.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from appliance.endpoints.messages import to_base64url

SIGNED = b"appliance policy v1"
MOST_KEPT_CHARACTERS = 32 * 2**20
"""How much of policies that were sent is kept to make differences against: some ten of the largest."""
MOST_SHARED = 64
"""Answers of plugins whose spelling and hash are remembered for the next browser that gets the same object."""
LONGEST_CHANGE = 0.5
"""A difference that is longer than this part of the whole is not sent in its place."""

Json = Any

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One thing that a plugin has answered: as it is, as it is spelled, and the hash of that."""

    value: Json = field(repr=False)
    text: str = field(repr=False)
    sha256: str


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """What one browser is to know. ``top``: everything but what plugins have answered, which is in ``plugins``."""

    version: str
    top: Mapping[str, Json] = field(repr=False)
    plugins: Mapping[str, Mapping[str, Part]] = field(repr=False)

    @property
    def text(self) -> str:
        """The whole, as JSON."""
        plugins = (
            f"{json.dumps(name)}:{{{','.join(f'{json.dumps(key)}:{part.text}' for key, part in parts.items())}}}"
            for name, parts in self.plugins.items()
        )
        return f'{spelled(self.top)[:-1]}{"," if self.top else ""}"plugins":{{{",".join(plugins)}}}}}'

    def parts(self) -> Iterator[Part]:
        """Everything that plugins have answered."""
        return (part for parts in self.plugins.values() for part in parts.values())


class Policies:
    """Makes messages of policies. ``sign``: with the key of the extension."""

    def __init__(self, sign: Callable[[bytes], bytes]) -> None:
        self._sign = sign
        self._shared: OrderedDict[int, Part] = OrderedDict()
        self._kept: OrderedDict[str, Policy] = OrderedDict()
        self._uses: Counter[int] = Counter()
        self._characters = 0

    def of(self, wanted: Mapping[str, Json]) -> Policy:
        """The policy of what is wanted, ``plugins`` among it. What a plugin has answered that is no policy is left
        out."""
        top = {key: value for key, value in wanted.items() if key != "plugins"}
        plugins: dict[str, Mapping[str, Part]] = {}
        for name, answer in wanted["plugins"].items():
            try:
                plugins[name] = {key: self._part(value) for key, value in answer.items()}
            except ValueError as error:
                log.warning("%s has no policy for devices: %s", name, error)
        hashes = {name: {key: part.sha256 for key, part in parts.items()} for name, parts in plugins.items()}
        return Policy(_sha256(spelled({**top, "plugins": hashes})), top, plugins)

    def _part(self, value: Json) -> Part:
        known = self._shared.get(id(value))  # it holds the value, so nothing else can have this id
        if known is None:
            text = spelled(value)
            known = self._shared[id(value)] = Part(value, text, _sha256(text))
        self._shared.move_to_end(id(value))
        while len(self._shared) > MOST_SHARED:
            self._shared.popitem(last=False)
        return known

    def message(self, policy: Policy, *, browser: str, serial: int, known: str) -> str:
        """What is sent. ``browser``: its public key, as it says it. ``known``: the version that it has."""
        self._keep(policy)
        signature = self._sign(signed_bytes(browser, serial, policy.version))
        head = {"type": "policy", "version": policy.version, "serial": serial, "signature": to_base64url(signature)}
        change = self._change(known, policy)
        if change is not None:
            return spelled({**head, "from": known, "patch": change})
        return f'{spelled(head)[:-1]},"policy":{policy.text}}}'

    def _change(self, known: str, policy: Policy) -> Json | None:
        """What has changed since the version that a browser has; ``None`` if it is to get the whole."""
        before = self._kept.get(known)
        if before is None or before is policy:
            return None
        try:
            change = difference(_hollow(before), _hollow(policy))
        except Inexpressible:
            return None
        whole = len(spelled(policy.top)) + sum(len(part.text) for part in policy.parts())
        return change if len(spelled(change)) <= LONGEST_CHANGE * whole else None

    # What was sent of late

    def _keep(self, policy: Policy) -> None:
        if policy.version in self._kept:
            self._kept.move_to_end(policy.version)
            return
        self._kept[policy.version] = policy
        for part in policy.parts():
            self._characters += len(part.text) if not self._uses[id(part)] else 0
            self._uses[id(part)] += 1
        while self._characters > MOST_KEPT_CHARACTERS and len(self._kept) > 1:
            self._drop(self._kept.popitem(last=False)[1])

    def _drop(self, policy: Policy) -> None:
        for part in policy.parts():
            self._uses[id(part)] -= 1
            if not self._uses[id(part)]:
                del self._uses[id(part)]
                self._characters -= len(part.text)


def _hollow(policy: Policy) -> Mapping[str, Json]:
    plugins = {name: {key: part.value for key, part in parts.items()} for name, parts in policy.plugins.items()}
    return {**policy.top, "plugins": plugins}


def signed_bytes(browser: str, serial: int, version: str) -> bytes:
    """What is signed: for this browser alone, so that no policy of another one fits it."""
    return b"\0".join((SIGNED, browser.encode("ascii"), str(serial).encode("ascii"), version.encode("ascii")))


# Spelling


def spelled(value: Json) -> str:
    """JSON in the one spelling that is hashed. ``ValueError`` for numbers that are not whole and for other objects."""
    return _SPELLING.encode(value)


class _Spelling(json.JSONEncoder):
    """Whole numbers only: others are spelled in many ways."""

    def encode(self, o: Any) -> str:
        if _has_fractions(o):
            raise ValueError("A policy may hold whole numbers only.")
        try:
            return super().encode(o)
        except TypeError as error:
            raise ValueError(f"A policy must be JSON: {error}") from None


_SPELLING = _Spelling(sort_keys=True, separators=(",", ":"), allow_nan=False)


def _has_fractions(value: Json) -> bool:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, float):
            return True
        if isinstance(one, Mapping):
            waiting.extend(one.values())
        elif isinstance(one, list | tuple):
            waiting.extend(one)
    return False


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()


# Differences (RFC 7396)


class Inexpressible(Exception):
    """A merge patch takes away what is null, so it cannot say that something has become null."""


def difference(before: Json, after: Json) -> Json:
    """The merge patch that makes ``after`` of ``before``. Raises ``Inexpressible``."""
    if not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        return _without_null(after)
    change: dict[str, Json] = dict.fromkeys(key for key in before if key not in after)
    for key, value in after.items():
        if key not in before:
            change[key] = _without_null(value)
        elif before[key] is not value and before[key] != value:
            change[key] = difference(before[key], value)
    return change


def _without_null(value: Json) -> Json:
    if value is None:
        raise Inexpressible
    if isinstance(value, Mapping):
        for inner in value.values():
            _without_null(inner)
    return value


def patched(before: Json, change: Json) -> Json:
    """What a merge patch makes of ``before``, which stays as it is."""
    if not isinstance(change, Mapping):
        return change
    found = dict(before) if isinstance(before, Mapping) else {}
    for key, value in change.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = patched(found.get(key), value)
    return found
