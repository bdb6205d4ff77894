-- The allow list can be for one group of the directory, and for every place. group_id: empty for everybody; a group that
-- was deleted has nobody in it, so what was allowed for it alone counts for nobody. host: empty for every place.
ALTER TABLE capture_allowed ADD COLUMN group_id TEXT NOT NULL DEFAULT '';
DROP INDEX capture_allowed_now;
CREATE UNIQUE INDEX capture_allowed_now ON capture_allowed (policy, term, surface, host, group_id)
WHERE removed_at IS NULL;
