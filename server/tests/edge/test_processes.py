"""The edge's processes: alone, adopted, replaced, killed."""

import asyncio
import contextlib
import os
import shutil
import signal
import stat
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from cygnid.edge import program_logs
from cygnid.edge.admin import Admin
from cygnid.edge.base import Edge, EdgeUnavailable
from cygnid.edge.binaries import envoy_binary
from cygnid.edge.envoy import EnvoyEdge
from cygnid.edge.process import Process, find
from cygnid.edge.programs import EdgeSetup
from tests.edge.harness import LIMIT, Instance, Stage, app, connected, get, staged, static, until


def same_binary_elsewhere(folder: Path) -> Path:
    """A new version of Envoy, as far as anyone can tell from outside."""
    copy = folder / "envoy-next"
    shutil.copy(envoy_binary(), copy)
    return copy


def running(stage: Stage, name: str) -> Process:
    process = find(stage.setup.folder / f"{name}.pid")
    assert process
    return process


async def answers(edge: Edge, host: str) -> bool:
    return (await edge.probe(host, "/")).status == 200


async def stopped(edge: Edge) -> bool:
    return not (await edge.status()).running


def processes_naming(folder: Path) -> set[int]:
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if f"{folder}/".encode() in (entry / "cmdline").read_bytes():
                    found.add(int(entry.name))
    return found


async def test_who_owns_what() -> None:
    async with staged() as stage:
        folder = stage.setup.folder
        socket = (folder / "run" / "envoy-1.sock").stat()
        assert stat.S_IMODE(socket.st_mode) == 0o600
        for name in ("cds.json", "rds.json", "envoy-1.json", "envoy-1-lds.json"):
            status = (folder / name).stat()
            assert stat.S_IMODE(status.st_mode) == 0o600
            assert status.st_uid == (os.getuid() if stage.setup.uid is None else stage.setup.uid)
        assert stat.S_IMODE((folder / "term").stat().st_mode) == 0o600
        files_socket = (folder / "files.sock").stat()
        assert stat.S_IMODE(files_socket.st_mode) == 0o660
        assert stat.S_IMODE((folder / "files").stat().st_mode) & 0o007 == 0
        for name, uid in (("envoy-1", stage.setup.uid), ("files-1", stage.setup.files_uid)):
            status = Path(f"/proc/{running(stage, name).pid}/status").read_text()
            uids = next(line.split()[1:] for line in status.splitlines() if line.startswith("Uid:"))
            assert set(uids) == {str(os.getuid() if uid is None else uid)}
            environment = Path(f"/proc/{running(stage, name).pid}/environ").read_bytes()
            assert b"PYTEST" not in environment  # nothing of ours is passed on
            assert os.getsid(running(stage, name).pid) == running(stage, name).pid


async def test_supervise_adopts_what_runs_and_starts_what_died() -> None:
    async with staged() as stage:
        pids = (await stage.edge.status()).pids
        other_worker = stage.another()
        await other_worker.supervise(term=2)
        assert (await other_worker.status()).pids == pids
        for name in ("envoy-1", "files-1"):
            os.kill(running(stage, name).pid, signal.SIGKILL)
            await until(lambda: stopped(other_worker))
            await other_worker.supervise(term=2)
            assert (await other_worker.status()).running
        assert not {*pids} & {*(await other_worker.status()).pids}


async def test_a_pid_of_another_process_or_boot_is_not_ours(tmp_path: Path) -> None:
    file = tmp_path / "x.pid"
    start = Path(f"/proc/{os.getpid()}/stat").read_text().rpartition(") ")[2].split()[19]
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    file.write_text(f"{os.getpid()} {start} {boot}\n")
    assert find(file)
    for stale in (f"{os.getpid()} {int(start) + 1} {boot}", f"{os.getpid()} {start} another-boot", "", "what"):
        file.write_text(stale)
        assert find(file) is None


async def test_the_death_of_the_worker_leaves_the_edge_alone() -> None:
    async with staged(supervised=False) as stage, Instance("a").running() as a:
        site = stage.release("site", {"index.html": "hello"})
        program = textwrap.dedent(f"""
            import asyncio, os, signal
            from pathlib import PosixPath
            from cygnid.edge.base import App, Endpoint, Route, Static
            from cygnid.edge.envoy import EnvoyEdge
            from cygnid.edge.programs import EdgeSetup
            async def work():
                edge = EnvoyEdge({stage.setup!r})
                await edge.supervise(term=1)
                target = App(endpoints=(Endpoint(host="127.0.0.1", port={a.port}),))
                site = Static(release=PosixPath({str(site)!r}), fallback=None)
                await edge.apply([Route(name="env_a", hosts=("a.localhost",), target=target),
                                  Route(name="env_s", hosts=("s.localhost",), target=site)], version=3, term=1)
                os.killpg(0, signal.SIGKILL)
            asyncio.run(work())
        """)
        worker = await asyncio.create_subprocess_exec(sys.executable, "-c", program, start_new_session=True)
        assert await asyncio.wait_for(worker.wait(), LIMIT) == -signal.SIGKILL
        assert (await get(stage.port, "a.localhost")).status == 200
        assert (await get(stage.port, "s.localhost")).body == b"hello"
        assert (await stage.edge.status()).version == 3


async def test_the_start_script_alone_serves_what_was_saved() -> None:
    async with staged() as stage, Instance("a").running() as a:
        site = stage.release("site", {"index.html": "hello"})
        await stage.edge.apply([app("env_a", a.port), static("env_s", site)], version=1, term=1)
        await stage.edge.stop()
        for _ in range(2):  # the second finds it running
            script = await asyncio.create_subprocess_exec("/bin/sh", str(stage.setup.folder / "start"), env={})
            assert await asyncio.wait_for(script.wait(), LIMIT) == 0
        pids = (await stage.edge.status()).pids
        await until(lambda: answers(stage.edge, "s.localhost"))
        assert (await get(stage.port, "a.localhost")).status == 200
        await stage.edge.supervise(term=1)
        assert (await stage.edge.status()).pids == pids


async def test_started_twice_at_once_there_is_one() -> None:
    async with staged() as stage:
        await stage.edge.stop()
        start = ("/bin/sh", str(stage.setup.folder / "start"))
        scripts = [await asyncio.create_subprocess_exec(*start, env={}) for _ in range(4)]
        assert [await asyncio.wait_for(script.wait(), LIMIT) for script in scripts] == [0] * 4
        assert processes_naming(stage.setup.folder) == {*(await stage.edge.status()).pids}


@pytest.fixture
def migrating() -> Iterator[None]:
    """A takeover sets this for the whole machine: leave it as it was."""
    setting = Path("/proc/sys/net/ipv4/tcp_migrate_req")
    before = setting.read_text() if os.access(setting, os.W_OK) else None
    yield
    if before:
        setting.write_text(before)


@pytest.mark.usefixtures("migrating")
async def test_a_new_binary_takes_over_and_no_request_fails() -> None:
    async with staged(drain_seconds=30) as stage, Instance("a").running() as a:
        site = stage.release("site", {"index.html": "hello"})
        await stage.edge.apply([app("env_a", a.port), static("env_s", site)], version=1, term=1)
        old = (await stage.edge.status()).pids
        done = asyncio.Event()
        counts = {"kept": 0, "fresh": 0}

        async def keeps_alive() -> None:
            while not done.is_set():
                async with connected(stage.port) as connection:
                    while not done.is_set():
                        answer = await connection.send("a.localhost", method="POST", body=b"x" * 2000)
                        assert answer.status == 200
                        counts["kept"] += 1
                        if answer.header("connection") == "close":  # told so, hence no failure
                            break

        async def connects_anew() -> None:
            while not done.is_set():
                try:
                    assert (await get(stage.port, "s.localhost")).body == b"hello"
                except ConnectionResetError:
                    if os.getuid() == 0:  # an ordinary user cannot ask the kernel to hand such connections over
                        raise
                counts["fresh"] += 1
                await asyncio.sleep(0.002)

        async with asyncio.timeout(4 * LIMIT), asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(keeps_alive())
                group.create_task(connects_anew())
            next_worker = stage.another(envoy=same_binary_elsewhere(stage.setup.folder), concurrency=1)
            await next_worker.supervise(term=2)
            status = await next_worker.status()
            assert status.running
            assert {old[0], status.pids[0]} <= {*status.pids}
            assert status.pids[0] != old[0]
            await next_worker.apply([app("env_a", a.port), static("env_s", site), app("env_b")], version=2, term=2)
            while old[0] in (await next_worker.status()).pids:
                await next_worker.supervise(term=2)
                await asyncio.sleep(0.1)
            done.set()
        assert counts["kept"] > 100
        assert counts["fresh"] > 100
        assert len((await next_worker.status()).pids) == 2
        assert not (stage.setup.folder / "envoy-1.json").exists()


async def test_a_binary_that_does_not_start_leaves_the_old_one_serving() -> None:
    async with staged() as stage, Instance("a").running() as a:
        broken = stage.setup.folder.parent / "envoy"
        broken.write_text("#!/bin/sh\necho 'no such thing as an edge' >&2\nexit 1\n")
        broken.chmod(0o755)
        await stage.edge.apply([app("env_a", a.port)], version=1, term=1)
        before = await stage.edge.status()
        with pytest.raises(EdgeUnavailable, match="no such thing as an edge"):
            await stage.another(envoy=broken).supervise(term=1)
        assert await stage.edge.status() == before
        assert (await get(stage.port, "a.localhost")).status == 200
        await stage.edge.supervise(term=1)
        assert await stage.edge.status() == before


async def test_a_new_file_server_takes_over_and_no_request_fails() -> None:
    async with staged() as stage:
        site = stage.release("site", {"index.html": "hello"})
        await stage.edge.apply([static("env_s", site)], version=1, term=1)
        old = (await stage.edge.status()).pids[1]
        done = asyncio.Event()
        count = 0

        async def reads() -> None:
            nonlocal count
            async with connected(stage.port) as connection:
                while not done.is_set():
                    assert (await connection.send("s.localhost")).body == b"hello"
                    count += 1

        copy = stage.setup.folder / "caddy-next"
        shutil.copy(stage.setup.file_server, copy)
        async with asyncio.timeout(4 * LIMIT), asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(reads())
            next_worker = stage.another(file_server=copy)
            await next_worker.supervise(term=2)
            while old in (await next_worker.status()).pids:
                await next_worker.supervise(term=2)
                await asyncio.sleep(0.05)
            seen = count
            await until(lambda: count >= seen + 50)
            done.set()
        assert old not in (await next_worker.status()).pids
        assert (await next_worker.status()).running


async def test_what_envoy_refuses_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Validation knows no such case; should one be found, the saved files stay those that Envoy starts with."""
    async with staged() as stage, Instance("a").running() as a:
        await stage.edge.apply([app("env_a", a.port)], version=1, term=1)
        cds, rds = stage.setup.folder / "cds.json", stage.setup.folder / "rds.json"
        accepted = rds.read_bytes()
        monkeypatch.setattr("cygnid.edge.envoy.validated", lambda routes, **_: routes)
        bad = [app("env_a", a.port), app("env_b", host="a.localhost")]
        with pytest.raises(EdgeUnavailable, match=r"Envoy refused rds.json.*a.localhost"):
            await stage.edge.apply(bad, version=2, term=1)
        assert rds.read_bytes() == accepted
        accepted = cds.read_bytes()  # with a cluster that no route names yet
        with pytest.raises(EdgeUnavailable, match=r"Envoy refused cds.json"):
            await stage.edge.apply([app("env_a", 70000)], version=3, term=1)
        assert cds.read_bytes() == accepted
        assert (await stage.edge.status()).version == 1
        assert (await get(stage.port, "a.localhost")).status == 200
        await stage.edge.stop()
        await stage.edge.supervise(term=1)
        assert (await get(stage.port, "a.localhost")).status == 200


async def test_saved_files_that_cannot_be_read_do_not_keep_the_edge_down() -> None:
    async with staged() as stage, Instance("a").running() as a:
        await stage.edge.apply([app("env_a", a.port)], version=1, term=1)
        await stage.edge.stop()
        for name in ("cds.json", "rds.json", "state.json"):
            (stage.setup.folder / name).write_bytes(b'{"version_info":"')
        await stage.edge.supervise(term=1)
        assert (await stage.edge.probe("a.localhost", "/")).status == 404
        await stage.edge.apply([app("env_a", a.port)], version=2, term=1)
        assert (await get(stage.port, "a.localhost")).status == 200


async def test_a_port_that_is_taken_is_said_plainly() -> None:
    server = await asyncio.start_server(lambda _r, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, staged(supervised=False, apps_port=port) as stage:
        with pytest.raises(EdgeUnavailable, match=f"127.0.0.1:{port}.*in use"):
            await stage.edge.supervise(term=1)
        assert not (await stage.edge.status()).running


async def test_a_paused_holder_of_the_lock_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cygnid.edge.folder._LOCK_SECONDS", 0.2)
    async with staged() as stage:
        holder = await asyncio.create_subprocess_exec(
            "flock", str(stage.setup.folder / "term"), "cat", stdin=-1, stdout=-1
        )
        assert holder.stdin
        assert holder.stdout
        holder.stdin.write(b"held\n")
        await holder.stdout.readline()
        with pytest.raises(EdgeUnavailable, match="has held"):
            await stage.edge.apply([], version=2, term=1)
        holder.stdin.close()
        await asyncio.wait_for(holder.wait(), LIMIT)
        await stage.edge.apply([], version=2, term=1)


async def test_a_log_that_grows_large_begins_anew_and_is_appended_to() -> None:
    async with staged() as stage:
        envoy, files = stage.setup.folder / "envoy.log", stage.setup.folder / "files.log"
        of_files = files.read_bytes()
        admin = Admin(stage.setup.folder / "run" / "envoy-1.sock")
        for number in range(2):
            with envoy.open("ab") as grown:
                grown.write(b"early\n" + b"." * program_logs.LIMIT + b"late %d\n" % number)
            await stage.edge.supervise(term=1)
            assert envoy.stat().st_size < program_logs.LIMIT / 2
            older = envoy.with_name("envoy.log.1")
            assert (older.stat().st_size, stat.S_IMODE(older.stat().st_mode)) == (program_logs.LIMIT, 0o600)
            assert older.read_bytes().endswith(b".late %d\n" % number)
            # what it says from now on is at the start, where a file position that was kept would have left zeros
            assert (await admin._request("POST", "/logging?admin=debug"))[0] == 200
            assert await admin.live()
            await until(lambda: b"path: /ready" in envoy.read_bytes())
            assert b"\0" not in envoy.read_bytes()
        assert files.read_bytes() == of_files
        assert not files.with_name("files.log.1").exists()


async def test_a_thousand_hosts() -> None:
    async with staged() as stage, Instance("a").running() as a, Instance("b").running() as b:
        routes = [app(f"env_h{number}", a.port) for number in range(1000)]
        await stage.edge.apply(routes, version=1, term=1)
        assert (await get(stage.port, "h0.localhost")).status == 200
        routes[999] = app("env_h999", b.port)
        await stage.edge.apply(routes, version=2, term=1)
        assert (await get(stage.port, "h999.localhost")).status == 200
        assert (a.served, b.served) == (1, 1)


def test_a_folder_too_long_for_sockets_is_refused(tmp_path: Path) -> None:
    setup = EdgeSetup(
        folder=tmp_path / ("x" * 90),
        envoy=tmp_path,
        file_server=tmp_path,
        releases=tmp_path,
        access_log=tmp_path,
        apps_host="127.0.0.1",
        apps_port=1,
        uid=None,
        files_uid=None,
    )
    with pytest.raises(ValueError, match="too long"):
        EnvoyEdge(setup)
