"""The form of a term: what was typed, checked by the rules of policy files, and what is good to know beforehand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appliance.api import LONGEST_CLIP, ConfigError, Mistake, Surface, section_of

from ..library.files import PolicyFile
from ..library.model import Matching, Policy, Term, folded

FEWEST_LETTERS = 4
"""Phrases with fewer are warned of."""
WHERE = tuple(one for one in Surface if one is not Surface.NAME)
"""Names of sites belong to addresses."""
_FIELDS = (
    *("phrases", "definition", "severity", "matching", "near", "unless", "pages_because", "clip_seconds", "alert"),
    *("reason",),
)
_LINES = ("phrases", "near", "unless")
FEWEST_OF_DEFINITION = 20
LONGEST_LINE = 1000
_STAND_INS: Mapping[str, Any] = {
    "phrases": ("words that stand in for others",),
    "definition": "What stands in for what it means.",
    "severity": "minor",
    "surfaces": ("typed",),
    "pages_because": "What stands in for a reason.",
    "matching": "loose",
    "near": (),
    "unless": (),
    "clip_seconds": 0,
}
"""Fields in the order of the form, and something sound for each."""
_PATH = re.compile(r"terms\[(\d+)\]\.?(\w*)(?:\[(\d+)\])?")


@dataclass(frozen=True, slots=True)
class TermForm:
    """``values``: what was typed, by field. ``surfaces``: what was ticked. ``sure``: the warnings were read.
    ``captures``: it is to be tried on captures too.
    """

    values: Mapping[str, str]
    surfaces: tuple[str, ...] = tuple(one.value for one in Surface if one.is_own_words)
    picture: bool = True
    sure: bool = False
    captures: bool = False
    errors: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def empty(cls, phrases: str = "", definition: str = "") -> TermForm:
        """A new form."""
        return cls({**dict.fromkeys(_FIELDS, ""), "phrases": phrases, "definition": definition, "matching": "loose"})

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> TermForm:
        """From the fields of a form; missing ones are empty."""
        return cls(
            {name: fields.get(name, "").strip() for name in _FIELDS},
            tuple(one.value for one in WHERE if f"on_{one.value}" in fields),
            fields.get("picture") == "yes",
            fields.get("sure") == "yes",
            fields.get("captures") == "yes",
        )

    @classmethod
    def of_entry(cls, entry: Mapping[str, Any]) -> TermForm:
        """From a term that was kept."""
        texts = {name: str(entry.get(name, "")) for name in _FIELDS if name not in _LINES}
        lines = {name: "\n".join(entry.get(name, ())) for name in _LINES}
        clip = str(entry["clip_seconds"]) if entry.get("clip_seconds") is not None else ""
        alert = {True: "yes", False: "no"}.get(entry.get("alert"), "")  # type: ignore[arg-type]
        return cls(
            {**texts, **lines, "clip_seconds": clip, "alert": alert, "reason": ""},
            tuple(entry.get("surfaces", ())),
            bool(entry.get("picture", True)),
        )

    def entry(self, term_id: str) -> dict[str, Any]:
        """What a policy file would say of it. A number that is none stays text, for the check to name it."""
        values = self.values
        entry: dict[str, Any] = {
            "id": term_id,
            "phrases": _lines(values["phrases"]),
            "definition": values["definition"],
            "surfaces": list(self.surfaces),
            "matching": values["matching"] or Matching.LOOSE.value,
            "near": _lines(values["near"]),
            "unless": _lines(values["unless"]),
            "pages_because": values["pages_because"],
            "picture": self.picture,
        }
        if values["severity"]:
            entry["severity"] = values["severity"]
        if values["alert"]:
            entry["alert"] = values["alert"] == "yes"
        if values["clip_seconds"]:
            number = values["clip_seconds"]
            entry["clip_seconds"] = int(number) if number.isascii() and number.isdigit() else number
        return entry


def check(policy: Policy, entry: Mapping[str, Any], others: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """What is wrong with a term, by field in the order of the form, in words. ``others``: the school's other terms of
    this policy.

    The rules of files look at a term only once each of its fields is sound: sound ones stand in for those that are not,
    so that everything is told at once.
    """
    found = dict(_unsound(entry))
    stand_ins = {name: _STAND_INS[name] for name in found}
    terms = [{**entry, **stand_ins}, *(one for one in others if one["id"] != entry["id"])]
    around = {
        "name": policy.name,
        "title": policy.title,
        "category": policy.category,
        "version": policy.version,
        "date": policy.date.isoformat(),
        "owner": policy.owner,
        "summary": "Around the terms of the school, so that they are checked.",
        "terms": terms,
    }
    try:
        section_of(json.dumps(around, ensure_ascii=False), Path("form"), PolicyFile)
    except ConfigError as error:
        for mistake in error.mistakes:
            field_name, words = _told(mistake)
            found.setdefault(field_name, words)
    return {name: found[name] for name in (*_STAND_INS, "form") if name in found}


def _unsound(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What is missing, or is not what it should be, in words."""
    if not entry["phrases"]:
        yield "phrases", "Write the words to look for, one way to say it on each line."
    if len(entry["definition"]) < FEWEST_OF_DEFINITION:
        yield (
            "definition",
            "Say in a sentence or two what it means and why it may matter, for a teacher who is no expert.",
        )
    if not entry.get("severity"):
        yield "severity", "Choose how severe it is."
    if not entry["surfaces"]:
        yield "surfaces", "Choose where it is looked for."
    if {Surface.PAGE, Surface.TITLE} & {*entry["surfaces"]} and not entry["pages_because"]:
        yield "pages_because", "Say why it is also looked for in what is read: most of that somebody else has written."
    for name in _LINES:
        if any(len(line) > LONGEST_LINE for line in entry[name]):
            yield name, f"A line is too long: write at most {LONGEST_LINE} characters on each."
    seconds = entry.get("clip_seconds", 0)
    if not isinstance(seconds, int) or seconds > LONGEST_CLIP:
        yield "clip_seconds", f"Write a number of seconds, 0 to {LONGEST_CLIP}, or leave it empty."


def _told(mistake: Mistake) -> tuple[str, str]:
    place = _PATH.match(mistake.path)
    name = place[2] if place is not None else ""
    if name in _LINES and "brackets" in mistake.expected:
        todo = " Write every bracket with its partner, such as I (want|need) to go, and no other kind of bracket."
    else:
        todo = f" Write {mistake.expected}." if mistake.expected else ""
    return name if name in _STAND_INS else "form", f"{mistake.message[:1].upper()}{mistake.message[1:]}.{todo}"


def _lines(text: str) -> list[str]:
    return list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))


# What is good to know


def warnings(term: Term, policies: Sequence[Policy]) -> list[str]:
    """What somebody should know before this term is kept."""
    return [*_short(term), *_single(term), *_known(term, policies)]


def _short(term: Term) -> Iterator[str]:
    for phrase in term.phrases:
        if sum(map(len, folded(phrase))) < FEWEST_LETTERS:
            yield (
                f"“{phrase}” has fewer than {FEWEST_LETTERS} letters. It counts only as a whole word exactly as it is "
                "written, and still it will stand in many harmless sentences."
            )


def _single(term: Term) -> Iterator[str]:
    alone = [phrase for phrase in term.phrases if len(folded(phrase)) == 1]
    if alone and not term.near:
        shown = ", ".join(f"“{one}”" for one in alone[:5])
        yield f"A single word is found wherever it stands: {shown}. Two or three words together say more."


def _known(term: Term, policies: Sequence[Policy]) -> Iterator[str]:
    mine = {folded(phrase): phrase for phrase in term.phrases}
    for policy in policies:
        if policy.hidden:
            continue
        for other in policy.terms:
            both = [mine[found] for one in other.phrases if (found := folded(one)) in mine]
            if both and other.id != term.id:
                yield f"“{both[0]}” is looked for already, in the policy “{policy.title}”."
                break


def suggestions(term: Term) -> list[str]:
    """Phrases and other forms to think of, for terms of a single word."""
    words = [folded(phrase)[0] for phrase in term.phrases if len(folded(phrase)) == 1]
    found = [form for word in words[:3] if word.isascii() for form in _around(word)]
    return [one for one in dict.fromkeys(found) if one not in {phrase.lower() for phrase in term.phrases}]


def _around(word: str) -> Iterator[str]:
    stem = word[:-1] if word.endswith("e") else word
    yield from (f"you are {word}", f"such a {word}", f"get {word}", f"want {word}")
    if not word.endswith("s"):
        yield f"{word}s"
    yield from (f"{stem}ed", f"{stem}ing")
