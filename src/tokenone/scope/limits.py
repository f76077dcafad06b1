"""Requests per minute (GCRA) and calls in flight, per scope, each worker holding its share.

Law: all three scopes must have room, else nothing is taken; a refusal says when to come back. A worker gives
out 1/N of a scope's rate, exactly, and 1/N of its burst and concurrency, rounded up, so that N workers
together exceed a burst by at most N - 1. Times are monotonic: a corrected wall clock locks nobody out.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import msgspec

from tokenone.clock import MINUTE_US, SECOND_US
from tokenone.errors import RateLimited
from tokenone.rows import Restrictions
from tokenone.scope.grant import Caller


class RateHeaders(msgspec.Struct, frozen=True, gc=False):
    """The tightest scope's figures, for X-RateLimit-Limit and X-RateLimit-Remaining (over all workers)."""

    limit: int
    remaining: int


class Permit:
    """Room for one call; `release` gives the concurrency back, once."""

    __slots__ = ("_held",)

    def __init__(self, held: tuple[_Meter, ...]) -> None:
        self._held = held

    def release(self) -> None:
        """Gives the places in flight back; a second time does nothing."""
        held, self._held = self._held, ()
        for meter in held:
            meter.in_flight -= 1


class _Meter:
    """One scope's state in this worker: the theoretical arrival time (GCRA) and the calls in flight."""

    __slots__ = ("arrival_us", "in_flight", "rate")

    def __init__(self) -> None:
        self.arrival_us = 0
        self.in_flight = 0
        self.rate: int | None = None


class Limits:
    """The limits of every scope, as this one of `workers` enforces them."""

    def __init__(self, workers: int) -> None:
        self._workers = max(workers, 1)
        self._meters: OrderedDict[str, _Meter] = OrderedDict()
        self._free: Final = Permit(())

    def acquire(self, caller: Caller, monotonic_us: int) -> Permit:
        """Takes room for one call in all of the caller's scopes, or raises RateLimited and takes none."""
        limited = _limited(caller)
        if not limited:
            return self._free
        self._sweep(monotonic_us)
        meters = [(self._meter(scope, row, monotonic_us), row) for scope, row in limited]
        wait_us = max(self._wait_us(meter, row, monotonic_us) for meter, row in meters)
        if wait_us > 0:
            raise RateLimited(retry_after=-(-wait_us // SECOND_US))
        for meter, row in meters:
            if row.requests_per_minute is not None:
                start_us = max(meter.arrival_us, monotonic_us)
                meter.arrival_us = start_us + self._interval_us(row.requests_per_minute)
            meter.in_flight += 1
        return Permit(tuple(meter for meter, _ in meters))

    def figures(self, caller: Caller, monotonic_us: int) -> RateHeaders | None:
        """Returns the figures of the scope with the least left; None where no rate is set."""
        tightest: RateHeaders | None = None
        for scope, row in _limited(caller):
            rate = row.requests_per_minute
            if rate is None:
                continue
            left = self._left(self._meters.get(scope), rate, monotonic_us)
            if tightest is None or left < tightest.remaining:
                tightest = RateHeaders(rate, left)
        return tightest

    def __len__(self) -> int:
        return len(self._meters)

    # ── one scope ──────────────────────────────────────────────────────────────────────────────────────
    def _interval_us(self, rate: int) -> int:
        return max(MINUTE_US * self._workers // rate, 1)

    def _burst(self, rate: int) -> int:
        return -(-rate // self._workers)

    def _wait_us(self, meter: _Meter, row: Restrictions, now_us: int) -> int:
        """Returns for how long the scope has no room; 0 if it has."""
        if row.concurrent is not None and meter.in_flight >= -(-row.concurrent // self._workers):
            return MINUTE_US if row.concurrent <= 0 else SECOND_US
        rate = row.requests_per_minute
        if rate is None:
            return 0
        if rate <= 0:
            return MINUTE_US
        slack_us = (self._burst(rate) - 1) * self._interval_us(rate)
        return max(meter.arrival_us - slack_us - now_us, 0)

    def _left(self, meter: _Meter | None, rate: int, now_us: int) -> int:
        if rate <= 0:
            return 0
        if meter is None or meter.arrival_us <= now_us:
            return rate
        interval_us = self._interval_us(rate)
        ahead_us = meter.arrival_us - now_us
        share = max(self._burst(rate) * interval_us - ahead_us, 0) // interval_us
        return min(share * self._workers, rate)

    def _meter(self, scope: str, row: Restrictions, now_us: int) -> _Meter:
        """Returns the scope's meter, newest last; an edited rate starts afresh."""
        meter = self._meters.get(scope)
        if meter is None:
            meter = self._meters[scope] = _Meter()
        else:
            self._meters.move_to_end(scope)
        if meter.rate != row.requests_per_minute:
            meter.rate, meter.arrival_us = row.requests_per_minute, now_us
        return meter

    def _sweep(self, now_us: int) -> None:
        """Drops up to two meters that say nothing any more: memory follows the scopes in use."""
        for _ in range(min(2, len(self._meters))):
            scope, oldest = next(iter(self._meters.items()))
            if oldest.in_flight or oldest.arrival_us > now_us:
                self._meters.move_to_end(scope)
            else:
                del self._meters[scope]


def _limited(caller: Caller) -> list[tuple[str, Restrictions]]:
    """Returns the scopes that limit, with their rows."""
    limited = []
    for row in (caller.tenant, caller.project, caller.workload):
        restrictions = row.restrictions
        if restrictions.requests_per_minute is not None or restrictions.concurrent is not None:
            limited.append((row.id, restrictions))
    return limited
