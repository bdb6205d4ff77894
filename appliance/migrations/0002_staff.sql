-- The one-time link that opens the staff pages: at most one waits. Only the hash of its code is kept.
CREATE TABLE staff_links (
    token_sha256 TEXT PRIMARY KEY,
    made_at TEXT NOT NULL,
    expires_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The one browser that is signed in. Only the hash of what its cookie holds is kept.
CREATE TABLE staff_sessions (
    session_sha256 TEXT PRIMARY KEY,
    started_at TEXT NOT NULL,
    expires_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
