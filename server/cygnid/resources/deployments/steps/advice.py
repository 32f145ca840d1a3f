"""What to do about a process that ended, from its last lines: the few reasons that nearly every beginning meets."""

import re
from collections.abc import Sequence

_NO_PROGRAM = re.compile(r"(?:sh|bash): (?:\d+: |line \d+: )?(?:exec: )?(\S+): (?:command )?not found$")
_NO_PYTHON_MODULE = re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'")
_NO_NODE_MODULE = re.compile(r"Cannot find (?:module|package) '([^'./][^']*)'")
_ENVIRONMENT = re.compile(r"environ|<frozen os>|/os\.py")
_NO_KEY = re.compile(r"KeyError: '([A-Za-z_][A-Za-z0-9_]*)'")


def advice(lines: Sequence[str]) -> str | None:
    """A next step, where the last lines leave no doubt about the reason; the last reason counts."""
    for index in range(len(lines) - 1, -1, -1):
        line = lines[index]
        if found := _NO_PROGRAM.search(line):
            return (
                f"The program {found[1]} is not there: add what brings it to the dependencies, or change the command."
            )
        if found := _NO_PYTHON_MODULE.search(line):
            return f"If {found[1].partition('.')[0]} is not a module of your own, add its package to the dependencies."
        if found := _NO_NODE_MODULE.search(line):
            return f"Add {found[1]} to the dependencies: npm install {_package(found[1])}"
        if (found := _NO_KEY.search(line)) and _ENVIRONMENT.search("\n".join(lines[max(0, index - 5) : index])):
            return f"It needs the variable {found[1]}: cygni env set {found[1]}=…, then deploy again."
    return None


def _package(module: str) -> str:
    """What npm calls the package of an imported path: the scope and the name without the file in it."""
    return "/".join(module.split("/")[: 2 if module.startswith("@") else 1])
