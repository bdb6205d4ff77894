-- Files of people that were taken in. What the last one changed is kept for a while, so that it can be undone.
CREATE TABLE imports (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('pupil', 'staff')),
    file_name TEXT NOT NULL,
    author TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('applying', 'applied', 'undoing', 'undone')),
    began_at TEXT NOT NULL,
    ended_at TEXT,
    undone_at TEXT,
    undone_by TEXT,
    added INTEGER NOT NULL DEFAULT 0,
    changed INTEGER NOT NULL DEFAULT 0,
    back INTEGER NOT NULL DEFAULT 0,
    gone INTEGER NOT NULL DEFAULT 0,
    passed_over INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- One field of one person: its value before and after, as JSON. "added": the whole person as the import left it.
CREATE TABLE import_changes (
    import_id TEXT NOT NULL REFERENCES imports (id) ON DELETE CASCADE,
    person_id TEXT NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    field TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    PRIMARY KEY (import_id, person_id, field)
) STRICT, WITHOUT ROWID;
CREATE INDEX import_changes_by_person ON import_changes (person_id);

CREATE TABLE import_groups (
    import_id TEXT NOT NULL REFERENCES imports (id) ON DELETE CASCADE,
    group_id TEXT NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    PRIMARY KEY (import_id, group_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX import_groups_by_group ON import_groups (group_id);

-- Pupils whom few people watch over with special care. Why stands sealed in the notes; who was on the list, and when, is
-- never deleted by a person.
CREATE TABLE vulnerable_entries (
    id TEXT PRIMARY KEY,
    person_id TEXT NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    since TEXT NOT NULL,
    added_by TEXT NOT NULL,
    review_on TEXT,
    until_on TEXT,
    ended_at TEXT,
    ended_by TEXT
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX vulnerable_entries_now ON vulnerable_entries (person_id) WHERE ended_at IS NULL;
CREATE INDEX vulnerable_entries_by_person ON vulnerable_entries (person_id);

CREATE TABLE vulnerable_notes (
    id TEXT PRIMARY KEY,
    entry_id TEXT NOT NULL REFERENCES vulnerable_entries (id) ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN ('reason', 'note', 'end')),
    at TEXT NOT NULL,
    author TEXT NOT NULL,
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX vulnerable_notes_by_entry ON vulnerable_notes (entry_id, at);
