-- Sources of lists that were added on the page. A row is never changed but once: when the source is taken out again.
-- What the lists hold lies in files, not here.
CREATE TABLE dns_filter_sources (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,                 -- name of the list
    title TEXT NOT NULL,
    url TEXT NOT NULL,
    format TEXT NOT NULL,
    category TEXT NOT NULL,
    sha256 TEXT NOT NULL,               -- what the file must have; empty: anything is taken
    every_hours INTEGER NOT NULL CHECK (every_hours >= 1),
    keeper TEXT NOT NULL,
    licence TEXT NOT NULL,
    added_at TEXT NOT NULL,
    added_by TEXT NOT NULL,
    reason TEXT NOT NULL,
    removed_at TEXT,
    removed_by TEXT NOT NULL DEFAULT '',
    removed_reason TEXT NOT NULL DEFAULT '',
    CHECK ((removed_at IS NULL) = (removed_by = ''))
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX dns_filter_sources_open ON dns_filter_sources (name) WHERE removed_at IS NULL;
CREATE INDEX dns_filter_sources_removed ON dns_filter_sources (removed_at) WHERE removed_at IS NOT NULL;
