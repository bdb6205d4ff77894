"""Where emails are written: sites of webmail, and nothing beside them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.webmail import SITES, is_webmail


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://mail.google.com/mail/u/0/#inbox?compose=new", True),
        ("https://mail.google.com/chat/u/0/", False),
        ("https://MAIL.google.com./mail/", True),
        ("https://google.com/mail/", False),
        ("https://mail.google.com.example/mail/", False),
        ("https://outlook.office.com/mail/", True),
        ("https://outlook.live.com/mail/0/", True),
        ("https://office.com/", False),
        ("https://uk.mail.yahoo.com/d/compose/1", True),
        ("https://www.icloud.com/mail/", True),
        ("https://www.icloud.com/photos/", False),
        ("https://mail.proton.me/u/0/inbox", True),
        ("mail.proton.me", False),
        ("https://[", False),
        ("", False),
    ],
)
def test_an_address_is_one_where_emails_are_written_or_not(address: str, *, expected: bool) -> None:
    assert is_webmail(address) is expected


@pytest.mark.parametrize("host", SITES)
def test_every_site_counts_with_what_is_below_it(host: str) -> None:
    assert is_webmail(f"https://{host}{SITES[host]}/compose")
    assert is_webmail(f"https://eu.{host}{SITES[host]}/compose")


@given(st.text(max_size=60))
def test_no_address_is_too_odd(address: str) -> None:
    is_webmail(address)
    is_webmail(f"https://{address}")
