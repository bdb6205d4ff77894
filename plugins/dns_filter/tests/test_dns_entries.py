"""The school's own entries: what may be typed, what is refused with a reason, and what is warned of."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.api import Refused
from appliance_plugins.dns_filter.profiles.choices import shipped
from appliance_plugins.dns_filter.profiles.entries import advice, read_domain, refusal, warnings, whole_site

HELP = ("help.example", "talk.nhs.uk")


@pytest.mark.parametrize(
    ("typed", "domain"),
    [
        ("example.org", "example.org"),
        (" WWW.Example.ORG. ", "www.example.org"),
        ("https://user@www.example.org:8443/a/page?x=1#y", "www.example.org"),
        ("example.org/games", "example.org"),
        ("*.example.org", "example.org"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("greenfield.kent.sch.uk", "greenfield.kent.sch.uk"),
        ("www.gov.uk", "www.gov.uk"),
    ],
)
def test_what_people_paste_is_read(typed: str, domain: str) -> None:
    assert read_domain(typed) == (domain, "")


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("", "Type the domain"),
        ("uk", "single word"),
        ("co.uk", "very many sites share. Type the whole domain, such as example.co.uk."),
        ("https://SCH.uk/", "very many sites share. Type the whole domain, such as example.sch.uk."),
        ("*.com.br", "very many sites share. Type the whole domain, such as example.com.br."),
        ("10.0.0.1", "number or an address"),
        ("two words.org", "This holds a space, which no domain name has."),
        ("so!.org", "This holds '!', which no domain name has."),
        ("https://", "is empty"),
    ],
)
def test_what_is_no_domain_is_said_in_words(typed: str, words: str) -> None:
    domain, wrong = read_domain(typed)
    assert domain == ""
    assert words in wrong


def test_places_where_pupils_look_for_help_are_never_touched() -> None:
    assert "It is never blocked" in refusal("block", "www.help.example", HELP)
    assert "open for everybody already" in refusal("allow", "help.example", HELP)
    assert refusal("block", "example.org", HELP) == ""
    assert refusal("block", "nhs.uk", HELP) == ""
    (told,) = warnings("block", "nhs.uk", (), HELP)
    assert "talk.nhs.uk lies below it and stays open" in told
    assert refusal("open", "example.org", HELP) != ""


def test_broad_domains_and_locked_lists_are_warned_of() -> None:
    assert "This stops all of them" in warnings("block", "google.com", (), ())[0]
    assert "This opens all of them" in warnings("allow", "amazonaws.com", (), ())[0]
    assert warnings("allow", "maps.google.com", (), ()) == []
    (told,) = warnings("allow", "bad.example", ("Police list",), ())
    assert told == "The locked list Police list blocks it. No entry opens what a locked list blocks."
    assert warnings("block", "bad.example", ("Police list",), ()) == []


@pytest.mark.parametrize(
    ("domain", "site"),
    [
        ("www.youtube.com", "youtube.com"),
        ("youtube.com", "youtube.com"),
        ("a.b.shop.co.uk", "shop.co.uk"),
        ("greenfield.kent.sch.uk", "kent.sch.uk"),
        ("somebody.github.io", "somebody.github.io"),
    ],
)
def test_the_whole_site_of_a_name(domain: str, site: str) -> None:
    assert whole_site(domain) == site


def test_what_stays_open_beside_a_blocked_name_is_said() -> None:
    services = shipped().services
    narrow, service = advice("block", "www.youtube.com", services)
    assert narrow == "This blocks www.youtube.com alone: youtube.com and other names below it stay open."
    assert service.startswith("YouTube is reached by other names too, such as youtu.be. To block all of it, switch on")
    assert advice("block", "youtube.com", services) == [service]
    assert advice("block", "bad.example", services) == []
    assert advice("allow", "www.youtube.com", services) == []


async def test_the_same_entry_is_not_made_twice_and_undoing_makes_room(house: Any) -> None:
    store = house.plugin.profiles.store
    first = await store.add_entry("Jo", "allow", "example.org", "", "For maths", None)
    with pytest.raises(Refused, match="already"):
        await store.add_entry("Jo", "allow", "example.org", "", "Again", None)
    await store.add_entry("Jo", "allow", "example.org", "staff", "For staff alone", None)
    await store.undo_entry("Ada", first)
    await store.add_entry("Jo", "allow", "example.org", "", "Again", None)
    assert [entry.reason for entry in store.in_force.entries] == ["For staff alone", "Again"]
    assert [row["id"] for row in await store.over()] == [first]
    with pytest.raises(Refused, match="Say why"):
        await store.add_entry("Jo", "block", "example.org", "", "  ", None)
    details = await house.appliance.audit.rows(None, 10)
    assert "undid to allow a site" in [row["action"] for row in details]
