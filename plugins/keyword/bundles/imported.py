"""Lists of child-abuse and terrorist terms, as bodies such as the IWF and CTIRU hand them to schools.

A list becomes a hidden policy of the school that keeps no picture. Its terms are shown on no page and stand in no row;
on the disk they are encrypted under a key beside them, so that no search, no editor and no copy of the one file shows
them. The appliance comes with none.
"""

from __future__ import annotations

import csv
import datetime
import hashlib
import hmac
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from appliance.api import Refused, Severity, Surface, unwrap, wrap

from ..library.files import FEWEST_LETTERS, MOST_WORDS
from ..library.model import Matching, Policy, Term, folded

LARGEST = 4 * 1024 * 1024
MOST_TERMS = 50_000
LONGEST_TERM = 200
LONGEST_BODY = 80
WHOLE_WORD_BELOW = 5
"""Terms with fewer letters count only as they are written: disguises of so few letters are everywhere."""
HEADINGS = frozenset({"term", "terms", "keyword", "keywords", "phrase", "phrases", "word", "words"})
_ID_DIGITS = 16


class Kind(StrEnum):
    """What a list is about."""

    CHILD_ABUSE = "child-abuse"
    TERRORISM = "terrorism"

    @property
    def words(self) -> str:
        """For pages."""
        return {"child-abuse": "Child sexual abuse", "terrorism": "Terrorist material"}[self]

    @property
    def policy(self) -> str:
        """The name of its policy."""
        return f"imported_{self.value.replace('-', '_')}"


_MEANS: Mapping[Kind, str] = {
    Kind.CHILD_ABUSE: (
        "This is on the list of {body}: words with which people look for sexual abuse of children. Do not search for "
        "it and do not open what it led to, not even to check. The safeguarding lead decides today whom to tell; where "
        "a picture may have been seen or made, that is the police."
    ),
    Kind.TERRORISM: (
        "This is on the list of {body}: words of terrorist material. Do not search for it yourself. The safeguarding "
        "lead speaks with the pupil today, and decides about a Prevent referral and about telling the police."
    ),
}


@dataclass(frozen=True, slots=True)
class TermList:
    """A list as it was handed over. ``left_out``: how many lines were, by what they are."""

    kind: Kind
    body: str
    date: datetime.date
    terms: tuple[str, ...] = field(repr=False)
    left_out: Mapping[str, int] = field(default_factory=dict)

    def policy(self, key: bytes) -> Policy:
        """What it becomes. Ids of terms tell nothing without ``key``, and stay the same when a list is replaced."""
        means = _MEANS[self.kind].format(body=self.body)
        return Policy(
            self.kind.policy,
            f"{self.kind.words} (list of {self.body})",
            "illegal",
            self.date.isoformat(),
            self.date,
            self.body,
            f"Terms that {self.body} has handed to the school. They are shown nowhere.",
            tuple(_term(term, _id(key, term), means) for term in self.terms),
            hidden=True,
        )


def _term(phrase: str, id_: str, means: str) -> Term:
    letters = sum(map(len, folded(phrase)))
    return Term(
        id_, (phrase,), means, Severity.SEVERE, frozenset({Surface.TYPED, Surface.EMAIL, Surface.SEARCH}),
        matching=Matching.EXACT if letters < WHOLE_WORD_BELOW else Matching.LOOSE, picture=False, alert=True,
    )  # fmt: skip


def _id(key: bytes, phrase: str) -> str:
    return hmac.digest(key, " ".join(folded(phrase)).encode("utf-8"), hashlib.sha256).hex()[:_ID_DIGITS]


def taken_words(found: TermList) -> list[str]:
    """What has become of a list, sentence by sentence."""
    many = len(found.terms)
    left_out = [
        f"{number:,} {'line was' if number == 1 else 'lines were'} left out: {why}."
        for why, number in found.left_out.items()
    ]
    return [
        f"{many:,} {'term' if many == 1 else 'terms'} of {found.body} {'is' if many == 1 else 'are'} looked for now.",
        *left_out,
    ]


# Reading what was handed over


def read_list(content: bytes, kind: Kind, body: str, day: datetime.date) -> TermList:
    """A text with a term a line, or CSV with a heading such as ``term``. Raises ``Refused``, which repeats no term."""
    if len(content) > LARGEST:
        raise Refused(f"The list is larger than {LARGEST // 2**20} MiB.", "Is it the right file?")
    terms: dict[tuple[str, ...], str] = {}
    left_out: Counter[str] = Counter()
    for line in _lines(_text(content)):
        why = _why_left_out(line)
        words = folded(line)
        if why or words in terms:
            left_out[why or "there twice"] += 1
        else:
            terms[words] = line
    if not terms:
        raise Refused(
            "There is no term in this file.", "It is a text with a term a line, or CSV with a heading “term”."
        )
    if len(terms) > MOST_TERMS:
        raise Refused(f"The list holds more than {MOST_TERMS:,} terms.", "Is it the right file?")
    return TermList(kind, body_name(body), day, tuple(terms.values()), dict(left_out))


def body_name(text: str) -> str:
    """The name of whoever handed a list over. Raises ``Refused``."""
    found = " ".join(text.split())
    if not found or len(found) > LONGEST_BODY or not found.isprintable():
        raise Refused("Say who has handed the list over.", f"A name of at most {LONGEST_BODY} characters, such as IWF.")
    return found


def kind_of(text: str) -> Kind:
    """What a list is about. Raises ``Refused``."""
    try:
        return Kind(text)
    except ValueError:
        raise Refused("Say what the list is about.", f"One of: {', '.join(Kind)}.") from None


def _text(content: bytes) -> str:
    for encoding in ("utf-16",) if content.startswith((b"\xff\xfe", b"\xfe\xff")) else ("utf-8-sig", "cp1252"):
        try:
            return content.decode(encoding).removeprefix("\ufeff")
        except UnicodeDecodeError:
            continue
    raise Refused("This is no text.", "Save the list as a text or as CSV.")


def _lines(text: str) -> Iterator[str]:
    """Every term as it stands there."""
    rows = text.splitlines()
    first = next((row for row in rows if row.strip()), "")
    comma = max(",;\t", key=first.count)
    headings = [cell.strip().lower() for cell in next(csv.reader([first], delimiter=comma), [])]
    column = next((number for number, heading in enumerate(headings) if heading in HEADINGS), None)
    if column is None:
        yield from (row.strip() for row in rows if row.strip() and not row.lstrip().startswith("#"))
        return
    table = csv.reader(io.StringIO(text), delimiter=comma)
    cells = (row[column].strip() for row in table if len(row) > column)
    yield from (cell for number, cell in enumerate(filter(None, cells)) if number)


def _why_left_out(line: str) -> str:
    words = folded(line)
    if not words:
        return "without words"
    if len(line) > LONGEST_TERM or len(words) > MOST_WORDS:
        return "too long"
    if sum(map(len, words)) < FEWEST_LETTERS and line.isascii():
        return "so short as to be found everywhere"
    return ""


# On the disk


def seal(found: TermList, key: bytes) -> bytes:
    """What is written to the disk."""
    data = {"kind": found.kind, "body": found.body, "date": found.date.isoformat(), "terms": found.terms}
    return wrap(json.dumps(data).encode("utf-8"), key, _context(found.kind))


def unseal(sealed: bytes, kind: Kind, key: bytes) -> TermList:
    """What ``seal`` wrote. Raises ``Refused`` if it is damaged, or sealed under another key."""
    data = json.loads(bytes(unwrap(sealed, key, _context(kind))))
    return TermList(kind, data["body"], datetime.date.fromisoformat(data["date"]), tuple(data["terms"]))


def _context(kind: Kind) -> bytes:
    return b"keyword imported list " + kind.value.encode("ascii")
