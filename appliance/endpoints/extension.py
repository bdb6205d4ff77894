"""The browser extension as this box gives it out: packed from the core's part and each plugin's, signed, versioned.

::

    manifest.json, generated/     made here: they hold what is this school's own
    worker.js, content/, ...      appliance/endpoint/browser
    plugins/<name>/               browser/ of each plugin that was let in, if it has browser/main.js, and what the
    plugin
                                  has made beside it (the hook browser_files)

Another content gets a higher version, and browsers fetch it by themselves. The version is the time of packing, so that
it also grows on a box that was set up anew with the same key.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, get_args
from xml.sax.saxutils import quoteattr

from appliance.clock import now, stamp
from appliance.config import Config, Settings
from appliance.db import Database
from appliance.endpoints.crx import crx
from appliance.errors import CannotStart
from appliance.exempt import Exempt
from appliance.hookspecs import Site
from appliance.keys_on_disk import ExtensionKey
from appliance.loading import resource

UPDATES_PATH = "/extension/updates.xml"
CRX_PATH = "/extension/appliance.crx"
OLDEST_BROWSER = "133"
"""The first Chromium in which WebCrypto knows X25519 without a switch, which observations are sealed with."""
PERMISSIONS: Mapping[str, str] = {
    "storage": "the settings that the school's policy gives it, and what it is to look for",
    "unlimitedStorage": "so that the browser never throws the queue away to win space",
    "alarms": "to look every half minute whether the box is there",
    "tabs": "title and address of pages",
    "webNavigation": "addresses, searches, and which frames a page has",
    "scripting": "pages that are open already when it is installed; whether a password can be read at this moment",
    "identity": "whose browser profile it is",
    "identity.email": "whose browser profile it is",
    "enterprise.deviceAttributes": "serial number and name of a managed Chromebook; nothing elsewhere",
}
"""What the extension asks of the browser, each with its reason."""
ICON_SIZES = (16, 32, 48, 128)
CONTENT_SCRIPTS = tuple(f"content/{name}.js" for name in ("dom", "fields", "typing", "page_text", "main"))
"""In the order in which a page runs them."""
MOST_OF_A_VERSION_PART = 65535
DESCRIPTION_LENGTH = 132

Version = tuple[int, ...]
Made = Mapping[str, Mapping[str, bytes]]
"""By plugin, files by their path in its folder for browsers."""


class Extension:
    """The extension of this box. Nothing is there before ``start``."""

    def __init__(
        self,
        records: Database,
        state_dir: Path,
        folders: Callable[[], Mapping[str, Path]],
        exempt: Exempt,
        config: Config,
        made: Callable[[], Made],
    ) -> None:
        """``folders``: the folder of each plugin that was let in, by name. ``made``: what they have made for
        browsers."""
        self._records = records
        self._trust = state_dir / "trust"
        self._folders = folders
        self._made = made
        self._exempt = exempt
        self._settings = config.settings
        self._key: ExtensionKey | None = None
        self._version = ""
        self._crx = b""

    async def start(self) -> None:
        """Pack it; the version is a new one if the content is. TrustError if its key was lost."""
        self._key = ExtensionKey.open(self._trust)
        made = self._made()
        folders = {name: folder for name, folder in self._folders().items() if name in made}
        files = {**gather(folders, made), **generated(folders, self._exempt, self._settings)}
        draft = manifest(self._key, self._exempt, self._settings)
        self._version = await self._version_of(content_sha256({**files, "manifest.json": _json(draft)}))
        self._crx = crx({**files, "manifest.json": _json({**draft, "version": self._version})}, self._key)

    async def _version_of(self, sha256: str) -> str:
        """The version of this content: the newest one if nothing has changed since, otherwise a greater one."""
        async with self._records.transaction() as tx:
            rows = await tx.fetch("SELECT version, content_sha256 FROM endpoint_packages")
            newest = max(rows, key=lambda row: _parts(row["version"]), default=None)
            if newest is not None and newest["content_sha256"] == sha256:
                return str(newest["version"])
            version = _text(next_version(now(), _parts(newest["version"]) if newest is not None else ()))
            await tx.execute(
                "INSERT INTO endpoint_packages (version, content_sha256, made_at) VALUES (?, ?, ?)",
                (version, sha256, stamp()),
            )
        return version

    @property
    def id(self) -> str:
        """How browsers and policies name it."""
        return self._open_key().extension_id

    def sign(self, content: bytes) -> bytes:
        """Sign something else that browsers are to believe; what is signed says what it is."""
        return self._open_key().sign(content)

    @property
    def version(self) -> str:
        """The version that this box gives out."""
        return self._version

    @property
    def crx(self) -> bytes:
        """The signed file."""
        return self._crx

    def updates_xml(self, base_url: str) -> str:
        """What browsers ask for to learn the newest version. ``base_url``: scheme and host of this box, no slash."""
        return (
            "<?xml version='1.0' encoding='UTF-8'?>\n"
            "<gupdate xmlns='http://www.google.com/update2/response' protocol='2.0'>\n"
            f"  <app appid={quoteattr(self.id)}>\n"
            f"    <updatecheck codebase={quoteattr(base_url + CRX_PATH)} version={quoteattr(self._version)}/>\n"
            "  </app>\n"
            "</gupdate>\n"
        )

    def _open_key(self) -> ExtensionKey:
        if self._key is None:
            raise CannotStart("The browser extension was not packed yet.")
        return self._key


def base_url(settings: Settings) -> str:
    """The address under which browsers reach this box: ``https://endpoint.DOMAIN``, with the port if it is not 443."""
    web = settings.web
    return f"https://endpoint.{web.domain}" + ("" if web.port == 443 else f":{web.port}")


# Content


def gather(folders: Mapping[str, Path], made: Made) -> dict[str, bytes]:
    """The files of the core's part and of each plugin's, with what it has made, by their path in the extension."""
    files = _files_of(resource("endpoint") / "browser", "")
    for name, folder in with_browser_part(folders).items():
        files |= _files_of(folder, f"plugins/{name}/")
        files |= {f"plugins/{name}/{path}": content for path, content in made.get(name, {}).items()}
    return files


def with_browser_part(folders: Mapping[str, Path]) -> dict[str, Path]:
    """The ``browser`` folders of those plugins that have one, by name."""
    parts = {name: folder / "browser" for name, folder in sorted(folders.items())}
    return {name: part for name, part in parts.items() if (part / "main.js").is_file()}


def _files_of(folder: Path, prefix: str) -> dict[str, bytes]:
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith("."))
    return {prefix + path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def generated(folders: Mapping[str, Path], exempt: Exempt, settings: Settings) -> dict[str, bytes]:
    """Modules that are made for this school."""
    names = list(with_browser_part(folders))
    imports = "".join(f'import * as {name} from "../plugins/{name}/main.js";\n' for name in names)
    plugins = f"{imports}\nexport const plugins = {{ {', '.join(names)} }};\n"
    hosts = list(exempt.hosts())
    school = f"export const school = {_js(settings.school.name)};\nexport const exempt = {_js(hosts)};\n"
    return {"generated/plugins.js": plugins.encode(), "generated/school.js": school.encode()}


def _js(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, indent=1)


def manifest(key: ExtensionKey, exempt: Exempt, settings: Settings) -> dict[str, Any]:
    """``manifest.json`` without the version."""
    icons = {str(size): f"icons/{size}.png" for size in ICON_SIZES}
    return {
        "manifest_version": 3,
        "name": "School safeguarding",
        "description": _description(settings.school.name),
        "key": base64.b64encode(key.public_key).decode(),
        "minimum_chrome_version": OLDEST_BROWSER,
        "update_url": base_url(settings) + UPDATES_PATH,
        "icons": icons,
        "action": {"default_icon": icons, "default_title": "School safeguarding: starting"},
        "background": {"service_worker": "worker.js", "type": "module"},
        "storage": {"managed_schema": "managed_schema.json"},
        "permissions": list(PERMISSIONS),
        "host_permissions": ["<all_urls>"],
        "content_scripts": [
            {
                "js": list(CONTENT_SCRIPTS),
                "matches": ["<all_urls>"],
                "exclude_matches": list(excluded(exempt, settings)),
                "all_frames": True,
                "match_about_blank": True,
                "match_origin_as_fallback": True,
                "run_at": "document_start",
            }
        ],
    }


def excluded(exempt: Exempt, settings: Settings) -> Iterable[str]:
    """Patterns of the pages into which nothing of the extension goes: help-seeking places, and the box's own."""
    for host in exempt.hosts():
        yield f"*://*.{host}/*"  # the host itself too
    for site in get_args(Site):
        yield f"*://*.{site}.{settings.web.domain}/*"
    if settings.web.domain != "localhost":  # that is, in each browser, the device itself
        yield f"*://{settings.web.domain}/*"  # what else lies below it may be the school's own


def _description(school: str) -> str:
    words = f"Looked after by {school or 'your school'}, so that somebody notices when a pupil is in danger."
    return words if len(words) <= DESCRIPTION_LENGTH else f"{words[: DESCRIPTION_LENGTH - 1]}…"


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=True, indent=1).encode()


# Versions


def content_sha256(files: Mapping[str, bytes]) -> str:
    """One hash over all files and their paths."""
    whole = hashlib.sha256()
    for path in sorted(files):
        whole.update(hashlib.sha256(path.encode()).digest() + hashlib.sha256(files[path]).digest())
    return whole.hexdigest()


def next_version(moment: datetime, last: Version) -> Version:
    """The version of something packed at ``moment``: year, month and day, hour and minute; greater than ``last``.

    A clock that went back, or a second change in the same minute, adds one at the end of the last version.
    """
    by_time = (moment.year, moment.month * 100 + moment.day, moment.hour * 100 + moment.minute)
    return by_time if by_time > last else _after(last)


def _after(version: Version) -> Version:
    parts = [*version, 0, 0, 0, 0][:4]
    for place in reversed(range(4)):
        if parts[place] < MOST_OF_A_VERSION_PART:
            parts[place] += 1
            return tuple(parts)
        parts[place] = 0
    raise CannotStart("There is no higher version for the browser extension.")


def _parts(version: str) -> Version:
    return tuple(int(part) for part in version.split("."))


def _text(version: Version) -> str:
    return ".".join(map(str, version))
