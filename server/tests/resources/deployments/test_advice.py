"""The next step that the last lines of an app lead to."""

import pytest

from cygnid.resources.deployments.steps.advice import advice

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
