"""Addresses and ports: where we listen, whom we ask."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

DNS_PORT = 53
BACKLOG = 200


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address and a port."""

    host: str
    port: int = DNS_PORT

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DNS_PORT else f"{host}:{self.port}"


def addresses_to_listen_on(configured: Iterable[str], local: Sequence[str]) -> tuple[str, ...]:
    """``0.0.0.0`` and ``::`` replaced by this machine's own addresses, each address once.

    IPv6 link-local addresses are left out of ``::``: they mean nothing without the interface, and every device that has
    one reaches us on another address.
    """
    found: dict[str, None] = {}
    for text in configured:
        address = ipaddress.ip_address(text)
        own = _own(local, address.version) if address.is_unspecified else [str(address)]
        found.update(dict.fromkeys(own))
    return tuple(found)


def _own(local: Sequence[str], version: int) -> Iterator[str]:
    for text in local:
        address = ipaddress.ip_address(text)
        if address.version == version and not (version == 6 and address.is_link_local):
            yield text


def bound(endpoint: Endpoint, kind: socket.SocketKind, *, shared: bool = False) -> socket.socket:
    """A bound socket that does not block. ``shared``: others of ours listen there too. Raises ``OSError``."""
    version = ipaddress.ip_address(endpoint.host).version
    opened = socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET, kind)
    try:
        opened.setblocking(False)
        if shared:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if kind == socket.SOCK_STREAM:
            # Connections of the process before us may linger for a minute; they must not keep us from the port.
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)  # a whole class that opens its laptops
        opened.bind((endpoint.host, endpoint.port))
        if kind == socket.SOCK_STREAM:
            opened.listen(BACKLOG)
    except OSError:
        opened.close()
        raise
    return opened
