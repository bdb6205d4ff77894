"""What mails say, and that nothing in what they are made of can become a header or markup."""

from __future__ import annotations

import json
from email import message_from_bytes, policy
from email.message import EmailMessage
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.clock import now
from appliance.events import AlertRaised
from appliance_plugins.email_alert.addresses import (
    NotAnAddress,
    checked_address,
    code_hash,
    is_code,
    new_code,
    without_addresses,
)
from appliance_plugins.email_alert.words import (
    Letter,
    Stationery,
    alert_letter,
    code_letter,
    compose,
    head_letter,
    notice_letter,
    plain,
    staff_base,
)
from appliance_plugins.email_alert.words import test_letter as letter_of_a_test

PAPER = Stationery("box@school.example", "A school", "https://staff.school.example", False, ZoneInfo("Europe/London"))
HEADERS = {
    *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Auto-Response-Suppress", "Importance"),
    *("X-Priority", "MIME-Version", "Content-Type"),
}


def alert(**parts: object) -> AlertRaised:
    fields = {"alert": "a", "kind": "capture", "severity": "severe", "category": "Suicide", "step": 0}
    return AlertRaised(
        **{**fields, "accounts": (), "link": "/alerts/a", "occurred_at": "2026-07-01T13:05:00.000Z", **parts}
    )


def mail_of(letter: Letter, paper: Stationery = PAPER) -> EmailMessage:
    found = message_from_bytes(compose(letter, "0190", "lena@school.example", paper, now()), policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


def body(mail: EmailMessage, kind: str = "plain") -> str:
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content())


def test_an_alert_says_category_severity_time_link_and_what_to_do() -> None:
    mail = mail_of(alert_letter(alert()))
    assert mail["Subject"] == "Safeguarding alert: Severe, Suicide"
    assert mail["From"] == "A school <box@school.example>"
    assert mail["Message-ID"] == "<0190@school.example>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["X-Auto-Response-Suppress"] == "All"
    assert mail["Importance"] == "high"
    assert set(mail.keys()) <= HEADERS
    for words in (body(mail), body(mail, "html")):
        assert "Suicide" in words
        assert "Severe" in words
        assert "https://staff.school.example/alerts/a" in words
        assert "Wednesday 1 July 2026, 14:05 (Europe/London)" in words
        assert "This link opens only inside the school’s network." in words
        assert "sign in" in words


def test_a_mail_says_how_many_captures_there_are_by_now() -> None:
    assert "So far: 3 captures" in body(mail_of(alert_letter(alert(captures=3, step=1))))
    assert "captures" not in body(mail_of(alert_letter(alert())))


def test_a_mail_says_when_its_link_opens_outside() -> None:
    outside = Stationery("box@school.example", "", "https://staff.school.example", True, ZoneInfo("Europe/London"))
    mail = mail_of(alert_letter(alert()), outside)
    assert "This link opens outside the school as well." in body(mail)
    assert mail["From"] == "Safeguarding appliance <box@school.example>"


@pytest.mark.parametrize(
    ("parts", "subject"),
    [
        ({"kind": "test"}, "Safeguarding test"),
        ({"kind": "silence", "category": "DNS", "severity": ""}, "The safeguarding appliance fell silent: DNS"),
        (
            {"kind": "network", "category": "A second router", "severity": ""},
            "On the school’s network: A second router",
        ),
        ({"severity": "moderate"}, "Safeguarding alert: Moderate, Suicide"),
        ({"step": 2}, "Safeguarding alert: Severe, Suicide (nobody has taken it yet)"),
    ],
)
def test_each_kind_has_its_own_subject(parts: dict[str, object], subject: str) -> None:
    letter = alert_letter(alert(**parts))
    assert mail_of(letter)["Subject"] == subject
    assert ("Importance" in mail_of(letter)) == (parts.get("kind") not in ("test", "network"))


@pytest.mark.parametrize("kind", ["test", "silence", "network", "capture"])
def test_one_that_goes_on_says_that_nobody_has_taken_it(kind: str) -> None:
    assert "Nobody has taken this alert yet" in body(mail_of(alert_letter(alert(kind=kind, step=1))))


def test_other_mails_say_nothing_but_what_they_must() -> None:
    mail = mail_of(notice_letter("2026-07-01T13:05:00.000Z"))
    assert mail["Subject"] == "There is a notice for you"
    assert "https://staff.school.example/account" in body(mail)
    code = mail_of(code_letter("123456", 10, "2026-07-01T13:05:00.000Z"))
    assert "Code: 123456" in body(code)
    assert "123456" not in str(code["Subject"])  # it would stand on a locked phone
    assert "test mail" in str(mail_of(letter_of_a_test("2026-07-01T13:05:00.000Z"))["Subject"])


def test_a_signed_statement_is_attached_as_it_is() -> None:
    statement = "The audit of A school\nHead: 1:ab\nSigned with the key AB:CD\nSignature: x\n"
    mail = mail_of(head_letter("2026-07-01", statement, "AB:CD", "2026-07-02T03:15:00.000Z"))
    (attached,) = mail.iter_attachments()
    assert attached.get_filename() == "signed-head-2026-07-01.txt"
    assert attached.get_content().replace("\r\n", "\n") == statement


def test_the_same_letter_is_the_same_mail_down_to_the_last_octet() -> None:
    letter, moment = alert_letter(alert()), now()
    again = Letter.of(json.loads(json.dumps(letter.as_json())))
    assert again == letter
    first = compose(letter, "0190", "lena@school.example", PAPER, moment)
    assert compose(again, "0190", "lena@school.example", PAPER, moment) == first
    assert first.isascii()
    assert all(len(line) <= 998 for line in first.split(b"\r\n"))


NASTY = "x\r\nBcc: evil@example.org\r\n\r\n<script>alert(1)</script>\x00\x1b[31m\u2028Cc: two@example.org"


def test_line_ends_make_no_headers_and_marks_no_markup() -> None:
    paper = Stationery("box@school.example", NASTY, "https://staff.school.example", False, ZoneInfo("Europe/London"))
    for parts in ({}, {"kind": "silence"}, {"severity": NASTY}):
        letter = alert_letter(alert(category=NASTY, **parts))
        raw = compose(letter, "0190", "lena@school.example", paper, now())
        mail = mail_of(letter, paper)
        assert set(mail.keys()) <= HEADERS
        assert b"\nBcc" not in raw
        assert b"\nCc" not in raw
        assert "<script" not in body(mail, "html")
        assert "\x1b" not in body(mail)


@given(st.text(), st.text())
def test_no_text_breaks_a_mail(category: str, name: str) -> None:
    paper = Stationery("box@school.example", name, "https://staff.school.example", False, ZoneInfo("Europe/London"))
    mail = mail_of(alert_letter(alert(category=category)), paper)
    assert set(mail.keys()) <= HEADERS
    assert mail.defects == []
    assert "\n" not in plain(category)


@pytest.mark.parametrize("link", ["//evil.example", "https://evil.example", "/a\r\nx", "", "/a?b=c", "javascript:1"])
def test_a_link_is_a_page_of_ours_or_the_first_one(link: str) -> None:
    assert alert_letter(alert(link=link)).link == "/"


def test_links_name_the_port_if_it_is_not_the_usual_one() -> None:
    assert staff_base("school.example", 443) == "https://staff.school.example"
    assert staff_base("localhost", 8443) == "https://staff.localhost:8443"


@pytest.mark.parametrize("text", ["lena@school.example", "a.b+c'd@x.y", "L@S.example", "box@mail", " a@b.c "])
def test_addresses_are_taken(text: str) -> None:
    assert "@" in checked_address(text)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "lena",
            "lena@",
            "@school.example",
            "a@b@c",
            "a b@c.d",
            "a@b c",
            "a@-b.c",
            "a..b@c.d",
            ".a@b.c",
            "a@b..c",
        ),
        *("a@b.c\r\nBcc: x@y.z", "a@b.c, d@e.f", "<a@b.c>", "a@b.c>", "ä@b.c", "a@ü.de", "x" * 65 + "@b.c"),
        *("a@" + "b." * 130 + "c", '"a b"@c.d', "a@b.c\n", "a\x00@b.c"),
    ],
)
def test_what_is_no_address_is_refused_in_words(text: str) -> None:
    if text.strip() == "a@b.c":
        assert checked_address(text) == "a@b.c"
        return
    with pytest.raises(NotAnAddress, match="is not an email address"):
        checked_address(text)


def test_a_code_is_kept_as_a_hash_that_goes_with_its_address() -> None:
    code = new_code()
    assert len(code) == 6
    assert code.isdigit()
    kept = code_hash("one", code)
    assert code not in kept
    assert is_code("one", f" {code[:3]} {code[3:]} ", kept)
    assert not is_code("two", code, kept)
    assert not is_code("one", "000000" if code != "000000" else "000001", kept)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (
            "The mail server refuses lena@school.example: 550 5.1.1 <Lena@School.example> unknown.",
            "LEFT: 550 5.1.1 <an address>",
        ),
        ("The mail server does not let box@school.example send: 550 no.", "let box@school.example send"),
        ("It says: rcpt to:<lena+x@sub.school.example>;", "to:<an address>;"),
    ],
)
def test_whoever_need_not_know_reads_no_address_but_the_senders(words: str, wanted: str) -> None:
    shown = without_addresses(words, "Box@school.example")
    assert wanted.replace("LEFT", "refuses an address") in shown
    assert "lena" not in shown.lower()
