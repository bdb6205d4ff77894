"""The pages about devices: the list, one device, who has it, where it is, and taking it out of use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from appliance.db import Row
from appliance.endpoints.connections import CLAIMS, UNKNOWN
from appliance.errors import Refused
from appliance.hookspecs import Page, Permission
from appliance.monitoring.switching import Monitored
from appliance.people.devices import HOLDERS, Device, DeviceDetails, DeviceFilter
from appliance.people.directory import Filter
from appliance.people.names import GROUP_KINDS, PERSON_KINDS
from appliance.web.directory_pages import directory_of, facts_of_plugins, in_form, may_manage, number_of, one_of, paging
from appliance.web.pages import actor, context_of, flash, read_form, redirect, render


def pages() -> tuple[Page, ...]:
    """The routes."""
    see, manage = Permission.SEE_DIRECTORY, Permission.MANAGE_PEOPLE
    return (
        Page("staff", "GET", "/devices", index, see),
        Page("staff", "POST", "/devices", search, see),
        Page("staff", "GET", "/devices/new", new, manage),
        Page("staff", "POST", "/devices/new", add, manage),
        Page("staff", "GET", "/devices/{id}", device, see),
        Page("staff", "GET", "/devices/{id}/edit", edit, manage),
        Page("staff", "POST", "/devices/{id}/edit", change, manage),
        Page("staff", "GET", "/devices/{id}/give", find_holder, manage),
        Page("staff", "POST", "/devices/{id}/give", give, manage),
        Page("staff", "POST", "/devices/{id}/groups", change_groups, manage),
        Page("staff", "GET", "/devices/{id}/remove", ask_remove, manage),
        Page("staff", "POST", "/devices/{id}/remove", remove, manage),
        Page("staff", "POST", "/devices/{id}/bring-back", bring_back, manage),
    )


async def _device_of(request: web.Request) -> Device:
    found = await directory_of(request).devices.device(actor(request), request.match_info["id"])
    if found is None:
        raise web.HTTPNotFound
    return found


# The list


async def index(request: web.Request) -> web.StreamResponse:
    """Devices by group and holder; the filter stands in the address."""
    return await _index(request, request.query, "")


async def search(request: web.Request) -> web.StreamResponse:
    """Devices by name or serial number: a form that is sent, because a device may be called after a child."""
    form = await read_form(request)
    return await _index(request, form, form.get("words", "").strip())


async def _index(request: web.Request, fields: Mapping[str, str], words: str) -> web.Response:
    directory, who = directory_of(request), actor(request)
    holder = one_of(fields.get("holder", ""), HOLDERS)
    wanted = DeviceFilter(words, fields.get("group", ""), holder, removed=fields.get("removed") == "yes")
    page = await directory.devices.find(who, wanted, number_of(fields.get("page", "")))
    shown = {"words": words, "group": wanted.group, "holder": holder, "removed": "yes" if wanted.removed else ""}
    groups = await directory.groups.all(who)
    browsers = await context_of(request).appliance.endpoints.enrolment.of_devices(who, [row["id"] for row in page.rows])
    return render(
        request,
        "devices.html",
        browsers=browsers,
        monitored=_monitored_on(request, page.rows, browsers),
        wanted=wanted,
        paging=paging(page, "/devices", shown, sent=bool(words)),
        groups=[group for group in groups if group["devices"] or group["id"] == wanted.group],
        group_kinds=GROUP_KINDS,
        holders=HOLDERS,
        may_manage=may_manage(request),
        may_test=actor(request).may(Permission.SEE_ALERTS),
    )


def _may_see_monitoring(request: web.Request) -> bool:
    """Whether a device is monitored is for those who decide about it or run it, not for everybody who finds it."""
    return actor(request).may(Permission.SEE_MONITORING) or actor(request).may(Permission.OPERATE)


def _monitored_on(request: web.Request, rows: Sequence[Row], browsers: Mapping[str, Row]) -> dict[str, bool] | None:
    """By device with a browser of ours: whether whoever is there now is monitored. ``None`` for who may not know."""
    if not _may_see_monitoring(request):
        return None
    appliance = context_of(request).appliance
    connected = appliance.endpoints.connections.by_device()
    found = {}
    for row in rows:
        if row["id"] in browsers:
            there = [one.monitored.on for one in connected.get(row["id"], ())]
            by_itself = appliance.monitoring.is_monitored(row["person_id"], row["id"])
            found[row["id"]] = any(there) if there else by_itself.on
    return found


# One device


@dataclass(frozen=True, slots=True)
class ShownBrowser:
    """A browser of a device. ``row`` as in ``Enrolment.of_device``; ``current``: whether it has what it must know.

    ``monitored`` and ``why`` are empty for those who may not know.
    """

    row: Row
    connected: bool
    current: bool
    newest: bool
    monitored: bool | None
    why: str


async def device(request: web.Request) -> web.StreamResponse:
    """A device: who has it, and where it is."""
    return await _device(request, await _device_of(request), {})


async def _device(request: web.Request, found: Device, errors: Mapping[str, str]) -> web.Response:
    here = {group["id"] for group in found.groups}
    manage = may_manage(request)
    groups = await directory_of(request).groups.all(actor(request)) if manage else []
    return render(
        request,
        "device.html",
        422 if errors else 200,
        browsers=await _browsers(request, found),
        claims=CLAIMS,
        unknown=UNKNOWN,
        may_operate=actor(request).may(Permission.OPERATE),
        device=found,
        group_kinds=GROUP_KINDS,
        groups=[group for group in groups if group["id"] not in here],
        errors=errors,
        may_manage=manage,
        facts=facts_of_plugins(request, "device"),
    )


async def _browsers(request: web.Request, found: Device) -> list[ShownBrowser]:
    endpoints, who = context_of(request).appliance.endpoints, actor(request)
    await endpoints.connections.keep_what_was_seen()
    rows = await endpoints.enrolment.of_device(who, found.row["id"])
    return [_browser(request, row, found) for row in rows]


def _browser(request: web.Request, row: Row, found: Device) -> ShownBrowser:
    appliance = context_of(request).appliance
    connection = appliance.endpoints.connections.of(row["id"])
    monitored, why = None, ""
    if _may_see_monitoring(request) and row["state"] == "approved":
        person = connection.who.person if connection is not None else found.row["person_id"]
        answer = appliance.endpoints.connections.monitored(person, found.row["id"])
        monitored, why = answer.on, _why(request, answer)
    return ShownBrowser(
        row=row,
        connected=connection is not None,
        current=connection is not None and connection.is_current,
        newest=row["version"] == appliance.endpoints.extension.version,
        monitored=monitored,
        why=why,
    )


def _why(request: web.Request, answer: Monitored) -> str:
    """Whose switch decided. What was typed as its reason may name a child: for those who see records about pupils."""
    if actor(request).may(Permission.SEE_PEOPLE):
        return answer.origin
    if answer.target is None:
        return "nobody has switched it on for this device or who is there" if not answer.on else ""
    return f"by a choice for this {answer.target.kind}" if answer.target.kind != "group" else "by a choice for a group"


async def new(request: web.Request) -> web.StreamResponse:
    """The form for a new device."""
    return _form(request, DeviceDetails(""), {}, None)


async def add(request: web.Request) -> web.StreamResponse:
    """Take the form."""
    details = _details(await read_form(request))
    errors = details.faults()
    if not errors:
        try:
            device_id = await directory_of(request).devices.add(actor(request), details)
        except Refused as refused:
            errors = in_form(refused)
        else:
            flash(request, "The device was added. Say below who has it, or in which room or trolley it is.")
            return redirect(f"/devices/{device_id}")
    return _form(request, details, errors, None)


async def edit(request: web.Request) -> web.StreamResponse:
    """The form for a device that is in the directory."""
    row = (await _device_of(request)).row
    return _form(request, DeviceDetails(row["name"], row["serial"] or ""), {}, row["id"])


async def change(request: web.Request) -> web.StreamResponse:
    """Take the form."""
    row, details = (await _device_of(request)).row, _details(await read_form(request))
    errors = details.faults()
    if not errors:
        try:
            await directory_of(request).devices.change(actor(request), row["id"], details)
        except Refused as refused:
            errors = in_form(refused)
        else:
            flash(request, "The change was kept.")
            return redirect(f"/devices/{row['id']}")
    return _form(request, details, errors, row["id"])


def _details(form: Mapping[str, str]) -> DeviceDetails:
    return DeviceDetails(form.get("name", ""), form.get("serial", ""))


def _form(
    request: web.Request, details: DeviceDetails, errors: Mapping[str, str], device_id: str | None
) -> web.Response:
    return render(
        request, "device_edit.html", 422 if errors else 200, details=details, errors=errors, device_id=device_id
    )


# Who has it, and where it is


async def find_holder(request: web.Request) -> web.StreamResponse:
    """The search for the person who is to have it."""
    return await _holder_page(request, await _device_of(request), "")


async def give(request: web.Request) -> web.StreamResponse:
    """Search, give it to who was chosen, or take it back."""
    found, form = await _device_of(request), await read_form(request)
    devices, who, device_id = directory_of(request).devices, actor(request), found.row["id"]
    match form.get("do"):
        case "nobody":
            await devices.give(who, device_id, None)
            flash(request, "Nobody has this device now.")
        case "give" if form.get("person"):
            await devices.give(who, device_id, form["person"])
            flash(request, "It is kept who has this device.")
        case "give":
            return await _holder_page(request, found, form.get("words", ""), {"found": "Choose who has it."})
        case _:
            return await _holder_page(request, found, form.get("words", "").strip())
    return redirect(f"/devices/{device_id}")


async def _holder_page(
    request: web.Request, found: Device, words: str, errors: Mapping[str, str] | None = None
) -> web.Response:
    people = await directory_of(request).find(actor(request), Filter(words), 1) if words else None
    return render(
        request,
        "device_give.html",
        422 if errors else 200,
        device=found,
        words=words,
        people=people.rows if people else [],
        total=people.total if people else 0,
        kinds=PERSON_KINDS,
        errors=errors or {},
    )


async def change_groups(request: web.Request) -> web.StreamResponse:
    """Put a device into a room, a trolley or another group, or take it out."""
    found, form = await _device_of(request), await read_form(request)
    groups, who, group = directory_of(request).groups, actor(request), form.get("group", "")
    try:
        match form.get("do"):
            case "add":
                await groups.add_devices(who, group, [found.row["id"]])
            case "remove":
                await groups.remove_devices(who, group, [found.row["id"]])
            case _:
                raise web.HTTPBadRequest
    except Refused as refused:
        return await _device(request, found, {"group": str(refused)})
    return redirect(f"/devices/{found.row['id']}#groups")


# Out of use


async def ask_remove(request: web.Request) -> web.StreamResponse:
    """Say what it means to take a device out of use."""
    return render(request, "device_remove.html", device=await _device_of(request))


async def remove(request: web.Request) -> web.StreamResponse:
    """Mark it as removed."""
    row = (await _device_of(request)).row
    await read_form(request)
    await directory_of(request).devices.remove(actor(request), row["id"])
    flash(request, f"{row['name']} is marked as removed.")
    return redirect(f"/devices/{row['id']}")


async def bring_back(request: web.Request) -> web.StreamResponse:
    """It is in use again."""
    row = (await _device_of(request)).row
    await read_form(request)
    await directory_of(request).devices.bring_back(actor(request), row["id"])
    flash(request, f"{row['name']} is in use again.")
    return redirect(f"/devices/{row['id']}")
