SET LOCAL lock_timeout = '5s';

-- What each worker says of itself every few seconds. Who falls silent is gone, whatever its row says.
CREATE TABLE workers (
    id text COLLATE "C" PRIMARY KEY,
    build text NOT NULL,
    started_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,                      -- the database's clock: workers' clocks differ
    is_leader boolean NOT NULL,
    edge text NOT NULL CHECK (edge IN ('running', 'stopped')),
    overdue_seconds double precision NOT NULL          -- how long the oldest due row waits for somebody to take it
);
