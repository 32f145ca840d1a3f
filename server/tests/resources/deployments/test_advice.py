"""The next step that the last lines of an app lead to."""

import pytest

from cygnid.resources.deployments.steps.advice import advice, telling

SAYS = {
    "no program": (["/bin/sh: 1: python: not found"], "The program python is not there"),
    "no program, in bash": (["/bin/sh: line 1: gunicorn: command not found"], "The program gunicorn is not there"),
    "no module": (
        ["    import yaml.reader", "ModuleNotFoundError: No module named 'yaml.reader'", "Worker failed to boot."],
        "If yaml is not a module of your own",
    ),
    "no package of node's": (["Error: Cannot find module 'cors'", "Require stack:", "- /app/a.js"], "npm install cors"),
    "a file of a scoped package": (["Cannot find module '@a/b/lib/c.js'"], "npm install @a/b"),
    "an imported package": (["Cannot find package 'left-pad' imported from /app/a.js"], "npm install left-pad"),
    "no variable": (
        ['    KEY = os.environ["STRIPE_KEY"]', "    ~~~~", '  File "<frozen os>", line 679', "KeyError: 'STRIPE_KEY'"],
        "cygni env set STRIPE_KEY=",
    ),
    "no compiler": (["/bin/sh: 1: gcc: not found"], "build-essential"),
    "no compiler of an extension": (["error: command 'gcc' failed: No such file or directory"], "build-essential"),
    "a git dependency": (["npm error syscall spawn git", "npm error path git", "npm error spawn git ENOENT"], "no git"),
    "a script that may not run": (["/bin/sh: 1: ./build.sh: Permission denied"], "--chmod=+x ./build.sh"),
    "a header": (["src/a.c:5:10: fatal error: libpq-fe.h: No such file or directory"], "apt-get install libpq-dev"),
    "an unknown header": (["a.c:1:10: fatal error: odd/odd.h: No such file or directory"], "missing: odd/odd.h."),
    "pg_config": (["Error: pg_config executable not found."], "psycopg[binary]"),
    "a library": (
        ["./a: error while loading shared libraries: libvips.so.42: cannot open shared object file"],
        "the library libvips.so.42",
    ),
    "distutils": (["ModuleNotFoundError: No module named 'distutils'"], "older one in .python-version"),
    "another Node": (["npm error code EBADENGINE"], "engines"),
    "another Python": (["ERROR: Package 'x' requires a different Python: 3.13.0 not in '<3.12'"], ".python-version"),
    "npm's lock": (
        [
            "npm error `npm ci` can only install packages when your package.json and package-lock.json or …",
            "npm error Missing: left-pad@1.3.0 from lock file",
        ],
        "commit package-lock.json",
    ),
    "pnpm's lock": ([" ERR_PNPM_OUTDATED_LOCKFILE  Cannot install"], "commit pnpm-lock.yaml"),
    "yarn's lock": (["error Your lockfile needs to be updated, but yarn was run with"], "commit yarn.lock"),
    "cargo's lock": (
        ["error: the lock file /app/Cargo.lock needs to be updated but --locked was passed"],
        "Cargo.lock",
    ),
    "cargo's lock that is missing": (
        ["error: cannot create the lock file /app/Cargo.lock because --locked was passed to prevent this"],
        "generate-lockfile",
    ),
    "go.sum": (["main.go:3:8: missing go.sum entry for module providing package x"], "go mod tidy"),
    "bundler's platform": (['Your bundle only supports platforms ["arm64-darwin-23"]'], "--add-platform"),
    "PHP's extension": (["- Root composer.json requires ext-gd * -> it is missing from your system."], "lacks ext-gd"),
    "peers": (["npm error code ERESOLVE", "npm error ERESOLVE unable to resolve dependency tree"], "legacy-peer-deps"),
    "no solution": (["  x No solution found when resolving dependencies:"], "fit together"),
    "a login": (["npm error code E401"], "wants a login"),
    "no such package of npm's": (
        ["npm error 404  'lefft-pad@*' is not in this registry."],
        "has no package lefft-pad:",
    ),
    "no such package of PyPI's": (
        ["Because flaskk was not found in the package registry and you require flaskk"],
        "no package flaskk:",
    ),
    "no network": (["npm error getaddrinfo EAI_AGAIN registry.example"], "cygnid doctor"),
    "Node's memory": (
        ["FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory"],
        "NODE_OPT",
    ),
    "the disk": (["OSError: [Errno 28] No space left on device"], "disk is full"),
    "no script": (['npm error Missing script: "build"'], "no script build"),
    "TypeScript": (["src/a.ts(1,7): error TS2322: Type 'string' is not assignable"], "npx tsc"),
    "an import": (['[vite]: Rollup failed to resolve import "./Button" from "src/a.js".'], "Add ./Button"),
    "Next.js elsewhere": (["Error: > Couldn't find any `pages` or `app` directory."], "root_dir"),
    "STATIC_ROOT": (["You're using the staticfiles app without having set the STATIC_ROOT setting"], "STATIC_ROOT in"),
    "Django's key": (["ImproperlyConfigured: The SECRET_KEY setting must not be empty."], "set SECRET_KEY="),
    "Prisma's client": (["Error: @prisma/client did not initialize yet."], "prisma generate"),
    "Prisma's variable": (["error: Environment variable not found: DATABASE_URL."], "set DATABASE_URL="),
    "a port that is taken": (["Error: listen EADDRINUSE: address already in use :::3000"], "$PORT"),
    "the last reason": (
        ["ModuleNotFoundError: No module named 'a'", "ModuleNotFoundError: No module named 'b'"],
        "If b is not",
    ),
}


@pytest.mark.parametrize(("lines", "said"), SAYS.values(), ids=SAYS)
def test_reason_in_the_last_lines_is_told_with_what_to_do(lines: list[str], said: str) -> None:
    assert said in (advice(lines) or "")


SILENT = {
    "nothing printed": [],
    "a key of the app's own": ["    return prices[name]", "KeyError: 'apple'"],
    "a file of the app's own": ["Error: Cannot find module './db'"],
    "a file by its path": ["Error: Cannot find module '/app/server.js'"],
    "something else": ["ZeroDivisionError: division by zero"],
}


@pytest.mark.parametrize("lines", SILENT.values(), ids=SILENT)
def test_nothing_is_guessed(lines: list[str]) -> None:
    assert advice(lines) is None


def test_the_lines_that_are_shown_hold_the_reason() -> None:
    lines = [f"line {number}" for number in range(100)]
    assert telling(lines, None) == lines[80:]
    assert telling(lines, 95) == lines[80:]
    assert telling(lines, 30) == lines[28:48]
    assert telling(lines[:5], 0) == lines[:5]
    assert telling([], None) == []
