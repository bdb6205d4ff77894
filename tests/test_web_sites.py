"""The host name leads to a site; a name that is not ours leads nowhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.web.sites import Hosts, host_name

OWN = "192.168.1.10"


@pytest.mark.parametrize(
    ("host", "site"),
    [
        ("staff.safeguarding.internal", "staff"),
        ("pupil.safeguarding.internal:8443", "pupil"),
        ("endpoint.safeguarding.internal", "endpoint"),
        ("STAFF.Safeguarding.Internal.", "staff"),
        ("safeguarding.internal", "staff"),
        ("localhost:8443", "staff"),
        ("192.168.1.10:8443", "staff"),
        ("127.0.0.1", "staff"),
        ("[::1]:8443", "staff"),
        ("192.168.1.11", None),
        ("[fd00::1]:8443", None),
        ("evil.example", None),
        ("staff.safeguarding.internal.evil.example", None),
        ("evilsafeguarding.internal", None),
        ("other.safeguarding.internal", None),
        ("staff.localhost", None),
        ("", None),
        (":8443", None),
        ("[", None),
        ("0x7f000001", None),
        ("2130706433", None),
    ],
)
def test_each_host_has_its_site(host: str, site: str | None) -> None:
    assert Hosts("safeguarding.internal").site(host, OWN) == site


@pytest.mark.parametrize(
    ("host", "own", "site"),
    [
        ("[fd00::2]:8443", "fd00::2", "staff"),
        ("[fd00:0:0:0:0:0:0:2]", "fd00::2", "staff"),
        ("[fe80::1]", "fe80::1%eth0", "staff"),
        ("10.0.0.1", "", None),
        ("10.0.0.1", "10.0.0.2", None),
    ],
)
def test_an_address_must_be_the_one_that_the_connection_came_in_at(host: str, own: str, site: str | None) -> None:
    assert Hosts("localhost").site(host, own) == site


def test_under_make_run_the_sites_are_below_localhost() -> None:
    hosts = Hosts("localhost")
    assert [hosts.site(f"{name}.localhost:8443", "127.0.0.1") for name in ("staff", "pupil", "endpoint")] == [
        "staff",
        "pupil",
        "endpoint",
    ]


@given(st.text())
def test_no_header_whatever_it_holds_breaks_anything(host: str) -> None:
    site = Hosts("safeguarding.internal").site(host, OWN)
    assert site is None or host_name(host)
