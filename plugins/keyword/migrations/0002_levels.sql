-- How much of a policy counts for everybody. For groups, rooms, devices and people it is an assignment of the core.
CREATE TABLE keyword_levels (
    id TEXT PRIMARY KEY,
    policy TEXT NOT NULL,
    level TEXT NOT NULL CHECK (level IN ('off', 'severe', 'moderate', 'all', 'reading')),
    author TEXT NOT NULL,
    reason TEXT NOT NULL,
    set_at TEXT NOT NULL,
    undone_at TEXT,
    undone_by TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
CREATE INDEX keyword_levels_open ON keyword_levels (policy, set_at) WHERE undone_at IS NULL;

-- Levels that count at certain hours. policy: empty for all of them. target_kind: all, group (of the directory) or
-- networks (a group of networks in the settings).
CREATE TABLE keyword_times (
    id TEXT PRIMARY KEY,
    policy TEXT NOT NULL,
    level TEXT NOT NULL CHECK (level IN ('off', 'severe', 'moderate', 'all', 'reading')),
    target_kind TEXT NOT NULL CHECK (target_kind IN ('all', 'group', 'networks')),
    target TEXT NOT NULL,
    span TEXT NOT NULL CHECK (span IN ('in_school', 'out_of_school', 'hours')),
    days TEXT NOT NULL,                 -- weekdays with commas between them; for hours
    start TEXT NOT NULL,                -- 15:30 on the school's clock; for hours
    finish TEXT NOT NULL,               -- not later than the start: on the next day
    school_days INTEGER NOT NULL CHECK (school_days IN (0, 1)),
    author TEXT NOT NULL,
    reason TEXT NOT NULL,
    set_at TEXT NOT NULL,
    until TEXT,
    undone_at TEXT,
    undone_by TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
CREATE INDEX keyword_times_open ON keyword_times (set_at) WHERE undone_at IS NULL;
