"""Waits for a condition with a deadline; the only pause in the tests of the house is here."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_PAUSE = 0.005


def until(look: Callable[[], T | None], what: str, seconds: float = 10) -> T:
    """Returns what `look` returns as soon as that is true-ish; fails after `seconds`, saying `what` was awaited."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s for {what}")
        pause.wait(_PAUSE)
