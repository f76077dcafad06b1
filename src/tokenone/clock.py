"""Time in integer microseconds since 1970 (UTC), from one seam that tests can freeze.

Law: wall time is the last anchor (the database's clock) plus the monotonic clock, so a machine whose clock
jumps does not keep an old key alive. Durations come from `monotonic_us` alone.
"""

from __future__ import annotations

import time
from typing import Protocol

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US


class Clock(Protocol):
    """`now_us` is wall time (may be re-anchored); `monotonic_us` never goes back. Both are cheap."""

    def now_us(self) -> int: ...

    def monotonic_us(self) -> int: ...


class AnchoredClock:
    """The system's monotonic clock, anchored to wall time at start and to the database's time later."""

    __slots__ = ("_anchored", "_offset_us")

    def __init__(self) -> None:
        self._anchored = False
        self._offset_us = time.time_ns() // 1000 - time.monotonic_ns() // 1000

    def now_us(self) -> int:
        return time.monotonic_ns() // 1000 + self._offset_us

    def monotonic_us(self) -> int:
        return time.monotonic_ns() // 1000

    def anchor(self, wall_us: int) -> int:
        """Takes `wall_us` as the present and returns by how many microseconds that moved the clock.

        The first anchor counts either way; later ones never move it back, for what has expired stays expired
        though the database's clock be set back.
        """
        moved = wall_us - self.now_us()
        if self._anchored:
            moved = max(moved, 0)
        self._anchored = True
        self._offset_us += moved
        return moved


class FrozenClock:
    """A clock that stands still until it is told to move; for tests and dry runs."""

    __slots__ = ("_monotonic_us", "_now_us")

    def __init__(self, now_us: int = 1_790_000_000_000_000) -> None:
        self._now_us = now_us
        self._monotonic_us = 0

    def now_us(self) -> int:
        return self._now_us

    def monotonic_us(self) -> int:
        return self._monotonic_us

    def advance(self, by_us: int) -> None:
        """Moves wall and monotonic time forward."""
        self._now_us += by_us
        self._monotonic_us += by_us

    def jump(self, by_us: int) -> None:
        """Moves wall time alone, as a clock correction does."""
        self._now_us += by_us
