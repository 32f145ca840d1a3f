"""What every Runtime promises, held against the process runtime (as root and as an ordinary user) and its fake."""

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from cygnid.build.seal import seal
from cygnid.runtime.base import Address, Exit, InstanceSpec, Observed, Runtime, StaleLeader, StartFailed
from cygnid.runtime.process.runtime import ProcessRuntime
from cygnid.sandbox.disk import remove_tree
from tests.fakes.runtime import FakeRuntime
from tests.sandbox.harness import LIMIT, Stage, some_uid, staged, until

APP = """
import os, socket, sys
host = sys.argv[1] if len(sys.argv) > 1 else "0.0.0.0"
server = socket.create_server((host, int(os.environ["PORT"])))
while True:
    client, _ = server.accept()
    request = client.recv(65536).decode()
    status = 404 if request.startswith("GET /missing") else 200
    client.sendall(f"HTTP/1.1 {status} x\\r\\nConnection: close\\r\\n\\r\\n".encode() + request.encode())
    client.close()
"""
SERVE = "exec python3 app.py"


@dataclass
class Subject:
    runtime: Runtime
    stage: Stage
    release: Path
    uid: int | None
    walls: bool
    """Whether applications are held apart at all."""
    reopen: Callable[[], Awaitable[Runtime]]
    """The runtime as a new process of the control plane finds it."""

    def spec(self, command: str = SERVE, *, port: int | None = 0, **others: object) -> InstanceSpec:
        name = f"inst_{secrets.token_hex(6)}"
        spec = InstanceSpec(
            id=name,
            environment_id="env_a",
            release=self.release,
            root="",
            command=command,
            env={},
            uid=self.uid,
            cpu=1,
            memory_mb=256,
            stdout=self.stage.folder / f"{name}.out",
            stderr=self.stage.folder / f"{name}.err",
            port=port,
        )
        return replace(spec, **others)  # pyright: ignore[reportArgumentType]

    async def start(self, spec: InstanceSpec) -> Address | None:
        return await self.runtime.start(spec, term=1)

    async def stop(self, spec: InstanceSpec, grace_seconds: float = LIMIT) -> Exit:
        await self.runtime.stop(spec.id, grace_seconds=grace_seconds, term=1)
        seen = await self.look(spec)
        assert seen.exit is not None
        assert not seen.running
        return seen.exit

    async def look(self, spec: InstanceSpec) -> Observed:
        return next(each for each in await self.runtime.observe() if each.id == spec.id)

    async def ended(self, spec: InstanceSpec) -> Exit:
        async def over() -> bool:
            return not (await self.look(spec)).running

        await until(over)
        found = (await self.look(spec)).exit
        assert found is not None
        return found

    async def listening(self, spec: InstanceSpec, wanted: str = "reachable") -> None:
        async def so() -> bool:
            return (await self.look(spec)).listening == wanted

        await until(so)

    async def said(self, spec: InstanceSpec, wanted: str = "\n") -> str:
        await until(lambda: spec.stdout.exists() and wanted in spec.stdout.read_text())
        return spec.stdout.read_text()

    async def output(self, script: str, **others: object) -> str:
        """What a command that runs to its end prints."""
        spec = self.spec(script, port=None, **others)
        await self.start(spec)
        ended = await self.ended(spec)
        assert ended.code == 0, (ended, spec.stderr.read_text())
        return spec.stdout.read_text()


@pytest.fixture(scope="module")
async def stage() -> AsyncIterator[Stage]:
    async with staged() as stage:
        yield stage


@pytest.fixture(params=["process", "fake"])
async def subject(request: pytest.FixtureRequest, stage: Stage) -> AsyncIterator[Subject]:
    folder = stage.folder / secrets.token_hex(4)
    folder.mkdir()
    folder.chmod(0o711)
    release = stage.release({"app.py": APP, "folder/file": "of the release\n"})

    if request.param == "fake":

        async def reopen() -> Runtime:
            return FakeRuntime(folder)
    else:

        async def reopen() -> Runtime:
            found = ProcessRuntime(folder=folder, sandbox=await stage.open())
            await found.prepare()
            return found

    subject = Subject(
        runtime=await reopen(),
        stage=stage,
        release=release,
        uid=some_uid(),
        walls=request.param == "process",
        reopen=reopen,
    )
    yield subject
    left = await reopen()
    for each in await left.observe():
        await left.forget(each.id, term=1 << 60)


async def test_an_instance_starts_listens_and_answers(subject: Subject) -> None:
    spec = subject.spec()
    address = await subject.start(spec)
    assert address is not None
    await subject.listening(spec)
    seen = await subject.look(spec)
    assert (seen.running, seen.address, seen.exit) == (True, address, None)
    answer = await subject.runtime.probe(
        address, host="a.example", path="/", protocol="http1", scheme="http", timeout_seconds=LIMIT
    )
    assert (answer.status, answer.error) == (200, None)
    assert (await subject.stop(spec)).signal == "SIGTERM"


async def test_a_second_start_is_the_first_one(subject: Subject) -> None:
    spec = subject.spec("echo once; " + SERVE)
    first = await subject.start(spec)
    assert await asyncio.gather(subject.start(spec), subject.start(spec)) == [first, first]
    await subject.listening(spec)
    assert spec.stdout.read_text() == "once\n"
    assert len(await subject.runtime.observe()) == 1


async def test_starts_at_the_same_time_are_one(subject: Subject) -> None:
    spec = subject.spec("echo once; sleep 1000")
    addresses = await asyncio.gather(*(subject.start(spec) for _ in range(3)))
    assert len(set(addresses)) == 1
    assert await subject.said(spec) == "once\n"


async def test_two_instances_serve_side_by_side(subject: Subject) -> None:
    specs = [subject.spec(), subject.spec()]
    addresses = await asyncio.gather(*map(subject.start, specs))
    for spec in specs:
        await subject.listening(spec)
    assert addresses[0] != addresses[1]


@pytest.mark.parametrize("code", [0, 7, 127])
async def test_the_exit_code_is_told(subject: Subject, code: int) -> None:
    spec = subject.spec(f"exit {code}", port=None)
    assert await subject.start(spec) is None
    ended = await subject.ended(spec)
    assert (ended.code, ended.signal, ended.out_of_memory) == (code, None, False)


async def test_the_signal_that_ended_it_is_told(subject: Subject) -> None:
    spec = subject.spec("kill -SEGV $$", port=None)
    await subject.start(spec)
    ended = await subject.ended(spec)
    assert (ended.code, ended.signal) == (None, "SIGSEGV")


async def test_a_command_that_does_not_exist_ends_with_127(subject: Subject) -> None:
    spec = subject.spec("no-such-program --at-all", port=None)
    await subject.start(spec)
    assert (await subject.ended(spec)).code == 127
    assert "no-such-program" in spec.stderr.read_text()


async def test_all_of_a_compound_command_runs(subject: Subject) -> None:
    assert await subject.output("echo a && X=1 sh -c 'echo b$X'; echo c") == "a\nb1\nc\n"


async def test_it_runs_in_the_folder_asked_for(subject: Subject) -> None:
    assert await subject.output("cat file", root="folder") == "of the release\n"


@pytest.mark.parametrize("root", ["nowhere", "app.py", "../.."])
async def test_a_folder_that_is_not_in_the_release_is_named(subject: Subject, root: str) -> None:
    if root == "../.." and not subject.walls:
        pytest.skip("the fake guards nothing")
    with pytest.raises(StartFailed, match="not in the release"):
        await subject.start(subject.spec(root=root))
    assert await subject.runtime.observe() == []


async def test_what_listens_elsewhere_is_seen_to(subject: Subject) -> None:
    if not (await subject.runtime.ability()).own_network or not subject.walls:
        pytest.skip("without a network of its own nobody can tell whose port that is")
    code = "import socket, time; s = socket.create_server(('', 3000)); time.sleep(1000)"
    spec = subject.spec(f'exec python3 -c "{code}"')
    await subject.start(spec)

    async def elsewhere() -> bool:
        return (await subject.look(spec)).other_ports == (3000,)

    await until(elsewhere)
    assert (await subject.look(spec)).listening == "no"


async def test_what_never_listens_is_seen_not_to(subject: Subject) -> None:
    spec = subject.spec("echo up; sleep 1000")
    address = await subject.start(spec)
    assert address is not None
    await subject.said(spec)
    assert (await subject.look(spec)).listening == "no"
    answer = await subject.runtime.probe(
        address, host="a", path="/", protocol="http1", scheme="http", timeout_seconds=LIMIT
    )
    assert answer.status is None
    assert answer.error is not None


async def test_an_app_that_stops_when_asked_has_its_own_exit_code(subject: Subject) -> None:
    spec = subject.spec("trap 'exit 5' TERM; echo up; while :; do sleep 0.01; done", port=None)
    await subject.start(spec)
    await subject.said(spec)
    assert (await subject.stop(spec)).code == 5


async def test_an_app_that_ignores_sigterm_is_killed_after_the_grace(subject: Subject) -> None:
    spec = subject.spec("trap '' TERM; echo up; while :; do sleep 0.01; done", port=None)
    await subject.start(spec)
    await subject.said(spec)
    assert (await subject.stop(spec, grace_seconds=0.2)).signal == "SIGKILL"


async def test_a_daemon_does_not_outlive_its_app(subject: Subject) -> None:
    held = subject.stage.folder / f"held-{secrets.token_hex(4)}"
    os.mkfifo(held, 0o666)
    held.chmod(0o666)
    reader = os.open(held, os.O_RDONLY | os.O_NONBLOCK)
    daemon = "(setsid sh -c 'sleep 1000 & wait' &)"
    spec = subject.spec(f"{daemon}; echo up; sleep 1000", port=None, stderr=held)
    await subject.start(spec)
    await subject.said(spec)
    await subject.stop(spec)
    # end of file: nobody holds the other end any more
    assert os.read(reader, 100) == b""
    os.close(reader)


async def test_a_stopped_instance_stays_known_until_it_is_forgotten(subject: Subject) -> None:
    spec = subject.spec("echo kept; exit 3", port=None)
    await subject.start(spec)
    await subject.ended(spec)
    await subject.stop(spec)
    assert (await subject.stop(spec)).code == 3
    assert spec.stdout.read_text() == "kept\n"
    for _ in range(2):
        await subject.runtime.forget(spec.id, term=1)
    assert await subject.runtime.observe() == []


async def test_stopping_and_forgetting_the_unknown_is_no_error(subject: Subject) -> None:
    await subject.runtime.stop("inst_unknown", grace_seconds=1, term=1)
    await subject.runtime.forget("inst_unknown", term=1)
    await subject.runtime.kill("dep_unknown.release.1")
    await subject.runtime.remove_environment("env_unknown", term=1)


async def test_a_new_control_plane_finds_what_runs(subject: Subject) -> None:
    spec, over = subject.spec("trap 'exit 4' TERM; python3 app.py & wait"), subject.spec("exit 6", port=None)
    address = await subject.start(spec)
    await subject.start(over)
    await subject.listening(spec)
    await subject.ended(over)
    subject.runtime = await subject.reopen()
    seen = await subject.look(spec)
    assert (seen.running, seen.address, seen.listening) == (True, address, "reachable")
    assert await subject.start(spec) == address
    assert (await subject.look(over)).exit is not None
    assert (await subject.ended(over)).code == 6
    assert (await subject.stop(spec)).code == 4


async def test_a_stale_leader_changes_nothing(subject: Subject) -> None:
    spec = subject.spec("sleep 1000", port=None)
    await subject.runtime.start(spec, term=2)
    for call in (
        lambda: subject.runtime.start(subject.spec(), term=1),
        lambda: subject.runtime.stop(spec.id, grace_seconds=0, term=1),
        lambda: subject.runtime.forget(spec.id, term=1),
        lambda: subject.runtime.remove_environment("env_a", term=1),
    ):
        with pytest.raises(StaleLeader):
            await call()
    assert [each.running for each in await subject.runtime.observe()] == [True]


async def test_the_environment_is_the_given_one_and_no_more(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_THE_PLATFORM", "secret")
    said = await subject.output("env", env={"A": "a b'\"$\n=c", "UMLAUT": "ä", "EMPTY": ""})
    assert "A=a b'\"$\n=c\n" in said
    assert "UMLAUT=ä\n" in said
    assert "EMPTY=\n" in said
    assert "CYGNI_DATA_DIR=/" in said
    assert "PORT=" not in said
    assert "OF_THE_PLATFORM" not in said


async def test_the_port_given_is_the_port_told(subject: Subject) -> None:
    spec = subject.spec("echo $PORT; sleep 1000", env={"PORT": "1"})
    address = await subject.start(spec)
    assert address is not None
    assert await subject.said(spec) == f"{address.port}\n"


async def test_a_file_variable_is_a_path(subject: Subject) -> None:
    said = await subject.output('cat "$CERT"; stat -c %a "$CERT"', files={"CERT": "multi\nline\n"})
    assert said == "multi\nline\n400\n"


async def test_writes_to_the_release_are_gone_with_the_instance(subject: Subject) -> None:
    assert await subject.output("echo x > new && mkdir d && cat new") == "x\n"
    assert sorted(path.name for path in subject.release.iterdir()) == ["app.py", "folder"]
    assert "d" not in (await subject.output("ls")).split()


async def test_an_app_may_change_all_of_its_release_and_nobody_else_sees_it(subject: Subject) -> None:
    ability = subject.stage.opened[0][0].ability()
    if subject.walls and not ability.own_overlay:
        pytest.skip("; ".join(ability.notes))
    release = subject.stage.release({"folder/file": "old\n", "folder/gone": "", "deep/er/file": "", "run.sh": "exit 7"})
    (release / "run.sh").chmod(0o755)
    seal(release, for_overlay=True)
    as_sealed = _tree(release)
    change = "echo new > folder/file; echo a > folder/db; rm folder/gone; rm -r deep; mkdir deep; mv run.sh deep; "
    look = "cat folder/file; ls folder deep"
    changed = await subject.output(change + "chmod 600 folder/file; " + look, release=release)
    assert changed == "new\ndeep:\nrun.sh\n\nfolder:\ndb\nfile\n"
    assert await subject.output(look, release=release) == "old\ndeep:\ner\n\nfolder:\nfile\ngone\n"
    assert _tree(release) == as_sealed


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user has one uid for all")
async def test_on_the_machine_no_tenant_can_change_a_release(subject: Subject) -> None:
    release = subject.stage.release({"folder/file": "old\n"})
    seal(release, for_overlay=True)
    as_sealed = _tree(release)
    tries = "echo new > folder/file; echo a > folder/db; rm -f folder/file; chmod 777 folder; test -r folder/file"
    tenant = await asyncio.create_subprocess_exec(
        *("setpriv", f"--reuid={subject.uid}", f"--regid={subject.uid}", "--clear-groups", "sh", "-c", tries),
        cwd=release,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await tenant.communicate()
    assert tenant.returncode == 0
    assert said.count(b"denied") == 3
    assert said.count(b"not permitted") == 1
    assert _tree(release) == as_sealed


async def test_a_release_can_be_deleted_under_an_instance(subject: Subject) -> None:
    release = subject.stage.release({"folder/file": "old\n"})
    seal(release, for_overlay=True)
    spec = subject.spec("echo up; sleep 1000", release=release, port=None)
    await subject.start(spec)
    await subject.said(spec)
    remove_tree(release)
    assert not release.exists()
    assert (await subject.stop(spec)).signal == "SIGTERM"


def _tree(folder: Path) -> list[tuple[str, int, int, str]]:
    return [
        (
            str(path.relative_to(folder)),
            path.stat().st_uid,
            path.stat().st_mode,
            "" if path.is_dir() else path.read_text(),
        )
        for path in sorted(folder.rglob("*"))
    ]


async def test_data_stays_until_its_environment_is_removed(subject: Subject) -> None:
    await subject.output('echo kept > "$CYGNI_DATA_DIR/file"')
    assert await subject.output('cat "$CYGNI_DATA_DIR/file"') == "kept\n"
    assert await subject.output('ls "$CYGNI_DATA_DIR"', environment_id="env_b") == ""
    for _ in range(2):
        await subject.runtime.remove_environment("env_a", term=1)
    assert await subject.output('ls "$CYGNI_DATA_DIR"') == ""


async def test_a_probe_asks_as_the_edge_would(subject: Subject) -> None:
    spec = subject.spec()
    address = await subject.start(spec)
    assert address is not None
    await subject.listening(spec)

    async def ask(path: str) -> int | None:
        answer = await subject.runtime.probe(
            address, host="app.example", path=path, protocol="http1", scheme="https", timeout_seconds=LIMIT
        )
        return answer.status

    assert [await ask("/x?y=1"), await ask("/missing")] == [200, 404]
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_a_probe_says_why_there_is_no_answer(subject: Subject) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = Address(host="127.0.0.1", port=silent.getsockname()[1])
        answer = await subject.runtime.probe(
            address, host="a", path="/", protocol="http1", scheme="http", timeout_seconds=0.05
        )
    assert answer.status is None
    assert answer.error == "no answer within 0.05 s"


async def test_open_connections_are_counted(subject: Subject) -> None:
    spec = subject.spec()
    address = await subject.start(spec)
    assert address is not None
    await subject.listening(spec)
    assert await subject.runtime.connections(address) == 0
    _, writer = await asyncio.open_connection(address.host, address.port)
    assert await subject.runtime.connections(address) == 1
    writer.close()
    await writer.wait_closed()

    async def drained() -> bool:
        return await subject.runtime.connections(address) == 0

    await until(drained)


async def test_a_command_runs_to_its_end(subject: Subject) -> None:
    result = await subject.runtime.run(subject.spec("echo done; exit 9", id="dep_a.release.1"), timeout_seconds=LIMIT)
    assert (result.exit.code, result.timed_out) == (9, False)
    assert await subject.runtime.observe() == []


async def test_a_command_that_takes_too_long_is_ended(subject: Subject) -> None:
    result = await subject.runtime.run(subject.spec("sleep 1000"), timeout_seconds=0.2)
    assert (result.exit.signal, result.timed_out) == ("SIGKILL", True)


async def test_a_cancelled_command_is_gone(subject: Subject) -> None:
    spec = subject.spec("echo $$; sleep 1000", env={"MARK": secrets.token_hex(8)})
    task = asyncio.create_task(subject.runtime.run(spec, timeout_seconds=LIMIT))
    await subject.said(spec)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: not _alive(spec.env["MARK"]))


def _alive(mark: str) -> bool:
    """Whether a process has this in its environment."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes():
                return True
        except OSError:
            continue
    return False


async def test_what_an_earlier_attempt_left_can_be_killed(subject: Subject) -> None:
    spec = subject.spec("echo up; sleep 1000")
    task = asyncio.create_task(subject.runtime.run(spec, timeout_seconds=LIMIT))
    await subject.said(spec)
    await subject.runtime.kill(spec.id)
    assert (await task).exit.signal == "SIGKILL"


async def test_ability_and_check_are_told(subject: Subject) -> None:
    ability = await subject.runtime.ability()
    assert ability.own_user == (subject.walls and os.geteuid() == 0)
    if subject.walls and os.geteuid() != 0:
        assert any("not run as root" in note for note in ability.notes)
    assert all(isinstance(line, str) for line in await subject.runtime.check())
