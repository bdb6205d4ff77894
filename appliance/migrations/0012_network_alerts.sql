-- Alerts about something on the school's network, noticed by a plugin: a kind of its own, which concerns nobody's content.
-- SQLite cannot change what a table checks, so the table and what points to it are written anew, with every row.
CREATE TABLE alerts_anew (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('capture', 'test', 'silence', 'network')),
    severity TEXT NOT NULL,
    category TEXT NOT NULL,
    words TEXT NOT NULL DEFAULT '',
    opened_at TEXT NOT NULL,
    step INTEGER NOT NULL DEFAULT 0,
    step_at TEXT NOT NULL,
    round_step INTEGER NOT NULL DEFAULT 0,
    been_round INTEGER NOT NULL DEFAULT 0,
    route_done INTEGER NOT NULL DEFAULT 0,
    acknowledged_at TEXT,
    acknowledged_by TEXT,
    closed_at TEXT
) STRICT, WITHOUT ROWID;
INSERT INTO alerts_anew SELECT id, kind, severity, category, words, opened_at, step, step_at, round_step, been_round,
    route_done, acknowledged_at, acknowledged_by, closed_at FROM alerts;

CREATE TABLE alert_captures_anew (
    alert_id TEXT NOT NULL REFERENCES alerts_anew (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    capture_id TEXT NOT NULL UNIQUE REFERENCES captures (id) ON DELETE CASCADE,
    at TEXT NOT NULL,
    PRIMARY KEY (alert_id, number)
) STRICT, WITHOUT ROWID;
INSERT INTO alert_captures_anew SELECT alert_id, number, capture_id, at FROM alert_captures;
CREATE TABLE alert_accounts_anew (
    alert_id TEXT NOT NULL REFERENCES alerts_anew (id) ON DELETE CASCADE,
    account_id TEXT NOT NULL REFERENCES staff_accounts (id) ON DELETE CASCADE,
    step INTEGER NOT NULL,
    told_at TEXT NOT NULL,
    PRIMARY KEY (alert_id, account_id, step)
) STRICT, WITHOUT ROWID;
INSERT INTO alert_accounts_anew SELECT alert_id, account_id, step, told_at FROM alert_accounts;
CREATE TABLE alert_steps_anew (
    alert_id TEXT NOT NULL REFERENCES alerts_anew (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    at TEXT NOT NULL,
    what TEXT NOT NULL CHECK (what IN ('opened', 'told', 'nobody', 'acknowledged', 'changed', 'closed')),
    author TEXT NOT NULL DEFAULT '',
    names TEXT NOT NULL DEFAULT '[]',
    words TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (alert_id, number)
) STRICT, WITHOUT ROWID;
INSERT INTO alert_steps_anew SELECT alert_id, number, at, what, author, names, words FROM alert_steps;
CREATE TABLE alert_devices_anew (
    alert_id TEXT NOT NULL REFERENCES alerts_anew (id) ON DELETE CASCADE,
    device_id TEXT NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    day TEXT NOT NULL,
    PRIMARY KEY (alert_id, device_id)
) STRICT, WITHOUT ROWID;
INSERT INTO alert_devices_anew SELECT alert_id, device_id, day FROM alert_devices;

-- The triggers go first: one would take alerts away with the old rows, the other refuses that any row goes.
DROP TRIGGER alert_captures_last;
DROP TRIGGER alert_steps_no_update;
DROP TRIGGER alert_steps_no_delete;
DROP TABLE alert_captures;
DROP TABLE alert_accounts;
DROP TABLE alert_steps;
DROP TABLE alert_devices;
DROP TABLE alerts;
ALTER TABLE alerts_anew RENAME TO alerts;
ALTER TABLE alert_captures_anew RENAME TO alert_captures;
ALTER TABLE alert_accounts_anew RENAME TO alert_accounts;
ALTER TABLE alert_steps_anew RENAME TO alert_steps;
ALTER TABLE alert_devices_anew RENAME TO alert_devices;

CREATE INDEX alerts_open ON alerts (opened_at) WHERE closed_at IS NULL;
CREATE INDEX alerts_by_time ON alerts (opened_at);
CREATE UNIQUE INDEX alerts_of_silence ON alerts (category) WHERE kind = 'silence' AND closed_at IS NULL;
CREATE INDEX alert_accounts_by_account ON alert_accounts (account_id);
CREATE INDEX alert_devices_by_day ON alert_devices (day, device_id);
CREATE TRIGGER alert_captures_last AFTER DELETE ON alert_captures
WHEN NOT EXISTS (SELECT 1 FROM alert_captures WHERE alert_id = old.alert_id) BEGIN
    DELETE FROM alerts WHERE id = old.alert_id;
END;
CREATE TRIGGER alert_steps_no_update BEFORE UPDATE ON alert_steps BEGIN
    SELECT RAISE(ABORT, 'what happened to an alert cannot be changed');
END;
CREATE TRIGGER alert_steps_no_delete BEFORE DELETE ON alert_steps
WHEN EXISTS (SELECT 1 FROM alerts WHERE id = old.alert_id) BEGIN
    SELECT RAISE(ABORT, 'what happened to an alert cannot be taken away');
END;
