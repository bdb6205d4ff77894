"""The page of the test bench: the latest result beside the one before, what went wrong, and a button to run it."""

from __future__ import annotations

import asyncio

from aiohttp import web

from appliance.bench.sentences import HARMLESS, bench_sentences, kind_words
from appliance.bench.words import difference, percent, shown, summary
from appliance.hookspecs import Page, Permission
from appliance.web.pages import actor, context_of, redirect, render

WAIT_SECONDS = 5.0
"""How long the button waits for the result before it shows how far the run has come."""
REFRESH_SECONDS = 3


def pages() -> tuple[Page, ...]:
    """For whoever sees the policies."""
    return (
        Page("staff", "GET", "/bench", _show, Permission.SEE_CAPTURES),
        Page("staff", "POST", "/bench", _run, Permission.SEE_CAPTURES),
    )


async def _show(request: web.Request) -> web.StreamResponse:
    """Everything that is known."""
    appliance = context_of(request).appliance
    runs = await appliance.bench.runs()
    now, before = (runs[0] if runs else None), (runs[1].result if len(runs) > 1 else None)
    response = render(
        request,
        "bench.html",
        progress=appliance.bench.progress,
        trouble=appliance.bench.trouble,
        count=len(bench_sentences()),
        run=now,
        before=before,
        runs=runs,
        title=lambda key: "Harmless" if key == HARMLESS else appliance.categories.title(key),
        summary=summary,
        percent=percent,
        difference=difference,
        shown=shown,
        kind_words=kind_words,
    )
    if appliance.bench.progress is not None:
        response.headers["Refresh"] = str(REFRESH_SECONDS)
    return response


async def _run(request: web.Request) -> web.StreamResponse:
    """Run it. On most boxes the result is there before anybody would ask what has become of it."""
    task = context_of(request).appliance.bench.begin(actor(request).name)
    await asyncio.wait({task}, timeout=WAIT_SECONDS)
    return redirect("/bench")
