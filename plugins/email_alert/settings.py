"""The plugin's settings: ``plugins.email_alert`` in appliance.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from appliance.api import Section, Wrong, WrongSettings, setting

from .addresses import NotAnAddress, checked_address

Security = Literal["starttls", "tls", "none"]
Method = Literal["none", "password", "oauth2"]
Provider = Literal["microsoft365", "google", "custom"]
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def _address(text: str) -> str:
    try:
        return checked_address(text)
    except NotAnAddress as error:
        raise WrongSettings(Wrong(str(error), (), "an address such as alerts@school.example")) from None


def _address_or_empty(text: str) -> str:
    return _address(text) if text else ""


def _token_url(text: str) -> str:
    """HTTPS, or this machine: a secret is sent there."""
    parts = urlsplit(text)
    if text and not (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)):
        raise WrongSettings(Wrong(f"{text!r} is no address for a secret", (), "an address with https://"))
    return text


Address = Annotated[str, AfterValidator(_address)]
AddressOrEmpty = Annotated[str, AfterValidator(_address_or_empty)]
TokenUrl = Annotated[str, AfterValidator(_token_url)]
Pause = Annotated[float, Field(gt=0, le=86_400)]


class ServerSettings(Section):
    """The mail server that takes the mails. It can only be set in the file, because a password is sent there."""

    host: str = setting(
        "", "Name of the mail server. Empty: no mail is sent, and alerts stay on the pages.", page=False, max_length=253
    )
    port: int = setting(
        587, "Port: mostly 587 with `starttls`, 465 with `tls`, 25 with `none`.", page=False, ge=1, le=65535
    )
    security: Security = setting(
        "starttls",
        "`starttls`: begin in clear and refuse to go on without encryption. `tls`: encrypted from the first byte. "
        "`none`: not encrypted, for a mail server in the school's own network that asks for no password.",
        page=False,
    )
    ca_file: Path | None = setting(
        None,
        "Certificate (PEM) of the authority that vouches for a mail server of the school's own. Not needed for mail "
        "servers on the internet.",
        page=False,
    )
    timeout: float = setting(30.0, "How long to wait for each answer of the mail server.", unit="seconds", gt=0, le=300)


class SignInSettings(Section):
    """How the appliance signs in to the mail server. It can only be set in the file."""

    method: Method = setting(
        "none",
        "`none`: the mail server knows this machine by its address (a relay). `password`: a name and a password. "
        "`oauth2`: Microsoft 365, Google and others that take no passwords.",
        page=False,
    )
    user: str = setting("", "Name to sign in with, mostly the sender's address.", page=False, max_length=320)
    password_file: Path | None = setting(None, "File that holds the password.", page=False)
    provider: Provider = setting("microsoft365", "Who gives the access tokens of `oauth2`.", page=False)
    tenant: str = setting(
        "", "Microsoft 365: the directory (tenant) id.", page=False, pattern=r"^[A-Za-z0-9.-]*$", max_length=200
    )
    client_id: str = setting(
        "", "Id of the application, for Microsoft 365, a refresh token, or another provider.", page=False
    )
    client_secret_file: Path | None = setting(None, "File that holds the secret of the application.", page=False)
    service_account_file: Path | None = setting(
        None, "Google: the key file (JSON) of a service account with domain-wide delegation.", page=False
    )
    refresh_token_file: Path | None = setting(
        None, "File that holds a refresh token. Google, instead of a service account, or another provider.", page=False
    )
    token_url: TokenUrl = setting("", "Where access tokens are asked for. Empty: the provider's own.", page=False)
    scope: str = setting("", "What the access token is for. Empty: sending mail at the provider.", page=False)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        found = [
            Wrong(f"{key} is needed for {why}", (key,), "a value")
            for key, why in self._needed()
            if not getattr(self, key)
        ]
        if found:
            raise WrongSettings(*found)
        return self

    def _needed(self) -> list[tuple[str, str]]:
        if self.method == "none":
            return []
        if self.method == "password":
            return [("user", "a sign-in with a password"), ("password_file", "a sign-in with a password")]
        return [("user", "oauth2"), *((key, f"oauth2 of {self.provider}") for key in self._needed_for_tokens())]

    def _needed_for_tokens(self) -> list[str]:
        if self.provider == "microsoft365":
            return ["tenant", "client_id", "client_secret_file"]
        if self.provider == "google":
            return ["client_id", "client_secret_file"] if self.refresh_token_file else ["service_account_file"]
        return ["token_url", "client_id", "client_secret_file"]


class SenderSettings(Section):
    """Who the mails come from."""

    address: AddressOrEmpty = setting("", "Address that mails come from. The mail server must let it send.")
    name: str = setting("", "Name beside that address. Empty: Safeguarding appliance.", max_length=100)


class Settings(Section):
    """Alerts by mail: says that there is an alert, of which kind, and where to read it. Never what, and never who."""

    server: ServerSettings = Field(default_factory=ServerSettings)
    sign_in: SignInSettings = Field(default_factory=SignInSettings)
    sender: SenderSettings = Field(default_factory=SenderSettings)
    links_open_outside: bool = setting(
        False, "Whether the staff pages open outside the school's network. Each mail says so beside its link."
    )
    signed_heads_to: tuple[Address, ...] = setting(
        (), "Addresses, of a governor for example, that get each day's signed statement of where the audit stands."
    )
    retry_pauses: tuple[Pause, ...] = setting(
        (15.0, 30.0, 60.0, 120.0, 300.0, 600.0),
        "How long to wait before each new try of a mail that the mail server would not take yet. The last one is used "
        "again and again.",
        unit="seconds",
        min_length=1,
    )
    give_up_hours: int = setting(
        24, "After how long a mail that was never taken is given up.", unit="hours", ge=1, le=168
    )
    waiting_most: int = setting(
        200,
        "How many mails may wait for one address. Beyond that the oldest go, tests first; severe alerts never do.",
        ge=10,
        le=10_000,
    )
    keep_days: int = setting(
        90,
        "How long the list of mails is kept: it also keeps an event that is heard twice from making a second mail.",
        unit="days",
        ge=30,
        le=3650,
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        found = []
        if self.server.host and not self.sender.address:
            why = "sender.address is needed with a mail server"
            found.append(Wrong(why, ("sender", "address"), "an address"))
        if self.sign_in.method != "none" and self.server.security == "none":
            expected = "starttls or tls: the password would be sent in clear"
            found.append(Wrong("security is none, and there is a sign-in", ("server", "security"), expected))
        if found:
            raise WrongSettings(*found)
        return self
