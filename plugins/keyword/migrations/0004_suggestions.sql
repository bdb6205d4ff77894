-- Words that pupils suggest, without account. What they wrote is sealed for those who can open captures. No address, no
-- device and no exact time: the day alone.
CREATE TABLE keyword_suggestions (
    id TEXT PRIMARY KEY,
    day TEXT NOT NULL,
    words BLOB,                         -- empty once it was decided
    state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'accepted', 'declined')),
    decided_at TEXT,
    decided_by TEXT NOT NULL DEFAULT '',
    term TEXT NOT NULL DEFAULT '',      -- policy/term that was made of it
    CHECK ((state = 'open') = (words IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX keyword_suggestions_open ON keyword_suggestions (state, day);
