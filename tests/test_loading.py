"""From a file to checked settings, plugins included: every mistake at once, also behind other mistakes."""

from __future__ import annotations

import pytest

from appliance.testing import Home, run_cli

MANY = """
wbe: {port: 3}
groups:
  - {name: a, addresses: [10.0.0.0/99]}
  - {name: b, addresses: [10.0.0.0/8]}
  - {name: b, addresses: [10.0.0.0/8]}
plugins:
  dns_filter:
    default_profile: pupl
    profile_of: {techers: pupil, b: stuff}
    lists: [{name: example, file: x, format: domains}]
    profiles:
      - {name: pupil, block: [exmple], allow: ["b ad!!"]}
      - {name: pupil}
"""
PATHS = (
    "wbe", "groups[0].addresses[0]", "groups[2].addresses[0]", "groups[2].name",
    "plugins.dns_filter.default_profile", "plugins.dns_filter.profile_of.b",
    "plugins.dns_filter.profile_of.techers", "plugins.dns_filter.profiles[0].allow[0]",
    "plugins.dns_filter.profiles[0].block[0]", "plugins.dns_filter.profiles[1].name",
)  # fmt: skip


def test_a_mistake_never_hides_another(appliance_home: Home) -> None:
    appliance_home.write(MANY)
    checked = run_cli(appliance_home, "check-config")
    assert checked.returncode == 2
    found = sorted(line.split(": ")[1] for line in checked.stderr.splitlines())
    assert found == sorted(PATHS)


@pytest.mark.parametrize("text", ["", "places: nonsense", "places: [{host: org.uk, name: x, why: y}]"])
def test_a_broken_list_of_help_seeking_places_is_a_mistake_of_the_settings(appliance_home: Home, text: str) -> None:
    (appliance_home.folder / "help_seeking.yaml").write_text(text)
    checked = run_cli(appliance_home, "check-config")
    assert checked.returncode == 2
    assert "help_seeking.yaml" in checked.stderr


def test_what_comes_with_the_appliance_may_take_longer_to_be_loaded_than_a_stranger(appliance_home: Home) -> None:
    appliance_home.add_plugin("import time; time.sleep(600)", "sleeps")
    appliance_home.write("limits: {probe_seconds: 0.5}\nplugins: {sleeps: {}, keyword: {}}")
    checked = run_cli(appliance_home, "check-config")
    assert "The plugin sleeps cannot be loaded, so its settings were not checked: did not finish" in checked.stdout
    assert "plugin keyword" not in checked.stdout


def test_a_plugin_that_cannot_be_checked_is_not_passed_over(appliance_home: Home) -> None:
    appliance_home.add_plugin("import nowhere_at_all", "bad")
    appliance_home.write("plugins: {bad: {}}")
    checked = run_cli(appliance_home, "check-config")
    assert checked.returncode == 1
    assert "The plugin bad cannot be loaded" in checked.stdout
