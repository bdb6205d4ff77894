-- Keys with which browsers ask to be let in. Such a key is kept as it is, not hashed: every managed browser shows it on
-- its own page of policies anyway, and the pages here must show it again for the next policy file. It opens nothing: it
-- only lets a device ask, from a school address, and IT decides.
CREATE TABLE endpoint_tokens (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    token TEXT NOT NULL UNIQUE,
    group_id TEXT REFERENCES groups (id) ON DELETE SET NULL,
    most_uses INTEGER NOT NULL,
    uses INTEGER NOT NULL DEFAULT 0,
    made_at TEXT NOT NULL,
    made_by TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    revoked_at TEXT,
    revoked_by TEXT
) STRICT, WITHOUT ROWID;

-- Browsers that have asked, by the hash of the public key that each has made for itself. A device of the directory may
-- have several. "counter": what the browser counts connections with; one that does not grow comes from a copied profile
-- ("copied_at"). "person_id" and "claim": who was there last, and how we know.
CREATE TABLE endpoints (
    id TEXT PRIMARY KEY,
    key_sha256 TEXT NOT NULL UNIQUE,
    public_key BLOB NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'approved', 'refused', 'revoked')),
    token_id TEXT NOT NULL REFERENCES endpoint_tokens (id),
    device_id TEXT REFERENCES devices (id) ON DELETE SET NULL,
    name TEXT NOT NULL,
    serial TEXT NOT NULL,
    platform TEXT NOT NULL,
    browser TEXT NOT NULL,
    version TEXT NOT NULL,
    asked_at TEXT NOT NULL,
    asked_from TEXT NOT NULL,
    decided_at TEXT,
    decided_by TEXT,
    how TEXT CHECK (how IN ('one by one', 'all at once', 'a list', 'an open window')),
    last_seen_at TEXT NOT NULL,
    counter INTEGER NOT NULL,
    copied_at TEXT,
    profile TEXT NOT NULL DEFAULT '',
    person_id TEXT REFERENCES people (id) ON DELETE SET NULL,
    claim TEXT NOT NULL DEFAULT '',
    policy_version TEXT NOT NULL DEFAULT '',
    queued INTEGER NOT NULL DEFAULT 0,
    dropped INTEGER NOT NULL DEFAULT 0,
    last_test_at TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX endpoints_by_state ON endpoints (state, asked_at);
CREATE INDEX endpoints_by_device ON endpoints (device_id);
CREATE INDEX endpoints_by_person ON endpoints (person_id);
CREATE INDEX endpoints_by_address ON endpoints (asked_from, asked_at);
CREATE INDEX endpoints_by_token ON endpoints (token_id);
-- By which browsers find their device, in any spelling.
CREATE INDEX devices_by_any_serial ON devices (lower(serial)) WHERE serial IS NOT NULL;
CREATE INDEX devices_by_any_name ON devices (lower(name));

-- Times in which whoever comes with a key is let in at once.
CREATE TABLE endpoint_windows (
    id TEXT PRIMARY KEY,
    opened_at TEXT NOT NULL,
    opened_by TEXT NOT NULL,
    until TEXT NOT NULL,
    closed_at TEXT,
    closed_by TEXT
) STRICT, WITHOUT ROWID;

-- Names or serial numbers of devices that are let in when they come. Each lets one browser in.
CREATE TABLE endpoint_expected (
    folded TEXT PRIMARY KEY,
    written TEXT NOT NULL,
    added_at TEXT NOT NULL,
    added_by TEXT NOT NULL,
    endpoint_id TEXT REFERENCES endpoints (id) ON DELETE SET NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX endpoint_expected_by_endpoint ON endpoint_expected (endpoint_id);

-- Versions that the browser extension has had, so that the number grows whenever its content changes.
CREATE TABLE endpoint_packages (
    version TEXT PRIMARY KEY,
    content_sha256 TEXT NOT NULL,
    made_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
