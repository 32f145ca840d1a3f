"""What runs in the background gives way: by weight where there are control groups, by nice and ionice everywhere."""

import asyncio
import ctypes
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cygnid.sandbox.cgroups import Cgroups, weights_v1, weights_v2
from cygnid.sandbox.launch import Sandbox
from cygnid.sandbox.launched import Launched
from cygnid.sandbox.spec import Limits
from tests.sandbox.harness import LIMIT, ROOT, Stage, staged

SAY = "nice; cat /proc/self/oom_score_adj"
IOPRIO_GET = {"x86_64": 252, "aarch64": 31, "riscv64": 31}
IDLE = 3


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with staged() as stage:
        yield stage


def limits(*, background: bool) -> Limits:
    return Limits(cpu=1, memory_mb=64, background=background)


async def test_it_is_nice_and_the_first_to_go(stage: Stage) -> None:
    sandbox = await stage.open()
    said: list[list[str]] = []
    for background in (False, True):
        spec = stage.spec(SAY, limits=limits(background=background))
        async with asyncio.timeout(LIMIT):
            assert (await sandbox.run(spec)).ended.code == 0
        said.append(spec.stdout.read_text().split())
    assert said == [["0", "500"], ["10", "800"]]


@pytest.mark.skipif(os.uname().machine not in IOPRIO_GET, reason="the number of ioprio_get is not known here")
async def test_the_disk_serves_everybody_else_first(stage: Stage) -> None:
    sandbox = await stage.open()
    launched = await sandbox.launch(stage.spec("exec sleep 1000", limits=limits(background=True)))
    try:
        found = ctypes.CDLL(None).syscall(IOPRIO_GET[os.uname().machine], 1, launched.record.init.pid)
    finally:
        await launched.kill()
    assert found >> 13 == IDLE


@pytest.mark.skipif(not ROOT, reason="control groups need root")
async def test_it_weighs_little_beside_everything_else(stage: Stage) -> None:
    sandbox = await stage.open()
    back = await sandbox.launch(stage.spec("exec sleep 1000", limits=limits(background=True)))
    front = await sandbox.launch(stage.spec("exec sleep 1000", limits=limits(background=False)))
    try:
        assert (weight(sandbox, group_of(back)), weight(sandbox, group_of(front))) == (5, 100)
        assert group_of(back).parent == group_of(front).parent, "siblings: a weight counts among them only"
    finally:
        await back.kill()
        await front.kill()
    assert not list(Path("/sys/fs/cgroup").glob(f"*/{stage.name}-background/{back.record.name}"))


@pytest.mark.skipif(not ROOT, reason="control groups need root")
async def test_whoever_knows_the_name_alone_can_end_it(stage: Stage) -> None:
    sandbox = await stage.open()
    spec = stage.spec("exec sleep 1000", limits=limits(background=True))
    launched = await sandbox.launch(spec)
    (spec.folder / "sandbox.json").unlink()
    another = await stage.open()
    async with asyncio.timeout(LIMIT):
        await another.kill(spec.name, spec.folder)
        assert (await launched.wait()).signal == "SIGKILL"


def group_of(launched: Launched) -> Path:
    """The parent of its control group, by which processor time is given out."""
    lines = Path(f"/proc/{launched.record.init.pid}/cgroup").read_text().splitlines()
    found = {controller: path for _, controller, path in (line.split(":", 2) for line in lines)}
    return Path(found.get("cpu") or found.get("cpu,cpuacct") or found[""]).parent


def weight(sandbox: Sandbox, group: Path) -> int:
    if sandbox.ability().cgroups == "v2":
        return int(Path(f"/sys/fs/cgroup{group}/cpu.weight").read_text())
    return round(int(Path(f"/sys/fs/cgroup/cpu{group}/cpu.shares").read_text()) * 100 / 1024)


def test_weights_are_written_as_each_version_calls_them() -> None:
    assert weights_v1(5) == {"cpu": {"cpu.shares": "51"}, "blkio": {"blkio.bfq.weight": "5"}}
    assert weights_v1(1)["cpu"] == {"cpu.shares": "10"}
    assert weights_v2(5) == {"cpu.weight": "5", "io.weight": "default 5", "io.bfq.weight": "default 5"}


def test_version_2_gets_its_weights_and_the_disk_s_controller_where_there_is_one(tmp_path: Path) -> None:
    """On plain files, since a machine has one version."""
    for name in ("", "x", "x-background"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "cgroup.subtree_control").write_text("cpu memory pids")
        (tmp_path / name / "cgroup.controllers").write_text("cpu io memory pids")
        (tmp_path / name / "cpu.weight").write_text("100")
    found = Cgroups.detect("x", f"cgroup2 {tmp_path} cgroup2 rw 0 0\n", background_weight=7)
    assert found is not None
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+io"
    assert (tmp_path / "x-background" / "cpu.weight").read_text() == "7"
    assert (tmp_path / "x" / "cpu.weight").read_text() == "100"
    assert not (tmp_path / "x-background" / "io.weight").exists(), "no scheduler here goes by it"
    assert found.group("a", background=True).folders == {"": tmp_path / "x-background" / "a"}
    assert found.group("a").folders == {"": tmp_path / "x" / "a"}
