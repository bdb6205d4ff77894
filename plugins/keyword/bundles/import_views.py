"""The page for lists of child-abuse and terrorist terms that were handed over. It shows numbers, never a term."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from aiohttp import web

from appliance.api import Page, Permission, Refused, actor, flash, now, read_form, read_upload, redirect, render

from .desk import Desk
from .imported import LONGEST_BODY, Kind, body_name, kind_of, read_list, taken_words

PATH = "/keyword/bundle-lists"
_MAY = Permission.SWITCH_MONITORING


class ImportViews:
    """One method for each page."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def pages(self) -> Sequence[Page]:
        """Routes."""
        return [
            Page("staff", "GET", PATH, self.index, _MAY),
            Page("staff", "POST", PATH, self.take, _MAY),
            Page("staff", "POST", f"{PATH}/remove", self.remove, _MAY),
        ]

    async def index(self, request: web.Request) -> web.Response:
        """The lists in force, and the form for another."""
        return await self._index(request, {}, {})

    async def take(self, request: web.Request) -> web.Response:
        """Look for the terms of a file from now on."""
        sent = await read_upload(request)
        fields, errors = sent.fields, {}
        try:
            kind = kind_of(fields.get("kind", ""))
        except Refused:
            errors["kind"] = "Say what the list is about: choose one of the two."
        try:
            body = body_name(fields.get("body", ""))
        except Refused as refused:
            errors["body"] = str(refused)
        if not sent.file_name:
            errors["file"] = "Choose the file."
        if errors:
            return await self._index(request, errors, fields)
        try:
            found = await asyncio.to_thread(read_list, sent.content, kind, body, now().date())
        except Refused as refused:
            return await self._index(request, {"file": str(refused)}, fields)
        await self._desk.import_list(actor(request).name, found)
        flash(request, " ".join([*taken_words(found), "Delete the file you chose."]))
        return redirect(PATH)

    async def remove(self, request: web.Request) -> web.Response:
        """Look for the terms of a list no more."""
        fields = await read_form(request)
        try:
            kind = kind_of(fields.get("kind", ""))
            if not fields.get("reason", "").strip():
                return await self._index(request, {f"reason-{kind}": f"Say why the list ({kind.words}) goes."}, {})
            await self._desk.remove_list(actor(request).name, kind, fields["reason"].strip())
        except Refused as refused:
            return await self._index(request, {"form": str(refused)}, {})
        flash(request, f"The list ({kind.words}) is gone. Nothing is looked for by it any more.")
        return redirect(PATH)

    async def _index(self, request: web.Request, errors: Mapping[str, str], fields: Mapping[str, str]) -> web.Response:
        return render(
            request,
            "keyword/bundle_lists.html",
            422 if errors else 200,
            errors=errors,
            fields=fields,
            kinds=Kind,
            longest=LONGEST_BODY,
            lists=[(Kind(row["kind"]), row) for row in await self._desk.store.imported()],
            troubles=[one for key, one in self._desk.forces.troubles.items() if key.startswith("list ")],
        )
