"""One coarse timer for many deadlines: what is watched holds one, and four times a second it is looked at.

Law: a deadline fires within half a second after it passed. Setting one is an assignment, which is why no
request needs a timer of its own.
"""

from __future__ import annotations

import asyncio
import math
from typing import Final, Protocol

NEVER: Final = math.inf
_INTERVAL: Final = 0.25


class Watched(Protocol):
    """`deadline` in the loop's time, or NEVER; `expire` is called at every sweep until the deadline moves."""

    deadline: float

    def expire(self, now: float) -> None: ...


class Sweep:
    """Looks at everything that is watched; runs only while something is."""

    __slots__ = ("_loop", "_timer", "_watched")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._watched: set[Watched] = set()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, watched: Watched) -> None:
        self._watched.add(watched)
        if self._timer is None:
            self._timer = self._loop.call_later(_INTERVAL, self._look)

    def forget(self, watched: Watched) -> None:
        self._watched.discard(watched)

    def _look(self) -> None:
        self._timer = None
        now = self._loop.time()
        for late in [watched for watched in self._watched if watched.deadline <= now]:
            late.expire(now)
        if self._watched:
            self._timer = self._loop.call_later(_INTERVAL, self._look)
