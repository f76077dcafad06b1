"""What is left of keys' rate limits, as the providers' replies said last.

Law: per worker, in memory, bounded; knows only what a reply said (`ratelimits`) and only until the moment at
which the limit is full again. A key without figures has room. It orders plans and denies nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from tokenone.clock import MINUTE_US
from tokenone.route.ratelimits import Figures, Left

CAPACITY: Final = 4096
UNTOLD_US: Final = MINUTE_US
"""How long a figure counts whose reset was not said: providers' shortest window."""

Place = tuple[str, int, str]


class Headroom:
    """The figures by key, version and model."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._known: OrderedDict[Place, tuple[Figures, int]] = OrderedDict()
        self._capacity = capacity

    def note(self, key: str, version: int, model: str, told: Figures, now_us: int) -> None:
        """Keeps what a reply said; a reply that says nothing changes nothing."""
        if told.requests is None and told.tokens is None:
            return
        place = (key, version, model)
        self._known[place] = (told, now_us)
        self._known.move_to_end(place)
        if len(self._known) > self._capacity:
            self._known.popitem(last=False)

    def spent(self, key: str, version: int, model: str, now_us: int) -> bool:
        """Says whether nothing is left of requests or of tokens, and the limit is not full again yet."""
        known = self._known.get((key, version, model)) if self._known else None
        if known is None:
            return False
        told, at_us = known
        return _empty(told.requests, at_us, now_us) or _empty(told.tokens, at_us, now_us)

    def __len__(self) -> int:
        return len(self._known)


def _empty(left: Left | None, at_us: int, now_us: int) -> bool:
    if left is None or left.remaining > 0:
        return False
    return now_us < (at_us + UNTOLD_US if left.reset_us is None else left.reset_us)
