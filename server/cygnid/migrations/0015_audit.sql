SET LOCAL lock_timeout = '5s';

-- What checkpoints are signed with. The public half is computed from the sealed one: a database alone makes no key.
CREATE TABLE audit_keys (
    id text COLLATE "C" PRIMARY KEY,
    secret bytea NOT NULL,
    created_at timestamptz NOT NULL
);

-- Heads of chains as they were then, signed.
CREATE TABLE audit_checkpoints (
    id text COLLATE "C" PRIMARY KEY,
    team_id text COLLATE "C",                          -- the chain; null: the installation's
    seq bigint NOT NULL,
    hash text NOT NULL,
    signed_at timestamptz NOT NULL,
    key_id text COLLATE "C" NOT NULL,
    public_key text NOT NULL,                          -- for who checks it elsewhere
    signature text NOT NULL,
    CONSTRAINT audit_checkpoints_chain UNIQUE NULLS NOT DISTINCT (team_id, seq)
);
CREATE INDEX audit_checkpoints_time ON audit_checkpoints (team_id, signed_at DESC, id DESC);

ALTER TABLE change_chains ADD COLUMN signed_seq bigint NOT NULL DEFAULT 0, ADD COLUMN signed_at timestamptz;

-- Of what the row has beside the audit row, so that verifying finds an altered byte in any column; null: sealed before.
ALTER TABLE changes ADD COLUMN stored_hash text;
CREATE INDEX changes_pruned ON changes (team_id, number DESC) WHERE type = 'audit.pruned';
