"""From the octets of a bundle to checked policies: its signature first, and nothing that is not signed is read."""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from appliance.api import ConfigError, Mistake, section_of

from ..library.files import PolicyFile
from ..library.model import Policy
from .archive import MANIFEST, SIGNATURE, BundleRefused, unpack
from .manifest import Manifest, check_files, read_manifest
from .signatures import TrustedKey, check_signature

_OPEN = re.compile(rb"^hidden:[ \t]*false[ \t]*(?:#.*)?$", re.MULTILINE)
MOST_LINES = 50
"""Mistakes that are told; the publisher's own tool tells all of them."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that was signed by somebody trusted and has no mistakes."""

    name: str
    version: int
    date: datetime.date
    notes: str
    signer: str
    fingerprint: str
    sha256: str
    """Of ``bundle.yaml``: two bundles with the same one hold the same."""
    policies: tuple[Policy, ...] = field(repr=False)

    @property
    def terms(self) -> int:
        """How many terms all its policies have."""
        return sum(len(policy.terms) for policy in self.policies)


def open_bundle(packed: bytes, trusted: Sequence[TrustedKey]) -> Bundle:
    """Check everything about a bundle. Raises ``BundleRefused``."""
    files = unpack(packed)
    manifest_text = manifest_in(files)
    signer = check_signature(files.get(SIGNATURE), manifest_text, trusted)
    manifest, policies = open_content(files)
    return Bundle(
        manifest.name, manifest.version, manifest.date, manifest.notes, signer.name, signer.key.fingerprint,
        hashlib.sha256(manifest_text).hexdigest(), policies,
    )  # fmt: skip


def open_content(files: Mapping[str, bytes]) -> tuple[Manifest, tuple[Policy, ...]]:
    """What an unpacked bundle holds, whoever has signed it. Raises ``BundleRefused``."""
    manifest = read_manifest(manifest_in(files))
    content = {name: files[name] for name in files if name not in (MANIFEST, SIGNATURE)}
    check_files(manifest, content)
    return manifest, read_policy_files(content)


def manifest_in(files: Mapping[str, bytes]) -> bytes:
    """The octets that are signed. Raises ``BundleRefused``."""
    if MANIFEST not in files:
        raise BundleRefused(f"It holds no {MANIFEST}.", "Is it a bundle of policies?")
    return files[MANIFEST]


def read_policy_files(files: Mapping[str, bytes], *, tell_all: bool = False) -> tuple[Policy, ...]:
    """The policies in these files, in the order of their names. Raises ``BundleRefused`` with all mistakes of all.

    ``tell_all``: also what stands in hidden policies, which no page may show; for whoever has written them.
    """
    policies: dict[str, Policy] = {}
    first: dict[str, str] = {}
    lines: list[str] = []
    for name in sorted(files):
        try:
            policy = _read(name, files[name])
        except ConfigError as error:
            lines += _told(name, files[name], error.mistakes, tell_all)
            continue
        if first.setdefault(policy.name, name) != name:
            lines.append(f"{name}: {first[policy.name]} has the name {policy.name} already.")
        policies[name] = policy
    if lines:
        more = [] if tell_all or len(lines) <= MOST_LINES else [f"… and {len(lines) - MOST_LINES} more."]
        raise BundleRefused(
            "Its policies have mistakes.", "Whoever publishes it has to mend them.",
            lines if tell_all else [*lines[:MOST_LINES], *more],
        )  # fmt: skip
    return tuple(policies.values())


def _read(name: str, content: bytes) -> Policy:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigError([Mistake(Path(name), None, "", "this is no text in UTF-8")]) from None
    return section_of(text, Path(name), PolicyFile)[0].policy()


def _told(name: str, content: bytes, mistakes: Sequence[Mistake], tell_all: bool) -> Iterator[str]:
    if tell_all or not _may_be_hidden(content):
        yield from map(str, mistakes)
    else:
        yield f"{name}: {len(mistakes)} mistakes, which are not shown because this policy may be a hidden one."


def _may_be_hidden(content: bytes) -> bool:
    """Whether a file with mistakes may hold what no page shows. YAML can say so in many ways, and a mistake in any."""
    return b"hidden" in _OPEN.sub(b"", content)
