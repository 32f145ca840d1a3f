"""How the processes of a release are decided: pure."""

from typing import Any

import msgspec

from cygnid.build.base import ProcessPlan
from cygnid.resources.instances.schemas import WEB, ProcessSpec, Scale
from cygnid.resources.projects.schemas import HealthCheckInput, ProcessInput
from cygnid.settings import Settings

INSTANCES, CPU, MEMORY_MB = 1, 1.0, 512
"""What a process gets of which nobody said anything."""


def decided(type: str, plan: ProcessPlan | None, named: ProcessInput | None, scale: Scale | None) -> ProcessSpec:  # noqa: A002
    """One of `plan` and `named` has a command."""
    named, scale = named or ProcessInput(type=type), scale or Scale()
    command = named.command or (plan.command if plan else None)
    assert command, type
    check = named.health_check
    if check is None and plan and plan.health_check:
        check = HealthCheckInput(
            path=plan.health_check.path,
            timeout_seconds=plan.health_check.timeout_seconds,
            interval_seconds=plan.health_check.interval_seconds,
        )
    return ProcessSpec(
        type=type,
        command=command,
        port=first(named.port, plan and plan.port, 0 if type == WEB else None),
        protocol=first(named.protocol, plan and plan.protocol, "http1"),
        keep_alive_seconds=first(named.keep_alive_seconds, plan and plan.keep_alive_seconds, 4),
        instances=first(scale.instances, named.instances, plan and plan.instances, INSTANCES),
        cpu=first(scale.cpu, named.cpu, plan and plan.cpu, CPU),
        memory_mb=first(scale.memory_mb, named.memory_mb, plan and plan.memory_mb, MEMORY_MB),
        health_check=check,
        plan=plan,
    )


def is_pending(spec: ProcessSpec, named: ProcessInput | None, scale: Scale) -> bool:
    """Whether a new release of the same plan would run this process otherwise, or not at all. `instances` that the API
    set act at once and wait for nothing."""
    if spec.plan is None and not (named and named.command):
        return True
    coming = decided(spec.type, spec.plan, named, scale)
    if scale.instances is not None:
        coming = msgspec.structs.replace(coming, instances=spec.instances)
    return coming != spec


def platform_env(settings: Settings, project: str, environment: str, deployment_id: str) -> dict[str, str]:
    """What everything that runs in an environment is told of where it is. `project`: its name."""
    return {
        "CYGNI_PROJECT": project,
        "CYGNI_ENVIRONMENT": environment,
        "CYGNI_DEPLOYMENT_ID": deployment_id,
        "CYGNI_URL": settings.url(project, environment),
    }


def first(*values: Any) -> Any:
    """The first that somebody said."""
    return next((value for value in values if value is not None), None)
