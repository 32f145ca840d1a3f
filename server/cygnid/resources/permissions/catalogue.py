"""The permissions as they are shown: what each of them is for."""

from cygnid.core.access import Permission
from cygnid.resources.permissions.schemas import PermissionInfo

DANGEROUS = frozenset(
    {
        Permission.PROJECTS_ADMIN,
        Permission.INSTANCES_EXEC,
        Permission.ENV_REVEAL,
        Permission.BACKUPS_RESTORE,
        Permission.TEAMS_DELETE,
        Permission.ROLES_WRITE,
        Permission.BILLING_WRITE,
        Permission.TOKENS_WRITE,
        Permission.INSTANCE_ADMIN,
    }
)
_DESCRIPTIONS = {
    Permission.PROJECTS_READ: "See projects, their environments, processes and instances.",
    Permission.PROJECTS_WRITE: "Create and change projects, and pause them.",
    Permission.PROJECTS_DELETE: "Delete and restore projects.",
    Permission.PROJECTS_ADMIN: "Change and delete environments, transfer projects, keep git credentials.",
    Permission.DEPLOYMENTS_READ: "See deployments.",
    Permission.DEPLOYMENTS_WRITE: "Deploy, cancel and restart; read the code of a project.",
    Permission.DEPLOYMENTS_PROMOTE: "Make an earlier or another environment's deployment live.",
    Permission.DEPLOYMENTS_APPROVE: "Approve what waits for approval.",
    Permission.DEPLOYMENTS_SCALE: "Change how many instances run, and their size.",
    Permission.DEPLOYMENTS_DELETE: "Delete deployments.",
    Permission.JOBS_READ: "See jobs and schedules.",
    Permission.JOBS_WRITE: "Run commands, and change schedules.",
    Permission.INSTANCES_EXEC: "Run commands inside of a running instance, which sees its secrets.",
    Permission.DOMAINS_READ: "See domains and certificates.",
    Permission.DOMAINS_WRITE: "Add, change and remove domains.",
    Permission.ENV_READ: "See variables, and the values of those that are no secrets.",
    Permission.ENV_WRITE: "Set and remove variables.",
    Permission.ENV_REVEAL: "Read the values of secrets.",
    Permission.VOLUMES_READ: "See volumes.",
    Permission.VOLUMES_WRITE: "Create and change volumes.",
    Permission.VOLUMES_DELETE: "Delete volumes.",
    Permission.SERVICES_READ: "See databases and other services.",
    Permission.SERVICES_WRITE: "Create and change services.",
    Permission.SERVICES_DELETE: "Delete services.",
    Permission.BACKUPS_READ: "See backups.",
    Permission.BACKUPS_WRITE: "Make backups.",
    Permission.BACKUPS_RESTORE: "Restore backups over what is there.",
    Permission.TEAMS_READ: "See the team and its settings.",
    Permission.TEAMS_WRITE: "Change the team and its settings.",
    Permission.TEAMS_DELETE: "Delete and restore the team.",
    Permission.MEMBERS_READ: "See members and invitations, and what a member may do.",
    Permission.MEMBERS_WRITE: "Invite members, change their roles, remove them.",
    Permission.ROLES_READ: "See roles and grants.",
    Permission.ROLES_WRITE: "Make roles and grants out of permissions one has.",
    Permission.BILLING_READ: "See plan, quotas, usage and invoices.",
    Permission.BILLING_WRITE: "Change the plan and budgets.",
    Permission.METRICS_READ: "See metrics.",
    Permission.LOGS_READ: "Read logs.",
    Permission.DRAINS_READ: "See log drains.",
    Permission.DRAINS_WRITE: "Send logs elsewhere.",
    Permission.ALERTS_READ: "See alerts.",
    Permission.ALERTS_WRITE: "Change alerts.",
    Permission.WEBHOOKS_READ: "See webhooks and their deliveries.",
    Permission.WEBHOOKS_WRITE: "Create and change webhooks.",
    Permission.EVENTS_READ: "Read events.",
    Permission.TOKENS_READ: "See tokens, never their secrets.",
    Permission.TOKENS_WRITE: "Make tokens out of permissions one has, and end them.",
    Permission.AUDIT_READ: "Read and verify the audit log.",
    Permission.INSTANCE_ADMIN: "Administer the installation. No role has it: a user is given it, and a token names it.",
}


def catalogue() -> list[PermissionInfo]:
    """All of them, in the order of their nouns."""
    return [
        PermissionInfo(
            name=permission,
            description=_DESCRIPTIONS[permission],
            resource=permission.partition(":")[0],
            action=permission.partition(":")[2],
            dangerous=permission in DANGEROUS,
        )
        for permission in Permission
    ]
