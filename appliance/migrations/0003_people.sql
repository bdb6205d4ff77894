-- Who is at the school, in which groups, and on which devices. Nobody is deleted by an import: who leaves is marked.
CREATE TABLE people (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('pupil', 'staff', 'governor', 'guest')),
    name TEXT NOT NULL,
    sort_name TEXT NOT NULL,
    reference TEXT,
    email TEXT NOT NULL DEFAULT '',
    added_at TEXT NOT NULL,
    left_at TEXT
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX people_by_reference ON people (kind, reference) WHERE reference IS NOT NULL;
CREATE INDEX people_by_name ON people (sort_name);

CREATE TABLE groups (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('form', 'year', 'class', 'list', 'room', 'trolley')),
    name TEXT NOT NULL,
    made_at TEXT NOT NULL,
    UNIQUE (kind, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE group_people (
    group_id TEXT NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    person_id TEXT NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    PRIMARY KEY (group_id, person_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX group_people_by_person ON group_people (person_id);

CREATE TABLE devices (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    serial TEXT,
    person_id TEXT REFERENCES people (id) ON DELETE SET NULL,
    added_at TEXT NOT NULL,
    removed_at TEXT
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX devices_by_serial ON devices (serial) WHERE serial IS NOT NULL;

CREATE TABLE group_devices (
    group_id TEXT NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    device_id TEXT NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    PRIMARY KEY (group_id, device_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX group_devices_by_device ON group_devices (device_id);

-- Names under which devices and browsers know a person: an operating-system user, a browser profile, an address.
CREATE TABLE person_accounts (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    person_id TEXT NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX person_accounts_by_person ON person_accounts (person_id);

-- Who may sign in to the staff pages. The verifier is one half of the stretched password; the other half opens
-- key_by_password and is kept nowhere. An account without a role may only see its own pages. wrong_codes: how many wrong
-- second factors were entered with links for a new password since the last right one; too many, and no such link works.
CREATE TABLE staff_accounts (
    id TEXT PRIMARY KEY,
    sign_in_name TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    role TEXT,
    person_id TEXT UNIQUE REFERENCES people (id) ON DELETE SET NULL,
    state TEXT NOT NULL CHECK (state IN ('invited', 'active', 'disabled')),
    made_at TEXT NOT NULL,
    made_by TEXT NOT NULL,
    joined_at TEXT,
    disabled_at TEXT,
    salt BLOB,
    verifier BLOB,
    public_key BLOB,
    key_by_password BLOB,
    key_by_recovery BLOB,
    totp BLOB,
    totp_last_step INTEGER NOT NULL DEFAULT 0,
    recovery_codes BLOB,
    wrong_codes INTEGER NOT NULL DEFAULT 0,
    last_sign_in TEXT
) STRICT, WITHOUT ROWID;

-- About whom an account may know: everybody, one person, or everybody in a group.
CREATE TABLE staff_scopes (
    account_id TEXT NOT NULL REFERENCES staff_accounts (id) ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN ('everyone', 'person', 'group')),
    target TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (account_id, kind, target)
) STRICT, WITHOUT ROWID;

-- Who alone may see what concerns a member of staff or a governor; never that person.
CREATE TABLE staff_reviewers (
    person_id TEXT PRIMARY KEY REFERENCES people (id) ON DELETE CASCADE,
    account_id TEXT NOT NULL REFERENCES staff_accounts (id) ON DELETE CASCADE,
    named_at TEXT NOT NULL,
    named_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The one access rule: whose records an account may see. Staff and governors are seen by their reviewer alone, pupils
-- and guests by whoever has them in scope; nobody sees records about themselves.
CREATE VIEW visible_people AS
SELECT scope.account_id, person.id AS person_id
FROM staff_scopes scope JOIN people person ON person.kind IN ('pupil', 'guest')
WHERE scope.kind = 'everyone'
UNION
SELECT scope.account_id, person.id
FROM staff_scopes scope JOIN people person ON person.id = scope.target AND person.kind IN ('pupil', 'guest')
WHERE scope.kind = 'person'
UNION
SELECT scope.account_id, person.id
FROM staff_scopes scope JOIN group_people member ON member.group_id = scope.target
JOIN people person ON person.id = member.person_id AND person.kind IN ('pupil', 'guest')
WHERE scope.kind = 'group'
UNION
SELECT reviewer.account_id, reviewer.person_id
FROM staff_reviewers reviewer JOIN staff_accounts account ON account.id = reviewer.account_id
WHERE account.person_id IS NULL OR account.person_id <> reviewer.person_id;

-- One-time links. Only the hash of a code is kept. "set-up": IT opens a new box; "join": somebody invited makes an
-- account ready; "password" and "factor": somebody makes a new password or a new second factor.
DROP TABLE staff_links;
CREATE TABLE staff_links (
    token_sha256 TEXT PRIMARY KEY,
    purpose TEXT NOT NULL CHECK (purpose IN ('set-up', 'join', 'password', 'factor')),
    account_id TEXT REFERENCES staff_accounts (id) ON DELETE CASCADE,
    made_at TEXT NOT NULL,
    made_by TEXT NOT NULL,
    expires_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Browsers that are signed in, or on their way. Only the hash of what the cookie holds is kept. A session without an
-- account belongs to whoever opened the set-up link.
DROP TABLE staff_sessions;
CREATE TABLE staff_sessions (
    session_sha256 TEXT PRIMARY KEY,
    purpose TEXT NOT NULL CHECK (purpose IN ('work', 'set-up', 'join', 'password', 'factor')),
    account_id TEXT REFERENCES staff_accounts (id) ON DELETE CASCADE,
    started_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    last_used TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX staff_sessions_by_account ON staff_sessions (account_id);

-- Browsers in which somebody has signed in before: their tries are counted apart, so that nobody elsewhere can use
-- theirs up, and a sign-in from a browser that is not among them is announced.
CREATE TABLE staff_browsers (
    browser_sha256 TEXT NOT NULL,
    account_id TEXT NOT NULL REFERENCES staff_accounts (id) ON DELETE CASCADE,
    first_used TEXT NOT NULL,
    last_used TEXT NOT NULL,
    PRIMARY KEY (account_id, browser_sha256)
) STRICT, WITHOUT ROWID;

-- A new second factor takes two people: one asks, another agrees.
CREATE TABLE staff_factor_resets (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES staff_accounts (id) ON DELETE CASCADE,
    asked_by TEXT NOT NULL,
    asked_at TEXT NOT NULL,
    reason TEXT NOT NULL,
    agreed_by TEXT,
    agreed_at TEXT,
    ended_at TEXT
) STRICT, WITHOUT ROWID;

-- Each term somebody goes through the accounts and signs that they are right.
CREATE TABLE staff_reviews (
    id TEXT PRIMARY KEY,
    at TEXT NOT NULL,
    account_id TEXT NOT NULL REFERENCES staff_accounts (id) ON DELETE CASCADE,
    accounts INTEGER NOT NULL,
    note TEXT NOT NULL
) STRICT, WITHOUT ROWID;
