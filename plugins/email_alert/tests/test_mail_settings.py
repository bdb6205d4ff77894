"""The settings: everything has a default, and what would send a secret in clear or nowhere is told with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.config import Config, ConfigError, Place, check, read_source
from appliance_plugins.email_alert.settings import Settings

SERVER = "server: {host: mail.school.example}, sender: {address: box@school.example}"


def read(tmp_path: Path, text: str) -> Config:
    place = Place(tmp_path / "appliance.yaml", tmp_path)
    place.config_file.write_text(f"plugins:\n  email_alert: {{{text}}}\n")
    return check(read_source(place), {"email_alert": Settings})


def test_nothing_has_to_be_set(tmp_path: Path) -> None:
    found = read(tmp_path, "").plugins["email_alert"]
    assert isinstance(found, Settings)
    assert found.server.host == ""
    assert found.server.security == "starttls"
    assert not found.links_open_outside


@pytest.mark.parametrize(
    "sign_in",
    [
        "method: password, user: box, password_file: mail.password",
        "method: oauth2, user: box, tenant: t, client_id: c, client_secret_file: s",
        "method: oauth2, provider: google, user: box, service_account_file: k.json",
        "method: oauth2, provider: google, user: box, client_id: c, client_secret_file: s, refresh_token_file: r",
        "method: oauth2, provider: custom, user: b, token_url: 'https://t.example', client_id: c,"
        " client_secret_file: s",
    ],
)
def test_each_way_to_sign_in_can_be_set(tmp_path: Path, sign_in: str) -> None:
    assert read(tmp_path, f"{SERVER}, sign_in: {{{sign_in}}}").plugins["email_alert"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("server: {host: mail.school.example}", "sender.address is needed with a mail server"),
        (f"{SERVER}, sign_in: {{method: password}}", "user is needed for a sign-in with a password"),
        (f"{SERVER}, sign_in: {{method: password, user: b}}", "password_file is needed"),
        (f"{SERVER}, sign_in: {{method: password, user: b, password: hunter2}}", "password"),
        (f"{SERVER}, sign_in: {{method: oauth2, user: b}}", "tenant is needed for oauth2 of microsoft365"),
        (f"{SERVER}, sign_in: {{method: oauth2, provider: google, user: b}}", "service_account_file is needed"),
        (f"{SERVER}, sign_in: {{method: oauth2, provider: custom, user: b}}", "token_url is needed"),
        (f"{SERVER}, sign_in: {{token_url: 'http://t.example'}}", "is no address for a secret"),
        ("sender: {address: nobody}", "is not an email address"),
        ("signed_heads_to: [nobody]", "is not an email address"),
        (
            "server: {host: m, security: none}, sender: {address: a@b.c}, "
            "sign_in: {method: password, user: b, password_file: f}",
            "the password would be sent in clear",
        ),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read(tmp_path, text)


def test_where_secrets_go_can_be_set_in_the_file_alone(tmp_path: Path) -> None:
    rows = {row.path.removeprefix("plugins.email_alert."): row.on_page for row in read(tmp_path, "").rows()}
    assert not any(shown for path, shown in rows.items() if path.startswith(("server.host", "server.sec", "sign_in.")))
    assert rows["links_open_outside"]
