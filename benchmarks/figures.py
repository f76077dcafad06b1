"""Turns samples into figures: percentiles, Poisson arrivals, pairs of neighbours in time.

Law: plain functions, same input, same output; no clock, no I/O.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections.abc import Sequence


def percentile(samples: Sequence[float], percent: float) -> float | None:
    """Returns the smallest sample that at least `percent` of all samples do not exceed; None without samples.

    The nearest-rank method: it never invents a value between two samples.
    """
    if not samples:
        return None
    ordered = sorted(samples)
    rank = math.ceil(percent / 100 * len(ordered))
    return ordered[min(max(rank, 1), len(ordered)) - 1]


def poisson_arrivals(rate: float, seconds: float, seed: int) -> list[int]:
    """Returns the arrival times, in nanoseconds from the start, of a Poisson process of `rate` per second."""
    chance = random.Random(seed)
    arrivals: list[int] = []
    at = chance.expovariate(rate)
    while at < seconds:
        arrivals.append(round(at * 1e9))
        at += chance.expovariate(rate)
    return arrivals


def thin(arrivals: Sequence[int], ways: int, seed: int) -> list[tuple[int, int]]:
    """Deals each arrival to one of `ways` targets by lot, so that each target sees a Poisson process too."""
    chance = random.Random(seed)
    return [(at, chance.randrange(ways)) for at in arrivals]


def added(through: Sequence[tuple[int, int]], direct: Sequence[tuple[int, int]]) -> list[int]:
    """Returns, for each call through the gateway, its latency minus that of the direct call nearest in time.

    Both are (intended start, latency) in the same unit; `direct` is sorted by start here. Neighbours in time
    share the machine's state of the moment, so that its noise cancels where it is common to both.
    """
    ordered = sorted(direct)
    if not ordered:
        return []
    starts = [start for start, _ in ordered]
    return [latency - ordered[_nearest(starts, start)][1] for start, latency in through]


def _nearest(starts: Sequence[int], at: int) -> int:
    """Returns the index of the start nearest to `at`; the earlier one of two equally near."""
    right = bisect_left(starts, at)
    if right == 0:
        return 0
    if right == len(starts):
        return right - 1
    return right if starts[right] - at < at - starts[right - 1] else right - 1
