SET LOCAL lock_timeout = '5s';

ALTER TABLE environments
    ADD COLUMN protected boolean NOT NULL DEFAULT false,             -- what changes it needs a grant there
    ADD COLUMN required_approvals smallint NOT NULL DEFAULT 0 CHECK (required_approvals BETWEEN 0 AND 10);
