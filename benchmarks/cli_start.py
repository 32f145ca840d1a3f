"""How long the command line takes to say something, against the bare interpreter that runs it.

python benchmarks/cli_start.py [--rounds 15]
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from harness import as_installed, folder, interval

CYGNI = str(Path(sys.executable).with_name("cygni"))
COMMANDS = {
    "the interpreter alone": [sys.executable, "-c", "pass"],
    "cygni --help": [CYGNI, "--help"],
    "cygni deploy --help": [CYGNI, "deploy", "--help"],
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=15)
    rounds: int = options.parse_args().rounds
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with folder() as base:
        environment = as_installed(base)
        for number in range(rounds + 1):
            for name, command in COMMANDS.items():
                began = time.perf_counter()
                subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
                if number:  # the first one compiles and fills the file cache
                    times[name].append(time.perf_counter() - began)
    for name, taken in times.items():
        print(f"{name:24} {interval(taken)} s")


if __name__ == "__main__":
    main()
