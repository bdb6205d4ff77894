"""Errors that carry words for the person who has to act: what happened, and what to do next."""

from __future__ import annotations

EXIT_BAD_SETTINGS = 2
EXIT_CANNOT_START = 75
"""EX_TEMPFAIL of sysexits.h: a held port, a store in use. systemd tries again; the trial ends and says why."""


class ApplianceError(Exception):
    """Something went wrong that a person can put right. ``str(error)`` says what happened, ``todo`` what to do next."""

    def __init__(self, what: str, todo: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.todo = todo

    def __str__(self) -> str:
        return f"{self.what} {self.todo}".rstrip()


class BadSettings(ApplianceError):
    """The settings have mistakes; ``str(error)`` has one a line. Nothing was started."""


class CannotStart(ApplianceError):
    """The whole process cannot start, for example because another program holds its port."""


class StoreError(ApplianceError):
    """The store could not keep or find what was asked of it. Nothing of the unit of work was kept."""


class StoreBusy(StoreError):
    """Too many units of work wait for the store; nothing was kept, try again later."""


class MigrationError(ApplianceError):
    """A history of migrations cannot be applied: it was changed, is newer than this program, or its SQL failed."""


class PluginError(ApplianceError):
    """A plugin cannot be let in: it fails to import, misspells a hook, breaks a rule."""


class PluginOff(ApplianceError):
    """The plugin that was asked for is switched off."""


class NotReady(ApplianceError):
    """Raised by a plugin's ``startup`` when it needs something that may come later; the appliance tries again."""


class Refused(ApplianceError):
    """A person asked for something that the rules do not allow; nothing was changed."""
