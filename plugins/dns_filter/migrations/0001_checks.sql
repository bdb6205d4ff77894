-- The filter's own tests and those that people have made, one row each. They are evidence: nothing is changed later.
CREATE TABLE dns_filter_checks (
    id TEXT PRIMARY KEY,
    day TEXT NOT NULL,                  -- the day of the check at the school
    at TEXT NOT NULL,                   -- UTC, when it was written down
    kind TEXT NOT NULL CHECK (kind IN ('own', 'manual')),
    account_id TEXT NOT NULL,           -- who wrote it down; empty: the appliance
    who TEXT NOT NULL,                  -- who made the check, by name; 'the appliance' for its own
    device TEXT NOT NULL,
    place TEXT NOT NULL,
    profile TEXT NOT NULL,              -- the group or profile that was tested
    what TEXT NOT NULL,                 -- what was tested
    result TEXT NOT NULL CHECK (result IN ('passed', 'failed', 'open', 'watching')),
    words TEXT NOT NULL,                -- what was seen
    action TEXT NOT NULL                -- what was done about it
) STRICT, WITHOUT ROWID;
CREATE INDEX dns_filter_checks_by_day ON dns_filter_checks (day, at);
CREATE INDEX dns_filter_checks_by_kind ON dns_filter_checks (kind, day);
CREATE TRIGGER dns_filter_checks_no_update BEFORE UPDATE ON dns_filter_checks BEGIN
    SELECT RAISE(ABORT, 'the record of a check cannot be changed');
END;

-- Of which kinds of sites the safeguarding lead wants to hear, and how.
CREATE TABLE dns_filter_told (
    category TEXT PRIMARY KEY,          -- a category of websites
    told TEXT NOT NULL CHECK (told IN ('nothing', 'capture', 'alert')),
    set_at TEXT NOT NULL,
    set_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;
