"""A plugin for tests: notes and pictures that are sealed when they come in and opened for whoever may read them."""

from __future__ import annotations

import binascii
from base64 import b64decode

from aiohttp import web

from appliance.api import Appliance, Data, Page, Permission, Section, hook, new_id, read_form, redirect, render
from appliance.vaults import CAPTURES
from appliance.web.pages import keys


class Plugin:
    """Notes that only members of the captures vault can open."""

    title = "Sealed notes"

    class Settings(Section):
        """Sealed notes."""

    def __init__(self, appliance: Appliance, settings: Settings) -> None:
        self.appliance = appliance

    @hook
    def register_pages(self) -> list[Page]:
        use = Permission.USE
        return [
            Page("staff", "GET", "/sealed_notes/{id}", self.show, use),
            Page("staff", "GET", "/sealed_notes/{id}/picture", self.picture, use),
            Page("staff", "POST", "/sealed_notes", self.keep, use),
            Page("staff", "POST", "/sealed_notes/{id}/delete", self.delete, use),
        ]

    @hook
    def register_data(self) -> list[Data]:
        return [Data("sealed_notes_notes", "notes and pictures, sealed")]

    async def keep(self, request: web.Request) -> web.StreamResponse:
        """Seal what was typed, in place of the note of this id if there is one."""
        form = await read_form(request)
        note = form.get("id") or new_id()
        try:
            picture = b64decode(form.get("picture", ""), validate=True)
        except binascii.Error:
            raise web.HTTPBadRequest from None
        words = await self.appliance.vaults.seal(CAPTURES, note, "note", form["words"].encode())
        sealed = await self.appliance.vaults.seal(CAPTURES, note, "picture", picture)
        async with self.appliance.records.transaction() as tx:
            await tx.execute("INSERT OR REPLACE INTO sealed_notes_notes VALUES (?, ?, ?)", (note, words, sealed))
        return redirect(f"/sealed_notes/{note}")

    async def show(self, request: web.Request) -> web.StreamResponse:
        """One note, opened."""
        words = await self._opened(request, "words")
        return render(request, "sealed_notes/note.html", words=words.decode())

    async def picture(self, request: web.Request) -> web.StreamResponse:
        """One picture, opened."""
        return web.Response(body=await self._opened(request, "picture"), content_type="image/png")

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """Take a note out."""
        async with self.appliance.records.transaction() as tx:
            await tx.execute("DELETE FROM sealed_notes_notes WHERE id = ?", (request.match_info["id"],))
        return redirect("/")

    async def _opened(self, request: web.Request, column: str) -> bytes:
        note = request.match_info["id"]
        row = await self.appliance.records.fetch_one("SELECT * FROM sealed_notes_notes WHERE id = ?", (note,))
        if row is None:
            raise web.HTTPNotFound
        return self.appliance.vaults.open(keys(request), row[column], note)
