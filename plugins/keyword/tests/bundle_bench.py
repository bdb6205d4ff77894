"""What tests of bundles share: small policies, a publisher with a key, bundles made the way publishers make them."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from appliance.signing import SigningKey
from appliance_plugins.keyword.bundles.archive import MANIFEST, SIGNATURE, pack
from appliance_plugins.keyword.bundles.manifest import write_manifest
from appliance_plugins.keyword.bundles.signatures import TrustedKey, signature_line
from appliance_plugins.keyword.library import shipped

POLICY = """\
name: {name}
title: {title}
category: {category}
version: "{version}"
date: {date}
owner: somebody
summary: A policy that stands in tests of bundles.
hidden: {hidden}
terms:
{terms}"""
TERM = """\
  - id: {id}
    phrases: [{phrases}]
    severity: {severity}
    definition: What these words mean, for a teacher who reads it.
"""


def term(id_: str, phrases: str, severity: str = "moderate") -> str:
    """A term of a policy file."""
    return TERM.format(id=id_, phrases=phrases, severity=severity)


def policy(name: str, *terms: str, date: str = "2026-09-01", hidden: bool = False, title: str = "") -> str:
    """A policy file."""
    words = {"name": name, "title": title or name.capitalize(), "category": "bullying", "version": "1"}
    return POLICY.format(**words, date=date, hidden=str(hidden).lower(), terms="".join(terms))


FISH = policy("fish", term("cod", "smelly cod, silly cod"), term("eel", "slippery eel", "severe"))
BIRDS = policy("birds", term("gull", "greedy gull"))
NEW_FISH = policy(
    "fish", term("cod", "smelly cod, rotten cod", "severe"), term("ray", "stinging ray"), date="2026-11-20"
)


@dataclass
class Publisher:
    """Somebody who publishes policies."""

    name: str = "acme-words"
    key: SigningKey = field(default_factory=SigningKey.new)

    @property
    def trusted(self) -> TrustedKey:
        return TrustedKey("Acme", self.key.public)

    def files(self, version: int, policies: Mapping[str, str], notes: str = "New words.") -> dict[str, bytes]:
        """Everything in a bundle, signed."""
        content = {f"{name}.yaml": text.encode() for name, text in policies.items()}
        manifest = write_manifest(self.name, version, datetime.date(2026, 11, 20), notes, content)
        return {**content, MANIFEST: manifest, SIGNATURE: signature_line(self.key, manifest)}

    def bundle(self, version: int, policies: Mapping[str, str] | None = None, *, packed: bool = False) -> bytes:
        """A bundle as a school gets it."""
        return pack(self.files(version, {"fish": NEW_FISH} if policies is None else policies), packed=packed)

    def settings(self, source: object) -> str:
        """Settings of a school that trusts this publisher."""
        keys = f'[{{name: Acme, key: "{self.key.public.text}"}}]'
        return f'plugins: {{keyword: {{bundle: {{source: "{source}", keys: {keys}}}}}}}\n'


@contextmanager
def supplied(folder: Path) -> Iterator[None]:
    """Let the supplied policies be two small ones, in files of ``folder``."""
    folder.mkdir()
    (folder / "fish.yaml").write_text(FISH)
    (folder / "birds.yaml").write_text(BIRDS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shipped, "SUPPLIED", folder)
        shipped.supplied_policies.cache_clear()
        yield
    shipped.supplied_policies.cache_clear()
