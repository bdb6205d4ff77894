"""Events: facts that have happened. Stored in the transaction of what caused them, then delivered to listeners.

Only the core's events cross plugins: a plugin cannot import another plugin's classes.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from appliance.clock import new_id, stamp


class Event(BaseModel):
    """Base of all events. Fields are JSON; a field that an older version wrote and this one lacks is ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    id: str = Field(default_factory=new_id, description="UUID of version 7.")
    occurred_at: str = Field(default_factory=stamp, description="When it happened, UTC.")


class PluginSwitchedOff(Event):
    """A plugin failed and was switched off; everything else goes on."""

    plugin: str = Field(description="Name of the plugin.")
    reason: str = Field(description="What it did, in words.")


class SettingChanged(Event):
    """A setting was changed or its change undone on a page."""

    path: str = Field(description="Dotted path, for example `web.port`.")
    author: str = Field(description="Who did it.")


class AssignmentChanged(Event):
    """What applies to a group, a device or a person was changed, undone, or came to its end."""

    kind: str = Field(description="What is assigned, for example `dns_profile`.")
    target_kind: str = Field(description="`networks` (a group of the settings), `group`, `device` or `person`.")
    target: str = Field(description="Name of the group of the settings, else the id in the directory.")


class NoticeMade(Event):
    """Somebody was left a few words on their pages. What they say, and about whom, stays there."""

    accounts: tuple[str, ...] = Field(description="Ids of the accounts that were told.")
    kind: str = Field(description="What it is about, for example `new browser`.")


class AuditHeadSigned(Event):
    """The appliance signed where the audit stands. Whoever keeps the statement elsewhere can prove what it holds."""

    day: str = Field(description="The day in the school's time zone, ISO 8601.")
    statement: str = Field(description="The signed file, as text. It names nobody.")
    fingerprint: str = Field(description="SHA-256 of the public key that it is signed with.")


class AlertRaised(Event):
    """An alert was opened, or nobody took it in time and it went on to others. It says nothing about any pupil."""

    alert: str = Field(description="Id of the alert.")
    kind: str = Field(description="`capture`, `test`, `silence` or `network`.")
    severity: str = Field(description="`severe`, `moderate` or `minor`; empty for silence and the network.")
    category: str = Field(description="Name of the category on pages; for silence and the network, what it is.")
    step: int = Field(description="0 when it was opened; one more each time it went on.")
    accounts: tuple[str, ...] = Field(description="Ids of the accounts that are told at this step.")
    link: str = Field(description="Path of its staff page.")
    captures: int = Field(1, description="How many captures it is about by now; for silence and the network, 1.")
    for_team: bool = Field(
        False, description="Whether every safeguarding lead may see it. If not, no shared mailbox may be told."
    )


class DirectoryChanged(Event):
    """People, groups or devices were added, changed or marked. Who and what stands in the directory, not here."""

    what: str = Field(description="`people`, `groups` or `devices`.")


CORE_EVENTS: tuple[type[Event], ...] = (
    PluginSwitchedOff,
    SettingChanged,
    AssignmentChanged,
    NoticeMade,
    AuditHeadSigned,
    AlertRaised,
    DirectoryChanged,
)
