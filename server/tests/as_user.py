"""`python -m tests.as_user <pytest arguments>`: as root, run tests once more as an ordinary user.

A checkout and an interpreter in root's closed home are shown to that user in a mount namespace; nothing is copied.
"""

import asyncio
import os
import signal
import sys
import tempfile
from pathlib import Path

import pytest

from cygnid.core.postgres.child import View, spawn
from cygnid.up.processes import code_folders
from tests.make.database import foreign_uid

ROOT = Path(__file__).parents[2]


def main(arguments: list[str]) -> int:
    if os.geteuid() != 0:
        print("The tests have just run as an ordinary user; only root can run them as another one.")
        return 0
    with tempfile.TemporaryDirectory(prefix="cygni-test-home-") as home:
        uid = foreign_uid()
        os.chown(home, uid, uid)
        # accounts without a name fail in places that have nothing to do with us (getpass, ssh, npm)
        passwd = Path(home, "passwd")
        passwd.write_text(f"root:x:0:0::/:/bin/sh\ntester:x:{uid}:{uid}::{home}:/bin/sh\n")
        passwd.chmod(0o644)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("CYGNI_", "XDG_"))}
        child = spawn(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
            env={
                **environment,
                "HOME": home,
                "USER": "tester",
                "TMPDIR": home,
                "PYTHONDONTWRITEBYTECODE": "1",
                "HYPOTHESIS_STORAGE_DIRECTORY": f"{home}/hypothesis",
            },
            death_signal=signal.SIGTERM,
            uid=uid,
            view=View(replaced={"/etc/passwd": passwd}, shown=[*code_folders(), ROOT]),
            cwd=ROOT,
        )
        code = asyncio.run(child.wait())
        os.chown(home, 0, 0)
    return 0 if code == pytest.ExitCode.NO_TESTS_COLLECTED else code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
