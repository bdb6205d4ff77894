"""Terms in the names of sites: whole words between dots and hyphens, of policies that look for them there."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.observations import Observation, Surface
from appliance_plugins.keyword.judge import Judge
from appliance_plugins.keyword.library.reading import read_policies

TEST_PHRASE = "purple penguins juggle pineapples"
POLICY = """\
name: local
title: Local words
category: bullying
version: "3"
date: 2026-09-01
owner: Mrs Khan
summary: Words that only our school knows.
terms:
  - id: end-it
    phrases: [end it]
    severity: minor
    surfaces: [name]
    definition: Two short words that also end the names of many sites.
  - id: sex
    phrases: [sex, sexy]
    severity: minor
    surfaces: [typed, address]
    definition: A short word that stands within many others.
  - id: typed-only
    phrases: [green giant]
    severity: minor
    surfaces: [typed]
    definition: Looked for in what is typed, and nowhere else.
"""


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    (tmp_path / "local.yaml").write_text(POLICY)
    return Judge([policy for policy in read_policies(tmp_path) if policy.name == "local"], TEST_PHRASE)


@pytest.mark.parametrize(
    ("host", "terms"),
    [
        ("end-it.example", ["local/end-it"]),
        ("www.how-to-end-it-now.example", ["local/end-it"]),
        ("week-end.it", []),  # a country
        ("end.it", []),
        ("send-it.example", []),
        ("sexy.example", ["local/sex"]),
        ("sex.example", []),
        ("free-SEXY.example", ["local/sex"]),
        ("essex.gov.uk", []),
        ("www.middlesex-hospital.example", []),
        ("green-giant.example", []),
        ("purple-penguins-juggle-pineapples.example", []),
    ],
)
def test_terms_in_names(judge: Judge, host: str, terms: list[str]) -> None:
    found = judge.detect(Observation("1", "", Surface.NAME, host, host=host))
    assert [one.term for one in found] == terms
    assert all("." not in host[one.start : one.end] for one in found)


def test_an_address_is_looked_through_whole(judge: Judge) -> None:
    found = judge.detect(Observation("1", "", Surface.ADDRESS, "https://sexy.example/a"))
    assert [one.term for one in found] == ["local/sex"]
