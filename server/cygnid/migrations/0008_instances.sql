SET LOCAL lock_timeout = '5s';

-- What a deployment runs, all decided: instances are started from it, after a reboot too.
CREATE TABLE releases (
    deployment_id text COLLATE "C" PRIMARY KEY,
    project_id text COLLATE "C" NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    environment_id text COLLATE "C" NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    environment text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('release', 'static')),
    path text NOT NULL,
    root text NOT NULL,
    mounts jsonb NOT NULL,                             -- [[source, target]]
    env jsonb NOT NULL,                                -- of the artifact; the deployment's variables come from env
    fallback text,
    processes jsonb NOT NULL,                          -- ProcessSpec[]
    created_at timestamptz NOT NULL
);
CREATE INDEX releases_project ON releases (project_id);
CREATE INDEX releases_environment ON releases (environment_id);

-- The process types of an environment. What the API scaled outlives the release that ran then.
CREATE TABLE processes (
    id text COLLATE "C" PRIMARY KEY,
    project_id text COLLATE "C" NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    environment_id text COLLATE "C" NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    environment text NOT NULL,
    type text NOT NULL,
    deployment_id text COLLATE "C" REFERENCES releases (deployment_id) ON DELETE SET NULL, -- null: what is live has none
    instances integer,                                 -- set by API; null: as the release says
    cpu double precision,
    memory_mb integer,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    UNIQUE (environment_id, type)
);
CREATE INDEX processes_project ON processes (project_id);
CREATE INDEX processes_deployment ON processes (deployment_id);

CREATE TABLE instances (
    id text COLLATE "C" PRIMARY KEY,
    deployment_id text COLLATE "C" NOT NULL REFERENCES releases (deployment_id) ON DELETE CASCADE,
    project_id text COLLATE "C" NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    environment_id text COLLATE "C" NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    environment text NOT NULL,
    process text NOT NULL,
    protocol text NOT NULL,
    on_trial boolean NOT NULL,                         -- its deployment judges it: not checked, not started again
    status text NOT NULL CHECK (status IN ('starting', 'running', 'unhealthy', 'stopping', 'stopped', 'crashed')),
    host text,
    port integer,
    node text NOT NULL DEFAULT '',
    started_at timestamptz,                            -- null: not started since it was last wanted
    restarts integer NOT NULL DEFAULT 0,
    crashes integer NOT NULL DEFAULT 0,                -- in a row
    retry_at timestamptz,                              -- crashed: when it is started again
    ailing boolean NOT NULL DEFAULT false,             -- unhealthy for so long that it is to be started again
    exit_at timestamptz,
    exit_code integer,
    exit_signal text,
    exit_reason text CHECK (exit_reason IN ('exited', 'crashed', 'outOfMemory', 'stopped', 'unhealthy')),
    message text,                                      -- why it could not be started
    retired_at timestamptz,                            -- not wanted any more
    drain boolean NOT NULL DEFAULT false,              -- retired: its open connections are waited for
    left_routes_at timestamptz,                        -- retired: the edge has confirmed that it sends nothing more
    forgotten_at timestamptz,                          -- retired: nothing of it is left on the machine
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX instances_held ON instances (id) WHERE forgotten_at IS NULL;
CREATE INDEX instances_forgotten ON instances (forgotten_at) WHERE forgotten_at IS NOT NULL;
CREATE INDEX instances_environment ON instances (environment_id, created_at DESC, id DESC);
CREATE INDEX instances_deployment ON instances (deployment_id);
CREATE INDEX instances_project ON instances (project_id);

-- The environments of which something is left on the machine: they are not purged before it is gone.
CREATE VIEW occupied_environments AS
SELECT DISTINCT environment_id FROM instances WHERE forgotten_at IS NULL;
