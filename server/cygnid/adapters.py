"""The outside world as the settings want it: the only place that makes adapters.

Users of an installation, counted from its first: 0 the database and the API, 1 Envoy, 2 the file server, 3 git where
it fetches (it connects only to addresses that were judged), 4 the push repositories, 5 whoever unpacks uploads, from 10
on the environments and the builds (`uid_numbers`).
"""

import asyncio
import os
import posixpath
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from cygnid.build.process import ProcessBuilder
from cygnid.build.process_spec import APP, CACHE, BuildLimits
from cygnid.build.shelf import of_this_machine
from cygnid.edge.envoy import EnvoyEdge
from cygnid.edge.programs import EdgeSetup
from cygnid.mail.smtp import SmtpMailer
from cygnid.programs import Programs, programs
from cygnid.runtime.process.runtime import ProcessRuntime
from cygnid.sandbox.launch import Sandbox
from cygnid.sandbox.network import Network
from cygnid.sandbox.targets import Targets
from cygnid.settings import InvalidSetting, Settings
from cygnid.source.archive import ArchiveSource
from cygnid.source.git import GitSource
from cygnid.source.git_submodules import Allowed
from cygnid.source.git_work import GitLimits
from cygnid.source.repositories import Repositories
from cygnid.source.repository_spec import RepositoryLimits

UIDS = 10_000
"""How many users an installation has."""
_STOP_SECONDS = 10
_EDGE, _FILES, _GIT, _CONFINED, _UNPACKER = 1, 2, 3, 4, 5


@dataclass(frozen=True, kw_only=True)
class Adapters:
    source: GitSource
    repositories: Repositories
    builder: ProcessBuilder
    runtime: ProcessRuntime
    edge: EnvoyEdge
    sandbox: Sandbox
    network: Network
    mailer: SmtpMailer | None
    """None: no mail is sent."""


@asynccontextmanager
async def adapters(settings: Settings) -> AsyncGenerator[Adapters]:
    """All of them, ready; what they started goes on when the block ends. Raises InvalidSetting."""
    found = programs(settings.home)
    network = network_of(settings)
    sandbox = Sandbox(
        name=f"cygni-{settings.installation_id}",
        folder=settings.home,
        bwrap=found.bubblewrap or Path("bwrap"),
        networks=network,
        background_weight=settings.build_weight,
    )
    try:
        await sandbox.prepare()
        runtime = ProcessRuntime(folder=settings.home, sandbox=sandbox)
        await runtime.prepare()
        yield Adapters(
            source=_source(settings, sandbox),
            repositories=_repositories(settings, sandbox),
            builder=builder_of(settings, found, sandbox),
            runtime=runtime,
            edge=_edge(settings, found),
            sandbox=sandbox,
            network=network,
            mailer=_mailer(settings),
        )
    finally:
        await sandbox.close()


def _mailer(settings: Settings) -> SmtpMailer | None:
    if not settings.smtp_url:
        return None
    try:
        return SmtpMailer(settings.smtp_url, sender=settings.smtp_from)
    except ValueError as problem:
        raise InvalidSetting(f"CYGNI_SMTP_URL and CYGNI_SMTP_FROM: {problem}") from problem


async def stop_apps(settings: Settings) -> None:
    """End the edge and all that runs for applications, and remove what the installation made on this machine. No
    worker may run: it would start them again."""
    async with adapters(settings) as found:
        builds = settings.home / "builds"
        await asyncio.gather(
            found.edge.stop(),
            found.runtime.stop_all(grace_seconds=_STOP_SECONDS),
            *(found.builder.kill(folder.name) for folder in (builds.iterdir() if builds.exists() else ())),
        )
        await found.sandbox.remove()
    if found.sandbox.ability().own_network:
        await found.network.remove()


def network_of(settings: Settings, name: str | None = None) -> Network:
    """`name`: of another than the installation's own, for a trial. Raises InvalidSetting."""
    base = settings.uid_base
    return Network(
        name=name or settings.installation_id,
        subnet=_subnet(settings.apps_subnet),
        # everything that handles what tenants gave; the API, the edge and git have to reach this machine
        confined=None if base is None or name else range(base + _CONFINED, base + UIDS),
        allowed=[_network("BUILD_NETWORKS", text) for text in _words(settings.build_networks)],
    )


def _source(settings: Settings, sandbox: Sandbox) -> GitSource:
    folder = settings.home / "fetches"
    folder.mkdir(mode=0o711, exist_ok=True)
    authorities = os.environ.get("SSL_CERT_FILE")
    return GitSource(
        archives=ArchiveSource(uid=settings.uid(_UNPACKER)),
        sandbox=sandbox,
        folder=folder,
        uid=settings.uid(_GIT),
        targets=Targets(settings.allowed_private_hosts.split(",")),
        file_root=settings.git_file_root,
        ca_file=Path(authorities) if authorities else None,
        limits=GitLimits(seconds=settings.git_timeout_seconds, max_bytes=settings.git_max_bytes),
        submodules=_submodules(settings.git_submodules),
    )


def _submodules(text: str) -> Allowed:
    try:
        return Allowed(_words(text))
    except ValueError as problem:
        raise InvalidSetting(f"CYGNI_GIT_SUBMODULES: {problem}") from problem


def builder_of(settings: Settings, found: Programs, sandbox: Sandbox) -> ProcessBuilder:
    """Raises InvalidSetting."""
    given = {name: os.environ[name] for name in _words(settings.build_env) if name in os.environ}
    return ProcessBuilder(
        data=settings.home,
        sandbox=sandbox,
        languages=of_this_machine(settings.home),
        uv=found.uv,
        limits=BuildLimits(seconds=settings.build_timeout_seconds),
        build_env=given,
        build_files=[_shown(text) for text in _words(settings.build_files)],
        build_cache_bytes=settings.build_cache_bytes,
        download_cache_bytes=settings.download_cache_bytes,
    )


def _shown(text: str) -> tuple[Path, str]:
    """(file, path in builds)."""
    file, _, path = text.partition(":")
    path = path or file
    if not Path(file).is_absolute() or not Path(file).is_file():
        raise InvalidSetting(f"CYGNI_BUILD_FILES: {file} is no absolute path of a file.")
    if posixpath.normpath(path) != path or not path.startswith("/"):
        raise InvalidSetting(f"CYGNI_BUILD_FILES: {path} is no absolute path.")
    # builds write there: they could lead the mount elsewhere
    if path.startswith((f"{APP}/", f"{CACHE}/")):
        raise InvalidSetting(f"CYGNI_BUILD_FILES: {path} is in a folder of the build's own.")
    return Path(file), path


def _repositories(settings: Settings, sandbox: Sandbox) -> Repositories:
    return Repositories(
        folder=settings.repositories_folder,
        runs=settings.git_folder,
        sandbox=sandbox,
        uid=settings.repositories_uid,
        limits=RepositoryLimits(push_bytes=settings.max_push_bytes, repository_bytes=settings.max_repository_bytes),
    )


def _edge(settings: Settings, found: Programs) -> EnvoyEdge:
    releases = settings.home / "artifacts"
    releases.mkdir(mode=0o711, exist_ok=True)
    setup = EdgeSetup(
        folder=settings.edge_folder,
        envoy=found.envoy,
        file_server=found.file_server,
        releases=releases,
        access_log=settings.access_log,
        apps_host=settings.apps_host,
        apps_port=settings.apps_port,
        uid=settings.uid(_EDGE),
        files_uid=settings.uid(_FILES),
    )
    return EnvoyEdge(setup)


def _subnet(text: str) -> IPv4Network | None:
    if not text:
        return None
    network = _network("APPS_SUBNET", text)
    if not isinstance(network, IPv4Network):
        raise InvalidSetting(f"CYGNI_APPS_SUBNET: {text} is no IPv4 network.")
    return network


def _network(name: str, text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as problem:
        raise InvalidSetting(f"CYGNI_{name}: {problem}") from problem


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]
