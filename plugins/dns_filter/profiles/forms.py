"""Forms of these pages: what was typed, so that nothing is lost when a form is shown again, and its last day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

SECOND_LOOK = "This was not done yet. Read the note in the form, and tick that you mean it."
"""Stands at the top of the page, which may be long, when a form has warnings that nobody has confirmed."""


@dataclass(frozen=True, slots=True)
class GroupForm:
    """``group`` or ``name``: for whom; ``sure``: about what the warnings were read; ``errors`` by field, in words."""

    group: str = ""
    profile: str = ""
    reason: str = ""
    last_day: str = ""
    name: str = ""
    sure: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> GroupForm:
        """From the fields of a form; missing ones are empty."""
        names = ("group", "profile", "reason", "last_day", "name", "sure")
        group, profile, reason, last_day, name, sure = (fields.get(key, "").strip() for key in names)
        return cls(group, profile, reason, last_day, name, sure)

    @property
    def question(self) -> str:
        """What warnings are about: whoever reads them and then chooses somebody else is asked anew."""
        return f"{self.profile} for {self.name or self.group}"

    @property
    def is_sure(self) -> bool:
        """Whether the warnings about this very choice were read."""
        return self.sure == self.question


@dataclass(frozen=True, slots=True)
class EntryForm:
    """A site to allow or block. ``sure``: the warnings were read; ``whole``: the site that is meant after all.

    ``profile``: of a profile, or ``group:<id>`` or ``networks:<name>``; ``name``: of one device or person instead.
    """

    domain: str = ""
    action: str = "allow"
    profile: str = ""
    name: str = ""
    reason: str = ""
    last_day: str = ""
    sure: bool = False
    whole: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> EntryForm:
        """From the fields of a form or of an address."""
        domain, action, profile, name, reason, last_day, whole = (
            fields.get(key, "").strip()
            for key in ("domain", "action", "profile", "name", "reason", "last_day", "whole")
        )
        is_sure = fields.get("sure") == "yes"
        return cls(whole or domain, action or "allow", profile, name, reason, last_day, is_sure, whole)

    @property
    def group(self) -> str:
        """The group that was chosen, as ``Targets.find`` takes it; ``""`` if that was a profile."""
        kind, colon, _ = self.profile.partition(":")
        return self.profile.removeprefix("networks:") if colon and kind in ("group", "networks") else ""


def in_order(errors: Mapping[str, str], fields: Sequence[str]) -> dict[str, str]:
    """Errors in the order in which the fields stand on the page; those that belong to none come first."""
    return dict(sorted(errors.items(), key=lambda one: fields.index(one[0]) if one[0] in fields else -1))


def end_of(day: date, zone: ZoneInfo) -> datetime:
    """The midnight after a day, as the school's clocks show it."""
    return datetime.combine(day + timedelta(days=1), time(0), zone)


def reason_and_end(reason: str, last_day: str, zone: ZoneInfo, at: datetime) -> tuple[dict[str, str], datetime | None]:
    """What is wrong with reason and last day, by field, and the moment at which a change ends (``None``: never)."""
    errors = {}
    if not reason.strip():
        errors["reason"] = "Say why, so that the next person understands."
    until = None
    if last_day:
        try:
            until = end_of(date.fromisoformat(last_day), zone)
        except (ValueError, OverflowError):
            errors["last_day"] = "Give the last day as year, month and day, such as 2026-11-27, or leave it empty."
        else:
            if until <= at:
                errors["last_day"] = "The last day lies in the past. Choose a later one or leave it empty."
    return errors, until
