"""A bad supplied term as a file for whoever writes the policies: nothing in it is about a pupil or names the school."""

from __future__ import annotations

import json

from appliance.api import Row

from .model import REASONS, Change

_HEAD = """\
# A report about a term of a supplied policy, for those who write the policies.
# It holds no text that anybody wrote, no name of a pupil and none of the school. Read it before you send it.
"""


def report(request: Row, found: int, false_positives: int) -> str:
    """YAML. ``found``: in how many captures within a year; ``false_positives``: how many of these were wrong."""
    lines = {
        "policy": request["policy"],
        "term": request["term"],
        "version": request["version"],
        "change": request["change"],
        "change_in_words": Change(request["change"]).words,
        "reason": request["because"],
        "reason_in_words": REASONS.get(request["because"], ""),
        "found_in_a_year": found,
        "false_positives": false_positives,
    }
    # A JSON text is a YAML text: it is quoted, so that no value can become something else.
    return _HEAD + "".join(f"{name}: {json.dumps(value, ensure_ascii=False)}\n" for name, value in lines.items())
