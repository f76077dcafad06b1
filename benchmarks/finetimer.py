"""A timer finer than the event loop's: calls back within tens of microseconds of an absolute time.

asyncio and uvloop round timers to a millisecond, which is as much as the latency to be measured. A Linux
timerfd that the loop watches (timerfd_create(2)) does not. Not for production; Linux only.
"""

from __future__ import annotations

import asyncio
import ctypes
import heapq
import os
import time
from collections.abc import Callable
from itertools import count

_CLOCK_MONOTONIC = 1
_ABSOLUTE = 1
_libc = ctypes.CDLL(None, use_errno=True)


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Setting(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class FineTimer:
    """Calls back at absolute times of `time.monotonic_ns`, in order, on the running loop."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int, Callable[[], None]]] = []
        self._tie = count()
        self._descriptor: int = _libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        asyncio.get_running_loop().add_reader(self._descriptor, self._fire)

    def at(self, when_ns: int, callback: Callable[[], None]) -> None:
        """Calls `callback` once at `when_ns`; a time in the past means as soon as possible."""
        earliest = self._waiting[0][0] if self._waiting else None
        heapq.heappush(self._waiting, (when_ns, next(self._tie), callback))
        if earliest is None or when_ns < earliest:
            self._arm(when_ns)

    def close(self) -> None:
        """Forgets what was waiting."""
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
        self._waiting.clear()

    def _arm(self, when_ns: int) -> None:
        # A value of zero would disarm the timer.
        value = _Timespec(*divmod(max(when_ns, 1), 1_000_000_000))
        setting = _Setting(_Timespec(0, 0), value)
        _libc.timerfd_settime(self._descriptor, _ABSOLUTE, ctypes.byref(setting), None)

    def _fire(self) -> None:
        try:
            os.read(self._descriptor, 8)
        except BlockingIOError:
            return
        now = time.monotonic_ns()
        while self._waiting and self._waiting[0][0] <= now:
            heapq.heappop(self._waiting)[2]()
        if self._waiting:
            self._arm(self._waiting[0][0])
