"""Laws of the pace: who waits is served at once while it is quiet, in groups under load, never later than told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tokenone.ledger.pace import ENTRIES_PER_MS, LATEST_SECONDS, MAX_GAP_MS, Pace


class Loop(asyncio.AbstractEventLoop):
    """A loop whose time is told; what is due runs in the order of its time."""

    def __init__(self) -> None:
        self.now = 100.0
        self.due: list[tuple[float, asyncio.Handle]] = []

    def time(self) -> float:
        return self.now

    def call_soon(
        self, callback: Callable[..., object], *args: object, context: object = None
    ) -> asyncio.Handle:
        del context
        return self._at(self.now, callback, *args)

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: object, context: object = None
    ) -> asyncio.TimerHandle:
        del context
        assert delay > 0
        return self._at(self.now + delay, callback, *args)  # type: ignore[return-value]

    def get_debug(self) -> bool:
        return False

    def _at(self, when: float, callback: Callable[..., object], *args: object) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self)
        self.due.append((when, handle))
        return handle

    def run(self) -> list[float]:
        """Runs everything that is due, at its time; returns the times."""
        ran = []
        while self.due:
            self.due.sort(key=lambda item: item[0])
            when, handle = self.due.pop(0)
            if not handle.cancelled():
                self.now = max(self.now, when)
                handle._run()
                ran.append(when - 100.0)
        return ran


@pytest.fixture
def loop() -> Loop:
    return Loop()


def test_who_waits_is_served_at_once_while_it_is_quiet(loop: Loop) -> None:
    woken: list[float] = []
    pace = Pace(loop, lambda: woken.append(loop.now))
    for _ in range(3):
        pace.soon()
        pace.committed(1)
        loop.run()
    assert woken == [100.0] * 3


def test_all_of_one_turn_of_the_loop_travel_together(loop: Loop) -> None:
    woken: list[float] = []
    pace = Pace(loop, lambda: woken.append(loop.now))
    for _ in range(50):
        pace.soon()
        pace.later()
    loop.run()
    assert woken == [100.0]


@pytest.mark.parametrize("entries", [ENTRIES_PER_MS, 2 * ENTRIES_PER_MS, 4096])
def test_the_gap_grows_with_the_last_batch_up_to_its_bound(loop: Loop, entries: int) -> None:
    woken: list[float] = []
    pace = Pace(loop, lambda: woken.append(loop.now))
    pace.soon()
    loop.run()
    pace.committed(entries)
    pace.soon()
    loop.run()
    assert woken[1] - woken[0] == pytest.approx(min(entries // ENTRIES_PER_MS, MAX_GAP_MS) / 1000)
    pace.committed(1)
    pace.soon()
    loop.run()
    assert woken[2] == woken[1]


def test_what_nobody_waits_for_goes_by_itself_or_with_the_next_who_waits(loop: Loop) -> None:
    woken: list[float] = []
    pace = Pace(loop, lambda: woken.append(loop.now))
    pace.later()
    loop.run()
    assert woken == [pytest.approx(100.0 + LATEST_SECONDS)]
    pace.later()
    pace.soon()
    loop.run()
    assert len(woken) == 2
    assert woken[1] == woken[0]


def test_nobody_is_woken_after_the_end(loop: Loop) -> None:
    woken: list[float] = []
    pace = Pace(loop, lambda: woken.append(loop.now))
    pace.later()
    pace.stop()
    loop.run()
    assert woken == []
