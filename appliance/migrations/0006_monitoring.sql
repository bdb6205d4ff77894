-- A value can now be set for a group of the directory, a device or a person, and not for groups of networks alone.
DROP INDEX assignments_in_force;
ALTER TABLE assignments ADD COLUMN target_kind TEXT NOT NULL DEFAULT 'networks'
    CHECK (target_kind IN ('networks', 'group', 'device', 'person'));
ALTER TABLE assignments RENAME COLUMN "group" TO target;
CREATE INDEX assignments_in_force ON assignments (kind, target_kind, target, set_at);

-- What was said about one person and why goes with that person.
CREATE TRIGGER assignments_of_people AFTER DELETE ON people BEGIN
    DELETE FROM assignments WHERE target_kind = 'person' AND target = old.id;
END;

-- News of the old form that still waits for somebody.
UPDATE events SET payload = json_set(
    json_remove(payload, '$.group'), '$.target_kind', 'networks', '$.target', json_extract(payload, '$.group')
) WHERE type = 'AssignmentChanged';

-- Under which policy of the school monitoring was switched on, and who had been told.
CREATE TABLE monitoring_switches (
    assignment_id TEXT PRIMARY KEY REFERENCES assignments (id) ON DELETE CASCADE,
    policy TEXT NOT NULL,
    policy_date TEXT NOT NULL,
    told TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- A trial with one group. people: how many it counted at the start. It is over at ends_at, and closed by a signature.
CREATE TABLE monitoring_trials (
    id TEXT PRIMARY KEY,
    group_id TEXT NOT NULL,
    group_name TEXT NOT NULL,
    people INTEGER NOT NULL,
    assignment_id TEXT NOT NULL REFERENCES assignments (id),
    started_at TEXT NOT NULL,
    started_by TEXT NOT NULL,
    ends_at TEXT NOT NULL,
    signed_at TEXT,
    signed_by TEXT,
    people_at_end INTEGER,
    decision TEXT CHECK (decision IN ('go on', 'stop')),
    findings TEXT
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX monitoring_one_trial ON monitoring_trials (signed_at IS NULL) WHERE signed_at IS NULL;
CREATE TRIGGER monitoring_trials_signed BEFORE UPDATE ON monitoring_trials WHEN old.signed_at IS NOT NULL BEGIN
    SELECT RAISE(ABORT, 'the report of this trial was signed');
END;

CREATE TABLE monitoring_feedback_days (
    trial_id TEXT NOT NULL REFERENCES monitoring_trials (id) ON DELETE CASCADE,
    day TEXT NOT NULL,
    PRIMARY KEY (trial_id, day)
) STRICT, WITHOUT ROWID;

CREATE TABLE monitoring_feedback (
    id TEXT PRIMARY KEY,
    trial_id TEXT NOT NULL,
    day TEXT NOT NULL,
    note TEXT NOT NULL,
    written_at TEXT NOT NULL,
    written_by TEXT NOT NULL,
    FOREIGN KEY (trial_id, day) REFERENCES monitoring_feedback_days (trial_id, day)
) STRICT, WITHOUT ROWID;
CREATE INDEX monitoring_feedback_by_trial ON monitoring_feedback (trial_id, day);

-- When each audience was told that there is monitoring. What was written down stays.
CREATE TABLE monitoring_told (
    id TEXT PRIMARY KEY,
    audience TEXT NOT NULL CHECK (audience IN ('pupils', 'parents', 'staff', 'governors', 'guests')),
    told_on TEXT NOT NULL,
    how TEXT NOT NULL,
    told_by TEXT NOT NULL,
    note TEXT NOT NULL,
    written_at TEXT NOT NULL,
    written_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER monitoring_told_no_update BEFORE UPDATE ON monitoring_told BEGIN
    SELECT RAISE(ABORT, 'what was written down about telling people cannot be changed');
END;
CREATE TRIGGER monitoring_told_no_delete BEFORE DELETE ON monitoring_told BEGIN
    SELECT RAISE(ABORT, 'what was written down about telling people cannot be changed');
END;

-- Which monitoring the school chose and why, by the risks it sees. Each version stays.
CREATE TABLE monitoring_choices (
    id TEXT PRIMARY KEY,
    ages TEXT NOT NULL,
    own_devices TEXT NOT NULL,
    languages TEXT NOT NULL,
    updates TEXT NOT NULL,
    approaches TEXT NOT NULL,
    why TEXT NOT NULL,
    written_at TEXT NOT NULL,
    written_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER monitoring_choices_no_update BEFORE UPDATE ON monitoring_choices BEGIN
    SELECT RAISE(ABORT, 'a version of the choice of monitoring cannot be changed');
END;
CREATE TRIGGER monitoring_choices_no_delete BEFORE DELETE ON monitoring_choices BEGIN
    SELECT RAISE(ABORT, 'a version of the choice of monitoring cannot be changed');
END;
