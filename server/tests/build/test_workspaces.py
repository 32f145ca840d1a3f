"""Workspaces of Node's package managers: one lock file above what is built."""

import json
import subprocess
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from cygnid.build.base import BuildSettings, Plan
from cygnid.build.detect import MemoryFiles, detect
from tests.build.harness import Workshop, workshop
from tests.build.releases import run_release
from tests.build.test_process_builder import NODE, NPM

WEB = BuildSettings(root_dir="apps/web")


def package(name: str, **content: object) -> str:
    return json.dumps({"name": name, "version": "1.0.0", **content})


def plan_of(files: Mapping[str, str], root: str = "apps/web") -> Plan:
    settings = BuildSettings(root_dir=root)
    return detect(MemoryFiles(files), settings, framework=None, available={"node": ["18.1.0", "20.20.2"]})


TREE = {
    "package.json": package("top", workspaces=["apps/*", "packages/*"], engines={"node": "18"}),
    "package-lock.json": "{}",
    ".npmrc": "fund=false\n",
    "apps/web/package.json": package("web", dependencies={"ui": "*"}, scripts={"build": "x", "start": "node a.js"}),
    "apps/api/package.json": package("api"),
    "packages/ui/package.json": package("ui", dependencies={"base": "*"}, scripts={"build": "x"}),
    "packages/base/package.json": package("base", scripts={"build": "x"}),
    "packages/none/README.md": "",
}


def test_installing_happens_where_the_lock_is() -> None:
    plan = plan_of(TREE)
    assert (plan.root, plan.install_root, plan.install_command) == (Path("apps/web"), Path(), "npm ci --include=dev")
    members = ("apps/api", "apps/web", "packages/base", "packages/ui")
    assert plan.install_members == members
    assert plan.install_files == (
        "package.json", "package-lock.json", ".npmrc", *(f"{member}/package.json" for member in members)
    )  # fmt: skip
    assert plan.toolchain == "node-18.1.0"
    assert any("workspace in the top has 5 packages" in reason for reason in plan.reasons)


def test_what_it_is_made_of_is_built_first() -> None:
    assert plan_of(TREE).build_command == (
        "(cd ../../packages/base && npm run build) && (cd ../../packages/ui && npm run build) && npm run build"
    )
    alone = {**TREE, "packages/base/package.json": package("base", scripts={"build": "x", "start": "node a.js"})}
    assert plan_of(alone, "packages/base").build_command == "npm run build"


def test_code_changes_no_installation_and_dependencies_do() -> None:
    key = plan_of(TREE).install_key
    other = package("web", dependencies={"ui": "*"}, scripts={"build": "y", "start": "node b.js"})
    assert key is not None
    assert plan_of({**TREE, "apps/web/package.json": other, "apps/web/b.js": ""}).install_key == key
    assert plan_of({**TREE, "apps/api/package.json": package("api", dependencies={"ms": "2"})}).install_key != key
    assert plan_of({**TREE, "package-lock.json": '{"a": 1}'}).install_key != key


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"apps/api/package.json": package("api", scripts={"postinstall": "x"})}, "api has a postinstall script"),
        ({"packages/ui/package.json": package("ui", bin="a.js")}, "ui has programs of its own"),
        ({"apps/web/package.json": package("web", dependencies={"x": "file:x"}, main="a.js")}, "from the source"),
        ({f"packages/p{number}/package.json": "{}" for number in range(50)}, "more than 40"),
    ],
)
def test_what_reads_the_tree_is_installed_at_each_build(files: dict[str, str], why: str) -> None:
    plan = plan_of({**TREE, "apps/web/a.js": "", **files})
    assert (plan.install_root, plan.install_key, plan.install_files) == (Path(), None, ())
    assert any(why in reason for reason in plan.reasons)


PNPM_YAML = "packages:\n  # all\n  - 'apps/*'\n  - packages/**\n  - \"!packages/old\"\n\ncatalog:\n  ms: 2.1.3\n"


@pytest.mark.parametrize(
    ("files", "members"),
    [
        ({"pnpm-workspace.yaml": PNPM_YAML, "pnpm-lock.yaml": "lockfileVersion: '9.0'\n"}, ["a/b", "deep/er/c"]),
        ({"pnpm-workspace.yaml": "packages: ['apps/*']\n"}, []),
        ({"package.json": package("top", workspaces={"packages": ["apps/*", "packages/old"]})}, ["old"]),
        ({"package.json": package("top", workspaces=["./apps/web"])}, []),
        ({"package.json": package("top", workspaces=["apps/*", "../up", "/etc"])}, []),
    ],
)
def test_patterns_of_packages(files: dict[str, str], members: list[str]) -> None:
    tree = {
        "package.json": package("top"),
        "apps/web/package.json": package("web", main="a.js"),
        "apps/web/a.js": "",
        **{f"packages/{name}/package.json": package(name) for name in ("a/b", "deep/er/c", "old")},
        "packages/a/node_modules/x/package.json": package("x"),
        **files,
    }
    if "pnpm-workspace.yaml" not in files:
        tree["package-lock.json"] = "{}"
    found = plan_of(tree).install_members
    assert found == ("apps/web", *(f"packages/{member}" for member in members))


def test_who_is_no_member_installs_alone() -> None:
    files = {**TREE, "package.json": package("top", workspaces=["packages/*"])}
    plan = plan_of(files)
    assert (plan.install_root, plan.install_members) == (None, ())
    own = plan_of({**TREE, "apps/web/yarn.lock": "", "apps/web/package.json": package("web", scripts={"start": "x"})})
    assert own.install_root is None


@pytest.fixture
async def shop() -> AsyncIterator[Workshop]:
    async with workshop() as shop:
        yield shop


REAL = {
    "package.json": package("top", private=True, workspaces=["apps/*", "packages/*"]),
    "apps/web/package.json": package(
        "web",
        dependencies={"ui": "1.0.0", "ms": "2.0.0"},
        scripts={"build": "node build.js", "start": "node a.js"},
    ),
    "apps/web/build.js": "require('fs').writeFileSync('made', require('ui').text)\n",
    "apps/web/a.js": "console.log(require('fs').readFileSync('made') + ' ' + require('ms')('1 h'))\n",
    "packages/ui/package.json": package(
        "ui", main="dist/main.js", dependencies={"ms": "2.1.3"}, scripts={"build": "mkdir -p dist && cp *.js dist"}
    ),
    "packages/ui/main.js": "exports.text = require('ms/package.json').version\n",
}
PNPM = {
    **REAL,
    "package.json": package("top", private=True, packageManager="pnpm@9.15.9"),
    "pnpm-workspace.yaml": "packages:\n  - apps/*\n  - packages/*\n",
    "apps/web/package.json": REAL["apps/web/package.json"].replace('"ui": "1.0.0"', '"ui": "workspace:*"'),
}
YARN = {**REAL, "package.json": REAL["package.json"].replace("1.0.0", '1.0.0", "packageManager": "yarn@1.22.22')}
WAYS = {"npm": REAL, "pnpm": PNPM, "yarn": YARN}


@NODE
@NPM
@pytest.mark.parametrize("way", WAYS)
async def test_an_app_of_a_workspace_is_built_and_runs(shop: Workshop, tmp_path: Path, way: str) -> None:
    files = WAYS[way]
    if way == "npm":
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(content)
        subprocess.run(["npm", "install", "--package-lock-only", "--silent"], cwd=tmp_path, check=True)
        files = {**files, "package-lock.json": (tmp_path / "package-lock.json").read_text()}
    artifact = await shop.builder.build(shop.request(files, settings=WEB))
    assert (await run_release(shop, artifact, "cd apps/web && node a.js")).split() == ["2.1.3", "3600000"]
    changed = {**files, "packages/ui/main.js": "exports.text = 'new'\n"}
    artifact = await shop.builder.build(shop.request(changed, settings=WEB))
    assert (await run_release(shop, artifact, "cd apps/web && npm start --silent")).split() == ["new", "3600000"]
    assert shop.log.count("dependencies: unchanged, nothing to install") == 1
    assert shop.leftovers == []
