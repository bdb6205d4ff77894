"""What several tests of policies share."""

from __future__ import annotations

import shutil
import subprocess

import pytest


@pytest.fixture(scope="session")
def ordinary_english() -> str:
    """A hundred thousand words in which nobody is in danger."""
    bible = shutil.which("bible")
    if bible is None:
        pytest.skip("There is no ordinary English: the Debian package bible-kjv is not installed.")
    found = subprocess.run([bible, "matt1:1-rom16:27"], capture_output=True, text=True, check=True).stdout
    return " ".join(found.split())
