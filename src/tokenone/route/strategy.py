"""Weighted random order without touching every candidate: draw, look, draw again.

Law: the same weights and seed give the same order on every machine. Drawing from n candidates costs
O(log n) once the running sums are there; only when draws keep hitting what was drawn already (heavy weights,
many benched) is the rest put in order at once, in O(n log n).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

_WORD: Final = 2**64 - 1
_REPEATS: Final = 8


def numbers(seed: int) -> Iterator[int]:
    """Yields 64-bit numbers from a seed (SplitMix64: Steele, Lea, Flood, OOPSLA 2014)."""
    state = seed & _WORD
    while True:
        state = (state + 0x9E3779B97F4A7C15) & _WORD
        mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _WORD
        yield mixed ^ (mixed >> 31)


class Odds:
    """The running sums of one group's weights; weight 0 means *after all others*."""

    __slots__ = ("_sums", "_weights")

    def __init__(self, weights: Sequence[int]) -> None:
        self._weights = weights if any(weights) else [1] * len(weights)
        self._sums = list(accumulate(self._weights))

    def order(self, source: Iterator[int]) -> Iterator[int]:
        """Yields every index once, each drawn among the rest in proportion to its weight."""
        if len(self._sums) == 1:
            yield 0
            return
        total = self._sums[-1]
        drawn: set[int] = set()
        repeats = 0
        while repeats < _REPEATS and len(drawn) < len(self._sums):
            index = bisect_right(self._sums, (next(source) * total) >> 64)
            if index in drawn:
                repeats += 1
                continue
            drawn.add(index)
            yield index
        yield from self._rest(drawn, source)

    def _rest(self, drawn: set[int], source: Iterator[int]) -> list[int]:
        """Orders what is left by exponential arrival times (Efraimidis and Spirakis 2006): same odds."""
        left = (index for index in range(len(self._weights)) if index not in drawn)
        arrivals = [(_arrival(self._weights[index], next(source)), index) for index in left]
        return [index for _, index in sorted(arrivals)]


def _arrival(weight: int, number: int) -> tuple[bool, float]:
    wait = -math.log((number + 1) / 2**64)
    return weight == 0, wait / (weight or 1)
