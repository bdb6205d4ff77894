"""Settings: mistakes and their words, layers and origins, values from pages, export, schema, and the supplied file."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import date, time, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, field_validator, model_validator

from appliance.config import (
    Config,
    ConfigError,
    Mistake,
    Origin,
    PageValue,
    Place,
    Row,
    Section,
    Settings,
    Source,
    Wrong,
    WrongSettings,
    check,
    find_place,
    json_schema,
    read_source,
    setting,
)
from appliance.errors import ApplianceError
from appliance.sections import is_secret, leaves
from appliance.yamlfile import dump_yaml, load_yaml
from appliance_plugins.dns_filter.settings import Settings as DnsFilterSettings
from appliance_plugins.email_alert.settings import Settings as EmailAlertSettings
from appliance_plugins.keyword.settings import Settings as KeywordSettings

ETC = Path(__file__).resolve().parent.parent / "etc"


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Inner(Section):
    """A section in a section."""

    depth: int = setting(1, "How deep.", unit="metres", ge=0, le=10)
    must: str = setting("here", "Something.")


class Item(Section):
    name: str = setting(..., "Its name.", pattern=r"^[a-z]+$")
    size: float = setting(1.0, "Its size.", gt=0)


class Probe(Section):
    """A plugin's settings with one of everything."""

    flag: bool = setting(False, "A yes or no.")
    count: int = setting(3, "A number.", unit="pieces", trial=4, ge=1, le=9)
    ratio: float = setting(0.5, "A share.")
    word: str = setting("x", "A word.")
    mode: Literal["slow", "fast"] = setting("slow", "A choice.")
    level: Literal[1, 2] = setting(1, "A choice of numbers.")
    colour: Colour = setting(Colour.RED, "A colour.")
    names: tuple[str, ...] = setting(("a",), "Words.")
    ports: tuple[Annotated[int, Field(ge=1)], ...] = setting((), "Numbers.", max_length=3)
    modes: tuple[Literal["slow", "fast"], ...] = setting((), "Choices.")
    folder: Path = setting(Path("data"), "A folder.", trial="{trial}/data")
    fixed: str = setting("f", "Only in the file.", page=False)
    maybe: int | None = setting(None, "A number or nothing.")
    either: int | str = setting(1, "A number or text.")
    day: date = setting(date(2026, 9, 1), "A day.")
    at: time = setting(time(8, 30), "A time.")
    pause: timedelta = setting(timedelta(minutes=5), "A pause.")
    items: tuple[Item, ...] = setting((Item(name="first"),), "Things.")
    table: dict[str, int] = setting({}, "A table.")
    by_mode: dict[Literal["slow", "fast"], Item] = setting({}, "Things by mode.")
    inner: Inner = Field(default_factory=Inner)
    low: int = setting(1, "Low end.")
    high: int = setting(10, "High end.")

    @field_validator("word")
    @classmethod
    def _word_is_polite(cls, word: str) -> str:
        if word == "rude":
            raise ValueError("this word is\n rude")
        return word

    @model_validator(mode="after")
    def _in_order(self) -> Probe:
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


class Needy(Section):
    """A plugin with settings that must be written."""

    server: str = setting(..., "A server.")
    inner: NeedyInner = Field(default_factory=lambda: NeedyInner(key_file=Path("x")))


class NeedyInner(Section):
    key_file: Path = setting(..., "A key.")


Needy.model_rebuild()

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a settings file and returns its path."""

    def write(text: str) -> Path:
        file = tmp_path / "appliance.yaml"
        file.write_text(text, encoding="utf-8")
        return file

    return write


MODELS: Mapping[str, type[BaseModel]] = {"probe": Probe, "needy": Needy}


def load(
    file: Path, values: Sequence[PageValue] = (), trial: Path | None = None, models: Mapping[str, Any] = MODELS
) -> Config:
    return check(read_source(Place(file, trial)), models, values)


def mistakes(file: Path, **how: Any) -> list[str]:
    """Every mistake of a file as it is shown, without the folder."""
    models = how.pop("models", MODELS)
    with pytest.raises(ConfigError) as caught:
        check(read_source(Place(file)), models, **how)
    return [text.removeprefix(f"{file.parent}/") for text in str(caught.value).splitlines()]


def page(path: str, value: Any, **more: Any) -> PageValue:
    return PageValue(path, value, "Jo", "exam week", "2026-11-24T09:30:00.123Z", **more)


def row(config: Config, path: str) -> Row:
    return next(row for row in config.rows() if row.path == path)


# Mistakes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # keys
        (
            "web:\n  prot: 1\n",
            "2: web.prot: there is no such setting, expected one of: listen, port, http_port, domain, "
            "header_seconds, body_seconds, connections, max_body_kib; did you mean port?",
        ),
        (
            "school: {TimeZone: x}\n",
            "1: school.TimeZone: there is no such setting, expected one of: name, banner, timezone; "
            "did you mean timezone?",
        ),
        (
            "\nport: 1\n",
            "2: port: there is no such setting, expected one of: school, timetable, storage, web, staff, groups, "
            "exempt, events, detection, captures, alerts, limits, plugins; did you mean web.port?",
        ),
        (
            "school: {xyz: 1}\n",
            "1: school.xyz: there is no such setting, expected one of: name, banner, timezone",
        ),
        # types
        (
            'web:\n  port: "8443"\n',
            '2: web.port: this is text ("8443"), expected a whole number from 1 to 65535; did you mean 8443?',
        ),
        ("web: {port: 8443x}\n", '1: web.port: this is text ("8443x"), expected a whole number from 1 to 65535'),
        ("web: {port: 1.5}\n", "1: web.port: this is a number (1.5), expected a whole number from 1 to 65535"),
        ("web: {port: true}\n", "1: web.port: this is true or false (true), expected a whole number from 1 to 65535"),
        ("web:\n  port:\n", "2: web.port: there is no value, expected a whole number from 1 to 65535"),
        ("web: {port: [1]}\n", "1: web.port: this is a list, expected a whole number from 1 to 65535"),
        ("web: {port: {a: 1}}\n", "1: web.port: this is a section, expected a whole number from 1 to 65535"),
        (
            "school:\n  name: 42\n",
            "2: school.name: this is a number (42), expected text of at most 100 characters; put it in quotes",
        ),
        ("web: 5\n", "1: web: this is a number (5), expected a section (`key: value` lines)"),
        ("web: [1]\n", "1: web: this is a list, expected a section (`key: value` lines)"),
        (
            "web:\n  listen: 0.0.0.0\n",
            '2: web.listen: this is text ("0.0.0.0"), expected a list that is not empty, each entry text',
        ),
        (
            "events: {retry_pauses: [1, a]}\n",
            '1: events.retry_pauses[1]: this is text ("a"), expected a number from 0 to 604800',
        ),
        (
            "plugins:\n  probe:\n    flag: yes\n",
            '3: plugins.probe.flag: this is text ("yes"), expected true or false; did you mean true?',
        ),
        (
            "plugins: {probe: {either: [1]}}\n",
            "1: plugins.probe.either: this is a list, expected a whole number or text",
        ),
        (
            "plugins: {probe: {maybe: x}}\n",
            '1: plugins.probe.maybe: this is text ("x"), expected a whole number or nothing',
        ),
        (
            "plugins: [probe]\n",
            "1: plugins: this is a list, expected a section (`key: value` lines), each value a section "
            "(`key: value` lines)",
        ),
        ("plugins:\n  probe: 5\n", "2: plugins.probe: this is a number (5), expected a section (`key: value` lines)"),
        # ranges and forms
        ("web: {port: 0}\n", "1: web.port: 0 is too small, expected a whole number from 1 to 65535"),
        ("web: {port: 65536}\n", "1: web.port: 65536 is too large, expected a whole number from 1 to 65535"),
        ("staff: {idle_minutes: 0}\n", "1: staff.idle_minutes: 0 is too small, expected a whole number from 1 to 60"),
        (
            "staff: {session_hours: 25}\n",
            "1: staff.session_hours: 25 is too large, expected a whole number from 1 to 24",
        ),
        (
            "web: {header_seconds: 0}\n",
            "1: web.header_seconds: 0 is too small, expected a number above 0 and at most 600",
        ),
        (
            "web: {header_seconds: .inf}\n",
            "1: web.header_seconds: Infinity is not a number to count with, expected a number above 0 and at most 600",
        ),
        ("web: {listen: []}\n", "1: web.listen: this is too short, expected a list that is not empty, each entry text"),
        (
            "plugins: {probe: {ports: [1, 2, 3, 4]}}\n",
            "1: plugins.probe.ports: this is too long, expected a list of at most 3 entries, each entry a whole number "
            "at least 1",
        ),
        (
            "plugins:\n  probe:\n    items:\n      - name: a\n      - name: B\n",
            '5: plugins.probe.items[1].name: "B" does not have the right form, expected text of the form [a-z]+',
        ),
        # choices
        (
            "plugins:\n  probe: {mode: fats}\n",
            '2: plugins.probe.mode: "fats" is not one of the choices, expected one of: slow, fast; did you mean fast?',
        ),
        (
            "plugins: {probe: {colour: green}}\n",
            '1: plugins.probe.colour: "green" is not one of the choices, expected one of: red, blue',
        ),
        (
            "plugins: {probe: {level: 3}}\n",
            "1: plugins.probe.level: 3 is not one of the choices, expected one of: 1, 2",
        ),
        (
            "plugins: {probe: {modes: [fast, 5]}}\n",
            "1: plugins.probe.modes[1]: 5 is not one of the choices, expected one of: slow, fast",
        ),
        (
            "plugins:\n  probe:\n    by_mode:\n      slwo: {name: a}\n",
            "4: plugins.probe.by_mode.slwo: this key cannot be used here, expected one of: slow, fast; "
            "did you mean slow?",
        ),
        # times
        (
            "plugins: {probe: {day: 2026-9-1}}\n",
            '1: plugins.probe.day: "2026-9-1" is not a date, expected a date such as 2026-09-01',
        ),
        (
            "plugins: {probe: {day: 5}}\n",
            "1: plugins.probe.day: this is a number (5), expected a date such as 2026-09-01",
        ),
        (
            "plugins: {probe: {at: 8:30}}\n",
            '1: plugins.probe.at: "8:30" is not a time of day, expected a time of day such as 08:30',
        ),
        (
            "plugins: {probe: {pause: five}}\n",
            '1: plugins.probe.pause: "five" is not a length of time, expected a length of time such as PT5M',
        ),
        (
            "timetable:\n  hours:\n    monday: {start: 08:30Z, end: 15:30}\n",
            "3: timetable.hours.monday.start: a time zone stands in this time, expected a time alone; "
            "the zone is school.timezone",
        ),
        # missing
        (
            "groups:\n  - title: x\n",
            "2: groups[0].name: this is missing, expected text of the form [a-z0-9_-]+",
        ),
        (
            "plugins:\n  needy:\n    inner:\n      key_file: k\n",
            "2: plugins.needy.server: this is missing, expected text",
        ),
        # the field's own
        (
            "school:\n  timezone: Europe/Londn\n",
            "2: school.timezone: there is no time zone 'Europe/Londn', expected one such as Europe/London; "
            "did you mean Europe/London?",
        ),
        (
            "school: {timezone: Europe}\n",
            "1: school.timezone: there is no time zone 'Europe', expected one such as Europe/London",
        ),
        (
            "web:\n  listen:\n    - 0.0.0.0\n    - localhost\n",
            "4: web.listen[1]: 'localhost' is not an IP address, expected one such as 192.168.1.10 or ::",
        ),
        (
            "web: {domain: Safe_Guard}\n",
            "1: web.domain: 'Safe_Guard' is not a domain name, expected lower-case letters, digits, hyphens and dots",
        ),
        (
            "groups:\n  - name: a\n    addresses: [10.1.2.3/16]\n",
            "3: groups[0].addresses[0]: '10.1.2.3/16' is not a network, expected an address or a network such as "
            "10.1.0.0/16; did you mean 10.1.0.0/16?",
        ),
        (
            "groups: [{name: a, addresses: [ten]}]\n",
            "1: groups[0].addresses[0]: 'ten' is not a network, expected an address or a network such as 10.1.0.0/16",
        ),
        ("plugins: {probe: {word: rude}}\n", "1: plugins.probe.word: this word is rude"),
        # several settings together: the line of the section, or a better one
        ("plugins:\n  probe:\n    low: 11\n", "2: plugins.probe: low is above high"),
        (
            "groups:\n  - name: a\n  - name: b\n  - name: a\n",
            "4: groups[2].name: another group is called 'a' too, expected a name of its own",
        ),
        (
            "groups:\n  - name: a\n    addresses: [10.0.0.0/8]\n  - name: b\n    addresses:\n      - 10.1.0.0/16\n"
            "      - 10.0.0.0/8\n",
            "7: groups[1].addresses[1]: 10.0.0.0/8 belongs to the group 'a' already, expected each network once",
        ),
        (
            "timetable:\n  terms:\n    - {name: A, first_day: 2026-09-02, last_day: 2026-09-01}\n",
            "3: timetable.terms[0].last_day: 2026-09-01 lies before the first day, "
            "expected 2026-09-02 (first_day) or later",
        ),
        (
            "timetable:\n  terms:\n    - {name: A, first_day: 2026-09-01, last_day: 2026-12-18}\n"
            "    - {name: B, first_day: 2026-12-18, last_day: 2027-04-01}\n",
            "4: timetable.terms[1]: this term overlaps 'A' (2026-09-01 to 2026-12-18)",
        ),
        # secrets
        (
            "plugins:\n  needy:\n    server: x\n    inner: {key_file: k}\n    smtp_password: hunter2\n",
            "5: plugins.needy.smtp_password: a secret must not stand in this file: write it into a file of its own, "
            "readable for root alone, expected smtp_password_file with the path of that file",
        ),
        # what the loader finds
        ("web:\n  port: 1\n  port: 2\n", "3: web.port: this key is written twice (first on line 2)"),
    ],
)  # fmt: skip
def test_one_mistake(write: Write, text: str, expected: str) -> None:
    assert mistakes(write(text)) == [f"appliance.yaml:{expected}"]


def test_all_mistakes_are_told_at_once(write: Write) -> None:
    text = """\
school:
  nmae: x
web:
  port: "80"
  port: 81
  listen: [a, b]
groups:
  - {name: A}
  - 5
plugins:
  prob:
  probe:
    count: 0
    token: x
    items: [{}]
"""
    found = mistakes(write(text), unknown_plugins={"prob": ""}, known_plugins=["probe", "needy"])
    assert [line.split(": ")[0:2] for line in found] == [
        ["appliance.yaml:2", "school.nmae"],
        ["appliance.yaml:4", "web.port"],
        ["appliance.yaml:5", "web.port"],
        ["appliance.yaml:6", "web.listen[0]"],
        ["appliance.yaml:6", "web.listen[1]"],
        ["appliance.yaml:8", "groups[0].name"],
        ["appliance.yaml:9", "groups[1]"],
        ["appliance.yaml:11", "plugins.prob"],
        ["appliance.yaml:13", "plugins.probe.count"],
        ["appliance.yaml:14", "plugins.probe.token"],
        ["appliance.yaml:15", "plugins.probe.items[0].name"],
    ]


def test_words_never_come_from_pydantic() -> None:
    """Every type of error that our kinds of settings can raise has words of ours."""
    bad: dict[str, list[Any]] = {
        name: [None, True, 5, -1e9, 1.5, "", "x" * 200, [], [[]], [None] * 9, {}, {"a": []}, {"name": "a"}]
        for name in Probe.model_fields
    }
    place = Place(Path("x.yaml"))
    for name, values in bad.items():
        for value in values:
            data = {"plugins": {"probe": {name: value}}}
            with suppress(ConfigError):
                check(Source(place, data), MODELS)
                continue
            with pytest.raises(ConfigError) as caught:
                check(Source(place, data), MODELS)
            assert not re.search(r"Input|valid|pydantic|type=", str(caught.value)), str(caught.value)


def test_unknown_plugins_are_named_with_the_nearest(write: Write) -> None:
    file = write("plugins:\n  dns_filtre:\n    port: 53\n  broken:\n")
    assert mistakes(file, unknown_plugins={"dns_filtre": ""}, known_plugins=["dns_filter", "usb"]) == [
        "appliance.yaml:2: plugins.dns_filtre: there is no plugin of this name, expected one of: dns_filter, usb; "
        "did you mean dns_filter?"
    ]
    assert mistakes(file, unknown_plugins={"broken": "its folder is empty"}) == [
        "appliance.yaml:4: plugins.broken: there is no plugin of this name (its folder is empty)"
    ]


@pytest.mark.parametrize("text", ["5", "- a\n- b\n", "just text", "true"])
def test_a_file_that_holds_no_sections_is_refused(write: Write, text: str) -> None:
    assert mistakes(write(text)) == ["appliance.yaml:1: this holds no settings, expected sections such as `school:`"]


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "web:\nplugins:\n", "web: {}\ngroups:\ntimetable:\n  terms:\n  hours:\n", "~"]
)
def test_what_is_left_empty_has_its_defaults(write: Write, text: str) -> None:
    assert load(write(text)).settings == Settings()


def test_plugins_may_be_named_with_nothing(write: Write) -> None:
    config = load(write("plugins:\n  probe:\n  other:\n  third: {x: 1}\n"))
    assert config.plugins == {"probe": Probe()}
    assert config.settings.plugins == {"probe": {}, "other": {}, "third": {"x": 1}}


def test_sections_in_plugins_with_required_settings(write: Write) -> None:
    assert mistakes(write("plugins:\n  needy:\n")) == [
        "appliance.yaml:2: plugins.needy.inner.key_file: this is missing, expected a path",
        "appliance.yaml:2: plugins.needy.server: this is missing, expected text",
    ]


def test_validators_learn_the_groups_and_the_folder(write: Write) -> None:
    seen: list[Mapping[str, Any]] = []

    class Curious(Section):
        x: int = setting(1, "A number.")

        @field_validator("x")
        @classmethod
        def _look(cls, x: int, info: Any) -> int:
            seen.append(info.context)
            return x

    file = write("groups: [{name: a}, {name: b}]\nplugins: {curious: }\n")
    load(file, models={"curious": Curious})
    assert {"groups": frozenset("ab"), "config_dir": file.parent} in seen
    file.write_text("groups: [{nmae: a}]\nplugins: {curious: }\n")
    assert len(mistakes(file, models={"curious": Curious})) == 2
    assert seen[-1]["groups"] is None


def test_a_validator_may_tell_several_mistakes_and_where(write: Write) -> None:
    class Picky(Section):
        lists: dict[str, tuple[str, ...]] = setting({}, "Lists.")

        @field_validator("lists")
        @classmethod
        def _look(cls, lists: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
            raise WrongSettings(Wrong("bad", ("a", 1), "good", "goad"), Wrong("worse", ("b",)))

    file = write("plugins:\n  picky:\n    lists:\n      a:\n        - x\n        - y\n      b: [z]\n")
    assert mistakes(file, models={"picky": Picky}) == [
        "appliance.yaml:6: plugins.picky.lists.a[1]: bad, expected good; did you mean goad?",
        "appliance.yaml:7: plugins.picky.lists.b: worse",
    ]
    with pytest.raises(ValueError, match=r"bad; did you mean .goad.\?; worse"):
        Picky(lists={})


@pytest.mark.parametrize(
    ("key", "secret"),
    [
        ("password", True),
        ("Password", True),
        ("smtp_password", True),
        ("api_key", True),
        ("api-key", True),
        ("apikey", True),
        ("private_key", True),
        ("tls_private_key", True),
        ("secret", True),
        ("client-secret", True),
        ("token", True),
        ("bearer_token", True),
        ("passphrase", True),
        ("password_file", False),
        ("token_file", False),
        ("keyword", False),
        ("key", False),
        ("tokens_a_day", False),
        ("secretary", False),
    ],
)
def test_secrets_are_known_by_their_names(write: Write, key: str, secret: bool) -> None:
    assert is_secret(key) == secret
    found = mistakes(write(f"plugins:\n  other:\n    - below: [{{{key}: hunter2}}]\n"))
    assert any("a secret must not stand in this file" in line for line in found) == secret
    assert not any("hunter2" in line for line in found)


def test_a_setting_that_would_hold_a_secret_is_never_set_on_a_page(write: Write) -> None:
    class Leaky(Section):
        password: str = setting("", "A password.")
        password_file: Path = setting(Path("p"), "A file.")

    config = load(write("plugins: {leaky: }\n"), models={"leaky": Leaky})
    assert not row(config, "plugins.leaky.password").on_page
    assert row(config, "plugins.leaky.password_file").on_page


# A random set of mistakes: each is found, and nothing else

GOOD: dict[str, Any] = {
    "school": {"name": "Hill School"},
    "timetable": {"terms": [{"name": "A", "first_day": "2026-09-01", "last_day": "2026-12-01"}], "closures": []},
    "web": {"listen": ["::"], "port": 443},
    "groups": [{"name": "a", "addresses": ["10.0.0.0/8"]}, {"name": "b", "addresses": []}],
    "events": {"retry_pauses": [1, 2]},
    "plugins": {"probe": {"items": [{"name": "x"}], "inner": {}}, "needy": {"server": "s", "inner": {"key_file": "k"}}},
}
INJECTIONS: list[tuple[tuple[str | int, ...], Any, str]] = [
    (("school", "nmae"), "x", "school.nmae"),
    (("school", "timezone"), "Nowhere/Land", "school.timezone"),
    (("school", "name"), 5, "school.name"),
    (("timetable", "terms", 0, "first_day"), "soon", "timetable.terms[0].first_day"),
    (("timetable", "terms", 0, "term"), 1, "timetable.terms[0].term"),
    (("timetable", "hours"), {"someday": {"start": "08:30", "end": "15:30"}}, "timetable.hours.someday"),
    (("timetable", "closures"), [5], "timetable.closures[0]"),
    (("web", "listen", 0), "here", "web.listen[0]"),
    (("web", "port"), 70000, "web.port"),
    (("web", "secret"), "x", "web.secret"),
    (("groups", 0, "addresses", 0), "10.0.0.1/8", "groups[0].addresses[0]"),
    (("groups", 1, "name"), "B b", "groups[1].name"),
    (("events", "retry_pauses", 1), -1, "events.retry_pauses[1]"),
    (("limits",), 5, "limits"),
    (("nothing",), None, "nothing"),
    (("plugins", "probe", "mode"), "x", "plugins.probe.mode"),
    (("plugins", "probe", "items", 0, "size"), 0, "plugins.probe.items[0].size"),
    (("plugins", "probe", "inner", "depth"), "deep", "plugins.probe.inner.depth"),
    (("plugins", "probe", "api_key"), "x", "plugins.probe.api_key"),
    (("plugins", "needy", "server"), [], "plugins.needy.server"),
    (("plugins", "needy", "inner", "key_file"), 1, "plugins.needy.inner.key_file"),
    (("plugins", "prob"), {}, "plugins.prob"),
]


@settings(max_examples=150)
@given(st.sets(st.integers(0, len(INJECTIONS) - 1)))
def test_every_one_of_several_mistakes_is_told(tmp_path_factory: pytest.TempPathFactory, chosen: set[int]) -> None:
    data = copy.deepcopy(GOOD)
    for index in chosen:
        *above, last = INJECTIONS[index][0]
        home: Any = data
        for key in above:
            home = home[key]
        home[last] = INJECTIONS[index][1]
    file = tmp_path_factory.getbasetemp() / "injected.yaml"
    file.write_text(dump_yaml(data))
    unknown = {"prob": ""} if "prob" in data["plugins"] else {}
    found: set[str] = set()
    try:
        check(read_source(Place(file)), MODELS, (), unknown, ["probe", "needy"])
    except ConfigError as error:
        found = {mistake.path for mistake in error.mistakes}
    assert found == {INJECTIONS[index][2] for index in chosen}


ANY_TEXT = st.text(alphabet=" \n:-,[]{}#&*!|>'\"ab019.schoolwebprtugin_", max_size=80)
PIECES = st.lists(
    st.sampled_from(
        [
            *(
                "school:",
                "web:",
                "  port: ",
                "groups:",
                "  - name: a",
                "plugins:",
                "  probe:",
                "    items:",
                "      - ",
            ),
            *(
                "~",
                "5",
                "[]",
                "{}",
                "x",
                "\n",
                "&a ",
                "*a",
                "a: *a",
                "timetable:",
                "  hours: ",
                "  terms: ",
                "{a: [",
                "]}",
            ),
        ]
    ),
    max_size=20,
).map("\n".join)


@settings(max_examples=300)
@given(ANY_TEXT | PIECES | st.text(max_size=40))
def test_no_file_raises_anything_but_config_errors(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    with suppress(ConfigError):
        list(load(file).rows())


# Layers and origins


def test_each_layer_wins_over_those_below(write: Write, tmp_path: Path) -> None:
    file = write("plugins:\n  probe:\n    ratio: 0.75\n")
    values = [page("plugins.probe.mode", "fast", until="2026-12-01T00:00:00.000Z"), page("plugins.probe.ratio", 0.1)]
    config = load(file, values, trial=tmp_path / "var")
    origins = {name: config.origin(f"plugins.probe.{name}") for name in ("word", "count", "mode", "ratio")}
    assert origins == {
        "word": Origin("default"),
        "count": Origin("trial"),
        "mode": Origin("page", None, None, "Jo", "exam week", "2026-11-24T09:30:00.123Z", "2026-12-01T00:00:00.000Z"),
        "ratio": Origin("file", file, 3),
    }
    probe = config.plugins["probe"]
    assert isinstance(probe, Probe)
    assert (probe.word, probe.count, probe.mode, probe.ratio) == ("x", 4, "fast", 0.75)
    assert config.notes == ()
    assert [origin.words() for origin in origins.values()] == [
        "the default",
        "the default of a trial",
        "set on a page by Jo on 2026-11-24 09:30 UTC until 2026-12-01 00:00 UTC: exam week",
        f"{file}, line 3",
    ]


def test_a_page_wins_over_the_default_of_a_trial_and_the_file_over_both(write: Write, tmp_path: Path) -> None:
    values = [page("web.port", 9000)]
    file = write("")
    assert load(file, values, trial=tmp_path).settings.web.port == 9000
    assert load(file, trial=tmp_path).settings.web.port == 8443
    assert load(file).settings.web.port == 443
    file.write_text("web: {port: 1234}\n")
    assert load(file, values, trial=tmp_path).settings.web.port == 1234


def test_trial_defaults(write: Write, tmp_path: Path) -> None:
    trial = tmp_path / "var"
    config = load(write("plugins: {probe: }\n"), trial=trial)
    assert config.settings.storage.state_dir == trial
    assert config.settings.storage.run_dir == trial / "run"
    assert config.settings.web.domain == "localhost"
    assert row(config, "plugins.probe.folder").value == f"{trial}/data"
    assert row(config, "web.port").default == 8443
    assert row(load(write("")), "web.port").default == 443


def test_folders_start_at_the_folder_of_the_file(write: Write) -> None:
    file = write("storage: {state_dir: state, run_dir: /run/x}\n")
    storage = load(file).settings.storage
    assert (storage.state_dir, storage.run_dir) == (file.parent / "state", Path("/run/x"))


def test_page_values_that_are_not_right_any_more_are_left_out_and_named(write: Write) -> None:
    values = [
        page("web.gone", 1),
        page("plugins.removed.port", 1),
        page("plugins.off.port", 1),
        page("storage.state_dir", "/x"),
        page("groups", []),
        page("web.port", "x"),
        page("web.connections", 20),
        page("web.connections", 30),
        page("plugins.probe.word", "rude"),
        page("plugins.probe.low", 50),
        page("plugins.probe.high", 20),
        page("plugins.probe.count", 5),
        page("school.name", "In the file"),
    ]
    config = load(write("school: {name: Hill}\nplugins:\n  probe:\n  off:\n"), values)
    assert config.settings.web.connections == 30
    assert config.settings.school.name == "Hill"
    assert row(config, "plugins.probe.count").value == 5
    assert row(config, "plugins.probe.high").value == 20
    assert list(config.notes) == [
        "What Jo set for web.gone on a page is left out: there is no such setting any more.",
        "What Jo set for plugins.removed.port on a page is left out: there is no such setting any more.",
        "What Jo set for storage.state_dir on a page is left out: it can only be set in the file.",
        "What Jo set for groups on a page is left out: it can only be set in the file.",
        'What Jo set for web.port on a page is left out: "x" is not right any more.',
        'What Jo set for plugins.probe.word on a page is left out: "rude" is not right any more.',
        "What Jo set for plugins.probe.low on a page is left out: 50 is not right any more.",
    ]


def test_page_values_that_are_only_right_together_are_taken_together(write: Write) -> None:
    values = [page("plugins.probe.low", 50), page("plugins.probe.high", 60)]
    config = load(write("plugins: {probe: }\n"), values)
    assert config.notes == ()
    assert row(config, "plugins.probe.low").value == 50


def test_origins_of_unknown_settings(write: Write) -> None:
    with pytest.raises(ApplianceError, match=r"There is no setting web\.prt"):
        load(write("")).origin("web.prt")


# Rows


def test_rows_cover_every_setting_and_say_all_about_it(write: Write) -> None:
    config = load(write("plugins: {probe: }\n"))
    core = [leaf.path for leaf in leaves(Settings) if leaf.path != "plugins"]
    probe = [f"plugins.probe.{leaf.path}" for leaf in leaves(Probe)]
    assert [row.path for row in config.rows()] == core + probe
    assert "plugins.probe.inner.depth" in probe
    for each in config.rows():
        assert each.description
        assert each.value == each.default or each.path in {"plugins.probe.items"}
        assert json.dumps(each.value)
    assert row(config, "plugins.probe.inner.depth") == Row(
        "plugins.probe.inner.depth", 1, Origin("default"), "How deep.", "metres", 1, True, "int", ()
    )


@pytest.mark.parametrize(
    ("name", "kind", "on_page", "choices"),
    [
        ("flag", "bool", True, ()),
        ("count", "int", True, ()),
        ("ratio", "float", True, ()),
        ("word", "text", True, ()),
        ("mode", "choice", True, ("slow", "fast")),
        ("level", "other", False, ()),
        ("colour", "choice", True, ("red", "blue")),
        ("names", "list", True, ()),
        ("ports", "list", True, ()),
        ("modes", "list", True, ("slow", "fast")),
        ("folder", "text", True, ()),
        ("fixed", "text", False, ()),
        ("maybe", "int", True, ()),
        ("either", "other", False, ()),
        ("day", "text", True, ()),
        ("at", "text", True, ()),
        ("pause", "text", True, ()),
        ("items", "other", False, ()),
        ("table", "other", False, ()),
        ("by_mode", "other", False, ()),
    ],
)
def test_kinds(write: Write, name: str, kind: str, on_page: bool, choices: tuple[str, ...]) -> None:
    found = row(load(write("plugins: {probe: }\n")), f"plugins.probe.{name}")
    assert (found.kind, found.on_page, found.choices) == (kind, on_page, choices)


# Values from pages


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("flag", "true", True),
        ("flag", " False ", False),
        ("count", " 5 ", 5),
        ("ratio", "0.25", 0.25),
        ("ratio", "2", 2.0),
        ("word", " two words ", "two words"),
        ("mode", "fast", "fast"),
        ("names", "b\r\n\r\n c \n", ["b", "c"]),
        ("names", "", []),
        ("ports", "1\n2", [1, 2]),
        ("modes", "slow", ["slow"]),
        ("maybe", "", None),
        ("maybe", "7", 7),
        ("day", "2026-12-24", "2026-12-24"),
        ("inner.depth", "10", 10),
    ],
)
def test_texts_of_forms(write: Write, name: str, text: str, value: Any) -> None:
    config = load(write("plugins: {probe: }\n"))
    path = f"plugins.probe.{name}"
    assert config.parse_page_text(path, text) == value
    changed = load(config.place.config_file, [page(path, value)])
    assert changed.notes == ()
    assert changed.parse_page_text(path, row(changed, path).text) == row(changed, path).value


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("plugins.probe.flag", "yes", 'plugins.probe.flag: "yes" cannot be used, expected true or false'),
        ("plugins.probe.count", "", 'plugins.probe.count: "" cannot be used, expected a whole number from 1 to 9'),
        ("plugins.probe.count", "9" * 5000, None),
        ("plugins.probe.count", "10", "plugins.probe.count: 10 is too large, expected a whole number from 1 to 9"),
        ("plugins.probe.ratio", "nan", 'plugins.probe.ratio: "nan" cannot be used, expected a number'),
        ("plugins.probe.word", "\ud800", 'plugins.probe.word: "\\ud800" cannot be used, expected text'),
        ("plugins.probe.word", "rude", "plugins.probe.word: this word is rude"),
        (
            "plugins.probe.mode",
            "fats",
            'plugins.probe.mode: "fats" is not one of the choices, expected one of: slow, fast; did you mean fast?',
        ),
        (
            "plugins.probe.ports",
            "1\n0",
            "plugins.probe.ports[1]: 0 is too small, expected a whole number at least 1",
        ),
        ("plugins.probe.high", "0", "plugins.probe: low is above high"),
        ("plugins.probe.fixed", "x", "plugins.probe.fixed: this can only be set in {file}"),
        ("groups", "x", "groups: this can only be set in {file}"),
        ("web.port", "80", "web.port: {file}, line 2 sets this; change it there"),
        ("web.prot", "80", "web.prot: there is no such setting; did you mean web.port?"),
        ("plugins", "80", None),
        ("", "", "there is no such setting"),
    ],
)
def test_texts_of_forms_that_are_not_right(write: Write, path: str, text: str, message: str | None) -> None:
    file = write("web:\n  port: 443\nplugins: {probe: }\n")
    with pytest.raises(ConfigError) as caught:
        load(file).parse_page_text(path, text)
    assert all(mistake.file is None for mistake in caught.value.mistakes)
    if message is not None:
        assert str(caught.value) == message.format(file=file)


@settings(max_examples=200)
@given(st.sampled_from([leaf.path for leaf in leaves(Probe)]), st.text(max_size=20))
def test_no_text_of_a_form_raises_anything_but_config_errors(
    tmp_path_factory: pytest.TempPathFactory, name: str, text: str
) -> None:
    file = tmp_path_factory.getbasetemp() / "form.yaml"
    file.write_text("plugins: {probe: }\n")
    with suppress(ConfigError):
        value = load(file).parse_page_text(f"plugins.probe.{name}", text)
        assert load(file, [page(f"plugins.probe.{name}", value)]).notes == ()


# Export


def test_export(write: Write) -> None:
    file = write("web:\n  port: 44\nplugins:\n  off: {a: 1}\n  probe:\n    items:\n      - name: b\n")
    values = [
        PageValue("plugins.probe.word", "no", "Jo\nweb:\n  port: 1", "a\x85b\u2028c", "2026-11-24T09:30:00.123Z"),
        page("school.name", "Hill"),
    ]
    assert (
        load(file, values).export()
        == f"""\
# Settings of {file}. What is not listed has its default.

school:
  # set on a page by Jo on 2026-11-24 09:30 UTC: exam week
  name: Hill
web:
  # {file}, line 2
  port: 44
plugins:
  off:
    # from the file, not checked
    a: 1
  probe:
    # set on a page by Jo web:   port: 1 on 2026-11-24 09:30 UTC: a b c
    word: no
    # {file}, line 6
    items:
    - name: b
"""
    )


TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
NAME = st.from_regex(r"[a-z]{1,8}", fullmatch=True)
DAY_TEXT = st.dates(date(2000, 1, 1), date(2100, 1, 1)).map(str)
TIME_TEXT = st.times().map(lambda moment: moment.strftime("%H:%M"))
NUMBER = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-1000, 1000)


def some(**settings_of: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A section with any of these settings."""
    return st.fixed_dictionaries({}, optional=settings_of)


ITEM = st.fixed_dictionaries({"name": NAME}, optional={"size": st.floats(0.1, 1e300)})
PROBE = some(
    flag=st.booleans(),
    count=st.integers(1, 9),
    ratio=NUMBER,
    word=TEXT.filter(lambda word: word != "rude"),
    mode=st.sampled_from(["slow", "fast"]),
    colour=st.sampled_from(["red", "blue"]),
    names=st.lists(TEXT, max_size=3),
    ports=st.lists(st.integers(1, 9), max_size=3),
    folder=st.sampled_from(["a", "/b", "../c d"]),
    maybe=st.none() | st.integers(),
    either=st.integers(0, 9) | TEXT,
    day=DAY_TEXT,
    at=TIME_TEXT,
    items=st.none() | st.lists(ITEM, max_size=2),
    table=st.dictionaries(TEXT, st.integers(0, 9), max_size=3),
    by_mode=st.dictionaries(st.sampled_from(["slow", "fast"]), ITEM),
    inner=st.none() | some(depth=st.integers(0, 10), must=TEXT),
)
HOURS = st.fixed_dictionaries({"start": TIME_TEXT, "end": TIME_TEXT})
GROUP = st.fixed_dictionaries({"name": NAME}, optional={"title": TEXT})
FILE_DATA = some(
    school=st.none() | some(name=TEXT, timezone=st.sampled_from(["UTC", "Europe/Paris"])),
    timetable=some(hours=st.dictionaries(st.sampled_from(["monday", "sunday"]), HOURS)),
    storage=some(state_dir=st.sampled_from(["state", "/x"])),
    web=some(listen=st.lists(st.ip_addresses().map(str), min_size=1, max_size=3), port=st.integers(1, 65535)),
    groups=st.none() | st.lists(GROUP, max_size=3, unique_by=lambda group: group["name"]),
    plugins=some(probe=st.none() | PROBE, other=st.none() | st.dictionaries(NAME, TEXT, max_size=2)),
)  # fmt: skip
PAGE_VALUES = st.lists(
    st.builds(page, st.just("plugins.probe.word"), TEXT)
    | st.builds(page, st.just("plugins.probe.names"), st.lists(TEXT, max_size=2))
    | st.builds(page, st.just("web.port"), st.integers(1, 65535)),
    max_size=3,
)


@settings(max_examples=150, deadline=None)
@given(FILE_DATA, PAGE_VALUES, st.booleans())
def test_what_is_exported_gives_the_same_settings(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, Any], values: list[PageValue], is_trial: bool
) -> None:
    file = tmp_path_factory.getbasetemp() / "export.yaml"
    file.write_text(dump_yaml(data), encoding="utf-8")
    trial = file.parent / "var" if is_trial else None
    before = load(file, values, trial)
    file.write_text(before.export(), encoding="utf-8")
    after = load(file, (), trial)
    assert after.settings.model_dump(exclude={"plugins"}) == before.settings.model_dump(exclude={"plugins"})
    assert list(after.settings.plugins) == list(before.settings.plugins)
    assert after.settings.plugins.get("other") == before.settings.plugins.get("other")
    assert after.plugins == before.plugins


# Place


@pytest.mark.parametrize(
    ("given_config", "given_trial", "environ", "is_checkout", "is_installed", "expected"),
    [
        (None, None, {}, True, False, ("checkout/etc/appliance.yaml", "checkout/var")),
        (None, None, {}, True, True, ("installed.yaml", None)),
        (None, None, {}, False, False, ("installed.yaml", None)),
        (None, "t", {}, True, True, ("checkout/etc/appliance.yaml", "t")),
        (None, "t", {}, False, True, ("installed.yaml", "t")),
        ("c.yaml", None, {}, True, False, ("c.yaml", None)),
        ("c.yaml", "t", {}, True, False, ("c.yaml", "t")),
        ("c/../d.yaml", "t/./u", {}, True, False, ("d.yaml", "t/u")),
        (None, None, {"APPLIANCE_CONFIG": "e.yaml"}, True, False, ("e.yaml", None)),
        (None, None, {"APPLIANCE_TRIAL": "et"}, True, False, ("checkout/etc/appliance.yaml", "et")),
        (None, None, {"APPLIANCE_CONFIG": "e.yaml", "APPLIANCE_TRIAL": "et"}, True, True, ("e.yaml", "et")),
        ("c.yaml", "t", {"APPLIANCE_CONFIG": "e.yaml", "APPLIANCE_TRIAL": "et"}, True, True, ("c.yaml", "t")),
        (None, None, {"APPLIANCE_CONFIG": "", "APPLIANCE_TRIAL": ""}, False, True, ("installed.yaml", None)),
    ],
)
def test_find_place(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    given_config: str | None,
    given_trial: str | None,
    environ: dict[str, str],
    is_checkout: bool,
    is_installed: bool,
    expected: tuple[str, str | None],
) -> None:
    monkeypatch.chdir(tmp_path)
    checkout, installed = tmp_path / "checkout", tmp_path / "installed.yaml"
    if is_checkout:
        (checkout / "etc").mkdir(parents=True)
        (checkout / "pyproject.toml").touch()
        (checkout / "etc" / "appliance.yaml").touch()
    if is_installed:
        installed.touch()
    config = Path(given_config) if given_config else None
    trial = Path(given_trial) if given_trial else None
    place = find_place(config, trial, environ, checkout=checkout, installed=installed)
    assert place == Place(tmp_path / expected[0], tmp_path / expected[1] if expected[1] else None)


def test_places_know_where_plugins_are_dropped_and_what_paths_mean() -> None:
    installed = Place(Path("/etc/appliance/appliance.yaml"))
    assert installed.drop_in_dir == Path("/etc/appliance/plugins")
    assert installed.resolve(Path("lists/x")) == Path("/etc/appliance/lists/x")
    assert installed.resolve(Path("/lists/x")) == Path("/lists/x")
    assert Place(installed.config_file, Path("/tmp/t")).drop_in_dir == Path("/tmp/t/plugins")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("limits: {probe_seconds: 5}\n", 5.0),
        ("limits: {probe_seconds: x}\n", 20.0),
        ("limits: {probe_seconds: true}\n", 20.0),
        ("limits: {probe_seconds: -1}\n", 20.0),
        ("limits: {probe_seconds: .nan}\n", 20.0),
        ("limits:\n", 20.0),
        ("limits: [1]\n", 20.0),
        ("", 20.0),
    ],
)
def test_numbers_that_are_needed_before_the_check(write: Write, text: str, number: float) -> None:
    assert read_source(Place(write(text))).number("limits.probe_seconds", 20.0) == number


def test_names_of_plugins_come_in_the_order_of_the_file(write: Write) -> None:
    assert read_source(Place(write("plugins: {b: , a: 5}\n"))).plugin_names == ("b", "a")
    assert read_source(Place(write("plugins: [a]\n"))).plugin_names == ()


def test_mistakes_of_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_source(Place(tmp_path / "x.yaml"))
    assert caught.value.mistakes == (Mistake(tmp_path / "x.yaml", None, "", "there is no such file"),)


# The supplied file and its schema

SUPPLIED = ETC / "appliance.yaml"
SUPPLIED_MODELS: Mapping[str, type[BaseModel]] = {
    "dns_filter": DnsFilterSettings,
    "email_alert": EmailAlertSettings,
    "keyword": KeywordSettings,
}
ACTIVE = ["plugins.dns_filter.lists", "plugins.dns_filter.profiles"]


@pytest.fixture
def uncommented(write: Write) -> Path:
    """The supplied file with every setting that is commented out taken in."""
    return write(re.sub(r"^# (?=  )", "", SUPPLIED.read_text(encoding="utf-8"), flags=re.MULTILINE))


def test_the_supplied_file_is_right_and_sets_only_the_example(tmp_path: Path) -> None:
    for trial in (None, tmp_path):
        config = load(SUPPLIED, (), trial, SUPPLIED_MODELS)
        assert [row.path for row in config.rows() if row.origin.kind == "file"] == ACTIVE
    dns_filter = config.plugins["dns_filter"]
    assert isinstance(dns_filter, DnsFilterSettings)
    assert [(profile.name, profile.mode, profile.block) for profile in dns_filter.profiles] == [
        ("pupil", "block", ("example",)),
        ("staff", "watch", ("example",)),
        ("guest", "watch", ()),
    ]
    assert config.place.resolve(dns_filter.lists[0].file).is_file()


def test_the_supplied_file_names_every_setting_with_its_default(uncommented: Path) -> None:
    config = load(uncommented, (), None, SUPPLIED_MODELS)
    rows = {row.path: row for row in config.rows()}
    # "groups:" stands there with nothing below it: examples of groups would not be defaults.
    assert [path for path, row in rows.items() if row.origin.kind != "file"] == ["groups"]
    assert [path for path, row in rows.items() if row.value != row.default] == ACTIVE
    data, _ = load_yaml(uncommented)
    assert list(data) == list(Settings.model_fields)
    profile = data["plugins"]["dns_filter"]["profiles"][0]
    assert sorted(profile) == sorted(DnsFilterSettings().profiles[0].model_dump())


def test_the_supplied_file_says_the_unit_of_every_setting(uncommented: Path) -> None:
    lines = uncommented.read_text(encoding="utf-8").splitlines()
    for each in load(uncommented, (), None, SUPPLIED_MODELS).rows():
        if each.unit:
            assert each.origin.line is not None
            assert lines[each.origin.line - 2].endswith(f"Unit: {each.unit}."), each.path


def test_editors_find_the_schema() -> None:
    first_line = SUPPLIED.read_text(encoding="utf-8").splitlines()[0]
    assert first_line == "# yaml-language-server: $schema=appliance.schema.json"


def test_the_schema_file_is_that_of_the_models() -> None:
    fresh = json.dumps(json_schema(SUPPLIED_MODELS), indent=2, ensure_ascii=False) + "\n"
    assert (ETC / "appliance.schema.json").read_text(encoding="utf-8") == fresh, (
        "The schema is out of date: run `appliance config schema > etc/appliance.schema.json`."
    )


def test_the_schema_describes_every_setting_and_allows_nothing_else() -> None:
    schema = json_schema({"probe": Probe, "needy": Needy})
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    sections = [schema, *schema["$defs"].values()]
    objects = [section for section in sections if "properties" in section]
    assert all(section["additionalProperties"] is False for section in objects)
    probe = schema["$defs"]["Probe"]["properties"]
    assert probe["count"] == {
        "default": 3,
        "description": "A number. Unit: pieces.",
        "maximum": 9,
        "minimum": 1,
        "title": "Count",
        "type": "integer",
    }
    assert probe["folder"]["default"] == "data"
    assert all("description" in about for name, about in probe.items() if name != "inner")
    assert probe["inner"] == {"anyOf": [{"$ref": "#/$defs/Inner"}, {"type": "null"}]}
    assert probe["items"]["anyOf"][1] == {"type": "null"}
    plugins = schema["properties"]["plugins"]
    assert plugins["additionalProperties"] is False
    assert plugins["properties"]["probe"] == {"anyOf": [{"$ref": "#/$defs/Probe"}, {"type": "null"}]}
    assert plugins["properties"]["needy"] == {"anyOf": [{"$ref": "#/$defs/Needy"}, {"type": "null"}]}
    assert schema["$defs"]["Needy"]["required"] == ["server"]
