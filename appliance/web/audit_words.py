"""The record of who did what, in words that a head can read, and the kinds in which it is shown.

A row names people of the directory by their ids (``person <id>``), so that a name can be erased while the row stays.
The name is put back here, for those who may see that person's records.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.db import Row
from appliance.web.templating import plural

SOMEBODY = "a person you may not see"
"""Somebody out of sight and somebody who was erased read the same."""
LONGEST_LIST = 10
_PHRASES: Mapping[str, str] = {
    "told of unusual access": "told somebody of unusual access:",
    "assigned": "set",
    "undid assignment": "undid",
    "assignment ended": "ended",
    "switched off plugin": "switched off",
    "removed plugin": "removed what was kept by",
    "admitted a member": "let somebody open",
    "removed a member": "took somebody out of those who can open",
    "dropped a member": "took a leaver out of those who can open",
    "has to be admitted again": "has to be let in again to open",
    "made vault": "made the key for",
    "began vault anew": "made the key anew for",
    "made a new key": "made a new key for",
    "found a damaged key": "found a damaged key for",
    "read an entry": "read an entry of",
    "put somebody on it": "put somebody on",
    "took somebody off it": "took somebody off",
    "added a note to an entry": "added a note to",
    "changed the dates of an entry": "changed the dates of somebody on",
    "wrote down who was told": "wrote down that these were told:",
    "opened an alert": "opened",
    "took an alert on": "took on",
    "passed an alert on": "passed on",
    "added a capture to an alert": "added a capture to",
    "closed an alert": "closed",
    "put on the allow list": "put on the",
    "took off the allow list": "took off the",
    "changed a web filter profile": "changed the web filter’s",
    "undid a change of a web filter profile": "undid a change of the web filter’s",
    "paused a web filter profile": "paused the web filter’s",
    "resumed a web filter profile": "ended the pause of the web filter’s",
    "undid to allow a site": "took back what allowed the site",
    "undid to block a site": "took back what blocked the site",
    "chose to allow a site": "allowed the site",
    "chose to block a site": "blocked the site",
    "kept a site blocked": "kept blocked, although it was asked for, the",
    "opened a site that was asked for": "let in, because it was asked for, the",
    "switched on listening": "switched on",
    "switched off listening": "switched off",
    "chose a web filter list": "added to the lists of the web filter:",
    "took out a web filter list": "took out of the lists of the web filter:",
    "accepted a smaller web filter list": "accepted a smaller copy of the web filter list",
    "went back to the web filter list from before": "went back to the copy before of the web filter list",
}
"""What was done, as it reads before its subject, where the two words do not read well side by side."""
_SUBJECTS: Mapping[str, str] = {
    "vault captures": "captures",
    "vault vulnerable list": "the vulnerable list",
    "vulnerable list": "the vulnerable list",
}
_ID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_PERSON = re.compile(rf"\bperson ({_ID})\b")
_ANYTHING = re.compile(_ID)


@dataclass(frozen=True, slots=True)
class Kind:
    """Rows that belong together. ``beginnings``: how what was done begins, as ``Audit.record`` was given it."""

    key: str
    title: str
    beginnings: tuple[str, ...]


KINDS: tuple[Kind, ...] = (
    Kind("looks", "Looking at pupils", ("looked at", "opened a capture", "read an entry", "told of unusual access")),
    Kind(
        "captures",
        "What was made of captures and alerts",
        (
            *("changed the status of a capture", "wrote about a capture", "deleted captures"),
            *("put on the allow list", "took off the allow list", "kept alerts quiet", "let alerts be shown"),
            *("opened an alert", "added a capture to an alert", "took an alert on", "passed an alert on"),
            "closed an alert",
        ),
    ),
    Kind(
        "filter",
        "The web filter",
        (
            *("changed a web filter profile", "undid a change of a web filter profile", "paused a web filter profile"),
            *("resumed a web filter profile", "chose to ", "undid to ", "kept a site blocked"),
            *("opened a site that was asked for", "read what somebody asked for", "wrote down who provides"),
            *("noted a check of", "chose who is told of", "chose a web filter list", "took out a web filter list"),
            *("accepted a smaller web filter list", "went back to the web filter list", "switched on listening"),
            *("switched off listening", "noted a network device as", "took back what was noted of"),
            "recognised a device",
        ),
    ),
    Kind(
        "policies",
        "What is looked for",
        (
            *("received a bundle of policies", "applied a bundle of policies", "went back to the policies before"),
            *("dropped a bundle of policies", "began a trial run", "replaced a list that was", "imported a list that"),
            *("removed a list that was handed over", "wrote a term of the school", "asked to change a supplied term"),
            *(
                "made a supplied term",
                "switched a supplied term",
                "kept a supplied term on",
                "made a policy",
                "ended a policy",
            ),
            *("ended a term of the school", "set a level for everybody", "undid a level for everybody"),
            *("set a level for certain hours", "undid a level for certain hours", "asked to watch for a name"),
            *("agreed to watch", "did not agree to watch", "stopped watching for a name", "accepted a word that"),
            "declined a word that",
        ),
    ),
    Kind(
        "monitoring",
        "Who is monitored, and what applies to whom",
        (
            *("assigned", "undid assignment", "assignment ended", "started a trial", "signed the report of a trial"),
            *("wrote down", "chose the monitoring", "named a reviewer", "took a reviewer back"),
        ),
    ),
    Kind(
        "people",
        "People, groups and devices",
        (
            *("added a ", "changed a ", "marked a ", "removed a person", "removed a name", "removed a device"),
            *("gave a device", "took a device", "brought a device", "put people", "put devices"),
            *("took people", "took devices", "made a group", "renamed a group", "deleted a group"),
            *("began an import", "imported people", "undid an import"),
            *("made an enrolment key", "withdrew an enrolment key", "let a browser in", "did not let a browser in"),
            *("took a browser out", "listed devices", "emptied the list of devices"),
            *("opened the door for devices", "closed the door for devices"),
            *("put somebody on", "took somebody off", "changed the dates"),
        ),
    ),
    Kind(
        "sign-in",
        "Signing in",
        (
            *("signed in", "signed out", "tried to sign in", "opened a locked browser", "opened a link"),
            *("opened the set-up link", "made a set-up link", "joined"),
        ),
    ),
    Kind(
        "accounts",
        "Accounts and who can open what",
        (
            *("made account", "disabled account", "let back in", "renamed", "said who this is", "changed role"),
            *("changed about whom", "made a link", "changed password", "changed second factor", "set a second factor"),
            *("made a new password", "made new recovery codes", "signed the review of accounts"),
            *("asked for a new second factor", "agreed to a new", "said no to a new"),
            *("made vault", "began vault anew", "made a new key", "found a damaged key"),
            *("admitted a member", "removed a member", "dropped a member", "has to be admitted"),
            *("confirmed a mail address", "removed a mail address", "sent a test mail"),
        ),
    ),
    Kind(
        "settings",
        "Settings",
        (
            *("changed setting", "undid setting", "setting ended", "took back setting", "put back setting"),
            "read settings again",
        ),
    ),
    Kind(
        "box",
        "The appliance itself",
        (
            *("switched off plugin", "let plugin in again", "removed plugin", "tried delivery", "gave delivery up"),
            *("signed the audit", "restored an identity file", "was shown a new code", "noted the code"),
            *("downloaded the identity file", "confirmed who keeps the identity file", "switched the second authority"),
        ),
    ),
)
OTHER = Kind("other", "Everything else", ())
"""What plugins record of their own."""


def kind_of(action: str) -> Kind:
    """The kind of what was done: the first whose beginnings fit."""
    return next((kind for kind in KINDS if action.startswith(kind.beginnings)), OTHER)


@dataclass(frozen=True, slots=True)
class Told:
    """One row in words: ``who`` did ``what`` to ``subject``, because of ``reason``, and what else it says."""

    seq: int
    at: str
    who: str
    what: str
    subject: str
    reason: str
    details: Sequence[tuple[str, str]]


def ids_in(rows: Iterable[Row]) -> set[str]:
    """Every id that rows name; some of them are people's."""
    return {one for row in rows for text in (row["subject"], row["detail"]) for one in _ANYTHING.findall(text)}


def tell(row: Row, people: Mapping[str, str | None]) -> Told:
    """One row in words. ``people``: the name of each id that is a person's, ``None`` if the reader may not see them."""
    found: Mapping[str, Any] = json.loads(row["detail"])
    shown = {key: value for key, value in found.items() if value is not None and value != ""}
    reason = shown.pop("reason", "")
    return Told(
        seq=row["seq"],
        at=row["at"],
        who=row["actor"],
        what=_before(row["action"], row["subject"]),
        subject=_with_names(_SUBJECTS.get(row["subject"], row["subject"]), people),
        reason=_in_words(reason, people),
        details=[(key.replace("_", " "), _in_words(value, people)) for key, value in shown.items()],
    )


def _before(action: str, subject: str) -> str:
    """What was done, without the word with which its subject begins: "changed a person" of "person 12"."""
    first = subject.partition(" ")[0]
    return _PHRASES.get(action) or action.removesuffix(f" {first}").removesuffix(" a")


def _with_names(text: str, people: Mapping[str, str | None]) -> str:
    text = _PERSON.sub(lambda found: people.get(found[1]) or SOMEBODY, text)
    return _ANYTHING.sub(lambda found: (people[found[0]] or SOMEBODY) if found[0] in people else found[0], text)


def _in_words(value: Any, people: Mapping[str, str | None]) -> str:
    if isinstance(value, str):
        return _with_names(value, people)
    if isinstance(value, list):
        return _listed([_in_words(one, people) for one in value])
    return _with_names(json.dumps(value, ensure_ascii=False), people)


def _listed(words: Sequence[str]) -> str:
    """A list for people who read: those out of sight as a number, a long one cut short."""
    unseen = words.count(SOMEBODY)
    told = [word for word in words if word != SOMEBODY]
    shown = told[:LONGEST_LIST]
    if len(told) > LONGEST_LIST:
        shown.append(f"{len(told) - LONGEST_LIST} more")
    if unseen:
        shown.append(SOMEBODY if unseen == 1 else f"{plural(unseen, 'person', 'people')} you may not see")
    return ", ".join(shown) or "none"
