"""What a sandbox promises to the platform: limits that hold, walls that stand, ends that are told."""

import asyncio
import errno
import os
import secrets
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NoReturn

import pytest

from cygnid.sandbox import launcher
from cygnid.sandbox.ability import NO_OWN_OVERLAY
from cygnid.sandbox.launch import Sandbox
from cygnid.sandbox.launched import Finished
from cygnid.sandbox.spec import Limits, Mount, SandboxSpec
from cygnid.sandbox.starter import LaunchFailed
from tests.sandbox.harness import LIMIT, ROOT, Stage, some_uid, staged, until


@pytest.fixture(scope="module")
async def stage() -> AsyncIterator[Stage]:
    async with staged() as stage:
        yield stage


@pytest.fixture(scope="module")
async def sandbox(stage: Stage) -> Sandbox:
    return await stage.open()


def limits(**others: object) -> Limits:
    return Limits(**({"cpu": 1, "memory_mb": 128} | others))  # pyright: ignore[reportArgumentType]


async def run(sandbox: Sandbox, spec: SandboxSpec) -> tuple[Finished, str]:
    async with asyncio.timeout(LIMIT):
        finished = await sandbox.run(spec)
    return finished, spec.stdout.read_text(errors="replace")


async def output(sandbox: Sandbox, spec: SandboxSpec) -> str:
    finished, said = await run(sandbox, spec)
    assert finished.ended.code == 0, (finished, said)
    return said


needs_cgroups = pytest.mark.skipif(not ROOT, reason="control groups need root")


@needs_cgroups
async def test_memory_is_held_and_the_reason_told(stage: Stage, sandbox: Sandbox) -> None:
    spec = stage.spec("head -c 300000000 /dev/zero | tail -c 250000000 | wc -c", limits=limits(memory_mb=64))
    script = "exec python3 -c 'x = bytearray(300_000_000)'"
    if Path("/usr/bin/python3").exists():
        spec = stage.spec(script, limits=limits(memory_mb=64))
    finished, _ = await run(sandbox, spec)
    assert (finished.ended.code, finished.ended.signal, finished.ended.out_of_memory) == (None, "SIGKILL", True)


async def test_a_signal_of_ones_own_is_no_lack_of_memory(stage: Stage, sandbox: Sandbox) -> None:
    finished, _ = await run(sandbox, stage.spec("kill -KILL $$"))
    assert (finished.ended.signal, finished.ended.out_of_memory) == ("SIGKILL", False)


async def test_a_fork_bomb_stops_at_its_limit(stage: Stage, sandbox: Sandbox) -> None:
    bomb = "f() { f & f & wait; }; f"
    spec = stage.spec(bomb, limits=limits(pids=32, seconds=2, output_bytes=10_000))
    task = asyncio.create_task(run(sandbox, spec))
    await until(lambda: spec.stderr.exists() and b"fork" in spec.stderr.read_bytes())
    _, said = await task
    assert "fork" in said
    assert not list(Path("/sys/fs/cgroup").glob(f"*/{stage.name}/{spec.name}"))


@needs_cgroups
async def test_cpu_is_held(stage: Stage, sandbox: Sandbox) -> None:
    spec = stage.spec("while :; do :; done", limits=limits(cpu=0.1))
    launched = await sandbox.launch(spec)
    await until(lambda: launched.usage().cpu_seconds > 0.05)
    throttled = f"/sys/fs/cgroup/cpu/{stage.name}/{spec.name}/cpu.stat"
    if sandbox.ability().cgroups == "v1" and Path(throttled).exists():
        await until(lambda: "nr_throttled 0\n" not in Path(throttled).read_text())
    await launched.kill()


async def test_usage_is_told(stage: Stage, sandbox: Sandbox) -> None:
    launched = await sandbox.launch(stage.spec("while :; do :; done"))
    await until(lambda: launched.usage().cpu_seconds > 0.05)
    assert launched.usage().memory_bytes > 100_000
    await launched.kill()


async def test_time_is_held(stage: Stage, sandbox: Sandbox) -> None:
    finished, _ = await run(sandbox, stage.spec("sleep 1000", limits=limits(seconds=0.1)))
    assert (finished.timed_out, finished.ended.signal) == (True, "SIGKILL")


async def test_output_is_held_together_and_the_cut_noted(stage: Stage, sandbox: Sandbox) -> None:
    spec = stage.spec(
        "yes out | head -c 300000; yes err | head -c 300000 >&2; exit 3", limits=limits(output_bytes=400_000)
    )
    finished, said = await run(sandbox, spec)
    assert finished.ended.code == 3
    assert finished.output_dropped == 200_000
    assert said.startswith("out\n")
    assert "\n[200000 bytes of output are left out here]\n" in said
    assert said.endswith("err\n"), "the end is what says why a command failed"
    assert len(said) < 401_000


async def test_output_without_a_limit_is_whole(stage: Stage, sandbox: Sandbox) -> None:
    folder = stage.folder
    spec = stage.spec("yes | head -c 3000000; echo err >&2", stdout=folder / "a.out", stderr=folder / "a.err")
    finished, said = await run(sandbox, spec)
    assert (finished.output_dropped, len(said), spec.stderr.read_text()) == (0, 3_000_000, "err\n")


async def test_disk_is_held_and_the_reason_said(stage: Stage, sandbox: Sandbox) -> None:
    uid = some_uid()
    folder = stage.owned(uid)
    spec = stage.spec(
        "head -c 4000000 /dev/zero > /w/file; sleep 1000",
        uid=uid,
        mounts=(Mount(source=folder, target="/w", writable=True),),
        limits=limits(disk_mb=2),
    )
    finished, said = await run(sandbox, spec)
    assert (finished.disk_exceeded, finished.ended.signal) == (True, "SIGKILL")
    assert said == "[ended: it wrote more than 2 MB]\n"


async def test_disk_is_held_also_when_nothing_can_be_said(stage: Stage, sandbox: Sandbox) -> None:
    """As when it has filled the disk."""
    uid = some_uid()
    folder = stage.owned(uid)
    spec = stage.spec(
        "head -c 4000000 /dev/zero > /w/file; sleep 1000",
        uid=uid,
        mounts=(Mount(source=folder, target="/w", writable=True),),
        limits=limits(disk_mb=2),
        stderr=Path("/dev/full"),
    )
    finished = await sandbox.run(spec)
    assert (finished.disk_exceeded, finished.ended.signal) == (True, "SIGKILL")


async def test_its_end_is_told_also_when_the_disk_takes_nothing(
    stage: Stage, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sandbox whose end cannot be told would keep all others from being seen."""
    launched = await sandbox.launch(stage.spec("exec sleep 1000"))

    def full(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("cygnid.sandbox.record._write", full)
        patch.setattr("cygnid.sandbox.launched.remove_tree", full)
        ended = await launched.kill()
    assert ended.signal == "SIGKILL"


async def test_temporary_files_are_held_by_size(stage: Stage, sandbox: Sandbox) -> None:
    spec = stage.spec("head -c 40000000 /dev/zero > /tmp/file", limits=limits(memory_mb=32))
    finished, said = await run(sandbox, spec)
    assert finished.ended.code != 0
    assert "No space left" in said


async def test_the_file_system_is_what_was_given_and_read_only(stage: Stage, sandbox: Sandbox) -> None:
    secret = stage.folder / "secret"
    secret.write_text("x")
    (stage.folder / "shown").mkdir(exist_ok=True)
    (stage.folder / "shown" / "file").write_text("shown\n")
    spec = stage.spec(
        f"cat /m/file; ls /; ls -a {stage.folder} 2>&1; "
        "for at in / /usr /etc /m /run; do touch $at/x && echo wrote $at; done 2>/dev/null; true",
        mounts=(Mount(source=stage.folder / "shown", target="/m"),),
    )
    said = await output(sandbox, spec)
    first, *rest = said.splitlines()
    assert first == "shown"
    assert set(rest[:-1]) <= {
        *["bin", "dev", "etc", "lib", "lib32", "lib64", "libx32", "m", "proc", "run", "sbin", "tmp", "usr", "var"]
    }
    assert "No such file" in rest[-1]


async def test_an_overlay_takes_writes_and_the_folder_below_stays(stage: Stage, sandbox: Sandbox) -> None:
    if not sandbox.ability().overlay:
        pytest.skip("no overlay file system here")
    release = stage.release({"file": "old\n", "gone": ""})
    spec = stage.spec("echo new > file2; rm -f gone; ls; cat file", overlay=(release, "/app"), cwd="/app")
    assert await output(sandbox, spec) == "file\nfile2\nold\n"
    assert sorted(os.listdir(release)) == ["file", "gone"]
    assert not (spec.folder / "overlay").exists()


@pytest.mark.skipif(not ROOT, reason="an ordinary user's files need no other owner")
async def test_without_mounts_of_another_owner_it_works_and_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with staged() as stage:
        old_kernel = stage.folder / "launcher.py"
        code = Path(launcher.__file__).read_text()
        assert code.count("435, 442") == 1
        old_kernel.write_text(code.replace("435, 442", "435, 9999"))
        monkeypatch.setattr(launcher, "__file__", str(old_kernel))
        sandbox = await stage.open()
        ability = sandbox.ability()
        assert (ability.own_overlay, ability.notes.count(NO_OWN_OVERLAY)) == (False, 1)
        spec = stage.spec("echo new > file2; cat file", overlay=(stage.release({"file": "old\n"}), "/app"), cwd="/app")
        assert await output(sandbox, spec) == "old\n"


async def test_nothing_of_a_secret_is_on_disk_or_in_a_command_line(stage: Stage, sandbox: Sandbox) -> None:
    secret = secrets.token_hex(16)
    spec = stage.spec(
        'test -n "$KEY" && cat /run/cygni/env/FILE >/dev/null && echo up; exec sleep 1000',
        env={"KEY": secret, "PATH": "/usr/bin:/bin"},
        files={"/run/cygni/env/FILE": secret.encode()},
    )
    launched = await sandbox.launch(spec)
    await until(lambda: spec.stdout.read_text() == "up\n")
    for process in Path("/proc").glob("[0-9]*"):
        try:
            assert secret.encode() not in (process / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
    for path in spec.folder.rglob("*"):
        assert path.is_dir() or secret.encode() not in path.read_bytes(), path
    await launched.kill()


async def test_the_loader_s_variables_act_inside_only(stage: Stage, sandbox: Sandbox) -> None:
    """Bubblewrap runs outside as the same user: a library named by the tenant must not be loaded into it."""
    spec = stage.spec("echo $LD_PRELOAD; echo $LD_LIBRARY_PATH", env={"LD_PRELOAD": "/x.so", "LD_LIBRARY_PATH": "/y"})
    _, said = await run(sandbox, spec)
    errors = [line for line in said.splitlines() if "cannot be preloaded" in line]
    assert said.endswith("/x.so\n/y\n")
    assert len(errors) == 1  # by the shell inside, and not by bubblewrap before it
    assert "bwrap" not in errors[0]


async def test_no_descriptor_of_the_platform_leaks(stage: Stage, sandbox: Sandbox) -> None:
    held = os.open("/", os.O_RDONLY)
    os.set_inheritable(held, True)
    try:
        assert (await output(sandbox, stage.spec("ls /proc/self/fd"))).split() == ["0", "1", "2", "3"]
    finally:
        os.close(held)


async def test_it_sees_its_own_processes_only(stage: Stage, sandbox: Sandbox) -> None:
    looks = "cd /proc; ls -d [0-9]* | wc -l; kill -9 $PPID; echo alive; id -un; hostname"
    said = await output(sandbox, stage.spec(looks))
    count, *rest = said.split()
    assert int(count) <= 5
    assert rest == ["alive", "app", "app"]


@pytest.mark.skipif(not ROOT, reason="an ordinary user has one uid for all")
async def test_no_tenant_reads_what_another_wrote(stage: Stage, sandbox: Sandbox) -> None:
    uid, other = some_uid(), some_uid()
    folder = stage.owned(uid)
    folder.chmod(0o700)
    mount = Mount(source=folder, target="/w", writable=True)
    await output(sandbox, stage.spec("echo mine > /w/file", uid=uid, mounts=(mount,)))
    spec = stage.spec(f"cat /w/file {folder}/file; id -u", uid=other, mounts=(mount,))
    _, said = await run(sandbox, spec)
    assert "mine" not in said
    assert "denied" in said


async def test_no_privilege_can_be_won(stage: Stage, sandbox: Sandbox) -> None:
    spec = stage.spec("grep -E 'NoNewPrivs|CapEff|CapBnd' /proc/self/status; unshare -U true 2>&1 || echo refused")
    said = (await output(sandbox, spec)).split()
    assert said[said.index("NoNewPrivs:") + 1] == "1"
    assert int(said[said.index("CapEff:") + 1], 16) == 0
    assert int(said[said.index("CapBnd:") + 1], 16) == 0
    assert said[-1] == "refused"


async def test_a_mount_that_is_not_there_is_named(stage: Stage, sandbox: Sandbox) -> None:
    spec = stage.spec("true", mounts=(Mount(source=Path("/no/such/folder"), target="/m"),))
    with pytest.raises(LaunchFailed, match="/no/such/folder"):
        await sandbox.launch(spec)
    assert not list(Path("/sys/fs/cgroup").glob(f"*/{stage.name}/{spec.name}"))


@pytest.mark.skipif(not ROOT, reason="root has uids to give")
async def test_root_runs_nothing_as_root(stage: Stage, sandbox: Sandbox) -> None:
    spec = SandboxSpec(**{**vars(stage.spec("id")), "uid": None})
    with pytest.raises(LaunchFailed, match="uid"):
        await sandbox.launch(spec)


async def test_all_of_it_ends_with_its_command(stage: Stage, sandbox: Sandbox) -> None:
    read, write = os.pipe()
    os.set_blocking(read, False)
    fifo = stage.folder / f"fifo-{secrets.token_hex(4)}"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    spec = stage.spec("(setsid sh -c 'sleep 1000 & sleep 1000' &); exit 3", stdout=fifo, stderr=fifo)
    launched = await sandbox.launch(spec)
    assert (await launched.wait()).code == 3
    assert os.read(reader, 10) == b""
    for fd in (read, write, reader):
        os.close(fd)


async def test_many_start_at_once(stage: Stage, sandbox: Sandbox) -> None:
    specs = [stage.spec(f"echo {number}; exit {number}") for number in range(12)]
    finished = await asyncio.gather(*(sandbox.run(spec) for spec in specs))
    assert [each.ended.code for each in finished] == list(range(12))
    assert [spec.stdout.read_text() for spec in specs] == [f"{number}\n" for number in range(12)]


async def test_the_fork_server_is_made_anew_when_it_was_killed(stage: Stage, sandbox: Sandbox) -> None:
    await output(sandbox, stage.spec("true"))
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    for task in Path("/proc/self/task").iterdir():
        children += (task / "children").read_text().split()
    servers = [pid for pid in children if b"launcher.py" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert servers
    for pid in set(servers):
        os.kill(int(pid), signal.SIGKILL)
    assert await output(sandbox, stage.spec("echo again")) == "again\n"


async def test_a_killed_watcher_hides_no_end(stage: Stage, sandbox: Sandbox) -> None:
    launched = await sandbox.launch(stage.spec("sleep 1000"))
    os.kill(launched.record.watcher.pid, signal.SIGKILL)
    assert (await launched.wait()).signal == "SIGKILL"
    assert not launched.record.init.alive


async def test_it_outlives_whoever_launched_it(stage: Stage) -> None:
    first, spec = await stage.open(), stage.spec("trap 'exit 5' TERM; echo up; while :; do sleep 0.01; done")
    launched = await first.launch(spec)
    await until(lambda: spec.stdout.read_text() == "up\n")
    await first.close()
    assert launched.record.watcher.alive
    second = await stage.open()
    found = await second.adopt(spec.folder)
    assert found is not None
    assert found.ended is None
    assert (await found.stop(grace_seconds=LIMIT)).code == 5
    third = await stage.open()
    again = await third.adopt(spec.folder)
    assert again is not None
    assert (await again.wait()).code == 5


async def test_an_end_that_nobody_watched_is_told_with_its_time(stage: Stage) -> None:
    first, spec = await stage.open(), stage.spec("echo up; sleep 0.2; exit 6")
    launched = await first.launch(spec)
    await first.close()
    await until(lambda: not launched.record.watcher.alive)
    found = await (await stage.open()).adopt(spec.folder)
    assert found is not None
    ended = await found.wait()
    assert ended.code == 6
    assert (spec.folder / "status.json").stat().st_mtime == pytest.approx(ended.at.timestamp(), abs=0.001)


async def test_a_name_can_be_killed_by_one_who_knows_nothing_else(stage: Stage) -> None:
    spec = stage.spec("echo up; sleep 1000")
    await (await stage.open()).launch(spec)
    other = await stage.open()
    for _ in range(2):
        await other.kill(spec.name, spec.folder)
    found = await other.adopt(spec.folder)
    assert found is not None
    assert (await found.wait()).signal == "SIGKILL"


async def test_a_reboot_leaves_an_end_without_a_reason(stage: Stage, sandbox: Sandbox) -> None:
    spec = stage.spec("true")
    await sandbox.run(spec)
    record = spec.folder / "sandbox.json"
    here = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    record.write_text(record.read_text().replace(here, "00000000-0000-0000-0000-000000000000"))
    (spec.folder / "ended.json").unlink()
    (spec.folder / "status.json").write_text('{ "child-pid": 1 }\n')
    found = await sandbox.adopt(spec.folder)
    assert found is not None
    ended = await found.wait()
    assert (ended.code, ended.signal, ended.out_of_memory) == (None, None, False)


async def test_abstract_sockets_of_the_platform_are_named_by_the_ability(stage: Stage, sandbox: Sandbox) -> None:
    """Only a network of its own closes them; where there is none, it is said."""
    ability = sandbox.ability()
    assert ability.own_network or ability.notes
    assert ability.own_user == ROOT
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0{secrets.token_hex(8)}")
