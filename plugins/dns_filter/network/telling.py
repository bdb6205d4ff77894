"""Alerts about the network: one for each device that goes around the filter, however often it does so."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import timedelta

from appliance.api import Appliance, Row, Transaction, now, stamp

from .known import Known
from .store import Attempt, Guide, Store
from .words import AROUND, MANY_AROUND, about_device, about_guide, about_many, others_of, times

ALERTS_OF_THEIR_OWN = 10
"""Devices that have an alert of their own at the same time; the others share one, so that no mailbox drowns."""
QUIET_AFTER = timedelta(days=1)
SAY_MORE_AFTER = timedelta(minutes=10)
"""An open alert says how often by now no oftener than this."""
MANY = "many devices"
GUIDES_OF_THEIR_OWN = 10
"""The same for DHCP servers and routers: anybody on the network can pretend to be hundreds of them."""


class Telling:
    """``name_of``: what a device is called. ``told``: a moment as pages write it. ``own``: name servers to be asked."""

    def __init__(
        self,
        appliance: Appliance,
        store: Store,
        known: Known,
        alert_after: int,
        name_of: Callable[[str], str],
        told: Callable[[str], str],
        own: Callable[[], Collection[str]],
    ) -> None:
        self._alerts = appliance.alerts
        self._store = store
        self._known = known
        self._alert_after = alert_after
        self._name_of = name_of
        self._told = told
        self._own = own

    async def of_devices(self, new: Iterable[Attempt]) -> None:
        """After these were added: open an alert for each device, or say more in the one that is open."""
        by_device: dict[str, list[Attempt]] = {}
        for one in new:
            by_device.setdefault(one.who, []).append(one)
        decisions = await self._store.decisions()
        since = stamp(now() - QUIET_AFTER)
        worth = {}
        for who in by_device:
            attempts = await self._store.attempts(since, who)
            if subject_of(who) not in decisions and sum(one.count for one in attempts) >= self._alert_after:
                worth[who] = attempts
        if not worth:
            return
        async with self._store.records.transaction() as tx:  # one for all: whoever pretends to be a thousand must wait
            alerts, are_many = await self._open(tx), False
            for who, attempts in worth.items():
                if subject_of(who) in alerts or _devices_in(alerts) < ALERTS_OF_THEIR_OWN:
                    await self._of_device(tx, who, attempts, by_device[who], alerts)
                else:
                    are_many = True
            if are_many:
                await self._of_many(tx, worth, alerts)

    async def _of_device(
        self, tx: Transaction, who: str, attempts: list[Attempt], latest: list[Attempt], alerts: dict[str, Row]
    ) -> None:
        """``alerts`` are those that are open; a new one is added to them."""
        subject = subject_of(who)
        first = min((one.first_at for one in attempts), default=stamp())
        words = about_device(self._name_of(who), attempts, self._known, self._told(first))
        if subject in alerts:
            is_new = [one for one in latest if _is_first(one, attempts)]
            await self._say_more(tx, subject, alerts[subject], words, is_new)
        else:
            await self._begin(tx, subject, AROUND, words)
            alerts[subject] = (await self._store.alerts(tx))[subject]

    async def _say_more(self, tx: Transaction, subject: str, alert: Row, words: str, is_new: list[Attempt]) -> None:
        if not is_new and alert["last_at"] > stamp(now() - SAY_MORE_AFTER):
            return
        added = "; ".join(f"It took another way: {one.to}, {times(one.count)}" for one in is_new)
        await self._alerts.change_within(tx, alert["alert_id"], words, added=f"{added}." if added else "")
        await self._store.keep_alert(tx, subject, alert["alert_id"], stamp())

    async def _of_many(self, tx: Transaction, new: Collection[str], alerts: dict[str, Row]) -> None:
        """``new``: those who have just been seen, with or without an alert of their own."""
        alert = alerts.get(MANY)
        if alert is not None and alert["last_at"] > stamp(now() - SAY_MORE_AFTER):
            return
        attempts = await self._store.attempts(stamp(now() - QUIET_AFTER))
        decisions = await self._store.decisions()
        words = about_many(
            sum(
                subject_of(who) not in alerts and subject_of(who) not in decisions
                for who in {*new, *(one.who for one in attempts)}
            )
        )
        if alert is None:
            await self._begin(tx, MANY, MANY_AROUND, words)
        else:
            await self._alerts.change_within(tx, alert["alert_id"], words, added="")
            await self._store.keep_alert(tx, MANY, alert["alert_id"], stamp())

    async def of_guides(self) -> None:
        """Whether anybody sends devices elsewhere: open an alert, say what it says now, or close it."""
        decisions = await self._store.decisions()
        guides = await self._store.guides(stamp(now() - QUIET_AFTER))
        async with self._store.records.transaction() as tx:
            alerts = await self._open(tx)
            for guide in guides:
                trouble = trouble_with(guide, guides, decisions, self._own(), self._known)
                alert = alerts.get(guide.subject)
                if trouble is None and alert is not None:
                    await self._end(tx, guide.subject, alert, "It is as it should be now.")
                elif trouble is not None and alert is None and _guides_in(alerts) < GUIDES_OF_THEIR_OWN:
                    await self._begin(tx, guide.subject, *trouble)
                    alerts = await self._open(tx)

    async def end_what_is_over(self) -> None:
        """Close the alerts about what has not been seen for a day (a job)."""
        since = stamp(now() - QUIET_AFTER)
        devices = {subject_of(one.who) for one in await self._store.attempts(since)} - set(
            await self._store.decisions()
        )
        seen = devices | {guide.subject for guide in await self._store.guides(since)}
        async with self._store.records.transaction() as tx:
            alerts = await self._open(tx)
            still = MANY if devices - set(alerts) else ""
            for subject, alert in alerts.items():
                if subject not in seen and subject != still:
                    await self._end(tx, subject, alert, "Nothing of it was seen for a day.")

    async def end_within(self, tx: Transaction, subject: str, words: str) -> None:
        """Close the alert about a subject, if one is open: IT has said what it is."""
        alert = (await self._open(tx)).get(subject)
        if alert is not None:
            await self._end(tx, subject, alert, words)

    async def _open(self, tx: Transaction) -> dict[str, Row]:
        """The alerts that are open. One that was deleted or closed elsewhere is forgotten."""
        found = {}
        for subject, row in (await self._store.alerts(tx)).items():
            if await self._alerts.is_open_within(tx, row["alert_id"]):
                found[subject] = row
            else:
                await self._store.forget_alert(tx, subject)
        return found

    async def _begin(self, tx: Transaction, subject: str, category: str, words: str) -> None:
        alert = await self._alerts.open_within(tx, kind="network", category=category, words=words)
        await self._store.keep_alert(tx, subject, alert, stamp())

    async def _end(self, tx: Transaction, subject: str, alert: Row, words: str) -> None:
        await self._alerts.close_within(tx, alert["alert_id"], words)
        await self._store.forget_alert(tx, subject)


def subject_of(who: str) -> str:
    """How decisions and alerts name a device."""
    return f"device {who}"


def trouble_with(
    guide: Guide, guides: Iterable[Guide], decisions: Collection[str], own: Collection[str], known: Known
) -> tuple[str, str] | None:
    """Category and words if a DHCP server or router leads devices elsewhere, or is one too many.

    One that IT has called its own may still announce another name server; that is no less a way around the filter.
    """
    others = others_of(guide, own)
    one_is_ours = any(other.kind == guide.kind and other.subject in decisions for other in guides)
    if others or (one_is_ours and guide.subject not in decisions):
        return about_guide(guide, others, known)
    return None


def _devices_in(alerts: Collection[str]) -> int:
    return sum(subject.startswith("device ") for subject in alerts)


def _guides_in(alerts: Collection[str]) -> int:
    return sum(subject != MANY and not subject.startswith("device ") for subject in alerts)


def _is_first(new: Attempt, attempts: Iterable[Attempt]) -> bool:
    """Whether a way was not taken before this."""
    return any((one.way, one.to) == (new.way, new.to) and one.first_at == new.first_at for one in attempts)
