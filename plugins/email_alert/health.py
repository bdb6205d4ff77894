"""How it stands with mail, in words: plain functions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from appliance.api import Check, State, now, parse

from .sender import Status
from .store import Queue

NAME = "Mail"
WAITS_TOO_LONG = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known about mail at this moment."""

    has_server: bool
    confirmed: int
    refused: int
    status: Status
    queue: Queue

    def waits_too_long(self, moment: datetime) -> bool:
        """Whether a mail that may go has not gone for minutes."""
        oldest = self.queue.oldest_due
        return oldest is not None and moment - parse(oldest) > WAITS_TOO_LONG


def checks(standing: Standing, moment: datetime | None = None) -> list[Check]:
    """One line, and one more if addresses are refused or mails were given up."""
    return [_main(standing, moment or now()), *_addresses(standing)]


def _main(standing: Standing, moment: datetime) -> Check:
    """What matters most: a server in trouble, mails that wait, then what is not set up yet."""
    return _silent(standing, moment) or _not_set_up(standing) or _good(standing)


def _silent(standing: Standing, moment: datetime) -> Check | None:
    """Mail that is set up and does not go: while it lasts, an alert may not be heard."""
    trouble, queue = standing.status.trouble, standing.queue
    if not standing.has_server:
        return None
    if trouble is not None:
        waiting = f" {_mails(queue.waiting)} waiting." if queue.waiting else ""
        return _broken(trouble.what + waiting, trouble.todo or "It is tried again.")
    if standing.waits_too_long(moment):
        words = f"{_mails(queue.waiting)} waiting, one for longer than {WAITS_TOO_LONG.seconds // 60} minutes."
        return _broken(words, "The page Mail says why, address by address.")
    if 0 < standing.confirmed == standing.refused:
        words = "The mail server refuses every address, so alerts stay on the pages."
        return _broken(words, "Look at the addresses on the page Mail.")
    return None


def _broken(words: str, todo: str) -> Check:
    return Check(NAME, State.BROKEN, words, todo, alarm=True)


def _not_set_up(standing: Standing) -> Check | None:
    if not standing.has_server:
        words = "No mail server is named, so alerts stay on the pages."
        return Check(NAME, State.WARNING, words, "Set plugins.email_alert.server in the settings file.", alarm=True)
    if not standing.confirmed:
        words = "No address is confirmed, so alerts stay on the pages."
        return Check(NAME, State.WARNING, words, "The safeguarding lead adds an address on the page Mail.", alarm=True)
    return None


def _good(standing: Standing) -> Check:
    if not standing.status.tried:
        return Check(NAME, State.GOOD, "The mail server was not asked yet.", alarm=True)
    words = f"The mail server lets us in. {_mails(standing.queue.sent)} taken in the last two days."
    return Check(NAME, State.GOOD, words, alarm=True)


def _addresses(standing: Standing) -> list[Check]:
    found = []
    if 0 < standing.refused < standing.confirmed:
        words = f"{standing.refused} of {standing.confirmed} addresses are refused by the mail server."
        found.append(Check("Addresses for mail", State.BROKEN, words, "Look at them on the page Mail."))
    if standing.queue.given_up:
        words = f"{standing.queue.given_up} given up in the last two days: the mail server never took them."
        found.append(
            Check("Mails given up", State.BROKEN, words, "The alerts stand on the pages. Look at the page Mail.")
        )
    return found


def _mails(number: int) -> str:
    return "1 mail" if number == 1 else f"{number} mails"
