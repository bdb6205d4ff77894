"""Static files: the core's own and each plugin's ``static`` folder, held in memory, named by their content.

``app.css`` is served at ``/static/app.css?v=<hash>``, a plugin's file at ``/static/<plugin>/chart.js?v=<hash>``. With
the right hash a browser may keep a file for a year, because another content has another address.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from appliance.errors import ApplianceError

CACHEABLE = web.ResponseKey("cacheable", bool)
"""Set on the answers that a browser may keep; the guard forbids it for everything else."""

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".txt": "text/plain; charset=utf-8",
}
_FOLDER = Path(__file__).parent / "static"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file: its bytes, its media type, and the hash of its content."""

    content: bytes
    media_type: str
    version: str


class Assets:
    """All static files. Read once: a changed file shows after a reload of the appliance."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        """``folders``: the folder of each plugin, by name."""
        self._assets = dict(_read(_FOLDER, ""))
        for name, folder in folders.items():
            self._assets.update(_read(folder / "static", f"{name}/"))

    def url(self, name: str) -> str:
        """The address of a file; raises ``ApplianceError`` if there is none of this name."""
        asset = self._assets.get(name)
        if asset is None:
            raise ApplianceError(f"There is no static file {name!r}.", "It belongs into the folder static.")
        return f"/static/{name}?v={asset.version}"

    def content(self, name: str) -> str:
        """The text of one of the core's own files."""
        return self._assets[name].content.decode()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer ``/static/{name}``; 304 if the browser has it already (RFC 9110 section 13.1.2)."""
        asset = self._assets.get(request.match_info["name"])
        if asset is None:
            raise web.HTTPNotFound
        return answer(request, asset)

    async def serve_icon(self, request: web.Request) -> web.StreamResponse:
        """Answer ``/favicon.svg``."""
        return answer(request, self._assets["favicon.svg"])


def answer(request: web.Request, asset: Asset) -> web.StreamResponse:
    """The file, to be kept for a year if the address names its content, for an hour otherwise."""
    named = request.query.get("v") == asset.version
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable" if named else "public, max-age=3600",
        "ETag": f'"{asset.version}"',
    }
    response: web.Response
    if any(tag.value == asset.version for tag in request.if_none_match or ()):
        response = web.Response(status=304, headers=headers)
    else:
        response = web.Response(body=asset.content, headers={**headers, "Content-Type": asset.media_type})
    response[CACHEABLE] = True
    return response


def _read(folder: Path, prefix: str) -> list[tuple[str, Asset]]:
    found = []
    for path in sorted(folder.rglob("*")):
        media_type = _TYPES.get(path.suffix)
        if media_type is not None and path.is_file():
            content = path.read_bytes()
            version = hashlib.sha256(content).hexdigest()[:16]
            found.append((prefix + path.relative_to(folder).as_posix(), Asset(content, media_type, version)))
    return found
