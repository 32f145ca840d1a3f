"""The API in this process with two teams and their tokens, called through the SDK as any client would."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cygni import AsyncCygniClient
from cygnid.app import App, running
from cygnid.core import db
from cygnid.core.actors import SYSTEM
from cygnid.core.db import Pool
from cygnid.resources.auth.actions import sign_in
from cygnid.resources.tokens.actions import NewToken, issue
from cygnid.resources.users.queries import user
from cygnid.settings import Settings
from tests.make.asgi import StreamingASGITransport
from tests.make.people import make_team, make_user

KEY = "ab" * 32


@dataclass(frozen=True, kw_only=True)
class Api:
    app: App
    settings: Settings
    pool: Pool
    team_id: str
    owner_id: str
    other_team_id: str
    outsider_id: str

    async def token(
        self, user_id: str | None = None, scopes: Sequence[str] = ("*",), *, project_id: str | None = None
    ) -> str:
        """The secret of a personal token; without a user, of a team token; with a project, of a deploy token."""
        kind = "personal" if user_id else "deploy" if project_id else "team"
        async with db.begin(self.pool) as tx:
            new = NewToken(
                kind=kind, name="t", scopes=scopes, team_id=None if user_id else self.team_id, project_id=project_id
            )
            _, secret = await issue(tx, SYSTEM, new, user_id=user_id)
        return secret

    async def session(self, user_id: str) -> str:
        """The secret of a session, as signing in makes it."""
        async with db.begin(self.pool) as tx:
            row = await user(tx, user_id)
            assert row is not None
            _, secret = await sign_in(tx, row, client="", ip=None, request_id="req_tests", how="tests")
        return secret

    def client(self, secret: str) -> AsyncCygniClient:
        return AsyncCygniClient(
            secret, base_url="http://test/v1", transport=StreamingASGITransport(self.app), max_retries=0
        )

    async def owner(self) -> AsyncCygniClient:
        """Owner of the first team, instance admin."""
        return self.client(await self.token(self.owner_id, ("*", "instance:admin")))

    async def outsider(self) -> AsyncCygniClient:
        """Owner of the other team, unknown to the first."""
        return self.client(await self.token(self.outsider_id))

    async def member(self, role: str, scopes: Sequence[str] = ("*",)) -> AsyncCygniClient:
        """A new member of the first team with a built-in role."""
        async with db.begin(self.pool) as tx:
            user_id = await make_user(tx, f"{role}{id(scopes)}", **{self.team_id: role})
        return self.client(await self.token(user_id, scopes))


@asynccontextmanager
async def api_of(database_url: str, home: Path, *, plan: str = "enterprise", **settings: object) -> AsyncIterator[Api]:
    """`home`: the data folder; `settings`: others of `Settings`."""
    # on a machine of any size; registering is tried as anything else
    chosen = {"builds_at_once": 4, "registration": "open", **settings}
    configured = Settings(home=home, database_url=database_url, secret_key=KEY, **chosen)  # type: ignore[arg-type]
    async with running(configured) as app:
        pool = await db.connect(database_url, size=4)
        try:
            async with db.begin(pool) as tx:
                team_id, other = await make_team(tx, "acme", plan), await make_team(tx, "rival", plan)
                owner = await make_user(tx, "ada", admin=True, **{team_id: "owner"})
                outsider = await make_user(tx, "eve", **{other: "owner"})
            yield Api(
                app=app,
                settings=configured,
                pool=pool,
                team_id=team_id,
                owner_id=owner,
                other_team_id=other,
                outsider_id=outsider,
            )
        finally:
            await pool.close()
