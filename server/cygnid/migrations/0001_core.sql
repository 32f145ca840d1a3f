SET LOCAL lock_timeout = '5s';

-- What happened: audit row, event and webhook payload in one. `position`, `seq`, `prev_hash`, `hash` are the sealer's.
CREATE TABLE changes (
    number bigserial PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,               -- 26 characters: aud_… and evt_… share them
    type text NOT NULL,
    team_id text COLLATE "C",                          -- the chain; null: the installation's
    project_id text COLLATE "C",
    environment text,
    created_at timestamptz NOT NULL,
    result text NOT NULL CHECK (result IN ('success', 'denied', 'failed')),
    actor_type text NOT NULL,
    actor_id text,
    actor_name text NOT NULL,
    actor_token_id text,
    actor_ip text,
    resource_type text NOT NULL,
    resource_id text,
    resource_name text,
    -- texts, not jsonb: what is hashed must stay byte for byte
    before text,
    after text,
    data text NOT NULL,
    reason text,
    request_id text,
    position bigint UNIQUE,
    seq bigint,
    prev_hash text,
    hash text
);
CREATE INDEX changes_unsealed ON changes (number) WHERE position IS NULL;
CREATE UNIQUE INDEX changes_chain ON changes (team_id, seq) NULLS NOT DISTINCT WHERE seq IS NOT NULL;
CREATE INDEX changes_team ON changes (team_id, created_at DESC, id DESC);
CREATE INDEX changes_resource ON changes (resource_id, created_at DESC);

-- The head of each chain, so that sealing reads one row a team.
CREATE TABLE change_chains (
    team_id text COLLATE "C",
    seq bigint NOT NULL,
    hash text NOT NULL,
    UNIQUE NULLS NOT DISTINCT (team_id)
);
CREATE TABLE change_position (single boolean PRIMARY KEY DEFAULT true CHECK (single), value bigint NOT NULL);
INSERT INTO change_position (value) VALUES (0);

CREATE TABLE idempotency (
    key bytea PRIMARY KEY,                             -- keyed hash of token, method, path and key
    fingerprint bytea NOT NULL,
    status smallint NOT NULL,
    data bytea,                                        -- encrypted answer; null: its secret was dropped
    resource_id text,
    has_secret boolean NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX idempotency_age ON idempotency (created_at);

-- The leader's term: raised by whoever takes the lock.
CREATE TABLE leadership (single boolean PRIMARY KEY DEFAULT true CHECK (single), term bigint NOT NULL, taken_at timestamptz);
INSERT INTO leadership (term) VALUES (0);

-- Facts about this installation that are made once: keys' check values, the uid allocator.
CREATE TABLE installation (name text PRIMARY KEY, value text NOT NULL);
