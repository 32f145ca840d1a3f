SET LOCAL lock_timeout = '5s';

-- Partitions by day, made ahead and dropped by the log writer. An id begins with the milliseconds at which its line was
-- stored, so a range of ids is a range of time. Lines have no foreign key: those of a purged project are seen by nobody
-- and go with their day, and no line waits for a lock on its project.
CREATE TABLE log_lines (
    id text COLLATE "C" NOT NULL,
    timestamp timestamptz NOT NULL,
    project_id text COLLATE "C" NOT NULL,
    environment text,
    source text NOT NULL CHECK (source IN ('build', 'app', 'request', 'system')),
    level text NOT NULL CHECK (level IN ('debug', 'info', 'warn', 'error')),
    stream text CHECK (stream IN ('stdout', 'stderr')),
    message text NOT NULL,
    truncated boolean NOT NULL,
    deployment_id text COLLATE "C",
    step text,
    process text,
    instance_id text COLLATE "C",
    request_id text,
    request text,                                      -- RequestLog as JSON; jsonb cannot be copied in as text
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE INDEX log_lines_project ON log_lines (project_id, id);
CREATE INDEX log_lines_deployment ON log_lines (deployment_id, id) WHERE source IN ('build', 'system');

-- The files that are read. A row goes when its file is closed and read to the end.
CREATE TABLE log_streams (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    path text NOT NULL CONSTRAINT log_streams_path UNIQUE,
    source text NOT NULL CHECK (source IN ('build', 'app', 'request')),
    stream text CHECK (stream IN ('stdout', 'stderr')),
    project_id text COLLATE "C" REFERENCES projects (id) ON DELETE CASCADE,     -- null: lines name their own
    environment text,
    environment_id text COLLATE "C" REFERENCES environments (id) ON DELETE CASCADE,
    deployment_id text COLLATE "C",
    step text,
    process text,
    instance_id text COLLATE "C",
    inode bigint,                                      -- of the file that position belongs to
    position bigint NOT NULL DEFAULT 0,                -- every byte before it is stored
    skipping boolean NOT NULL DEFAULT false,           -- position is inside a line whose rest is dropped
    seq bigint NOT NULL DEFAULT 0,                     -- lines stored
    opened_at timestamptz NOT NULL,
    closed_at timestamptz,
    CHECK ((source = 'request') = (project_id IS NULL))
);
CREATE INDEX log_streams_deployment ON log_streams (deployment_id);

-- What the platform itself says, until the log writer makes lines of it: one writer keeps ids in the order of commits.
CREATE TABLE log_notes (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id text COLLATE "C" NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    environment text,
    level text NOT NULL,
    message text NOT NULL,
    deployment_id text COLLATE "C",
    process text,
    instance_id text COLLATE "C",
    created_at timestamptz NOT NULL
);

-- The milliseconds that the last batch's ids begin with. Its lock lets batches commit one after the other.
CREATE TABLE log_head (single boolean PRIMARY KEY DEFAULT true CHECK (single), ms bigint NOT NULL);
INSERT INTO log_head (ms) VALUES (0);
