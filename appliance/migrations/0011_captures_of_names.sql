-- What comes again and again is one capture with a number: a page that stands open asks for the same site all day.
-- times: how often it was seen; last_at: when last, empty where it was seen once.
ALTER TABLE captures ADD COLUMN times INTEGER NOT NULL DEFAULT 1;
ALTER TABLE captures ADD COLUMN last_at TEXT;
CREATE INDEX captures_of_names ON captures (device_id, person_id, at) WHERE surface = 'name' AND finished_at IS NULL;
