-- Bundles of policies that came, what was done with them, and lists that others handed over. What they hold lies in
-- files beside the store; the files are checked again whenever they are read.
CREATE TABLE keyword_bundles (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,                 -- what its publisher calls these policies
    version INTEGER NOT NULL CHECK (version >= 1),
    date TEXT NOT NULL,                 -- the day on which it was made
    notes TEXT NOT NULL,
    signer TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    sha256 TEXT NOT NULL,               -- of what is signed
    policies INTEGER NOT NULL,
    terms INTEGER NOT NULL,
    source TEXT NOT NULL,
    received_at TEXT NOT NULL,          -- UTC, like all times here
    state TEXT NOT NULL CHECK (state IN ('waiting', 'used', 'dropped', 'passed')),
    UNIQUE (name, version)              -- the highest version ever seen is never forgotten
) STRICT, WITHOUT ROWID;

-- Which policies ran from when on. The newest row counts; back goes to the one that row "before" names.
CREATE TABLE keyword_bundle_uses (
    number INTEGER PRIMARY KEY,
    bundle TEXT REFERENCES keyword_bundles (id),    -- nothing: the supplied policies
    before INTEGER REFERENCES keyword_bundle_uses (number),
    how TEXT NOT NULL CHECK (how IN ('applied', 'back')),
    at TEXT NOT NULL,
    author TEXT NOT NULL
) STRICT;

-- A bundle that runs silently beside the policies in force, and what it alone would have found: numbers, no text.
CREATE TABLE keyword_bundle_trials (
    id TEXT PRIMARY KEY,
    bundle TEXT NOT NULL REFERENCES keyword_bundles (id),
    began_at TEXT NOT NULL,
    author TEXT NOT NULL,
    ends_at TEXT NOT NULL,
    ended_at TEXT,
    ended_by TEXT NOT NULL DEFAULT '',
    CHECK ((ended_at IS NULL) = (ended_by = ''))
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX keyword_bundle_trials_open ON keyword_bundle_trials ((1)) WHERE ended_at IS NULL;
CREATE INDEX keyword_bundle_trials_by_bundle ON keyword_bundle_trials (bundle);
CREATE TABLE keyword_bundle_trial_counts (
    trial TEXT NOT NULL REFERENCES keyword_bundle_trials (id) ON DELETE CASCADE,
    term TEXT NOT NULL,                 -- policy/term
    times INTEGER NOT NULL,
    PRIMARY KEY (trial, term)
) STRICT, WITHOUT ROWID;

-- What was not taken, in words, each once however often it came.
CREATE TABLE keyword_bundle_refusals (
    id TEXT PRIMARY KEY,                -- a hash of the words
    source TEXT NOT NULL,
    words TEXT NOT NULL,
    first_at TEXT NOT NULL,
    last_at TEXT NOT NULL,
    times INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX keyword_bundle_refusals_by_time ON keyword_bundle_refusals (last_at);

-- The place where bundles come from, when it was last looked at and what came of it.
CREATE TABLE keyword_bundle_looks (
    source TEXT PRIMARY KEY,
    looked_at TEXT NOT NULL,
    good INTEGER NOT NULL CHECK (good IN (0, 1)),
    words TEXT NOT NULL,
    etag TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Lists of child-abuse and terrorist terms that bodies hand over. The terms themselves lie sealed in a file.
CREATE TABLE keyword_imported_lists (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('child-abuse', 'terrorism')),
    body TEXT NOT NULL,
    terms INTEGER NOT NULL,
    left_out INTEGER NOT NULL,
    imported_at TEXT NOT NULL,
    author TEXT NOT NULL,
    ended_at TEXT,
    ended_by TEXT NOT NULL DEFAULT '',
    CHECK ((ended_at IS NULL) = (ended_by = ''))
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX keyword_imported_lists_in_force ON keyword_imported_lists (kind) WHERE ended_at IS NULL;
