"""The pages of an import: choose a file, match its columns, read what it would do, apply it, and undo the last one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from appliance.db import Row
from appliance.errors import Refused
from appliance.hookspecs import Page, Permission
from appliance.people.csv_files import MOST_ROWS, Field, fields_of
from appliance.people.import_drafts import IMPORT_KINDS, Draft
from appliance.people.imports import UNDO_FOR, Imports
from appliance.people.matching import NEW, SAME, Change, Known, Match, Plan, Question, groups_of
from appliance.people.names import PERSON_KINDS
from appliance.web.directory_pages import directory_of, number_of, one_of
from appliance.web.pages import actor, context_of, flash, read_form, redirect, render
from appliance.web.uploads import read_upload

SHOWN = 10
"""Rows of each part of the preview; all of them stand on a page of their own."""
ROWS_ON_A_PAGE = 200
QUESTIONS_SHOWN = 100
"""More questions than this are put in turn: answer these, then come the next."""
REFRESH_SECONDS = 1
EXAMPLES: Mapping[str, str] = {
    "pupil": (
        "UPN,Forename,Surname,Reg Group,Year Group,Class,Email,Username\r\n"
        "X820200000001,Ada,Lovelace,7A,7,7A/Ma1;7A/En1,alovelace@school.example,alovelace\r\n"
        "X820200000002,Zoë,O’Hara,7B,7,7B/Ma2,,zohara\r\n"
    ),
    "staff": (
        "Staff code,Forename,Surname,Email,Username\r\n"
        "GHO,Grace,Hopper,g.hopper@school.example,ghopper\r\n"
        "ATU,Alan,Turing,a.turing@school.example,aturing\r\n"
    ),
}
FILE_OF: Mapping[str, str] = {"pupil": "Pupils", "staff": "Staff"}
FIELD_TITLES: Mapping[str, str] = {
    "name": "Name",
    "reference": "Reference",
    "email": "School e-mail address",
    "form": "Form",
    "year": "Year",
    "classes": "Classes",
    "class": "Classes",
    "accounts": "Sign-in names",
    "left": "Whether they have left",
    "added": "That they were added",
}
PARTS: Mapping[str, str] = {
    "new": "New",
    "changed": "Changed",
    "back": "Back at the school",
    "leaving": "Not in the file",
    "unreadable": "Rows that cannot be read",
    "notes": "Left out of rows that are taken",
}


def pages() -> tuple[Page, ...]:
    """The routes."""
    manage = Permission.MANAGE_PEOPLE
    draft = "/people/import/{id}"
    return (
        Page("staff", "GET", "/people/import", choose, manage),
        Page("staff", "POST", "/people/import", take, manage),
        Page("staff", "GET", "/people/import/example.csv", example, manage),
        Page("staff", "GET", "/people/import/result", result, manage),
        Page("staff", "GET", "/people/import/undo", ask_undo, manage),
        Page("staff", "POST", "/people/import/undo", undo, manage),
        Page("staff", "GET", f"{draft}/columns", columns, manage),
        Page("staff", "POST", f"{draft}/columns", choose_columns, manage),
        Page("staff", "GET", draft, preview, manage),
        Page("staff", "POST", f"{draft}/answers", answer, manage),
        Page("staff", "POST", f"{draft}/apply", apply, manage),
        Page("staff", "POST", f"{draft}/drop", drop, manage),
    )


def _imports(request: web.Request) -> Imports:
    return directory_of(request).imports


def _draft(request: web.Request) -> Draft:
    found = _imports(request).drafts.draft(actor(request), request.match_info["id"])
    if found is None:
        raise Refused(
            "This file is no longer here: a file is kept for an hour, and only until it is applied.",
            "Choose it again on the page “Import people”.",
        )
    return found


# 1: a file


async def choose(request: web.Request) -> web.StreamResponse:
    """The form for a file, and what became of the last import."""
    kind = one_of(request.query.get("kind", ""), IMPORT_KINDS) or IMPORT_KINDS[0]
    return await _choose(request, kind, "", {})


async def _choose(request: web.Request, kind: str, text: str, errors: Mapping[str, str]) -> web.Response:
    imports, who = _imports(request), actor(request)
    last = await imports.last(who)
    return render(
        request,
        "import.html",
        422 if errors else 200,
        kind=kind,
        text=text,
        errors=errors,
        files=FILE_OF,
        limit=context_of(request).appliance.config.settings.web.max_body_kib,
        most_rows=MOST_ROWS,
        last=last,
        working=last is not None and imports.working(last["id"]),
        undo_days=UNDO_FOR.days,
    )


async def take(request: web.Request) -> web.StreamResponse:
    """Read a file that was chosen or pasted."""
    sent = await read_upload(request)
    kind, text = sent.fields.get("kind", ""), sent.fields.get("text", "")
    if not sent.file_name and not text.strip():
        return await _choose(request, kind, text, {"file": "Choose a file, or paste its text below."})
    content = sent.content if sent.file_name else text.encode("utf-8")
    try:
        draft = await _imports(request).drafts.take(actor(request), kind, sent.file_name or "pasted text", content)
    except Refused as refused:
        return await _choose(request, kind, text, {"file" if sent.file_name else "text": str(refused)})
    return redirect(f"/people/import/{draft.id}/columns")


async def example(request: web.Request) -> web.StreamResponse:
    """A small file as it should look. The mark at its start lets spreadsheets see that it is UTF-8."""
    kind = one_of(request.query.get("kind", ""), EXAMPLES) or "pupil"
    name = f"example-{FILE_OF[kind].lower()}.csv"
    return web.Response(
        body=EXAMPLES[kind].encode("utf-8-sig"),
        content_type="text/csv",
        charset="utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


# 2: its columns


async def columns(request: web.Request) -> web.StreamResponse:
    """Which column holds what, as far as it can be guessed."""
    draft = _draft(request)
    return _columns(request, draft, draft.columns, {})


def _columns(request: web.Request, draft: Draft, chosen: Mapping[str, int], errors: Mapping[str, str]) -> web.Response:
    return render(
        request,
        "import_columns.html",
        422 if errors else 200,
        draft=draft,
        file_of=FILE_OF[draft.kind],
        fields=fields_of(draft.kind),
        options=[(str(at), _option(draft, at)) for at in range(len(draft.table.headings))],
        chosen={key: str(at) for key, at in chosen.items()},
        unread=[heading for at, heading in enumerate(draft.table.headings) if at not in chosen.values()],
        errors=errors,
    )


def _option(draft: Draft, at: int) -> str:
    """A column in a list of choices: its heading and what stands in it first."""
    heading = draft.table.headings[at] or f"Column {at + 1}"
    first = next((line.cells[at] for line in draft.table.lines if line.cells[at].strip()), "")
    return f"{heading} ({first.strip()[:30]})" if first else f"{heading} (empty)"


async def choose_columns(request: web.Request) -> web.StreamResponse:
    """Take the choice."""
    draft, form = _draft(request), await read_form(request)
    chosen = _chosen(form, fields_of(draft.kind))
    errors = await _imports(request).drafts.choose_columns(draft, chosen)
    if errors:
        return _columns(request, draft, chosen, errors)
    return redirect(f"/people/import/{draft.id}")


def _chosen(form: Mapping[str, str], fields: Sequence[Field]) -> dict[str, int]:
    found = {}
    for one in fields:
        text = form.get(one.key, "")
        if text:
            found[one.key] = int(text) if text.isascii() and text.isdecimal() and len(text) < 5 else -1
    return found


# 3: what it would do


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the preview. ``rows``: those that are shown; ``pages``: how many pages all of them fill."""

    key: str
    title: str
    count: int
    rows: Sequence[Mapping[str, object]]
    number: int = 1
    pages: int = 1
    whole: bool = False


async def preview(request: web.Request) -> web.StreamResponse:
    """Everything that the file would do, with numbers; one part as a whole when asked."""
    draft = _draft(request)
    if draft.reading is None:
        return redirect(f"/people/import/{draft.id}/columns")
    plan = await _imports(request).plan(actor(request), draft)
    key = one_of(request.query.get("show", ""), PARTS)
    if key:
        part = _part(plan, key, number_of(request.query.get("page", "")))
        return render(request, "import_part.html", draft=draft, part=part)
    return _preview(request, draft, plan, {})


def _preview(
    request: web.Request, draft: Draft, plan: Plan, errors: Mapping[str, str], *, leave: bool = False
) -> web.Response:
    return render(
        request,
        "import_preview.html",
        422 if errors else 200,
        draft=draft,
        plan=plan,
        file_of=FILE_OF[draft.kind],
        parts=[part for key in PARTS if (part := _part(plan, key)).count],
        questions=[_question(question) for question in plan.questions[:QUESTIONS_SHOWN]],
        answers=draft.answers,
        errors=errors,
        leave=leave,
        same=SAME,
        new=NEW,
        changes=len(plan.new) + len(plan.changed) + len(plan.back),
    )


def _part(plan: Plan, key: str, number: int = 0) -> Part:
    """Part of a plan: its first rows, or a page of all rows if ``number`` is given."""
    found: Sequence[object] = getattr(plan, key)
    pages = max(1, -(-len(found) // ROWS_ON_A_PAGE))
    at = min(max(number, 1), pages)
    shown = found[(at - 1) * ROWS_ON_A_PAGE : at * ROWS_ON_A_PAGE] if number else found[:SHOWN]
    rows = [_row(key, one) for one in shown]
    return Part(key, PARTS[key], len(found), rows, at, pages, bool(number))


def _row(key: str, one: object) -> Mapping[str, object]:
    """A row of a part, as the template shows it: line, who, and what is said of them."""
    match one:
        case Match(entry=entry, known=known):
            return {"line": entry.line, "who": known.name, "changes": [_change(change) for change in one.changes]}
        case Known():
            return {"line": None, "who": one.name, "what": ", ".join((*one.form, *one.year))}
    if key == "new":
        entry = one.entry  # type: ignore[attr-defined]
        said = [name for names in groups_of(entry).values() for name in names]
        return {"line": entry.line, "who": entry.name, "what": ", ".join(filter(None, [entry.reference, *said]))}
    if key == "unreadable":
        return {"line": one.number, "who": one.text[:100], "what": one.why}  # type: ignore[attr-defined]
    return {"line": one.line, "who": "", "what": one.words}  # type: ignore[attr-defined]


def _change(change: Change) -> tuple[str, str, str]:
    return FIELD_TITLES[change.field], ", ".join(change.before) or "nothing", ", ".join(change.after)


def _question(question: Question) -> Mapping[str, object]:
    entry = question.entry
    said = [name for names in groups_of(entry).values() for name in names]
    return {
        "line": entry.line,
        "who": entry.name,
        "what": ", ".join(filter(None, [entry.reference, *said])),
        "why": question.why,
        "may_be_new": question.may_be_new,
        "candidates": [(known.id, _known_words(known)) for known in question.candidates],
    }


def _known_words(known: Known) -> str:
    said = ", ".join(filter(None, [known.name, *known.form, known.reference]))
    return f"{said} (has left)" if known.left else said


async def answer(request: web.Request) -> web.StreamResponse:
    """Keep what was said about unsure rows; the preview then shows what comes of it."""
    draft, form = _draft(request), await read_form(request)
    for name, value in form.items():
        line = name.removeprefix("answer-")
        if name.startswith("answer-") and line.isascii() and line.isdecimal() and len(line) < 9:
            if value:
                draft.answers[int(line)] = value
            else:
                draft.answers.pop(int(line), None)
    draft.for_all = one_of(form.get("for_all", ""), (SAME, NEW))
    return redirect(f"/people/import/{draft.id}")


async def drop(request: web.Request) -> web.StreamResponse:
    """Forget the file."""
    draft = _draft(request)
    await read_form(request)
    _imports(request).drafts.drop(draft)
    flash(request, "The file was forgotten. Nothing was changed.")
    return redirect("/people/import")


# 4: applying, and what became of it


async def apply(request: web.Request) -> web.StreamResponse:
    """Begin to apply what the preview showed. Who is missing leaves if that was said, twice if they are many."""
    draft, form, who = _draft(request), await read_form(request), actor(request)
    if draft.reading is None:
        return redirect(f"/people/import/{draft.id}/columns")
    imports, leave = _imports(request), form.get("leave") == "yes"
    plan = await imports.plan(who, draft)
    errors = {}
    if form.get("seen") != plan.digest:
        errors["form"] = "The directory or your answers have changed since this page was shown. Read it once more."
    elif leave and plan.many_leave and form.get("sure") != "yes":
        errors["sure"] = (
            f"{len(plan.leaving)} of {plan.here} people at the school would be marked as left. Say that you are sure."
        )
    if errors:
        return _preview(request, draft, plan, errors, leave=leave)
    staff = context_of(request).appliance.staff

    async def end_accounts(people: Sequence[str]) -> None:
        await staff.disable_people(who, people)

    await imports.apply(who, draft, plan, end_accounts, leave=leave)
    return redirect("/people/import/result")


async def result(request: web.Request) -> web.StreamResponse:
    """How far the last import or its undo is, on a page that asks again by itself; then what it did."""
    imports, who = _imports(request), actor(request)
    last = await imports.last(who)
    if last is None:
        return redirect("/people/import")
    working = imports.working(last["id"])
    progress = imports.progress if imports.progress and imports.progress.import_id == last["id"] else None
    response = render(
        request,
        "import_result.html",
        last=last,
        file_of=FILE_OF[last["kind"]],
        working=working,
        progress=progress,
        left_over=await _left_over(request, last) if last["state"] == "undone" else [],
        undo_days=UNDO_FOR.days,
    )
    if working:
        response.headers["Refresh"] = str(REFRESH_SECONDS)
    return response


async def _left_over(request: web.Request, last: Row) -> list[tuple[str, str, str]]:
    rows = await _imports(request).left_over(actor(request), last["id"])
    return [(row["person_id"], row["name"], FIELD_TITLES.get(row["field"], row["field"])) for row in rows]


async def ask_undo(request: web.Request) -> web.StreamResponse:
    """Say what undoing the last import does."""
    imports = _imports(request)
    last = await imports.last(actor(request))
    if last is None or not last["can_undo"] or imports.working(last["id"]):
        raise Refused("There is no import that can be undone.", f"Only the last one can, for {UNDO_FOR.days} days.")
    return render(request, "import_undo.html", last=last, file_of=FILE_OF[last["kind"]], kinds=PERSON_KINDS)


async def undo(request: web.Request) -> web.StreamResponse:
    """Begin to take the last import back."""
    import_id = (await read_form(request)).get("id", "")
    await _imports(request).undo(actor(request), import_id)
    return redirect("/people/import/result")
