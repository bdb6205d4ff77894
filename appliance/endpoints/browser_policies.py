"""The policy files with which browsers get the extension, for each system, and how to take it all away again.

Pure: values in, bytes or text out. Names and values are those of Chromium's list of policies
(https://chromeenterprise.google/policies/) and of Microsoft's for Edge.
"""

from __future__ import annotations

import base64
import json
import plistlib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from appliance.endpoints.extension import UPDATES_PATH

JSON_TYPE, TEXT_TYPE, PROFILE_TYPE = "application/json", "text/plain", "application/x-apple-aspen-config"
FILE = "safeguarding"
"""How the files are called, before their ending."""
CHROME, EDGE = "Google Chrome", "Microsoft Edge"
LINUX_FOLDERS: Mapping[str, str] = {
    "Chromium": "/etc/chromium/policies/managed",
    CHROME: "/etc/opt/chrome/policies/managed",
    "Brave": "/etc/brave/policies/managed",
    EDGE: "/etc/opt/edge/policies/managed",
}
WINDOWS_KEYS: Mapping[str, str] = {
    CHROME: r"SOFTWARE\Policies\Google\Chrome",
    EDGE: r"SOFTWARE\Policies\Microsoft\Edge",
}
MAC_DOMAINS: Mapping[str, str] = {CHROME: "com.google.Chrome", EDGE: "com.microsoft.Edge"}

BASE: Mapping[str, Any] = {"IncognitoModeAvailability": 1, "BrowserGuestModeEnabled": False}
"""What closes the ways around the extension: it does not run in private windows and in those of guests."""
STRICTER: Mapping[str, Any] = {
    "BrowserAddPersonEnabled": False,
    "TaskManagerEndProcessEnabled": False,
    "URLBlocklist": ["devtools://*", "chrome://extensions", "chrome://flags", "view-source:*"],
    "DnsOverHttpsMode": "off",
}
"""And ``_signing_in``."""
WHY: Mapping[str, str] = {
    "ExtensionSettings": "installs the extension, keeps it there, and has it updated from this box",
    "3rdparty": "tells the extension where the box is, and the enrolment key",
    "CACertificates": "lets the browser trust this box’s certificate",
    "IncognitoModeAvailability": "no private windows: extensions do not run in them",
    "BrowserGuestModeEnabled": "no guest windows: extensions do not run in them",
    "BrowserAddPersonEnabled": "pupils cannot add profiles of their own",
    "TaskManagerEndProcessEnabled": "pupils cannot end the extension in the browser’s task manager",
    "URLBlocklist": "no developer tools, no list of extensions, no experiments",
    "DnsOverHttpsMode": "names are asked of the school’s filter, not of a company’s",
    "RestrictSigninToPattern": "the browser is signed in with accounts of the school alone. Check the domains: they are"
    " those of the accounts in your directory",
    "BrowserSignin": "0: nobody can sign the browser in. No account in your directory has an address yet, so this takes"
    " nothing away; but on a shared device nobody is known then. Add the addresses, and take the files again: they then"
    " allow the school’s accounts alone",
}
_EDGE_NAMES = {
    "IncognitoModeAvailability": "InPrivateModeAvailability",
    "BrowserAddPersonEnabled": "BrowserAddProfileEnabled",
}
"""What Edge calls otherwise."""
FIRST_NUMBER = 9001
"""Lists in the registry are numbered values; these numbers leave the school's own entries alone."""
_NAMESPACE = uuid.UUID("0f3a1a55-96c1-4b0e-8a34-3a54c1d1f1d3")


@dataclass(frozen=True, slots=True)
class School:
    """What the files are made of. ``server``: ``https://endpoint.DOMAIN``, with its port; ``authority``: DER.

    ``strict``: with what keeps pupils from going around it. ``domains``: those of the accounts in the directory.
    """

    name: str
    extension: str
    server: str
    token: str
    authority: bytes
    strict: bool = False
    domains: tuple[str, ...] = ()

    @property
    def updates(self) -> str:
        """Where browsers ask for the extension."""
        return self.server + UPDATES_PATH


@dataclass(frozen=True, slots=True)
class File:
    """A file to download. ``text``: the same, to read on a page; empty if there is nothing to read in it."""

    name: str
    content: bytes
    content_type: str
    text: str


def _text_file(name: str, text: str, content_type: str = TEXT_TYPE) -> File:
    return File(name, text.encode(), content_type, text)


# What browsers are told


def own_settings(school: School) -> dict[str, str]:
    """What the extension itself is told. ``deviceName`` can be filled in for each device; empty: it is not known."""
    return {"serverUrl": school.server, "enrolToken": school.token, "deviceName": ""}


def policies(school: School, browser: str = CHROME) -> dict[str, Any]:
    """Every policy but those of the extension itself, as the browser calls them."""
    found = {
        "ExtensionSettings": _extension_settings(school, browser),
        "CACertificates": [base64.b64encode(school.authority).decode()],
        **BASE,
        **({**STRICTER, **_signing_in(school)} if school.strict else {}),
    }
    return {name_in(browser, name): _value_in(browser, value) for name, value in found.items()}


def _signing_in(school: School) -> dict[str, Any]:
    """Whoever signs the browser in to a private account is nobody whom the school knows."""
    if not school.domains:
        return {"BrowserSignin": 0}
    spelled = [domain.replace(".", r"\.") for domain in school.domains]
    return {"RestrictSigninToPattern": f".*@{spelled[0]}" if len(spelled) == 1 else f".*@({'|'.join(spelled)})"}


def _extension_settings(school: School, browser: str) -> dict[str, Any]:
    pinned = {"toolbar_state": "force_shown"} if browser == EDGE else {"toolbar_pin": "force_pinned"}
    installed = {"installation_mode": "force_installed", "update_url": school.updates, "override_update_url": True}
    others = {"*": {"installation_mode": "blocked"}} if school.strict else {}
    return {**others, school.extension: {**installed, **pinned}}


def name_in(browser: str, policy: str) -> str:
    """What a browser calls a policy."""
    return _EDGE_NAMES.get(policy, policy) if browser == EDGE else policy


def _value_in(browser: str, value: Any) -> Any:
    if browser == EDGE and isinstance(value, list):
        return [one.replace("chrome://", "edge://") for one in value]
    return value


def explained(school: School) -> list[tuple[str, str]]:
    """The policies and what each is for."""
    return [(name, WHY[name]) for name in ("3rdparty", *policies(school))]


# Linux


def linux(school: School, browser: str = CHROME) -> File:
    """One file for a folder of ``LINUX_FOLDERS``: Edge has one of its own, the others share one."""
    ours = {"extensions": {school.extension: own_settings(school)}}
    text = json.dumps({**policies(school, browser), "3rdparty": ours}, indent=2) + "\n"
    return _text_file(f"{FILE}-edge.json" if browser == EDGE else f"{FILE}.json", text, JSON_TYPE)


# Windows


@dataclass(frozen=True, slots=True)
class RegistryValue:
    """A value below HKEY_LOCAL_MACHINE."""

    key: str
    name: str
    value: str | int


def registry(school: School) -> list[RegistryValue]:
    """Everything as values in the registry, for Chrome and for Edge."""
    return [value for browser in WINDOWS_KEYS for value in _registry_of(school, browser)]


def _registry_of(school: School, browser: str) -> Iterator[RegistryValue]:
    key = WINDOWS_KEYS[browser]
    for name, value in policies(school, browser).items():
        if isinstance(value, list):
            for number, one in enumerate(value, FIRST_NUMBER):
                yield RegistryValue(rf"{key}\{name}", str(number), one)
        else:
            yield RegistryValue(key, name, _registry_value(value))
    for name, text in own_settings(school).items():
        yield RegistryValue(_own_key(school, browser), name, text)


def _own_key(school: School, browser: str) -> str:
    return rf"{WINDOWS_KEYS[browser]}\3rdparty\extensions\{school.extension}\policy"


def _registry_value(value: Any) -> str | int:
    if isinstance(value, bool | int):
        return int(value)
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def reg(school: School) -> File:
    """A file that the registry editor takes in (version 5: UTF-16, little-endian, with a byte order mark)."""
    lines = [f'"{_in_reg(one.name)}"={_reg_value(one.value)}' for one in registry(school)]
    return _reg_file(f"{FILE}.reg", [one.key for one in registry(school)], lines)


def reg_to_remove(school: School) -> File:
    """A file that takes everything out again that ``reg`` has put in, strict or not, and nothing else."""
    values = _ever_put(school)
    ours = {_own_key(school, browser) for browser in WINDOWS_KEYS}
    keep = [one for one in values if one.key not in ours]
    keys = [one.key for one in keep] + [f"-{key.removesuffix('policy').rstrip(chr(92))}" for key in sorted(ours)]
    return _reg_file(f"{FILE}-remove.reg", keys, [f'"{_in_reg(one.name)}"=-' for one in keep])


def _ever_put(school: School) -> list[RegistryValue]:
    """What any file for this school may have put in: the strictest, with and without accounts; one key after another.

    The values themselves do not count.
    """
    both = (replace(school, strict=True, domains=domains) for domains in ((), ("school.example",)))
    found = {(one.key, one.name): one for each in both for one in registry(each)}
    keys = list(dict.fromkeys(key for key, _ in found))
    return sorted(found.values(), key=lambda one: keys.index(one.key))


def _reg_file(name: str, keys: Sequence[str], lines: Sequence[str]) -> File:
    """``lines`` belong to the first ``keys``, one to one; keys without a line follow."""
    text, before = "Windows Registry Editor Version 5.00\n", ""
    for number, key in enumerate(keys):
        if key != before:
            minus = "-" if key.startswith("-") else ""
            text += f"\n[{minus}HKEY_LOCAL_MACHINE\\{key.removeprefix('-')}]\n"
            before = key
        if number < len(lines):
            text += f"{lines[number]}\n"
    spelled = text.replace("\n", "\r\n") + "\r\n"
    return File(name, b"\xff\xfe" + spelled.encode("utf-16-le"), TEXT_TYPE, text)


def _in_reg(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _reg_value(value: str | int) -> str:
    return f"dword:{value:08x}" if isinstance(value, int) else f'"{_in_reg(value)}"'


def group_policy(school: School) -> File:
    """The values to type into the editor of group policies, browser by browser."""
    lines = [
        "Group policy for the safeguarding extension",
        "",
        "Computer Configuration > Policies > Administrative Templates > Google > Google Chrome, and > Microsoft Edge.",
        "Look for each policy by its name, set it to Enabled, and paste the value.",
    ]
    for browser in WINDOWS_KEYS:
        lines += ["", browser, "-" * len(browser)]
        for name, value in policies(school, browser).items():
            lines += ["", name, *(f"    {one}" for one in _as_typed(value))]
    lines += [
        "",
        "The extension’s own settings have no template. Set them as registry values:",
        "Computer Configuration > Preferences > Windows Settings > Registry > New > Registry Item, action Replace,",
        "hive HKEY_LOCAL_MACHINE, type REG_SZ:",
    ]
    for browser in WINDOWS_KEYS:
        lines += ["", f"Key path:  {_own_key(school, browser)}"]
        lines += [f"    {name} = {text}" for name, text in own_settings(school).items()]
    return _text_file(f"{FILE}-group-policy.txt", "\n".join(lines) + "\n")


def _as_typed(value: Any) -> list[str]:
    if isinstance(value, list):
        return [str(one) for one in value]
    if isinstance(value, bool):
        return ["Disabled" if not value else "Enabled"]
    return [str(value) if isinstance(value, str | int) else json.dumps(value, separators=(",", ":"))]


def script(school: School) -> File:
    """A PowerShell script that sets the registry: for Intune (Devices, Scripts), which has no field for all of it."""
    lines = ["# Puts the safeguarding extension into Chrome and Edge. Run as SYSTEM, in 64-bit PowerShell.", ""]
    for key in dict.fromkeys(one.key for one in registry(school)):
        path = _quoted(f"HKLM:\\{key}")
        lines.append(f"if (-not (Test-Path -LiteralPath {path})) {{ New-Item -Path {path} -Force | Out-Null }}")
    for one in registry(school):
        kind = "DWord" if isinstance(one.value, int) else "String"
        value = str(one.value) if isinstance(one.value, int) else _quoted(one.value)
        place = f"-LiteralPath {_quoted(f'HKLM:{chr(92)}{one.key}')} -Name {_quoted(one.name)}"
        lines.append(f"New-ItemProperty {place} -PropertyType {kind} -Value {value} -Force | Out-Null")
    return _script_file(f"{FILE}.ps1", lines)


def script_to_remove(school: School) -> File:
    """Takes everything out again that ``script`` or ``reg`` has put in, and nothing else."""
    ours = {_own_key(school, browser) for browser in WINDOWS_KEYS}
    lines = ["# Takes the safeguarding extension out of Chrome and Edge. Run as SYSTEM, in 64-bit PowerShell.", ""]
    for one in _ever_put(school):
        if one.key not in ours:
            place = f"-LiteralPath {_quoted(f'HKLM:{chr(92)}{one.key}')} -Name {_quoted(one.name)}"
            lines.append(f"Remove-ItemProperty {place} -ErrorAction SilentlyContinue")
    for key in sorted(ours):
        path = _quoted(f"HKLM:\\{key.rpartition(chr(92))[0]}")
        lines.append(f"Remove-Item -LiteralPath {path} -Recurse -ErrorAction SilentlyContinue")
    return _script_file(f"{FILE}-remove.ps1", lines)


def _script_file(name: str, lines: Sequence[str]) -> File:
    text = "\n".join(lines) + "\n"
    return File(name, text.replace("\n", "\r\n").encode("ascii"), TEXT_TYPE, text)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


# macOS


def mac(school: School) -> File:
    """A configuration profile: both browsers, the extension's own settings, and the authority."""
    payloads = [_payload(school, domain, policies(school, browser)) for browser, domain in MAC_DOMAINS.items()]
    payloads += [
        _payload(school, f"{domain}.extensions.{school.extension}", own_settings(school))
        for domain in MAC_DOMAINS.values()
    ]
    return _profile(school, f"{FILE}.mobileconfig", "School safeguarding", [*payloads, _authority_payload(school)])


def authority_profile(school: School) -> File:
    """A configuration profile with the authority alone, for Macs, iPads and iPhones."""
    name = f"{FILE}-authority.mobileconfig"
    return _profile(school, name, "School safeguarding: authority", [_authority_payload(school)])


def _authority_payload(school: School) -> dict[str, Any]:
    name = f"{FILE}-authority.cer"
    return _payload(
        school, "com.apple.security.root", {"PayloadCertificateFileName": name, "PayloadContent": school.authority}
    )


def _payload(school: School, kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **values,
        "PayloadType": kind,
        "PayloadVersion": 1,
        "PayloadIdentifier": f"{school.extension}.{kind}",
        "PayloadUUID": _uuid(school, kind),
        "PayloadDisplayName": f"School safeguarding: {kind}",
        "PayloadEnabled": True,
    }


def _profile(school: School, file_name: str, title: str, payloads: Sequence[Mapping[str, Any]]) -> File:
    whole = {
        "PayloadContent": list(payloads),
        "PayloadType": "Configuration",
        "PayloadVersion": 1,
        "PayloadIdentifier": f"{school.extension}.{file_name}",
        "PayloadUUID": _uuid(school, file_name),
        "PayloadDisplayName": title,
        "PayloadOrganization": school.name or "School",
        "PayloadScope": "System",
        "PayloadRemovalDisallowed": False,
    }
    content = plistlib.dumps(whole)
    return File(file_name, content, PROFILE_TYPE, content.decode())


def _uuid(school: School, what: str) -> str:
    """The same for the same school, so that a newer profile takes the place of the older one."""
    return str(uuid.uuid5(_NAMESPACE, f"{school.extension} {what}")).upper()


# Google Admin console


def google(school: School) -> File:
    """What the field “Policy for extensions” takes: each value wrapped."""
    wrapped = {name: {"Value": text} for name, text in own_settings(school).items()}
    return _text_file(f"{FILE}-google.json", json.dumps(wrapped, indent=2) + "\n", JSON_TYPE)
