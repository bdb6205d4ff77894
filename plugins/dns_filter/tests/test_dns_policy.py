"""What a profile says of a name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance_plugins.dns_filter.policy import Decision, Mode, NamedList, Profile, decide

ADS = NamedList("ads", frozenset({"ads.example", "deep.cdn.example", "video.example", "help.example", "both.example"}))
GAMES = NamedList("games", frozenset({"games.example", "cdn.example", "both.example"}))
ALLOW = frozenset({"maps.video.example", "cdn.example", "both.example", "school.example"})
EXEMPT = frozenset({"help.example", "chat.games.example"})


def profile(mode: Mode = "block") -> Profile:
    return Profile("pupil", mode, (ADS, GAMES), ALLOW, EXEMPT)


@pytest.mark.parametrize(
    ("name", "decision"),
    [
        ("ads.example", Decision("blocked", "ads")),
        ("www.ads.example", Decision("blocked", "ads")),
        ("notads.example", Decision("allowed")),
        ("example", Decision("allowed")),
        ("", Decision("allowed")),
        ("games.example", Decision("blocked", "games")),
        # exempt comes before everything, with everything below it
        ("help.example", Decision("exempt")),
        ("www.help.example", Decision("exempt")),
        ("chat.games.example", Decision("exempt")),
        # an allowed name under a listed one, and a listed one under an allowed one
        ("video.example", Decision("blocked", "ads")),
        ("maps.video.example", Decision("allowed")),
        ("tiles.maps.video.example", Decision("allowed")),
        ("cdn.example", Decision("allowed")),
        ("deep.cdn.example", Decision("blocked", "ads")),
        # the same domain on both sides
        ("both.example", Decision("allowed")),
    ],
)
def test_decisions(name: str, decision: Decision) -> None:
    assert decide(name, profile()) == decision


def test_a_trial_run_only_says_what_it_would_have_done() -> None:
    assert decide("ads.example", profile("watch")) == Decision("would block", "ads")
    assert decide("school.example", profile("watch")) == Decision("allowed")
    assert decide("help.example", profile("watch")) == Decision("exempt")


LABELS = st.sampled_from(["a", "b", "c"])
NAMES = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
SETS = st.frozensets(NAMES, max_size=6)


def longest(name: str, entries: frozenset[str]) -> int:
    """Labels of the longest entry that is the name or a parent domain of it; 0: none."""
    return max((entry.count(".") + 1 for entry in entries if f".{name}".endswith(f".{entry}")), default=0)


@given(NAMES, SETS, SETS, SETS, SETS, st.sampled_from(["watch", "block"]))
def test_decide_agrees_with_counting_labels(
    name: str, first: frozenset[str], second: frozenset[str], allow: frozenset[str], exempt: frozenset[str], mode: Mode
) -> None:
    found = decide(name, Profile("p", mode, (NamedList("1", first), NamedList("2", second)), allow, exempt))
    if longest(name, exempt):
        assert found == Decision("exempt")
        return
    allowed, one, two = longest(name, allow), longest(name, first), longest(name, second)
    if max(one, two) > allowed:
        assert found == Decision("blocked" if mode == "block" else "would block", "1" if one >= two else "2")
    else:
        assert found == Decision("allowed")
