SET LOCAL lock_timeout = '5s';

-- What each environment serves.
CREATE TABLE routes (
    environment_id text COLLATE "C" PRIMARY KEY REFERENCES environments (id) ON DELETE CASCADE,
    deployment_id text COLLATE "C" NOT NULL REFERENCES releases (deployment_id) ON DELETE CASCADE,
    switched_at timestamptz NOT NULL
);
CREATE INDEX routes_deployment ON routes (deployment_id);

CREATE TABLE route_versions (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    wanted bigint NOT NULL,                            -- raised by every switch
    confirmed bigint NOT NULL,                         -- what the edge has said it serves
    confirmed_at timestamptz,
    digest text                                        -- of the routes that were confirmed
);
INSERT INTO route_versions (wanted, confirmed) VALUES (0, 0);
