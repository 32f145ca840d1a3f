"""What this machine lets a sandbox hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class SandboxAbility:
    works: bool
    """False: no sandbox can be made here; `notes` says why and what to do."""
    own_user: bool
    cgroups: Literal["v1", "v2", "none"]
    own_network: bool
    overlay: bool
    own_overlay: bool
    """Not only files of its own can an application make in its release, but change and remove what is there."""
    notes: Sequence[str]


NO_USER_NAMESPACES = (
    "user namespaces are refused, so no sandbox can be made ({reason}): allow them with "
    "`sysctl kernel.unprivileged_userns_clone=1` (Debian), `sysctl kernel.apparmor_restrict_unprivileged_userns=0` or "
    "an AppArmor profile for bwrap (Ubuntu), or a container run with `--security-opt seccomp=unconfined`"
)
NOT_ROOT = (
    "not run as root: all applications run as one user, in the machine's network; each process of an application has "
    "its own memory limit, and CPU is not limited; builds give way to them by nice and ionice only. Run as root to "
    "hold them apart"
)
NO_CGROUPS = (
    "no control groups can be made: memory is limited per process only, CPU not at all, and builds give way to "
    "applications by nice and ionice only"
)
NICE_IS_GROUPED = (
    "the kernel may weigh sessions and not programs, and then the nice value of builds counts for little: "
    "`sysctl kernel.sched_autogroup_enabled=0` changes that"
)
NO_OVERLAY = "no overlay file system in a user namespace (Linux ≥ 5.11): applications cannot write into their release"
NO_OWN_OVERLAY = (
    "no mounts with another owner (Linux ≥ 5.19, data on ext4, XFS or Btrfs): applications can write into the top "
    "folder of their release only"
)
NESTED_USERNS = "user namespaces inside of a sandbox cannot be disabled here"
