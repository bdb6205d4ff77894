-- A vault is a key pair: what is sealed to it can be opened by its members alone. Its private key exists only sealed to
-- each member's own key (grants). When a member goes, the vault gets a new pair (epoch), which that member never had;
-- sealing always uses the newest. new_key_due_at: a member went while nobody was there who could make the new pair; the
-- next member who signs in makes it.
CREATE TABLE vaults (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    made_at TEXT NOT NULL,
    new_key_due_at TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE vault_epochs (
    vault_id TEXT NOT NULL REFERENCES vaults (id),
    epoch INTEGER NOT NULL,
    public_key BLOB NOT NULL,
    made_at TEXT NOT NULL,
    PRIMARY KEY (vault_id, epoch)
) STRICT, WITHOUT ROWID;

-- Who was admitted. A member without grants (after a new key pair of its own) has to be admitted again.
CREATE TABLE vault_members (
    vault_id TEXT NOT NULL REFERENCES vaults (id),
    account_id TEXT NOT NULL REFERENCES staff_accounts (id),
    admitted_at TEXT NOT NULL,
    admitted_by TEXT NOT NULL,
    PRIMARY KEY (vault_id, account_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE vault_grants (
    vault_id TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    account_id TEXT NOT NULL,
    sealed_key BLOB NOT NULL,
    PRIMARY KEY (vault_id, epoch, account_id),
    FOREIGN KEY (vault_id, epoch) REFERENCES vault_epochs (vault_id, epoch),
    FOREIGN KEY (vault_id, account_id) REFERENCES vault_members (vault_id, account_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX vault_grants_by_account ON vault_grants (account_id);

-- Who can open what is sealed now.
CREATE VIEW vault_openers AS
SELECT held.vault_id, held.account_id, held.epoch
FROM vault_grants held JOIN staff_accounts account ON account.id = held.account_id AND account.state = 'active'
WHERE held.epoch = (SELECT max(epoch) FROM vault_epochs newest WHERE newest.vault_id = held.vault_id);

-- Keys that one member alone holds: without that member, what was sealed to them could never be opened again.
CREATE VIEW vault_sole_grants AS
SELECT held.vault_id, held.account_id, held.epoch FROM vault_grants held
WHERE NOT EXISTS (
    SELECT 1 FROM vault_grants other
    JOIN staff_accounts account ON account.id = other.account_id AND account.state = 'active'
    WHERE other.vault_id = held.vault_id AND other.epoch = held.epoch AND other.account_id <> held.account_id
);
