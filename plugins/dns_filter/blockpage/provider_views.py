"""Who provides the school's own web filter, and the evidence for it: this box sits beside that filter, never instead.

The lists of the Internet Watch Foundation and of the police (CTIRU) are given to providers, not to boxes like this one.
So the page asks for the provider's evidence, keeps who wrote it down and when, and never says that the box has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from zoneinfo import ZoneInfo

from aiohttp import web

from appliance.api import Appliance, actor, flash, now, read_form, redirect, render

from ..days import day_words
from .store import Store

PROVIDER = "/dns_filter/provider"
LONGEST = {"name": 120, "product": 120, "evidence": 500, "note": 1000}
ANSWERS = {"yes": "Yes", "no": "No", "unknown": "Not known yet"}


@dataclass(frozen=True, slots=True)
class ProviderForm:
    """What was typed; ``errors`` by field, in words."""

    name: str = ""
    product: str = ""
    iwf: str = ""
    ctiru: str = ""
    evidence: str = ""
    seen_on: str = ""
    note: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> ProviderForm:
        """From the fields of a form; missing ones are empty, long ones cut."""

        def typed(name: str) -> str:
            return fields.get(name, "").strip()[: LONGEST.get(name, 40)]

        return cls(
            typed("name"),
            typed("product"),
            typed("iwf"),
            typed("ctiru"),
            typed("evidence"),
            typed("seen_on"),
            typed("note"),
        )

    def mistakes(self, today: date) -> dict[str, str]:
        """What is missing or cannot be."""
        errors: dict[str, str] = {}
        if not self.name:
            errors["name"] = "Say who provides the filter: a company, the council, a trust, or “nobody”."
        for key, title in (("iwf", "the IWF"), ("ctiru", "the police list")):
            if getattr(self, key) not in ANSWERS:
                errors[key] = f"Choose an answer about {title}. “Not known yet” is one."
        if "yes" in (self.iwf, self.ctiru):
            if not self.evidence:
                errors["evidence"] = "Say where the evidence is: a link, or the name of a file and who keeps it."
            if not self.seen_on:
                errors["seen_on"] = "Say on which day somebody looked at the evidence."
        if self.seen_on and "seen_on" not in errors:
            try:
                if date.fromisoformat(self.seen_on) > today:
                    errors["seen_on"] = "This day has not come yet."
            except ValueError:
                errors["seen_on"] = "Give the day as year, month and day, such as 2026-11-26."
        return errors


class ProviderViews:
    """The page, its form, and whether it was answered."""

    def __init__(self, appliance: Appliance, store: Store) -> None:
        self._appliance = appliance
        self._store = store
        self._zone = ZoneInfo(appliance.config.settings.school.timezone)

    async def show(self, request: web.Request) -> web.Response:
        """What is known, since when, and the form to say it anew."""
        return await self._page(request, ProviderForm())

    async def write(self, request: web.Request) -> web.Response:
        """Keep another answer; what was said before stays readable."""
        form = ProviderForm.of(await read_form(request))
        errors = form.mistakes(now().astimezone(self._zone).date())
        if errors:
            return await self._page(request, replace(form, errors=errors), 422)
        values = (form.name, form.product, form.iwf, form.ctiru, form.evidence, form.seen_on or None, form.note)
        who = actor(request).name
        async with self._appliance.records.transaction() as tx:
            await self._store.add_provider(tx, who, values, now())
            detail = {"provider": form.name, "iwf": form.iwf, "ctiru": form.ctiru, "evidence": form.evidence}
            await self._appliance.audit.record(tx, who, "wrote down who provides", "the web filter", detail)
        flash(request, "It is written down, with your name and today’s date.")
        return redirect(PROVIDER)

    async def answered(self) -> bool:
        """Whether anybody has said who provides the filter."""
        return bool(await self._store.providers())

    async def _page(self, request: web.Request, form: ProviderForm, status: int = 200) -> web.Response:
        history = await self._store.providers()
        return render(
            request,
            "dns_filter/provider.html",
            status,
            current=history[0] if history else None,
            history=history[1:],
            answers=ANSWERS,
            day_words=day_words,
            form=form,
            today=f"{now().astimezone(self._zone):%Y-%m-%d}",
            longest=LONGEST,
        )
