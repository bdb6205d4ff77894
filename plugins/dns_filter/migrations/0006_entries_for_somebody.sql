-- An entry can be for one network, group, room, device or person instead of profiles (``profile`` is empty then). What a
-- target is: as in the core's table of assignments. One that is gone has nobody in it: its entries count for nobody.
ALTER TABLE dns_filter_entries ADD COLUMN target_kind TEXT NOT NULL DEFAULT ''
    CHECK (target_kind IN ('', 'networks', 'group', 'device', 'person'));
ALTER TABLE dns_filter_entries ADD COLUMN target TEXT NOT NULL DEFAULT '';
