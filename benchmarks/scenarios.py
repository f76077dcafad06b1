"""The scenarios: which load against which gateway, and how an outcome becomes figures.

Law: every scenario is bounded in time; the names are the ones that bars.py looks up.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from benchmarks.figures import added, percentile
from benchmarks.plans import ClosedLoad, OpenLoad, Outcome, StreamLoad, Tally, Target
from benchmarks.processes import run_load
from benchmarks.results import Figures

MB = 1_000_000


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How long and how hard; the quick pace only shows that everything runs."""

    quick: bool = False
    warm_up: float = 2.0
    closed_seconds: float = 5.0
    open_seconds: float = 20.0
    rate: float = 500.0
    connections: tuple[int, ...] = (1, 16, 64)
    latencies_ms: tuple[int, ...] = (0, 60)
    many_streams: int = 1000
    stream_seconds: float = 8.0
    growth_keys: tuple[int, ...] = (10, 1_000, 100_000)
    growth_entries: tuple[int, ...] = (0, 1_000_000)
    first_byte_streams: int = 300
    rounds: int = 3
    """How often scenarios that are compared with each other are run in turn."""


QUICK = Pace(
    quick=True,
    warm_up=0.7,
    closed_seconds=1.0,
    open_seconds=2.0,
    connections=(64,),
    latencies_ms=(0,),
    many_streams=200,
    stream_seconds=2.0,
    growth_keys=(10, 1_000),
    growth_entries=(),
    first_byte_streams=100,
    rounds=1,
)


def closed(
    target: Target, pids: tuple[int, ...], pace: Pace, connections: int, latency_ms: int = 0
) -> Figures:
    """Measures saturation: calls per second and CPU per call."""
    outcome = run_load(
        ClosedLoad(
            targets=(target,),
            watch=pids,
            connections=connections,
            warm_up=pace.warm_up / 2,
            seconds=pace.closed_seconds,
            latency_ms=latency_ms,
        )
    )
    tally = outcome.tallies[0]
    return Figures(
        calls=tally.calls,
        failures=tally.failures,
        calls_per_second=tally.calls / outcome.seconds,
        cpu_us_per_call=_each(outcome.cpu_seconds, tally.calls),
        p50_us=percentile(tally.latency_us, 50),
        p99_us=percentile(tally.latency_us, 99),
        rss_mb=outcome.rss_after / MB if pids else None,
    )


def open_loop(
    target: Target, direct: Target, pids: tuple[int, ...], pace: Pace, latency_ms: int = 0
) -> Figures:
    """Measures what the gateway adds to a call's latency, interleaved with direct calls."""
    outcome = run_load(
        OpenLoad(
            targets=(target, direct),
            watch=pids,
            rate=pace.rate,
            warm_up=pace.warm_up,
            seconds=pace.open_seconds,
            latency_ms=latency_ms,
        )
    )
    through, straight = outcome.tallies
    extra = added(_timed(through), _timed(straight))
    return Figures(
        calls=through.calls,
        failures=through.failures,
        calls_per_second=through.calls / outcome.seconds,
        cpu_us_per_call=_each(outcome.cpu_seconds, through.calls),
        p50_us=percentile(through.latency_us, 50),
        p99_us=percentile(through.latency_us, 99),
        added_p50_us=percentile(extra, 50),
        added_p99_us=percentile(extra, 99),
        p99_minus_direct_p99_us=_difference(through.latency_us, straight.latency_us, 99),
        sender_lag_p99_us=percentile(outcome.lag_us, 99),
    )


class Streams(msgspec.Struct, frozen=True, kw_only=True):
    """How many streams for each target, how long, how slow, started over how many seconds."""

    counts: tuple[int, ...]
    seconds: float
    interval_ms: int
    ramp: float


def streams(targets: tuple[Target, Target], pids: tuple[int, ...], shape: Streams) -> Figures:
    """Measures event streams: CPU per chunk, added time to the first byte, memory per stream."""
    outcome = run_load(
        StreamLoad(
            targets=targets,
            watch=pids,
            streams=shape.counts,
            chunks=round(shape.seconds * 1000 / shape.interval_ms),
            interval_ms=shape.interval_ms,
            ramp=shape.ramp,
        )
    )
    through, straight = outcome.tallies
    chunks = len(through.chunk_us)
    return Figures(
        calls=through.calls,
        failures=through.failures,
        chunks=chunks,
        cpu_us_per_chunk=_each(outcome.cpu_seconds, chunks),
        first_byte_added_p50_us=_difference(through.first_byte_us, straight.first_byte_us, 50),
        first_byte_added_p99_us=_difference(through.first_byte_us, straight.first_byte_us, 99),
        chunk_added_p50_us=_difference(through.chunk_us, straight.chunk_us, 50),
        chunk_added_p99_us=_difference(through.chunk_us, straight.chunk_us, 99),
        kib_per_stream=_kib_each(outcome, through),
        rss_mb=outcome.rss_after / MB,
    )


def _timed(tally: Tally) -> list[tuple[int, int]]:
    return list(zip(tally.started_us, tally.latency_us, strict=True))


def _each(cpu_seconds: float, count: int) -> float | None:
    return cpu_seconds * 1e6 / count if count and cpu_seconds else None


def _kib_each(outcome: Outcome, tally: Tally) -> float | None:
    return (outcome.rss_after - outcome.rss_before) / 1024 / tally.calls if tally.calls else None


def _difference(through: Sequence[float], direct: Sequence[float], percent: float) -> float | None:
    ours, theirs = percentile(through, percent), percentile(direct, percent)
    return None if ours is None or theirs is None else ours - theirs
