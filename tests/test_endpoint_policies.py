"""The policy files of Add devices: each can be read by what it is for, and says what it should."""

from __future__ import annotations

import base64
import json
import plistlib
import re
from dataclasses import replace

import pytest

from appliance.endpoints import browser_policies as made
from appliance.endpoints.browser_policies import CHROME, EDGE, File, School

ID = "abcdefghijklmnopabcdefghijklmnop"
DER = bytes(range(256)) * 3
SCHOOL = School('Hill "Top" & Co <School>', ID, "https://endpoint.box.internal:8443", "0123TOKEN", DER)
STRICT = replace(SCHOOL, strict=True)
UPDATES = "https://endpoint.box.internal:8443/extension/updates.xml"
OWN = {"serverUrl": "https://endpoint.box.internal:8443", "enrolToken": "0123TOKEN", "deviceName": ""}
SIGNING_IN = replace(STRICT, domains=("hill.example", "pupils.hill.example"))
BOTH = pytest.mark.parametrize("school", [SCHOOL, STRICT, SIGNING_IN], ids=["usual", "strict", "with accounts"])


@BOTH
def test_linux_gets_json_that_browsers_read(school: School) -> None:
    for browser in (CHROME, EDGE):
        file = made.linux(school, browser)
        data = json.loads(file.content)
        assert file.content.decode() == file.text
        ours = data["ExtensionSettings"][ID]
        assert ours["installation_mode"] == "force_installed"
        assert ours["update_url"] == UPDATES
        assert ours["override_update_url"] is True
        assert data["3rdparty"] == {"extensions": {ID: OWN}}
        assert base64.b64decode(data["CACertificates"][0], validate=True) == DER
        assert data["BrowserGuestModeEnabled"] is False
        assert ("*" in data["ExtensionSettings"]) == school.strict
        assert ("URLBlocklist" in data) == school.strict
    assert "DeveloperToolsAvailability" not in data, "it would take the extension's own pictures away"


def test_edge_has_names_of_its_own() -> None:
    chrome, edge = made.policies(STRICT, CHROME), made.policies(STRICT, EDGE)
    assert chrome["IncognitoModeAvailability"] == edge["InPrivateModeAvailability"] == 1
    assert chrome["BrowserAddPersonEnabled"] is edge["BrowserAddProfileEnabled"] is False
    assert "chrome://extensions" in chrome["URLBlocklist"]
    assert "edge://extensions" in edge["URLBlocklist"]
    assert not any("chrome://" in place for place in edge["URLBlocklist"])
    assert chrome["ExtensionSettings"][ID]["toolbar_pin"] == "force_pinned"
    assert edge["ExtensionSettings"][ID]["toolbar_state"] == "force_shown"
    assert edge.keys() - {"InPrivateModeAvailability", "BrowserAddProfileEnabled"} <= chrome.keys()
    assert {name for name, _ in made.explained(STRICT)} == {*chrome, "3rdparty"}


def test_the_stricter_set_lets_the_browser_be_signed_in_with_accounts_of_the_school_alone() -> None:
    for browser in (CHROME, EDGE):
        assert not {"BrowserSignin", "RestrictSigninToPattern"} & made.policies(SCHOOL, browser).keys()
        assert made.policies(STRICT, browser)["BrowserSignin"] == 0, "there is no account that anybody is known by"
        found = made.policies(SIGNING_IN, browser)
        assert "BrowserSignin" not in found
        for address, allowed in {
            "ada@hill.example": True,
            "ada@pupils.hill.example": True,
            "ada@mail.example": False,
            "ada@hillxexample": False,
            "hill.example@mail.example": False,
        }.items():
            assert bool(re.fullmatch(found["RestrictSigninToPattern"], address)) == allowed, address
    alone = made.policies(replace(STRICT, domains=("hill.example",)))
    assert alone["RestrictSigninToPattern"] == r".*@hill\.example"
    assert "on a shared device nobody is known" in dict(made.explained(STRICT))["BrowserSignin"]
    assert "Check the domains" in dict(made.explained(SIGNING_IN))["RestrictSigninToPattern"]


def parse_reg(file: File) -> dict[str, dict[str, str | int | None]]:
    """What the registry editor makes of it; ``None`` for what is deleted."""
    assert file.content.startswith(b"\xff\xfe")
    text = file.content[2:].decode("utf-16-le")
    assert "\n" not in text.replace("\r\n", "")
    lines = text.split("\r\n")
    assert lines[:2] == ["Windows Registry Editor Version 5.00", ""]
    found: dict[str, dict[str, str | int | None]] = {}
    values: dict[str, str | int | None] = {}
    for line in lines[2:]:
        if key := re.fullmatch(r"\[(-?HKEY_LOCAL_MACHINE\\[^\]]+)\]", line):
            assert key[1] not in found, "a key stands once"
            values = found.setdefault(key[1].replace("HKEY_LOCAL_MACHINE\\", ""), {})
        elif value := re.fullmatch(r'"((?:[^"\\]|\\.)*)"=(?:dword:([0-9a-f]{8})|"((?:[^"\\]|\\.)*)"|(-))', line):
            name, number, string, gone = value.groups()
            plain = re.sub(r"\\(.)", r"\1", string) if string is not None else None
            values[name] = int(number, 16) if number else None if gone else plain
        else:
            assert not line, line
    return found


@BOTH
def test_windows_gets_a_file_that_the_registry_editor_takes(school: School) -> None:
    found = parse_reg(made.reg(school))
    for browser, key in made.WINDOWS_KEYS.items():
        settings = found[key]["ExtensionSettings"]
        assert isinstance(settings, str)
        assert json.loads(settings) == made.policies(school, browser)["ExtensionSettings"]
        assert found[key][made.name_in(browser, "IncognitoModeAvailability")] == 1
        assert found[key]["BrowserGuestModeEnabled"] == 0
        assert found[rf"{key}\3rdparty\extensions\{ID}\policy"] == OWN
        certificate = found[rf"{key}\CACertificates"]["9001"]
        assert isinstance(certificate, str)
        assert base64.b64decode(certificate) == DER
        assert (rf"{key}\URLBlocklist" in found) == school.strict


def test_what_was_put_into_the_registry_is_taken_out_again_and_nothing_else() -> None:
    put, gone = parse_reg(made.reg(STRICT)), parse_reg(made.reg_to_remove(SCHOOL))
    for key, values in parse_reg(made.reg(SIGNING_IN)).items():
        put[key].update(values)
    for key, values in put.items():
        if "3rdparty" in key:
            assert gone["-" + key.removesuffix(r"\policy")] == {}
        else:
            assert gone[key] == dict.fromkeys(values)
    assert gone.keys() == {key if "3rdparty" not in key else "-" + key.removesuffix(r"\policy") for key in put}


@BOTH
def test_the_scripts_set_and_remove_the_same_values(school: School) -> None:
    text, gone = made.script(school), made.script_to_remove(school)
    made_text = text.content.decode("ascii")
    assert made_text.replace("\r\n", "\n") == text.text
    for one in made.registry(school):
        kind = f"DWord -Value {one.value} " if isinstance(one.value, int) else f"String -Value '{one.value}' "
        assert f"-LiteralPath 'HKLM:\\{one.key}' -Name '{one.name}' -PropertyType {kind}" in text.text
        if "3rdparty" in one.key:
            assert f"Remove-Item -LiteralPath 'HKLM:\\{one.key.removesuffix(chr(92) + 'policy')}'" in gone.text
        else:
            assert f"Remove-ItemProperty -LiteralPath 'HKLM:\\{one.key}' -Name '{one.name}'" in gone.text
    for line in text.text.splitlines():
        if "New-Item " in line:
            assert line.startswith("if (-not (Test-Path"), "New-Item -Force would empty a key that is there"
    hostile = made.script(replace(school, token="x'; Remove-Item C:\\ '"))
    assert "'x''; Remove-Item C:\\ '''" in hostile.text


@BOTH
def test_macs_get_a_profile(school: School) -> None:
    profile = plistlib.loads(made.mac(school).content)
    assert profile["PayloadType"] == "Configuration"
    assert profile["PayloadOrganization"] == school.name
    inside = {payload["PayloadType"]: payload for payload in profile["PayloadContent"]}
    for browser, domain in made.MAC_DOMAINS.items():
        assert made.policies(school, browser).items() <= inside[domain].items()
        assert OWN.items() <= inside[f"{domain}.extensions.{ID}"].items()
    assert inside["com.apple.security.root"]["PayloadContent"] == DER
    ids = [profile["PayloadUUID"], *(payload["PayloadUUID"] for payload in profile["PayloadContent"])]
    assert len(set(ids)) == len(ids)
    assert made.mac(school) == made.mac(school), "the same profile takes the place of the older one"
    alone = plistlib.loads(made.authority_profile(school).content)
    assert [payload["PayloadContent"] for payload in alone["PayloadContent"]] == [DER]
    assert alone["PayloadIdentifier"] != profile["PayloadIdentifier"]


def test_google_gets_each_value_wrapped() -> None:
    assert json.loads(made.google(SCHOOL).content) == {name: {"Value": text} for name, text in OWN.items()}


@BOTH
def test_the_group_policy_names_everything(school: School) -> None:
    text = made.group_policy(school).text
    for browser in made.WINDOWS_KEYS:
        for name, value in made.policies(school, browser).items():
            assert f"\n{name}\n" in text
            for one in value if isinstance(value, list) else []:
                assert f"    {one}\n" in text
    assert "    enrolToken = 0123TOKEN\n" in text
