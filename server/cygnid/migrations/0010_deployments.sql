SET LOCAL lock_timeout = '5s';

-- What builds have made and is kept, or was kept, on this machine.
CREATE TABLE artifacts (
    project_id text COLLATE "C" NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    digest text COLLATE "C" NOT NULL,
    kind text NOT NULL CHECK (kind IN ('release', 'static')),
    path text NOT NULL,
    size_bytes bigint NOT NULL,
    plan jsonb NOT NULL,                               -- what detection decided
    mounts jsonb NOT NULL,                             -- [folder of ours, where the release expects it]
    env jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    pruned_at timestamptz,                             -- nothing may take it any more
    removed_at timestamptz,                            -- pruned: nothing of it is left on the disk
    PRIMARY KEY (project_id, digest)
);

CREATE TABLE deployments (
    id text COLLATE "C" PRIMARY KEY,
    project_id text COLLATE "C" NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    environment_id text COLLATE "C" NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    environment text NOT NULL,
    type text NOT NULL CHECK (type IN ('deploy', 'redeploy', 'promote', 'rollback', 'configChange', 'restart')),
    trigger text NOT NULL,
    status text NOT NULL CHECK (status IN ('queued', 'building', 'releasing', 'deploying', 'verifying', 'success',
        'failed', 'canceled', 'superseded')),
    strategy text NOT NULL CHECK (strategy IN ('rolling', 'recreate')),
    message text,
    labels jsonb NOT NULL,
    source jsonb NOT NULL,                             -- as on the wire
    upload_id text COLLATE "C",                        -- what is built; null: an artifact is taken
    digest text COLLATE "C",                           -- the artifact, once it is there
    nonce text NOT NULL,                               -- among the artifact's inputs: '' unless the cache is not used
    env_like text COLLATE "C",                         -- the deployment whose variables it pins again
    previous_id text COLLATE "C",                      -- what was current when it started
    steps jsonb NOT NULL,
    failure jsonb,
    released_attempt integer,                          -- the attempt that began the release command: it never runs twice
    was_live boolean NOT NULL DEFAULT false,
    removed_at timestamptz,                            -- deleted by hand: kept for the audit, shown to nobody
    cancel_requested_at timestamptz,
    started_at timestamptz,
    finished_at timestamptz,
    -- due row, see core/work.py
    due_at timestamptz,
    deadline_at timestamptz,
    lease_expires_at timestamptz,
    leased_by text,
    attempt integer NOT NULL DEFAULT 0,
    tries integer NOT NULL DEFAULT 0,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    created_by text NOT NULL,
    FOREIGN KEY (project_id, digest) REFERENCES artifacts (project_id, digest),
    CHECK ((status IN ('success', 'failed', 'canceled', 'superseded')) = (finished_at IS NOT NULL)),
    CHECK ((status = 'failed') = (failure IS NOT NULL))
);
CREATE UNIQUE INDEX deployments_running ON deployments (environment_id)
    WHERE status IN ('building', 'releasing', 'deploying', 'verifying');
CREATE INDEX deployments_due ON deployments (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX deployments_project ON deployments (project_id, created_at DESC, id DESC);
CREATE INDEX deployments_environment ON deployments (environment_id, id DESC);

CREATE TABLE deployment_events (
    number bigserial PRIMARY KEY,
    deployment_id text COLLATE "C" NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    at timestamptz NOT NULL,
    step text,
    status text NOT NULL,
    message text NOT NULL
);
CREATE INDEX deployment_events_deployment ON deployment_events (deployment_id, number);
