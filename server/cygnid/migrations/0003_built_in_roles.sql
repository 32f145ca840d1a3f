SET LOCAL lock_timeout = '5s';

-- Built-in roles have the same ids in every installation. A permission that comes later needs a migration of its own.
INSERT INTO roles (id, team_id, name, scopes) VALUES
    ('role_00000000000000000000000001', NULL, 'owner', string_to_array(
        'alerts:read alerts:write audit:read backups:read backups:restore backups:write billing:read '
        'billing:write deployments:approve deployments:delete deployments:promote deployments:read '
        'deployments:scale deployments:write domains:read domains:write drains:read drains:write env:read '
        'env:reveal env:write events:read instances:exec jobs:read jobs:write logs:read members:read '
        'members:write metrics:read projects:admin projects:delete projects:read projects:write roles:read '
        'roles:write services:delete services:read services:write teams:delete teams:read teams:write '
        'tokens:read tokens:write volumes:delete volumes:read volumes:write webhooks:read webhooks:write',
        ' ')),
    ('role_00000000000000000000000002', NULL, 'admin', string_to_array(
        'alerts:read alerts:write audit:read backups:read backups:restore backups:write billing:read '
        'deployments:approve deployments:delete deployments:promote deployments:read deployments:scale '
        'deployments:write domains:read domains:write drains:read drains:write env:read env:reveal env:write '
        'events:read instances:exec jobs:read jobs:write logs:read members:read members:write metrics:read '
        'projects:admin projects:delete projects:read projects:write roles:read roles:write services:delete '
        'services:read services:write teams:read teams:write tokens:read tokens:write volumes:delete '
        'volumes:read volumes:write webhooks:read webhooks:write',
        ' ')),
    ('role_00000000000000000000000003', NULL, 'viewer', string_to_array(
        'deployments:read domains:read events:read jobs:read logs:read members:read metrics:read '
        'projects:read teams:read',
        ' ')),
    ('role_00000000000000000000000004', NULL, 'developer', string_to_array(
        'alerts:read deployments:approve deployments:delete deployments:promote deployments:read '
        'deployments:scale deployments:write domains:read domains:write drains:read env:read env:write '
        'events:read jobs:read jobs:write logs:read members:read metrics:read projects:read projects:write '
        'roles:read services:read services:write teams:read volumes:read volumes:write webhooks:read '
        'webhooks:write',
        ' ')),
    ('role_00000000000000000000000005', NULL, 'deployer', string_to_array(
        'deployments:read deployments:write events:read logs:read metrics:read projects:read',
        ' ')),
    ('role_00000000000000000000000006', NULL, 'operator', string_to_array(
        'alerts:read alerts:write backups:read backups:restore backups:write deployments:promote '
        'deployments:read deployments:scale domains:read events:read instances:exec jobs:read logs:read '
        'members:read metrics:read projects:read teams:read',
        ' ')),
    ('role_00000000000000000000000007', NULL, 'billing', string_to_array(
        'billing:read billing:write events:read members:read projects:read teams:read',
        ' ')),
    ('role_00000000000000000000000008', NULL, 'auditor', string_to_array(
        'alerts:read audit:read backups:read billing:read deployments:read domains:read drains:read '
        'events:read jobs:read logs:read members:read metrics:read projects:read roles:read services:read '
        'teams:read tokens:read volumes:read webhooks:read',
        ' '));
