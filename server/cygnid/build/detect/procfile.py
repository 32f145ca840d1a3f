"""`Procfile`: one `type: command` a line."""

import re

from cygnid.build.base import BuildFailed

NAME = "Procfile"
_LINE = re.compile(r"([A-Za-z0-9_-]{1,63}):\s*(\S.*)")
_MERGE_MARK = re.compile(r"(<{7}|={7}|>{7}|\|{7})(\s|$)")


def parse(text: str) -> dict[str, str]:
    """Process type → command, in the file's order. Raises BuildFailed(source_invalid) naming the line."""
    processes: dict[str, str] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if _MERGE_MARK.match(line):
            raise BuildFailed(
                "source_invalid",
                f"Procfile line {number} is a merge conflict mark: {line[:40]}",
                hint="Resolve the conflict, commit, and deploy again.",
            )
        found = _LINE.fullmatch(line)
        if found is None:
            raise BuildFailed(
                "source_invalid",
                f"Procfile line {number} is not `type: command`: {line[:80]}",
                hint="Write for example `web: gunicorn app:app`; comments start with #.",
            )
        if found[1] in processes:
            raise BuildFailed(
                "source_invalid",
                f"Procfile line {number} names {found[1]} a second time.",
                hint="Each process type has one line.",
            )
        processes[found[1]] = found[2]
    if not processes:
        raise BuildFailed(
            "source_invalid", "The Procfile names no process.", hint="Write for example `web: gunicorn app:app`."
        )
    return processes
