-- Identity files that were made. "digests" tells whether something has changed since (SHA-256 of each part, as JSON; no
-- secret can be found from it). "kept_at": when somebody confirmed that the file and its code are kept off this box,
-- each with somebody else.
CREATE TABLE identity_files (
    id TEXT PRIMARY KEY,
    made_at TEXT NOT NULL,
    made_by TEXT NOT NULL,
    digests TEXT NOT NULL,
    kept_at TEXT,
    kept_by TEXT,
    file_with TEXT NOT NULL DEFAULT '',
    code_with TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
