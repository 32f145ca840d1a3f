"""What is decided about repositories of Node, from their files alone."""

import json

import pytest

from cygnid.build.base import BuildFailed, BuildSettings, Plan
from cygnid.build.detect import MemoryFiles, detect

AVAILABLE = {"node": ["20.20.2"]}
PNPM_LOCK = """lockfileVersion: '9.0'

settings:
  autoInstallPeers: true

importers:

  .:
    dependencies:
      ms:
        specifier: ^2.1.3
        version: 2.1.3
      '@a/b':
        specifier: 1.0.0
        version: 1.0.0

packages:

  ms@2.1.3:
    resolution: {integrity: sha512-x}
"""
YARN_LOCK = '# yarn lockfile v1\n\n\n"@a/b@1.0.0", ms@^2.1.3:\n  version "2.1.3"\n'
BERRY_LOCK = '__metadata:\n  version: 8\n\n"@a/b@npm:1.0.0, ms@npm:^2.1.3":\n  version: 2.1.3\n'
NPM_LOCK = json.dumps(
    {"packages": {"": {}, "node_modules/ms": {"version": "2.1.3"}, "node_modules/@a/b": {"version": "1.0.0"}}}
)
LOCKS = {
    "pnpm-lock.yaml": PNPM_LOCK,
    "yarn.lock": YARN_LOCK,
    "package-lock.json": NPM_LOCK,
}
HAS = {"ms": "^2.1.3", "@a/b": "1.0.0"}


def plan_of(files: dict[str, str], **content: object) -> Plan:
    package = json.dumps({"dependencies": HAS, "scripts": {"start": "node a.js"}, **content})
    return detect(MemoryFiles({"package.json": package, **files}), BuildSettings(), framework=None, available=AVAILABLE)


@pytest.mark.parametrize(
    ("files", "said", "package", "install"),
    [
        ({"pnpm-lock.yaml": PNPM_LOCK}, None, "pnpm@10", "pnpm install --frozen-lockfile --prod=true"),
        ({"pnpm-lock.yaml": "lockfileVersion: '6.0'\n"}, None, "pnpm@8", "pnpm install --frozen-lockfile"),
        ({"pnpm-lock.yaml": PNPM_LOCK}, "pnpm@9.15.9+sha512.abc", "pnpm@9.15.9", "pnpm install --frozen-lockfile"),
        ({}, "pnpm@9.15.9", "pnpm@9.15.9", "pnpm install --no-frozen-lockfile"),
        ({"yarn.lock": YARN_LOCK}, None, "yarn@1", "yarn install --non-interactive --frozen-lockfile"),
        ({}, "yarn@1.22.22", "yarn@1.22.22", "yarn install --non-interactive --no-lockfile"),
        ({"yarn.lock": BERRY_LOCK}, None, "@yarnpkg/cli-dist@'~4.9'", "yarn install --immutable"),
        ({"yarn.lock": BERRY_LOCK}, "yarn@4.5.0", "@yarnpkg/cli-dist@4.5.0", "yarn install --immutable"),
        (
            {"yarn.lock": BERRY_LOCK, ".yarnrc.yml": "yarnPath: .yarn/releases/yarn-3.6.1.cjs\n"},
            None,
            "@yarnpkg/cli-dist@3.6.1",
            "yarn install --immutable",
        ),
        ({}, "yarn@4.5.0", "@yarnpkg/cli-dist@4.5.0", "yarn install --no-immutable"),
    ],
)
def test_the_manager_and_its_version(files: dict[str, str], said: str | None, package: str, install: str) -> None:
    plan = plan_of(files, **({"packageManager": said} if said else {}))
    command = (plan.install_command or "").replace("'@yarnpkg/cli-dist@~4.9'", "@yarnpkg/cli-dist@'~4.9'")
    assert f" {package} " in command
    assert install in command
    assert plan.install_key is not None
    assert any("`packageManager` in package.json names another version" in reason for reason in plan.reasons)


def test_the_range_of_engines_counts_for_pnpm() -> None:
    plan = plan_of({"pnpm-lock.yaml": PNPM_LOCK}, engines={"pnpm": ">=9 <10"})
    assert " 'pnpm@>=9 <10' " in (plan.install_command or "")
    hostile = plan_of({"pnpm-lock.yaml": PNPM_LOCK}, engines={"pnpm": "9; reboot"})
    assert " pnpm@10 " in (hostile.install_command or "")


def test_who_builds_gets_what_building_needs() -> None:
    scripts = {"build": "x", "start": "node a.js"}
    assert "--prod=false" in (plan_of({"pnpm-lock.yaml": PNPM_LOCK}, scripts=scripts).install_command or "")
    assert "--production=false" in (plan_of({"yarn.lock": YARN_LOCK}, scripts=scripts).install_command or "")


def test_of_several_locks_one_wins_and_the_log_says_so() -> None:
    plan = plan_of({"yarn.lock": YARN_LOCK, "package-lock.json": NPM_LOCK})
    assert "yarn@1" in (plan.install_command or "")
    assert any("package-lock.json not used: yarn.lock says yarn" in reason for reason in plan.reasons)
    plan = plan_of({"yarn.lock": YARN_LOCK, "package-lock.json": NPM_LOCK}, packageManager="npm@10.0.0")
    assert plan.install_command == "npm ci --omit=dev"
    assert any("yarn.lock not used: packageManager says npm" in reason for reason in plan.reasons)


@pytest.mark.parametrize(
    "files",
    [
        {"pnpm-lock.yaml": PNPM_LOCK, "pnpm-workspace.yaml": "packages: [a]\n", "patches": ""},
        {"pnpm-lock.yaml": PNPM_LOCK, "patches/a.patch": ""},
        {"yarn.lock": BERRY_LOCK, ".yarn/plugins/x.cjs": ""},
        {"yarn.lock": YARN_LOCK + "#" * (1 << 20)},
    ],
)
def test_what_installs_from_more_than_its_files_is_installed_at_each_build(files: dict[str, str]) -> None:
    assert plan_of(files).install_key is None


def test_each_file_that_installing_reads_counts() -> None:
    keys = {
        plan_of({"yarn.lock": BERRY_LOCK, ".yarnrc.yml": text}).install_key
        for text in ("", "npmScopes: {}\n", "enableScripts: false\n")
    }
    assert len(keys) == 3
    assert None not in keys


@pytest.mark.parametrize("lock", LOCKS)
@pytest.mark.parametrize("kind", ["dependencies", "devDependencies"])
def test_a_lock_that_lacks_what_package_json_asks_for_is_refused(lock: str, kind: str) -> None:
    plan_of({lock: LOCKS[lock]})
    with pytest.raises(BuildFailed, match=rf"package.json asks for left-pad 1.3.0, and {lock} does not have it"):
        plan_of({lock: LOCKS[lock]}, **{kind: {**HAS, "left-pad": "1.3.0"}})


@pytest.mark.parametrize("lock", LOCKS)
def test_an_exact_version_that_is_not_the_locked_one_is_refused(lock: str) -> None:
    with pytest.raises(BuildFailed, match=r"@a/b 1\.0\.1"):
        plan_of({lock: LOCKS[lock]}, dependencies={**HAS, "@a/b": "1.0.1"})


def test_berry_is_compared_too() -> None:
    plan_of({"yarn.lock": BERRY_LOCK})
    with pytest.raises(BuildFailed, match=r"ms \^3\.0\.0"):
        plan_of({"yarn.lock": BERRY_LOCK}, dependencies={"ms": "^3.0.0"})


@pytest.mark.parametrize("lock", LOCKS)
@pytest.mark.parametrize(
    "content",
    [
        {"dependencies": {**HAS, "other": "github:a/b"}},
        {"dependencies": {**HAS, "other": "latest"}},
        {"dependencies": {**HAS, "other": "1.0.0"}, "overrides": {"other": "2"}, "resolutions": {"other": "2"}},
        {"dependencies": {**HAS, "other": "1.0.0"}, "optionalDependencies": {"other": "1.0.0"}},
    ],
)
def test_what_cannot_be_told_without_resolving_is_left_to_the_manager(lock: str, content: dict[str, object]) -> None:
    assert plan_of({lock: LOCKS[lock]}, **content).install_command
