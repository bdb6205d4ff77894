"""What mails say: category, severity, time and a link; never a name, a word that was found, or a picture.

A ``Letter`` is thought up when something happens and kept as JSON; ``compose`` makes the mail of it, always the same.
"""

from __future__ import annotations

import html
import re
from dataclasses import asdict, dataclass, field
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo

from appliance.api import AlertRaised

Kind = Literal["alert", "silence", "network", "test alert", "notice", "signed head", "test mail", "code"]
URGENT, SOON, LATER = 0, 1, 2
POLICY = SMTP.clone(cte_type="7bit")
SEVERITIES = {"severe": "Severe", "moderate": "Moderate", "minor": "Minor"}
DEFAULT_SENDER = "Safeguarding appliance"
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_PATH = re.compile(r"(/[A-Za-z0-9_.~-]+)+")


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail before it is one: plain words, nothing about any pupil."""

    kind: Kind
    subject: str
    said: tuple[str, ...]
    facts: tuple[tuple[str, str], ...] = ()
    link: str = ""
    todo: tuple[str, ...] = ()
    urgency: int = SOON
    attached: tuple[str, str] = ("", "")
    severity: str = ""
    at: str = ""
    """When what it tells of happened (a stamp)."""

    def as_json(self) -> dict[str, Any]:
        """For the outbox."""
        return asdict(self)

    @classmethod
    def of(cls, kept: dict[str, Any]) -> Self:
        """From the outbox."""
        facts = tuple((str(name), str(value)) for name, value in kept["facts"])
        name, text = kept["attached"]
        lists = {"said": tuple(kept["said"]), "todo": tuple(kept["todo"]), "facts": facts, "attached": (name, text)}
        return cls(**{**kept, **lists})


@dataclass(frozen=True, slots=True)
class Stationery:
    """What all mails of an appliance have in common. ``base``: how links to the staff pages begin."""

    sender: str
    sender_name: str
    base: str
    opens_outside: bool
    zone: ZoneInfo

    @property
    def domain(self) -> str:
        """The second half of every Message-ID."""
        return self.sender.rpartition("@")[2]


def staff_base(domain: str, port: int) -> str:
    """How the addresses of the staff pages begin."""
    return f"https://staff.{domain}" + ("" if port == 443 else f":{port}")


# What happened, as a letter


def alert_letter(event: AlertRaised) -> Letter:
    """The mail about an alert."""
    link = event.link if _PATH.fullmatch(event.link) else "/"
    waits = "Nobody has taken this alert yet, so it goes on to you."
    if event.kind == "silence":
        what = plain(event.category)
        said = (f"This part of the safeguarding appliance fell silent: {what}.",)
        return Letter(
            "silence",
            f"The safeguarding appliance fell silent: {what}",
            (*said, *([waits] if event.step else [])),
            (("What fell silent", what),),
            link,
            ("While it is silent, something about a pupil may go unnoticed. Open the page, and tell IT.",),
            URGENT,
            at=event.occurred_at,
        )
    if event.kind == "network":
        return _network_letter(event, link, waits)
    if event.kind == "test":
        said = ("This is a test of the safeguarding appliance: somebody typed the test phrase on a device.",)
        todo = (
            "The mail has arrived, so this part works. You need not do anything. The page shows the rest of the way.",
        )
        return Letter(
            "test alert", "Safeguarding test", (*said, *([waits] if event.step else [])), (), link, todo, LATER,
            at=event.occurred_at,
        )  # fmt: skip
    severity, category = SEVERITIES.get(event.severity, plain(event.severity)), plain(event.category)
    later = " (nobody has taken it yet)" if event.step else ""
    return Letter(
        "alert",
        f"Safeguarding alert: {severity}, {category}{later}",
        (waits,) if event.step else ("Something was seen on a school device that a responsible adult must look at.",),
        (("Category", category), ("Severity", severity), *_number(event.captures)),
        link,
        (
            "Open the link, sign in and read what was kept. Then press “I take this”, so that nobody else is called.",
            "If you believe that a child is in danger now, act as your school has agreed, before anything else.",
        ),
        URGENT,
        severity=event.severity,
        at=event.occurred_at,
    )


def _network_letter(event: AlertRaised, link: str, waits: str) -> Letter:
    """Something on the network goes around the appliance. Which device it is stands on the page alone."""
    what = plain(event.category)
    said = (f"The appliance noticed something on the school’s network: {what}.",)
    return Letter(
        "network",
        f"On the school’s network: {what}",
        (*said, *([waits] if event.step else [])),
        (("What was seen", what),),
        link,
        ("While it goes on, the web filter may not see or block what is opened. Open the page, and tell IT.",),
        at=event.occurred_at,
    )


def _number(captures: int) -> tuple[tuple[str, str], ...]:
    """How much has come by now, if it is more than one thing."""
    return (("So far", f"{captures} captures"),) if captures > 1 else ()


def notice_letter(at: str) -> Letter:
    """There is something to read. What it is stays on the pages."""
    return Letter(
        "notice",
        "There is a notice for you",
        ("There is a notice for you on the safeguarding pages. What it says stands there alone.",),
        link="/account",
        todo=("Open the link and sign in.",),
        urgency=LATER,
        at=at,
    )


def head_letter(day: str, statement: str, fingerprint: str, at: str) -> Letter:
    """A day's signed statement of where the audit stands, to be kept where the appliance cannot reach it."""
    return Letter(
        "signed head",
        f"Signed statement of the safeguarding audit, {plain(day)}",
        (
            "The appliance has signed where its record of who did what stands. The attached statement names nobody.",
            "Keep this mail. With it anybody can prove later whether the record was changed or cut off.",
        ),
        (("Day", plain(day)), ("Key", plain(fingerprint))),
        urgency=LATER,
        attached=(f"signed-head-{re.sub('[^0-9-]', '', day)}.txt", statement),
        at=at,
    )


def test_letter(at: str) -> Letter:
    """What the button “Send a test mail” sends."""
    return Letter(
        "test mail",
        "Safeguarding: this is a test mail",
        ("Somebody asked the safeguarding appliance for a test mail. If you read this, mail works.",),
        link="/email_alert",
        urgency=LATER,
        at=at,
    )


def code_letter(code: str, minutes: int, at: str) -> Letter:
    """The code that proves an address. It is never kept: this letter goes straight to the mail server."""
    return Letter(
        "code",
        "Code for alerts by mail",
        (
            "Somebody asked for safeguarding alerts to be mailed to this address.",
            f"If it was you, type this code on the page “Mail” of the appliance within {minutes} minutes.",
        ),
        (("Code", code),),
        todo=("If it was not you, do nothing: without the code, nothing is sent here.",),
        at=at,
    )


# A letter, as a mail


def compose(letter: Letter, letter_id: str, to: str, stationery: Stationery, queued: datetime) -> bytes:
    """The mail as it goes over the wire. The same letter always makes the same mail, down to its Message-ID."""
    mail = EmailMessage(policy=POLICY)
    name = plain(stationery.sender_name) or DEFAULT_SENDER
    mail["From"] = Address(name, addr_spec=stationery.sender)
    mail["To"] = Address(addr_spec=to)
    mail["Subject"] = plain(letter.subject)
    mail["Date"] = format_datetime(queued)
    mail["Message-ID"] = message_id(letter_id, stationery)
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    if letter.urgency == URGENT:
        mail["Importance"] = "high"
        mail["X-Priority"] = "1"
    page = _Page(letter, stationery)
    mail.set_content(page.text())
    mail.add_alternative(page.html(), subtype="html")
    file_name, content = letter.attached
    if content:
        mail.add_attachment(content, filename=file_name)
    for number, part in enumerate(mail.walk()):
        if part.is_multipart():
            part.set_boundary(f"=_{letter_id}_{number}")
    return mail.as_bytes()


def message_id(letter_id: str, stationery: Stationery) -> str:
    """The name under which mail programs know a mail: two with the same one are the same mail."""
    return f"<{letter_id}@{stationery.domain}>"


def plain(text: str) -> str:
    """Words for a header or a line: no line ends, no control characters, not too long."""
    return " ".join(_UNSEEN.sub(" ", text).split())[:200]


@dataclass(frozen=True, slots=True)
class _Page:
    """The body of a letter, twice: as plain text and as simple HTML."""

    letter: Letter
    stationery: Stationery
    _gap: str = field(default="\n\n", init=False)

    @property
    def url(self) -> str:
        return self.stationery.base + self.letter.link if self.letter.link else ""

    @property
    def facts(self) -> list[tuple[str, str]]:
        if not self.letter.at or self.letter.kind == "code":
            return list(self.letter.facts)
        local = datetime.fromisoformat(self.letter.at).astimezone(self.stationery.zone)
        return [
            *self.letter.facts,
            ("Time", f"{local:%A} {local.day} {local:%B %Y, %H:%M} ({self.stationery.zone.key})"),
        ]

    @property
    def where_it_opens(self) -> str:
        if self.stationery.opens_outside:
            return "This link opens outside the school as well."
        return "This link opens only inside the school’s network."

    @property
    def footer(self) -> str:
        return (
            "Sent by the school’s safeguarding appliance. On purpose, this mail has no name, no words and no picture. "
            "Do not answer it: nobody reads the answers."
        )

    def text(self) -> str:
        facts = "\n".join(f"{name}: {value}" for name, value in self.facts)
        link = f"{self.url}\n{self.where_it_opens}" if self.url else ""
        parts = (*self.letter.said, facts, link, *self.letter.todo, f"-- \n{self.footer}")
        return self._gap.join(part for part in parts if part) + "\n"

    def html(self) -> str:
        rows = "".join(f"<p><b>{_safe(name)}:</b> {_safe(value)}</p>\n" for name, value in self.facts)
        link = (
            f'<p><a href="{_safe(self.url)}">{_safe(self.url)}</a><br>\n{self.where_it_opens}</p>\n' if self.url else ""
        )
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">'
            f"<title>{_safe(plain(self.letter.subject))}</title></head>\n<body>\n"
            + "".join(f"<p>{_safe(words)}</p>\n" for words in self.letter.said)
            + rows
            + link
            + "".join(f"<p>{_safe(words)}</p>\n" for words in self.letter.todo)
            + f"<hr>\n<p><small>{_safe(self.footer)}</small></p>\n</body>\n</html>\n"
        )


def _safe(text: str) -> str:
    return html.escape(text)
