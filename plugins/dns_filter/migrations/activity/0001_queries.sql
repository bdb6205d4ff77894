-- What devices asked for, counted per minute. Never a person, and never a place on the exempt list.
CREATE TABLE dns_filter_queries (
    minute TEXT NOT NULL,               -- UTC, the start of the minute
    client TEXT NOT NULL,               -- the address that asked
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    verdict TEXT NOT NULL,              -- allowed, blocked, would block
    client_group TEXT NOT NULL,         -- the group of the address at that time; empty: none
    profile TEXT NOT NULL,
    list TEXT NOT NULL,                 -- the list that matched; empty: none
    count INTEGER NOT NULL,
    last_at TEXT NOT NULL,              -- UTC, the latest of these queries
    slowest_ms REAL NOT NULL,
    PRIMARY KEY (minute, client, name, type, verdict)
) STRICT, WITHOUT ROWID;

-- What was stopped is rare among what was answered, and it is what people look for.
CREATE INDEX dns_filter_queries_stopped ON dns_filter_queries (verdict, minute) WHERE verdict <> 'allowed';
