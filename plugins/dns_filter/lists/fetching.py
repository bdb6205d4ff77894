"""Fetches lists over HTTPS: asked for again only if changed, bounded in size and time, never from inside the school.

An address that somebody typed on a page, and whatever it leads to, must not make the box ask a machine of the school's
own network: so addresses that are not public are refused, for every step of a redirect, unless the settings name the
host. Behind a proxy it is the proxy that looks names up; then only addresses that stand in the link can be refused.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import os
import socket
import ssl
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from .copies import ListUnreadable

MOST_REDIRECTS = 5
WHOLE_SECONDS = 1200.0
QUIET_SECONDS = 60.0
_PIECE = 1 << 16
_REDIRECTS = (301, 302, 303, 307, 308)
_LATER = "It is tried again within the hour."


class Unreachable(ListUnreadable):
    """The list could not be fetched now; the words say why. Later it may go well."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came. ``changed`` is false if the keeper says that it is what we have; then nothing was written."""

    changed: bool
    etag: str = ""
    modified: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """What the keeper said of the copy that we have."""

    etag: str = ""
    modified: str = ""

    def headers(self) -> dict[str, str]:
        """Headers that let the keeper say "as it was"."""
        named = {"If-None-Match": self.etag, "If-Modified-Since": self.modified}
        return {name: value for name, value in named.items() if value}


class Fetcher:
    """``private_hosts``: names and addresses that may be asked although they are not public. ``tls``: whom to trust."""

    def __init__(
        self, proxy: str, most_octets: int, private_hosts: Collection[str], tls: ssl.SSLContext | None = None
    ) -> None:
        self._proxy = proxy or None
        self._most = most_octets
        self._private = frozenset(host.lower() for host in private_hosts)
        self._tls = tls

    async def fetch(self, url: str, known: Known, into: Path, progress: Callable[[int, int], None]) -> Fetched:
        """Write what ``url`` gives to the file ``into``. ``progress`` hears octets so far and altogether (0: unknown).

        Raises ``Unreachable``.
        """
        host = urlsplit(url).hostname or url
        connector = aiohttp.TCPConnector(
            resolver=_PublicOnly(self._private, checks=self._proxy is None), ssl=self._tls if self._tls else True
        )
        timeout = aiohttp.ClientTimeout(total=WHOLE_SECONDS, sock_connect=QUIET_SECONDS, sock_read=QUIET_SECONDS)
        try:
            async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
                return await self._follow(session, url, known, into, progress)
        except TimeoutError as error:
            raise Unreachable(f"{host} did not answer in time.", _LATER) from error
        except _NotPublic as error:
            raise Unreachable(str(error), "If that is right, name the host under `lists_private_hosts`.") from error
        except aiohttp.ClientConnectorCertificateError as error:
            raise Unreachable(
                f"The certificate of {host} is not one to trust: {error.certificate_error}.", _LATER
            ) from error
        except (aiohttp.ClientError, ValueError) as error:
            cause = error.__cause__ if isinstance(error.__cause__, _NotPublic) else None
            if cause is not None:
                raise Unreachable(str(cause), "If that is right, name the host under `lists_private_hosts`.") from error
            raise Unreachable(_not_fetched(host, error), _LATER) from error
        except OSError as error:
            raise Unreachable(f"What {host} gave cannot be written: {error.strerror}.", "Look at the disk.") from error

    async def _follow(
        self, session: aiohttp.ClientSession, url: str, known: Known, into: Path, progress: Callable[[int, int], None]
    ) -> Fetched:
        for _ in range(MOST_REDIRECTS + 1):
            self._check(url)
            headers = {"User-Agent": "safeguarding-appliance", "Accept-Encoding": "identity", **known.headers()}
            async with session.get(url, headers=headers, proxy=self._proxy, allow_redirects=False) as response:
                if response.status in _REDIRECTS:
                    url = urljoin(url, response.headers.get("Location", ""))
                elif response.status == 304:
                    return Fetched(False, known.etag, known.modified)
                elif response.status == 200:
                    sha256 = await self._save(response, into, progress)
                    headers_ = response.headers
                    return Fetched(True, headers_.get("ETag", ""), headers_.get("Last-Modified", ""), sha256)
                else:
                    raise Unreachable(
                        f"{response.host} answers {response.status} {response.reason or ''}".strip() + ".", _LATER
                    )
        raise Unreachable("The address leads from one to another without end.", "Look for the list’s new address.")

    def _check(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            raise Unreachable(f"The address leads to {url!r}, which is not HTTPS.", "Look for the list’s new address.")
        if not parts.hostname.isascii():  # other letters can be read as digits and dots
            raise Unreachable(
                f"The host in {url!r} is not written in plain letters.", "Write it the way that begins with xn--."
            )
        address = _written_as_number(parts.hostname)
        if address is not None and parts.hostname not in self._private and not _public(address):
            raise _NotPublic(parts.hostname, str(address))

    async def _save(self, response: aiohttp.ClientResponse, into: Path, progress: Callable[[int, int], None]) -> str:
        total = response.content_length or 0
        too_large = Unreachable(
            f"The list is larger than {self._most // 1_000_000} MB.", "If that is right, raise `lists_max_mb`."
        )
        if total > self._most:
            raise too_large
        sha256, octets = hashlib.sha256(), 0
        with into.open("wb") as file:
            async for piece in response.content.iter_chunked(_PIECE):
                octets += len(piece)
                if octets > self._most:
                    raise too_large
                sha256.update(piece)
                await asyncio.to_thread(file.write, piece)
                progress(octets, total)
        if total and octets < total:
            raise Unreachable(f"Only {octets} of {total} bytes of the list came.", _LATER)
        return sha256.hexdigest()


def _not_fetched(host: str, error: Exception) -> str:
    """Why nothing came, as somebody at a school can act on it."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return f"The name {host} was not found: either it is wrong, or this box does not reach the internet."
        case aiohttp.ClientConnectorError():
            why = os.strerror(error.errno).lower() if error.errno else "none of its addresses answers"
            return f"{host} cannot be reached: {why}."
        case aiohttp.ServerDisconnectedError():
            return f"{host} ended the connection before the list came."
    return f"The list cannot be fetched from {host}: {error}."


class _NotPublic(OSError):
    """An address within the school or the box itself."""

    def __init__(self, host: str, address: str) -> None:
        super().__init__(
            f"{host} is at {address}, which is not an address of the internet; lists are not fetched there."
        )


class _PublicOnly(AbstractResolver):
    """Looks names up and refuses those that lead to addresses that are not public."""

    def __init__(self, allowed: Collection[str], *, checks: bool) -> None:
        self._inner = ThreadedResolver()
        self._allowed = allowed
        self._checks = checks

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        if self._checks and host.lower() not in self._allowed:
            for each in found:
                if not _public(ipaddress.ip_address(each["host"].partition("%")[0])):
                    raise _NotPublic(host, each["host"])
        return found

    async def close(self) -> None:
        await self._inner.close()


def _written_as_number(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that stands in a link, also as the system reads 127.1 or 2130706433; ``None``: a name.

    The resolver looks at names; it is never asked about numbers.
    """
    host = host.rstrip(".").partition("%")[0]
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        with suppress(OSError, UnicodeError):
            return ipaddress.IPv4Address(socket.inet_aton(host))
        return None


_GLOBAL_6 = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def _public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether it is an address of the internet. What carries an IPv4 address in it leads where that leads."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(address.packed[12:])
        if inner is not None:
            return _public(inner)
        if address not in _GLOBAL_6:
            return False
    return address.is_global and not address.is_multicast
