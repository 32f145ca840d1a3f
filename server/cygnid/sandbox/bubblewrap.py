"""From a SandboxSpec to bubblewrap's arguments: pure, so that what a tenant can see is read in one place."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cygnid.sandbox.spec import SandboxSpec

STATUS_FD, INFO_FD, BLOCK_FD, ARGUMENTS_FD, INHERITED_FD = 3, 4, 5, 6, 7

_ETC = (
    "alternatives",
    "ca-certificates",
    "crypto-policies",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "nsswitch.conf",
    "pki",
    "protocols",
    "services",
    "ssl",
    "timezone",
)
_SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")


@dataclass(frozen=True, kw_only=True)
class Host:
    """What of the machine's own tree a sandbox shows, and which of bubblewrap's features the kernel allows."""

    links: tuple[tuple[str, str], ...]
    """(/bin, usr/bin) where /usr is merged."""
    folders: tuple[str, ...]
    etc: tuple[str, ...]
    overlay: bool = True
    own_overlay: bool = True
    """The sandbox's user owns what is below its overlay, and so can change it there."""
    disable_userns: bool = True

    @classmethod
    def look(cls, *, overlay: bool, own_overlay: bool, disable_userns: bool) -> "Host":
        return cls(
            links=tuple((path, os.readlink(path)) for path in _SYSTEM if Path(path).is_symlink()),
            folders=("/usr", *(path for path in _SYSTEM if Path(path).is_dir() and not Path(path).is_symlink())),
            etc=tuple(f"/etc/{name}" for name in _ETC if Path("/etc", name).exists()),
            overlay=overlay,
            own_overlay=own_overlay,
            disable_userns=disable_userns,
        )


def identity_files(*, uid: int, resolvers: Sequence[str]) -> dict[str, bytes]:
    """The files of /etc that name the one user there is (getpwuid(3) of an unknown uid fails in Python and Node) and
    the resolvers that this network reaches."""
    return {
        "/etc/passwd": f"app:x:{uid}:{uid}:app:/data:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n".encode(),
        "/etc/group": f"app:x:{uid}:\nnogroup:x:65534:\n".encode(),
        "/etc/hosts": b"127.0.0.1 localhost app\n::1 localhost app\n",
        "/etc/hostname": b"app\n",
        "/etc/resolv.conf": "".join(f"nameserver {address}\n" for address in resolvers).encode(),
    }


def options(spec: SandboxSpec, host: Host, identity: Iterable[str]) -> list[str]:
    """The options of bubblewrap. Files are read from the descriptors after the inherited ones: those of `identity`
    first, then of `spec.files`, in order.

    Options go to bubblewrap through `--args FD`, a memfd, and not on its command line: `--setenv` would show there.
    The environment is set by bubblewrap and not inherited by it: bubblewrap itself still runs outside of the sandbox,
    where a tenant's LD_PRELOAD must mean nothing."""
    words: list[str] = ["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    if host.disable_userns:
        words += ["--disable-userns"]
    if spec.network == "none":
        words += ["--unshare-net"]
    # a session of its own: the app's process group can be signalled without its watcher outside
    words += ["--new-session", "--hostname", "app"]
    words += ["--json-status-fd", str(STATUS_FD), "--info-fd", str(INFO_FD), "--block-fd", str(BLOCK_FD)]
    for path, target in host.links:
        words += ["--symlink", target, path]
    for path in (*host.folders, *host.etc):
        words += ["--ro-bind", path, path]
    words += ["--proc", "/proc", "--dev", "/dev", "--dir", "/var"]
    mounted = {mount.target for mount in spec.mounts}
    half = spec.limits.memory_mb * 1024 * 1024 // 2
    if "/tmp" not in mounted:  # noqa: S108  the sandbox's own
        words += ["--size", str(half), "--perms", "1777", "--tmpfs", "/tmp"]  # noqa: S108
    words += ["--symlink", "../tmp", "/var/tmp"]  # noqa: S108
    if spec.files:
        words += ["--perms", "0755", "--tmpfs", "/run/cygni"]
    fd = INHERITED_FD + spec.inherited
    for target in identity:
        words += ["--perms", "0444", "--file", str(fd), target]
        fd += 1
    for target in spec.files:
        words += ["--perms", "0400", "--file", str(fd), target]
        fd += 1
    if spec.overlay is not None:
        lower, target = spec.overlay
        upper, work = overlay_folders(spec.folder)
        if host.overlay:
            words += ["--overlay-src", str(lower), "--overlay", str(upper), str(work), target]
        else:
            words += ["--ro-bind", str(lower), target]
    for mount in spec.mounts:
        words += ["--bind" if mount.writable else "--ro-bind", str(mount.source), mount.target]
    words += ["--remount-ro", "/", "--chdir", spec.cwd, "--clearenv"]
    for key, value in spec.env.items():
        words += ["--setenv", key, value]
    return words


def overlay_folders(folder: Path) -> tuple[Path, Path]:
    """Where an overlay's writes go, and the empty folder that the kernel wants beside it."""
    return folder / "overlay" / "upper", folder / "overlay" / "work"
