-- When a plugin that is off is let in again by itself; NULL: somebody has to do it.
ALTER TABLE plugins_off ADD COLUMN again_at TEXT;
