"""Times, numbers and values become words; texts are chosen by language."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from appliance.accounts.sessions import Session
from appliance.clock import stamp
from appliance.errors import ApplianceError
from appliance.web.assets import Assets
from appliance.web.pages import FLASHES_KEPT, SESSIONS_KEPT, Flashes, redirect
from appliance.web.settings_views import value_lines
from appliance.web.templating import ago, code_spans, local_date, local_time, plural, sentence
from appliance.web.texts import Texts

LONDON = ZoneInfo("Europe/London")
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("2026-11-24T09:30:00.123Z", "Tue 24 Nov 2026, 09:30"),
        ("2026-07-01T23:30:00.000Z", "Thu 2 Jul 2026, 00:30"),
        (datetime(2026, 3, 1, 8, 5, tzinfo=UTC), "Sun 1 Mar 2026, 08:05"),
        ("", ""),
        (None, ""),
    ],
)
def test_times_are_the_schools(value: str | datetime | None, words: str) -> None:
    assert local_time(value, LONDON) == words
    assert local_date(value, LONDON) == words.partition(",")[0]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "just now"),
        (9, "just now"),
        (-9, "just now"),
        (10, "10 seconds ago"),
        (59.9, "59 seconds ago"),
        (60, "1 minute ago"),
        (3599, "59 minutes ago"),
        (3600, "1 hour ago"),
        (86400, "1 day ago"),
        (86400 * 400, "400 days ago"),
        (-120, "in 2 minutes"),
    ],
)
def test_how_long_ago(seconds: float, words: str) -> None:
    assert ago(stamp(NOON - timedelta(seconds=seconds)), NOON) == words


def test_nothing_was_not_long_ago() -> None:
    assert ago(None, NOON) == ""


@pytest.mark.parametrize(
    ("number", "many", "words"),
    [(0, "", "0 rows"), (1, "", "1 row"), (1204, "", "1,204 rows"), (2, "rowen", "2 rowen")],
)
def test_plurals(number: int, many: str, words: str) -> None:
    assert plural(number, "row", many) == words


def test_a_sentence_begins_with_a_capital_and_keeps_the_others() -> None:
    assert sentence("which DNS names") == "Which DNS names"
    assert sentence("") == ""


def test_backticks_become_code_and_nothing_else_becomes_markup() -> None:
    assert code_spans("`a<b>` & <i>") == "<code>a&lt;b&gt;</code> &amp; &lt;i&gt;"


@pytest.mark.parametrize(
    ("value", "unit", "lines"),
    [
        (None, "", []),
        ("", "", []),
        ([], "", []),
        ({}, "", []),
        (True, "", ["yes"]),
        (False, "", ["no"]),
        (0, "", ["0"]),
        (8.0, "seconds", ["8 seconds"]),
        ("08:30:00", "", ["08:30"]),
        (["a", "b"], "", ["a", "b"]),
        ([{"name": "Autumn", "first_day": "2026-09-01", "why": ""}], "", ["name: Autumn, first day: 2026-09-01"]),
        ({"monday": {"start": "08:30:00"}}, "", ["monday: start: 08:30"]),
        ([{"addresses": []}], "", ["addresses: none"]),
    ],
)
def test_values_of_settings_in_words(value: Any, unit: str, lines: list[str]) -> None:
    assert value_lines(value, unit) == lines


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("en-GB,en;q=0.9", "en"),
        ("cy", "cy"),
        ("cy-GB;q=0.8,en;q=0.5", "cy"),
        ("en;q=0.4,cy;q=0.9", "cy"),
        ("fr,de", "en"),
        ("cy;q=0,en", "en"),
        ("cy;q=nonsense,*", "en"),
    ],
)
def test_the_language_that_the_browser_asks_for_first(tmp_path: Path, accepted: str, language: str) -> None:
    for name in ("en", "cy"):
        (tmp_path / f"{name}.yaml").write_text(f"language: {name}\n", encoding="utf-8")
    assert Texts(tmp_path).choose(accepted)["language"] == language


def test_every_language_has_the_same_texts() -> None:
    texts = Texts()
    shapes = {language: shape(words) for language, words in texts._texts.items()}
    assert all(found == shapes["en"] for found in shapes.values())


def shape(words: Any) -> Any:
    """The keys of a tree of texts, without the texts."""
    return {key: shape(inner) for key, inner in words.items()} if isinstance(words, dict) else type(words).__name__


def test_assets_that_are_not_there_are_named() -> None:
    with pytest.raises(ApplianceError, match=r"nothing\.css"):
        Assets({}).url("nothing.css")


@pytest.mark.parametrize(
    "location",
    [
        *("https://evil.example/", "//evil.example/", "/\\evil.example", "evil", ""),
        *("/\t/evil.example", "/\n/evil.example", "/\r\\evil.example", "/a\r\nSet-Cookie: a=b", "/\0"),
    ],
)
def test_redirects_stay_on_this_site(location: str) -> None:
    with pytest.raises(ApplianceError):
        redirect(location)


def session(name: str) -> Session:
    return Session(name, "work", "ada", NOON, NOON + timedelta(hours=10))


def test_words_for_the_next_page_are_few_and_for_one_session() -> None:
    flashes = Flashes()
    for number in range(FLASHES_KEPT + 3):
        flashes.add(session("a"), str(number))
    flashes.add(session("b"), "new")
    assert flashes.take(session("a")) == [str(number) for number in range(3, FLASHES_KEPT + 3)]
    assert flashes.take(session("a")) == []
    assert flashes.take(session("b")) == ["new"]
    assert flashes.take(session("b")) == []


def test_words_that_nobody_came_to_read_are_forgotten() -> None:
    flashes = Flashes()
    for number in range(SESSIONS_KEPT + 1):
        flashes.add(session(str(number)), "saved")
    assert flashes.take(session("0")) == []
    assert flashes.take(session("1")) == ["saved"]
