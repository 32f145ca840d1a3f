SET LOCAL lock_timeout = '5s';

CREATE TABLE env_variables (
    id text COLLATE "C" PRIMARY KEY,
    project_id text COLLATE "C" NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    key text COLLATE "C" NOT NULL,
    type text NOT NULL CHECK (type IN ('plain', 'secret', 'file')),
    target text NOT NULL CHECK (target IN ('build', 'runtime', 'both')),
    comment text,
    version integer NOT NULL DEFAULT 1,                -- of what builds and processes see; the newest of env_versions
    revision integer NOT NULL DEFAULT 1,               -- raised by every change, a comment's too
    deleted_at timestamptz,                            -- kept while a deployment has a version of it pinned
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    created_by text NOT NULL,
    updated_by text NOT NULL
);
CREATE INDEX env_variables_project ON env_variables (project_id, key);

CREATE TABLE env_versions (
    variable_id text COLLATE "C" NOT NULL REFERENCES env_variables (id) ON DELETE CASCADE,
    version integer NOT NULL,
    type text NOT NULL,
    target text NOT NULL,
    sealed bytea NOT NULL,
    value_hash text NOT NULL,
    changed_at timestamptz NOT NULL,
    changed_by text NOT NULL,
    PRIMARY KEY (variable_id, version)
);

-- Where a variable counts: one variable for each project, key and environment. Purged environments take their entries
-- with them; `preview`, which covers every environment of that type, belongs to none.
CREATE TABLE env_entries (
    project_id text COLLATE "C" NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    key text COLLATE "C" NOT NULL,
    environment text NOT NULL,
    environment_id text COLLATE "C" REFERENCES environments (id) ON DELETE CASCADE,
    variable_id text COLLATE "C" NOT NULL REFERENCES env_variables (id) ON DELETE CASCADE,
    CONSTRAINT env_entries_overlap PRIMARY KEY (project_id, key, environment)
);
CREATE INDEX env_entries_variable ON env_entries (variable_id);
CREATE INDEX env_entries_environment ON env_entries (environment_id);

-- Deployments that have pinned: also those whose environment had no variable.
CREATE TABLE env_pin_sets (
    deployment_id text COLLATE "C" PRIMARY KEY,
    environment_id text COLLATE "C" NOT NULL REFERENCES environments (id) ON DELETE CASCADE
);
CREATE INDEX env_pin_sets_environment ON env_pin_sets (environment_id);

CREATE TABLE env_pins (
    deployment_id text COLLATE "C" NOT NULL REFERENCES env_pin_sets (deployment_id) ON DELETE CASCADE,
    key text COLLATE "C" NOT NULL,
    variable_id text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    PRIMARY KEY (deployment_id, key),
    FOREIGN KEY (variable_id, version) REFERENCES env_versions (variable_id, version) ON DELETE CASCADE
);
CREATE INDEX env_pins_version ON env_pins (variable_id, version);
