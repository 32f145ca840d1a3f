SET LOCAL lock_timeout = '5s';

ALTER TABLE users ADD COLUMN two_factor_enabled boolean NOT NULL DEFAULT false;

-- Apart from `users`, so that no query of people can show it.
CREATE TABLE passwords (
    user_id text COLLATE "C" PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    hash text NOT NULL,                                -- argon2id, with its parameters
    changed_at timestamptz NOT NULL
);

-- Codes and links that were given to somebody and work once.
CREATE TABLE one_time_secrets (
    hash bytea PRIMARY KEY,
    purpose text NOT NULL,
    user_id text COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email text,                                        -- the address that it was sent to
    expires_at timestamptz NOT NULL
);
CREATE INDEX one_time_secrets_user ON one_time_secrets (user_id, purpose);

-- Attempts to sign in, by account and by address. Keyed hashes: what was typed as an address may be a password.
CREATE TABLE sign_in_attempts (
    key bytea PRIMARY KEY,
    attempts integer NOT NULL,
    window_ends_at timestamptz NOT NULL
);
