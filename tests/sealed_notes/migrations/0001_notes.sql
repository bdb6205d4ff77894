CREATE TABLE sealed_notes_notes (
    id TEXT PRIMARY KEY,
    words BLOB NOT NULL,
    picture BLOB NOT NULL
) STRICT, WITHOUT ROWID;
