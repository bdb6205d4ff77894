-- Whether a second factor was set in this very session. Settings may be applied between that step and the next.
ALTER TABLE staff_sessions ADD COLUMN has_new_factor INTEGER NOT NULL DEFAULT 0 CHECK (has_new_factor IN (0, 1));
