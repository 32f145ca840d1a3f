"""The outside world as tasks see it: protocols only. `worker.py` fills them in."""

from collections.abc import Callable
from dataclasses import dataclass

from cygnid.build.base import Builder
from cygnid.edge.base import Edge
from cygnid.runtime.base import Runtime
from cygnid.source.base import Source


@dataclass(frozen=True, kw_only=True)
class Backends:
    source: Source
    builder: Builder
    runtime: Runtime
    edge: Edge
    term: Callable[[], int]
    """The leadership term this worker holds; raises NotLeader when it holds none."""
