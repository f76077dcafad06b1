"""Writes docs/performance.md from results: facts, bars, scenarios, peers, where the time goes.

Law: every figure on the page comes from the run; the page names no host. Prose that explains a figure stands
here beside the table it explains.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.bars import judge
from benchmarks.results import Results
from benchmarks.tables import COLUMNS, cells, ratios, verdict

_OPENING = """\
# Performance

Written by `make bench` from its own measurements; do not edit. `make bench PEERS=1` runs LiteLLM's proxy and
HAProxy or nginx, where the machine has them, in the same run. `make bench ARGS="--quick"` ends within a
minute and leaves this page alone.

## How it is measured

The gateway (one worker) has a core to itself; the local upstream and the load process share the rest. All of
it is loopback traffic, a chat request and reply of about 1 KB each. CPU is user plus system time of the
gateway worker from `/proc/<pid>/stat` over the calls answered in the window, all its threads included.

- **Open loop**: calls start when a Poisson schedule with a fixed seed says so, through the gateway and direct
  by lot on one schedule. Latency counts from the intended start, so a stall cannot hide the calls it delayed.
  *Added* is a call's latency through the gateway minus that of the direct call nearest in time; its
  percentiles are of these differences, so the machine's own noise is in them.
- **Closed loop**: each connection calls again once it is answered. It gives throughput and CPU per call.
- **Event streams**: each event carries the upstream's clock; memory per stream is what the worker grew by
  with all streams open, on a fresh gateway after a short warm-up.
- **Growth**: the calls use the same ten keys at every size, so that the ratio shows what size itself costs.
"""


def render(results: Results) -> str:
    """Returns the page as Markdown."""
    machine, disk = results.machine, results.disk
    quick = "From a quick run, which shows that everything runs: short windows, no growth to the end. "
    facts = (
        f"{quick if results.quick else ''}Taken {results.taken}: {machine.cpu}, {machine.cores} cores, "
        f"{machine.memory_gib:g} GiB, "
        f"{machine.kernel}, Python {machine.python}. One fdatasync of a 4 KiB append on the ledger's disk: "
        f"p50 {disk.p50_us:.0f} µs, p99 {disk.p99_us:.0f} µs ({disk.samples} samples)."
    )
    parts = [_OPENING, "## The machine", facts, "## The bars", _bars(results), "## Every scenario"]
    parts.append(_table(["subject", "scenario", *(heading for heading, _ in COLUMNS)], _scenarios(results)))
    compared = ratios(results)
    parts.append("## Peers in the same run")
    parts.append(
        _table(["figure", "peer", "measured", "multiple of the gateway's"], compared)
        if compared
        else "Not part of this run (`make bench PEERS=1`)."
    )
    parts += ["## Where the time goes", _profile(results)]
    if results.notes:
        parts += ["## Notes", "\n".join(f"- {' '.join(note.split())}" for note in results.notes)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _bars(results: Results) -> str:
    rows = (
        (
            finding.bar.promise,
            f"≤ {finding.bar.limit:g} {finding.bar.unit}",
            "" if finding.measured is None else f"{finding.measured:.3g} {finding.bar.unit}",
            verdict(finding),
        )
        for finding in judge(results)
    )
    return _table(["promise", "bar", "measured", "verdict"], rows)


def _scenarios(results: Results) -> Iterable[Sequence[str]]:
    return ((found.subject, found.scenario, *cells(found.figures)) for found in results.measurements)


def _profile(results: Results) -> str:
    if not results.hot_spots:
        return "No samples were taken."
    rows = ((f"`{spot.function}`", f"{spot.own:.1f} %", f"{spot.total:.1f} %") for spot in results.hot_spots)
    said = (
        "Functions by their share of the worker's CPU samples (1 ms of CPU time each) at 64 connections. "
        "C code counts for the Python function that called it; *with callees* includes what it called."
    )
    return said + "\n\n" + _table(["function", "own", "with callees"], rows)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [_row(headings), _row(["---"] * len(headings)), *map(_row, rows)]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
