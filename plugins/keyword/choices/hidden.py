"""Which words of hidden policies somebody may read: those that were found, if they may open such a capture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from appliance.api import Actor, Appliance, now

from ..library.model import Policy
from .applying import OURS

COUNTED = timedelta(days=365)
VAULT = "captures"


@dataclass(frozen=True, slots=True)
class Readable:
    """``found``: by ``policy/term``, in how many captures of a year it was found, and how many were false positives.

    Only captures count that this person may see. ``opens``: whether she can open what is sealed.
    """

    opens: bool
    found: Mapping[str, tuple[int, int]]

    def may_read(self, policy: Policy, term: str) -> bool:
        """Whether the words of a term may be shown. The school's stricter copy has the words of what was supplied."""
        if not policy.hidden:
            return True
        plain = f"{policy.name}/{term.removesuffix(OURS)}"
        return self.opens and (plain in self.found or plain + OURS in self.found)


async def readable(appliance: Appliance, who: Actor) -> Readable:
    """What ``who`` may read of hidden policies now."""
    counts = await appliance.captures.reading.term_counts(who, now() - COUNTED)
    found: dict[str, tuple[int, int]] = {}
    for (_, term), one in counts.items():  # a policy may have had several titles
        hits, wrong = found.get(term, (0, 0))
        found[term] = hits + one.hits, wrong + one.false_positives
    return Readable(await appliance.vaults.is_member(who.account, VAULT), found)
