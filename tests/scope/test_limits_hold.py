"""Limits: rates and concurrency per scope, shared by the workers, in bounded memory."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenone.clock import MINUTE_US, SECOND_US
from tokenone.errors import RateLimited
from tokenone.rows import Project, Restrictions, Tenant, Token, Workload
from tokenone.scope import Caller, Limits, Permit
from tokenone.types import Scope


def _caller(name: str = "w", /, **levels: Restrictions) -> Caller:
    at = {level: levels.get(level, Restrictions()) for level in ("tenant", "project", "workload")}
    return Caller(
        Token("tok", name, b""),
        Scope("t", "p", name),
        Tenant("t", "t", restrictions=at["tenant"]),
        Project("p", "t", "p", restrictions=at["project"]),
        Workload(name, "t", "p", name, restrictions=at["workload"]),
    )


def _rate(per_minute: int) -> Restrictions:
    return Restrictions(requests_per_minute=per_minute)


def _try(limits: Limits, caller: Caller, now_us: int) -> Permit | None:
    try:
        return limits.acquire(caller, now_us)
    except RateLimited:
        return None


def _drain(limits: Limits, caller: Caller, now_us: int) -> int:
    """Calls until refused and says how many passed."""
    for passed in range(1000):
        if _try(limits, caller, now_us) is None:
            return passed
    pytest.fail("nothing was refused")


def test_an_unlimited_caller_costs_no_memory_and_gets_no_figures() -> None:
    limits = Limits(1)
    for _ in range(100):
        limits.acquire(_caller(), 0).release()
    assert len(limits) == 0
    assert limits.figures(_caller(), 0) is None


def test_a_burst_of_the_whole_rate_passes_and_the_next_call_says_when_to_come_back() -> None:
    limits, caller = Limits(1), _caller(workload=_rate(6))
    assert [_try(limits, caller, 0) is not None for _ in range(7)] == [True] * 6 + [False]
    with pytest.raises(RateLimited) as refused:
        limits.acquire(caller, 0)
    assert refused.value.retry_after == 10
    assert _try(limits, caller, 10 * SECOND_US - 1) is None
    assert _try(limits, caller, 10 * SECOND_US) is not None
    assert _try(limits, caller, 10 * SECOND_US) is None


@given(
    st.integers(1, 120),
    st.integers(1, 4),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20 * SECOND_US)), max_size=80),
)
def test_over_any_time_the_workers_together_pass_one_burst_and_the_rate(
    rate: int, workers: int, arrivals: list
) -> None:
    shares = [Limits(workers) for _ in range(workers)]
    caller, now_us, passed = _caller(project=_rate(rate)), 0, []
    for worker, gap_us in arrivals:
        now_us += gap_us
        if _try(shares[worker % workers], caller, now_us) is not None:
            passed.append(now_us)
    burst = -(-rate // workers) * workers
    interval_us = MINUTE_US * workers // rate
    for first, start_us in enumerate(passed):
        for last in range(first, len(passed)):
            seen, elapsed_us = last - first + 1, passed[last] - start_us
            assert seen <= burst + workers * (elapsed_us // interval_us)


@given(st.integers(1, 600), st.integers(1, 4))
def test_a_refused_caller_passes_after_the_announced_wait(rate: int, workers: int) -> None:
    limits, caller = Limits(workers), _caller(tenant=_rate(rate))
    now_us = 0
    for _ in range(3):
        _drain(limits, caller, now_us)
        with pytest.raises(RateLimited) as refused:
            limits.acquire(caller, now_us)
        assert refused.value.retry_after is not None
        assert refused.value.retry_after >= 1
        now_us += refused.value.retry_after * SECOND_US
        assert _try(limits, caller, now_us) is not None


@given(st.lists(st.sampled_from(["acquire", "release"]), max_size=60), st.integers(0, 4), st.integers(0, 4))
def test_never_more_calls_in_flight_than_the_tightest_scope_allows(
    actions: list, outer: int, inner: int
) -> None:
    limits = Limits(1)
    caller = _caller(tenant=Restrictions(concurrent=outer), workload=Restrictions(concurrent=inner))
    held: list[Permit] = []
    for action in actions:
        if action == "acquire":
            permit = _try(limits, caller, 0)
            assert (permit is not None) is (len(held) < min(outer, inner))
            held += [permit] if permit is not None else []
        elif held:
            held.pop().release()
    for permit in held:
        permit.release()
    assert (_try(limits, caller, 0) is not None) is (min(outer, inner) > 0)


def test_releasing_twice_gives_one_place_back() -> None:
    limits, caller = Limits(1), _caller(workload=Restrictions(concurrent=2))
    first, _second = limits.acquire(caller, 0), limits.acquire(caller, 0)
    first.release()
    first.release()
    limits.acquire(caller, 0)
    with pytest.raises(RateLimited) as refused:
        limits.acquire(caller, 0)
    assert refused.value.retry_after == 1


def test_a_refusal_by_one_scope_takes_nothing_from_the_others() -> None:
    limits = Limits(1)
    full = _caller("full", tenant=_rate(10), workload=Restrictions(concurrent=0, requests_per_minute=10))
    free = _caller("free", tenant=_rate(10))
    for _ in range(50):
        assert _try(limits, full, 0) is None
    assert sum(_try(limits, free, 0) is not None for _ in range(20)) == 10


def test_siblings_share_their_parents_rate() -> None:
    limits = Limits(1)
    one, other = _caller("one", project=_rate(4)), _caller("other", project=_rate(4))
    passed = [_try(limits, caller, 0) is not None for caller in [one, other] * 3]
    assert sum(passed) == 4


def test_a_rate_of_zero_lets_nobody_pass() -> None:
    limits, caller = Limits(2), _caller(tenant=_rate(0))
    with pytest.raises(RateLimited) as refused:
        limits.acquire(caller, 10**12)
    assert refused.value.retry_after == 60
    assert (limits.figures(caller, 0).limit, limits.figures(caller, 0).remaining) == (0, 0)


def test_an_edited_rate_counts_from_the_next_call() -> None:
    limits = Limits(1)
    _drain(limits, _caller(workload=_rate(1)), 0)
    assert _try(limits, _caller(workload=_rate(60)), 0) is not None
    assert _try(limits, _caller(workload=_rate(0)), 0) is None


def test_figures_are_those_of_the_scope_with_the_least_left() -> None:
    limits = Limits(2)
    caller = _caller(tenant=_rate(100), workload=_rate(10))
    assert (limits.figures(caller, 0).limit, limits.figures(caller, 0).remaining) == (10, 10)
    limits.acquire(caller, 0)
    assert (limits.figures(caller, 0).limit, limits.figures(caller, 0).remaining) == (10, 8)
    _drain(limits, caller, 0)
    assert (limits.figures(caller, 0).limit, limits.figures(caller, 0).remaining) == (10, 0)


def test_the_figures_come_back_with_time() -> None:
    limits, caller = Limits(1), _caller(workload=_rate(60))
    _drain(limits, caller, 0)
    seen = [limits.figures(caller, second * SECOND_US).remaining for second in (0, 1, 30, 60, 600)]
    assert seen == [0, 1, 30, 60, 60]


def test_memory_follows_the_scopes_in_use() -> None:
    limits = Limits(1)
    for number in range(20_000):
        limits.acquire(_caller(f"w{number}", workload=_rate(60)), number * SECOND_US).release()
    assert len(limits) <= 10


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3 * SECOND_US)), max_size=60))
def test_sweeping_forgets_no_meter_that_still_counts(calls: list) -> None:
    """Many scopes through one memory answer as each scope alone does."""
    shared = Limits(1)
    alone = [Limits(1) for _ in range(6)]
    now_us = 0
    for who, gap_us in calls:
        now_us += gap_us
        caller = _caller(f"w{who}", workload=Restrictions(requests_per_minute=4, concurrent=3))
        assert (_try(shared, caller, now_us) is None) is (_try(alone[who], caller, now_us) is None)


def test_a_meter_with_calls_in_flight_is_never_swept() -> None:
    limits: Any = Limits(1)
    busy = _caller("busy", workload=Restrictions(concurrent=1))
    limits.acquire(busy, 0)
    for number in range(100):
        limits.acquire(_caller(f"w{number}", workload=_rate(60)), number * MINUTE_US).release()
    assert _try(limits, busy, 100 * MINUTE_US) is None
