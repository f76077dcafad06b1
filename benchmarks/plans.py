"""The words between the governor of a run and the load process: what to send, and what came of it.

Law: values only. Times are microseconds where a name says `_us`, seconds elsewhere.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

MODEL = "gpt-4o-mini"


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who answers `POST path` with a chat completion; calls take the tokens in turn."""

    name: str
    port: int
    path: str
    tokens: tuple[str, ...]
    host: str = "127.0.0.1"
    ca_file: str | None = None
    """Set: TLS, verified against this file."""
    model: str = MODEL


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What all loads share: whom to call, which processes to read, how the upstream shall behave."""

    targets: tuple[Target, ...]
    watch: tuple[int, ...] = ()
    """The processes whose CPU and memory are read while the load runs."""
    latency_ms: int = 0


class OpenLoad(Load, frozen=True, kw_only=True, tag="open"):
    """Poisson arrivals of `rate` calls a second *per target*, dealt to the targets by lot."""

    rate: float
    seconds: float
    warm_up: float = 2.0
    seed: int = 7
    connections: int = 64


class ClosedLoad(Load, frozen=True, kw_only=True, tag="closed"):
    """Each of `connections` sends its next call as soon as the last one is answered; one target."""

    connections: int
    seconds: float
    warm_up: float = 1.0


class StreamLoad(Load, frozen=True, kw_only=True, tag="stream"):
    """`streams[i]` event streams of target i, started evenly over `ramp` seconds, each on a connection of its
    own."""

    streams: tuple[int, ...]
    chunks: int
    interval_ms: int
    ramp: float


Plan: TypeAlias = OpenLoad | ClosedLoad | StreamLoad


class Tally(msgspec.Struct, kw_only=True):
    """What came of the calls to one target, in the measured window."""

    name: str
    calls: int = 0
    failures: dict[str, int] = {}
    started_us: list[int] = []
    """The intended start of each call that was answered, in step with `latency_us`."""
    latency_us: list[int] = []
    """From the intended start to the whole answer: a stalled sender counts against the target."""
    first_byte_us: list[int] = []
    chunk_us: list[int] = []
    """From the upstream's stamp in an event to the event's arrival here."""


class Outcome(msgspec.Struct, kw_only=True):
    """What a load measured; `lag_us` is by how much the load process itself sent late."""

    seconds: float
    tallies: list[Tally]
    cpu_seconds: float = 0.0
    rss_before: int = 0
    rss_after: int = 0
    lag_us: list[int] = []
