-- Names that are watched for, for a while, because two adults have agreed that a child may be in trouble.
-- reason: sealed for those who can open captures, because it is about a child; its item id is that of the row.
CREATE TABLE keyword_names (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    reason BLOB NOT NULL,
    author TEXT NOT NULL,
    account TEXT NOT NULL,
    asked_at TEXT NOT NULL,
    until TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'watched', 'refused', 'ended')),
    decided_at TEXT,
    decided_by TEXT NOT NULL DEFAULT '',
    ended_at TEXT,
    ended_by TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
CREATE INDEX keyword_names_in_force ON keyword_names (state, until);
