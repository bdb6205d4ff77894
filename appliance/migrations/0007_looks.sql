-- Words for one account, at the top of its pages until they were read. No pupil's name stands in them.
CREATE TABLE notices (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES staff_accounts (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    words TEXT NOT NULL,
    link TEXT NOT NULL,
    made_at TEXT NOT NULL,
    read_at TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX notices_by_account ON notices (account_id, made_at);
CREATE INDEX notices_by_time ON notices (made_at);

-- Who opened which child's page and why: once for each account, child and day of the school's time zone.
CREATE TABLE looks (
    account_id TEXT NOT NULL REFERENCES staff_accounts (id) ON DELETE CASCADE,
    person_id TEXT NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    day TEXT NOT NULL,
    at TEXT NOT NULL,
    reason TEXT NOT NULL,
    outside_hours INTEGER NOT NULL,
    PRIMARY KEY (account_id, day, person_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX looks_by_day ON looks (day);
CREATE INDEX looks_by_person ON looks (person_id, account_id, day);

-- Unusual access that was found, so that it is said once. person_id is empty unless the rule is about one child.
CREATE TABLE unusual_looks (
    account_id TEXT NOT NULL REFERENCES staff_accounts (id) ON DELETE CASCADE,
    day TEXT NOT NULL,
    rule TEXT NOT NULL,
    person_id TEXT NOT NULL,
    at TEXT NOT NULL,
    words TEXT NOT NULL,
    told INTEGER NOT NULL,
    PRIMARY KEY (account_id, day, rule, person_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX unusual_looks_by_day ON unusual_looks (day);

-- Where the audit stood at the end of a day, signed. `statement` is the file that people keep elsewhere.
CREATE TABLE audit_heads (
    day TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,
    hash TEXT NOT NULL,
    signed_at TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    statement TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The audit page asks for one person's rows, one kind of rows, and the rows of some days.
CREATE INDEX audit_by_actor ON audit (actor);
CREATE INDEX audit_by_action ON audit (action);
CREATE INDEX audit_by_time ON audit (at);
