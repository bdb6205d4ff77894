"""Where bundles of policies come from, and whom a school trusts to make them: ``plugins.keyword.bundle``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

from appliance.api import ApplianceError, PublicKey, Section, setting

from .signatures import TrustedKey


def _source(text: str) -> str:
    parts = urlsplit(text)
    if "://" not in text:
        return text
    if parts.scheme != "https" or not parts.hostname:
        raise ValueError(f"{text!r} is neither a file, nor a folder, nor an address that starts with https://")
    if parts.username or parts.password:
        raise ValueError("the address holds a user name or password, which would stand on pages; leave it out")
    return text


def _proxy(text: str) -> str:
    parts = urlsplit(text)
    if text and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ValueError(f"{text!r} is not the address of a proxy, such as http://proxy.school.internal:3128")
    return text


def _public_key(text: str) -> str:
    try:
        PublicKey.of_text(text)
    except ApplianceError as error:
        raise ValueError(f"{text!r} is no public key: {error}") from None
    return text


class KeySettings(Section):
    """A publisher that the school trusts."""

    name: str = setting(..., "Whose key it is, as pages show it.", min_length=1, max_length=80)
    key: Annotated[str, AfterValidator(_public_key)] = setting(
        ..., "The public key, as `appliance policy new-key` prints it. Compare the fingerprint with the publisher."
    )


class BundleSettings(Section):
    """Bundles of policies from whoever publishes them."""

    source: Annotated[str, AfterValidator(_source)] = setting(
        "",
        "Where bundles come from: a file, a folder, or an address that starts with https://. It is looked at once a "
        "day, and nothing is in force before somebody has looked at it. Empty: nowhere.",
        page=False,
    )
    keys: tuple[KeySettings, ...] = setting(
        (), "Publishers that the school trusts. A bundle that none of them has signed is refused.", page=False
    )
    proxy: Annotated[str, AfterValidator(_proxy)] = setting(
        "", "Proxy for fetching bundles, such as http://proxy.school.internal:3128. Empty: none."
    )
    max_mb: int = setting(8, "How large a bundle may be.", unit="MB", ge=1, le=32)
    remind_days: int = setting(
        120, "Policies that are older than this are called old. A term has about 120 days.", unit="days", ge=7, le=730
    )

    @property
    def trusted(self) -> tuple[TrustedKey, ...]:
        """The keys, ready to check signatures."""
        return tuple(TrustedKey(one.name, PublicKey.of_text(one.key)) for one in self.keys)

    @property
    def is_address(self) -> bool:
        """Whether bundles come over HTTPS."""
        return "://" in self.source

    @property
    def path(self) -> Path:
        """The file or folder that bundles come from."""
        return Path(self.source)
