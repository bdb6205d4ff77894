"""The pages about devices: the list, one device, who has it, where it is, and taking it out of use."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from appliance.errors import Refused
from appliance.hookspecs import Page, Permission
from appliance.people.devices import HOLDERS, Device, DeviceDetails, DeviceFilter
from appliance.people.directory import Filter
from appliance.people.names import GROUP_KINDS, PERSON_KINDS
from appliance.web.directory_pages import directory_of, in_form, may_manage, number_of, one_of, paging
from appliance.web.pages import actor, flash, read_form, redirect, render


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
    return render(
        request,
        "devices.html",
        wanted=wanted,
        paging=paging(page, "/devices", shown, sent=bool(words)),
        groups=[group for group in groups if group["devices"] or group["id"] == wanted.group],
        group_kinds=GROUP_KINDS,
        holders=HOLDERS,
        may_manage=may_manage(request),
    )


# One device


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
        device=found,
        group_kinds=GROUP_KINDS,
        groups=[group for group in groups if group["id"] not in here],
        errors=errors,
        may_manage=manage,
    )


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
