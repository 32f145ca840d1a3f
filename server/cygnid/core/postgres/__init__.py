"""The embedded database server and the migrations of any server."""

from cygnid.core.postgres.binaries import PostgresNotFound
from cygnid.core.postgres.migrations import MigrationFailed, MigrationRefused, migrate
from cygnid.core.postgres.server import EmbeddedPostgres, PostgresFailed

__all__ = ["EmbeddedPostgres", "MigrationFailed", "MigrationRefused", "PostgresFailed", "PostgresNotFound", "migrate"]
