"""Where the work on a capture stands: seven statuses, as people at schools call them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Status(StrEnum):
    """A status, as it stands in the store. ``label`` is for pages."""

    UNCLASSIFIED = "unclassified"
    REQUIRES_ATTENTION = "requires_attention"
    INVESTIGATION = "investigation"
    ESCALATED = "escalated"
    FALSE_POSITIVE = "false_positive"
    FALSE_POSITIVE_ALLOW = "false_positive_allow"
    RESOLVED = "resolved"

    @property
    def label(self) -> str:
        """The status in words."""
        return _LABELS[self]

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to be done."""
        return self in FINISHED


_LABELS: Mapping[Status, str] = {
    Status.UNCLASSIFIED: "Unclassified",
    Status.REQUIRES_ATTENTION: "Requires attention",
    Status.INVESTIGATION: "Under investigation",
    Status.ESCALATED: "Escalated",
    Status.FALSE_POSITIVE: "Resolved as false positive",
    Status.FALSE_POSITIVE_ALLOW: "Resolved as false positive and added to the allow list",
    Status.RESOLVED: "Resolved",
}
FINISHED = frozenset({Status.FALSE_POSITIVE, Status.FALSE_POSITIVE_ALLOW, Status.RESOLVED})
CHOICES = tuple(status for status in Status if status is not Status.UNCLASSIFIED)
"""What somebody may set: a capture that was looked at is never unclassified again."""
