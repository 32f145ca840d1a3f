SET LOCAL lock_timeout = '5s';

CREATE TABLE git_connections (
    id text COLLATE "C" PRIMARY KEY,
    team_id text COLLATE "C" NOT NULL REFERENCES teams (id),
    name text NOT NULL,
    provider text NOT NULL CHECK (provider IN ('generic')),
    host text NOT NULL,                                -- the only one that the secret is shown to; with :port if it has one
    auth_type text NOT NULL CHECK (auth_type IN ('token', 'sshKey')),
    username text,
    public_key text,                                   -- of an ssh key, as for authorized_keys
    secret bytea NOT NULL,                             -- sealed: the token, or the private key
    known_hosts text NOT NULL DEFAULT '',              -- what the host's key was when it was first seen
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    created_by text NOT NULL,
    CHECK ((auth_type = 'sshKey') = (public_key IS NOT NULL))
);
CREATE INDEX git_connections_team ON git_connections (team_id, created_at DESC, id DESC);

ALTER TABLE projects
    ADD source jsonb,                                  -- ProjectSource as on the wire; null: uploads and git push only
    ADD connection_id text COLLATE "C" GENERATED ALWAYS AS (source ->> 'connectionId') STORED
        CONSTRAINT projects_connection REFERENCES git_connections (id);
CREATE INDEX projects_connection ON projects (connection_id) WHERE connection_id IS NOT NULL;

ALTER TABLE environments
    ADD branch text,                                   -- null: production follows the project's default, others none
    ADD auto_deploy boolean NOT NULL DEFAULT true,
    ADD followed_sha text;                             -- the last head of its branch that was taken note of

ALTER TABLE deployments
    ADD commit_sha text COLLATE "C",                   -- what is built; null: whatever the branch or tag is then
    ADD commit jsonb;                                  -- as on the wire, once it is there
CREATE INDEX deployments_commit ON deployments (commit_sha, project_id) WHERE commit_sha IS NOT NULL;

-- Projects whose source is looked at for new commits: due rows, see core/work.py. The id is the project's.
CREATE TABLE git_watches (
    id text COLLATE "C" PRIMARY KEY REFERENCES projects (id) ON DELETE CASCADE,
    failures integer NOT NULL DEFAULT 0,               -- looks in a row that failed
    error text,                                        -- why the last one did
    looked_at timestamptz,
    due_at timestamptz,
    deadline_at timestamptz,
    lease_expires_at timestamptz,
    leased_by text,
    attempt integer NOT NULL DEFAULT 0,
    tries integer NOT NULL DEFAULT 0
);
CREATE INDEX git_watches_due ON git_watches (due_at) WHERE due_at IS NOT NULL;
