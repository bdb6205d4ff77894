"""Files that hold one secret each: a password, the secret of an application, a token."""

from __future__ import annotations

import stat
from pathlib import Path

from appliance.api import ApplianceError

LONGEST = 64 * 1024
FOR_OTHERS = stat.S_IRWXO | stat.S_IWGRP


class BadSecretFile(ApplianceError):
    """A file of a secret cannot be used; the words name the file and never what it holds."""


def read_secret(path: Path) -> str:
    """What the file holds, without the end of its last line. Raises ``BadSecretFile``."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(path.stat().st_mode)
            content = file.read(LONGEST + 1)
    except OSError as error:
        todo = (
            "Make it, readable for the appliance alone."
            if isinstance(error, FileNotFoundError)
            else "Look at its rights."
        )
        raise BadSecretFile(f"{path} cannot be read: {error.strerror}.", todo) from None
    if mode & FOR_OTHERS:
        raise BadSecretFile(f"{path} holds a secret and is open to others.", f"Run: chmod o=,g-w {path}")
    try:
        text = content.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        text = ""
    if not text or len(content) > LONGEST:
        raise BadSecretFile(f"{path} holds no secret.", "Write it there, in one line.")
    return text
