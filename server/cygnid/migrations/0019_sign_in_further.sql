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

-- Devices that wait for somebody to let them in (RFC 8628).
CREATE TABLE device_codes (
    hash bytea PRIMARY KEY,                            -- of the code that the device keeps
    user_code_hash bytea NOT NULL UNIQUE,              -- keyed: it is short
    expires_at timestamptz NOT NULL,
    interval_seconds integer NOT NULL,                 -- how long the device waits between two questions
    asked_at timestamptz,
    is_approved boolean,                               -- null: nobody has decided
    user_id text COLLATE "C" REFERENCES users (id) ON DELETE CASCADE
);

-- Who somebody is at an OpenID Connect provider.
CREATE TABLE identities (
    issuer text NOT NULL,
    subject text NOT NULL,
    user_id text COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX identities_user ON identities (user_id);

-- Sign-ins that a provider has not answered yet.
CREATE TABLE oidc_flows (
    state_hash bytea PRIMARY KEY,
    provider_id text NOT NULL,
    content bytea NOT NULL,                            -- encrypted: PKCE verifier, nonce, where it comes back to
    expires_at timestamptz NOT NULL
);
