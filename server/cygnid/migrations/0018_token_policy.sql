SET LOCAL lock_timeout = '5s';

-- What a team asks of the tokens that act in it.
ALTER TABLE teams
    ADD COLUMN max_token_age_days integer CHECK (max_token_age_days BETWEEN 1 AND 3650),   -- null: none
    ADD COLUMN allowed_ips text[] NOT NULL DEFAULT '{}';                                   -- none: any address

-- Rotating makes a token young again. The default is for builds that do not know the column yet.
ALTER TABLE tokens ADD COLUMN secret_created_at timestamptz NOT NULL DEFAULT now();
UPDATE tokens SET secret_created_at = created_at;
