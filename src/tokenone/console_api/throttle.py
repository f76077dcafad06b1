"""Slows down guessing: attempts per key in a window, bounded in memory.

Law: an attempt counts before it is checked, so that parallel guesses count too; time is monotonic; when the
memory is full the oldest key is forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from tokenone.clock import MINUTE_US, SECOND_US, Clock
from tokenone.errors import Throttled

CAPACITY: Final = 10_000


class Throttle:
    """Counts attempts per key (a name and source, or a source) in windows of a minute."""

    def __init__(self, clock: Clock, *, window_us: int = MINUTE_US) -> None:
        self._clock = clock
        self._window_us = window_us
        self._counts: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def enter(self, key: str, allowed: int) -> None:
        """Counts one attempt; Throttled with the seconds to wait once `allowed` are used up."""
        now_us = self._clock.monotonic_us()
        since_us, count = self._counts.get(key, (now_us, 0))
        if now_us - since_us >= self._window_us:
            since_us, count = now_us, 0
        if count >= allowed:
            left_us = since_us + self._window_us - now_us
            raise Throttled(retry_after=max(1, -(-left_us // SECOND_US)))
        self._counts[key] = (since_us, count + 1)
        self._counts.move_to_end(key)
        if len(self._counts) > CAPACITY:
            self._counts.popitem(last=False)

    def allows(self, key: str, allowed: int) -> bool:
        """Counts one attempt and says whether it is within bounds."""
        try:
            self.enter(key, allowed)
        except Throttled:
            return False
        return True

    def forget(self, key: str) -> None:
        """A success clears the count."""
        self._counts.pop(key, None)
