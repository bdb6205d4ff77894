-- What was noticed on the network while somebody had the listening switched on. No row tells what was asked for, and none
-- tells of a person. mac: address of the network card, as aa:bb:cc:dd:ee:ff.

-- Devices that have said where they are. addresses: JSON, address -> when it was last used. device_id: the device of the
-- directory that it is, and matched_by how that is known: browser, name, serial or IT; empty while it is not known.
CREATE TABLE dns_filter_network_devices (
    mac TEXT PRIMARY KEY,
    host TEXT NOT NULL DEFAULT '',
    addresses TEXT NOT NULL DEFAULT '{}',
    first_at TEXT NOT NULL,
    last_at TEXT NOT NULL,
    device_id TEXT,
    matched_by TEXT NOT NULL DEFAULT '' CHECK (matched_by IN ('', 'browser', 'name', 'serial', 'IT'))
) STRICT, WITHOUT ROWID;
CREATE INDEX dns_filter_network_devices_by_time ON dns_filter_network_devices (last_at);

-- Ways around the filter that were taken. who: the mac, or the address where others stand behind the mac.
CREATE TABLE dns_filter_network_attempts (
    who TEXT NOT NULL,
    way TEXT NOT NULL CHECK (way IN ('resolver', 'encrypted', 'doh', 'vpn', 'tunnel')),
    went_to TEXT NOT NULL,
    address TEXT NOT NULL,
    first_at TEXT NOT NULL,
    last_at TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (who, way, went_to)
) STRICT, WITHOUT ROWID;
CREATE INDEX dns_filter_network_attempts_by_time ON dns_filter_network_attempts (last_at);

-- Who tells devices which way to go. resolvers: JSON, the name servers that it announces.
CREATE TABLE dns_filter_network_announcers (
    kind TEXT NOT NULL CHECK (kind IN ('dhcp', 'router', 'dhcp6')),
    mac TEXT NOT NULL,
    address TEXT NOT NULL,
    resolvers TEXT NOT NULL,
    first_at TEXT NOT NULL,
    last_at TEXT NOT NULL,
    PRIMARY KEY (kind, mac)
) STRICT, WITHOUT ROWID;

-- What IT has decided. subject: switch, device WHO or announcer KIND MAC; value: on, off, expected or ours.
CREATE TABLE dns_filter_network_decisions (
    id TEXT PRIMARY KEY,
    subject TEXT NOT NULL,
    value TEXT NOT NULL CHECK (value IN ('on', 'off', 'expected', 'ours')),
    author TEXT NOT NULL,
    reason TEXT NOT NULL,
    set_at TEXT NOT NULL,
    undone_at TEXT,
    undone_by TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX dns_filter_network_decisions_of ON dns_filter_network_decisions (subject, set_at);

-- The open alert about each subject.
CREATE TABLE dns_filter_network_alerts (
    subject TEXT PRIMARY KEY,
    alert_id TEXT NOT NULL,
    last_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
