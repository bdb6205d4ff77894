"""The unit files, judged by systemd itself: they are well-formed, locked down, and say why in every line."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from appliance.memory import ENVIRONMENT

FOLDER = Path(__file__).parent.parent / "systemd"
MAIN, DNS, SNIFFER = "appliance.service", "appliance-dns.service", "appliance-sniffer.service"
UNITS = (MAIN, DNS, SNIFFER)
WORKERS = (DNS, SNIFFER)
PROGRAM = "/opt/appliance/bin/appliance"
HIGHEST_SCORE = {MAIN: 1.5, DNS: 1.6, SNIFFER: 1.3}

ACCEPTED = {
    "RootDirectoryOrRootImage": "it runs on the system's own Python",
    "AmbientCapabilities": "ports 443 and 80, or 53, or hearing the network",
    "CapabilityBoundingSet_CAP_NET_BIND_SERVICE_BROADCAST_RAW)": "ports 443 and 80, or 53, or hearing the network",
    "RestrictAddressFamilies_AF_PACKET": "hearing the network is what the listening is for",
    "PrivateUsers": "a capability in a user namespace of its own opens no port of the box",
    "PrivateNetwork": "it serves the network",
    "RestrictAddressFamilies_AF_INET_INET6": "it serves the network",
    "RestrictAddressFamilies_AF_UNIX": "main process and workers talk over a Unix socket",
    "RestrictAddressFamilies_AF_NETLINK": "asking the kernel for this machine's addresses",
    "IPAddressDeny": "devices, upstream resolvers and list servers are the school's to choose",
    "UMask": "workers read what was written for them through the group",
    "DeviceAllow": "ProtectClock itself allows reading the clock chip",
}
"""What systemd-analyze still counts against the units, and why it stays. Told in systemd/README.md too."""

SELF_EXPLAINING = {"Description", "Documentation", "Wants", "After"}


def tool(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def directives(unit: str) -> list[tuple[str, str, str]]:
    """Name, value and the line above of each directive."""
    lines = (FOLDER / unit).read_text(encoding="utf-8").splitlines()
    found = []
    for above, line in zip(["", *lines], lines, strict=False):
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.append((name, value, above))
    return found


def values(unit: str, name: str) -> list[str]:
    return [value for directive, value, _ in directives(unit) if directive == name]


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_finds_nothing_wrong(unit: str, tmp_path: Path) -> None:
    program = tmp_path / "appliance"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for name in UNITS:
        text = (FOLDER / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text.replace(f"ExecStart={PROGRAM}", f"ExecStart={program}"))
    result = tool("systemd-analyze", "verify", "--man=no", tmp_path / unit)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize("unit", UNITS)
def test_the_exposure_is_below_the_limit(unit: str) -> None:
    threshold = f"--threshold={round(HIGHEST_SCORE[unit] * 10)}"
    result = tool("systemd-analyze", "security", "--offline=true", "--no-pager", threshold, FOLDER / unit)
    assert result.returncode == 0, result.stdout[-200:] + result.stderr


@pytest.mark.parametrize("unit", UNITS)
def test_what_is_still_exposed_is_what_was_accepted_with_a_reason(unit: str) -> None:
    result = tool("systemd-analyze", "security", "--offline=true", "--json=short", FOLDER / unit)
    exposed = {row["json_field"] for row in json.loads(result.stdout) if row["exposure"]}
    assert exposed <= ACCEPTED.keys()


@pytest.mark.parametrize("reason", ACCEPTED.values())
def test_the_readme_tells_what_was_accepted(reason: str) -> None:
    assert f"| {reason} |" in (FOLDER / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("unit", UNITS)
def test_each_line_has_its_reason_above_it(unit: str) -> None:
    bare = [
        f"{name}={value}"
        for name, value, above in directives(unit)
        if name not in SELF_EXPLAINING and not re.match(r"# \S.{10,}", above)
    ]
    assert bare == []


def test_a_worker_neither_waits_for_the_main_unit_nor_goes_down_with_it() -> None:
    ties = {"Requires", "Requisite", "BindsTo", "PartOf", "Upholds", "PropagatesStopTo", "StopPropagatedFrom"}
    for unit in UNITS:
        assert ties.isdisjoint(name for name, _, _ in directives(unit))
    for unit in WORKERS:
        assert MAIN in values(unit, "Before")
        assert not any(MAIN in value for name in ("After", "Wants") for value in values(unit, name))
    assert values(MAIN, "RuntimeDirectoryPreserve") == ["yes"]


@pytest.mark.parametrize(("unit", "worker"), [(DNS, "dns_filter.dns"), (SNIFFER, "dns_filter.sniffer")])
def test_a_worker_has_its_own_user_and_sees_its_own_folder_alone(unit: str, worker: str) -> None:
    assert len({values(one, "User")[0] for one in UNITS}) == len(UNITS)
    assert f"worker {worker} " in f"{values(unit, 'ExecStart')[0]} "
    assert values(unit, "TemporaryFileSystem") == ["/var:ro"]
    assert values(unit, "BindReadOnlyPaths") == [f"/var/lib/appliance/workers/{worker}", "/run/appliance"]
    for name in ("StateDirectory", "ReadWritePaths", "BindPaths", "SupplementaryGroups"):
        assert values(unit, name) == []
    # systemd drops one of two mounts of the same path, so nothing else may name these (seen with NoExecPaths=/var).
    mounts = [
        path
        for name in ("TemporaryFileSystem", "BindReadOnlyPaths", "NoExecPaths", "InaccessiblePaths", "ReadOnlyPaths")
        for value in values(unit, name)
        for path in value.split()
    ]
    assert len(mounts) == len(set(mounts)) == 3


@pytest.mark.parametrize(
    ("unit", "capability"),
    [(MAIN, "CAP_NET_BIND_SERVICE"), (DNS, "CAP_NET_BIND_SERVICE"), (SNIFFER, "CAP_NET_RAW")],
)
def test_each_has_the_one_capability_that_it_needs(unit: str, capability: str) -> None:
    assert values(unit, "AmbientCapabilities") == values(unit, "CapabilityBoundingSet") == [capability]


def test_only_the_listening_may_hear_the_network_and_it_can_talk_to_nobody() -> None:
    assert ["AF_PACKET" in values(unit, "RestrictAddressFamilies")[0] for unit in UNITS] == [False, False, True]
    assert "AF_INET" not in values(SNIFFER, "RestrictAddressFamilies")[0]
    assert values(SNIFFER, "IPAddressDeny") == ["any"]


@pytest.mark.parametrize("unit", UNITS)
def test_a_mistake_in_the_settings_is_not_tried_for_ever_and_everything_else_is(unit: str) -> None:
    assert values(unit, "Restart") == ["always"]
    assert values(unit, "RestartPreventExitStatus") == ["2"]
    assert values(unit, "StartLimitIntervalSec") == ["0"]


def test_the_watchdog_leaves_a_trace_and_no_core_file() -> None:
    assert len(values(MAIN, "WatchdogSec")) == 1
    assert values(MAIN, "WatchdogSignal") == []  # SIGABRT, at which faulthandler writes the stack
    for unit in UNITS:
        assert "PYTHONFAULTHANDLER=1" in values(unit, "Environment")
        assert values(unit, "LimitCORE") == values(unit, "MemorySwapMax") == ["0"]


def test_the_main_process_overwrites_the_memory_that_it_frees_and_the_worker_stays_fast() -> None:
    wanted = {f"{name}={value}" for name, value in ENVIRONMENT.items()}
    assert wanted <= set(values(MAIN, "Environment"))
    assert wanted.isdisjoint(values(DNS, "Environment"))


def test_accounts_and_folders_are_made_as_the_units_need_them(tmp_path: Path) -> None:
    """With the real tools in a folder that stands for the file system; the folders become this process's own."""
    (tmp_path / "etc").mkdir()
    made = tool("systemd-sysusers", f"--root={tmp_path}", FOLDER / "appliance.sysusers")
    assert made.returncode == 0, made.stderr
    accounts = dict(line.split(":", 1) for line in (tmp_path / "etc/passwd").read_text().splitlines())
    assert set(accounts) == {user for unit in UNITS for user in values(unit, "User")}
    assert all(account.endswith("nologin") for account in accounts.values())
    groups = {line.split(":")[0] for line in (tmp_path / "etc/group").read_text().splitlines()}
    assert {group for unit in UNITS for group in values(unit, "Group")} <= groups

    folders = (FOLDER / "appliance.tmpfiles").read_text(encoding="utf-8")
    own = re.sub(r"^(d \S+ \d+) \S+ \S+$", rf"\1 {os.getuid()} {os.getgid()}", folders, flags=re.MULTILINE)
    (tmp_path / "folders.conf").write_text(own)
    made = tool("systemd-tmpfiles", "--create", f"--root={tmp_path}", tmp_path / "folders.conf")
    assert made.returncode == 0, made.stderr
    for path in [path for unit in WORKERS for path in values(unit, "BindReadOnlyPaths")]:
        assert (tmp_path / path[1:]).stat().st_mode & 0o777 == 0o750
        assert f"d {path} 0750 appliance appliance\n" in folders
    for unit in UNITS:
        for folder in values(unit, "StateDirectory"):
            mode = int(values(unit, "StateDirectoryMode")[0], 8)
            assert (tmp_path / "var/lib" / folder).stat().st_mode & 0o777 == mode == 0o700
        for folder in values(unit, "RuntimeDirectory"):
            mode = int(values(unit, "RuntimeDirectoryMode")[0], 8)
            assert (tmp_path / "run" / folder).stat().st_mode & 0o777 == mode == 0o750
