"""The embedded server on the real programs: closed to others, gone when we are, whole after being killed."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from cygnid.core.postgres import EmbeddedPostgres, PostgresFailed, PostgresNotFound
from cygnid.core.postgres.child import exited
from tests.make.database import FAST, foreign_uid

ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not ROOT, reason="only root can run the server as another user")


def embedded(data: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(data, uid=foreign_uid() if ROOT else None, settings=FAST)


@pytest.fixture
async def postgres(open_folder: Path) -> AsyncIterator[EmbeddedPostgres]:
    server = embedded(open_folder)
    await server.start()
    yield server
    await server.stop()


async def ask(url: str, sql: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_what_is_written_survives_stop_and_start(postgres: EmbeddedPostgres) -> None:
    await ask(postgres.url, "CREATE TABLE kept AS SELECT 1 AS id")
    await postgres.stop()
    assert not postgres.alive
    url = await postgres.start()
    assert await ask(url, "SELECT id FROM kept") == 1


async def test_names_beyond_ascii_are_compared_without_case(postgres: EmbeddedPostgres) -> None:
    assert await ask(postgres.url, "SELECT lower('ÄRGER')") == "ärger"


async def test_it_listens_on_no_network(postgres: EmbeddedPostgres) -> None:
    assert await ask(postgres.url, "SHOW listen_addresses") == ""


async def test_without_the_password_nobody_enters(postgres: EmbeddedPostgres) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres.url.split("&passfile")[0], password="guess")


async def test_the_url_holds_no_password(postgres: EmbeddedPostgres, open_folder: Path) -> None:
    password = (open_folder / "postgres/password").read_text().strip().rsplit(":", 1)[1]
    assert password not in postgres.url
    assert password not in Path(f"/proc/{postgres.pid}/cmdline").read_text()


@needs_root
async def test_another_user_reaches_neither_socket_nor_password(postgres: EmbeddedPostgres, open_folder: Path) -> None:
    owner = (open_folder / "postgres").stat().st_uid
    for path in ("postgres/socket/.s.PGSQL.5432", "postgres/password", "postgres/data/PG_VERSION"):
        tried = subprocess.run(["cat", open_folder / path], user=65534, group=65534, capture_output=True, text=True)
        assert "Permission denied" in tried.stderr, path
        assert (open_folder / path).stat().st_uid == owner


async def test_committed_rows_survive_a_killed_server(open_folder: Path) -> None:
    server = EmbeddedPostgres(open_folder, uid=foreign_uid() if ROOT else None)
    await server.start()
    await ask(server.url, "CREATE TABLE rows (id int)")
    await ask(server.url, "INSERT INTO rows SELECT generate_series(1, 20000)")
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    await server.wait()
    url = await server.start()
    assert await ask(url, "SELECT count(*) FROM rows") == 20000
    await server.stop()


# What a killed supervisor leaves: the server as its own process, started by a parent that then dies.
PARENT = """
import asyncio, sys
from pathlib import Path
from cygnid.core.postgres import EmbeddedPostgres
async def main():
    uid = int(sys.argv[2]) or None
    server = EmbeddedPostgres(Path(sys.argv[1]), uid=uid)
    await server.start()
    print(server.pid, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


async def test_the_server_ends_when_its_parent_is_killed(open_folder: Path) -> None:
    uid = foreign_uid() if ROOT else 0
    parent = subprocess.Popen([sys.executable, "-c", PARENT, open_folder, str(uid)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    pid = int(await asyncio.to_thread(parent.stdout.readline))
    parent.kill()
    await asyncio.wait_for(exited(pid), 30)
    parent.wait()
    parent.stdout.close()
    assert "database system is shut down" in (open_folder / "postgres/log").read_text()


async def test_it_starts_although_its_last_process_is_an_unreaped_zombie(open_folder: Path) -> None:
    server = embedded(open_folder)
    await server.start()
    assert server.pid is not None
    zombie = server.pid
    os.kill(zombie, signal.SIGKILL)
    await asyncio.wait_for(exited(zombie), 30)
    assert Path(f"/proc/{zombie}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    later = embedded(open_folder)
    assert await ask(await later.start(), "SELECT 1") == 1
    await later.stop()
    await server.wait()


async def test_it_starts_although_its_last_pid_is_another_programs_now(open_folder: Path) -> None:
    server = embedded(open_folder)
    await server.start()
    await server.stop()
    lock = open_folder / "postgres/data/postmaster.pid"
    lock.write_text(f"{os.getpid()}\n{open_folder}/postgres/data\n")
    assert await ask(await server.start(), "SELECT 1") == 1
    await server.stop()


async def test_an_interrupted_initdb_is_begun_again(open_folder: Path) -> None:
    left = open_folder / "postgres/data.part"
    left.mkdir(parents=True)
    (left / "PG_VERSION").write_text("18\n")
    if ROOT:
        for path in (open_folder / "postgres", left):
            os.chown(path, foreign_uid(), foreign_uid())
    (open_folder / "postgres").chmod(0o700)
    server = embedded(open_folder)
    assert await ask(await server.start(), "SELECT 1") == 1
    await server.stop()


async def test_a_path_too_long_for_a_socket_is_no_obstacle(open_folder: Path) -> None:
    deep = open_folder / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    server = embedded(deep)
    assert await ask(await server.start(), "SELECT 1") == 1
    socket = Path(_socket_of(server))
    assert socket.exists()
    await server.stop()
    assert not socket.exists()


def _socket_of(server: EmbeddedPostgres) -> str:
    return Path(f"/proc/{server.pid}/cmdline").read_text().split("\0-k\0")[1].split("\0")[0]


async def test_a_data_folder_of_another_version_is_refused(open_folder: Path) -> None:
    cluster = open_folder / "postgres/data"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("9\n")
    (open_folder / "postgres").chmod(0o700)
    with pytest.raises(PostgresNotFound, match=r"made by PostgreSQL 9 .* CYGNI_PG_BIN"):
        await embedded(open_folder).start()


async def test_a_folder_open_to_others_is_refused(open_folder: Path) -> None:
    (open_folder / "postgres").mkdir(mode=0o755)
    with pytest.raises(PostgresFailed, match="open to others"):
        await embedded(open_folder).start()


async def test_a_server_that_cannot_start_says_why(open_folder: Path) -> None:
    server = EmbeddedPostgres(open_folder, uid=foreign_uid() if ROOT else None, settings={"shared_buffers": "nonsense"})
    with pytest.raises(PostgresFailed, match="shared_buffers"):
        await server.start()
    await server.stop()
