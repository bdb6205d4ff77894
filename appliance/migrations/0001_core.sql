-- Facts that have happened, and what still has to hear of them.
CREATE TABLE events (
    id TEXT PRIMARY KEY,
    type TEXT NOT NULL,
    occurred_at TEXT NOT NULL,
    payload TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX events_by_time ON events (occurred_at);

-- Who wants to hear of which events. Kept over restarts, so that a plugin that is off for a while misses nothing.
CREATE TABLE subscriptions (
    owner TEXT NOT NULL,
    type TEXT NOT NULL,
    PRIMARY KEY (owner, type)
) STRICT, WITHOUT ROWID;

CREATE TABLE deliveries (
    owner TEXT NOT NULL,
    event_id TEXT NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    tries INTEGER NOT NULL DEFAULT 0,
    next_at TEXT NOT NULL,
    parked_at TEXT,
    error TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (owner, event_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_due ON deliveries (owner, parked_at, next_at);
CREATE INDEX deliveries_by_event ON deliveries (event_id);

-- Who did what: a hash chain, written in the transaction of the change. Nothing can be altered or taken out.
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE
) STRICT;
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN
    SELECT RAISE(ABORT, 'the audit cannot be changed');
END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN
    SELECT RAISE(ABORT, 'the audit cannot be changed');
END;
CREATE TRIGGER audit_in_order BEFORE INSERT ON audit
WHEN new.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM audit)
  OR new.previous IS NOT coalesce((SELECT hash FROM audit ORDER BY seq DESC LIMIT 1), '')
BEGIN
    SELECT RAISE(ABORT, 'the audit must go on where it ended');
END;

-- Plugins that were switched off, and why. A row goes when somebody lets the plugin in again.
CREATE TABLE plugins_off (
    name TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    todo TEXT NOT NULL,
    trace TEXT NOT NULL,
    since TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Settings changed on a page. The newest row that was not undone and has not ended counts; the file always wins.
CREATE TABLE page_values (
    id TEXT PRIMARY KEY,
    path TEXT NOT NULL,
    value TEXT NOT NULL,
    author TEXT NOT NULL,
    reason TEXT NOT NULL,
    set_at TEXT NOT NULL,
    until TEXT,
    undone_at TEXT,
    undone_by TEXT
) STRICT, WITHOUT ROWID;

-- What was set for a group on a page, for example which filter profile it gets.
CREATE TABLE assignments (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    "group" TEXT NOT NULL,
    value TEXT NOT NULL,
    author TEXT NOT NULL,
    reason TEXT NOT NULL,
    set_at TEXT NOT NULL,
    until TEXT,
    undone_at TEXT,
    undone_by TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX assignments_in_force ON assignments (kind, "group", set_at);

-- What each job did last, so that a box that is switched off every night still gets its daily work done.
CREATE TABLE job_runs (
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    last_started TEXT,
    last_ended TEXT,
    last_ok TEXT,
    error TEXT NOT NULL DEFAULT '',
    failures INTEGER NOT NULL DEFAULT 0,
    last_day TEXT,
    PRIMARY KEY (owner, name)
) STRICT, WITHOUT ROWID;
