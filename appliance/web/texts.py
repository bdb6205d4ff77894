"""What pupils read: one file of texts per language in ``texts/``. Staff pages are in English."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from appliance.config import load_yaml

DEFAULT = "en"
_FOLDER = Path(__file__).parent / "texts"


class Texts:
    """All languages, read once."""

    def __init__(self, folder: Path = _FOLDER) -> None:
        self._texts: dict[str, Mapping[str, Any]] = {
            path.stem: load_yaml(path)[0] for path in sorted(folder.glob("*.yaml"))
        }

    def choose(self, accept_language: str) -> Mapping[str, Any]:
        """The texts in the language that the browser asks for first, of those there are (RFC 9110 section 12.5.4)."""
        for language in _preferred(accept_language):
            if language in self._texts:
                return self._texts[language]
        return self._texts[DEFAULT]


def _preferred(accept_language: str) -> list[str]:
    """Languages in order of preference, without their regions: ``cy-GB;q=0.9`` is ``cy``."""
    weighed = []
    for part in accept_language.split(","):
        tag, _, weight = part.partition(";q=")
        try:
            weighed.append((-float(weight or 1), tag.strip().partition("-")[0].lower()))
        except ValueError:
            continue
    return [language for weight, language in sorted(weighed, key=lambda pair: pair[0]) if weight < 0]
