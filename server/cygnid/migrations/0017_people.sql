SET LOCAL lock_timeout = '5s';

ALTER TABLE teams
    ADD COLUMN allowed_email_domains text[] NOT NULL DEFAULT '{}',
    ADD COLUMN purge_at timestamptz,
    ADD CHECK ((deleted_at IS NULL) = (purge_at IS NULL));
CREATE INDEX teams_purge ON teams (purge_at) WHERE purge_at IS NOT NULL;

-- what is a team's goes with it; its projects are purged before, since they have files
ALTER TABLE roles
    ADD COLUMN description text,
    ADD COLUMN version integer NOT NULL DEFAULT 1,
    ADD COLUMN created_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN created_by text NOT NULL DEFAULT 'system',
    DROP CONSTRAINT roles_team_id_fkey,
    ADD FOREIGN KEY (team_id) REFERENCES teams (id) ON DELETE CASCADE;

ALTER TABLE members
    ALTER COLUMN role_id DROP NOT NULL,                -- null: grants on single projects only
    ADD COLUMN version integer NOT NULL DEFAULT 1,
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN created_by text NOT NULL DEFAULT 'system',
    DROP CONSTRAINT members_team_id_fkey,
    ADD FOREIGN KEY (team_id) REFERENCES teams (id) ON DELETE CASCADE;
CREATE INDEX members_role ON members (role_id);

ALTER TABLE tokens
    DROP CONSTRAINT tokens_team_id_fkey,
    ADD FOREIGN KEY (team_id) REFERENCES teams (id) ON DELETE CASCADE;
ALTER TABLE git_connections
    DROP CONSTRAINT git_connections_team_id_fkey,
    ADD FOREIGN KEY (team_id) REFERENCES teams (id) ON DELETE CASCADE;

-- A role on one project, or in one of its environments, for a member or a token of the team.
CREATE TABLE grants (
    id text COLLATE "C" PRIMARY KEY,
    team_id text COLLATE "C" NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    user_id text COLLATE "C" REFERENCES users (id) ON DELETE CASCADE,
    token_id text COLLATE "C" REFERENCES tokens (id) ON DELETE CASCADE,
    role_id text COLLATE "C" NOT NULL REFERENCES roles (id),
    project_id text COLLATE "C" NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    environment text,                                  -- null: all of them
    expires_at timestamptz,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    CHECK ((user_id IS NULL) <> (token_id IS NULL)),
    -- a later environment of the same name is another one
    FOREIGN KEY (project_id, environment) REFERENCES environments (project_id, name) ON DELETE CASCADE
);
CREATE INDEX grants_user ON grants (user_id, team_id);
CREATE INDEX grants_token ON grants (token_id);
CREATE INDEX grants_project ON grants (project_id);
CREATE INDEX grants_role ON grants (role_id);
CREATE INDEX grants_team ON grants (team_id, created_at DESC, id DESC);
CREATE INDEX grants_expiry ON grants (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE invitations (
    id text COLLATE "C" PRIMARY KEY,
    team_id text COLLATE "C" NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    email text NOT NULL,
    role_id text COLLATE "C" NOT NULL REFERENCES roles (id),
    project_ids text[] NOT NULL DEFAULT '{}',          -- none: the whole team
    secret_hash bytea NOT NULL UNIQUE,
    expires_at timestamptz NOT NULL,
    accepted_at timestamptz,
    revoked_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    created_by text NOT NULL
);
CREATE INDEX invitations_team ON invitations (team_id, created_at DESC, id DESC);
CREATE INDEX invitations_role ON invitations (role_id);

-- Who may what, from which source. Whoever reads it leaves out what has expired: no job is needed for that.
CREATE OR REPLACE VIEW effective_grants AS
SELECT members.user_id, members.team_id, roles.id AS role_id, roles.name AS role_name,
    COALESCE(roles.scopes, '{}') AS scopes, NULL::text COLLATE "C" AS token_id, 'role' AS type, roles.id AS id,
    NULL::text COLLATE "C" AS project_id, NULL::text AS environment, NULL::timestamptz AS expires_at
FROM members
LEFT JOIN roles ON roles.id = members.role_id
JOIN teams ON teams.id = members.team_id AND teams.deleted_at IS NULL
UNION ALL
SELECT grants.user_id, grants.team_id, roles.id, roles.name, roles.scopes, NULL, 'grant', grants.id,
    grants.project_id, grants.environment, grants.expires_at
FROM grants
JOIN roles ON roles.id = grants.role_id
JOIN teams ON teams.id = grants.team_id AND teams.deleted_at IS NULL
JOIN members ON members.team_id = grants.team_id AND members.user_id = grants.user_id
UNION ALL
SELECT NULL, grants.team_id, roles.id, roles.name, roles.scopes, grants.token_id, 'grant', grants.id,
    grants.project_id, grants.environment, grants.expires_at
FROM grants
JOIN roles ON roles.id = grants.role_id
JOIN teams ON teams.id = grants.team_id AND teams.deleted_at IS NULL
WHERE grants.token_id IS NOT NULL;
