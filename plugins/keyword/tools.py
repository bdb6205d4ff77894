"""Commands that need no running appliance: what publishers of policies use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from .bundles import tool

TOOLS: Mapping[tuple[str, ...], Callable[[Sequence[str]], str]] = {
    ("policy", word): lambda words: tool.main(words[1:]) for word in sorted(tool.commands())
}
"""By the words that call it: gets everything that was typed, returns what to print, or raises ``ApplianceError``."""
