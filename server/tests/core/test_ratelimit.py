from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cygnid.core import clock
from cygnid.core.errors import Unavailable
from cygnid.core.plans import PLANS, Plan
from cygnid.core.ratelimit import Limiter

START = datetime(2024, 1, 1, 12, 0, 0, tzinfo=UTC)
SMALL = Plan(per_minute=5, per_hour=8)


class FakeClock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture(autouse=True)
def time() -> Iterator[FakeClock]:
    fake = FakeClock()
    clock.set_clock(fake)
    yield fake
    clock.set_clock(None)


def hits(limiter: Limiter, number: int, bucket: str = "team_1", plan: Plan = SMALL) -> list[bool]:
    return [limiter.hit(bucket, plan).allowed for _ in range(number)]


def test_the_headers_are_word_for_word_those_of_the_contract(time: FakeClock):
    limiter = Limiter()
    time.move(30)
    hits(limiter, 4, plan=PLANS["free"])
    assert limiter.hit("team_1", PLANS["free"]).headers == {
        "X-RateLimit-Limit": "100",
        "X-RateLimit-Remaining": "95",
        "X-RateLimit-Reset": "1704110460",
        "X-RateLimit-Used": "5",
        "X-RateLimit-Resource": "api",
        "RateLimit-Policy": '"perMinute";q=100;w=60, "perHour";q=1000;w=3600',
        "RateLimit": '"perMinute";r=95;t=30',
    }


def test_the_window_shown_is_the_one_with_the_lowest_remaining_share(time: FakeClock):
    limiter = Limiter()
    hits(limiter, 5)
    time.move(60)
    verdict = limiter.hit("team_1", SMALL)
    assert (verdict.window, verdict.remaining, verdict.limit) == ("perHour", 2, 8)
    assert verdict.headers["RateLimit"] == '"perHour";r=2;t=3540'


def test_a_refused_request_costs_nothing(time: FakeClock):
    limiter = Limiter()
    assert hits(limiter, 20) == [True] * 5 + [False] * 15
    time.move(60)
    assert hits(limiter, 20) == [True] * 3 + [False] * 17


def test_a_refusal_says_when_to_come_back_and_that_is_true(time: FakeClock):
    limiter = Limiter()
    time.move(15.4)
    hits(limiter, 5)
    verdict = limiter.hit("team_1", SMALL)
    assert (verdict.allowed, verdict.window, verdict.retry_after) == (False, "perMinute", 45)
    assert verdict.reset_at == START + timedelta(seconds=60)
    time.move(verdict.retry_after or 0)
    assert limiter.hit("team_1", SMALL).allowed


def test_when_both_windows_are_used_up_the_longer_wait_is_said():
    limiter = Limiter()
    verdict = [limiter.hit("team_1", Plan(per_minute=3, per_hour=3)) for _ in range(4)][-1]
    assert (verdict.allowed, verdict.window, verdict.retry_after) == (False, "perHour", 3600)


def test_buckets_do_not_share():
    limiter = Limiter()
    hits(limiter, 6)
    assert limiter.hit("team_2", SMALL).allowed


def test_peek_counts_nothing_and_agrees_with_the_next_hit(time: FakeClock):
    limiter = Limiter()
    assert [window.remaining for window in limiter.peek("team_1", SMALL).windows] == [5, 8]
    assert len(limiter) == 0
    hits(limiter, 5)
    assert [limiter.peek("team_1", SMALL).allowed for _ in range(3)] == [False] * 3
    time.move(60)
    verdict = limiter.peek("team_1", SMALL)
    assert [(w.name, w.limit, w.remaining) for w in verdict.windows] == [("perMinute", 5, 5), ("perHour", 8, 3)]
    assert verdict.allowed


def test_a_304_is_given_back():
    limiter = Limiter()
    hits(limiter, 5)
    limiter.refund("team_1")
    assert hits(limiter, 2) == [True, False]


def test_a_refund_never_gives_more_than_the_limit(time: FakeClock):
    limiter = Limiter()
    hits(limiter, 1)
    time.move(3600)
    limiter.peek("team_1", SMALL)
    for _ in range(3):
        limiter.refund("team_1")
    limiter.refund("unknown")
    assert hits(limiter, 6) == [True] * 5 + [False]


def test_an_unlimited_plan_has_no_headers_but_a_ceiling(time: FakeClock):
    limiter = Limiter(abuse_per_minute=3)
    time.move(20)
    verdicts = [limiter.hit("team_1", PLANS["enterprise"]) for _ in range(3)]
    assert all(verdict.allowed and verdict.headers == {} and verdict.windows == () for verdict in verdicts)
    with pytest.raises(Unavailable) as refused:
        limiter.hit("team_1", PLANS["enterprise"])
    assert refused.value.headers == {"Retry-After": "40"}
    assert limiter.peek("team_1", PLANS["enterprise"]).headers == {}
    time.move(40)
    assert limiter.hit("team_1", PLANS["enterprise"]).allowed


def test_memory_is_bounded_and_the_busy_are_remembered(time: FakeClock):
    limiter = Limiter(buckets=3)
    hits(limiter, 5, "busy")
    for number in range(50):
        limiter.hit(f"ip:{number}", SMALL)
        assert limiter.hit("busy", SMALL).allowed is False
    assert len(limiter) == 3


def test_whose_hour_is_over_is_forgotten(time: FakeClock):
    limiter = Limiter()
    for number in range(10):
        limiter.hit(f"ip:{number}", SMALL)
    time.move(3600)
    limiter.hit("other", SMALL)
    assert len(limiter) == 1


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=200))
def test_no_window_ever_lets_more_through_than_its_limit(steps: list[tuple[float, bool]]):
    fake = FakeClock()
    clock.set_clock(fake)
    limiter = Limiter()
    passed: list[float] = []
    for seconds, hit in steps:
        fake.move(seconds)
        now = fake.now.timestamp()
        if not hit:
            continue
        verdict = limiter.hit("team_1", SMALL)
        minute = sum(1 for moment in passed if moment // 60 == now // 60)
        hour = sum(1 for moment in passed if moment // 3600 == now // 3600)
        assert verdict.allowed == (minute < 5 and hour < 8)
        if verdict.allowed:
            passed.append(now)
