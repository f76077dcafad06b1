"""What a run found, as it is written to JSON and read back by the tables.

Law: values only. A figure that was not measured is None, never zero.
"""

from __future__ import annotations

import msgspec

from benchmarks.gauge import Disk, Machine


class Figures(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The figures of one scenario for one subject; the unit is in the name."""

    calls: int | None = None
    failures: dict[str, int] | None = None
    calls_per_second: float | None = None
    cpu_us_per_call: float | None = None
    p50_us: float | None = None
    p99_us: float | None = None
    added_p50_us: float | None = None
    """Percentile of (through the gateway - nearest direct call)."""
    added_p99_us: float | None = None
    p99_minus_direct_p99_us: float | None = None
    sender_lag_p99_us: float | None = None
    first_byte_added_p50_us: float | None = None
    first_byte_added_p99_us: float | None = None
    cpu_us_per_chunk: float | None = None
    chunks: int | None = None
    chunk_added_p50_us: float | None = None
    chunk_added_p99_us: float | None = None
    kib_per_stream: float | None = None
    rss_mb: float | None = None
    ready_seconds: float | None = None
    stolen_percent: float | None = None
    """Of the CPU time that this machine wanted meanwhile, what its hypervisor gave to others."""


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario, run against one subject."""

    subject: str
    scenario: str
    figures: Figures


class HotSpot(msgspec.Struct, frozen=True):
    """A function and the shares of samples, in percent, in it alone and in it or below it."""

    function: str
    own: float
    total: float


class Results(msgspec.Struct, kw_only=True):
    """A whole run."""

    subject: str
    quick: bool
    taken: str
    """The day, ISO 8601."""
    machine: Machine
    disk: Disk
    measurements: list[Measurement] = []
    hot_spots: list[HotSpot] = []
    notes: list[str] = []

    def figures(self, scenario: str, subject: str | None = None) -> Figures | None:
        """Returns what was found for a scenario (of the gateway, unless told otherwise)."""
        wanted = subject or self.subject
        for found in self.measurements:
            if found.scenario == scenario and found.subject == wanted:
                return found.figures
        return None
