"""A bundle on trial: what it alone would have found is counted, and nothing of it is kept or shown to anybody.

In the detection process a finding of the trial is a note that holds the id of a term and no word of a text. In the main
process these notes are set aside before anything is done with findings, and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from appliance.api import Finding, Severity

_MARK = "on-trial:"
MOST_NOTES = 50
"""Of one text."""
_MEANS = (
    "A bundle of policies that is on trial would have found something here; those in force have not. This should have "
    "been counted only. It is shown because the part that counts did not work: see the Status page."
)


def notes(running: Collection[str], trial: Mapping[str, str]) -> list[Finding]:
    """What the trial alone has found in a text: terms (``policy/term``), with their categories."""
    alone = [term for term in sorted(trial) if term not in running]
    return [
        Finding(
            "Trial run of a bundle", "", f"{_MARK}{term}", "", trial[term], Severity.MINOR, _MEANS, 0, 0,
            picture=False, alert=False,
        )
        for term in alone[:MOST_NOTES]
    ]  # fmt: skip


def set_aside(findings: Sequence[Finding]) -> tuple[list[Finding], Counter[str]]:
    """Findings that count, and how often each term was found on trial alone."""
    counts = Counter(one.term.removeprefix(_MARK) for one in findings if one.term.startswith(_MARK))
    return [one for one in findings if not one.term.startswith(_MARK)], counts
