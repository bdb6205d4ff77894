-- How often each name, device and address came up on a day of the school: so that lists of the most asked need not read
-- every row. Nobody is in it, and what a device asked for is not either.
CREATE TABLE dns_filter_tally (
    day TEXT NOT NULL,                  -- of the school's clocks, as 2026-11-24
    kind TEXT NOT NULL CHECK (kind IN ('name', 'device', 'client')),
    what TEXT NOT NULL,                 -- the name; the id of the device, or the address of one that nobody knows; the address
    count INTEGER NOT NULL,
    stopped INTEGER NOT NULL,           -- how many of them were blocked, or would have been
    PRIMARY KEY (kind, day, what)
) STRICT, WITHOUT ROWID;
CREATE INDEX dns_filter_tally_by_day ON dns_filter_tally (day);
INSERT INTO dns_filter_tally
SELECT substr(minute, 1, 10), 'name', name, sum(count), sum(CASE WHEN verdict IN ('blocked', 'would block') THEN count ELSE 0 END)
FROM dns_filter_queries WHERE name <> '' AND type <> '' GROUP BY substr(minute, 1, 10), name;
INSERT INTO dns_filter_tally
SELECT substr(minute, 1, 10), 'device', CASE WHEN device <> '' THEN device ELSE client END AS who, sum(count),
    sum(CASE WHEN verdict IN ('blocked', 'would block') THEN count ELSE 0 END)
FROM dns_filter_queries WHERE device <> '' OR client <> '' GROUP BY substr(minute, 1, 10), who;
INSERT INTO dns_filter_tally
SELECT substr(minute, 1, 10), 'client', client, sum(count), sum(CASE WHEN verdict IN ('blocked', 'would block') THEN count ELSE 0 END)
FROM dns_filter_queries WHERE client <> '' GROUP BY substr(minute, 1, 10), client;

-- A device that nobody knows is found by its address, every other one by its id.
CREATE INDEX dns_filter_queries_of_unknown ON dns_filter_queries (client, minute) WHERE device = '';
