"""The settings of lists: ``plugins.dns_filter.lists`` and what goes with them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from appliance.api import Section, Wrong, WrongSettings, setting

from .formats import Format
from .shipped import BYPASS, OTHER, categories

_RESERVED = (BYPASS,)


def https_url(text: str) -> str:
    """The address, if lists may be fetched from it: HTTPS, a host, nothing secret in it. Raises ``ValueError``."""
    parts = urlsplit(text)
    if parts.scheme != "https" or not parts.hostname:
        raise ValueError(f"{text!r} is not an address that starts with https:// and names a host")
    if parts.username or parts.password:
        raise ValueError("the address holds a user name or password, which would stand on pages; leave it out")
    if not text.isascii() or re.search(r"\s", text):
        raise ValueError("the address holds characters that addresses do not have")
    return text


def proxy_url(text: str) -> str:
    """The address of a proxy; ``""``: none. Raises ``ValueError``."""
    parts = urlsplit(text)
    if text and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ValueError(f"{text!r} is not the address of a proxy, such as http://proxy.school.internal:3128")
    return text


def category_key(text: str) -> str:
    """The key of a category of websites. Raises ``ValueError``."""
    if text not in categories():
        raise ValueError(f"{text!r} is not a category of websites; there are {', '.join(categories())}")
    return text


UrlText = Annotated[str, AfterValidator(https_url)]
ProxyText = Annotated[str, AfterValidator(proxy_url)]
CategoryKey = Annotated[str, AfterValidator(category_key)]
Sha256 = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,40}$")]


class ListSettings(Section):
    """A list of domains to block. It comes from one of `file`, `folder` and `url`."""

    name: Name = setting(..., "Name of the list, used in profiles and on pages: a-z, 0-9, - and _.")
    file: Path | None = setting(
        None, "A file with the list, packed or not. A relative path starts at the folder of the settings file."
    )
    folder: Path | None = setting(
        None,
        "A folder laid out as the lists of Toulouse are: a folder for each category with a file `domains`. Each "
        "becomes a list called by this name, - and the name of its folder.",
    )
    url: UrlText | None = setting(None, "An address to fetch the list from, starting with https://.")
    format: Format = setting(
        "auto",
        "How it is written. `auto`: find out. `domains`: one domain a line. `hosts`: `0.0.0.0 domain`. `dnsmasq`, "
        "`rpz`, `adblock`: as those programs have them. `ut1`: the layout of Toulouse, packed.",
    )
    category: CategoryKey = setting(
        OTHER, "The category of websites that it is about, such as `adult`. Profiles switch on categories."
    )
    locked: bool = setting(
        False,
        "Nobody can switch it off: every profile has it, pauses and trial runs do not touch it, and it stays in force "
        "when this line goes.",
    )
    sha256: Sha256 = setting("", "SHA-256 that the file must have, in hexadecimal; empty: any file is taken.")
    every: int = setting(
        24, "How often an address is looked at again; a file or folder is looked at every 5 minutes.", unit="hours",
        ge=1, le=720,
    )  # fmt: skip

    @model_validator(mode="after")
    def _comes_from_one_place(self) -> Self:
        if sum(place is not None for place in (self.file, self.folder, self.url)) != 1:
            raise WrongSettings(Wrong("it is not clear where the list comes from", (), "one of file, folder and url"))
        if self.name in _RESERVED:
            raise WrongSettings(Wrong(f"the name {self.name!r} is that of a built-in list", ("name",), "another name"))
        return self
