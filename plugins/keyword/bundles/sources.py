"""Where bundles come from: a file, a folder, an HTTPS address. Bounded in size and time; nothing is believed yet."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import urljoin, urlsplit

import aiohttp

from appliance.api import ApplianceError

ENDINGS = (".tar", ".tar.gz", ".tgz")
MOST_FILES = 50
MOST_REDIRECTS = 5
WHOLE_SECONDS = 45.0
QUIET_SECONDS = 20.0
_REDIRECTS = (301, 302, 303, 307, 308)
_LATER = "What is in force stays. It is tried again tomorrow, or with “Look now”."


class Unreachable(ApplianceError):
    """The place could not be read now, in words."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Something that may be a bundle. ``trouble``: why it could not even be read."""

    name: str
    packed: bytes = field(default=b"", repr=False)
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What lies there. ``offers`` is empty if it is what lay there before; ``etag`` says so the next time."""

    offers: Sequence[Offer]
    etag: str = ""


class Place(Protocol):
    """A place that bundles come from."""

    async def look(self, etag: str) -> Found:
        """Read what lies there. Raises ``Unreachable``."""


class FilePlace:
    """A file, or a folder of files. ``most``: octets of a bundle."""

    def __init__(self, path: Path, most: int) -> None:
        self._path = path
        self._most = most

    async def look(self, etag: str) -> Found:
        """Files are read anew each time."""
        del etag
        try:
            return Found(await asyncio.to_thread(self._read))
        except OSError as error:
            raise Unreachable(f"{error.filename or self._path} cannot be read: {error.strerror}.", _LATER) from error

    def _read(self) -> Sequence[Offer]:
        if not self._path.is_dir():
            return [self._offer(self._path)]
        files = sorted(path for path in self._path.iterdir() if path.name.endswith(ENDINGS) and path.is_file())
        if len(files) > MOST_FILES:
            raise Unreachable(f"{self._path} holds more than {MOST_FILES} bundles.", "Take the old ones out.")
        return [self._offer(path) for path in files]

    def _offer(self, path: Path) -> Offer:
        with path.open("rb") as file:
            content = file.read(self._most + 1)
        return (
            Offer(path.name, trouble=_too_large(self._most)) if len(content) > self._most else Offer(path.name, content)
        )


class WebPlace:
    """An HTTPS address, which stands in the settings file alone. ``tls``: whom to trust, if not as the system does."""

    def __init__(self, url: str, proxy: str, most: int, tls: ssl.SSLContext | None = None) -> None:
        self._url = url
        self._proxy = proxy or None
        self._most = most
        self._tls = tls

    async def look(self, etag: str) -> Found:
        """Fetch it, if it has changed. ``etag``: what its keeper said of what we have."""
        host = urlsplit(self._url).hostname or self._url
        timeout = aiohttp.ClientTimeout(total=WHOLE_SECONDS, sock_connect=QUIET_SECONDS, sock_read=QUIET_SECONDS)
        connector = aiohttp.TCPConnector(ssl=self._tls if self._tls is not None else True)
        try:
            async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
                return await self._follow(session, etag)
        except TimeoutError as error:
            raise Unreachable(f"{host} did not answer in time.", _LATER) from error
        except aiohttp.ClientConnectorCertificateError as error:
            words = f"The certificate of {host} is not one to trust: {error.certificate_error}."
            raise Unreachable(words, _LATER) from error
        except (aiohttp.ClientError, ValueError, OSError) as error:
            raise Unreachable(f"Nothing can be fetched from {host}: {error}.", _LATER) from error

    async def _follow(self, session: aiohttp.ClientSession, etag: str) -> Found:
        url = self._url
        for _ in range(MOST_REDIRECTS + 1):
            if urlsplit(url).scheme != "https":
                raise Unreachable(f"The address leads to {url!r}, which is not HTTPS.", "Look for the new address.")
            headers = {"User-Agent": "safeguarding-appliance", "Accept-Encoding": "identity"}
            if etag:
                headers["If-None-Match"] = etag
            async with session.get(url, headers=headers, proxy=self._proxy, allow_redirects=False) as response:
                if response.status in _REDIRECTS:
                    url = urljoin(url, response.headers.get("Location", ""))
                elif response.status == 304:
                    return Found((), etag)
                elif response.status == 200:
                    name = Path(urlsplit(url).path).name or "bundle"
                    return Found([await self._offer(response, name)], response.headers.get("ETag", "")[:200])
                else:
                    words = f"{response.host} answers {response.status} {response.reason or ''}".strip()
                    raise Unreachable(f"{words}.", _LATER)
        raise Unreachable("The address leads from one to another without end.", "Look for the new address.")

    async def _offer(self, response: aiohttp.ClientResponse, name: str) -> Offer:
        if (response.content_length or 0) > self._most:
            return Offer(name, trouble=_too_large(self._most))
        pieces, octets = [], 0
        async for piece in response.content.iter_chunked(1 << 16):
            octets += len(piece)
            if octets > self._most:
                return Offer(name, trouble=_too_large(self._most))
            pieces.append(piece)
        return Offer(name, b"".join(pieces))


def _too_large(most: int) -> str:
    return f"It is larger than {most // 1_000_000} MB. If that is right, IT raises plugins.keyword.bundle.max_mb."
