"""The form that adds a list: what was typed, so that nothing is lost, and what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import cast, get_args

from .formats import Format
from .list_settings import https_url
from .shipped import BYPASS, OTHER, Source, categories, sources
from .sources import LOCKED
from .store import NewSource

FORMATS: Mapping[str, str] = {
    "auto": "Find out",
    "domains": "One domain a line",
    "hosts": "A hosts file",
    "dnsmasq": "Settings of dnsmasq",
    "rpz": "A response policy zone (RPZ)",
    "adblock": "A filter for ad blockers",
    "ut1": "The layout of Toulouse, packed",
}
_NAME = re.compile(r"[a-z0-9_-]{1,40}")
_DIGEST = re.compile(r"([0-9a-f]{64})?")
_TYPED = ("source", "name", "url", "format", "category", "sha256", "reason")
LONGEST_REASON = 300


@dataclass(frozen=True, slots=True)
class ListForm:
    """``source``: the known source that it began with. ``errors`` by field, in words."""

    source: str = ""
    name: str = ""
    url: str = ""
    format: str = "auto"
    category: str = ""
    sha256: str = ""
    reason: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> ListForm:
        """From the fields of a form or of an address. A known source fills in what was not typed."""
        source, name, url, format_, category, sha256, reason = (fields.get(key, "").strip() for key in _TYPED)
        form = cls(source, name, url, format_ or "auto", category, sha256.lower(), reason)
        known = form.known
        if known is None or form.url:
            return form
        return replace(form, name=known.name, url=known.url, format=known.format, category=known.category)

    @property
    def known(self) -> Source | None:
        """The known source, if there is one of that name."""
        return next((each for each in sources() if each.name == self.source), None)

    def look_through(self, taken: Collection[str]) -> ListForm:
        """The form with all that is wrong with it. ``taken``: names that there are already."""
        errors = {}  # in the order of the form
        if not self.url:
            errors["url"] = "Type the address of the list. It starts with https://."
        else:
            try:
                https_url(self.url)
            except ValueError as error:
                errors["url"] = f"This is not an address to fetch from: {error}."
        if not _NAME.fullmatch(self.name):
            errors["name"] = "Give a name of small letters, digits and -, such as gambling-2."
        elif self.name in taken or self.name == BYPASS or self.name.startswith(LOCKED):
            errors["name"] = (
                "There is a list of this name already, or the name is kept for another use. Choose another."
            )
        if self.category not in categories():
            errors["category"] = "Choose what the list is about. Profiles switch on categories."
        if self.format not in get_args(Format):
            errors["format"] = "Choose how the list is written."
        if not _DIGEST.fullmatch(self.sha256):
            errors["sha256"] = "A SHA-256 has 64 digits and letters from a to f. Leave it empty if you have none."
        errors |= wrong_reason(self.reason)
        return replace(self, errors=errors)

    @property
    def new(self) -> NewSource:
        """What the store needs, of a form that is right."""
        known = self.known if self.known is not None and self.known.url == self.url else None
        return NewSource(
            name=self.name,
            title=known.title if known is not None else "",
            url=self.url,
            format=cast(Format, self.format),
            category=self.category,
            sha256=self.sha256,
            keeper=known.keeper if known is not None else "",
            licence=known.licence if known is not None else "",
        )


def wrong_reason(reason: str) -> dict[str, str]:
    """What is wrong with a reason, by field."""
    if not reason.strip():
        return {"reason": "Say why, so that the next person understands."}
    if len(reason) > LONGEST_REASON:
        return {"reason": f"Say it in at most {LONGEST_REASON} characters."}
    return {}


def fed(categories_fed: Collection[str]) -> list[str]:
    """Keys of the categories that no list feeds yet, in the order of the file."""
    return [key for key in categories() if key not in categories_fed and key != OTHER]
