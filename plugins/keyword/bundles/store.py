"""All SQL of bundles, of trials and of lists that were handed over. Every decision is on the record."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from appliance.api import Actor, Appliance, Data, Permission, Refused, Role, Row, Transaction, new_id, stamp

from .archive import BundleRefused
from .imported import Kind
from .opening import Bundle

PATH = "/keyword/bundles"
"""The page of updates; of one bundle it is followed by its id."""
KEEP_DAYS = 400
SHOWN = 20
_BUNDLE = "id, name, version, date, notes, signer, fingerprint, sha256, policies, terms, source, received_at, state"
"""The columns, in the order of ``Kept``."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A bundle that came, whatever became of it. ``state``: waiting, used, dropped or passed (a newer one came)."""

    id: str
    name: str
    version: int
    date: str
    notes: str
    signer: str
    fingerprint: str
    sha256: str
    policies: int
    terms: int
    source: str
    received_at: str
    state: str


@dataclass(frozen=True, slots=True)
class Use:
    """From when on which policies ran. ``bundle`` is ``None`` for the supplied ones."""

    number: int
    bundle: str | None
    before: int | None
    how: str
    at: str
    author: str


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial of a bundle. ``ended_at`` is ``None`` while it runs."""

    id: str
    bundle: str
    began_at: str
    author: str
    ends_at: str
    ended_at: str | None
    ended_by: str


class Store:
    """Reads and writes."""

    def __init__(self, appliance: Appliance) -> None:
        self._records = appliance.records
        self._audit = appliance.audit
        self._notices = appliance.notices

    @staticmethod
    def data() -> Sequence[Data]:
        """What the tables hold."""
        who = "and who decided it"
        return [
            Data("keyword_bundles", "Bundles of policies that came: versions, notes and signers."),
            Data("keyword_bundle_uses", f"From when on which bundle of policies ran, {who}."),
            Data("keyword_bundle_trials", f"Trial runs of bundles, {who}.", KEEP_DAYS, "ended_at"),
            Data("keyword_bundle_trial_counts", "How often each term was found on trial alone: numbers, no text."),
            Data("keyword_bundle_refusals", "Bundles that were not taken, and why.", KEEP_DAYS, "last_at"),
            Data("keyword_bundle_looks", "When the place that bundles come from was last looked at."),
            Data("keyword_imported_lists", f"Lists of terms that were handed over: numbers, by whom, {who}."),
        ]

    # Bundles that came

    async def bundles(self) -> list[Kept]:
        """The newest of all bundles that came, the latest first."""
        rows = await self._records.fetch(
            f"SELECT {_BUNDLE} FROM keyword_bundles ORDER BY received_at DESC, id DESC LIMIT ?",  # noqa: S608
            (SHOWN,),
        )
        return [Kept(**dict(row)) for row in rows]

    async def bundle(self, id_: str) -> Kept:
        """One of them. Raises ``Refused`` if there is none."""
        row = await self._records.fetch_one(f"SELECT {_BUNDLE} FROM keyword_bundles WHERE id = ?", (id_,))  # noqa: S608
        if row is None:
            raise Refused("There is no such bundle.", "Go back to the page “Policy updates”.")
        return Kept(**dict(row))

    async def known(self, bundle: Bundle) -> Kept | None:
        """The very same bundle, if it is here. Raises ``BundleRefused`` if this version can never be taken."""
        row = await self._records.fetch_one(
            f"SELECT {_BUNDLE} FROM keyword_bundles WHERE name = ? ORDER BY version DESC LIMIT 1",  # noqa: S608
            (bundle.name,),
        )
        highest = Kept(**dict(row)) if row else None
        if highest is None or bundle.version > highest.version:
            return None
        if bundle.version == highest.version and bundle.sha256 == highest.sha256:
            return highest
        if bundle.version == highest.version:
            raise BundleRefused(
                f"It is another bundle with the version {bundle.version} of {bundle.name}, which is here already.",
                "Ask its publisher: each bundle needs a version of its own.",
            )
        raise BundleRefused(
            f"Its version {bundle.version} is older than version {highest.version} of {bundle.name}, which was here "
            "before.",
            "Somebody may be trying to bring old policies back. To go back on purpose, use the button on this page.",
        )

    async def keep(self, author: str, bundle: Bundle, id_: str, source: str) -> None:
        """Note a bundle that came, as the one that waits."""
        async with self._records.transaction() as tx:
            await tx.execute(
                "UPDATE keyword_bundles SET state = 'passed' WHERE state = 'waiting' AND name = ?", (bundle.name,)
            )
            await tx.execute(
                f"INSERT INTO keyword_bundles ({_BUNDLE}) VALUES ({', '.join('?' * 13)})",  # noqa: S608 - our own words
                (
                    id_, bundle.name, bundle.version, bundle.date.isoformat(), bundle.notes, bundle.signer,
                    bundle.fingerprint, bundle.sha256, len(bundle.policies), bundle.terms, source, stamp(), "waiting",
                ),
            )  # fmt: skip
            detail = {"version": bundle.version, "signed by": bundle.signer, "key": bundle.fingerprint}
            await self._audit.record(tx, author, "received a bundle of policies", bundle.name, detail)

    async def refuse(self, source: str, words: str) -> None:
        """Note what was not taken, once however often it comes."""
        id_ = hashlib.sha256(f"{source}\n{words}".encode()).hexdigest()
        async with self._records.transaction() as tx:
            await tx.execute(
                "INSERT INTO keyword_bundle_refusals (id, source, words, first_at, last_at, times)"
                " VALUES (?, ?, ?, ?, ?, 1)"
                " ON CONFLICT (id) DO UPDATE SET last_at = excluded.last_at, times = times + 1",
                (id_, source, words, stamp(), stamp()),
            )

    async def refusals(self) -> list[Row]:
        """What was not taken, the latest first."""
        return await self._records.fetch(
            "SELECT * FROM keyword_bundle_refusals ORDER BY last_at DESC, id LIMIT ?", (SHOWN,)
        )

    async def look(self, source: str) -> Row | None:
        """When a place was last looked at, and what came of it."""
        return await self._records.fetch_one("SELECT * FROM keyword_bundle_looks WHERE source = ?", (source,))

    async def looked(self, source: str, good: bool, words: str, etag: str) -> None:
        """Note that a place was looked at."""
        async with self._records.transaction() as tx:
            await tx.execute(
                "INSERT OR REPLACE INTO keyword_bundle_looks (source, looked_at, good, words, etag)"
                " VALUES (?, ?, ?, ?, ?)",
                (source, stamp(), int(good), words, etag),
            )

    # What runs

    async def use(self) -> Use | None:
        """What runs now; ``None``: the supplied policies, and nothing else ever did."""
        row = await self._records.fetch_one("SELECT * FROM keyword_bundle_uses ORDER BY number DESC LIMIT 1")
        return Use(**dict(row)) if row else None

    async def used_before(self, number: int | None) -> Use | None:
        """An earlier use; ``None``: the supplied policies, before anything was applied."""
        row = await self._records.fetch_one("SELECT * FROM keyword_bundle_uses WHERE number = ?", (number,))
        return Use(**dict(row)) if row else None

    async def uses(self) -> list[Row]:
        """What ran, the latest first, with ``name`` and ``version`` of the bundle."""
        return await self._records.fetch(
            "SELECT used.*, kept.name, kept.version FROM keyword_bundle_uses AS used"
            " LEFT JOIN keyword_bundles AS kept ON kept.id = used.bundle ORDER BY used.number DESC LIMIT ?",
            (SHOWN,),
        )

    async def apply(self, actor: Actor, kept: Kept) -> None:
        """Note that a bundle runs from now on."""
        _may(actor)
        async with self._records.transaction() as tx:
            now_used = await tx.fetch_one("SELECT max(number) AS number FROM keyword_bundle_uses")
            before = now_used["number"] if now_used else None
            await self._add_use(tx, actor, kept.id, before, "applied")
            await tx.execute("UPDATE keyword_bundles SET state = 'used' WHERE id = ?", (kept.id,))
            await self._end_trials(tx, actor.name)
            detail = {"version": kept.version}
            await self._audit.record(tx, actor.name, "applied a bundle of policies", kept.name, detail)

    async def go_back(self, actor: Actor, use: Use, target: Use | None, kept: Kept | None) -> None:
        """Note that what ran before ``use`` runs again: ``target`` with the bundle ``kept``, or the supplied ones."""
        _may(actor)
        async with self._records.transaction() as tx:
            newest = await tx.fetch_one("SELECT max(number) AS number FROM keyword_bundle_uses")
            if newest is None or newest["number"] != use.number:
                raise Refused("Somebody else has changed the policies a moment ago.", "Look at the page again.")
            await self._add_use(tx, actor, kept.id if kept else None, target.before if target else None, "back")
            subject, detail = (kept.name, {"version": kept.version}) if kept else ("the supplied policies", {})
            await self._audit.record(tx, actor.name, "went back to the policies before", subject, detail)

    @staticmethod
    async def _add_use(tx: Transaction, actor: Actor, bundle: str | None, before: int | None, how: str) -> None:
        await tx.execute(
            "INSERT INTO keyword_bundle_uses (bundle, before, how, at, author) VALUES (?, ?, ?, ?, ?)",
            (bundle, before, how, stamp(), actor.name),
        )

    async def drop(self, actor: Actor, kept: Kept) -> None:
        """Note that a bundle shall not run, and end its trial."""
        _may(actor)
        async with self._records.transaction() as tx:
            await tx.execute("UPDATE keyword_bundles SET state = 'dropped' WHERE id = ?", (kept.id,))
            await self._end_trials(tx, actor.name, kept.id)
            detail = {"version": kept.version}
            await self._audit.record(tx, actor.name, "dropped a bundle of policies", kept.name, detail)

    # Trials

    async def trial(self) -> Trial | None:
        """The trial that runs."""
        row = await self._records.fetch_one("SELECT * FROM keyword_bundle_trials WHERE ended_at IS NULL")
        return Trial(**dict(row)) if row else None

    async def last_trial(self, bundle: str) -> Trial | None:
        """The newest trial of a bundle."""
        row = await self._records.fetch_one(
            "SELECT * FROM keyword_bundle_trials WHERE bundle = ? ORDER BY began_at DESC, id DESC LIMIT 1", (bundle,)
        )
        return Trial(**dict(row)) if row else None

    async def begin_trial(self, actor: Actor, kept: Kept, ends_at: datetime) -> None:
        """Note that a bundle runs silently beside, instead of any other."""
        _may(actor)
        async with self._records.transaction() as tx:
            await self._end_trials(tx, actor.name)
            await tx.execute(
                "INSERT INTO keyword_bundle_trials (id, bundle, began_at, author, ends_at) VALUES (?, ?, ?, ?, ?)",
                (new_id(), kept.id, stamp(), actor.name, stamp(ends_at)),
            )
            detail = {"version": kept.version, "until": stamp(ends_at)}
            await self._audit.record(tx, actor.name, "began a trial run of a bundle of policies", kept.name, detail)

    async def end_trial(self, author: str, kept: Kept) -> None:
        """Note that the trial of this bundle is over, and tell those who decide what becomes of it."""
        async with self._records.transaction() as tx:
            await self._end_trials(tx, author)
            words = f"The trial run of version {kept.version} of {kept.name} has ended. See what it found, and decide."
            await self._notices.tell(
                tx,
                words=words,
                kind="policies",
                link=f"{PATH}/{kept.id}#trial",
                roles=(Role.LEAD, Role.DEPUTY),
            )

    @staticmethod
    async def _end_trials(tx: Transaction, author: str, bundle: str | None = None) -> None:
        """End the trial that runs; with ``bundle`` only if it is one of that."""
        await tx.execute(
            "UPDATE keyword_bundle_trials SET ended_at = ?, ended_by = ?"
            " WHERE ended_at IS NULL AND (? IS NULL OR bundle = ?)",
            (stamp(), author, bundle, bundle),
        )

    async def count(self, trial: str, counts: Mapping[str, int]) -> None:
        """Add to what a trial has found."""
        async with self._records.transaction() as tx:
            await tx.executemany(
                "INSERT INTO keyword_bundle_trial_counts (trial, term, times) VALUES (?, ?, ?)"
                " ON CONFLICT (trial, term) DO UPDATE SET times = times + excluded.times",
                [(trial, term, times) for term, times in counts.items()],
            )

    async def counts(self, trial: str) -> dict[str, int]:
        """What a trial alone would have found: term (``policy/term``) -> how often, the most frequent first."""
        rows = await self._records.fetch(
            "SELECT term, times FROM keyword_bundle_trial_counts WHERE trial = ? ORDER BY times DESC, term", (trial,)
        )
        return {row["term"]: row["times"] for row in rows}

    # Lists that were handed over

    async def imported(self) -> list[Row]:
        """The lists in force."""
        return await self._records.fetch("SELECT * FROM keyword_imported_lists WHERE ended_at IS NULL ORDER BY kind")

    async def import_list(self, author: str, kind: Kind, body: str, numbers: tuple[int, int]) -> None:
        """Note a list, in the place of the one of its kind. ``numbers``: of terms, and of lines that were left out."""
        async with self._records.transaction() as tx:
            replaced = await self._end_list(tx, author, kind)
            await tx.execute(
                "INSERT INTO keyword_imported_lists"
                " (id, kind, body, terms, left_out, imported_at, author) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (new_id(), kind.value, body, *numbers, stamp(), author),
            )
            action = "replaced a list that was handed over" if replaced else "imported a list that was handed over"
            await self._audit.record(tx, author, action, kind.value, {"from": body, "terms": numbers[0]})

    async def remove_list(self, author: str, kind: Kind, reason: str) -> None:
        """Note that a list is gone. Raises ``Refused`` if there is none."""
        async with self._records.transaction() as tx:
            if not await self._end_list(tx, author, kind):
                raise Refused("There is no such list.", "Look at the page again.")
            await self._audit.record(tx, author, "removed a list that was handed over", kind.value, {"reason": reason})

    @staticmethod
    async def _end_list(tx: Transaction, author: str, kind: Kind) -> int:
        return await tx.execute(
            "UPDATE keyword_imported_lists SET ended_at = ?, ended_by = ? WHERE kind = ? AND ended_at IS NULL",
            (stamp(), author, kind.value),
        )


def _may(actor: Actor) -> None:
    if not actor.may(Permission.SWITCH_MONITORING):
        raise Refused("Your sign-in does not allow this.", "Ask the safeguarding lead.")
