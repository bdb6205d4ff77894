"""Whether this box listens on the network: off, until IT has said so on the page or in the settings file."""

from __future__ import annotations

from appliance.api import Audit, Refused, Row, Transaction

from .store import Store

SUBJECT = "switch"


class Switch:
    """``fixed``: what the settings file says; ``None``: it leaves it to the page."""

    def __init__(self, fixed: bool | None, store: Store, audit: Audit) -> None:
        self.fixed = fixed
        self.decision: Row | None = None
        """The choice made on the page that is in force."""
        self._store = store
        self._audit = audit

    @property
    def is_on(self) -> bool:
        """Whether it listens."""
        if self.fixed is not None:
            return self.fixed
        return self.decision is not None and self.decision["value"] == "on"

    async def read(self) -> None:
        """Take up what was chosen."""
        self.decision = (await self._store.decisions()).get(SUBJECT)

    async def choose(self, author: str, reason: str, *, on: bool) -> None:
        """Switch it on or off. Raises ``Refused`` if the settings file has the word, or nobody says why."""
        if self.fixed is not None:
            raise Refused("The settings file says whether this box listens.", "Change it there.")
        if not reason.strip():
            raise Refused("Say why, so that the next person understands.")
        async with self._store.records.transaction() as tx:
            await self._store.decide(tx, SUBJECT, "on" if on else "off", author, reason.strip())
            await self._note(tx, author, on=on, reason=reason)
        await self.read()

    async def _note(self, tx: Transaction, author: str, *, on: bool, reason: str) -> None:
        action = "switched on listening" if on else "switched off listening"
        await self._audit.record(tx, author, action, "listening on the network", {"reason": reason.strip()})
