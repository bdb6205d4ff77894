-- Where mail about alerts goes. A row without an account is a shared mailbox.
CREATE TABLE email_alert_addresses (
    id TEXT PRIMARY KEY,
    address TEXT NOT NULL,
    account_id TEXT,                        -- whose it is; empty: a shared mailbox
    added_by TEXT NOT NULL,                 -- id of an account
    added_at TEXT NOT NULL,                 -- UTC, like all times here
    code_sha256 TEXT,                       -- of the id and the code that was mailed; empty: none is open
    code_expires_at TEXT,
    tries INTEGER NOT NULL DEFAULT 0,       -- wrong codes typed since the code was mailed
    codes INTEGER NOT NULL DEFAULT 0,       -- codes that were mailed
    verified_at TEXT,                       -- empty: nobody has typed the code in yet, so no alert goes there
    removed_at TEXT,
    last_ok_at TEXT,                        -- when the mail server last took something for it
    last_problem TEXT NOT NULL DEFAULT '',  -- in words; empty since it was last taken
    last_problem_at TEXT,
    permanent INTEGER NOT NULL DEFAULT 0,   -- 1: the mail server says that this address does not exist
    dropped INTEGER NOT NULL DEFAULT 0      -- mails that were given up because too many waited
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX email_alert_addresses_once
    ON email_alert_addresses (lower(address), coalesce(account_id, '')) WHERE removed_at IS NULL;

-- Every mail, from the moment when it was decided on. What it says is made of "about", which holds no content.
CREATE TABLE email_alert_outbox (
    id TEXT PRIMARY KEY,                    -- also the first half of its Message-ID
    key TEXT NOT NULL UNIQUE,               -- event and address: an event that is heard twice makes nothing twice
    address_id TEXT,                        -- empty: an address of the settings (signed heads)
    address TEXT NOT NULL,
    account_id TEXT,
    kind TEXT NOT NULL,                     -- alert, silence, test alert, notice, signed head, test mail
    urgency INTEGER NOT NULL,               -- 0 goes first
    about TEXT NOT NULL,                    -- JSON
    queued_at TEXT NOT NULL,
    due_at TEXT NOT NULL,                   -- since when it may go
    next_at TEXT NOT NULL,                  -- when it is tried next
    tries INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT 'waiting',  -- waiting, sent, refused, given up, dropped, not needed
    done_at TEXT,
    problem TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
CREATE INDEX email_alert_outbox_waiting ON email_alert_outbox (urgency, queued_at, id) WHERE state = 'waiting';
CREATE INDEX email_alert_outbox_waiting_for ON email_alert_outbox (address_id, queued_at) WHERE state = 'waiting';
CREATE INDEX email_alert_outbox_notices ON email_alert_outbox (address_id, due_at) WHERE kind = 'notice';
CREATE INDEX email_alert_outbox_by_account ON email_alert_outbox (account_id, queued_at);
CREATE INDEX email_alert_outbox_by_time ON email_alert_outbox (queued_at);
