"""Pages of levels: how much of each policy counts for whom, at which hours, and what a child would get."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web

from appliance.api import (
    Actor,
    Appliance,
    Permission,
    Refused,
    Target,
    TargetKind,
    actor,
    flash,
    new_id,
    now,
    read_form,
    redirect,
    render,
    stamp,
)

from ..decisions import DECIDE, EDIT
from ..forms import SAY_WHY, end_of, last_moment
from ..library import Library
from ..model import DEFAULT_LEVEL, LEVELS, OFF_LEVEL
from .hours import HOURS, SPANS, hours_words
from .levels import KIND, Levels
from .model import GRAVE, Level, Timed, Whom
from .store import Store

LEVELS_PAGE, TIMES_PAGE, EXPLAIN_PAGE = "/keyword/levels", "/keyword/times", "/keyword/explain"
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
EVERYBODY = "everybody"
ALL_POLICIES = "all"
UNSEEN = "somebody whom you may not see"


class LevelViews:
    """One method for each page."""

    def __init__(self, appliance: Appliance, library: Library, store: Store, levels: Levels) -> None:
        self._appliance = appliance
        self._library = library
        self._store = store
        self._levels = levels
        self._zone = ZoneInfo(appliance.config.settings.school.timezone)

    # Levels

    async def levels(self, request: web.Request) -> web.Response:
        """What counts for everybody, and what is set for groups, devices and people."""
        return await self._page(request, {"policy": request.query.get("policy", "")}, {})

    async def set(self, request: web.Request) -> web.Response:
        """Set a level."""
        fields = {name: text.strip() for name, text in (await read_form(request)).items()}
        errors = self._level_errors(fields)
        if _is_everybody(fields) and fields.get("last_day"):
            errors["last_day"] = "For everybody there is no last day. Leave it empty, or choose a group."
        who, asked = actor(request), _question(fields)
        if not errors and asked and who.may(DECIDE) and fields.get("sure") != asked:
            errors["sure"] = "Tick the box to switch it off for everybody, or choose something else."
        if not errors:
            errors = await self._set(who, fields)
        if errors:
            return await self._page(request, fields, errors, 422)
        flash(request, "It is in force.")
        return redirect(LEVELS_PAGE)

    async def _set(self, who: Actor, fields: Mapping[str, str]) -> dict[str, str]:
        """Set it; what is wrong with it, by field."""
        policy, level, reason, errors = fields["policy"], fields["level"], fields["reason"], {}
        target = until = None
        if not _is_everybody(fields):
            try:
                target = await self._target(who, fields["group"], fields.get("name", ""))
            except Refused as refused:
                errors["name" if fields.get("name") else "group"] = str(refused)
            try:
                until = end_of(fields.get("last_day", ""), self._zone, now())
            except ValueError as wrong:
                errors["last_day"] = str(wrong)
        if errors:
            return errors
        try:
            if target is None:
                await self._levels.set_for_all(who, policy, level, reason)
            else:
                await self._levels.set_for(who, policy, target, level, reason, until)
        except Refused as refused:
            return {"form": str(refused)}
        return {}

    async def undo(self, request: web.Request) -> web.Response:
        """Take back a level."""
        fields = await read_form(request)
        try:
            await self._levels.undo(actor(request), fields.get("policy", ""), fields.get("id", ""))
        except Refused as refused:
            return await self._page(request, {}, {"form": str(refused)}, 422)
        flash(request, "It was undone.")
        return redirect(LEVELS_PAGE)

    def _level_errors(self, fields: Mapping[str, str]) -> dict[str, str]:
        errors = {}
        if fields.get("policy") not in self._library.before:
            errors["policy"] = "Choose a policy."
        if not fields.get("group"):
            errors["group"] = "Choose for whom."
        if fields.get("level") not in LEVELS:
            errors["level"] = "Choose how much of it counts."
        if not fields.get("reason"):
            errors["reason"] = SAY_WHY
        return errors

    async def _target(self, who: Actor, group: str, name: str) -> Target:
        """Whom a form means. Raises ``Refused`` where a name is nobody's or several people's."""
        if not name:
            kind, _, found = group.partition(":")
            if kind not in (TargetKind.GROUP, TargetKind.NETWORKS) or not found:
                raise Refused("Choose a group, or type the name of a device or a person.")
            return Target(TargetKind(kind), found)
        directory = self._appliance.directory
        devices, people = await directory.devices.called(who, name), await directory.called(who, name)
        targets = [Target(TargetKind.DEVICE, one) for one in devices]
        targets += [Target(TargetKind.PERSON, one) for one in people]
        if not targets:
            raise Refused(
                f"There is no device and nobody called “{name}”.", "Type the whole name, as in the directory."
            )
        if len(targets) > 1:
            raise Refused(f"Several are called “{name}”.", "Use a group with just that one in it.")
        return targets[0]

    async def _page(
        self, request: web.Request, typed: Mapping[str, str], errors: Mapping[str, str], status: int = 200
    ) -> web.Response:
        who = actor(request)
        for_all = self._store.kept.for_all
        return render(
            request,
            "keyword/levels.html",
            status,
            everybody=[
                (policy, LEVELS[for_all[name].level if name in for_all else DEFAULT_LEVEL], for_all.get(name))
                for name, policy in self._library.before.items()
            ],
            chosen=await self._chosen(who),
            policies=self._options(),
            levels=list(LEVELS.items()),
            grave=[policy.title for policy in self._library.before.values() if policy.category in GRAVE],
            groups=await self._groups(who),
            may_edit=who.may(EDIT),
            typed=typed,
            asked=_question(typed) if "sure" in errors else "",
            off=self._title_of(typed.get("policy", "")),
            errors=errors,
            last_moment=last_moment,
            today=f"{now().astimezone(self._zone):%Y-%m-%d}",
        )

    def _title_of(self, policy: str) -> str:
        found = self._library.before.get(policy)
        return policy if found is None else found.title

    def _options(self) -> list[tuple[str, str]]:
        return [(name, policy.title) for name, policy in self._library.before.items()]

    async def _groups(self, who: Actor) -> list[tuple[str, str]]:
        """Whom a form can choose: groups of the directory, then groups of networks."""
        found = [(f"group:{row['id']}", row["name"]) for row in await self._appliance.directory.groups.all(who)]
        networks = [(f"networks:{one.name}", f"{one.title or one.name} (network)") for one in self._networks()]
        return [*found, *networks]

    def _networks(self) -> Any:
        return self._appliance.assignments.groups

    async def _chosen(self, who: Actor) -> list[dict[str, Any]]:
        """What is set for groups, devices and people, as far as ``who`` may find them."""
        found = []
        for name, policy in self._library.before.items():
            for target, row in self._appliance.assignments.in_force(KIND + name):
                title = await self._title(who, target)
                found.append({
                    "policy": policy,
                    "title": title,
                    "level": LEVELS.get(row["value"], row["value"]),
                    "row": dict(row),
                    "reason": row["reason"] if title != UNSEEN else "",
                })  # fmt: skip
        return found

    async def _title(self, who: Actor, target: Target) -> str:
        directory = self._appliance.directory
        if target.kind is TargetKind.NETWORKS:
            return next((one.title or one.name for one in self._networks() if one.name == target.id), target.id)
        if target.kind is TargetKind.GROUP:
            group = await directory.groups.group(who, target.id)
            return str(group["name"]) if group is not None else UNSEEN
        if target.kind is TargetKind.DEVICE:
            device = await directory.devices.device(who, target.id)
            return str(device.row["name"]) if device is not None else UNSEEN
        person = await directory.person(who, target.id)
        return str(person.row["name"]) if person is not None and who.may(Permission.SEE_PEOPLE) else UNSEEN

    # Hours

    async def times(self, request: web.Request) -> web.Response:
        """Levels for certain hours."""
        return await self._times(request, {"school_days": "yes"}, {})

    async def add_time(self, request: web.Request) -> web.Response:
        """Set a level for certain hours."""
        fields = {name: text.strip() for name, text in (await read_form(request)).items()}
        errors = self._time_errors(fields)
        if not errors:
            try:
                await self._levels.add_timed(actor(request), self._timed(fields))
            except Refused as refused:
                errors = {"form": str(refused)}
            except ValueError as wrong:
                errors = {"last_day": str(wrong)}
        if errors:
            return await self._times(request, fields, errors, 422)
        flash(request, "It is kept and begins and ends by itself.")
        return redirect(TIMES_PAGE)

    async def undo_time(self, request: web.Request) -> web.Response:
        """Take back a level for certain hours."""
        try:
            await self._levels.undo_timed(actor(request), (await read_form(request)).get("id", ""))
        except Refused as refused:
            return await self._times(request, {}, {"form": str(refused)}, 422)
        flash(request, "It was undone.")
        return redirect(TIMES_PAGE)

    def _time_errors(self, fields: Mapping[str, str]) -> dict[str, str]:
        errors = self._level_errors(fields)
        reason = errors.pop("reason", "")  # its field stands below those of the hours
        if fields.get("policy") == ALL_POLICIES:
            errors.pop("policy", None)
        if fields.get("span") not in SPANS:
            errors["span"] = "Choose when."
        elif fields["span"] == HOURS:
            if not any(day in fields for day in DAYS):
                errors["monday"] = "Choose a day."
            for name in ("start", "finish"):
                if not _is_time(fields.get(name, "")):
                    errors[name] = "Give a time such as 15:30."
        return {**errors, "reason": reason} if reason else errors

    def _timed(self, fields: Mapping[str, str]) -> Timed:
        kind, _, target = fields["group"].partition(":")
        until = end_of(fields.get("last_day", ""), self._zone, now())
        is_hours = fields["span"] == HOURS
        return Timed(
            id=new_id(),
            policy="" if fields["policy"] == ALL_POLICIES else fields["policy"],
            level=fields["level"],
            target_kind="all" if kind == EVERYBODY else kind,
            target=target,
            span=fields["span"],
            days=tuple(day for day in DAYS if day in fields) if is_hours else (),
            start=fields["start"][:5] if is_hours else "",
            finish=fields["finish"][:5] if is_hours else "",
            school_days=is_hours and fields.get("school_days") == "yes",
            author="",
            reason=fields["reason"],
            until=stamp(until) if until is not None else None,
        )

    async def _times(
        self, request: web.Request, typed: Mapping[str, str], errors: Mapping[str, str], status: int = 200
    ) -> web.Response:
        who, at = actor(request), now()
        return render(
            request,
            "keyword/times.html",
            status,
            times=[
                {
                    "timed": one,
                    "policy": self._policy_title(one.policy),
                    "level": LEVELS[one.level],
                    "for_whom": await self._timed_title(who, one),
                    "when": hours_words(one),
                    "now": self._levels.clock.in_force(one, at),
                }
                for one in self._store.timed_at(at)
            ],
            timetable=self._appliance.timetable.words(at),
            policies=self._options(),
            levels=list(LEVELS.items()),
            groups=await self._groups(who),
            spans=SPANS,
            days=DAYS,
            all_policies=ALL_POLICIES,
            may_edit=who.may(EDIT),
            typed=typed,
            errors=errors,
            last_moment=last_moment,
            today=f"{at.astimezone(self._zone):%Y-%m-%d}",
        )

    def _policy_title(self, name: str) -> str:
        if not name:
            return "All policies"
        policy = self._library.before.get(name)
        return policy.title if policy is not None else name

    async def _timed_title(self, who: Actor, timed: Timed) -> str:
        if timed.target_kind == "all":
            return "Everybody"
        return await self._title(who, Target(TargetKind(timed.target_kind), timed.target))

    # What would this child get?

    async def explain(self, request: web.Request) -> web.Response:
        """The form, where nothing was asked yet."""
        return self._explain(request, {}, {})

    async def explained(self, request: web.Request) -> web.Response:
        """The answer. It is sent as a form, because the name of a child is not to stand in an address."""
        fields = {name: text.strip() for name, text in (await read_form(request)).items()}
        try:
            whom = await self._whom(actor(request), fields)
            at = self._moment(fields.get("at", ""))
        except Refused as refused:
            return self._explain(request, fields, {"person": str(refused)}, 422)
        except ValueError:
            return self._explain(request, fields, {"at": "Give day and time, such as 2026-11-27T10:30."}, 422)
        shown = [(one, await self._level_title(actor(request), one.level)) for one in self._levels.all_for(whom, at)]
        return self._explain(request, fields, {}, shown=shown, at=at)

    async def _level_title(self, who: Actor, level: Level) -> str:
        """Whose choice a level is, where it is not everybody's."""
        return await self._title(who, Target(TargetKind(level.kind), level.target)) if level.target else ""

    async def _whom(self, who: Actor, fields: Mapping[str, str]) -> Whom:
        directory, found = self._appliance.directory, {}
        for what, called in (("person", directory.called), ("device", directory.devices.called)):
            name = fields.get(what, "")
            ids = sorted(await called(who, name)) if name else []
            if name and len(ids) != 1:
                many = "Several are" if ids else "There is nobody" if what == "person" else "There is no device"
                raise Refused(f"{many} called “{name}”.", "Type the whole name, as in the directory.")
            found[what] = ids[0] if ids else None
        address = fields.get("address", "") or None
        if address is not None:
            try:
                self._appliance.assignments.groups_of_address(address)
            except ValueError:
                raise Refused(f"“{address}” is no address.", "It looks like 10.20.3.4.") from None
        return Whom(found["person"], found["device"], address)

    def _moment(self, text: str) -> datetime:
        """A moment on the school's clock; now if nothing was typed."""
        return datetime.fromisoformat(text).replace(tzinfo=self._zone) if text else now()

    def _explain(
        self,
        request: web.Request,
        typed: Mapping[str, str],
        errors: Mapping[str, str],
        status: int = 200,
        shown: object = None,
        at: datetime | None = None,
    ) -> web.Response:
        return render(
            request,
            "keyword/explain.html",
            status,
            typed=typed,
            errors=errors,
            shown=shown,
            at=stamp(at) if at else "",
            last_moment=last_moment,
        )


def _question(fields: Mapping[str, str]) -> str:
    """What has to be meant, if a policy is to be switched off for everybody; empty for every other choice."""
    is_nothing = _is_everybody(fields) and fields.get("level") == OFF_LEVEL
    return f"nothing of {fields.get('policy', '')}" if is_nothing else ""


def _is_everybody(fields: Mapping[str, str]) -> bool:
    return fields.get("group") == EVERYBODY and not fields.get("name")


def _is_time(text: str) -> bool:
    try:
        time.fromisoformat(text)
    except ValueError:
        return False
    return True
