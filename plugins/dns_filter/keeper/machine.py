"""What this machine says: where we can listen, whom it asks itself, and why something cannot be had."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.worker_api import port_holder, resolver_addresses

from .endpoints import DNS_PORT, Endpoint


@dataclass(frozen=True, slots=True)
class NotListening:
    """An address on which we cannot listen, and the error."""

    endpoint: Endpoint
    error: OSError


class Troubles:
    """What is wrong at the moment, by subject; all of it is shown as one text."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._words: dict[str, str] = {}

    def set(self, subject: str, words: str) -> None:
        """Say what is wrong with ``subject``; empty: nothing is."""
        if self._words.get(subject, "") == words:
            return
        self._words[subject] = words
        self._tell(" ".join(filter(None, self._words.values())))


def in_words(failures: Sequence[NotListening]) -> str:
    """All failures, each reason once. Looks through /proc for who holds a port."""
    return " ".join(dict.fromkeys(map(not_listening, failures)))


def not_listening(failure: NotListening) -> str:
    """Why an address cannot be listened on, and what to do."""
    where, number = failure.endpoint, failure.error.errno
    if number == errno.EADDRINUSE:
        holder = port_holder("udp", where.port, where.host) or port_holder("tcp", where.port, where.host)
        return f"Port {where.port} is held by {holder or 'another program'}. Stop it, or set another port."
    if number == errno.EADDRNOTAVAIL:
        return f"{where.host} is not an address of this machine. Set `listen` to one that is."
    if number == errno.EACCES:
        return f"The right to listen on port {where.port} is missing. Give it CAP_NET_BIND_SERVICE or a port from 1024."
    return f"Cannot listen on {where}: {failure.error.strerror or failure.error}."


def usable_upstreams(
    configured: Sequence[Mapping[str, Any]], listening: Sequence[Endpoint], troubles: Troubles
) -> list[Mapping[str, Any]]:
    """The upstreams of the snapshot, or the machine's own resolvers, without ourselves: that would be a loop."""
    own: list[Mapping[str, Any]] = [{"host": each, "port": DNS_PORT, "tls": ""} for each in resolver_addresses()]
    candidates = list(configured) or own
    loops = [each for each in candidates if Endpoint(each["host"], each["port"]) in listening]
    usable = [each for each in candidates if each not in loops]
    troubles.set("loop", " ".join(_loop(Endpoint(each["host"], each["port"])) for each in loops))
    troubles.set("no upstream", "" if usable else "There is no name server to ask. Set `upstreams`.")
    return usable


def _loop(ourselves: Endpoint) -> str:
    return f"The name server {ourselves} is this filter itself and is not asked. Set another one in `upstreams`."
