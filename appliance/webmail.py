"""Sites where people write emails: what is typed there is an email, a surface of its own.

A browser only says that something was typed; the box knows by the address. Schools use a handful of these sites, and
what is missing here is looked at as typed text all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from appliance.exempt import canonical_host

SITES: Mapping[str, str] = {
    "mail.google.com": "/mail",  # /chat is something else
    "outlook.live.com": "",
    "outlook.office.com": "",
    "outlook.office365.com": "",
    "outlook.cloud.microsoft": "",
    "mail.yahoo.com": "",
    "www.icloud.com": "/mail",
    "mail.proton.me": "",
    "app.tuta.com": "",
    "app.fastmail.com": "",
    "mail.aol.com": "",
    "mail.zoho.com": "",
    "mail.zoho.eu": "",
}
"""Host (with everything below it) -> how the path begins where emails are written."""


def is_webmail(address: str) -> bool:
    """Whether emails are written at this web address. Never raises."""
    try:
        parts = urlsplit(address)
        name = canonical_host(parts.hostname or "")
    except ValueError:
        return False
    while name:
        if name in SITES:
            return parts.path.startswith(SITES[name])
        name = name.partition(".")[2]
    return False
