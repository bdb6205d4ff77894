"""Pages that change terms: a supplied one that is too noisy, and policies and terms of the school's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from aiohttp import web

from appliance.api import (
    HIDDEN_CATEGORIES,
    Appliance,
    Refused,
    Row,
    Severity,
    Surface,
    actor,
    flash,
    keys,
    read_form,
    redirect,
    render,
)

from ..library.model import Policy, Term
from .applying import own_term
from .decisions import DECIDE, EDIT, TermDecisions, new_term_id, title_trouble
from .forms import END_REASON, SAY_WHY
from .hidden import Readable, readable
from .library import Library
from .model import REASONS, Change, words_of
from .preview import Part, Previews
from .report import Report, report
from .store import Store, Wish, surfaces_of
from .suggestions.box import Box, Suggestion
from .term_form import WHERE, TermForm, check, suggestions, warnings

REQUESTS = "/keyword/requests"
_UNTOLD = {
    "term": "A hidden term that you may not read",
    **dict.fromkeys(("reason", "answer", "ended_because"), "why is not shown either"),
}


class TermViews:
    """One method for each page; each checks again what its form is allowed to do."""

    def __init__(
        self,
        appliance: Appliance,
        library: Library,
        store: Store,
        decisions: TermDecisions,
        previews: Previews,
        box: Box,
    ) -> None:
        self._appliance = appliance
        self._library = library
        self._store = store
        self._decisions = decisions
        self._previews = previews
        self._box = box

    # A supplied term

    async def term(self, request: web.Request) -> web.Response:
        """One supplied term, and what can be done about it."""
        return await self._term(request, {}, {})

    async def change(self, request: web.Request) -> web.Response:
        """Put a stricter copy in its place, or ask the lead to switch it off."""
        policy, term = await self._supplied(request)
        fields = await read_form(request)
        errors = self._wish_errors(policy, term, fields)
        if not errors:
            wish = Wish(
                policy.name,
                term.id,
                policy.version,
                Change(fields["change"]),
                fields["because"],
                fields["reason"].strip(),
                _ticked(fields) if fields["change"] == Change.WHERE else (),
            )
            try:
                done = await self._carry_out(request, wish)
            except Refused as refused:
                errors = {"form": str(refused)}
            else:
                flash(request, done)
                return redirect(REQUESTS)
        return await self._term(request, fields, errors, 422)

    def _wish_errors(self, policy: Policy, term: Term, fields: Mapping[str, str]) -> dict[str, str]:
        errors = {}
        if fields.get("change") not in set(Change):
            errors["change"] = "Choose what is to happen."
        elif fields["change"] == Change.NOT_PAGES and not self._is_read(policy, term):
            errors["change"] = "It is not looked for on pages. Choose something else."
        elif fields["change"] == Change.WHERE:
            if not _ticked(fields):
                errors["change"] = "Tick where it is to count. If that is nowhere, ask to have it switched off."
            elif set(_ticked(fields)) == term.surfaces - {Surface.NAME}:
                errors["change"] = "It counts in just these places already. Tick others."
        if fields.get("because") not in REASONS:
            errors["because"] = "Choose what is wrong with it."
        if not fields.get("reason", "").strip():
            errors["reason"] = SAY_WHY
        return errors

    async def _carry_out(self, request: web.Request, wish: Wish) -> str:
        if self._decisions.is_for_the_lead(wish) or not actor(request).may(EDIT):
            await self._decisions.ask(actor(request), wish)
            return "The safeguarding lead is asked. Until she decides, the term counts as before."
        await self._decisions.tweak(actor(request), wish)
        return "The supplied term is off, and the school’s copy is on."

    async def _term(
        self, request: web.Request, typed: Mapping[str, str], errors: Mapping[str, str], status: int = 200
    ) -> web.Response:
        policy, term = await self._supplied(request)
        return render(
            request,
            "keyword/term.html",
            status,
            policy=policy,
            term=term,
            seen_in=[surface.label for surface in Surface if surface in term.surfaces],
            where=WHERE,
            ticked=_ticked(typed) if typed else [one for one in WHERE if one in term.surfaces],
            reasons=REASONS,
            on_pages=self._is_read(policy, term),
            standing=await self._store.standing(policy.name, term.id),
            may_edit=actor(request).may(EDIT),
            typed=typed,
            errors=errors,
        )

    def _is_read(self, policy: Policy, term: Term) -> bool:
        """Whether it is looked for on pages, be it for some people only."""
        return Surface.PAGE in term.surfaces or policy.name in self._library.decisions.reading

    async def _supplied(self, request: web.Request) -> tuple[Policy, Term]:
        """A supplied term; one of a hidden policy if whoever asks may read its words."""
        name = request.match_info["name"]
        policy = self._library.before.get(name)
        term = self._library.supplied_term(name, request.match_info["term"])
        if policy is None or term is None:
            raise web.HTTPNotFound
        if policy.hidden and not (await readable(self._appliance, actor(request))).may_read(policy, term.id):
            raise web.HTTPNotFound
        return policy, term

    # Requests

    async def requests(self, request: web.Request) -> web.Response:
        """What waits for the lead, what is changed, and what was decided."""
        return await self._requests(request, {})

    async def decide(self, request: web.Request) -> web.Response:
        """The lead's decision, or: let a supplied term count again."""
        fields = await read_form(request)
        request_id, reason, do = request.match_info["id"], fields.get("reason", "").strip(), fields.get("do", "")
        try:
            if do == "on":
                await self._decisions.switch_on(actor(request), request_id, reason)
                words = "The supplied term counts again."
            elif do in ("grant", "refuse"):
                await self._decisions.decide(actor(request), request_id, grant=do == "grant", answer=reason)
                words = "It is done as asked." if do == "grant" else "The term stays as it is."
            else:
                raise Refused("Choose what is to happen.")
        except Refused as refused:
            field = f"reason-{request_id}" if not reason else "form"
            return await self._requests(request, {field: str(refused)}, 422, {request_id: reason})
        flash(request, words)
        return redirect(REQUESTS)

    async def _requests(
        self,
        request: web.Request,
        errors: Mapping[str, str],
        status: int = 200,
        typed: Mapping[str, str] | None = None,
    ) -> web.Response:
        store, who = self._store, actor(request)
        may_read = await readable(self._appliance, who)
        return render(
            request,
            "keyword/requests.html",
            status,
            asked_for=[self._shown(row, may_read) for row in await store.requests("open")],
            in_force=[self._shown(row, may_read) for row in await store.requests("granted")],
            decided=[self._shown(row, may_read) for row in await store.requests("refused", "ended")],
            may_decide=who.may(DECIDE),
            may_edit=who.may(EDIT),
            errors=errors,
            typed=typed or {},
        )

    def _shown(self, row: Row, may_read: Readable) -> dict[str, Any]:
        """A request for a page. Whoever may not read the words of a hidden term learns nothing that tells them."""
        policy = self._library.before.get(row["policy"])
        term = self._library.supplied_term(row["policy"], row["term"])
        shown = policy is not None and term is not None and may_read.may_read(policy, term.id)
        told = dict(row) if self._is_readable(row, may_read) else {**dict(row), **_UNTOLD}
        return {
            **told,
            "title": policy.title if policy is not None else row["policy"],
            "words": term.phrases[0] if shown and term is not None else told["term"],
            "shown": shown,
            "reported": self._is_readable(row, may_read),
            "is_off": row["change"] == Change.OFF,
            "change_words": words_of(Change(row["change"]), surfaces_of(row)),
            "because_words": REASONS.get(row["because"], row["because"]),
        }

    def _is_readable(self, row: Row, may_read: Readable) -> bool:
        """Whether somebody may know which term a request is about: ids and reasons may tell hidden words.

        Of a policy that is no longer there nobody knows whether it was hidden.
        """
        policy = self._library.before.get(row["policy"])
        return may_read.opens if policy is None else may_read.may_read(policy, row["term"])

    async def report(self, request: web.Request) -> web.Response:
        """A file about a supplied term of which somebody wanted a change, for whoever writes the policies."""
        row = await self._store.request(request.match_info["id"])
        may_read = await readable(self._appliance, actor(request))
        if row is None or not self._is_readable(row, may_read):
            raise web.HTTPNotFound
        return _file(Report.of_request(row), may_read)

    async def report_term(self, request: web.Request) -> web.Response:
        """The same about any supplied term; ``?wrong=`` says what is wrong with it."""
        policy, term = await self._supplied(request)
        wrong = request.query.get("wrong", "")
        about = Report(policy.name, term.id, policy.version, wrong if wrong in REASONS else "")
        return _file(about, await readable(self._appliance, actor(request)))

    # Policies of the school's own

    async def new_policy(self, request: web.Request) -> web.Response:
        """The form of a policy."""
        return self._new_policy(request, {}, {})

    async def make_policy(self, request: web.Request) -> web.Response:
        """Make a policy, still without terms."""
        fields = {name: text.strip() for name, text in (await read_form(request)).items()}
        errors = self._policy_errors(fields)
        if not errors:
            try:
                name = await self._decisions.make_policy(
                    actor(request), fields["title"], fields["category"], fields["summary"], fields["reason"]
                )
            except Refused as refused:
                errors = {"form": str(refused)}
            else:
                flash(request, "The policy is made. Now add what is to be looked for.")
                return redirect(f"/keyword/policies/{name}/add")
        return self._new_policy(request, fields, errors, 422)

    def _policy_errors(self, fields: Mapping[str, str]) -> dict[str, str]:
        errors = {}
        if wrong := title_trouble(fields.get("title", ""), self._library.before.values()):
            errors["title"] = wrong
        if fields.get("category") not in {key for key, _ in self._categories()}:
            errors["category"] = "Choose what it is about."
        if not 20 <= len(fields.get("summary", "")) <= 1000:
            errors["summary"] = "Say in a sentence what it holds: 20 letters or more."
        if not fields.get("reason"):
            errors["reason"] = SAY_WHY
        return errors

    def _categories(self) -> list[tuple[str, str]]:
        """What a policy can be about. Illegal content is no subject that schools write about themselves."""
        left_out = {"test", "unjudged", *HIDDEN_CATEGORIES}
        return [(one.key, one.title) for one in self._appliance.categories.all() if one.key not in left_out]

    def _new_policy(
        self, request: web.Request, typed: Mapping[str, str], errors: Mapping[str, str], status: int = 200
    ) -> web.Response:
        return render(
            request, "keyword/new_policy.html", status, typed=typed, errors=errors, categories=self._categories()
        )

    # Terms of the school's own

    async def new_term(self, request: web.Request) -> web.Response:
        """The form of a term; ``?suggestion=`` fills it in with what a pupil suggested."""
        policy = self._policy(request)
        suggestion = await self._suggestion(request, request.query.get("suggestion", ""))
        form = TermForm.empty(suggestion.word, suggestion.meaning) if suggestion is not None else TermForm.empty()
        return await self._form(request, policy, form, "", suggestion=suggestion)

    async def add_term(self, request: web.Request) -> web.Response:
        """Keep a new term."""
        return await self._keep(request, new_term_id(), "")

    async def old_term(self, request: web.Request) -> web.Response:
        """The form of a term that there is."""
        policy, entry = self._own(request)
        return await self._form(request, policy, TermForm.of_entry(entry), entry["id"])

    async def change_term(self, request: web.Request) -> web.Response:
        """Keep a changed term."""
        _, entry = self._own(request)
        return await self._keep(request, entry["id"], entry["id"])

    async def end_term(self, request: web.Request) -> web.Response:
        """End a term of the school's own."""
        policy, entry = self._own(request)
        reason = (await read_form(request)).get("reason", "").strip()
        errors = {} if reason else {END_REASON: SAY_WHY}
        if not errors:
            try:
                await self._decisions.end_term(actor(request), policy.name, entry["id"], reason)
            except Refused as refused:
                errors = {"form": str(refused)}
        if errors:
            form = replace(TermForm.of_entry(entry), errors=errors)
            return await self._form(request, policy, form, entry["id"], 422)
        flash(request, "The term has ended. Captures stay as they are.")
        return redirect(f"/keyword/policies/{policy.name}")

    async def _keep(self, request: web.Request, term_id: str, known: str) -> web.Response:
        """Look through what was typed; show what it would find first, where that was asked or there is a warning."""
        policy, fields = self._policy(request), await read_form(request)
        form = TermForm.of(fields)
        suggestion = await self._suggestion(request, fields.get("suggestion", ""))
        entry = form.entry(term_id)
        errors = check(policy, entry, self._entries(policy.name))
        if not form.values["reason"]:
            errors["reason"] = SAY_WHY
        term = None if errors else own_term(policy.name, entry)
        if term is None:
            shown = replace(form, errors=errors or {"form": "This cannot be kept as it is."})
            return await self._form(request, policy, shown, known, 422, suggestion=suggestion)
        asked = fields.get("do") == "preview"
        if asked or (not form.sure and warnings(term, self._library.policies)):
            opener = keys(request) if form.captures else None
            parts = await self._previews.of(replace(policy, terms=(term,)), actor(request), opener)
            return await self._form(
                request, policy, form, known, 200 if asked else 422, suggestion=suggestion, term=term, parts=parts
            )
        return await self._put(request, policy, entry, form, known, suggestion)

    async def _put(
        self,
        request: web.Request,
        policy: Policy,
        entry: Mapping[str, Any],
        form: TermForm,
        known: str,
        suggestion: Suggestion | None,
    ) -> web.Response:
        who = actor(request)
        try:
            async with self._appliance.records.transaction() as tx:
                await self._decisions.put_term_within(tx, who, policy.name, entry, form.values["reason"])
                if suggestion is not None:
                    await self._box.accept_within(tx, who, suggestion.id, f"{policy.name}/{entry['id']}")
        except Refused as refused:
            shown = replace(form, errors={"form": str(refused)})
            return await self._form(request, policy, shown, known, 422, suggestion=suggestion)
        flash(request, "It is kept and will be looked for within a minute.")
        return redirect(f"/keyword/policies/{policy.name}")

    async def _form(
        self,
        request: web.Request,
        policy: Policy,
        form: TermForm,
        known: str,
        status: int = 200,
        *,
        suggestion: Suggestion | None = None,
        term: Term | None = None,
        parts: Sequence[Part] | None = None,
    ) -> web.Response:
        return render(
            request,
            "keyword/own_term.html",
            status,
            policy=policy,
            form=form,
            known=known,
            suggestion=suggestion,
            severities=Severity,
            where=WHERE,
            warnings=warnings(term, self._library.policies) if term is not None else [],
            ideas=suggestions(term) if term is not None else [],
            parts=parts,
        )

    async def _suggestion(self, request: web.Request, row_id: str) -> Suggestion | None:
        return await self._box.one(actor(request), keys(request), row_id) if row_id else None

    def _entries(self, policy: str) -> list[Mapping[str, Any]]:
        return [one.entry for one in self._store.kept.terms if one.policy == policy]

    def _policy(self, request: web.Request) -> Policy:
        """The policy that a term is written for: not a hidden one, which is imported and never written here."""
        policy = self._library.before.get(request.match_info["name"])
        if policy is None or policy.hidden:
            raise web.HTTPNotFound
        return policy

    def _own(self, request: web.Request) -> tuple[Policy, Mapping[str, Any]]:
        policy, term = self._policy(request), request.match_info["term"]
        entry = next((one for one in self._entries(policy.name) if one["id"] == term), None)
        if entry is None:
            raise web.HTTPNotFound
        return policy, entry


def _ticked(fields: Mapping[str, str]) -> tuple[Surface, ...]:
    return tuple(one for one in WHERE if f"on_{one.value}" in fields)


def _file(about: Report, may_read: Readable) -> web.Response:
    return web.Response(
        text=report(about, *may_read.found.get(f"{about.policy}/{about.term}", (0, 0))),
        content_type="application/yaml",
        charset="utf-8",
        headers={"Content-Disposition": f'attachment; filename="report-{about.policy}-{about.term}.yaml"'},
    )
