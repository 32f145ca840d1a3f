"""Who is next to build, and when: the order of the queue, without a database."""

from datetime import UTC, datetime, timedelta

from cygnid.resources.deployments.queue import Place, Unended, order

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def unended(name: str, *, builds: bool = True, since: float | None = None, env: str | None = None) -> Unended:
    """`a1`: the first deployment of project a, in an environment of its own unless `env` names one. `since`: it runs
    for so many seconds."""
    return Unended(
        id=name,
        project_id=name[0],
        environment_id=env or name,
        is_queued=since is None,
        builds=builds,
        started_at=None if since is None else NOW - timedelta(seconds=since),
    )


def placed(
    *deployments: Unended, slots: int = 1, usually: float | None = 60, served: str = "", **lengths: float
) -> dict[str, Place]:
    """`served`: the projects that have built, the last one last."""
    return order(
        deployments,
        slots=slots,
        builds={name: timedelta(seconds=value) for name, value in lengths.items()},
        builds_usually=None if usually is None else timedelta(seconds=usually),
        deployments={"e": timedelta(seconds=90)},
        served={name: NOW - timedelta(hours=1) + timedelta(seconds=at) for at, name in enumerate(served)},
        now=NOW,
    )


def sequence(found: dict[str, Place]) -> list[str]:
    return sorted(found, key=lambda name: (found[name].position, name))


def seconds(place: Place) -> float | None:
    return None if place.start_at is None else (place.start_at - NOW).total_seconds()


def test_who_came_first_builds_first() -> None:
    found = placed(unended("a1", since=20), unended("b2"), unended("c3"), a=50, b=40)
    assert {name: (place.position, seconds(place)) for name, place in found.items()} == {"b2": (1, 30), "c3": (2, 70)}
    assert not any(place.may_start for place in found.values())


def test_projects_take_turns() -> None:
    many = [unended(f"a{number}") for number in range(1, 5)]
    assert sequence(placed(unended("a0", since=1), *many, unended("b5"), unended("b6"))) == [
        *("b5", "a1", "b6", "a2", "a3", "a4"),
    ]


def test_one_with_many_builds_does_not_go_before_who_comes_between_two_of_them() -> None:
    many = [unended(f"a{number}") for number in range(1, 4)]
    assert sequence(placed(*many, unended("b5"), unended("c6"), served="cba")) == ["c6", "b5", "a1", "a2", "a3"]
    assert sequence(placed(*many, unended("b5"), served="a"))[0] == "b5"


def test_as_many_may_start_as_there_are_places() -> None:
    found = placed(unended("a1", since=1), unended("b2"), unended("c3"), unended("d4"), slots=3)
    assert [name for name, place in found.items() if place.may_start] == ["b2", "c3"]
    assert seconds(found["d4"]) == 59


def test_what_takes_an_artifact_needs_no_place() -> None:
    found = placed(unended("a1", since=1), unended("b2", builds=False), unended("c3"))
    assert found["b2"] == Place(position=1, start_at=NOW, may_start=True)
    assert found["c3"].position == 1


def test_one_whose_environment_is_held_keeps_nobody_waiting() -> None:
    found = placed(unended("a1", builds=False, since=30, env="e"), unended("a2", env="e"), unended("b3"), slots=1)
    assert (found["b3"].position, found["b3"].may_start) == (1, True)
    assert (found["a2"].position, found["a2"].may_start, seconds(found["a2"])) == (1, False, 60)


def test_what_runs_longer_than_usual_is_awaited_a_little_more() -> None:
    assert seconds(placed(unended("a1", since=500), unended("b2"), a=60)["b2"]) == 6


def test_nobody_knows_how_long_the_first_build_of_all_takes() -> None:
    found = placed(unended("a1", since=5), unended("b2"), usually=None)
    assert (found["b2"].position, found["b2"].start_at) == (1, None)


def test_more_run_than_there_are_places_since_those_were_made_fewer() -> None:
    found = placed(unended("a1", since=5), unended("b2", since=5), unended("c3"), slots=1)
    assert (found["c3"].position, found["c3"].may_start) == (1, False)
