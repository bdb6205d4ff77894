"""What a finding must be like before anybody believes it: it comes from a stranger's code and is kept for years."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from appliance.observations import Finding, Observation

MOST_FINDINGS = 200
LONGEST: Mapping[str, int] = {
    "policy": 200, "version": 100, "term": 200, "phrase": 1000, "definition": 4000, "found": 300, "why_severity": 1000,
}  # fmt: skip
"""Texts of a finding, and how many characters they may have."""
LISTS: Mapping[str, int] = {"steps": 20, "tried": 50}
"""Lists of sentences, and how many there may be."""
LONGEST_SENTENCE = 500
MOST_FACTS = 20
LONGEST_FACT = (200, 2000)
"""Characters of a fact's title and of its words."""
LONGEST_CLIP = 120
"""In seconds."""
_CATEGORY = re.compile(r"[a-z][a-z0-9_-]{0,59}")


class NoFinding(Exception):
    """What somebody gave is no finding: why, in words that hold nothing of it and follow "it"."""


def check_findings(data: Any, observation: Observation, detector: str) -> Sequence[Finding]:
    """The findings of ``detector`` in what came as JSON. Raises ``NoFinding``."""
    if not isinstance(data, list) or len(data) > MOST_FINDINGS:
        raise NoFinding(f"returned no list of at most {MOST_FINDINGS} findings")
    return [_finding(item, observation, detector) for item in data]


def _finding(data: Any, observation: Observation, detector: str) -> Finding:
    try:
        finding = Finding.of_json({**data, "detector": detector})
    except (TypeError, ValueError, LookupError):
        raise NoFinding("returned something that is no finding") from None
    _check_texts(finding)
    _check_lists(finding)
    _check_place(finding, observation)
    _check_choices(finding)
    return finding


def _check_texts(finding: Finding) -> None:
    for name, longest in LONGEST.items():
        if not _is_text(getattr(finding, name), longest):
            raise NoFinding(f"returned a finding whose {name} is no text of at most {longest} characters")
    if not (isinstance(finding.category, str) and _CATEGORY.fullmatch(finding.category)):
        raise NoFinding("returned a finding whose category is no key of a category")


def _check_lists(finding: Finding) -> None:
    for name, most in LISTS.items():
        sentences = getattr(finding, name)
        if len(sentences) > most or not all(_is_text(one, LONGEST_SENTENCE) for one in sentences):
            words = f"at most {most} texts of at most {LONGEST_SENTENCE} characters"
            raise NoFinding(f"returned a finding whose {name} are not {words}")
    if len(finding.facts) > MOST_FACTS or not all(map(_is_fact, finding.facts)):
        raise NoFinding(f"returned a finding whose facts are not at most {MOST_FACTS} pairs of a title and words")


def _check_place(finding: Finding, observation: Observation) -> None:
    if not (_is_number(finding.start) and _is_number(finding.end)):
        raise NoFinding("returned a finding whose place is no number")
    if not 0 <= finding.start <= finding.end <= len(observation.text):
        raise NoFinding("returned a finding whose place does not lie in the text")


def _check_choices(finding: Finding) -> None:
    for name in ("is_test", "picture"):
        if not isinstance(getattr(finding, name), bool):
            raise NoFinding(f"returned a finding whose {name} is neither true nor false")
    if not isinstance(finding.alert, bool | None):
        raise NoFinding("returned a finding whose alert is neither true, false nor nothing")
    if not _is_number(finding.clip_seconds) or not 0 <= finding.clip_seconds <= LONGEST_CLIP:
        raise NoFinding(f"returned a finding whose clip_seconds is no number from 0 to {LONGEST_CLIP}")


def _is_text(value: Any, longest: int) -> bool:
    return isinstance(value, str) and len(value) <= longest


def _is_fact(value: Any) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) == len(LONGEST_FACT)
        and all(_is_text(*one) for one in zip(value, LONGEST_FACT, strict=True))
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
