"""What finding out what somebody may do costs: its share of GET /v1/projects/{id}, in a team of many people.

The team has 200 members, 50 projects and 40 roles of its own; each member has one of these roles and grants of five
others on single projects. Requests go straight into our application, in this process, over the installation's
database: nothing is counted but the server. The baseline is the same request's whole time.

    python benchmarks/permissions.py [--rounds 9] [--calls 300] [--members 200] [--projects 50]
"""

import argparse
import asyncio
import logging
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

from cygnid.app import App, running
from cygnid.core import access, clock, db
from cygnid.core.actors import SYSTEM
from cygnid.core.ids import new_id
from cygnid.resources.tokens.actions import NewToken, issue
from cygnid.resources.users.actions import create_user
from cygnid.settings import Settings, from_environment
from cygnid.up.token import database_url
from harness import Installation, installation, interval

ROLES, GRANTS = 40, 5
SCOPES = ("projects:read", "deployments:read", "logs:read", "metrics:read", "events:read", "env:read")


async def fill(pool: db.Pool, members: int) -> list[str]:
    """Secrets of the members' tokens."""
    now, secrets = clock.now(), list[str]()
    async with db.begin(pool) as tx:
        team = await tx.value("SELECT id FROM teams")
        projects: list[str] = await tx.value("SELECT array_agg(id ORDER BY id) FROM projects")
        roles = [new_id("role") for _ in range(ROLES)]
        columns = ("id", "team_id", "name", "scopes")
        await tx.copy("roles", columns, [(role, team, f"role-{n}", list(SCOPES)) for n, role in enumerate(roles)])
        for number in range(members):
            user = await create_user(tx, SYSTEM, name=f"member-{number}", email=f"member-{number}@example.com")
            membership = (new_id("mem"), team, user.id, roles[number % ROLES], now)
            await tx.copy("members", ("id", "team_id", "user_id", "role_id", "created_at"), [membership])
            grants = [
                (
                    new_id("grant"),
                    team,
                    user.id,
                    roles[(number + n) % ROLES],
                    projects[n % len(projects)],
                    now,
                    "system",
                )
                for n in range(GRANTS)
            ]
            columns = ("id", "team_id", "user_id", "role_id", "project_id", "created_at", "created_by")
            await tx.copy("grants", columns, grants)
            new = NewToken(kind="personal", name="t", scopes=["*"])
            secrets.append((await issue(tx, SYSTEM, new, user_id=user.id))[1])
    return secrets


class Watch:
    """How long `held_by_team` took, in all."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._original: Callable[..., Awaitable[Any]] = access.held_by_team

    async def _timed(self, *given: Any) -> Any:
        began = time.perf_counter()
        try:
            return await self._original(*given)
        finally:
            self.seconds += time.perf_counter() - began

    def begin(self) -> None:
        access.held_by_team = self._timed  # type: ignore[assignment]


async def ask(app: App, path: str, secret: str) -> None:
    """One GET, as the server's program hands it over."""
    scope: dict[str, Any] = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": [(b"host", b"here"), (b"authorization", f"Bearer {secret}".encode())],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "state": {},
    }  # fmt: skip
    seen: list[int] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            seen.append(message["status"])

    await app(scope, receive, send)
    if seen != [200]:
        raise SystemExit(f"{path} was answered with {seen}")


async def measure(settings: Settings, chosen: argparse.Namespace) -> None:
    pool = await db.connect(settings.database_url, size=1)
    secrets = await fill(pool, chosen.members)
    await pool.close()
    watch, shares, whole = Watch(), list[float](), list[float]()
    watch.begin()
    async with running(settings) as app:
        for number in range(-1, chosen.rounds):
            watch.seconds, began = 0.0, time.perf_counter()
            for call in range(chosen.calls):
                await ask(app, f"/v1/projects/project-{call % chosen.projects}", secrets[call % len(secrets)])
            if number >= 0:  # the first round warms up
                took = time.perf_counter() - began
                shares.append(watch.seconds / took * 100)
                whole.append(took / chosen.calls * 1000)
    print(f"of a request's time, finding what its caller may do: {interval(shares)} %")
    print(
        f"a request: {interval(whole)} ms, of these {statistics.median(whole) * statistics.median(shares) / 100:.3f} ms"
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=9)
    options.add_argument("--calls", type=int, default=300)
    options.add_argument("--members", type=int, default=200)
    options.add_argument("--projects", type=int, default=50)
    chosen = options.parse_args()
    logging.disable(logging.INFO)
    with installation(CYGNI_DEFAULT_PLAN="enterprise") as ours:
        run(ours, chosen)


def run(ours: Installation, chosen: argparse.Namespace) -> None:
    for number in range(chosen.projects):
        ours.project(f"project-{number}")
    url = database_url(ours.data, from_environment())
    settings = from_environment({"CYGNI_HOME": str(ours.data), "CYGNI_DATABASE_URL": url})
    asyncio.run(measure(settings, chosen))


if __name__ == "__main__":
    main()
