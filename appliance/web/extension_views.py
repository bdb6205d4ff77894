"""Where browsers fetch the extension: by policy the first time, by themselves whenever there is a newer version.

Both are open to everybody: a browser that updates shows neither cookie nor key, and the file holds no secret.
"""

from __future__ import annotations

from aiohttp import web

from appliance.endpoints.extension import CRX_PATH, UPDATES_PATH
from appliance.hookspecs import Page, Permission
from appliance.web.pages import context_of

CRX_TYPE = "application/x-chrome-extension"


def pages() -> tuple[Page, ...]:
    """The routes."""
    public = Permission.PUBLIC
    return (
        Page("endpoint", "GET", UPDATES_PATH, updates, public),
        Page("endpoint", "GET", CRX_PATH, crx, public),
    )


async def updates(request: web.Request) -> web.StreamResponse:
    """The newest version and where it lies; browsers add their own version and system to the address."""
    extension = context_of(request).appliance.endpoints.extension
    text = extension.updates_xml(f"{request.scheme}://{request.host}")
    return web.Response(text=text, content_type="text/xml")


async def crx(request: web.Request) -> web.StreamResponse:
    """The signed file."""
    extension = context_of(request).appliance.endpoints.extension
    return web.Response(body=extension.crx, content_type=CRX_TYPE)
