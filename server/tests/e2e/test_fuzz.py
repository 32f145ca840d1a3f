"""The API is asked by its own document: no answer is a crash, undocumented, or of another shape than it says; what the
document forbids is refused. `make fuzz` asks more, and also what lies at the edges of every schema."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.e2e.harness import Installation

_FUZZ = Path(__file__).parent / "fuzz"
_EXAMPLES = os.environ.get("CYGNI_FUZZ_EXAMPLES")


def test_the_api_is_what_its_document_says(shared: Installation, tmp_path: Path) -> None:
    me = shared.api("GET", "/me")
    own = [me["user"]["id"], me["token"]["id"], *(team["id"] for team in me["teams"])]
    phases = "examples,fuzzing,stateful" if _EXAMPLES is None else "examples,coverage,fuzzing,stateful"
    asked = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli"),
            *("--config-file", _FUZZ / "schemathesis.toml"),
            *("run", f"{shared.summary['apiUrl']}/openapi.json", "--phases", phases),
            *("--header", f"Authorization: Bearer {shared.token}", "--exclude-path-regex", "stream$"),
            *("--max-examples", _EXAMPLES or "3", "--no-color"),
            # what everybody waits for asks the same each time; who looks for more gets something new each time
            *(() if _EXAMPLES else ("--seed", "1")),
        ],
        cwd=tmp_path,
        env=os.environ | {"OWN": ",".join(own), "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(_FUZZ)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert asked.returncode == 0, asked.stdout
    tested = re.search(r"Tested: (\d+)", asked.stdout)
    assert tested is not None, asked.stdout
    assert int(tested[1]) > 100, asked.stdout
