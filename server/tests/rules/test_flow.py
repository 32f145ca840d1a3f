"""The checked-in map from what happens to what follows. `make docs` writes it anew."""

from collections.abc import Sequence
from pathlib import Path

from cygnid import worker
from cygnid.core.reconcile import Reconciler, reconcilers_in
from cygnid.core.work import Work, works_in

FILE = Path(__file__).parent / "flow.tsv"


def flow(reconcilers: Sequence[Reconciler], works: Sequence[Work]) -> str:
    """A line per event or wake-up with the reconcilers that it calls, then the timers, then the due rows."""
    lines = [
        f"{event}\t{' '.join(sorted(item.name for item in reconcilers if event in item.on))}"
        for event in sorted({event for item in reconcilers for event in item.on})
    ]
    lines += [f"every {item.every / 60:g} min\t{item.name}" for item in sorted(reconcilers, key=lambda item: item.name)]
    lines += [f"due {item.table}\t{item.run.__qualname__}" for item in sorted(works, key=lambda item: item.table)]
    return "\n".join(lines) + "\n"


def _now() -> str:
    return flow(reconcilers_in(worker.TASKS), works_in(worker.TASKS))


def test_the_map_is_what_was_agreed() -> None:
    assert FILE.read_text() == _now(), "look at the difference, then `make docs`"


def test_a_new_listener_shows() -> None:
    known = reconcilers_in(worker.TASKS)
    assert flow(known[1:], []) != flow(known, [])


if __name__ == "__main__":
    FILE.write_text(_now())
