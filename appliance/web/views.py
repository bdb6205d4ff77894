"""The core's own pages, all but the settings. Each view reads the services and renders; it decides nothing."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from appliance.errors import Refused
from appliance.hookspecs import Check, Elsewhere, Page, Permission, Site, State
from appliance.migrate import CORE
from appliance.plugin_authors import written_by
from appliance.web import (
    account_views,
    adding_views,
    alert_views,
    audit_views,
    bench_views,
    capture_views,
    endpoint_views,
    extension_views,
    help_views,
    home_views,
    identity_views,
    joining_views,
    live,
    looks_views,
    monitoring_views,
    notices_views,
    people_views,
    settings_views,
    signing_in_views,
    staff_views,
    working_views,
)
from appliance.web.applying import applying, applying_page, latest
from appliance.web.assets import Assets
from appliance.web.pages import actor, context_of, flash, read_form, redirect, render
from appliance.web.sites import ELSEWHERE

SOURCES = {
    "bundled": "came with the appliance",
    "package": "installed as a package of its own",
    "drop-in": "put into the folder for plugins",
}


def core_pages(assets: Assets) -> tuple[Page, ...]:
    """Every page of the core, with the site and the permission of each."""
    operate, public = Permission.OPERATE, Permission.PUBLIC
    return (
        *home_views.pages(),
        *signing_in_views.pages(),
        *joining_views.pages(),
        *account_views.pages(),
        *staff_views.pages(),
        Page("staff", "GET", "/status", status, operate),
        Page("staff", "POST", "/status/undelivered", undelivered, operate),
        Page("staff", "GET", "/authority.pem", authority, operate),
        Page("staff", "GET", "/plugins", plugins, operate),
        Page("staff", "POST", "/plugins/try-again", try_again, operate),
        *settings_views.pages(),
        *help_views.pages(),
        *identity_views.pages(),
        applying_page(),
        *alert_views.pages(),
        *audit_views.pages(),
        *bench_views.pages(),
        *capture_views.pages(),
        *looks_views.pages(),
        *monitoring_views.pages(),
        *notices_views.pages(),
        *working_views.pages(),
        *people_views.pages(),
        Page("staff", "GET", "/live", live.stream, Permission.SIGNED_IN),
        Page("pupil", "GET", "/", pupil_home, public),
        Page("endpoint", "GET", "/", endpoint_home, public),
        *adding_views.pages(),
        *endpoint_views.pages(),
        *extension_views.pages(),
        *_files("staff", assets),
        *_files("pupil", assets),
        *_files(ELSEWHERE, assets),
    )


def _files(site: Site | Elsewhere, assets: Assets) -> tuple[Page, ...]:
    return (
        Page(site, "GET", "/static/{name:.+}", assets.serve, Permission.PUBLIC),
        Page(site, "GET", "/favicon.svg", assets.serve_icon, Permission.PUBLIC),
        Page(site, "GET", "/robots.txt", robots, Permission.PUBLIC),
    )


# Status


async def status(request: web.Request) -> web.StreamResponse:
    """How everything is doing, the worst first."""
    context = context_of(request)
    appliance = context.appliance
    return render(
        request,
        "status.html",
        checks=by_state(appliance.health.checks()),
        off=[state for state in appliance.plugins.states() if state.state == "off"],
        undelivered=await appliance.bus.parked(),
        waiting=await appliance.bus.waiting(),
        runs=await appliance.schedule.runs(),
        core=CORE,
        authority=context.authority,
        certificate=context.certificate,
        latest=latest(request),
    )


def by_state(checks: tuple[Check, ...]) -> Mapping[str, list[Check]]:
    return {state.value: [check for check in checks if check.state is state] for state in State}


async def undelivered(request: web.Request) -> web.StreamResponse:
    """Try a delivery that was given up again, or drop it for good."""
    form = await read_form(request)
    control, who = context_of(request).appliance.control, actor(request).name
    owner, event_id = form.get("owner", ""), form.get("id", "")
    match form.get("do"):
        case "retry":
            done, words = await control.events_retry(who, owner, event_id), "It is being tried again."
        case "drop":
            done, words = await control.events_drop(who, owner, event_id), "It was given up for good."
        case _:
            raise web.HTTPBadRequest
    flash(request, words if done else "That one was dealt with already.")
    return redirect("/status#undelivered")


async def authority(request: web.Request) -> web.StreamResponse:
    """The authority's certificate, for devices that are to trust this box. ``.crt`` opens in Windows and macOS."""
    disposition = 'attachment; filename="safeguarding-appliance-authority.crt"'
    return web.Response(
        body=context_of(request).authority.certificate_pem,
        content_type="application/x-x509-ca-cert",
        headers={"Content-Disposition": disposition},
    )


# Plugins


async def plugins(request: web.Request) -> web.StreamResponse:
    """Every plugin that the settings name."""
    appliance = context_of(request).appliance
    return render(
        request,
        "plugins.html",
        states=sorted(appliance.plugins.states(), key=lambda state: (state.state != "off", state.title)),
        sources=SOURCES,
        authors={
            state.name: written_by(state.name, state.source, appliance.config.place.drop_in_dir)
            for state in appliance.plugins.states()
        },
        detectors={name: await appliance.bench.plugin_words(name) for name in appliance.plugins.detectors()},
        may_see_bench=actor(request).may(Permission.SEE_CAPTURES),
        config_file=appliance.config.place.config_file,
        latest=latest(request),
    )


async def try_again(request: web.Request) -> web.StreamResponse:
    """Let a plugin that was switched off in again."""
    name = (await read_form(request)).get("name", "")
    outcome = await context_of(request).appliance.control.plugin_reset(actor(request).name, name)
    if not outcome.applied:
        raise Refused(outcome.words)
    return applying("/plugins")


# The other sites


async def pupil_home(request: web.Request) -> web.StreamResponse:
    """What this box is, and who is there to talk to."""
    return render(request, "pupil.html")


async def endpoint_home(_request: web.Request) -> web.StreamResponse:
    """So that a device can see that it has found the appliance."""
    return web.json_response({"service": "safeguarding appliance"})


async def robots(_request: web.Request) -> web.StreamResponse:
    """No page of ours belongs in a search engine (RFC 9309)."""
    return web.Response(text="User-agent: *\nDisallow: /\n")
