-- Results of the test bench: how the detectors did with sentences that were made up for it. Nothing of any school.
-- "result": JSON, as ``appliance.bench.scoring.BenchResult`` reads it. "why": by hand, by command, or after a change.
CREATE TABLE bench_runs (
    id TEXT PRIMARY KEY,
    at TEXT NOT NULL,
    author TEXT NOT NULL,
    why TEXT NOT NULL CHECK (why IN ('hand', 'command', 'change', 'first')),
    result TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX bench_runs_by_time ON bench_runs (at);
