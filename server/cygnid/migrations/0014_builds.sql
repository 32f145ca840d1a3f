SET LOCAL lock_timeout = '5s';

-- When a build has left its place in the queue to the next one: with started_at, how long builds take.
ALTER TABLE deployments ADD built_at timestamptz;

CREATE INDEX deployments_unended ON deployments (id) WHERE finished_at IS NULL;
CREATE INDEX deployments_built ON deployments (project_id, built_at DESC) WHERE built_at IS NOT NULL;
