SET LOCAL lock_timeout = '5s';

CREATE TABLE users (
    id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    email text UNIQUE,                                 -- null: made by `up`, not completed yet
    email_verified boolean NOT NULL DEFAULT false,
    is_instance_admin boolean NOT NULL DEFAULT false,
    preferences jsonb NOT NULL DEFAULT '{}',
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE teams (
    id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    slug text NOT NULL CONSTRAINT teams_slug_taken UNIQUE,
    plan text NOT NULL CHECK (plan IN ('free', 'pro', 'enterprise')),
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    created_by text NOT NULL,
    deleted_at timestamptz
);

CREATE TABLE roles (
    id text COLLATE "C" PRIMARY KEY,
    team_id text COLLATE "C" REFERENCES teams (id),    -- null: built in
    name text NOT NULL,
    scopes text[] NOT NULL,
    UNIQUE NULLS NOT DISTINCT (team_id, name)
);

CREATE TABLE members (
    id text COLLATE "C" PRIMARY KEY,
    team_id text COLLATE "C" NOT NULL REFERENCES teams (id),
    user_id text COLLATE "C" NOT NULL REFERENCES users (id),
    role_id text COLLATE "C" NOT NULL REFERENCES roles (id),
    created_at timestamptz NOT NULL,
    UNIQUE (team_id, user_id)
);
CREATE INDEX members_user ON members (user_id);

CREATE TABLE tokens (
    id text COLLATE "C" PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('personal', 'team', 'deploy', 'session')),
    name text NOT NULL,
    team_id text COLLATE "C" REFERENCES teams (id),
    user_id text COLLATE "C" REFERENCES users (id),
    project_id text COLLATE "C",
    environment text,
    secret_hash bytea NOT NULL UNIQUE,
    prefix text NOT NULL,
    last4 text NOT NULL,
    previous_secret_hash bytea UNIQUE,
    previous_secret_expires_at timestamptz,
    scopes text[] NOT NULL,
    allowed_ips text[] NOT NULL DEFAULT '{}',
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    last_used_ip text,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    created_by text NOT NULL,
    CHECK ((kind IN ('personal', 'session')) = (user_id IS NOT NULL)),
    CHECK ((kind IN ('team', 'deploy')) = (team_id IS NOT NULL)),
    CHECK ((kind = 'deploy') = (project_id IS NOT NULL))
);
CREATE INDEX tokens_team ON tokens (team_id);
CREATE INDEX tokens_user ON tokens (user_id);

-- Who may what, from which source. Custom roles and grants join this union when they come.
CREATE VIEW effective_grants AS
SELECT members.user_id, members.team_id, roles.id AS role_id, roles.name AS role_name, roles.scopes
FROM members
JOIN roles ON roles.id = members.role_id
JOIN teams ON teams.id = members.team_id AND teams.deleted_at IS NULL;
