-- What the front desk should know.
CREATE TABLE visitors_notes (
    id TEXT PRIMARY KEY,
    at TEXT NOT NULL,           -- UTC
    words TEXT NOT NULL
) STRICT, WITHOUT ROWID;
