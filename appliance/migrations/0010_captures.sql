-- The one access rule once more, word for word the same and in a form in which SQLite looks up one account or one person
-- without working out everybody's scope: whoever has them in scope sees pupils and guests, their reviewer alone sees
-- staff and governors, and nobody sees records about themselves.
DROP VIEW visible_people;
CREATE VIEW visible_people AS
SELECT account.id AS account_id, person.id AS person_id FROM staff_accounts account JOIN people person
WHERE person.kind IN ('pupil', 'guest') AND EXISTS (
    SELECT 1 FROM staff_scopes scope WHERE scope.account_id = account.id AND (
        scope.kind = 'everyone'
        OR scope.kind = 'person' AND scope.target = person.id
        OR scope.kind = 'group' AND EXISTS (
            SELECT 1 FROM group_people member WHERE member.group_id = scope.target AND member.person_id = person.id
        )
    )
)
OR (account.person_id IS NULL OR account.person_id <> person.id) AND EXISTS (
    SELECT 1 FROM staff_reviewers reviewer
    WHERE reviewer.person_id = person.id AND reviewer.account_id = account.id
);

-- What a detector found in something seen on a device, kept for a person to judge. In clear stand the facts by which it
-- finds its way; what a child wrote or read is sealed in capture_contents, its picture in a sealed file of its own.
-- A capture keeps the person it is about from being deleted: whoever erases a person deletes the captures first.
-- rank: 0 is Severe. picture_bytes: of the sealed file, 0 without one.
CREATE TABLE captures (
    id TEXT PRIMARY KEY,
    endpoint TEXT NOT NULL,
    observation TEXT NOT NULL,
    at TEXT NOT NULL,
    received_at TEXT NOT NULL,
    device_id TEXT REFERENCES devices (id) ON DELETE SET NULL,
    person_id TEXT REFERENCES people (id),
    claim TEXT NOT NULL,
    surface TEXT NOT NULL,
    host TEXT NOT NULL,
    application TEXT NOT NULL,
    policy TEXT NOT NULL,
    version TEXT NOT NULL,
    term TEXT NOT NULL,
    category TEXT NOT NULL,
    severity TEXT NOT NULL CHECK (severity IN ('severe', 'moderate', 'minor')),
    rank INTEGER NOT NULL,
    is_test INTEGER NOT NULL CHECK (is_test IN (0, 1)),
    status TEXT NOT NULL DEFAULT 'unclassified' CHECK (status IN (
        'unclassified', 'requires_attention', 'investigation', 'escalated', 'false_positive', 'false_positive_allow',
        'resolved'
    )),
    finished_at TEXT,
    picture TEXT NOT NULL CHECK (picture IN (
        'taken', 'hidden', 'exempt', 'secret', 'failed', 'none', 'never'
    )),
    picture_bytes INTEGER NOT NULL DEFAULT 0,
    UNIQUE (endpoint, observation),
    CHECK ((finished_at IS NOT NULL) = (status IN ('false_positive', 'false_positive_allow', 'resolved')))
) STRICT, WITHOUT ROWID;
-- Lists are read in their order, and the access rule is asked row by row: person_id stands in the index for that.
CREATE INDEX captures_by_time ON captures (is_test, at, id, person_id);
CREATE INDEX captures_by_rank ON captures (is_test, rank, at DESC, id DESC, person_id);
CREATE INDEX captures_open ON captures (is_test, rank, at DESC, id DESC, person_id, severity, status)
WHERE finished_at IS NULL;
CREATE INDEX captures_by_person ON captures (person_id, at);
CREATE INDEX captures_by_device ON captures (device_id, person_id);
CREATE INDEX captures_finished ON captures (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX captures_of_tests ON captures (received_at) WHERE is_test = 1;

-- Text, title, address and findings in full: one envelope, its item id is the capture's.
CREATE TABLE capture_contents (
    capture_id TEXT PRIMARY KEY REFERENCES captures (id) ON DELETE CASCADE,
    sealed BLOB NOT NULL
) STRICT;

-- Every finding, the worst first: ids of policy and term, never their words.
CREATE TABLE capture_findings (
    capture_id TEXT NOT NULL REFERENCES captures (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    policy TEXT NOT NULL,
    version TEXT NOT NULL,
    term TEXT NOT NULL,
    category TEXT NOT NULL,
    severity TEXT NOT NULL,
    is_test INTEGER NOT NULL,
    PRIMARY KEY (capture_id, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX capture_findings_by_term ON capture_findings (policy, term);

-- What people wrote about a capture and which status they gave it. Nothing is changed afterwards, and nothing goes before
-- the capture itself does. from_status and to_status: empty for a note alone. sealed: empty without words.
CREATE TABLE capture_notes (
    id TEXT PRIMARY KEY,
    capture_id TEXT NOT NULL REFERENCES captures (id) ON DELETE CASCADE,
    at TEXT NOT NULL,
    account_id TEXT NOT NULL,
    author TEXT NOT NULL,
    from_status TEXT NOT NULL DEFAULT '',
    to_status TEXT NOT NULL DEFAULT '',
    sealed BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX capture_notes_by_capture ON capture_notes (capture_id, at);
CREATE TRIGGER capture_notes_no_update BEFORE UPDATE ON capture_notes BEGIN
    SELECT RAISE(ABORT, 'what was written about a capture cannot be changed');
END;
CREATE TRIGGER capture_notes_no_delete BEFORE DELETE ON capture_notes
WHEN EXISTS (SELECT 1 FROM captures WHERE id = old.capture_id) BEGIN
    SELECT RAISE(ABORT, 'what was written about a capture cannot be taken away');
END;

-- Who has opened what of a capture on which day of the school, so that the record of who did what says it once a day.
CREATE TABLE capture_openings (
    capture_id TEXT NOT NULL REFERENCES captures (id) ON DELETE CASCADE,
    account_id TEXT NOT NULL REFERENCES staff_accounts (id) ON DELETE CASCADE,
    day TEXT NOT NULL,
    what TEXT NOT NULL CHECK (what IN ('content', 'picture')),
    at TEXT NOT NULL,
    PRIMARY KEY (capture_id, account_id, day, what)
) STRICT, WITHOUT ROWID;
CREATE INDEX capture_openings_by_account ON capture_openings (account_id, day);

-- By which the box notices that its clock has jumped, so that it does not take captures for old ones. seen_at: what the
-- clock said when old captures were looked for last; held_until: nothing is deleted before.
CREATE TABLE capture_clock (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    seen_at TEXT NOT NULL,
    held_until TEXT
) STRICT;

-- What raises no further capture: a term of a policy, seen in this way, at this place. Its words are sealed.
CREATE TABLE capture_allowed (
    id TEXT PRIMARY KEY,
    policy TEXT NOT NULL,
    term TEXT NOT NULL,
    surface TEXT NOT NULL,
    host TEXT NOT NULL,
    sealed BLOB NOT NULL,
    capture_id TEXT,
    added_at TEXT NOT NULL,
    added_by TEXT NOT NULL,
    removed_at TEXT,
    removed_by TEXT
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX capture_allowed_now ON capture_allowed (policy, term, surface, host) WHERE removed_at IS NULL;

-- What a responsible adult must look at. category: what it says on pages, and for silence, what fell silent; words: for
-- silence, what is known. step: how often it has gone on to others; round_step: the step at which the route was begun
-- last; been_round: 1 once it has come to the end of the route. Nothing here names a pupil.
CREATE TABLE alerts (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('capture', 'test', 'silence')),
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
CREATE INDEX alerts_open ON alerts (opened_at) WHERE closed_at IS NULL;
CREATE INDEX alerts_by_time ON alerts (opened_at);
CREATE UNIQUE INDEX alerts_of_silence ON alerts (category) WHERE kind = 'silence' AND closed_at IS NULL;

-- The captures of an alert, all about the same person, or of the same device where nobody is known. The alert goes with
-- the last of them.
CREATE TABLE alert_captures (
    alert_id TEXT NOT NULL REFERENCES alerts (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    capture_id TEXT NOT NULL UNIQUE REFERENCES captures (id) ON DELETE CASCADE,
    at TEXT NOT NULL,
    PRIMARY KEY (alert_id, number)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER alert_captures_last AFTER DELETE ON alert_captures
WHEN NOT EXISTS (SELECT 1 FROM alert_captures WHERE alert_id = old.alert_id) BEGIN
    DELETE FROM alerts WHERE id = old.alert_id;
END;

-- Whom an alert was brought to, at which step.
CREATE TABLE alert_accounts (
    alert_id TEXT NOT NULL REFERENCES alerts (id) ON DELETE CASCADE,
    account_id TEXT NOT NULL REFERENCES staff_accounts (id) ON DELETE CASCADE,
    step INTEGER NOT NULL,
    told_at TEXT NOT NULL,
    PRIMARY KEY (alert_id, account_id, step)
) STRICT, WITHOUT ROWID;
CREATE INDEX alert_accounts_by_account ON alert_accounts (account_id);

-- What happened to an alert, in order. names: of the colleagues it was brought to, as they were called then.
CREATE TABLE alert_steps (
    alert_id TEXT NOT NULL REFERENCES alerts (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    at TEXT NOT NULL,
    what TEXT NOT NULL CHECK (what IN ('opened', 'told', 'nobody', 'acknowledged', 'changed', 'closed')),
    author TEXT NOT NULL DEFAULT '',
    names TEXT NOT NULL DEFAULT '[]',
    words TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (alert_id, number)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER alert_steps_no_update BEFORE UPDATE ON alert_steps BEGIN
    SELECT RAISE(ABORT, 'what happened to an alert cannot be changed');
END;
CREATE TRIGGER alert_steps_no_delete BEFORE DELETE ON alert_steps
WHEN EXISTS (SELECT 1 FROM alerts WHERE id = old.alert_id) BEGIN
    SELECT RAISE(ABORT, 'what happened to an alert cannot be taken away');
END;

-- Devices that an alert of silence names, so that each is named once a day.
CREATE TABLE alert_devices (
    alert_id TEXT NOT NULL REFERENCES alerts (id) ON DELETE CASCADE,
    device_id TEXT NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    day TEXT NOT NULL,
    PRIMARY KEY (alert_id, device_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX alert_devices_by_day ON alert_devices (day, device_id);

-- Who shows a screen to others at this moment: alerts stay quiet there, and go on everywhere else.
CREATE TABLE alert_quiet (
    account_id TEXT PRIMARY KEY REFERENCES staff_accounts (id) ON DELETE CASCADE,
    until TEXT NOT NULL
) STRICT, WITHOUT ROWID;
