"""Exempt places: what belongs to one, what never does, and that no mistake in their file passes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.exempt import SHARED_ENDINGS, Exempt, ExemptPlace, canonical_host, host_problem
from appliance.yamlfile import ConfigError

SHIPPED = Path(__file__).parent.parent / "etc" / "help_seeking.yaml"

CHILDLINE = ExemptPlace("childline.org.uk", "Childline", "Someone to talk to")
NUMMER = ExemptPlace("kümmer.de", "Nummer gegen Kummer", "In German")


@pytest.mark.parametrize(
    "host",
    [
        "childline.org.uk",
        "www.childline.org.uk",
        "a.b.c.childline.org.uk",
        "WWW.ChildLine.Org.UK",
        "childline.org.uk.",
        " childline.org.uk ",
        "_dmarc.childline.org.uk",
        "\N{FULLWIDTH LATIN SMALL LETTER C}hildline.org.uk",
        "childline\N{IDEOGRAPHIC FULL STOP}org.uk",
    ],
)
def test_a_place_covers_its_host_and_everything_below_in_any_spelling(host: str) -> None:
    assert Exempt([CHILDLINE]).matches(host) == CHILDLINE


@pytest.mark.parametrize(
    "host",
    [
        "notchildline.org.uk",
        "not-childline.org.uk",
        "childline.org.uk.evil.example",
        "childline.org",
        "org.uk",
        "uk",
        "",
        ".",
        "..",
        "childline.org.uk..",
        ".org.uk",
        "xchildline.org.uk.",
        "https://childline.org.uk",
        "childline.org.uk:443",
        "childline.org.uk/help",
        "192.168.1.1",
        "::1",
        "x" * 64 + "ü.example",
        "a." * 500_000 + "childline.org.uk",
        "\udc80.example",
        "\x00",
    ],
)
def test_nothing_else_belongs_to_it(host: str) -> None:
    assert Exempt([CHILDLINE]).matches(host) is None


@pytest.mark.parametrize(
    "host", ["kümmer.de", "KÜMMER.DE", "www.xn--kmmer-kva.de", "XN--KMMER-KVA.de", "ku\N{COMBINING DIAERESIS}mmer.de"]
)
def test_an_international_name_is_found_in_unicode_and_in_ascii(host: str) -> None:
    exempt = Exempt([NUMMER])
    assert exempt.matches(host) == NUMMER
    assert exempt.hosts() == ("xn--kmmer-kva.de",)


LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True).filter(lambda text: "--" not in text)
HOST = st.lists(LABEL, min_size=2, max_size=4).map(".".join).filter(lambda host: not host_problem(host))


@given(st.lists(HOST, max_size=6, unique=True), HOST, st.lists(LABEL, max_size=3))
def test_a_host_matches_if_and_only_if_it_or_one_above_it_is_listed(
    listed: list[str], host: str, below: list[str]
) -> None:
    exempt = Exempt(ExemptPlace(name, name, "test") for name in listed)
    asked = ".".join([*below, host])
    labels = asked.split(".")
    above = {".".join(labels[start:]) for start in range(len(labels))}
    found = exempt.matches(asked)
    assert (found is not None) == bool(above & set(listed))
    if found is not None:
        assert found.host in above
        assert len(found.host) == max(len(name) for name in above & set(listed))


@given(st.text(max_size=300))
def test_no_text_breaks_it(host: str) -> None:
    assert Exempt([CHILDLINE]).matches(host) in (None, CHILDLINE)
    assert canonical_host(host).isascii()


def test_the_nearest_place_counts_where_one_lies_below_another() -> None:
    report = ExemptPlace("report.childline.org.uk", "Report Remove", "Pictures")
    exempt = Exempt([CHILDLINE, report])
    assert exempt.matches("www.report.childline.org.uk") == report
    assert exempt.matches("www.childline.org.uk") == CHILDLINE
    assert exempt.places() == (CHILDLINE, report)
    assert exempt.hosts() == ("childline.org.uk", "report.childline.org.uk")


@pytest.mark.parametrize("host", ["org.uk", "*.childline.org.uk", "", "https://childline.org.uk"])
def test_a_place_that_is_not_a_host_cannot_be_made(host: str) -> None:
    with pytest.raises(ValueError, match=r"is|has"):
        Exempt([ExemptPlace(host, "x", "y")])


# ------------------------------------------------------------------------------------------------------------ the file


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "help_seeking.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def places(*entries: str) -> str:
    return "places:\n" + "".join(f"  - {entry}\n" for entry in entries)


def entry(host: str, name: str = "Name", why: str = "Why") -> str:
    return f"{{host: {host}, name: {name}, why: {why}}}"


def mistakes_of(path: Path) -> str:
    with pytest.raises(ConfigError) as refusal:
        Exempt.load(path)
    return str(refusal.value)


def test_a_file_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, places(entry("Childline.ORG.uk."), entry("kümmer.de", "Nummer", "In German")))
    assert Exempt.load(path).places() == (
        ExemptPlace("childline.org.uk", "Name", "Why"),
        ExemptPlace("xn--kmmer-kva.de", "Nummer", "In German"),
    )


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "not a list of places"),
        ("- host: a.example\n", 1, "not a list of places"),
        ("places:\n", 1, "helplines could be blocked"),
        ("# first\nplaces: []\n", 2, "helplines could be blocked"),
        ("places: childline.org.uk\n", 1, "helplines could be blocked"),
        ("place:\n  - {host: a.example, name: A, why: B}\n", 1, "did you mean places?"),
        (places(entry("a.example"), "childline.org.uk"), 3, "places[1]: this is not a place"),
        (places("{host: a.example, nam: A, why: B}"), 2, "did you mean name?"),
        (places("{host: a.example, name: A}"), 2, "why is missing"),
        (places("{host: a.example, name: A, why: }"), 2, "why is missing"),
        (places("{host: a.example, name: 50808, why: B}"), 2, "name is not text, expected text; put it in quotes"),
        (places("{host: [a.example], name: A, why: B}"), 2, "host is not text"),
        (places(entry("a.example"), entry("https://b.example/help")), 3, "address of a page"),
        (places(entry("a.example"), entry("b.example/help")), 3, "address of a page"),
        (places(entry("'b.example:443'")), 2, "address of a page"),
        (places(entry("'*.b.example'")), 2, "has a star"),
        (places(entry("b example")), 2, "is not the name of a host"),
        (places(entry("b..example")), 2, "is not the name of a host"),
        (places(entry("-b.example")), 2, "is not the name of a host"),
        (places(entry("192.168.1.1")), 2, "is an IP address"),
        (places(entry("org.uk")), 2, "an ending that many places share"),
        (places(entry("UK.")), 2, "an ending that many places share"),
        (places(entry("a.example"), entry("b.example"), entry("A.example.")), 4, "listed twice (first on line 2)"),
        ("places:\n  - host: a.example\n   name: A\n", 3, ""),
        ("places:\n  - {host: a.example, host: b.example, name: A, why: B}\n", 2, "written twice"),
    ],
)
def test_each_mistake_is_named_with_file_and_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    path = write(tmp_path, text)
    said = mistakes_of(path)
    assert f"{path}:{line}: " in said
    assert words in said


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    said = mistakes_of(write(tmp_path, places(entry("org.uk"), "{}", entry("good.example"), entry("'*.b.example'"))))
    assert [line.split(":")[1] for line in said.splitlines()] == ["2", "3", "3", "3", "5"]


def test_a_missing_or_unreadable_file_is_never_an_empty_list(tmp_path: Path) -> None:
    assert "no such file" in mistakes_of(tmp_path / "none.yaml")
    assert str(tmp_path) in mistakes_of(tmp_path)
    path = tmp_path / "help_seeking.yaml"
    path.write_bytes(b"places:\n  - {host: \xff\xfe}\n")
    assert "UTF-8" in mistakes_of(path)


# ---------------------------------------------------------------------------------------------- the file that we supply


def test_the_supplied_file_is_right_and_knows_the_helplines() -> None:
    exempt = Exempt.load(SHIPPED)
    for host in (
        *("www.childline.org.uk", "www.nspcc.org.uk", "www.samaritans.org", "giveusashout.org", "www.papyrus-uk.org"),
        *("www.beateatingdisorders.org.uk", "student.kooth.com", "www.youngminds.org.uk", "www.mind.org.uk"),
        *("www.ceop.police.uk", "report.iwf.org.uk", "www.nationaldahelpline.org.uk", "rapecrisis.org.uk"),
        *("switchboard.lgbt", "mermaidsuk.org.uk", "www.talktofrank.com", "www.nacoa.org.uk", "www.nhs.uk"),
        *("www.runawayhelpline.org.uk", "www.brook.org.uk", "karmanirvana.org.uk", "www.meiccymru.org"),
        *("breathingspace.scot", "www.lifelinehelpline.info", "www.childline.ie", "988lifeline.org"),
        *("findahelpline.com", "www.stopitnow.org.uk", "shorespace.org.uk", "www.thesurvivorstrust.org"),
    ):
        assert exempt.matches(host) is not None, host


def test_the_supplied_file_exempts_no_large_site_and_no_ending() -> None:
    exempt = Exempt.load(SHIPPED)
    for host in (
        *SHARED_ENDINGS,
        *("uk", "ie", "org", "com", "scot", "wales", "gov.wales", "www.gov.uk", "www.google.com", "www.youtube.com"),
        *("www.reddit.com", "discord.com", "www.bbc.co.uk", "en.wikipedia.org", "www.tiktok.com", "chatgpt.com"),
    ):
        assert exempt.matches(host) is None, host


def test_every_supplied_place_is_written_as_it_is_matched() -> None:
    for place in Exempt.load(SHIPPED).places():
        assert f"- host: {place.host}\n" in SHIPPED.read_text("utf-8")
        assert len(place.why) <= 100, place
        assert not place.why.endswith("."), place


def test_the_way_to_add_a_place_that_the_file_describes_works(tmp_path: Path) -> None:
    text = SHIPPED.read_text("utf-8")
    lines = text.splitlines()
    start = lines.index("#   - host: counselling.example.org")
    added = [line.removeprefix("# ") for line in lines[start : start + 3]]
    exempt = Exempt.load(write(tmp_path, text + "\n".join(added) + "\n"))
    assert exempt.matches("www.counselling.example.org") == ExemptPlace(
        "counselling.example.org", "What people call it", "Who finds help there, in a few words"
    )
