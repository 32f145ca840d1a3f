SET LOCAL lock_timeout = '5s';

-- The bytes are in the file of this name in the folder `uploads`; what lies there beyond received_bytes does not count.
CREATE TABLE uploads (
    id text COLLATE "C" PRIMARY KEY,
    team_id text COLLATE "C",                          -- of the events; an upload itself belongs to who made it
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'receiving', 'complete', 'expired')),
    content_type text NOT NULL,
    size_bytes bigint NOT NULL CHECK (size_bytes > 0),
    sha256 text NOT NULL,
    received_bytes bigint NOT NULL DEFAULT 0,
    turn integer NOT NULL DEFAULT 0,                   -- raised whenever the file has other bytes
    expires_at timestamptz NOT NULL,
    used_at timestamptz,                               -- a deployment holds it: it does not expire
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    created_by text NOT NULL,
    CHECK (received_bytes BETWEEN 0 AND size_bytes),
    CHECK (status <> 'complete' OR received_bytes = size_bytes)
);
CREATE INDEX uploads_owner ON uploads (created_by);
CREATE INDEX uploads_expiry ON uploads (expires_at) WHERE used_at IS NULL;
