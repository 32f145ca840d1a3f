"""What git may do with a push repository: its configuration, its environment and its sandbox. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cygnid.sandbox.bubblewrap import INHERITED_FD
from cygnid.sandbox.spec import Limits, Mount, SandboxSpec

REPOSITORY, HOOKS = "/repository.git", "/hooks"
"""Where the sandbox shows the one repository and our hooks."""
HOOK = f"""#!/bin/sh
# Hands on which references are to change, and prints what is answered: lines begin with a space, the end is 0 or 1.
{{ echo "${{0##*/}}"; cat; echo; }} >&{INHERITED_FD} || exit 1
while IFS= read -r line <&{INHERITED_FD}; do
    case $line in
        0) exit 0 ;;
        1) exit 1 ;;
    esac
    printf '%s\\n' "${{line# }}"
done
exit 1
"""
HOOK_NAMES = ("pre-receive", "post-receive")
_CONFIG: Sequence[tuple[str, str]] = (
    ("core.hooksPath", HOOKS),
    ("core.fsmonitor", "false"),
    ("core.logAllRefUpdates", "false"),
    ("core.bigFileThreshold", "16m"),  # larger files are streamed, not held
    ("core.deltaBaseCacheLimit", "32m"),
    ("pack.threads", "1"),
    ("pack.windowMemory", "64m"),
    ("gc.auto", "0"),  # its time and memory are not the pusher's: `collect`
    ("receive.autogc", "false"),
    ("maintenance.auto", "false"),
    ("http.getanyfile", "false"),
    ("http.receivepack", "true"),
    ("http.uploadpack", "true"),
    ("protocol.allow", "never"),
    ("receive.denyDeleteCurrent", "ignore"),  # HEAD means nothing here
    ("receive.unpackLimit", "1"),  # a pack stays one: loose objects would be inflated whole in memory
    ("receive.fsckObjects", "true"),
    *((f"receive.fsck.{name}", "error") for name in ("hasDot", "hasDotdot", "hasDotgit", "fullPathname", "nullSha1")),
    ("transfer.hideRefs", "refs"),
    ("transfer.hideRefs", "!refs/heads"),
    ("transfer.hideRefs", "!refs/tags"),
)


@dataclass(frozen=True, kw_only=True)
class RepositoryLimits:
    push_bytes: int = 512 << 20
    """Of one pack."""
    repository_bytes: int = 2 << 30
    memory_mb: int = 512
    seconds: float = 3 * 3600.0
    """Of one request, with the deployment whose log it shows."""
    collect_seconds: float = 600.0


def config(*, push_bytes: int) -> Sequence[tuple[str, str]]:
    return (*_CONFIG, ("receive.maxInputSize", str(max(1, push_bytes))))


def environment(*, push_bytes: int, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The whole environment. Configuration by environment precedes that of the repository."""
    found = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": "/tmp",  # noqa: S108  the sandbox's own
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
    }
    entries = config(push_bytes=push_bytes)
    found["GIT_CONFIG_COUNT"] = str(len(entries))
    for number, (key, value) in enumerate(entries):
        found |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return {**found, **(extra or {})}


def cgi(*, method: str, service: str, path: str, headers: Mapping[str, str], user: str) -> dict[str, str]:
    """The variables of one request (RFC 3875) as `git http-backend` reads them. `path`: below the repository.
    Without CONTENT_LENGTH it reads to the end, so that a body may come in chunks."""
    found = {
        "GIT_PROJECT_ROOT": "/",
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": f"{REPOSITORY}/{path}",
        "REQUEST_METHOD": method,
        "QUERY_STRING": f"service={service}" if method == "GET" else "",
        "REMOTE_USER": user,
    }
    for name, variable in (
        ("content-type", "CONTENT_TYPE"),
        ("content-encoding", "HTTP_CONTENT_ENCODING"),
        ("git-protocol", "HTTP_GIT_PROTOCOL"),
    ):
        if name in headers:
            found[variable] = headers[name]
    return found


def sandbox(
    argv: Sequence[str],
    *,
    name: str,
    folder: Path,
    repository: Path,
    hooks: Path,
    uid: int | None,
    env: Mapping[str, str],
    limits: RepositoryLimits,
    writable: bool,
    inherited: int = 0,
) -> SandboxSpec:
    """One git command that sees this repository, whose configuration it cannot change, and no other file of ours."""
    return SandboxSpec(
        name=name,
        folder=folder,
        argv=tuple(argv),
        env=env,
        cwd="/",
        uid=uid,
        limits=Limits(
            cpu=1.0,
            memory_mb=limits.memory_mb,
            pids=64,
            disk_mb=(limits.repository_bytes + limits.push_bytes) // 1_000_000 if writable else None,
        ),
        mounts=(
            Mount(source=repository, target=REPOSITORY, writable=writable),
            Mount(source=repository / "config", target=f"{REPOSITORY}/config"),
            Mount(source=repository / "info", target=f"{REPOSITORY}/info"),
            Mount(source=hooks, target=HOOKS),
        ),
        network="none",
        inherited=inherited,
        stdout=folder / "output",
        stderr=folder / "errors",
    )
