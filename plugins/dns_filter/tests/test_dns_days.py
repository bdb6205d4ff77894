"""Days in the words of the pages: the end that somebody chose is the last day, not the midnight after it."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

import pytest

from appliance_plugins.dns_filter.days import day_words, end_words

LONDON = ZoneInfo("Europe/London")


def test_a_day_is_written_as_everywhere_on_the_pages() -> None:
    assert day_words("2026-11-27") == day_words(date(2026, 11, 27)) == "Fri 27 Nov 2026"


@pytest.mark.parametrize(
    ("until", "words"),
    [
        ("2026-12-19T00:00:00.000Z", "the end of Fri 18 Dec 2026"),
        ("2026-07-01T23:00:00.000Z", "the end of Wed 1 Jul 2026"),  # midnight on the clocks of the school
        ("2026-12-19T10:00:00.000Z", "Sat 19 Dec 2026, 10:00"),
    ],
)
def test_an_end_is_the_last_day(until: str, words: str) -> None:
    assert end_words(until, LONDON) == words
