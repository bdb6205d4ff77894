"""What is known of each name server: whether it answers, how quickly, and what it cannot do."""

from __future__ import annotations

import socket
from typing import Any, Final

from .places import Endpoint

FAILURES_UNTIL_REST: Final = 3
"""In a row, with no answer to any query in between: a single name that nobody answers says nothing of the server."""
FIRST_REST: Final = 1.0
LONGEST_REST: Final = 15.0
PLAIN_UNTIL_BELIEVED: Final = 3
"""So many answers in plain case, in a row, after one in a wrong case, until a server is asked in plain case at once."""
DOUBT_SECONDS: Final = 3600.0
"""How long what a server cannot do is remembered."""
_SMOOTH: Final = 0.125


class Server:
    """One name server. Moments are of the loop's clock."""

    __slots__ = (
        "address", "answered_at", "endpoint", "failures", "family", "heard", "label", "ms", "no_edns_until", "plain",
        "plain_until", "rest", "resting_until", "tls",
    )  # fmt: skip

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        host, port, tls = endpoint
        self.address = (host, port)
        self.family = int(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.tls = bool(tls)
        self.label = str(endpoint)
        self.failures = 0
        self.heard = False
        self.answered_at = -1.0
        self.ms = 0.0
        self.rest = FIRST_REST
        self.resting_until = 0.0
        self.plain = 0
        self.plain_until = 0.0
        self.no_edns_until = 0.0

    @property
    def is_resting(self) -> bool:
        """Whether it is asked last, until it has answered a probe."""
        return self.resting_until > 0.0

    @property
    def state(self) -> str:
        """``up``, ``resting``, or ``unknown`` before its first answer."""
        if self.is_resting:
            return "resting"
        return "up" if self.answered_at >= 0 else "unknown"

    def answered(self, seconds: float, at: float) -> bool:
        """It answered after so long. Says whether it is back."""
        ms = seconds * 1000
        self.ms = ms if self.answered_at < 0 else self.ms + (ms - self.ms) * _SMOOTH
        self.answered_at = at
        self.failures = 0
        if not self.resting_until:
            return False
        self.resting_until, self.rest = 0.0, FIRST_REST
        return True

    def failed(self, asked_at: float, at: float) -> bool:
        """It did not answer a query of ``asked_at``; if it answered others since, that was the query's fault.

        Says whether it begins to rest with this."""
        if self.answered_at > asked_at:
            return False
        self.failures += 1
        if self.failures < FAILURES_UNTIL_REST:
            return False
        began = not self.resting_until
        if began:
            self.resting_until = at + self.rest
        return began

    def silent_again(self, at: float) -> None:
        """It did not answer a probe: the next one comes later."""
        self.failures += 1
        self.rest = min(self.rest * 2, LONGEST_REST)
        self.resting_until = at + self.rest

    def keeps_no_case(self, at: float) -> None:
        """It answered in plain case what it would not answer in a random one."""
        self.plain += 1
        if self.plain >= PLAIN_UNTIL_BELIEVED:
            self.plain_until = at + DOUBT_SECONDS

    def report(self) -> dict[str, Any]:
        """A line of the health record."""
        return {"server": self.label, "state": self.state, "ms": round(self.ms, 1), "failures": self.failures}
