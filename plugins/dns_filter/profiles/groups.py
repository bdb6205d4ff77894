"""Who gets which profile: the groups of the settings, what a file fixes for them, and what was set on the page."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.api import Appliance, Row, Target, TargetKind, stamp

from ..policy import Mode
from ..settings import Settings
from ..snapshot import RangePart, resolve_ranges

KIND = "dns_profile"
"""What profiles are called among everything that can be set per group."""


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One group as the page shows it.

    ``profile`` applies now, because of ``origin`` (words). ``fixed``: the settings file says so and the page cannot
    change it. ``row_id``: the change made on a page that is in force, ``until``: its end (UTC stamp); ``""`` if none.
    """

    name: str
    title: str
    addresses: tuple[str, ...]
    profile: str
    mode: Mode
    origin: str
    fixed: bool
    row_id: str
    until: str


class Groups:
    """Reads ``assignments`` for the kind ``dns_profile``, which it declares."""

    def __init__(self, appliance: Appliance, settings: Settings) -> None:
        self._assignments = appliance.assignments
        self._settings = settings
        self._modes = {profile.name: profile.mode for profile in settings.profiles}
        self._assignments.declare(
            kind=KIND, default=settings.default_profile, fixed=settings.profile_of, options=self.profiles
        )

    @property
    def profiles(self) -> tuple[str, ...]:
        """The profiles to choose from."""
        return tuple(self._modes)

    def ranges(self) -> tuple[RangePart, ...]:
        """Network -> group and profile, for every network of every group, most specific first."""
        return resolve_ranges(self._assignments.networks(), self._own_profile, self._settings.default_profile)

    async def rows(self) -> list[GroupRow]:
        """Every group, in the order of the settings."""
        in_force = await self._in_force()
        ranges = self.ranges()
        return [
            self._row(group.name, group.title, group.addresses, ranges, in_force.get(group.name))
            for group in self._assignments.groups
        ]

    def default_row(self) -> GroupRow:
        """Every device that is in no group."""
        profile = self._settings.default_profile
        return GroupRow("", "All other devices", (), profile, self._modes[profile], "the default", True, "", "")

    def _row(
        self, name: str, title: str, addresses: tuple[str, ...], ranges: tuple[RangePart, ...], change: Row | None
    ) -> GroupRow:
        profile, origin = self._profile_and_origin(name, ranges)
        fixed = name in self._settings.profile_of
        return GroupRow(
            name=name,
            title=title or name,
            addresses=addresses,
            profile=profile,
            mode=self._modes[profile],
            origin=origin,
            fixed=fixed,
            row_id=change["id"] if change is not None and not fixed else "",
            until=(change["until"] or "") if change is not None and not fixed else "",
        )

    def _profile_and_origin(self, group: str, ranges: tuple[RangePart, ...]) -> tuple[str, str]:
        own = self._assignments.own(KIND, networks(group))
        if own is not None:
            return own.value, own.origin
        default = self._settings.default_profile
        around = next((part.profile for part in ranges if part.group == group), default)
        return (around, "the default") if around == default else (around, "the wider group around it")

    async def _in_force(self) -> dict[str, Row]:
        """Group -> the newest change made on a page that was neither undone nor has ended."""
        history = await self._assignments.history(KIND, limit=1000)
        now = stamp()
        open_ = [row for row in history if row["undone_at"] is None and (row["until"] is None or row["until"] > now)]
        return {row["target"]: row for row in reversed(open_)}

    def _own_profile(self, group: str) -> str | None:
        """What was set for the group itself; ``None`` if it gets what is around it."""
        own = self._assignments.own(KIND, networks(group))
        return own.value if own is not None else None


def networks(group: str) -> Target:
    """A group of networks, as the core's resolver names it."""
    return Target(TargetKind.NETWORKS, group)
