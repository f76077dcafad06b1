"""How fast places have answered lately: a moving average of the time to the first byte, in integers.

Law: per worker, in memory, bounded; a figure that is older than ten minutes is no figure, so that a place
that was slow once is measured again. Feeding it changes no plan that is made already.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from tokenone.clock import MINUTE_US

FRESH_US: Final = 10 * MINUTE_US
CAPACITY: Final = 4096
_SHARE: Final = 8
"""Each new figure counts an eighth (as in TCP's round-trip estimate, RFC 6298 section 2)."""


class Speed:
    """The average by endpoint and model."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._known: OrderedDict[tuple[str, str], tuple[int, int]] = OrderedDict()
        self._capacity = capacity

    def note(self, endpoint: str, model: str, first_byte_us: int, now_us: int) -> None:
        """Takes one time to the first byte in."""
        place = (endpoint, model)
        known = self._fresh(place, now_us)
        average = first_byte_us if known is None else known + (first_byte_us - known) // _SHARE
        self._known[place] = (average, now_us)
        self._known.move_to_end(place)
        if len(self._known) > self._capacity:
            self._known.popitem(last=False)

    def of(self, endpoint: str, model: str, now_us: int) -> int | None:
        """Returns the average in microseconds; None where nothing was measured lately."""
        return self._fresh((endpoint, model), now_us)

    def _fresh(self, place: tuple[str, str], now_us: int) -> int | None:
        known = self._known.get(place)
        return None if known is None or now_us - known[1] > FRESH_US else known[0]
