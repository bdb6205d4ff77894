"""Settings that cannot mean anything are refused, with the nearest thing that would."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from appliance_plugins.dns_filter.settings import Settings

LISTS = [{"name": "ads", "file": "ads.txt"}, {"name": "games", "file": "games.hosts", "format": "hosts"}]


def check(data: dict[str, Any], groups: set[str] | None = None) -> Settings:
    return Settings.model_validate(data, context={"groups": groups} if groups is not None else None)


def test_without_a_word_in_the_file_nothing_is_blocked() -> None:
    settings = check({})
    assert [(profile.name, profile.mode, profile.block) for profile in settings.profiles] == [
        ("pupil", "watch", ()),
        ("staff", "watch", ()),
        ("guest", "watch", ()),
    ]
    assert (settings.port, settings.default_profile, settings.lists) == (53, "pupil", ())


def test_a_full_section_is_taken() -> None:
    settings = check(
        {
            "listen": ["192.168.1.2"],
            "upstreams": ["192.168.1.1", "[fd00::1]:5353"],
            "lists": LISTS,
            "profiles": [{"name": "pupil", "mode": "block", "block": ["ads", "games"], "allow": ["BÜCHER.example."]}],
            "profile_of": {"year7": "pupil"},
        },
        {"year7"},
    )
    assert settings.profiles[0].allow == ("xn--bcher-kva.example",)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"ports": 5300}, "Extra inputs"),
        ({"port": 0}, "greater than"),
        ({"listen": ["localhost"]}, "localhost"),
        ({"upstreams": ["dns.example"]}, "'dns.example' is not an IP address"),
        ({"allow_from": ["10.0.0.1/8"]}, "host bits"),
        ({"lists": [LISTS[0], LISTS[0]]}, "'ads' is used twice"),
        ({"lists": [{"name": "Ads!", "file": "x"}]}, "pattern"),
        ({"profiles": [{"name": "pupil"}, {"name": "pupil"}]}, "'pupil' is used twice"),
        ({"profiles": [{"name": "pupil", "mode": "blok"}]}, "'watch', 'block' or 'off'"),
        ({"profiles": [{"name": "pupil", "allow": ["com"]}]}, "top-level"),
        ({"profiles": [{"name": "pupil", "answer_ipv4": "::"}]}, "IPv4"),
        ({"lists": LISTS, "profiles": [{"name": "pupil", "block": ["adds"]}]}, "did you mean 'ads'"),
        ({"profiles": [{"name": "pupil", "block": ["ads"]}]}, "there is no list called"),
        ({"profile_of": {"year7": "stuff"}}, "did you mean 'staff'"),
        ({"profile_of": {"year8": "staff"}}, "did you mean 'year7'"),
        ({"default_profile": "visitor"}, "there is no profile called"),
        ({"keep_days": 0}, "greater than"),
        ({"profiles": [{"name": "pupil", "services": ["tiktoc"]}]}, "did you mean 'tiktok'"),
        ({"profiles": [{"name": "pupil", "categories": ["adlut"]}]}, "there is no category called"),
    ],
)
def test_a_mistake_is_named(data: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        check(data, {"year7", "library"})
    assert words in str(caught.value)


def test_every_setting_says_what_it_is_for() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
