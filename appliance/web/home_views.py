"""Home: what was said to you, whether anybody is at risk or anything broken, your next step, and who does what."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiohttp import web
from markupsafe import Markup

from appliance.access import Actor, Role
from appliance.accounts.staff import Account
from appliance.app import Appliance
from appliance.captures.reading import Waiting
from appliance.errors import PluginError, PluginOff
from appliance.hookspecs import Check, HomeCard, Page, Permission, State, Task
from appliance.vaults import CAPTURES
from appliance.web.pages import Context, actor, context_of, render

TOLD_OF_FAULTS = frozenset({Role.LEAD, Role.DEPUTY, Role.HEAD, Role.IT})
FEW_CODES = 3


@dataclass(frozen=True, slots=True)
class Step:
    """Something to be done once: what, why, where, and whether it is done, as the store says."""

    title: str
    why: str
    link: str
    link_words: str
    done: bool


@dataclass(frozen=True, slots=True)
class Card:
    """A plugin's card, made, or the words why it could not be made."""

    title: str
    content: Markup
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Risk:
    """Whether anybody is at risk, as far as whoever asks may know it.

    ``alerts``: how many nobody has taken on. ``doubts``: why nothing to be seen does not mean that nothing is there.
    """

    alerts: int
    waiting: Waiting
    doubts: tuple[str, ...]


def pages() -> tuple[Page, ...]:
    """The pages of this module."""
    return (Page("staff", "GET", "/", home, Permission.USE),)


async def home(request: web.Request) -> web.StreamResponse:
    """The first page after signing in, made for the role of whoever looks."""
    context = context_of(request)
    appliance, who = context.appliance, actor(request)
    steps = [*await next_steps(appliance, who), *await _tasks(appliance, who)]
    return render(
        request,
        "home.html",
        notices=await appliance.notices.unread(who),
        risk=await _risk(appliance, who) if who.may(Permission.SEE_CAPTURES) else None,
        has_lead=appliance.staff.has_lead,
        told_of_faults=who.role in TOLD_OF_FAULTS,
        checks=by_state(appliance.health.checks()),
        steps=[step for step in steps if not step.done],
        steps_done=[step for step in steps if step.done],
        holders=role_holders(appliance),
        cards=await _cards(request, context),
        trial=appliance.config.place.trial_dir if who.may(Permission.OPERATE) else None,
    )


async def _risk(appliance: Appliance, who: Actor) -> Risk:
    waiting = await appliance.captures.reading.waiting(who)
    return Risk(appliance.alerts.waiting(who.account), waiting, tuple(await _doubts(appliance)))


async def _doubts(appliance: Appliance) -> list[str]:
    """Why captures may be missing. An empty page must calm nobody while nothing could come."""
    if not appliance.monitoring.can_open():
        return ["Nothing can be captured yet: nobody could open it. The safeguarding lead has to join first."]
    found = []
    if not await appliance.monitoring.anything_on():
        found.append("Nobody is monitored, so nothing is captured but tests.")
    broken = [check.name for check in appliance.health.checks() if check.alarm and check.state is State.BROKEN]
    if broken:
        found.append(f"Something may be missing, because this does not work: {', '.join(broken)}.")
    return found


def by_state(checks: tuple[Check, ...]) -> Mapping[str, list[Check]]:
    """Checks by how they are."""
    return {state.value: [check for check in checks if check.state is state] for state in State}


def role_holders(appliance: Appliance) -> list[tuple[str, list[Account]]]:
    """Who holds each role that a school must fill, for everybody to see."""
    staff = appliance.staff
    roles = (Role.LEAD, Role.DEPUTY, Role.HEAD, Role.GOVERNOR, Role.DPO, Role.IT)
    return [(role.label, staff.with_role(role)) for role in roles]


# Steps


async def next_steps(appliance: Appliance, who: Actor) -> list[Step]:
    """The steps of somebody's role, each with whether it is done."""
    steps = await _STEPS[who.role](appliance, who) if who.role in _STEPS else []
    return [*steps, *await _own_steps(appliance, who)]


async def _own_steps(appliance: Appliance, who: Actor) -> list[Step]:
    left = await appliance.signing_in.codes_left(who.account)
    if left >= FEW_CODES or who.role is None:
        return []
    why = f"{left} of your recovery codes are left. They stand in for your phone when it is lost."
    return [Step("Print a new recovery sheet", why, "/account/sheet", "Make a new sheet", done=False)]


async def _it_steps(appliance: Appliance, who: Actor) -> list[Step]:
    settings, staff = appliance.config.settings, appliance.staff
    invited = staff.with_role(Role.LEAD)
    return [
        Step(
            "Give the school’s name",
            "It stands at the top of these pages, so that everybody sees whose box this is.",
            "/settings/edit?path=school.name",
            "Set the name",
            done=bool(settings.school.name),
        ),
        Step(
            "Invite the safeguarding lead",
            "The lead does the second half of the set-up on her or his own computer. Until then nothing is captured.",
            "/staff/invite?role=lead",
            "Invite the lead",
            done=bool(invited),
        ),
        Step(
            "The lead joins",
            "The invitation works for a week. Make a new one if it got lost.",
            f"/staff/{invited[0].id}" if invited else "/staff",
            "See the invitation",
            done=staff.has_lead,
        ),
        Step(
            "Save the identity file",
            "If this box breaks, a new one goes on with this file and no device has to be touched.",
            "/identity",
            "Save it",
            done=(await appliance.identity.standing()).good,
        ),
        Step(
            "Bring in people, groups and devices",
            "From the school’s own lists, so that a name stands beside a device.",
            "/people/import",
            "Import a list",
            done=bool(await appliance.directory.counts(who)),
        ),
        Step(
            "Add the first device",
            "Its browser gets an extension from this box. Then nothing is seen until the lead switches monitoring on.",
            "/devices/add",
            "Add devices",
            done=bool((await appliance.endpoints.enrolment.counts())["approved"]),
        ),
        Step(
            "See that it works",
            "A harmless phrase, typed on a device, must come through to the page and the mailbox of the lead.",
            "/devices/working",
            "Try it",
            done=await appliance.endpoints.enrolment.was_tested(),
        ),
        Step(
            "Enter the term dates",
            "Without them every weekday counts as a school day, also in the holidays.",
            "/settings#timetable",
            "See the timetable",
            done=bool(settings.timetable.terms),
        ),
        Step(
            "Say which networks there are",
            "A group is a set of network addresses, such as a room. The web filter goes by it.",
            "/settings#groups",
            "See the groups",
            done=bool(settings.groups),
        ),
        Step(
            "Switch a plugin on",
            "The core by itself does nothing for pupils; each feature is a plugin that the settings file names.",
            "/plugins",
            "See the plugins",
            done=bool(appliance.config.plugins),
        ),
    ]


async def _lead_steps(appliance: Appliance, who: Actor) -> list[Step]:
    staff, monitoring = appliance.staff, appliance.monitoring
    openers = [row for row in await appliance.vaults.members(CAPTURES) if row["can_open"]]
    return [
        Step(
            "Let a second person open what is sealed",
            "If only you can open it and you forget your password and lose your recovery key, it is lost for ever.",
            "/staff/who-can-open",
            "Let somebody in",
            done=len(openers) > 1,
        ),
        Step(
            "Name who does what",
            "A deputy, the head or a senior leader, a governor and IT. Nothing goes live while one is missing.",
            "/staff",
            "Invite colleagues",
            done=all(staff.with_role(role) for role in (Role.DEPUTY, Role.HEAD, Role.GOVERNOR, Role.IT)),
        ),
        Step(
            "Bring in people and groups",
            "You or IT can import the school’s own lists.",
            "/people/import",
            "Import a list",
            done=bool(await appliance.directory.counts(who)),
        ),
        Step(
            "Write down your choice of monitoring",
            "For whom, why, and in which mix with what staff see themselves.",
            "/monitoring/choice",
            "Write it down",
            done=await monitoring.has_choice(),
        ),
        Step(
            "Tell everybody, and keep the date",
            "Pupils, parents, staff and governors have a right to know before anybody is monitored.",
            "/monitoring/told",
            "Keep the dates",
            done=not await monitoring.told_missing(),
        ),
        Step(
            "Begin with a trial for one group",
            "With an end date, and feedback in between. Nobody is monitored until you switch it on.",
            "/monitoring",
            "See who is monitored",
            done=await monitoring.anything_on() or await monitoring.had_trial(),
        ),
    ]


async def _deputy_steps(appliance: Appliance, who: Actor) -> list[Step]:
    return [
        Step(
            "Be let in to what is sealed",
            "Ask the safeguarding lead to let you in, so that you can act when the lead is away.",
            "/staff/who-can-open",
            "See who can open it",
            done=await appliance.vaults.is_member(who.account, CAPTURES),
        )
    ]


async def _head_steps(appliance: Appliance, _who: Actor) -> list[Step]:
    staff, monitoring = appliance.staff, appliance.monitoring
    return [
        Step(
            "See that every role is filled",
            "A safeguarding lead, a deputy, a governor and IT. Below stands who does what.",
            "/staff",
            "See the accounts",
            done=all(staff.with_role(role) for role in (Role.LEAD, Role.DEPUTY, Role.GOVERNOR, Role.IT)),
        ),
        Step(
            "See that everybody was told",
            "Pupils, parents, staff and governors, each with a date.",
            "/monitoring",
            "See who was told",
            done=not await monitoring.told_missing(),
        ),
        Step(
            "Sign the review of accounts once a term",
            "Is everybody still here, in the right role, and seeing no more than they need?",
            "/staff/review",
            "Go through the accounts",
            done=bool(await staff.reviews()),
        ),
    ]


async def _scoped_steps(appliance: Appliance, who: Actor) -> list[Step]:
    return [
        Step(
            "Be told which pupils are yours",
            "The safeguarding lead names the forms, years, classes or pupils that you may see.",
            "/account",
            "See what you may see",
            done=bool(await appliance.staff.scopes(who.account)),
        )
    ]


async def _watching_steps(appliance: Appliance, _who: Actor) -> list[Step]:
    return [
        Step(
            "Note the newest seal of the record somewhere else",
            "Whoever has it can prove later that nothing was cut out of the record of who did what.",
            "/audit",
            "See the record",
            done=bool(await appliance.signed_heads.rows(1)),
        )
    ]


_STEPS: Mapping[Role | None, Callable[[Appliance, Actor], Awaitable[list[Step]]]] = {
    Role.IT: _it_steps,
    Role.LEAD: _lead_steps,
    Role.DEPUTY: _deputy_steps,
    Role.HEAD: _head_steps,
    Role.PASTORAL: _scoped_steps,
    Role.TEACHER: _scoped_steps,
    Role.GOVERNOR: _watching_steps,
    Role.DPO: _watching_steps,
}


async def _tasks(appliance: Appliance, who: Actor) -> list[Step]:
    """What plugins want to be done; one that cannot say whether it is done stays where it is."""
    panels = [(owner, task) for owner, task in appliance.plugins.panels(Task) if who.may(task.permission)]
    done = await asyncio.gather(*(_task_done(appliance, owner, task) for owner, task in panels))
    return [
        Step(task.title, task.why, task.link, task.link_words, is_done)
        for (_, task), is_done in zip(panels, done, strict=True)
    ]


async def _task_done(appliance: Appliance, owner: str, task: Task) -> bool:
    try:
        return await appliance.plugins.run(owner, f"task {task.title}", task.done)
    except (PluginError, PluginOff):
        return False


# Cards


async def _cards(request: web.Request, context: Context) -> list[Card]:
    who = actor(request)
    panels = context.appliance.plugins.panels(HomeCard)
    shown = [panel for panel in panels if who.may(panel[1].permission)]
    return list(await asyncio.gather(*(_card(context, who, *panel) for panel in shown)))


async def _card(context: Context, who: Actor, owner: str, card: HomeCard) -> Card:
    async def make() -> str:
        return context.templates.get_template(card.template).render({"actor": who, **await card.data()})

    try:
        content = await context.appliance.plugins.run(owner, f"home card {card.title}", make)
    except (PluginError, PluginOff) as error:
        return Card(card.title, Markup(), error.what)
    return Card(card.title, Markup(content))  # noqa: S704 - rendered with autoescape just above
