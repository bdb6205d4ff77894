"""Sentences of the test bench: those that came with the appliance, and sets that somebody has of their own.

A set is a list of mappings: ``text``, ``category`` (``none`` for a harmless sentence) and ``kind``, the way it is
written or what it is about. A file of YAML holds the list, a file of JSON lines one mapping a line; other keys are
left alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from appliance.errors import ApplianceError
from appliance.yamlfile import load_shipped_yaml, load_yaml, read_text

HARMLESS = "none"
MOST_SENTENCES = 5000
LONGEST = 2000
"""Characters of one sentence."""
LONGEST_KIND = 60
FILE = Path(__file__).parent / "sentences.yaml"
JSON_LINES = frozenset({".json", ".jsonl", ".ndjson"})
_CATEGORY = re.compile(r"[a-z][a-z0-9_-]{0,59}")


@dataclass(frozen=True, slots=True)
class BenchSentence:
    """One sentence: what is read, the category that should be found (``none``: nothing should), and its kind."""

    text: str
    category: str
    kind: str

    @property
    def is_harmless(self) -> bool:
        """Whether nothing should be found in it."""
        return self.category == HARMLESS

    @property
    def kind_words(self) -> str:
        """Its kind, for pages."""
        return kind_words(self.kind)


def kind_words(kind: str) -> str:
    """A kind for pages: two of ours have names that not every teacher knows."""
    return {"leet": "digits for letters", "spaced": "letters spaced out"}.get(kind, kind)


@cache
def bench_sentences() -> Sequence[BenchSentence]:
    """Those that came with the appliance. All of them are made up; none is anybody's."""
    return tuple(BenchSentence(row["text"], row["category"], row["kind"]) for row in load_shipped_yaml(FILE))


def read_sentences(file: Path) -> Sequence[BenchSentence]:
    """A set of somebody's own. Raises ``ApplianceError`` or ``ConfigError`` with what is wrong, and where."""
    rows = list(_json_lines(file)) if file.suffix.lower() in JSON_LINES else load_yaml(file)[0]
    try:
        return check_sentences(rows)
    except ApplianceError as error:
        raise ApplianceError(f"{file}: {error.what}", error.todo) from None


def _json_lines(file: Path) -> Iterator[Any]:
    for number, line in enumerate(read_text(file).split("\n"), 1):  # other line ends may stand in a text
        if line.strip():
            try:
                yield json.loads(line)
            except (ValueError, RecursionError):
                raise ApplianceError(f"{file}, line {number}: this is no JSON.", "Write one mapping a line.") from None


def check_sentences(rows: object) -> Sequence[BenchSentence]:
    """Sentences of plain data. Raises ``ApplianceError``, which repeats nothing of them."""
    if not isinstance(rows, list) or not rows:
        raise ApplianceError("There are no sentences in it.", "Write a list of mappings with text, category and kind.")
    if len(rows) > MOST_SENTENCES:
        raise ApplianceError(f"There are more than {MOST_SENTENCES:,} sentences in it.", "Judge them in parts.")
    return tuple(_sentence(row, number) for number, row in enumerate(rows, 1))


def _sentence(row: object, number: int) -> BenchSentence:
    if not isinstance(row, Mapping):
        raise ApplianceError(f"Sentence {number} is no mapping.", "Write text, category and kind.")
    text, category, kind = row.get("text"), row.get("category"), row.get("kind", "")
    if not isinstance(text, str) or not 0 < len(text) <= LONGEST:
        raise ApplianceError(f"Sentence {number} has no text of at most {LONGEST:,} characters.")
    if not isinstance(category, str) or not _CATEGORY.fullmatch(category):
        raise ApplianceError(f"Sentence {number} has no category.", f"Write one of categories.yaml, or {HARMLESS}.")
    if not isinstance(kind, str) or len(kind) > LONGEST_KIND:
        raise ApplianceError(f"The kind of sentence {number} is no text of at most {LONGEST_KIND} characters.")
    return BenchSentence(text, category, kind)
