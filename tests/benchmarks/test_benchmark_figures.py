"""The statistics behind the benchmarks: percentiles, Poisson schedules, pairs of neighbours."""

from __future__ import annotations

import itertools
import statistics

import pytest
from benchmarks.figures import added, percentile, poisson_arrivals, thin
from hypothesis import given
from hypothesis import strategies as st

SAMPLES = st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=200)


def test_no_samples_give_no_percentile() -> None:
    assert percentile([], 99) is None


@pytest.mark.parametrize(
    ("samples", "percent", "expected"),
    [
        ([7], 50, 7),
        ([1, 2, 3, 4], 50, 2),
        ([1, 2, 3, 4], 51, 3),
        (list(range(1, 101)), 99, 99),
        (list(range(1, 101)), 100, 100),
        ([3, 1, 2], 0, 1),
    ],
)
def test_a_percentile_is_the_nearest_rank(samples: list[int], percent: float, expected: int) -> None:
    assert percentile(samples, percent) == expected


@given(SAMPLES, st.floats(0, 100))
def test_at_least_the_percentage_lies_at_or_below_the_percentile(samples: list[int], percent: float) -> None:
    found = percentile(samples, percent)
    assert found in samples
    assert sum(sample <= found for sample in samples) >= percent / 100 * len(samples) - 1e-9


@given(SAMPLES, st.floats(0, 100), st.floats(0, 100))
def test_percentiles_never_cross(samples: list[int], one: float, other: float) -> None:
    low, high = percentile(samples, min(one, other)), percentile(samples, max(one, other))
    assert low is not None
    assert high is not None
    assert low <= high


def test_a_schedule_is_the_same_for_the_same_seed_only() -> None:
    assert poisson_arrivals(500, 2, seed=7) == poisson_arrivals(500, 2, seed=7)
    assert poisson_arrivals(500, 2, seed=7) != poisson_arrivals(500, 2, seed=8)


def test_arrivals_are_poisson_in_rate_and_spread() -> None:
    arrivals = poisson_arrivals(500, 100, seed=1)
    gaps = [after - before for before, after in itertools.pairwise(arrivals)]
    assert len(arrivals) == pytest.approx(50_000, rel=0.02)
    # The gaps of a Poisson process are exponential: their deviation equals their mean.
    assert statistics.pstdev(gaps) == pytest.approx(statistics.fmean(gaps), rel=0.03)
    assert arrivals == sorted(arrivals)
    assert arrivals[-1] < 100 * 10**9


def test_dealing_by_lot_keeps_every_arrival_and_splits_evenly() -> None:
    arrivals = poisson_arrivals(1000, 20, seed=3)
    dealt = thin(arrivals, 2, seed=4)
    assert [at for at, _ in dealt] == arrivals
    assert sum(target for _, target in dealt) == pytest.approx(len(arrivals) / 2, rel=0.05)


def test_added_latency_is_against_the_neighbour_in_time() -> None:
    through = [(10, 500), (95, 900)]
    direct = [(100, 300), (0, 100)]
    assert added(through, direct) == [400, 600]


def test_the_earlier_of_two_equal_neighbours_counts() -> None:
    assert added([(5, 10)], [(0, 1), (10, 2)]) == [9]


def test_without_direct_calls_nothing_is_said_to_be_added() -> None:
    assert added([(1, 2)], []) == []


@given(
    st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 50)), min_size=1, max_size=50),
    st.lists(st.integers(0, 1000), min_size=1, max_size=50),
    st.integers(0, 99),
)
def test_a_constant_delay_is_found_exactly(
    direct: list[tuple[int, int]], starts: list[int], delay: int
) -> None:
    flat = [(start, 20) for start, _ in direct]
    assert added([(start, 20 + delay) for start in starts], flat) == [delay] * len(starts)
