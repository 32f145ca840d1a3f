"""The script that starts the edge: the worker runs it, and so may anyone while the control plane is down. Pure."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Program:
    """One process of the edge. Its pid file is `<name>.pid`: pid, start time, boot id."""

    name: str
    log: str
    socket: Path
    """Left behind by a killed process; removed before the start."""
    command: tuple[str, ...]


# Links inside a release could name other tenants' files: on this mount none is followed. Where no mount can be made
# (an ordinary user, some containers) what remains is that sealing a release refused such links.
_CONFINE = (
    'mount --bind "$1" "$1" && mount -o remount,bind,ro,nosymfollow,nosuid,nodev,noexec "$1" && shift && exec "$@"'
)

_SCRIPT = """\
#!/bin/sh
# Starts the edge from the files saved in this folder and leaves alone what already runs.
# Needs nothing else of the platform: no database, no worker.
set -eu
cd {folder}
umask 077
exec 9>start.lock
flock 9
boot=$(cat /proc/sys/kernel/random/boot_id)
ulimit -n "$(ulimit -H -n)"

# When the process with this pid began; nothing for one that has ended.
began() {{
    stat=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) || return 0
    set -- $stat
    [ "$1" = Z ] || echo "${{20}}"
}}

runs() {{
    [ -s "$1.pid" ] || return 1
    read -r pid start booted <"$1.pid"
    [ "$booted" = "$boot" ] && [ "$(began "$pid")" = "$start" ]
}}

# launch NAME LOG SOCKET COMMAND...: in a session of its own, so that it outlives whoever calls this. The child holds
# the lock until its pid file is there.
launch() {{
    name=$1 log=$2 socket=$3
    shift 3
    if runs "$name"; then return 0; fi
    rm -f "$socket"
    setsid sh -c '
        name=$1
        shift
        set -- "$(sed "s/.*) //" /proc/$$/stat | cut -d " " -f 20)" "$@"
        echo "$$ $1 $(cat /proc/sys/kernel/random/boot_id)" >"$name.pid.new"
        mv "$name.pid.new" "$name.pid"
        shift
        exec 9>&-
        exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
    ' sh "$name" "$@" </dev/null >>"$log" 2>&1 &
}}

# confined FOLDER COMMAND...: as launch's COMMAND, with FOLDER read-only and without links where that is possible.
confine={confine}
if unshare --mount --propagation private sh -c "$confine" sh {releases} true 2>/dev/null; then
    confined="unshare --mount --propagation private sh -c"
else
    confined=
    echo "this machine gives no mount of its own: links inside releases are followed" >>{files_log}
fi

{launches}

# Return when every pid file is written.
exec 9>&-
flock start.lock true
"""


def start_script(*, folder: Path, releases: Path, envoy: Program, files: Program) -> str:
    launches = "\n".join(
        [
            'if [ -n "$confined" ]; then',
            f'    launch {_words(files)} $confined "$confine" sh {_quote(releases)} {shlex.join(files.command)}',
            "else",
            f"    launch {_words(files)} {shlex.join(files.command)}",
            "fi",
            f"launch {_words(envoy)} {shlex.join(envoy.command)}",
        ]
    )
    return _SCRIPT.format(
        folder=_quote(folder),
        releases=_quote(releases),
        confine=shlex.quote(_CONFINE),
        files_log=shlex.quote(files.log),
        launches=launches,
    )


def as_user(uid: int | None, gid: int | None, *, low_port: bool = False) -> Sequence[str]:
    """What to put before a command that runs as another user; nothing for an ordinary user."""
    if uid is None:
        return ()
    bind = ("--inh-caps=+net_bind_service", "--ambient-caps=+net_bind_service") if low_port else ()
    return ("setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--no-new-privs", *bind, "--")


def _words(program: Program) -> str:
    return shlex.join((program.name, program.log, str(program.socket)))


def _quote(path: Path) -> str:
    return shlex.quote(str(path))
