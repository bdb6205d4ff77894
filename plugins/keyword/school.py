"""What a school adds to policies: its decisions, the names that it knows, the titles that it reads.

The detection process judges by it, and so do the previews of pages: they promise what will be found at this school.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from appliance.api import Observation, Surface, new_id, stamp

from .choices.applying import apply
from .engine.exclusions import Exclusions
from .innocence.ways import exclusions
from .judge import Judge
from .library.model import Policy

WHERE_SENTENCES_STAND = (
    *(Surface.TYPED, Surface.EMAIL, Surface.SEARCH),
    *(Surface.PAGE, Surface.TITLE, Surface.APPLICATION),
)
"""Where a sentence can be, the plainest first: addresses and names of sites hold none."""
Find = Callable[[str, Surface], AbstractSet[str]]
"""The terms (``policy/term``) that are found in a text that was seen somewhere."""


@dataclass(frozen=True)
class School:
    """``choices`` and ``names``: what the detection process gets of them, as JSON."""

    choices: Mapping[str, Any]
    names: Mapping[str, Any]
    set_texts: Sequence[str]
    test_phrase: str

    def in_force(self, policies: Sequence[Policy]) -> tuple[Policy, ...]:
        """Policies of files and bundles with what the school has decided."""
        return apply(policies, self.choices)

    @cached_property
    def exclusions(self) -> Exclusions:
        """The supplied ones and the school's. With many names it takes a moment: best in a thread."""
        return exclusions(self.names, self.set_texts, [name["name"] for name in self.choices["names"]])

    def judge(self, policies: Sequence[Policy]) -> Judge:
        """Whoever finds these policies, which are in force, at this school."""
        return Judge(policies, self.test_phrase, self.exclusions)

    @property
    def mark(self) -> str:
        """The same as long as nothing of it has changed; it tells nothing of what it is made of."""
        plain = json.dumps([self.choices, self.names, list(self.set_texts)], sort_keys=True)
        return hashlib.sha256(plain.encode()).hexdigest()


def finder(judge: Judge) -> Find:
    """What a judge finds, but for the test phrase. The engine is made at the first text: not for the event loop."""

    def find(text: str, surface: Surface) -> AbstractSet[str]:
        seen = Observation(new_id(), stamp(), surface, text)
        return {finding.term for finding in judge.detect(seen) if not finding.is_test}

    return find
