SET LOCAL lock_timeout = '5s';

-- What a team has used of its plan, where that is no row of its own to count; and whether it was told.
CREATE TABLE quota_uses (
    team_id text COLLATE "C" NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    name text NOT NULL,
    starts_at timestamptz NOT NULL,                    -- of the day or month it counts in
    used bigint NOT NULL DEFAULT 0,                    -- bytes of log lines, seconds of builds
    exceeded_at timestamptz,                           -- when something was first refused in it
    PRIMARY KEY (team_id, name, starts_at)
);
