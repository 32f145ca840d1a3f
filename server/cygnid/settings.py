"""Every setting: its type, its default, one sentence. Read from `CYGNI_<NAME>` in the environment."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from cygnid.sandbox.spec import BACKGROUND_WEIGHT
from cygnid.sandbox.targets import Targets

_REPOSITORIES = 4
"""Number of the user that push repositories belong to."""


class InvalidSetting(Exception):
    """A setting cannot be read; the message names it and what it takes."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The running platform's settings."""

    home: Annotated[Path, Meta(description="The platform's data folder.")] = Path(".cygni")
    database_url: Annotated[str, Meta(description="The PostgreSQL server, 15 or newer; set by `up` when embedded.")] = (
        ""
    )
    pg_bin: Annotated[
        Path | None, Meta(description="Folder of the PostgreSQL programs for the embedded database; none: chosen.")
    ] = None
    secret_key: Annotated[
        str, Meta(description="64 hex digits that encrypt secrets at rest; empty: keys/secret.key in the data folder.")
    ] = ""
    api_url: Annotated[str, Meta(description="Where clients reach the API, ending in /v1.")] = (
        "http://127.0.0.1:8000/v1"
    )
    apps_url: Annotated[str, Meta(description="Where applications answer; {host} is filled in.")] = (
        "http://{host}.localhost:8001"
    )
    apps_host: Annotated[str, Meta(description="The address that the edge listens on.")] = "0.0.0.0"
    apps_port: Annotated[int, Meta(description="The port that the edge listens on.", ge=1, le=65535)] = 8001
    uid_base: Annotated[
        int | None, Meta(description="First of the installation's own users; none when it runs as an ordinary user.")
    ] = None
    apps_subnet: Annotated[
        str, Meta(description="The applications' own network (CIDR); empty: a free one of 10.0.0.0/8.")
    ] = ""
    build_networks: Annotated[
        str, Meta(description="Private networks (CIDR, by commas) that builds may reach: package indexes, proxies.")
    ] = ""
    build_env: Annotated[
        str, Meta(description="Variables of the operator's environment that every build gets, by commas.")
    ] = (
        "HTTP_PROXY,HTTPS_PROXY,NO_PROXY,http_proxy,https_proxy,no_proxy,SSL_CERT_FILE,NODE_EXTRA_CA_CERTS,"
        "UV_INDEX_URL,UV_DEFAULT_INDEX,npm_config_registry,NPM_CONFIG_REGISTRY,GOPROXY,GOSUMDB,GONOSUMDB,GONOPROXY,"
        "GOPRIVATE,BUNDLE_MIRROR__ALL,BUNDLE_SSL_CA_CERT,CARGO_HTTP_CAINFO,DENO_TLS_CA_STORE,MAVEN_ARGS"
    )
    build_files: Annotated[
        str,
        Meta(description="Files that every build may read, by commas; `file:path` shows one at another path."),
    ] = ""
    installation_id: Annotated[
        str, Meta(description="Names what is the installation's own on the machine; set by `up`.")
    ] = "local"
    default_plan: Annotated[Literal["free", "pro", "enterprise"], Meta(description="The plan of a new team.")] = "pro"
    registration: Annotated[
        Literal["open", "invitation", "closed"],
        Meta(description="Who may register: anybody, whoever was invited, nobody."),
    ] = "invitation"
    oidc_providers: Annotated[
        str,
        Meta(
            description="OpenID Connect providers to sign in by, as JSON: a list of objects with id, name, issuer, "
            "clientId, clientSecret and register."
        ),
    ] = ""
    dashboard_url: Annotated[
        str, Meta(description="Where the dashboard is, for links in mail; empty: mail names commands instead.")
    ] = ""
    smtp_url: Annotated[
        str,
        Meta(
            description="The mail server: smtps://user:password@host, smtp:// (STARTTLS) or smtp+insecure://; empty: "
            "no mail is sent."
        ),
    ] = ""
    smtp_from: Annotated[str, Meta(description="Whom mail is from: `Cygni <cygni@example.com>`.")] = ""
    pool_size: Annotated[int, Meta(description="Database connections of each process.", ge=2, le=100)] = 8
    max_upload_bytes: Annotated[int, Meta(description="The size of the largest archive that is taken.", ge=1)] = (
        512 << 20
    )
    max_push_bytes: Annotated[int, Meta(description="The size of the largest pack that a git push may send.", ge=1)] = (
        512 << 20
    )
    max_repository_bytes: Annotated[
        int, Meta(description="The size that a project's push repository may reach.", ge=1)
    ] = 2 << 30
    log_retention_days: Annotated[int, Meta(description="How many days log lines are kept.", ge=1, le=365)] = 7
    audit_retention_days: Annotated[
        int, Meta(description="How many days rows of the audit log are kept; 0: for ever.", ge=0)
    ] = 0
    allowed_private_hosts: Annotated[
        str,
        Meta(
            description="Hosts and networks (CIDR), by commas, that may be reached at addresses of this machine or a "
            "private network: git servers of an intranet, also by plain http."
        ),
    ] = ""
    git_file_root: Annotated[
        Path | None, Meta(description="A folder below which file:/// repositories may be deployed; none: nowhere.")
    ] = None
    git_submodules: Annotated[
        str,
        Meta(
            description="Hosts and paths on them, by commas, whose repositories are fetched as submodules: host/path."
        ),
    ] = ""
    git_poll_seconds: Annotated[
        float, Meta(description="How often a project's repository is asked for new commits.", gt=0)
    ] = 60.0
    git_timeout_seconds: Annotated[float, Meta(description="How long fetching a repository may take.", gt=0)] = 300.0
    git_max_bytes: Annotated[
        int, Meta(description="What a repository may take on the disk while it is fetched.", ge=1 << 20)
    ] = 2 << 30
    deployment_timeout_seconds: Annotated[
        float, Meta(description="How long a deployment may take as a whole, from its build to the switch.", gt=0)
    ] = 7200.0
    builds_at_once: Annotated[
        int, Meta(description="How many builds run at once; 0: one fewer than there are cores.", ge=0)
    ] = 0
    build_weight: Annotated[
        int,
        Meta(
            description="What all builds together weigh when programs compete for the processor and the disk; all "
            "applications together weigh 100, and each program of the platform does.",
            ge=1,
            le=100,
        ),
    ] = BACKGROUND_WEIGHT
    build_timeout_seconds: Annotated[float, Meta(description="How long a build may take.", gt=0)] = 1800.0
    build_cache_bytes: Annotated[
        int,
        Meta(
            description="What the build caches of all environments may take on the disk; the longest unused go.", ge=0
        ),
    ] = 16 << 30
    download_cache_bytes: Annotated[
        int, Meta(description="What the downloads that builds of all projects share may take on the disk.", ge=0)
    ] = 4 << 30
    release_timeout_seconds: Annotated[float, Meta(description="How long a release command may take.", gt=0)] = 600.0
    switch_timeout_seconds: Annotated[
        float, Meta(description="How long the edge may take to serve a new release.", gt=0)
    ] = 30.0
    keep_artifacts: Annotated[
        int, Meta(description="How many releases of an environment can be rolled back to.", ge=1)
    ] = 10
    keep_artifact_days: Annotated[int, Meta(description="How long an artifact is kept that never went live.", ge=0)] = 7
    lease_seconds: Annotated[float, Meta(description="How long a worker that falls silent keeps its work.", gt=0)] = (
        30.0
    )

    @property
    def build_slots(self) -> int:
        """Builds at once: a core is left to what runs."""
        return self.builds_at_once or max(1, (os.cpu_count() or 1) - 1)

    @property
    def uploads_folder(self) -> Path:
        return self.home / "uploads"

    @property
    def repositories_folder(self) -> Path:
        return self.home / "repositories"

    def repository(self, project_id: str) -> Path:
        """What is pushed to the project, once something was."""
        return self.repositories_folder / f"{project_id}.git"

    @property
    def repositories_uid(self) -> int | None:
        """Whose they are; None: our own."""
        return self.uid(_REPOSITORIES)

    @property
    def git_folder(self) -> Path:
        """Where the API and the worker meet for git."""
        return self.home / "git"

    def git_url(self, project: str) -> str:
        """The remote of a project for git push."""
        return f"{self.api_url.removesuffix('/v1')}/git/{project}.git"

    @property
    def edge_folder(self) -> Path:
        return self.home / "edge"

    @property
    def access_log(self) -> Path:
        """What the edge writes of each request."""
        return self.edge_folder / "access.log"

    @property
    def base_domain(self) -> str:
        """What the applications' hosts end in."""
        return (urlsplit(self.apps_url.format(host="x")).hostname or "").removeprefix("x.")

    def is_allowed_private(self, host: str) -> bool:
        """Whether the operator trusts this very host, by its name or as an address."""
        return Targets(self.allowed_private_hosts.split(",")).is_allowed(host)

    def uid(self, number: int) -> int | None:
        """The user of this number (`uid_numbers`); None when the installation runs as an ordinary user."""
        return None if self.uid_base is None else self.uid_base + number

    def host(self, project: str, environment: str) -> str:
        """What an environment is called in `apps_url`."""
        return project if environment == "production" else f"{project}--{environment}"

    def url(self, project: str, environment: str) -> str:
        """Where an environment answers."""
        return self.apps_url.format(host=self.host(project, environment))

    def key(self) -> bytes:
        """The 32 bytes of the secret key. Raises InvalidSetting."""
        text = self.secret_key or (self.home / "keys" / "secret.key").read_text().strip()
        try:
            key = bytes.fromhex(text)
        except ValueError as problem:
            raise InvalidSetting("CYGNI_SECRET_KEY must be 64 hex digits.") from problem
        if len(key) != 32:
            raise InvalidSetting("CYGNI_SECRET_KEY must be 64 hex digits.")
        return key


def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    """Raises InvalidSetting naming the variable. Variables that are no setting belong to others and are left alone."""
    given = {
        name: environment[variable]
        for name in Settings.__struct_fields__
        if (variable := f"CYGNI_{name.upper()}") in environment
    }
    try:
        return msgspec.convert(given, Settings, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as problem:
        text = str(problem)
        name = text.rpartition("`$.")[2].rstrip("`") if "`$." in text else "?"
        raise InvalidSetting(f"CYGNI_{name.upper()}: {text}") from problem


def _decode(kind: type, value: object) -> object:
    return kind(value)
