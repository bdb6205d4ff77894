-- Sites that somebody asked to have opened, from the page that says that they are blocked. One row for a host and a
-- profile until it is decided; who asks again is counted. What was written with it is sealed, in dns_filter_askings.
-- why, list, category: what blocked it when it was asked for first. entry: the entry that opened it.
CREATE TABLE dns_filter_requests (
    id TEXT PRIMARY KEY,
    host TEXT NOT NULL,
    profile TEXT NOT NULL,
    why TEXT NOT NULL,
    list TEXT NOT NULL,
    category TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'allowed', 'kept')),
    first_at TEXT NOT NULL,
    last_at TEXT NOT NULL,
    times INTEGER NOT NULL DEFAULT 0,
    decided_at TEXT,
    decided_by TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    answer TEXT NOT NULL DEFAULT '',
    until TEXT,
    entry TEXT NOT NULL DEFAULT '',
    CHECK ((decided_at IS NULL) = (state = 'open'))
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX dns_filter_requests_open ON dns_filter_requests (host, profile) WHERE state = 'open';
CREATE INDEX dns_filter_requests_by_time ON dns_filter_requests (state, first_at);
CREATE INDEX dns_filter_requests_decided ON dns_filter_requests (decided_at) WHERE decided_at IS NOT NULL;

-- Who asked: a device, by its id or else its address, and never a person. It finds the answer with that, or with the
-- code of the receipt, of which only the hash is kept. words: sealed for those who can open captures.
CREATE TABLE dns_filter_askings (
    id TEXT PRIMARY KEY,
    request TEXT NOT NULL REFERENCES dns_filter_requests (id) ON DELETE CASCADE,
    asker TEXT NOT NULL,
    at TEXT NOT NULL,
    purpose TEXT NOT NULL,
    code TEXT NOT NULL UNIQUE,
    words BLOB,
    UNIQUE (request, asker)
) STRICT, WITHOUT ROWID;
CREATE INDEX dns_filter_askings_by_asker ON dns_filter_askings (asker, at);

-- Who provides the school's own filter, and the evidence that was seen. Every answer stays; the newest one counts.
CREATE TABLE dns_filter_providers (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    product TEXT NOT NULL,
    iwf TEXT NOT NULL CHECK (iwf IN ('yes', 'no', 'unknown')),
    ctiru TEXT NOT NULL CHECK (ctiru IN ('yes', 'no', 'unknown')),
    evidence TEXT NOT NULL,
    seen_on TEXT,
    note TEXT NOT NULL,
    author TEXT NOT NULL,
    written_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX dns_filter_providers_by_time ON dns_filter_providers (written_at);
