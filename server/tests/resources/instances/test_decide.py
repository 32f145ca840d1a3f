"""What is to be done about an instance, from what is wanted and what the machine says."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from cygnid.resources.instances.queries import InstanceRow
from cygnid.resources.instances.steps.decide import Do, decide
from cygnid.runtime.base import Exit, Observed

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SOON, LATE = NOW + timedelta(seconds=5), NOW - timedelta(seconds=31)
ROW = InstanceRow(
    id="inst_1", team_id="t", project_id="p", environment_id="e", environment="production", deployment_id="d",
    process="web", protocol="http1", on_trial=False, wanted=True, status="running", host="127.0.0.1", port=80, node="n",
    started_at=NOW, restarts=0, crashes=0, retry_at=None, ailing=False, exit_at=None, exit_code=None, exit_signal=None,
    exit_reason=None, message=None, retired_at=None, drain=False, left_routes_at=None, forgotten_at=None,
    created_at=NOW, updated_at=NOW,
)  # fmt: skip
UNSTARTED: dict[str, Any] = {"status": "starting", "started_at": None, "host": None, "port": None}
RETIRED: dict[str, Any] = {"wanted": False, "retired_at": NOW, "status": "stopping"}


def seen(*, code: int | None = None, signal: str | None = None, running: bool = False) -> Observed:
    end = None if running else Exit(at=NOW, code=code, signal=signal, out_of_memory=False)
    return Observed(
        id="inst_1", running=running, started_at=NOW, address=None, listening="no", exit=end, cpu_seconds=0,
        memory_bytes=0,
    )  # fmt: skip


RUNS, ENDED, KILLED, LOST = seen(running=True), seen(code=1), seen(signal="SIGKILL"), seen()


@pytest.mark.parametrize(
    ("row", "found", "expected"),
    [
        # wanted
        (UNSTARTED, None, Do.START),
        (UNSTARTED, RUNS, Do.NOTE_START),
        (UNSTARTED, ENDED, Do.NOTE_END),
        ({"status": "starting"}, RUNS, None),
        ({}, RUNS, None),
        ({"status": "unhealthy"}, RUNS, None),
        ({"status": "unhealthy", "ailing": True}, RUNS, Do.STOP),
        ({"status": "unhealthy", "ailing": True}, ENDED, Do.NOTE_END),
        ({}, ENDED, Do.NOTE_END),
        ({}, KILLED, Do.NOTE_END),
        ({}, LOST, Do.NOTE_LOSS),
        ({}, None, Do.NOTE_LOSS),
        ({"status": "crashed", "retry_at": NOW}, ENDED, Do.START_AGAIN),
        ({"status": "crashed", "retry_at": SOON}, ENDED, SOON),
        ({"status": "crashed", "retry_at": NOW, "on_trial": True}, ENDED, None),
        ({"status": "stopped"}, None, Do.START_AGAIN),
        ({"status": "stopping"}, RUNS, Do.STOP),
        ({"status": "stopping"}, ENDED, Do.FORGET),
        # of a paused or deleted project
        ({"wanted": False}, RUNS, Do.STOP),
        ({"wanted": False, **UNSTARTED}, None, Do.FORGET),
        ({"wanted": False, "status": "stopping"}, ENDED, Do.FORGET),
        ({"wanted": False, "status": "crashed"}, ENDED, Do.FORGET),
        ({"wanted": False, "status": "stopped"}, None, None),
        # retired
        (RETIRED, RUNS, Do.STOP),
        (RETIRED, ENDED, Do.FORGET),
        (RETIRED, None, Do.FORGET),
        ({**RETIRED, "status": "crashed"}, None, Do.FORGET),
        ({**RETIRED, "status": "stopped"}, None, Do.FORGET),
        ({**RETIRED, "drain": True}, RUNS, NOW + timedelta(seconds=30)),
        ({**RETIRED, "drain": True, "retired_at": LATE}, RUNS, Do.STOP),
        ({**RETIRED, "drain": True, "left_routes_at": NOW}, RUNS, Do.STOP),
        ({**RETIRED, "drain": True, "host": None, "port": None}, RUNS, Do.STOP),
        ({**RETIRED, "drain": True}, ENDED, Do.FORGET),
    ],
)
def test_it_is_decided(row: dict[str, Any], found: Observed | None, expected: Do | datetime | None) -> None:
    assert decide(msgspec.structs.replace(ROW, **row), found, NOW) == expected
