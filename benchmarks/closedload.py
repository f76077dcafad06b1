"""Closed-loop load: a fixed number of connections, each calling again as soon as it is answered.

Law: it finds throughput and CPU per call under saturation; its latencies say nothing about arrivals that do
not wait, which is what openload.py is for.
"""

from __future__ import annotations

import asyncio
import time
from itertools import cycle

from benchmarks import exchange, gauge
from benchmarks.connection import Connection, dial_many, since_us
from benchmarks.plans import ClosedLoad, Outcome, Tally


class _Run:
    """The state of one run; a Listener."""

    def __init__(self, plan: ClosedLoad) -> None:
        target = plan.targets[0]
        order = exchange.Order(plan.latency_ms)
        self.requests = cycle([exchange.request(target, token, order) for token in target.tokens])
        self.tally = Tally(name=target.name)
        self.measuring = False
        self.stopped = False

    def start(self, connection: Connection) -> None:
        connection.send(next(self.requests), 0, time.monotonic_ns())

    def part(self, connection: Connection, content: bytes) -> None:
        """A whole answer is what counts here."""

    def answered(self, connection: Connection) -> None:
        if self.measuring:
            self.tally.calls += 1
            self.tally.latency_us.append(since_us(connection.started_ns))
        if not self.stopped:
            self.start(connection)

    def failed(self, connection: Connection, reason: str) -> None:
        self.tally.failures[reason] = self.tally.failures.get(reason, 0) + 1
        if connection.open and not self.stopped:
            self.start(connection)


async def run(plan: ClosedLoad) -> Outcome:
    """Warms up, then counts what is answered within `seconds`."""
    state = _Run(plan)
    connections = await dial_many(plan.targets[0], 0, state, plan.connections)
    for connection in connections:
        state.start(connection)
    await asyncio.sleep(plan.warm_up)
    before, began_ns = gauge.read(plan.watch), time.monotonic_ns()
    state.measuring = True
    await asyncio.sleep(plan.seconds)
    state.measuring = False
    after, seconds = gauge.read(plan.watch), (time.monotonic_ns() - began_ns) / 1e9
    state.stopped = True
    for connection in connections:
        connection.close()
    return Outcome(
        seconds=seconds,
        tallies=[state.tally],
        cpu_seconds=after.cpu_seconds - before.cpu_seconds,
        rss_before=before.rss,
        rss_after=after.rss,
    )
