SET LOCAL lock_timeout = '5s';

ALTER TABLE deployments
    DROP CONSTRAINT deployments_status_check,
    ADD CONSTRAINT deployments_status_check CHECK (status IN ('awaitingApproval', 'queued', 'building', 'releasing',
        'deploying', 'verifying', 'success', 'failed', 'canceled', 'superseded')),
    ADD COLUMN approvals_required smallint NOT NULL DEFAULT 0;       -- as the environment asked when it was made

CREATE TABLE approvals (
    deployment_id text COLLATE "C" NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    user_id text COLLATE "C" NOT NULL REFERENCES users (id),
    comment text,
    at timestamptz NOT NULL,
    PRIMARY KEY (deployment_id, user_id)
);
