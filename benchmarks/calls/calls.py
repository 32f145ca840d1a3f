"""calls.py PROJECT ROUNDS CALLS: the medians of each round, as JSON."""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable

import httpx2

from cygni import CygniClient
from cygni._runtime.behavior import TIMEOUT_SECONDS


def took(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def main() -> None:
    project, rounds, calls = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    headers = {
        "Accept": "application/json",
        "User-Agent": "cygni-python/0.1.0 (python/3.11.7)",
        "X-Cygni-Client": '{"name": "sdk-python", "sdk": "python/0.1.0", "runtime": "python/3.11.7"}',
        "Authorization": f"Bearer {os.environ['CYGNI_API_KEY']}",
    }
    url = f"{os.environ['CYGNI_API_URL']}/projects/{project}"
    medians: dict[str, list[float]] = {"sdk": [], "bare": []}
    with CygniClient() as client, httpx2.Client(headers=headers, timeout=TIMEOUT_SECONDS) as http:
        ways: dict[str, Callable[[], object]] = {
            "sdk": lambda: client.projects.get(project).id,
            "bare": lambda: json.loads(http.get(url).raise_for_status().content)["data"]["id"],
        }
        for number in range(-1, rounds):
            times: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(calls):
                for name, way in ways.items():
                    times[name].append(took(way))
            if number >= 0:  # the first round warms up
                for name, taken in times.items():
                    medians[name].append(statistics.median(taken))
    print(json.dumps(medians))


if __name__ == "__main__":
    main()
