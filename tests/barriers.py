"""What keeps somebody from using a page, as far as a machine can see it (axe-core)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

WCAG_AA = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
_SEEN = """(rules) => axe
    .run({ resultTypes: ["violations"], ...(rules.length ? { runOnly: rules } : {}) })
    .then(({ violations }) => violations.map((one) =>
        `${one.id}: ${one.help} ${one.nodes.slice(0, 3).map((node) => node.html).join(" ")}`))"""


async def barriers(page: Page, rules: Sequence[str] = ()) -> list[str]:
    """What axe finds on a page as it is now: the name of each rule, what it says, and where it is broken. ``rules``:
    their names or tags; all of them, if none is given."""
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(_script())  # from outside, which the pages forbid: the context must look past their policy
    found: list[str] = await page.evaluate(_SEEN, list(rules))
    return found


@cache
def _script() -> str:
    script: str = Axe().axe_script
    return script
