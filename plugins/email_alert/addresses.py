"""Addresses and the codes that prove them: plain functions."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from datetime import timedelta

CODE_DIGITS = 6
CODE_LIFE = timedelta(minutes=10)
TRIES_MOST = 5

_LOCAL = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"(?=.{{3,254}}\Z)(?P<local>{_LOCAL})@(?P<domain>{_LABEL}(\.{_LABEL})*)")
_LIKE_AN_ADDRESS = re.compile(r"[^\s<>()\[\]\"“”,;:]+@[^\s<>()\[\]\"“”,;:]*[A-Za-z0-9]")
LEFT_OUT = "an address"


class NotAnAddress(ValueError):
    """What was typed is no address that mail can be sent to; ``str`` says so in words."""


def checked_address(text: str) -> str:
    """An address as it is kept (RFC 5321 without quoted names), its domain in small letters. Or ``NotAnAddress``."""
    found = _ADDRESS.fullmatch(text.strip())
    if found is None or len(found["local"]) > 64:
        raise NotAnAddress(f"“{' '.join(text.split())[:80]}” is not an email address")
    return f"{found['local']}@{found['domain'].lower()}"


def same_address(text: str) -> str:
    """How addresses are compared: mail servers that tell capitals apart are not to be found any more."""
    return text.strip().lower()


def without_addresses(text: str, sender: str) -> str:
    """A text for those who need not know to whom alerts go: no address in it but the sender's."""
    return _LIKE_AN_ADDRESS.sub(
        lambda found: found[0] if same_address(found[0]) == same_address(sender) else LEFT_OUT, text
    )


def new_code() -> str:
    """Six digits."""
    return "".join(secrets.choice("0123456789") for _ in range(CODE_DIGITS))


def plain_code(text: str) -> str:
    """A code as it was meant: spaces and hyphens do not matter."""
    return re.sub(r"[\s-]", "", text)


def code_hash(address_id: str, code: str) -> str:
    """What is kept of a code."""
    return hashlib.sha256(f"{address_id}:{code}".encode()).hexdigest()


def is_code(address_id: str, typed: str, kept: str) -> bool:
    """Whether this is the code, in a time that tells nothing."""
    return hmac.compare_digest(code_hash(address_id, plain_code(typed)), kept)
