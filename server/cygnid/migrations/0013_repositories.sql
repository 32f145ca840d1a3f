SET LOCAL lock_timeout = '5s';

-- What the branches and tags of a project's push repository point to.
CREATE TABLE repository_refs (
    project_id text COLLATE "C" NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    name text COLLATE "C" NOT NULL,                    -- refs/heads/main
    sha text COLLATE "C" NOT NULL,                     -- the commit, or a tag's own object
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (project_id, name)
);

-- Pushes that git is about to store. A row that is left over belongs to one that nobody took note of.
CREATE TABLE repository_pushes (
    id text COLLATE "C" PRIMARY KEY,
    project_id text COLLATE "C" NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    actor jsonb NOT NULL,                              -- the pusher, without a secret
    updates jsonb NOT NULL,                            -- [{name, old, new}]
    request_id text,
    begun_at timestamptz NOT NULL
);
CREATE INDEX repository_pushes_begun ON repository_pushes (begun_at);
CREATE INDEX repository_pushes_project ON repository_pushes (project_id);
