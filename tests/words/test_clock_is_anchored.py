"""Clocks: wall time is an anchor plus the monotonic clock; durations never go back."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenone.clock import SECOND_US, AnchoredClock, FrozenClock


def test_an_anchored_clock_starts_at_the_systems_wall_time() -> None:
    before = time.time_ns() // 1000
    now = AnchoredClock().now_us()
    after = time.time_ns() // 1000
    assert before - SECOND_US <= now <= after + SECOND_US


@given(st.integers(0, 2**52))
def test_anchoring_moves_wall_time_to_the_databases_and_says_by_how_much(wall_us: int) -> None:
    clock = AnchoredClock()
    before = clock.now_us()
    moved = clock.anchor(wall_us)
    assert 0 <= clock.now_us() - wall_us < SECOND_US
    assert abs(wall_us - (before + moved)) < SECOND_US


@given(st.lists(st.integers(0, 2**52), min_size=1, max_size=6))
def test_a_database_whose_clock_is_set_back_revives_nothing(walls: list[int]) -> None:
    clock = AnchoredClock()
    clock.anchor(walls[0])
    for wall_us in walls[1:]:
        before = clock.now_us()
        moved = clock.anchor(wall_us)
        assert moved >= 0
        assert clock.now_us() >= max(before, wall_us)


def test_anchoring_leaves_monotonic_time_alone() -> None:
    clock = AnchoredClock()
    before = clock.monotonic_us()
    clock.anchor(0)
    assert 0 <= clock.monotonic_us() - before < SECOND_US


def test_a_jump_of_the_systems_clock_does_not_move_an_anchored_one(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = AnchoredClock()
    before, wall_ns = clock.now_us(), time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: wall_ns + 3600 * 10**9)
    assert 0 <= clock.now_us() - before < SECOND_US


def test_neither_reading_of_an_anchored_clock_goes_back() -> None:
    clock = AnchoredClock()
    readings = [(clock.now_us(), clock.monotonic_us()) for _ in range(1000)]
    assert readings == sorted(readings)


@given(st.lists(st.integers(0, 10**12)), st.integers(-(10**12), 10**12))
def test_a_frozen_clock_moves_only_when_told(steps: list[int], jump: int) -> None:
    clock = FrozenClock(10**15)
    for step in steps:
        clock.advance(step)
    assert clock.now_us() == 10**15 + sum(steps)
    assert clock.monotonic_us() == sum(steps)
    clock.jump(jump)
    assert clock.now_us() == 10**15 + sum(steps) + jump
    assert clock.monotonic_us() == sum(steps)
