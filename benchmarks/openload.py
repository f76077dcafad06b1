"""Open-loop load: calls start when a Poisson schedule says so, whether or not earlier ones are answered.

Law: latency counts from the *intended* start, so that a stalled target (or sender) cannot hide calls it
should have had (no coordinated omission). Targets are interleaved by lot on one schedule.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from functools import partial
from itertools import cycle

from benchmarks import exchange, gauge
from benchmarks.connection import Connection, dial_many
from benchmarks.figures import poisson_arrivals, thin
from benchmarks.finetimer import FineTimer
from benchmarks.plans import OpenLoad, Outcome, Tally

_GRACE_SECONDS = 20.0


class _Run:
    """The state of one run; a Listener."""

    def __init__(self, plan: OpenLoad) -> None:
        self.plan = plan
        order = exchange.Order(plan.latency_ms)
        self.requests = [
            cycle([exchange.request(target, token, order) for token in target.tokens])
            for target in plan.targets
        ]
        self.tallies = [Tally(name=target.name) for target in plan.targets]
        self.idle: list[list[Connection]] = [[] for _ in plan.targets]
        self.queued: list[deque[int]] = [deque() for _ in plan.targets]
        self.lag_us: list[int] = []
        self.left = 0
        self.measured_from_ns = 0
        self.done = asyncio.Event()

    def start(self, number: int, intended_ns: int) -> None:
        """Sends a call that was due at `intended_ns`, or queues it until a connection is free."""
        self.lag_us.append((time.monotonic_ns() - intended_ns) // 1000)
        if self.idle[number]:
            self._send(self.idle[number].pop(), intended_ns)
        else:
            self.queued[number].append(intended_ns)

    def _send(self, connection: Connection, intended_ns: int) -> None:
        connection.send(next(self.requests[connection.number]), 0, intended_ns)

    def part(self, connection: Connection, content: bytes) -> None:
        """A whole answer is what counts here."""

    def answered(self, connection: Connection) -> None:
        if connection.started_ns >= self.measured_from_ns:
            tally = self.tallies[connection.number]
            tally.calls += 1
            tally.started_us.append((connection.started_ns - self.measured_from_ns) // 1000)
            tally.latency_us.append((time.monotonic_ns() - connection.started_ns) // 1000)
        self._finished(connection)

    def failed(self, connection: Connection, reason: str) -> None:
        failures = self.tallies[connection.number].failures
        failures[reason] = failures.get(reason, 0) + 1
        self._finished(connection)

    def _finished(self, connection: Connection) -> None:
        self.left -= 1
        if self.left == 0:
            self.done.set()
        if not connection.open:
            return
        queued = self.queued[connection.number]
        if queued:
            self._send(connection, queued.popleft())
        else:
            self.idle[connection.number].append(connection)


async def run(plan: OpenLoad) -> Outcome:
    """Warms up on the same schedule, then measures for `seconds`."""
    state = _Run(plan)
    for number, target in enumerate(plan.targets):
        state.idle[number] = await dial_many(target, number, state, plan.connections)
    connections = [connection for idle in state.idle for connection in idle]
    ways = len(plan.targets)
    arrivals = poisson_arrivals(plan.rate * ways, plan.warm_up + plan.seconds, plan.seed)
    state.left = len(arrivals)
    timer = FineTimer()
    origin_ns = time.monotonic_ns() + 50_000_000
    state.measured_from_ns = origin_ns + round(plan.warm_up * 1e9)
    readings: list[gauge.Reading] = []
    timer.at(state.measured_from_ns, lambda: readings.append(gauge.read(plan.watch)))
    for at, number in thin(arrivals, ways, plan.seed + 1):
        timer.at(origin_ns + at, partial(state.start, number, origin_ns + at))
    try:
        await asyncio.wait_for(state.done.wait(), plan.warm_up + plan.seconds + _GRACE_SECONDS)
    except TimeoutError:
        state.tallies[0].failures["never answered"] = state.left
    after = gauge.read(plan.watch)
    timer.close()
    for connection in connections:
        connection.close()
    before = readings[0] if readings else after
    return Outcome(
        seconds=plan.seconds,
        tallies=state.tallies,
        cpu_seconds=after.cpu_seconds - before.cpu_seconds,
        rss_before=before.rss,
        rss_after=after.rss,
        lag_us=state.lag_us,
    )
