"""Which instance a request is about."""

from dataclasses import dataclass
from typing import Self

from cygnid.core.access import Permission
from cygnid.core.db import Read
from cygnid.core.errors import NotFound
from cygnid.core.http import Call
from cygnid.resources.instances import queries
from cygnid.resources.instances.queries import InstanceRow
from cygnid.resources.projects.access import EnvironmentAccess, environment_access, project_access


@dataclass(frozen=True, kw_only=True)
class InstanceAccess(EnvironmentAccess):
    """Proof that the actor may do this to the instance."""

    instance: InstanceRow

    @classmethod
    async def find(cls, read: Read, call: Call, needs: Permission) -> Self:
        """The instance of the path, of the project of the path. Raises as for the project and its environment."""
        project = (await project_access(read, call.actor, call.path["id"], needs)).project
        row = await queries.instance(read, project.id, call.path["instanceId"])
        if row is None:
            raise NotFound
        access = await environment_access(read, call.actor, project.id, row.environment, needs)
        return cls(**vars(access), instance=row)
