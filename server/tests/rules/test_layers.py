"""`make lint` holds every contract of .importlinter; here each is broken once, to see that it can be."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
PLANTED = {
    "core/ids.py": "from cygnid.resources.projects import queries",
    "edge/base.py": "import asyncpg; from cygnid.build import base",
    "resources/projects/tasks.py": "from cygnid.edge import envoy",
    "resources/projects/endpoints.py": "import litestar",
    "resources/projects/queries.py": "from cygnid.resources.projects import actions",
    "resources/projects/schemas.py": "from cygnid.resources.deployments import access",
    "resources/projects/actions.py": "from cygnid import backends; from cygnid.resources.projects import endpoints",
}


def test_every_contract_can_be_broken(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "server" / "cygnid", tmp_path / "cygnid", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", tmp_path)
    for name, line in PLANTED.items():
        with (tmp_path / "cygnid" / name).open("a") as file:
            file.write(f"\n{line}\n")
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    said = subprocess.run(
        [sys.executable, "-c", code, "--no-cache"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )
    assert said.returncode != 0, said.stdout + said.stderr
    names = re.findall(r"^name = (.*)$", (ROOT / ".importlinter").read_text(), flags=re.MULTILINE)
    broken = re.findall(r"^(.*) BROKEN$", said.stdout, flags=re.MULTILINE)
    assert sorted(broken) == sorted(names), said.stdout + said.stderr
