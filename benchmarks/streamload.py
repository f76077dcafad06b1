"""Streams that trickle: many event streams at once, each on its own connection.

Law: time to the first byte counts from the intended start on a connection that is already up; each event's
delay counts from the stamp that the upstream put into it. Memory is read with no stream and with all of them.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial

from benchmarks import exchange, gauge
from benchmarks.connection import Connection, dial_many, since_us
from benchmarks.finetimer import FineTimer
from benchmarks.plans import Outcome, StreamLoad, Tally

_GRACE_SECONDS = 20.0
_SETTLE_SECONDS = 0.5


class _Run:
    """The state of one run; a Listener. `call` of a connection is 1 until its first byte came."""

    def __init__(self, plan: StreamLoad) -> None:
        self.tallies = [Tally(name=target.name) for target in plan.targets]
        self.left = sum(plan.streams)
        self.done = asyncio.Event()

    def part(self, connection: Connection, content: bytes) -> None:
        tally = self.tallies[connection.number]
        if connection.call == 1:
            connection.call = 2
            tally.first_byte_us.append(since_us(connection.started_ns))
        now = time.monotonic_ns()
        tally.chunk_us.extend((now - int(stamp)) // 1000 for stamp in exchange.STAMP.findall(content))

    def answered(self, connection: Connection) -> None:
        tally = self.tallies[connection.number]
        tally.calls += 1
        tally.latency_us.append(since_us(connection.started_ns))
        self._finished()

    def failed(self, connection: Connection, reason: str) -> None:
        failures = self.tallies[connection.number].failures
        failures[reason] = failures.get(reason, 0) + 1
        self._finished()

    def _finished(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.done.set()


async def run(plan: StreamLoad) -> Outcome:
    """Starts all streams within `ramp` seconds and waits for their ends."""
    state = _Run(plan)
    order = exchange.Order(plan.latency_ms, plan.chunks, plan.interval_ms)
    before = gauge.read(plan.watch)
    timer = FineTimer()
    connections: list[Connection] = []
    began_ns = time.monotonic_ns()
    starts: list[tuple[Connection, bytes, float]] = []
    for number, (target, streams) in enumerate(zip(plan.targets, plan.streams, strict=True)):
        dialed = await dial_many(target, number, state, streams)
        connections.extend(dialed)
        for index, connection in enumerate(dialed):
            sent = exchange.request(target, target.tokens[index % len(target.tokens)], order)
            starts.append((connection, sent, (index + 0.5 * number) / max(streams, 1) * plan.ramp))
    origin_ns = time.monotonic_ns() + 50_000_000
    for connection, sent, at in starts:
        due = origin_ns + round(at * 1e9)
        timer.at(due, partial(connection.send, sent, 1, due))
    await asyncio.sleep(plan.ramp + _SETTLE_SECONDS)
    during = gauge.read(plan.watch)
    try:
        await asyncio.wait_for(state.done.wait(), plan.chunks * plan.interval_ms / 1000 + _GRACE_SECONDS)
    except TimeoutError:
        state.tallies[0].failures["never ended"] = state.left
    after = gauge.read(plan.watch)
    timer.close()
    for connection in connections:
        connection.close()
    return Outcome(
        seconds=(time.monotonic_ns() - began_ns) / 1e9,
        tallies=state.tallies,
        cpu_seconds=after.cpu_seconds - before.cpu_seconds,
        rss_before=before.rss,
        rss_after=during.rss,
    )
