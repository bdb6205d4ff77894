"""Commands that need no running appliance: what publishers of policies use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from .bundles import tool


def _run(words: Sequence[str]) -> str:
    return tool.main(words[1:])


TOOLS: Mapping[tuple[str, ...], tuple[str, Callable[[Sequence[str]], str]]] = {
    ("policy", word): (does, _run) for word, does in tool.COMMANDS.items()
}
"""By the words that call it: what it does, and what does it. That gets everything that was typed and returns what to
print, or raises ``ApplianceError``.
"""
