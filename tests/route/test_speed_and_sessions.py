"""Speeds are averages of lately, sessions are known for their time; both bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tokenone.route import Held, Sessions, Speed
from tokenone.route.speed import FRESH_US


def test_the_first_figure_counts_whole_and_each_further_one_an_eighth() -> None:
    speed = Speed()
    assert speed.of("ep", "m", 0) is None
    speed.note("ep", "m", 800, 0)
    assert speed.of("ep", "m", 0) == 800
    speed.note("ep", "m", 1600, 1)
    assert speed.of("ep", "m", 1) == 900
    assert speed.of("ep", "other", 1) is None
    assert speed.of("other", "m", 1) is None


def test_what_was_measured_long_ago_is_no_figure_and_does_not_count_further() -> None:
    speed = Speed()
    speed.note("ep", "m", 800, 0)
    assert speed.of("ep", "m", FRESH_US) == 800
    assert speed.of("ep", "m", FRESH_US + 1) is None
    speed.note("ep", "m", 80, FRESH_US + 1)
    assert speed.of("ep", "m", FRESH_US + 1) == 80


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=50))
def test_an_average_lies_between_the_least_and_the_most(figures: list[int]) -> None:
    speed = Speed(capacity=2)
    for figure in figures:
        speed.note("ep", "m", figure, 0)
        speed.note(f"ep{figure}", "m", figure, 0)
        speed.note("ep", "m", figure, 0)
    found = speed.of("ep", "m", 0)
    assert found is not None
    assert min(figures) <= found <= max(figures)


def test_a_session_is_known_until_its_time_is_over_and_is_its_workloads() -> None:
    sessions = Sessions()
    sessions.keep("w", "s", Held("k", "m"), 100)
    assert sessions.held("w", "s", 99) == Held("k", "m")
    assert sessions.held("w", "s", 100) is None
    assert sessions.held("other", "s", 0) is None
    sessions.keep("w", "s", Held("l", "m"), 200)
    assert sessions.held("w", "s", 150) == Held("l", "m")


def test_sessions_are_bounded_and_the_oldest_makes_room() -> None:
    sessions = Sessions(capacity=3)
    for number in range(10):
        sessions.keep("w", str(number), Held("k", "m"), 100)
    assert len(sessions) == 3
    assert sessions.held("w", "6", 0) is None
    assert sessions.held("w", "7", 0) is not None
