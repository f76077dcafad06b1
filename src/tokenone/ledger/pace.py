"""When the committer is woken: at once for those who wait while it is quiet, in groups under load.

Law: whatever was appended is handed over within `LATEST_SECONDS`. A commit costs the same whether it holds
one entry or fifty, so the gap between two grows with what the last one held; below a few entries there is
no gap. Outcomes, which nobody waits for, travel with the next intent or go by themselves a little later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

LATEST_SECONDS: Final = 0.005
ENTRIES_PER_MS: Final = 3
"""A last batch of so many entries makes the next one wait one more millisecond after it."""
MAX_GAP_MS: Final = 4


class Pace:
    """Belongs to one loop; `wake` is called on it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, wake: Callable[[], None]) -> None:
        self._loop = loop
        self._wake = wake
        self._handle: asyncio.Handle | None = None
        self._urgent = False
        self._gap = 0.0
        self._woken_at = 0.0

    def soon(self) -> None:
        """Somebody waits for what was appended."""
        if self._handle is not None:
            if self._urgent:
                return
            self._handle.cancel()
        self._urgent = True
        wait = self._gap and self._woken_at + self._gap - self._loop.time()
        self._handle = self._loop.call_later(wait, self._now) if wait > 0 else self._loop.call_soon(self._now)

    def later(self) -> None:
        """Nobody waits for what was appended."""
        if self._handle is None:
            self._urgent = False
            self._handle = self._loop.call_later(LATEST_SECONDS, self._now)

    def committed(self, entries: int) -> None:
        """Learns how many entries the last batch held."""
        self._gap = min(entries // ENTRIES_PER_MS, MAX_GAP_MS) / 1000

    def stop(self) -> None:
        """Wakes nobody from here on."""
        if self._handle is not None:
            self._handle.cancel()

    def _now(self) -> None:
        self._handle = None
        self._woken_at = self._loop.time()
        self._wake()
