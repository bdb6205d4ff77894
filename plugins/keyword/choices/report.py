"""A bad supplied term as a file for whoever writes the policies: nothing in it is about a pupil or names the school."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from appliance.api import Row

from .model import REASONS, Change

_HEAD = """\
# A report about a term of a supplied policy, for those who write the policies.
# It holds no text that anybody wrote, no name of a pupil and none of the school. Read it before you send it.
"""


@dataclass(frozen=True, slots=True)
class Report:
    """A term and what is wrong with it. ``because``: a key of ``REASONS``, or empty.

    ``change``: what the school asked for or has done; ``None``: nothing. ``state``: what became of that.
    """

    policy: str
    term: str
    version: str
    because: str
    change: Change | None = None
    state: str = ""

    @classmethod
    def of_request(cls, row: Row) -> Report:
        """What somebody has asked for, whatever became of it."""
        change, state = Change(row["change"]), _STATES[row["state"]]
        return cls(row["policy"], row["term"], row["version"], row["because"], change, state)


_STATES: Mapping[str, str] = {
    "open": "asked for",
    "granted": "in force",
    "refused": "refused",
    "ended": "was in force, and is no more",
}


def report(about: Report, found: int, false_positives: int) -> str:
    """YAML. ``found``: in how many captures within a year; ``false_positives``: how many of these were wrong."""
    change = about.change
    lines = {
        "policy": about.policy,
        "term": about.term,
        "version": about.version,
        **({"change": change, "change_in_words": change.words, "change_is": about.state} if change else {}),
        "reason": about.because,
        "reason_in_words": REASONS.get(about.because, ""),
        "found_in_a_year": found,
        "false_positives": false_positives,
    }
    # A JSON text is a YAML text: it is quoted, so that no value can become something else.
    return _HEAD + "".join(f"{name}: {json.dumps(value, ensure_ascii=False)}\n" for name, value in lines.items())
