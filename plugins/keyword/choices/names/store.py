"""Names that are watched for, in the store."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.api import Data, Database, Refused, Row, Transaction, stamp

from ..model import Name

NAMES = "keyword_names"
MOST_NAMES = 100
_WATCHED = "SELECT id, name, until FROM keyword_names WHERE state = 'watched' AND until > ? ORDER BY decided_at, id"


class Store:
    """``start`` before use; ``watched`` is as new as the last commit. What is written belongs to the caller's unit."""

    def __init__(self, records: Database) -> None:
        self._records = records
        self.watched: tuple[Name, ...] = ()

    @staticmethod
    def data() -> Sequence[Data]:
        """What the table holds. Retention goes by the end, so that what two adults agreed on can be checked after."""
        return [
            Data(
                NAMES,
                "Names of pupils that are watched for: the name, who asked and who agreed; why, sealed.",
                keep_days=365,
                time_column="until",
            )
        ]

    async def start(self) -> None:
        """Read what is in force."""
        self._take(await self._records.fetch(_WATCHED, (stamp(),)))

    def _take(self, rows: Sequence[Row]) -> None:
        self.watched = tuple(Name(row["id"], row["name"], row["until"]) for row in rows)

    async def take_after_commit(self, tx: Transaction) -> None:
        """Have ``watched`` hold what this unit of work has written, once it is kept."""
        rows = await tx.fetch(_WATCHED, (stamp(),))
        tx.after_commit.append(lambda: self._take(rows))

    async def ask(
        self, tx: Transaction, row_id: str, name: str, reason: bytes, author: str, account: str, until: str
    ) -> None:
        """Keep what somebody asks for. Raises ``Refused`` if there are too many."""
        many = await tx.fetch_one("SELECT count(*) AS n FROM keyword_names WHERE state IN ('open', 'watched')")
        if many is not None and many["n"] >= MOST_NAMES:
            raise Refused(f"There are {MOST_NAMES} names already.", "End one first.")
        await tx.execute(
            "INSERT INTO keyword_names (id, name, reason, author, account, asked_at, until)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (row_id, name, reason, author, account, stamp(), until),
        )

    async def open_one(self, tx: Transaction, row_id: str) -> Row:
        """A name that waits for a second adult. Raises ``Refused`` if it does not any more."""
        row = await tx.fetch_one(
            "SELECT * FROM keyword_names WHERE id = ? AND state = 'open' AND until > ?", (row_id, stamp())
        )
        if row is None:
            raise Refused("This was decided already, or its time is over.", "Load the page again.")
        return row

    async def decide(self, tx: Transaction, row_id: str, state: str, by: str) -> None:
        """``state``: watched or refused."""
        await tx.execute(
            "UPDATE keyword_names SET state = ?, decided_at = ?, decided_by = ? WHERE id = ?",
            (state, stamp(), by, row_id),
        )

    async def end(self, tx: Transaction, row_id: str, by: str) -> None:
        """Stop watching for a name, or take back what was asked. Raises ``Refused`` if that was done already."""
        ended = await tx.execute(
            "UPDATE keyword_names SET state = 'ended', ended_at = ?, ended_by = ?"
            " WHERE id = ? AND state IN ('open', 'watched')",
            (stamp(), by, row_id),
        )
        if not ended:
            raise Refused("This has ended already.", "Load the page again.")

    async def over(self, tx: Transaction) -> list[str]:
        """Ids of those whose time is over and that were not ended yet."""
        rows = await tx.fetch(
            "SELECT id FROM keyword_names WHERE state IN ('open', 'watched') AND until <= ? ORDER BY until, id",
            (stamp(),),
        )
        return [row["id"] for row in rows]

    async def waiting(self) -> list[str]:
        """The account of whoever asked, for each that waits for a second adult."""
        rows = await self._records.fetch(
            "SELECT account FROM keyword_names WHERE state = 'open' AND until > ?", (stamp(),)
        )
        return [row["account"] for row in rows]

    async def all(self) -> list[Row]:
        """Every name, those that wait first, then those that are watched for, then the ended, the newest first."""
        return await self._records.fetch(
            "SELECT * FROM keyword_names ORDER BY"
            " CASE state WHEN 'open' THEN 0 WHEN 'watched' THEN 1 ELSE 2 END, asked_at DESC, id DESC LIMIT 200"
        )
