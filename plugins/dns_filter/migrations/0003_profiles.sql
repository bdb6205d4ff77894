-- Profiles of the web filter: what pages have changed about them, the school's own entries, and pauses.

-- One switch of one profile. Of those in force for a switch the newest counts; what the settings file says wins.
CREATE TABLE dns_filter_profile_changes (
    id TEXT PRIMARY KEY,
    profile TEXT NOT NULL,
    switch TEXT NOT NULL,               -- mode, safe_search, youtube, only, bypass, answer, category:*, service:*, list:*
    value TEXT NOT NULL,
    author TEXT NOT NULL,
    reason TEXT NOT NULL,
    set_at TEXT NOT NULL,               -- UTC, like all times here
    until TEXT,                         -- empty: no end
    undone_at TEXT,
    undone_by TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX dns_filter_profile_changes_open ON dns_filter_profile_changes (profile, set_at) WHERE undone_at IS NULL;

-- What the school allows or blocks itself: a domain with everything below it.
CREATE TABLE dns_filter_entries (
    id TEXT PRIMARY KEY,
    action TEXT NOT NULL CHECK (action IN ('allow', 'block')),
    domain TEXT NOT NULL,
    profile TEXT NOT NULL,              -- empty: all profiles
    author TEXT NOT NULL,
    reason TEXT NOT NULL,
    made_at TEXT NOT NULL,
    until TEXT,
    undone_at TEXT,
    undone_by TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX dns_filter_entries_open ON dns_filter_entries (domain) WHERE undone_at IS NULL;

-- Minutes in which a profile blocks nothing but locked lists. It ends by itself.
CREATE TABLE dns_filter_pauses (
    id TEXT PRIMARY KEY,
    profile TEXT NOT NULL,
    author TEXT NOT NULL,
    reason TEXT NOT NULL,
    began_at TEXT NOT NULL,
    until TEXT NOT NULL,
    ended_at TEXT,                      -- somebody ended it before
    ended_by TEXT
) STRICT, WITHOUT ROWID;
