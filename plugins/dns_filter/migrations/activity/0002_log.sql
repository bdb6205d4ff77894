-- Full rows: equal queries of one minute are one row, with who asked as far as it was known at that moment.
ALTER TABLE dns_filter_queries RENAME TO dns_filter_queries_before;
DROP INDEX dns_filter_queries_stopped;
CREATE TABLE dns_filter_queries (
    minute TEXT NOT NULL,               -- UTC, the start of the minute
    key INTEGER NOT NULL,               -- a digest of what makes queries equal: short, because every index holds it
    client TEXT NOT NULL,               -- the address that asked; empty: not kept
    device TEXT NOT NULL,               -- id in the directory; empty: not known or not kept
    person TEXT NOT NULL,               -- id in the directory, never a name; empty: see claim
    claim TEXT NOT NULL,                -- how we knew who it was; 'nobody known', or 'not kept'
    client_group TEXT NOT NULL,         -- the group of networks of the address at that time; empty: none
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    verdict TEXT NOT NULL,              -- allowed, blocked, would block, rewritten, local
    why TEXT NOT NULL,
    list TEXT NOT NULL,                 -- the list that matched; empty: none
    rule TEXT NOT NULL,                 -- the domain, entry or service that matched
    category TEXT NOT NULL,
    profile TEXT NOT NULL,
    upstream TEXT NOT NULL,             -- who answered: an address, cache, or empty for the filter itself
    count INTEGER NOT NULL,
    first_at TEXT NOT NULL,
    last_at TEXT NOT NULL,
    slowest_ms REAL NOT NULL,
    PRIMARY KEY (minute, key)
) STRICT, WITHOUT ROWID;
INSERT INTO dns_filter_queries
SELECT minute, row_number() OVER (), client, '', '', 'nobody known', client_group, name, type, verdict, '', list, '', '', profile, '', count,
    last_at, last_at, slowest_ms
FROM dns_filter_queries_before;
DROP TABLE dns_filter_queries_before;

-- What was stopped is rare among what was answered, and it is what people look for.
CREATE INDEX dns_filter_queries_stopped ON dns_filter_queries (verdict, minute) WHERE verdict IN ('blocked', 'would block');
CREATE INDEX dns_filter_queries_of_devices ON dns_filter_queries (device, minute) WHERE device <> '';
CREATE INDEX dns_filter_queries_of_people ON dns_filter_queries (person, minute) WHERE person <> '';

-- What is left of full rows when their days are over: which site, when first and last, in each quarter of an hour.
CREATE TABLE dns_filter_sites (
    quarter TEXT NOT NULL,              -- UTC, the start of the quarter of an hour
    device TEXT NOT NULL,               -- id in the directory, or the address of a device that nobody knew
    person TEXT NOT NULL,               -- id in the directory; empty: not known or not kept
    site TEXT NOT NULL,
    count INTEGER NOT NULL,
    stopped INTEGER NOT NULL,           -- how many of them were blocked, or would have been
    first_at TEXT NOT NULL,
    last_at TEXT NOT NULL,
    PRIMARY KEY (quarter, device, person, site)
) STRICT, WITHOUT ROWID;
CREATE INDEX dns_filter_sites_of_devices ON dns_filter_sites (device, quarter);
CREATE INDEX dns_filter_sites_of_people ON dns_filter_sites (person, quarter) WHERE person <> '';
