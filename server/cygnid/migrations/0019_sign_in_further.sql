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
