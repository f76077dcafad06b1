"""The bars: what the gateway holds itself to, and what a run says about each.

Law: a bar that was not measured is told so; one that was measured at another size than it is set for says at
which. Plain functions over results.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from benchmarks.results import Figures, Results

Verdict = Literal["held", "missed", "not measured"]


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """One promise: `measure` gives the figure in `unit`, None where the run lacks it."""

    promise: str
    limit: float
    unit: str
    measure: Callable[[Results], float | None]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A bar beside what was measured."""

    bar: Bar
    measured: float | None

    @property
    def verdict(self) -> Verdict:
        if self.measured is None:
            return "not measured"
        return "held" if self.measured <= self.bar.limit else "missed"

    @property
    def missed_by(self) -> float | None:
        """How far beyond the limit, in percent of it; None unless missed."""
        if self.measured is None or self.verdict != "missed":
            return None
        return (self.measured / self.bar.limit - 1) * 100


def judge(results: Results) -> list[Finding]:
    """Holds every bar against a run."""
    return [Finding(bar=bar, measured=bar.measure(results)) for bar in BARS]


def _of(scenario: str, read: Callable[[Figures], float | None]) -> Callable[[Results], float | None]:
    def measure(results: Results) -> float | None:
        figures = results.figures(scenario)
        return read(figures) if figures is not None else None

    return measure


def _milliseconds(read: Callable[[Figures], float | None]) -> Callable[[Figures], float | None]:
    def measure(figures: Figures) -> float | None:
        value = read(figures)
        return None if value is None else value / 1000

    return measure


def _recording(results: Results) -> float | None:
    """CPU per call with the ledger minus without."""
    full, without = results.figures("closed-64-full"), results.figures("closed-64-unrecorded")
    if full is None or without is None:
        return None
    if full.cpu_us_per_call is None or without.cpu_us_per_call is None:
        return None
    return full.cpu_us_per_call - without.cpu_us_per_call


def _growth(kind: str) -> Callable[[Results], float | None]:
    """The largest size's CPU per call over the smallest's; None until both were measured."""

    def measure(results: Results) -> float | None:
        sizes: dict[int, float] = {}
        for found in results.measurements:
            name, _, size = found.scenario.rpartition("-")
            if name == kind and found.subject == results.subject and found.figures.cpu_us_per_call:
                sizes[int(size)] = found.figures.cpu_us_per_call
        return sizes[max(sizes)] / sizes[min(sizes)] if len(sizes) > 1 else None

    return measure


BARS: tuple[Bar, ...] = (
    Bar(
        promise="CPU per governed call, 64 connections, plain upstream",
        limit=100,
        unit="µs",
        measure=_of("closed-64", lambda f: f.cpu_us_per_call),
    ),
    Bar(promise="of which signing and durability", limit=20, unit="µs", measure=_recording),
    Bar(
        promise="CPU per governed call, 64 connections, TLS upstream",
        limit=130,
        unit="µs",
        measure=_of("closed-64-tls", lambda f: f.cpu_us_per_call),
    ),
    Bar(
        promise="added latency p50, 500 calls/s, open loop",
        limit=1,
        unit="ms",
        measure=_of("open", _milliseconds(lambda f: f.added_p50_us)),
    ),
    Bar(
        promise="added latency p99, 500 calls/s, open loop",
        limit=3,
        unit="ms",
        measure=_of("open", _milliseconds(lambda f: f.added_p99_us)),
    ),
    Bar(
        promise="CPU per streamed chunk, 32 streams",
        limit=25,
        unit="µs",
        measure=_of("streams-32", lambda f: f.cpu_us_per_chunk),
    ),
    Bar(
        promise="added time to first byte, p50",
        limit=1,
        unit="ms",
        measure=_of("first-byte", _milliseconds(lambda f: f.first_byte_added_p50_us)),
    ),
    Bar(
        promise="memory of a slow stream, plain upstream",
        limit=30,
        unit="KiB",
        measure=_of("streams-many", lambda f: f.kib_per_stream),
    ),
    Bar(
        promise="memory of a slow stream, TLS upstream",
        limit=70,
        unit="KiB",
        measure=_of("streams-many-tls", lambda f: f.kib_per_stream),
    ),
    Bar(promise="time to ready", limit=1, unit="s", measure=_of("keys-10", lambda f: f.ready_seconds)),
    Bar(promise="memory at 1,000 keys", limit=120, unit="MB", measure=_of("keys-1000", lambda f: f.rss_mb)),
    Bar(
        promise="memory at 100,000 keys", limit=450, unit="MB", measure=_of("keys-100000", lambda f: f.rss_mb)
    ),
    Bar(promise="CPU per call, most keys over fewest", limit=1.2, unit="times", measure=_growth("keys")),
    Bar(
        promise="CPU per call, longest ledger over empty", limit=1.2, unit="times", measure=_growth("ledger")
    ),
)
