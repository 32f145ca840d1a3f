SET LOCAL lock_timeout = '5s';

CREATE TABLE projects (
    id text COLLATE "C" PRIMARY KEY,
    team_id text COLLATE "C" NOT NULL REFERENCES teams (id),
    name text NOT NULL CONSTRAINT projects_name_taken UNIQUE,
    framework text,
    build jsonb NOT NULL,                              -- BuildSettings as on the wire
    processes jsonb NOT NULL,                          -- ProcessInput[]: what the API wants of each process type
    labels jsonb NOT NULL,
    paused_at timestamptz,
    deleted_at timestamptz,
    purge_at timestamptz,
    status text NOT NULL GENERATED ALWAYS AS (
        CASE WHEN deleted_at IS NOT NULL THEN 'deleted' WHEN paused_at IS NOT NULL THEN 'paused' ELSE 'active' END
    ) STORED,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    created_by text NOT NULL,
    CHECK ((deleted_at IS NULL) = (purge_at IS NULL))
);
CREATE INDEX projects_team ON projects (team_id, created_at DESC, id DESC);
CREATE INDEX projects_purge ON projects (purge_at) WHERE purge_at IS NOT NULL;

CREATE TABLE environments (
    id text COLLATE "C" PRIMARY KEY,
    project_id text COLLATE "C" NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    name text NOT NULL,
    type text NOT NULL CHECK (type IN ('production', 'preview', 'development', 'custom')),
    current_deployment_id text COLLATE "C",            -- what it serves; written by deployments
    latest_deployment_id text COLLATE "C",             -- the newest, live or not; written by deployments
    latest_deployment_status text,
    latest_deployment_at timestamptz,
    url text,                                          -- written by routes; null: no web process
    deleted_at timestamptz,
    purge_at timestamptz,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    created_by text NOT NULL,
    CONSTRAINT environments_name_taken UNIQUE (project_id, name),
    CHECK ((deleted_at IS NULL) = (purge_at IS NULL))
);
CREATE INDEX environments_purge ON environments (purge_at) WHERE purge_at IS NOT NULL;

-- Users of the machine given to what runs: one per environment, one per project for its builds. A number is free again
-- when its owner's files are gone.
CREATE TABLE uid_numbers (
    number integer PRIMARY KEY,
    owner text COLLATE "C" NOT NULL UNIQUE
);
