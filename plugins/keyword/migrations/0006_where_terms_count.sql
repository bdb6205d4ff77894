-- The school may choose where a supplied term counts: change 'where', with the surfaces, each behind a blank. The rules
-- of a table cannot be changed, so it is made anew with all that it held.
CREATE TABLE keyword_requests_new (
    id TEXT PRIMARY KEY,
    policy TEXT NOT NULL,
    term TEXT NOT NULL,
    version TEXT NOT NULL,
    change TEXT NOT NULL CHECK (change IN ('off', 'exact', 'not_pages', 'where')),
    surfaces TEXT NOT NULL DEFAULT '',
    because TEXT NOT NULL,
    reason TEXT NOT NULL,
    author TEXT NOT NULL,
    account TEXT NOT NULL,
    asked_at TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'granted', 'refused', 'ended')),
    decided_at TEXT,
    decided_by TEXT NOT NULL DEFAULT '',
    answer TEXT NOT NULL DEFAULT '',
    ended_at TEXT,
    ended_by TEXT NOT NULL DEFAULT '',
    ended_because TEXT NOT NULL DEFAULT '',
    CHECK ((state = 'open') = (decided_at IS NULL)),
    CHECK ((state = 'ended') = (ended_at IS NOT NULL)),
    CHECK ((change = 'where') = (surfaces <> ''))
) STRICT, WITHOUT ROWID;
INSERT INTO keyword_requests_new
    (id, policy, term, version, change, because, reason, author, account, asked_at, state, decided_at, decided_by,
     answer, ended_at, ended_by, ended_because)
SELECT id, policy, term, version, change, because, reason, author, account, asked_at, state, decided_at, decided_by,
     answer, ended_at, ended_by, ended_because
FROM keyword_requests;
DROP TABLE keyword_requests;
ALTER TABLE keyword_requests_new RENAME TO keyword_requests;
CREATE UNIQUE INDEX keyword_requests_in_force ON keyword_requests (policy, term) WHERE state IN ('open', 'granted');
CREATE INDEX keyword_requests_by_time ON keyword_requests (asked_at);
