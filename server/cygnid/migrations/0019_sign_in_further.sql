SET LOCAL lock_timeout = '5s';

-- Mail to be sent; a row is gone once a server has taken it, or nobody will.
CREATE TABLE mails (
    id text COLLATE "C" PRIMARY KEY,
    content bytea NOT NULL,                            -- encrypted: it holds links that let somebody in
    created_at timestamptz NOT NULL,
    due_at timestamptz,
    deadline_at timestamptz,                           -- what it says has ended then
    lease_expires_at timestamptz,
    leased_by text,
    attempt integer NOT NULL DEFAULT 0,
    tries integer NOT NULL DEFAULT 0
);
CREATE INDEX mails_due ON mails (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE second_factors (
    user_id text COLLATE "C" PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    secret bytea NOT NULL,                             -- encrypted
    confirmed_at timestamptz,                          -- null: not asked for yet
    last_step bigint NOT NULL DEFAULT 0                -- of the last code that was taken: none is taken twice
);
CREATE TABLE recovery_codes (
    user_id text COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash bytea NOT NULL,                               -- keyed: a code is short
    PRIMARY KEY (user_id, hash)
);
