"""What tasks are handed: the outside world as protocols, and the database. `worker.py` fills it in."""

from collections.abc import Callable
from dataclasses import dataclass

from cygnid.build.base import Builder
from cygnid.core.db import Pool
from cygnid.core.secrets import Secrets
from cygnid.core.wakeups import Wakeups
from cygnid.edge.base import Edge
from cygnid.mail.base import Mailer
from cygnid.runtime.base import Runtime
from cygnid.settings import Settings
from cygnid.source.base import Source
from cygnid.source.repository_base import PushRepositories


@dataclass(frozen=True, kw_only=True)
class Backends:
    settings: Settings
    pool: Pool
    secrets: Secrets
    wakeups: Wakeups
    source: Source
    repositories: PushRepositories
    builder: Builder
    runtime: Runtime
    edge: Edge
    term: Callable[[], int]
    """The leadership term this worker holds; raises NotLeader when it holds none."""
    mailer: Mailer | None = None
    """None: this installation sends no mail."""
