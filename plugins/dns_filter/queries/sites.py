"""Which site a name belongs to: what somebody registered, as far as simple rules can tell without a list of endings."""

from __future__ import annotations

from .records import MANY_NAMES

SHARED = frozenset({
    "ac", "co", "com", "edu", "gob", "gov", "govt", "go", "ltd", "me", "mod", "ne", "net", "nhs", "nic", "nom", "or",
    "org", "plc", "police", "sch", "school",
})  # fmt: skip
"""What stands before the ending of a country and is no name of anybody: ``co.uk``, ``com.au``, ``or.jp``."""

HOSTS = frozenset({
    "blogspot.com", "github.io", "gitlab.io", "glitch.me", "herokuapp.com", "neocities.org", "netlify.app", "pages.dev",
    "tumblr.com", "vercel.app", "web.app", "weebly.com", "wixsite.com", "wordpress.com", "workers.dev",
})  # fmt: skip
"""Sites that give a name below theirs to anybody: what stands before them is a site of its own."""

COUNTRY_LETTERS = 2


def site_of(name: str) -> str:
    """``www.bbc.co.uk`` is ``bbc.co.uk``; what has no more labels than its ending, or no dot, is itself."""
    if name == MANY_NAMES:
        return name
    labels = name.split(".")
    return ".".join(labels[-_labels_of_site(labels) :])


def _labels_of_site(labels: list[str]) -> int:
    ending = ".".join(labels[-2:])
    if ending == "sch.uk":  # name.county.sch.uk
        return 4
    if ending in HOSTS or (len(labels[-1]) == COUNTRY_LETTERS and labels[-2:-1] and labels[-2] in SHARED):
        return 3
    return 2
