"""Access tokens (OAuth 2.0) for mail servers that take no passwords.

Three ways, by what the settings name: the secret of an application (client credentials, RFC 6749 section 4.4: Microsoft
365), the key file of a service account (a signed statement, RFC 7523: Google), a refresh token (RFC 6749 section 6).
Secrets and tokens are never logged and never part of an error; files are read anew each time, so that a secret that was
replaced is used without a restart.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from appliance.api import ApplianceError, sign_rs256

from .secret_files import read_secret
from .settings import SignInSettings

MICROSOFT_TOKENS = "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"
MICROSOFT_SCOPE = "https://outlook.office365.com/.default"
GOOGLE_TOKENS = "https://oauth2.googleapis.com/token"
GOOGLE_SCOPE = "https://mail.google.com/"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
STATEMENT_SECONDS = 600
EARLY_SECONDS = 120.0
"""A token is not used any more so long before its end."""
ANSWER_BYTES_MOST = 64 * 1024
_SHORT = re.compile(r"[A-Za-z0-9_.-]{1,60}")
_MICROSOFT_CODE = re.compile(r"AADSTS\d{4,8}")


class NoToken(ApplianceError):
    """No access token could be had; the words are for IT."""


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    until: float


class Tokens:
    """Asks for access tokens and keeps the last one for as long as it is good."""

    def __init__(self, settings: SignInSettings, resolve: Callable[[Path], Path], timeout: float) -> None:
        self._settings = settings
        self._resolve = resolve
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._kept: _Token | None = None

    async def token(self) -> str:
        """An access token. Raises ``NoToken``."""
        if self._kept is None or time.monotonic() > self._kept.until:
            self._kept = await self._ask()
        return self._kept.text

    def forget(self) -> None:
        """The mail server would not have it: the next one is a new one."""
        self._kept = None

    @property
    def url(self) -> str:
        """Where tokens are asked for."""
        own = {"microsoft365": MICROSOFT_TOKENS.format(tenant=self._settings.tenant), "google": GOOGLE_TOKENS}
        return self._settings.token_url or own.get(self._settings.provider, "")

    async def _ask(self) -> _Token:
        form = await self._form()
        asked = time.monotonic()
        try:
            async with (
                aiohttp.ClientSession(timeout=self._timeout, trust_env=True) as client,
                client.post(
                    self.url, data=form, headers={"Accept": "application/json"}, allow_redirects=False
                ) as answer,
            ):
                body = await answer.content.read(ANSWER_BYTES_MOST)
                status = answer.status
        except TimeoutError:
            raise NoToken(f"{self._who} did not answer in time when asked for an access token.", _REACH) from None
        except (aiohttp.ClientError, OSError) as error:
            words = f"{self._who} could not be asked for an access token: {_why(error)}."
            raise NoToken(words, _REACH) from None
        return self._read(status, body, asked)

    @property
    def _who(self) -> str:
        return {"microsoft365": "Microsoft", "google": "Google"}.get(self._settings.provider, "The provider")

    def _read(self, status: int, body: bytes, asked: float) -> _Token:
        found: Mapping[str, Any] = {}
        try:
            parsed = json.loads(body)
            found = parsed if isinstance(parsed, dict) else {}
        except ValueError:
            pass
        text, seconds = found.get("access_token"), found.get("expires_in", 600)
        if status == 200 and isinstance(text, str) and text.isascii() and text.isprintable() and text:
            life = float(seconds) if isinstance(seconds, int | float) else 600.0
            return _Token(text, asked + max(life - EARLY_SECONDS, 0.0))
        raise NoToken(f"{self._who} gives no access token: {_reason(found) or f'status {status}'}.", self._todo(found))

    def _todo(self, answer: Mapping[str, Any]) -> str:
        error = answer.get("error")
        if error == "invalid_client":
            return "Make a new secret for the application and put it in the file that client_secret_file names."
        if error == "invalid_grant" and self._settings.refresh_token_file:
            return "The refresh token has ended: make a new one and put it in its file."
        if error in ("invalid_grant", "unauthorized_client"):
            return "Look at the steps in the README of this plugin: a permission or the delegation is missing."
        return "Compare the settings under sign_in with the README of this plugin."

    # What is sent

    async def _form(self) -> dict[str, str]:
        settings = self._settings
        if settings.refresh_token_file is not None:
            refresh = await asyncio.to_thread(read_secret, self._resolve(settings.refresh_token_file))
            return {"grant_type": "refresh_token", "refresh_token": refresh, **await self._client()}
        if settings.provider == "google":
            return {"grant_type": JWT_BEARER, "assertion": await self._statement()}
        scope = settings.scope or (MICROSOFT_SCOPE if settings.provider == "microsoft365" else "")
        return {"grant_type": "client_credentials", **({"scope": scope} if scope else {}), **await self._client()}

    async def _client(self) -> dict[str, str]:
        assert self._settings.client_secret_file is not None  # the settings were checked
        secret = await asyncio.to_thread(read_secret, self._resolve(self._settings.client_secret_file))
        return {"client_id": self._settings.client_id, "client_secret": secret}

    async def _statement(self) -> str:
        """What Google wants of a service account: who it is and for whom it acts, signed with its key."""
        assert self._settings.service_account_file is not None
        path = self._resolve(self._settings.service_account_file)
        return await asyncio.to_thread(self._signed_statement, path)

    def _signed_statement(self, path: Path) -> str:
        try:
            key = json.loads(read_secret(path))
            issuer, pem, key_id = (str(key[name]) for name in ("client_email", "private_key", "private_key_id"))
        except (ValueError, KeyError, TypeError):
            raise NoToken(f"{path} is no key file of a service account.", "Download it from Google as JSON.") from None
        moment = int(time.time())
        claims = {
            "iss": issuer,
            "sub": self._settings.user,
            "scope": self._settings.scope or GOOGLE_SCOPE,
            "aud": GOOGLE_TOKENS if not self._settings.token_url else self._settings.token_url,
            "iat": moment,
            "exp": moment + STATEMENT_SECONDS,
        }
        head = {"alg": "RS256", "typ": "JWT", **({"kid": key_id} if key_id else {})}
        content = f"{_packed(json.dumps(head).encode())}.{_packed(json.dumps(claims).encode())}"
        return f"{content}.{_packed(sign_rs256(pem, content.encode()))}"


_REACH = "Look whether this machine reaches the internet, and at the firewall and the name servers."


def _packed(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _reason(answer: Mapping[str, Any]) -> str:
    """What the provider says, without any text of its own: the short name of the error and Microsoft's number."""
    error, description = answer.get("error"), answer.get("error_description")
    short = error if isinstance(error, str) and _SHORT.fullmatch(error) else ""
    number = _MICROSOFT_CODE.search(description) if isinstance(description, str) else None
    return " ".join(part for part in (short, number[0] if number else "") if part)


def _why(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return "its certificate cannot be trusted"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name cannot be found"
    return type(error).__name__
