"""What git is told: its arguments, its configuration, its environment; and what its last words mean. Pure.

Everything that a tenant chose stands behind `--` or in the configuration, quoted; nothing passes a shell.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cygnid.source.base import GitRemote, SourceInvalid, SourceUnavailable
from cygnid.source.git_url import GitUrl

WORK, RUN = "/work", "/run/cygni"
GIT_DIR = f"{WORK}/git"
CONFIG, KEY, KNOWN_HOSTS = f"{RUN}/gitconfig", f"{RUN}/key", f"{WORK}/known_hosts"
HEAD, SINCE = "refs/cygni/head", "refs/cygni/since"
LFS = b"version https://git-lfs.github.com/spec/v1"
_FORMAT = "--format=%H%x00%an%x00%ae%x00%ct%x00%B"
_HELPER = (
    '!f() { test "$1" = get && printf \'username=%s\\npassword=%s\\n\' "$CYGNI_GIT_USER" "$CYGNI_GIT_PASSWORD"; }; f'
)
"""The only thing that is a shell's: a constant. The values are in the environment of git alone."""
_ANYBODY = "git"
"""Hosts that go by the token alone take any user name; some refuse an empty one."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where git may connect to: the addresses that were judged, and no other."""

    url: GitUrl
    addresses: Sequence[str]


def config(target: Target, remote: GitRemote | None, *, ca_file: str | None = None) -> bytes:
    """The one configuration file that is read. `remote`: None for a repository on this machine."""
    url = target.url
    sections = [
        ("core", {"hooksPath": "/dev/null", "fsmonitor": "false", "bigFileThreshold": "16m"}),
        ("safe", {"directory": "*"}),  # one of ours belongs to another user
        ("protocol", {"version": "2", "allow": "never"}),
        (f'protocol "{url.scheme}"', {"allow": "always"}),
        ("fetch", {"recurseSubmodules": "false", "writeCommitGraph": "false", "unpackLimit": "1", **_quiet(target)}),
        ("transfer", {"bundleURI": "false", "credentialsInUrl": "die"}),
        ("gc", {"auto": "0"}),
        ("maintenance", {"auto": "false"}),
        ("pack", {"threads": "1", "windowMemory": "64m"}),
    ]
    if url.scheme in ("https", "http"):
        # also keeps a server from naming other places by http-alternates
        http = {"followRedirects": "false", "lowSpeedLimit": "1000", "lowSpeedTime": "30"}
        addresses = ",".join(f"[{text}]" if ":" in text else text for text in target.addresses)
        http["curloptResolve"] = f"{url.host}:{url.port}:{addresses}"
        if ca_file is not None:
            http["sslCAInfo"] = ca_file
        sections.append(("http", http))
        if remote is not None and remote.token is not None:
            sections.append((f'credential "{url.scheme}://{url.authority}"', {"helper": _HELPER}))
    lines: list[str] = []
    for section, values in sections:
        lines.append(f"[{section}]")
        lines += [f"\t{name} = {_quoted(value)}" for name, value in values.items()]
    return ("\n".join(lines) + "\n").encode()


def _quiet(target: Target) -> dict[str, str]:
    """The host of a submodule is not told which commits are here already."""
    return {"negotiationAlgorithm": "noop"} if target.addresses else {}


def environment(target: Target, remote: GitRemote | None) -> dict[str, str]:
    """The whole environment of a git command."""
    found = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": "/tmp",  # noqa: S108  the sandbox's own
        "LC_ALL": "C",
        "GIT_DIR": GIT_DIR,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": CONFIG,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "/bin/false",
        "GIT_ALLOW_PROTOCOL": target.url.scheme,
        "GIT_PROTOCOL_FROM_USER": "1",
    }
    if target.url.scheme == "ssh":
        found |= {"GIT_SSH_COMMAND": " ".join(_ssh(target)), "GIT_SSH_VARIANT": "ssh"}
    if remote is not None and remote.token is not None:
        found |= {"CYGNI_GIT_USER": remote.username or _ANYBODY, "CYGNI_GIT_PASSWORD": remote.token}
    return found


def fetch(url: str, spec_ref: str, since: str | None, *, whole: bool = False) -> tuple[str, ...]:
    """The one commit, and the one to compare with. `whole`: every branch with its history, for a server that gives
    single commits to nobody."""
    if whole:
        wanted = ["+refs/heads/*:refs/remotes/o/*", "+refs/tags/*:refs/tags/*"]
        return ("git", "fetch", "--quiet", "--no-tags", "--", url, *wanted)
    wanted = [f"+{spec_ref}:{HEAD}", *([] if since is None else [f"+{since}:{SINCE}"])]
    return ("git", "fetch", "--quiet", "--no-tags", "--depth=1", "--", url, *wanted)


def ls_remote(url: str, *patterns: str) -> tuple[str, ...]:
    return ("git", "ls-remote", "--quiet", "--", url, *patterns)


SHOW = ("git", "rev-list", "--max-count=1", "--no-commit-header", "--encoding=UTF-8", _FORMAT)
"""Not `git show`, which goes through all trees even when it is to show none."""
LIST = ("git", "ls-tree", "-r", "-l", "-z", "--full-tree")
ARCHIVE = ("git", "archive", "--format=tar", "--prefix=./")
"""The prefix says that the tree's root is meant as it is."""
CHANGED = ("git", "diff-tree", "-r", "-z", "--name-only", "--no-renames")
_LIMITED = 'ulimit -f "$1"; shift; exec "$@"'
ATTRIBUTES = "* -export-ignore -export-subst -text -ident -filter -working-tree-encoding\n"
"""Over those of the repository: what is deployed are the bytes that were committed, all of them."""


def can_pin(version: str) -> bool:
    """Whether this git (as `git version` says it) knows http.curloptResolve."""
    found = re.match(r"git version (\d+)\.(\d+)", version)
    return found is not None and (int(found[1]), int(found[2])) >= (2, 37)


def limited(argv: Sequence[str], output_bytes: int) -> tuple[str, ...]:
    """The same, ended by the kernel as soon as it has written so much. The shell runs a constant, and hands the words
    on as they are."""
    return ("/bin/sh", "-c", _LIMITED, "sh", str(output_bytes // 512), *argv)


def raise_for(said: str, remote: GitRemote | None, url: GitUrl) -> None:
    """What git's last words mean, in one sentence. Raises SourceUnavailable; returns where the repository
    answers, and does not have what was asked for."""
    host = url.authority or "the repository"
    said = said.replace(remote.url, "") if remote is not None else said  # its path may hold any words
    for pattern, message, hint in _MEANINGS:
        if re.search(pattern, said, re.IGNORECASE):
            raise SourceUnavailable(message.format(host=host), hint=hint or _credentials_hint(remote, url))
    if not re.search(_NOT_THERE, said, re.IGNORECASE):
        last = next((line for line in reversed(said.splitlines()) if line.strip()), "git said nothing")
        raise SourceUnavailable(
            f"The repository at {host} could not be fetched: {cleaned(last, remote)}",
            hint="Try again; if it stays, see whether `git ls-remote` of its URL works elsewhere.",
        )


def missing(what: str, branches: Sequence[str]) -> SourceInvalid:
    """A repository that answers, and does not have what was asked for."""
    if not branches:
        return SourceInvalid("The repository is empty.", hint="Push a commit to it first, then deploy again.")
    names = ", ".join(cleaned(name) for name in sorted(branches)[:20])
    more = f" and {len(branches) - 20} more" if len(branches) > 20 else ""
    return SourceInvalid(f"The repository has no {what}.", hint=f"Its branches: {names}{more}.")


def cleaned(text: str, remote: GitRemote | None = None) -> str:
    """One line for people: no control characters, no secret, no end in sight."""
    for secret in (remote.token, remote.username and f"{remote.username}:") if remote is not None else ():
        if secret:
            text = text.replace(secret, "***")
    return "".join(char for char in text if char.isprintable())[:200].strip()


def _credentials_hint(remote: GitRemote | None, url: GitUrl) -> str:
    if url.scheme == "ssh":
        if remote is None or remote.ssh_key is None:
            return "Name a git connection with an ssh key in source.connectionId: POST /v1/git/connections."
        return "Give the host the connection's publicKey, with leave to read this repository."
    if remote is None or remote.token is None:
        return "If the repository is private, name a git connection in source.connectionId: POST /v1/git/connections."
    return "See whether the connection's token has expired, and may read this repository; make a new one if not."


_NOT_THERE = r"couldn't find remote ref|not our ref|unadvertised object|no such remote ref|did not send all necessary"
_UNREACHABLE = (
    r"couldn't connect|failed to connect|connection (refused|reset|timed out|closed)|timed out|too slow"
    r"|unable to access|could not resolve|network is unreachable|no route to host|hung up unexpectedly|early eof"
    r"|kex_exchange|banner exchange"
)
_MEANINGS: Sequence[tuple[str, str, str]] = (
    (
        r"host key verification failed|remote host identification has changed|no matching host key",
        "The host {host} shows another key than before.",
        "If its key was changed on purpose, make a new git connection, which takes the new one.",
    ),
    (
        r"could not read username|authentication failed|terminal prompts disabled|returned error: 40[13]|http 40[13]",
        "{host} refused to show the repository: it wants credentials, or others.",
        "",
    ),
    (r"permission denied|no supported authentication", "{host} refused the ssh key.", ""),
    (
        r"repository .* not found|returned error: 404|does not appear to be a git repository|repository not found",
        "{host} has no such repository, or does not show it to strangers.",
        "",
    ),
    (
        r"returned error: 30\d|url base from redirection",
        "{host} answers with a redirect, which is not followed.",
        "Give the URL that it leads to as the source's repositoryUrl.",
    ),
    (
        r"certificate (problem|verification)|self.signed certificate|local issuer certificate",
        "The certificate of {host} is not trusted.",
        "It must be valid for this name; a certificate authority of your own is set by SSL_CERT_FILE of the platform.",
    ),
    (
        _UNREACHABLE,
        "{host} cannot be reached, or broke off.",
        "Try again; if it stays, see whether the host is up and reachable from this machine.",
    ),
)


def _ssh(target: Target) -> list[str]:
    """Every word is ours or was checked to hold nothing that a shell takes for more than itself."""
    url = target.url
    alias = url.host if url.port == 22 else f"[{url.host}]:{url.port}"
    settings = {
        "BatchMode": "yes",
        "IdentitiesOnly": "yes",
        "IdentityFile": KEY,
        "UserKnownHostsFile": KNOWN_HOSTS,
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "accept-new",
        "HostName": target.addresses[0] if target.addresses else "none",
        "HostKeyAlias": alias,
        "CheckHostIP": "no",
        "UpdateHostKeys": "no",
        "HashKnownHosts": "no",
        "ConnectTimeout": "20",
        "ServerAliveInterval": "10",
        "ServerAliveCountMax": "3",
        "PermitLocalCommand": "no",
        "ClearAllForwardings": "yes",
        "ForwardAgent": "no",
        "ControlPath": "none",
        "LogLevel": "ERROR",
    }
    return ["ssh", "-F", "none", *(f"-o'{name}={value}'" for name, value in settings.items())]


def _quoted(value: str) -> str:
    """As git-config(1) reads it."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
