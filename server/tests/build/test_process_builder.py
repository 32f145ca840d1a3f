"""Real builds in real sandboxes: what they install, what they may not do, what is left of them."""

import asyncio
import os
import socket
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from uv import find_uv_bin

from cygnid.adapters import builder_of
from cygnid.build.base import BuildFailed, BuildSettings
from cygnid.build.process_spec import BuildLimits
from cygnid.build.toolchains import find
from cygnid.programs import programs
from cygnid.settings import Settings
from tests.build.harness import UID, Workshop, workshop
from tests.build.releases import run_release

EXAMPLES = Path(__file__).parents[3] / "examples"
SMALL = BuildLimits(cpu=1, memory_mb=256, pids=64, disk_mb=64, seconds=20, output_bytes=20_000)
ROOT = pytest.mark.skipif(os.getuid() != 0, reason="needs control groups and users of its own, so root")
NODE = pytest.mark.skipif(
    not find("node"),
    reason="no Node on this machine",
)


@pytest.fixture
async def shop() -> AsyncIterator[Workshop]:
    async with workshop() as shop:
        yield shop


@pytest.fixture
async def small() -> AsyncIterator[Workshop]:
    async with workshop(SMALL) as shop:
        yield shop


def reaches(host: str) -> bool:
    try:
        socket.create_connection((host, 443), 5).close()
    except OSError:
        return False
    return True


PYPI = pytest.mark.skipif(not reaches("pypi.org"), reason="Python's package index cannot be reached")
NPM = pytest.mark.skipif(not reaches("registry.npmjs.org"), reason="npm's registry cannot be reached")


GET = """
import time, urllib.request
for _ in range(200):
    try:
        print(urllib.request.urlopen("http://127.0.0.1:8000/", timeout=5).read().decode()); break
    except OSError: time.sleep(0.05)
"""


async def test_hello_answers(shop: Workshop) -> None:
    artifact = await shop.builder.build(shop.request(EXAMPLES / "hello"))
    (web,) = artifact.plan.processes
    assert "Hello from Cygni" in await run_release(shop, artifact, f"{web.command} & python -c '{GET}'")


@PYPI
async def test_flask_answers_and_a_redeploy_installs_nothing(shop: Workshop) -> None:
    first = await shop.builder.build(shop.request(EXAMPLES / "flask", digest="sha256:1"))
    (web,) = first.plan.processes
    assert (first.plan.framework, web.command) == ("flask", "gunicorn --bind 0.0.0.0:$PORT app:app")
    assert "Hello from Flask" in await run_release(shop, first, f"{web.command} & python -c '{GET}'")
    compiled = [path for mount, _ in first.mounts for path in mount.rglob("flask/__pycache__/*.pyc")]
    assert compiled, "installed modules are compiled"
    assert list(first.path.glob("__pycache__/app.*.pyc")), "so are the app's own"
    before = shop.log
    second = await shop.builder.build(shop.request(EXAMPLES / "flask", digest="sha256:2"))
    said = shop.log.removeprefix(before)
    assert second.digest != first.digest
    assert second.mounts == first.mounts
    assert "unchanged, nothing to install" in said
    assert "Installed" not in said


@PYPI
@pytest.mark.parametrize("is_package", [False, True])
async def test_a_project_of_uv_is_installed_as_its_lock_says(shop: Workshop, is_package: bool) -> None:
    project = '[project]\nname = "shop"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = ["six<1.17"]\n'
    if is_package:
        project += '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        project += '[tool.setuptools]\npy-modules = ["shop"]\n'
    files = {
        "pyproject.toml": project,
        "shop.py": "import six\nprint(six.__version__)",
        "Procfile": "web: python shop.py",
    }
    request = shop.request(files)
    command = [find_uv_bin(), "lock", "-q", "--no-cache", "--project", str(request.tree)]
    await asyncio.to_thread(subprocess.run, command, check=True)
    artifact = await shop.builder.build(request)
    assert (artifact.plan.install_key is None) is is_package
    assert (
        await run_release(shop, artifact, "cd /tmp; python -c 'import sys; sys.path.append(\"/app\"); import shop'")
        == "1.16.0\n"
    )


@NODE
@NPM
async def test_node_answers_and_a_redeploy_installs_nothing(shop: Workshop) -> None:
    first = await shop.builder.build(shop.request(EXAMPLES / "node", digest="sha256:1"))
    (web,) = first.plan.processes
    get = "for(let i=0;;i++)try{console.log(await(await fetch('http://127.0.0.1:8000/')).text());break}"
    get += "catch{await new Promise(r=>setTimeout(r,50))}"
    script = f'{web.command} & node --input-type=module -e "{get}"'
    assert "Hello from Node" in await run_release(shop, first, script)
    before = shop.log
    second = await shop.builder.build(shop.request(EXAMPLES / "node", digest="sha256:2"))
    assert second.mounts == first.mounts
    assert "added" not in shop.log.removeprefix(before)


@NODE
async def test_a_site_built_by_node_is_its_output_folder(shop: Workshop) -> None:
    files = {
        "package.json": '{"scripts": {"build": "node build.js"}}',
        "build.js": "const fs=require('fs');fs.mkdirSync('out');fs.writeFileSync('out/index.html',process.env.TITLE)",
    }
    settings = BuildSettings(output_dir="out")
    artifact = await shop.builder.build(shop.request(files, settings=settings, env={"TITLE": "built"}))
    assert (artifact.kind, artifact.plan.build_command, artifact.mounts) == ("static", "npm run build", ())
    assert {path.name: path.read_text() for path in artifact.path.iterdir()} == {"index.html": "built"}


async def test_a_static_site_hides_what_is_not_for_visitors(shop: Workshop) -> None:
    files = {"index.html": "x", ".env": "A=1", ".well-known/security.txt": "x", "cygni.toml": "", "b/.htaccess": ""}
    artifact = await shop.builder.build(shop.request(files))
    assert sorted(path.name for path in artifact.path.iterdir()) == [".well-known", "b", "index.html"]


async def test_two_releases_of_a_site_never_share_a_modification_time(shop: Workshop) -> None:
    one = await shop.builder.build(shop.request({"index.html": "one"}))
    two = await shop.builder.build(shop.request({"index.html": "two"}))
    times = [(artifact.path / "index.html").stat().st_mtime for artifact in (one, two)]
    assert times[0] < times[1]
    assert all(time == int(time) for time in times)


async def test_a_build_command_sees_its_variables_and_nothing_of_ours(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUR_OWN", "must not be seen")
    files = {"Procfile": "web: x", "cygni.toml": '[env]\nMODE = "toml"\nOTHER = "toml"'}
    settings = BuildSettings(build_command="env > seen; pwd >> seen")
    artifact = await shop.builder.build(shop.request(files, settings=settings, env={"MODE": "project"}))
    seen = (artifact.path / "seen").read_text().splitlines()
    assert "MODE=project" in seen
    assert "OTHER=toml" in seen
    assert "/app" in seen
    assert "OUR_OWN" not in "".join(seen)


async def test_the_root_folder_is_built_and_the_rest_is_there(shop: Workshop) -> None:
    files = {"api/Procfile": "web: x", "shared/a": "1"}
    settings = BuildSettings(root_dir="api", build_command="cp ../shared/a b")
    artifact = await shop.builder.build(shop.request(files, settings=settings))
    assert (artifact.path / "api/b").read_text() == "1"
    assert artifact.plan.root == Path("api")


async def test_an_install_command_of_ones_own_is_part_of_the_release(shop: Workshop) -> None:
    files = {
        "app.py": "import os\nos.environ['PORT']",
        "cygni.toml": "install_command = \"echo 'x = 7' > .venv/made.py\"",
    }
    artifact = await shop.builder.build(shop.request(files))
    assert (artifact.path / ".venv/made.py").read_text() == "x = 7\n"
    assert await run_release(shop, artifact, "python -c 'import sys; print(sys.prefix)'") == "/app/.venv\n"


async def test_a_failing_command_is_named_with_its_code(shop: Workshop) -> None:
    settings = BuildSettings(build_command="echo it broke >&2; exit 3")
    with pytest.raises(BuildFailed) as caught:
        await shop.builder.build(shop.request({"Procfile": "web: x"}, settings=settings))
    assert caught.value.code == "build_error"
    assert "exit code 3" in caught.value.message
    assert "it broke\n" in shop.log
    assert shop.leftovers == []


async def test_a_missing_output_folder_names_those_there_are(shop: Workshop) -> None:
    settings = BuildSettings(build_command="mkdir public", output_dir="dist")
    with pytest.raises(BuildFailed) as caught:
        await shop.builder.build(shop.request({"a": ""}, settings=settings))
    assert "dist is not there" in caught.value.message
    assert "public" in caught.value.hint


@pytest.mark.parametrize("way", ["ln -s /etc dist", "ln -s .. dist", "mkdir dist; ln -s /etc/passwd dist/index.html"])
async def test_an_output_folder_cannot_lead_out(shop: Workshop, way: str) -> None:
    settings = BuildSettings(build_command=way, output_dir="dist")
    with pytest.raises(BuildFailed) as caught:
        await shop.builder.build(shop.request({"index.html": ""}, settings=settings))
    assert caught.value.code == "build_error"
    assert shop.leftovers == []


async def test_a_secret_written_by_the_build_is_found(shop: Workshop) -> None:
    settings = BuildSettings(build_command='echo "x$TOKEN" > deep')
    request = shop.request(
        {"Procfile": "web: x"}, settings=settings, env={"TOKEN": "0123456789abc"}, secrets={"TOKEN": "0123456789abc"}
    )
    with pytest.raises(BuildFailed, match="TOKEN is in the release: deep"):
        await shop.builder.build(request)


async def test_a_build_without_end_is_ended() -> None:
    async with workshop(replace(SMALL, seconds=1)) as shop:
        settings = BuildSettings(build_command="trap '' TERM; (setsid sleep 600 &) ; while :; do sleep 600; done")
        with pytest.raises(BuildFailed) as caught:
            await shop.builder.build(shop.request({"Procfile": "web: x"}, settings=settings))
        assert caught.value.code == "build_timeout"
        assert "1 s" in caught.value.message
        assert shop.leftovers == []


async def test_the_operators_limit_of_time_is_the_builders(shop: Workshop) -> None:
    settings = Settings(home=shop.folder / "data", build_timeout_seconds=1.5)
    builder = builder_of(settings, programs(settings.home), shop.sandbox)
    request = shop.request({"Procfile": "web: x"}, settings=BuildSettings(build_command="sleep 600"))
    with pytest.raises(BuildFailed) as caught:
        await builder.build(request)
    assert caught.value.code == "build_timeout"
    assert caught.value.message == "The build took longer than the 1.5 s it may; `sleep 600` was still running."


@ROOT
async def test_a_build_that_eats_memory_is_ended(small: Workshop) -> None:
    settings = BuildSettings(build_command="python3 -c 'a = bytearray(1 << 30)'")
    with pytest.raises(BuildFailed) as caught:
        await small.builder.build(small.request({"Procfile": "web: x"}, settings=settings))
    assert caught.value.code == "build_oom"
    assert "256 MB" in caught.value.message


@ROOT
async def test_a_build_that_forks_without_end_hurts_only_itself(small: Workshop) -> None:
    settings = BuildSettings(build_command="for i in $(seq 500); do sleep 5 & done; wait")
    with pytest.raises(BuildFailed) as caught:
        await small.builder.build(small.request({"Procfile": "web: x"}, settings=settings))
    assert caught.value.code == "build_error"
    assert small.leftovers == []


async def test_a_build_that_fills_the_disk_is_ended(small: Workshop) -> None:
    settings = BuildSettings(build_command="head -c 200M /dev/zero > big; sleep 600")
    with pytest.raises(BuildFailed) as caught:
        await small.builder.build(small.request({"Procfile": "web: x"}, settings=settings))
    assert caught.value.code == "disk_full"
    assert "64 MB" in caught.value.message
    assert small.leftovers == []


async def test_output_without_end_is_cut_with_a_note(small: Workshop) -> None:
    settings = BuildSettings(build_command="head -c 5000000 /dev/zero | tr '\\0' 'a'; echo; echo the end")
    await small.builder.build(small.request({"Procfile": "web: x"}, settings=settings))
    assert "bytes of output are left out here]\n" in small.log
    assert "\nthe end\n" in small.log
    assert len(small.log) < 25_000


@ROOT
async def test_a_build_sees_neither_our_files_nor_other_projects(shop: Workshop) -> None:
    other = await shop.builder.build(shop.request({"Procfile": "web: x", "mine": "of b"}, project_id="proj_b"))
    look = f"for path in {other.path}/mine {shop.folder} /etc/shadow /root; do test -r $path && echo sees $path; done"
    settings = BuildSettings(build_command=f"id -u; {look}; true")
    await shop.builder.build(shop.request({"Procfile": "web: x"}, settings=settings))
    said = [line for line in shop.log.splitlines() if not line.startswith("-->")]
    assert said == [str(UID)]


@pytest.mark.parametrize("way", ["mkfifo pipe", "chmod 000 . ", "mkdir a && chmod 000 a", "ln -s /nowhere b"])
async def test_odd_files_do_not_stop_the_sealing(shop: Workshop, way: str) -> None:
    settings = BuildSettings(build_command=way)
    artifact = await shop.builder.build(shop.request({"Procfile": "web: x"}, settings=settings))
    assert not (artifact.path / "pipe").exists()
    assert all(path.lstat().st_mode & 0o022 == 0 for path in artifact.path.rglob("*") if not path.is_symlink())
    assert {path.lstat().st_uid for path in artifact.path.rglob("*")} == {os.geteuid()}


async def test_folders_without_end_are_removed_again(shop: Workshop) -> None:
    deep = "import os\nfor _ in range(3000):\n os.mkdir('d'); os.chdir('d')"
    settings = BuildSettings(build_command=f'python3 -c "{deep}"; exit 1')
    with pytest.raises(BuildFailed):
        await shop.builder.build(shop.request({"Procfile": "web: x"}, settings=settings))
    assert shop.leftovers == []


@NODE
async def test_a_build_cannot_have_the_platform_follow_links_in_its_cache(shop: Workshop) -> None:
    """What the platform does there it does as root: to give away a folder of the machine would give away all."""
    victim = shop.folder / "victim"
    victim.mkdir(mode=0o755)
    loop = f"for name in . home npm tools tools/.cache; do rm -rf /cache/$name; ln -s {victim} /cache/$name; done"
    settings = BuildSettings(build_command=f"set +e; {loop}; true")
    for nonce in "12":
        await shop.builder.build(shop.request({"server.js": ""}, settings=settings, nonce=nonce))
    assert victim.stat().st_uid == os.geteuid()
    assert list(victim.iterdir()) == []
    (cache,) = (shop.folder / "data" / "build-cache").glob("*/*")
    assert not [path for path in (*cache.iterdir(), *(cache / "tools").iterdir()) if path.is_symlink()]


@pytest.mark.parametrize("way", ["ln -s /etc sub", "touch sub", "ln -s sub sub", "true"])
async def test_a_root_folder_that_the_build_replaced_shows_nothing_of_the_machine(shop: Workshop, way: str) -> None:
    settings = BuildSettings(root_dir="sub", build_command=f"cd ..; rm -r sub; {way}", output_dir="dist")
    with pytest.raises(BuildFailed) as caught:
        await shop.builder.build(shop.request({"sub/index.html": ""}, settings=settings))
    assert "dist is not there" in caught.value.message
    assert caught.value.hint.endswith("Folders there are: none.")
    assert shop.leftovers == []


async def test_a_site_may_have_any_names(shop: Workshop) -> None:
    long = "n" * 250 + ".html"
    files = {"site/index.html": "", f"site/{long}": "<p>" * 1000, ".not-served/a": "", "not-served/a": ""}
    artifact = await shop.builder.build(shop.request(files, settings=BuildSettings(output_dir="site")))
    assert {path.name for path in artifact.path.iterdir()} == {"index.html", long}
    assert {path.name for path in artifact.path.parent.iterdir()} == {"release", "artifact.json"}


@pytest.mark.parametrize(("name", "levels"), [("d", 250), ("d" * 180, 21)])
@pytest.mark.parametrize("output", [None, "."])
async def test_folders_nested_too_deeply_are_told_of(
    shop: Workshop, name: str, levels: int, output: str | None
) -> None:
    deep = f"import os\nfor _ in range({levels}):\n os.mkdir('{name}'); os.chdir('{name}')"
    settings = BuildSettings(build_command=f'python3 -c "{deep}"', output_dir=output)
    with pytest.raises(BuildFailed, match="nested too deeply"):
        await shop.builder.build(
            shop.request({"Procfile": "web: x"} if output is None else {"a": ""}, settings=settings)
        )
    assert shop.leftovers == []


@pytest.mark.parametrize("far", ["copying", "searching"])
async def test_what_the_builder_does_itself_ends_when_it_is_cancelled(shop: Workshop, far: str) -> None:
    """Files of terabytes that take no room keep it busy for longer than any test waits."""
    settings = BuildSettings(build_command="truncate -s 4T big")
    request = shop.request({"Procfile": "web: x"}, settings=settings, secrets={"TOKEN": "0123456789abc"})
    if far == "copying":
        (request.tree / "big").touch()
        os.truncate(request.tree / "big", 1 << 42)
    task = asyncio.create_task(shop.builder.build(request))
    copy = "artifacts/*/.work-*/release/big"
    async with asyncio.timeout(60):
        while not (list((shop.folder / "data").glob(copy)) if far == "copying" else "build: done" in shop.log):
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait({task})
    assert task.cancelled()
    assert shop.leftovers == []


async def test_what_a_builder_that_was_killed_left_is_listed_and_goes(shop: Workshop) -> None:
    request = shop.request({"Procfile": "web: x"}, settings=BuildSettings(build_command="echo begun; sleep 600"))
    task = asyncio.create_task(shop.builder.build(request))
    async with asyncio.timeout(60):
        await shop.said("begun")
    stale = [Path(path) for path in shop.leftovers]
    task.cancel()
    await asyncio.wait({task})
    for path in stale:  # as if nobody had cleaned up
        path.mkdir(parents=True)
    assert (await shop.builder.inventory()).builds == {request.id}
    await shop.builder.kill(request.id)
    assert shop.leftovers == []


async def test_a_second_attempt_kills_the_first(shop: Workshop) -> None:
    settings = BuildSettings(build_command="echo begun; sleep 600")
    request = shop.request({"Procfile": "web: x"}, settings=settings)
    first = asyncio.create_task(shop.builder.build(request))
    async with asyncio.timeout(30):
        await shop.said("begun")
    await shop.builder.kill(request.id)
    with pytest.raises(BuildFailed, match="SIGKILL"):
        await first
    assert shop.leftovers == []


async def test_a_build_gives_way_to_what_runs(shop: Workshop) -> None:
    settings = BuildSettings(build_command="echo nice $(nice); echo begun; sleep 600")
    request = shop.request({"Procfile": "web: x"}, settings=settings)
    building = asyncio.create_task(shop.builder.build(request))
    async with asyncio.timeout(60):
        await shop.said("begun")
    groups = list(Path("/sys/fs/cgroup").glob(f"**/*-background/{request.id}.build"))
    building.cancel()
    await asyncio.wait({building})
    assert "\nnice 10\n" in shop.log
    if shop.sandbox.ability().cgroups != "none":
        assert groups, "its control group is beside those of applications"


async def test_unused_installations_go_with_the_last_release_that_needs_them(shop: Workshop) -> None:
    files = {"app.py": "import os\nos.environ['PORT']"}
    one = await shop.builder.build(shop.request(files))
    two = await shop.builder.build(shop.request({**files, "b": ""}))
    ((installed, _),) = one.mounts
    long_ago = 1_000_000_000
    os.utime(installed.parent, (long_ago, long_ago))
    await shop.builder.remove("proj_a", one.digest)
    assert installed.exists()
    await shop.builder.remove("proj_a", two.digest)
    assert not installed.exists()


async def test_a_build_finds_what_earlier_ones_of_its_environment_wrote_and_no_others(shop: Workshop) -> None:
    """Who may deploy to one environment must not decide what is built for another."""
    app = {"Procfile": "web: x"}

    async def build(command: str, environment_id: str) -> str:
        settings = BuildSettings(build_command=command)
        request = shop.request(app, settings=settings, environment_id=environment_id, nonce=environment_id)
        return ((await shop.builder.build(request)).path / "found").read_text()

    look = "cat /cache/home/planted 2>&1 > found || true"
    await build("echo evil > /cache/home/planted; touch found", "env_a")
    assert await build(look, "env_a") == "evil\n"
    assert await build(look, "env_b") == ""
    await shop.builder.remove_environment("proj_a", "env_a")
    assert await build(f"true; {look}", "env_a") == ""


@PYPI
async def test_environments_do_not_share_installations(shop: Workshop) -> None:
    requests = [shop.request(EXAMPLES / "flask", digest="sha256:1", environment_id=env) for env in ("env_a", "env_b")]
    first, second = [await shop.builder.build(request) for request in requests]
    assert not second.reused
    assert second.digest != first.digest
    installed = [{source for source, target in made.mounts if target == "/app/.venv"} for made in (first, second)]
    assert len(installed[0] | installed[1]) == 2


async def test_the_cache_can_be_cleared(shop: Workshop) -> None:
    keep = BuildSettings(build_command='ls "$HOME" > seen; touch "$HOME/kept"')
    await shop.builder.build(shop.request({"Procfile": "web: x"}, settings=keep))
    kept = await shop.builder.build(shop.request({"Procfile": "web: x"}, settings=keep, nonce="2"))
    cleared = await shop.builder.build(shop.request({"Procfile": "web: x"}, settings=keep, nonce="3", clear_cache=True))
    assert [(artifact.path / "seen").read_text() for artifact in (kept, cleared)] == ["kept\n", ""]


@ROOT
@NODE
async def test_memory_eaten_behind_npm_is_told_as_such(small: Workshop) -> None:
    files = {"package.json": '{"scripts": {"build": "python3 -c \'a = bytearray(1 << 30)\'", "start": "node a.js"}}'}
    with pytest.raises(BuildFailed) as caught:
        await small.builder.build(small.request(files))
    assert caught.value.code == "build_oom"
