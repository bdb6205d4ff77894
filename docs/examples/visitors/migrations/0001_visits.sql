-- Who came, and whom they came to see.
CREATE TABLE visitors_visits (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    host TEXT NOT NULL,
    arrived_at TEXT NOT NULL,   -- UTC
    left_at TEXT                -- UTC; empty: still on site
) STRICT, WITHOUT ROWID;
CREATE INDEX visitors_visits_by_time ON visitors_visits (arrived_at);

-- How many came on each day: what stays when the names are gone.
CREATE TABLE visitors_days (
    day TEXT PRIMARY KEY,       -- the school's date, 2026-11-24
    visits INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
