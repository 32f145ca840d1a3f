"""A platform that takes pushes: the API on a port of its own, the worker's side of git, and people with real git."""

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn

from cygnid.git.server import GitServer
from cygnid.sandbox.launch import Sandbox
from cygnid.source.repositories import Repositories
from cygnid.source.repository_spec import RepositoryLimits
from tests.make.api import Api
from tests.make.stage import LIMIT

ROOT = os.geteuid() == 0


@dataclass
class Ran:
    code: int
    said: str
    """Output and errors."""


@dataclass
class Door:
    """`port`: of the API."""

    api: Api
    port: int
    repositories: Repositories
    server: GitServer
    folder: Path
    env: dict[str, str] = field(default_factory=dict[str, str])

    def url(self, project: str = "shop", token: str | None = None) -> str:
        login = f"git:{token}@" if token else ""
        return f"http://{login}127.0.0.1:{self.port}/git/{project}.git"

    async def git(self, *argv: str | Path, cwd: Path | None = None, check: bool = True, **env: str) -> Ran:
        """Real git, that knows nothing of whoever runs the tests."""
        own = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_AUTHOR_NAME": "Ada",
            "GIT_AUTHOR_EMAIL": "ada@example.com",
            "GIT_COMMITTER_NAME": "Ada",
            "GIT_COMMITTER_EMAIL": "ada@example.com",
        }
        process = await asyncio.create_subprocess_exec(
            "git",
            *map(str, argv),
            cwd=cwd or self.folder,
            env={**own, **self.env, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(LIMIT):
                said, _ = await process.communicate()
        except BaseException:
            process.kill()
            await process.wait()
            raise
        assert process.returncode is not None
        ran = Ran(process.returncode, said.decode(errors="replace"))
        assert not check or ran.code == 0, ran.said
        return ran

    async def clone_of(self, files: Mapping[str, str], name: str = "work", branch: str = "main") -> Path:
        """A new repository with one commit."""
        work = self.folder / name
        await self.git("init", "--quiet", f"--initial-branch={branch}", work)
        await self.commit(work, files)
        return work

    async def commit(self, work: Path, files: Mapping[str, str], message: str = "Change it") -> str:
        for path, content in files.items():
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            (work / path).write_text(content)
        await self.git("add", "--all", cwd=work)
        await self.git("commit", "--quiet", "--allow-empty", "-m", message, cwd=work)
        return (await self.git("rev-parse", "HEAD", cwd=work)).said.strip()

    async def refs(self, project_id: str) -> dict[str, str]:
        """What the project's repository really has."""
        path = self.repositories.path(project_id)
        trusting = ("-c", "safe.directory=*")
        said = await self.git(*trusting, "for-each-ref", "--format=%(refname) %(objectname)", cwd=path)
        return dict(line.split(" ") for line in said.said.splitlines())

    async def execute(self, sql: str, *values: object) -> None:
        async with self.api.pool.acquire() as connection:
            await connection.execute(sql, *values)

    async def value(self, sql: str, *values: object) -> Any:
        return await self.api.pool.fetchval(sql, *values)


@asynccontextmanager
async def opened(
    api: Api,
    sandbox: Sandbox,
    folder: Path,
    *,
    uid: int | None,
    limits: RepositoryLimits | None = None,
    app: Any = None,
) -> AsyncGenerator[Door]:
    """`folder`: open to all users, and empty."""
    settings = api.settings
    repositories = Repositories(
        folder=settings.repositories_folder, runs=settings.git_folder, sandbox=sandbox, uid=uid, limits=limits
    )
    await repositories.prepare()
    server = GitServer(repositories, folder=settings.git_folder, api_uid=None)
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app or api.app, http="httptools", lifespan="off", log_level="warning", ws="none")
    http = uvicorn.Server(config)

    people = folder / "people"
    people.mkdir()
    async with server.listening():
        serving = asyncio.create_task(http.serve(sockets=[listener]))
        try:
            yield Door(api, listener.getsockname()[1], repositories, server, people)
        finally:
            api.app.stopping.set()
            http.should_exit = True
            await serving
            await server.finish()
            await repositories.close()
            left: Sequence[Path] = list(settings.git_folder.glob("of-*"))
            shutil.rmtree(people)
    assert left == [], "a command left something behind"
