-- What the school has decided about terms. Supplied files never change: these rows stand over them.

-- A supplied term that is switched off, or replaced by a stricter copy of the school's own. A row begins as a request;
-- the newest row that was granted and has not ended counts, whatever an update brings.
CREATE TABLE keyword_requests (
    id TEXT PRIMARY KEY,
    policy TEXT NOT NULL,
    term TEXT NOT NULL,
    version TEXT NOT NULL,              -- of the policy, when it was asked for
    change TEXT NOT NULL CHECK (change IN ('off', 'exact', 'not_pages')),
    because TEXT NOT NULL,              -- a key of REASONS: the only words of it that leave the school in a report
    reason TEXT NOT NULL,
    author TEXT NOT NULL,
    account TEXT NOT NULL,
    asked_at TEXT NOT NULL,             -- UTC, like all times here
    state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'granted', 'refused', 'ended')),
    decided_at TEXT,
    decided_by TEXT NOT NULL DEFAULT '',
    answer TEXT NOT NULL DEFAULT '',
    ended_at TEXT,
    ended_by TEXT NOT NULL DEFAULT '',
    ended_because TEXT NOT NULL DEFAULT '',
    CHECK ((state = 'open') = (decided_at IS NULL)),
    CHECK ((state = 'ended') = (ended_at IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX keyword_requests_in_force ON keyword_requests (policy, term) WHERE state IN ('open', 'granted');
CREATE INDEX keyword_requests_by_time ON keyword_requests (asked_at);

-- Policies that the school made on pages.
CREATE TABLE keyword_own_policies (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    title TEXT NOT NULL,
    category TEXT NOT NULL,
    summary TEXT NOT NULL,
    author TEXT NOT NULL,
    reason TEXT NOT NULL,
    made_at TEXT NOT NULL,
    ended_at TEXT,
    ended_by TEXT NOT NULL DEFAULT '',
    ended_because TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX keyword_own_policies_in_force ON keyword_own_policies (name) WHERE ended_at IS NULL;

-- Terms that the school made on pages, in policies of its own and in supplied ones. A change is a new row and ends the
-- one before, so that what a capture was found by can still be read.
CREATE TABLE keyword_own_terms (
    id TEXT PRIMARY KEY,
    policy TEXT NOT NULL,
    term TEXT NOT NULL,
    entry TEXT NOT NULL,                -- JSON, by the rules of policy files
    author TEXT NOT NULL,
    reason TEXT NOT NULL,
    made_at TEXT NOT NULL,
    ended_at TEXT,
    ended_by TEXT NOT NULL DEFAULT '',
    ended_because TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX keyword_own_terms_in_force ON keyword_own_terms (policy, term) WHERE ended_at IS NULL;
CREATE INDEX keyword_own_terms_by_time ON keyword_own_terms (policy, made_at);
