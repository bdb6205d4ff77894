"""The page of accounts: who may sign in, as what, about whom, and who can open what is sealed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from appliance.access import CONTENT_ROLES, Role
from appliance.accounts.second_factor import qr_code
from appliance.accounts.staff import Account, Invitation, Scope
from appliance.clock import stamp
from appliance.errors import Refused
from appliance.hookspecs import Page, Permission
from appliance.net import bracketed, lan_addresses
from appliance.people.directory import Filter
from appliance.vaults import CAPTURES, VAULT_NAMES, VULNERABLE_LIST
from appliance.web.pages import actor, context_of, flash, keys, read_fields, read_form, redirect, render

NO_ROLE = "none"
OPENS = {
    CAPTURES: "What devices capture",
    VULNERABLE_LIST: "The vulnerable list",
}


def pages() -> tuple[Page, ...]:
    """The pages of this module."""
    manage, grant = Permission.MANAGE_STAFF, Permission.GRANT_CONTENT
    return (
        Page("staff", "GET", "/staff", index, manage),
        Page("staff", "GET", "/staff/invite", invite, manage),
        Page("staff", "POST", "/staff/invite", take_invite, manage),
        Page("staff", "GET", "/staff/who-can-open", who_can_open, Permission.USE),
        Page("staff", "POST", "/staff/who-can-open/admit", admit, Permission.USE),
        Page("staff", "POST", "/staff/who-can-open/remove", remove, Permission.USE),
        Page("staff", "GET", "/staff/review", review, manage),
        Page("staff", "POST", "/staff/review", sign_review, manage),
        Page("staff", "POST", "/staff/resets/agree", agree_reset, manage),
        Page("staff", "POST", "/staff/resets/refuse", refuse_reset, Permission.USE),
        Page("staff", "GET", "/staff/{id}", show, manage),
        Page("staff", "POST", "/staff/{id}/role", set_role, manage),
        Page("staff", "POST", "/staff/{id}/about", set_scopes, grant),
        Page("staff", "POST", "/staff/{id}/person", set_person, manage),
        Page("staff", "POST", "/staff/{id}/disable", disable, manage),
        Page("staff", "POST", "/staff/{id}/enable", enable, manage),
        Page("staff", "POST", "/staff/{id}/link", new_link, manage),
        Page("staff", "POST", "/staff/{id}/ask-reset", ask_reset, manage),
    )


# The list


async def index(request: web.Request) -> web.StreamResponse:
    """Every account."""
    appliance = context_of(request).appliance
    staff, who = appliance.staff, actor(request)
    due = await staff.review_due()
    return render(
        request,
        "staff.html",
        accounts=staff.all(),
        links=await staff.open_links(),
        resets=[(row, staff.get(row["account_id"]), staff.get(row["asked_by"])) for row in await staff.factor_resets()],
        me=who.account,
        review_due=due,
        review_overdue=due <= stamp(),
        lone=await appliance.vaults.lone(),
        opens=OPENS,
        has_lead=staff.has_lead,
    )


# Inviting


@dataclass(frozen=True, slots=True)
class RoleChoice:
    """One radio button: what a role may do, and whether the visitor may give it."""

    value: str
    title: str
    words: str
    allowed: bool


ROLE_WORDS: Mapping[Role, str] = {
    Role.LEAD: "Sees every pupil, decides who is monitored, gives roles, says who can open what is sealed.",
    Role.DEPUTY: "As the lead, but gives nobody a role that sees records about pupils.",
    Role.HEAD: "Sees every pupil, and is told of unusual access. Approves changes of accounts.",
    Role.PASTORAL: "Sees the pupils, forms or years that the lead names.",
    Role.TEACHER: "Sees the classes or groups that the lead names.",
    Role.DPO: "Sees who is monitored and the record of who did what, without pupils’ names.",
    Role.GOVERNOR: "Sees the record of who did what, without pupils’ names.",
    Role.IT: "Runs the box and keeps the directory and the accounts. Sees no content.",
}


def _role_choices(request: web.Request) -> list[RoleChoice]:
    staff, who = context_of(request).appliance.staff, actor(request)
    roles = [RoleChoice(role.value, role.label, ROLE_WORDS[role], staff.may_grant(who, role)) for role in Role]
    return [*roles, RoleChoice(NO_ROLE, "No role yet", "Can sign in and see nothing. A lead gives the role.", True)]


def _role(text: str) -> Role | None:
    if text == NO_ROLE:
        return None
    try:
        return Role(text)
    except ValueError:
        raise Refused("Choose a role.") from None


async def invite(request: web.Request) -> web.StreamResponse:
    """A new account."""
    typed = {"name": "", "sign_in_name": "", "role": request.query.get("role", "")}
    return _invite(request, 200, typed, {})


def _invite(request: web.Request, status: int, typed: Mapping[str, str], errors: Mapping[str, str]) -> web.Response:
    return render(request, "staff_invite.html", status, typed=typed, errors=errors, roles=_role_choices(request))


async def take_invite(request: web.Request) -> web.StreamResponse:
    """Make the account and show its link once."""
    form = await read_form(request)
    typed = {key: form.get(key, "") for key in ("name", "sign_in_name", "role")}
    try:
        invitation = await context_of(request).appliance.staff.invite(
            actor(request), typed["name"], typed["sign_in_name"], _role(typed["role"])
        )
    except Refused as error:
        return _invite(request, 422, typed, {_field_of(error): str(error)})
    return invitation_page(request, invitation)


def _field_of(error: Refused) -> str:
    if error.what.startswith(("Enter a name", "A name has")):
        return "name"
    return "sign_in_name" if "sign-in name" in error.what else "role"


def invitation_page(request: web.Request, invitation: Invitation) -> web.Response:
    """The link and the slip, shown once: the box keeps only a hash of the code."""
    context = context_of(request)
    web_settings = context.appliance.config.settings.web
    port = "" if web_settings.port == 443 else f":{web_settings.port}"
    address = f"https://staff.{web_settings.domain}{port}/join"
    on_network = lan_addresses() if web_settings.domain == "localhost" else []
    return render(
        request,
        "staff_invitation.html",
        invitation=invitation,
        address=address,
        elsewhere=[f"https://{bracketed(one)}{port}/join" for one in on_network],
        link=f"{address}#{invitation.code}",
        qr=qr_code(f"{address}#{invitation.code}"),
        certificate_fingerprint=context.certificate.fingerprint,
    )


# One account


async def show(request: web.Request) -> web.StreamResponse:
    """One account and what can be done with it."""
    return await _show(request, 200, {})


async def _show(request: web.Request, status: int, errors: Mapping[str, str]) -> web.Response:
    appliance = context_of(request).appliance
    staff, who = appliance.staff, actor(request)
    account = staff.get(request.match_info["id"])
    granter = who.may(Permission.GRANT_CONTENT)
    return render(
        request,
        "staff_account.html",
        status,
        account=account,
        mine=account.id == who.account,
        roles=_role_choices(request),
        role_value=account.role.value if account.role else NO_ROLE,
        may_change=granter or account.role not in CONTENT_ROLES,
        granter=granter,
        scopes={f"{scope.kind} {scope.target}".strip() for scope in await staff.scopes(account.id)},
        scope_words=await staff.scope_words(who, account.id),
        needs_scope=account.role in (Role.PASTORAL, Role.TEACHER),
        groups=await appliance.directory.groups.all(who) if granter else [],
        people=await staff.possible_people(who),
        person=await staff.person_name(account.id),
        link=(await staff.open_links()).get(account.id),
        reset=next((row for row in await staff.factor_resets() if row["account_id"] == account.id), None),
        errors=errors,
    )


async def set_role(request: web.Request) -> web.StreamResponse:
    """Give another role."""
    form = await read_form(request)
    staff, account_id = context_of(request).appliance.staff, request.match_info["id"]
    try:
        await staff.set_role(actor(request), account_id, _role(form.get("role", "")))
    except Refused as error:
        return await _show(request, 422, {"role": str(error)})
    account = staff.get(account_id)
    title = account.role.label if account.role else "no role"
    flash(request, f"{account.name} has the role “{title}” from now on, and was signed out everywhere.")
    return redirect(f"/staff/{account_id}")


async def set_scopes(request: web.Request) -> web.StreamResponse:
    """Say about whom this account may know."""
    fields = await read_fields(request)
    account_id, directory = request.match_info["id"], context_of(request).appliance.directory
    chosen = [value for name, value in fields if name == "about"]
    scopes = [Scope("everyone") if value == "everyone" else _scope(value) for value in chosen]
    searched = next((value.strip() for name, value in fields if name == "person"), "")
    try:
        if searched:
            found = await directory.find(actor(request), Filter(searched), 1)
            if len(found.rows) != 1:
                how_many = "Nobody" if not found.rows else "More than one person"
                raise Refused(f"{how_many} fits “{searched}”.", "Enter the whole name, or the school’s number.")
            scopes.append(Scope("person", found.rows[0]["id"]))
        await context_of(request).appliance.staff.set_scopes(actor(request), account_id, scopes)
    except Refused as error:
        return await _show(request, 422, {"about": str(error)})
    flash(request, "It is changed, and they were signed out everywhere.")
    return redirect(f"/staff/{account_id}")


def _scope(value: str) -> Scope:
    kind, _, target = value.partition(" ")
    if kind == "group":
        return Scope("group", target)
    if kind == "person":
        return Scope("person", target)
    raise web.HTTPBadRequest


async def set_person(request: web.Request) -> web.StreamResponse:
    """Say who in the directory this account belongs to."""
    form = await read_form(request)
    account_id = request.match_info["id"]
    try:
        await context_of(request).appliance.staff.set_person(actor(request), account_id, form.get("person") or None)
    except Refused as error:
        return await _show(request, 422, {"person": str(error)})
    flash(request, "It is kept. They were signed out everywhere.")
    return redirect(f"/staff/{account_id}")


async def disable(request: web.Request) -> web.StreamResponse:
    """End an account at once."""
    form = await read_form(request)
    staff, account_id = context_of(request).appliance.staff, request.match_info["id"]
    try:
        await staff.disable(actor(request), account_id, form.get("reason", ""))
    except Refused as error:
        return await _show(request, 422, {"reason": str(error)})
    flash(request, f"{staff.get(account_id).name} can no longer sign in, and was signed out everywhere.")
    return redirect(f"/staff/{account_id}")


async def enable(request: web.Request) -> web.StreamResponse:
    """Let somebody back in with a new invitation."""
    invitation = await context_of(request).appliance.staff.enable(actor(request), request.match_info["id"])
    return invitation_page(request, invitation)


async def new_link(request: web.Request) -> web.StreamResponse:
    """Another invitation, or a link for a new password."""
    account = context_of(request).appliance.staff.get(request.match_info["id"])
    invitation = await context_of(request).appliance.staff.new_link(
        actor(request), account.id, "join" if account.state == "invited" else "password"
    )
    return invitation_page(request, invitation)


# A new second factor takes two people


async def ask_reset(request: web.Request) -> web.StreamResponse:
    """First of two people."""
    form = await read_form(request)
    account_id = request.match_info["id"]
    try:
        await context_of(request).appliance.staff.ask_factor_reset(
            actor(request), account_id, form.get("reset_reason", "")
        )
    except Refused as error:
        return await _show(request, 422, {"reset_reason": str(error)})
    flash(request, "Asked. A second person has to agree on the page “Staff”.")
    return redirect(f"/staff/{account_id}")


async def agree_reset(request: web.Request) -> web.StreamResponse:
    """Second of two people."""
    form = await read_form(request)
    invitation = await context_of(request).appliance.staff.agree_factor_reset(actor(request), form.get("id", ""))
    return invitation_page(request, invitation)


async def refuse_reset(request: web.Request) -> web.StreamResponse:
    """Say no."""
    form = await read_form(request)
    await context_of(request).appliance.staff.refuse_factor_reset(actor(request), form.get("id", ""))
    flash(request, "You said no. Nothing was changed.")
    return redirect("/staff" if actor(request).may(Permission.MANAGE_STAFF) else "/account")


# Who can open what is sealed


async def who_can_open(request: web.Request) -> web.StreamResponse:
    """Members of each vault; a member admits and removes others."""
    return await _who_can_open(request, 200, "")


async def _who_can_open(request: web.Request, status: int, error: str) -> web.Response:
    appliance = context_of(request).appliance
    who = actor(request)
    lists = []
    for name in VAULT_NAMES:
        members = await appliance.vaults.members(name)
        inside = {row["account_id"] for row in members if row["can_open"] and row["complete"]}
        opens = {row["account_id"] for row in members if row["can_open"]}
        lists.append(
            {
                "name": name,
                "opens": OPENS[name],
                "members": members,
                "mine": who.account in opens,
                "admits": who.account in opens and (name == CAPTURES or who.may(Permission.GRANT_CONTENT)),
                "openers": len(opens),
                "candidates": _candidates(appliance.staff.all(), inside),
            }
        )
    granter = who.may(Permission.GRANT_CONTENT)
    return render(request, "staff_who_can_open.html", status, lists=lists, me=who.account, granter=granter, error=error)


def _candidates(accounts: Sequence[Account], inside: set[str]) -> list[Account]:
    return [one for one in accounts if one.active and one.role in CONTENT_ROLES and one.id not in inside]


async def admit(request: web.Request) -> web.StreamResponse:
    """Let a colleague open it too."""
    form = await read_form(request)
    appliance = context_of(request).appliance
    name, account_id = form.get("list", ""), form.get("account", "")
    try:
        account = appliance.staff.get(account_id)
        if not account.active or account.role not in CONTENT_ROLES:
            raise Refused(f"{account.name} has no role that sees records about pupils.", "A lead gives roles.")
        if name == VULNERABLE_LIST and not actor(request).may(Permission.GRANT_CONTENT):
            raise Refused("Who keeps the vulnerable list is named by the safeguarding lead.")
        await appliance.vaults.admit(actor(request), keys(request), name, account_id)
    except Refused as error:
        return await _who_can_open(request, 422, str(error))
    flash(request, f"{account.name} can open it too. It shows after the next sign-in.")
    return redirect("/staff/who-can-open")


async def remove(request: web.Request) -> web.StreamResponse:
    """Take a colleague out: what comes from now on stays shut for them. A lead does that, or whoever goes."""
    form = await read_form(request)
    appliance, who, account_id = context_of(request).appliance, actor(request), form.get("account", "")
    try:
        if account_id != who.account and not who.may(Permission.GRANT_CONTENT):
            raise Refused("Only a safeguarding lead takes somebody else out.", "You can take yourself out.")
        await appliance.vaults.remove(who, keys(request), form.get("list", ""), account_id)
    except Refused as error:
        return await _who_can_open(request, 422, str(error))
    flash(request, "Taken out. The box has made a new key that they never had.")
    return redirect("/staff/who-can-open")


# Review of accounts


async def review(request: web.Request) -> web.StreamResponse:
    """Go through the accounts and sign."""
    return await _review(request, 200, {}, "")


async def _review(request: web.Request, status: int, errors: Mapping[str, str], note: str) -> web.Response:
    staff = context_of(request).appliance.staff
    accounts = [one for one in staff.all() if one.state != "disabled"]
    return render(
        request,
        "staff_review.html",
        status,
        accounts=[(one, await staff.scope_words(actor(request), one.id)) for one in accounts],
        reviews=[(row, staff.get(row["account_id"])) for row in await staff.reviews()],
        due=await staff.review_due(),
        errors=errors,
        note=note,
    )


async def sign_review(request: web.Request) -> web.StreamResponse:
    """Put one's name to it."""
    form = await read_form(request)
    if form.get("right") != "yes":
        return await _review(request, 422, {"right": "Tick that you have gone through the list."}, form.get("note", ""))
    await context_of(request).appliance.staff.sign_review(actor(request), form.get("note", "")[:2000])
    flash(request, "Signed. The next review is due in a term.")
    return redirect("/staff/review")
