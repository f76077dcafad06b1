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
- **In turn**: governance on and off, and the sizes of growth, run in turn three times, each on a fresh gateway;
  the run of median CPU per call counts.
- **Stolen** is what the hypervisor gave to others of the CPU time that this machine wanted meanwhile
  (`/proc/stat`): it is in no CPU figure, and in every latency.
- **Growth**: the calls use the same ten keys at every size, so that the ratio shows what size itself costs.
"""

REFERENCE_WIRE_US = 31
"""CPU of edge and client alone on the machine that the bars were set on, when their libraries were chosen."""
_CAUSES = """\
- **The machine.** Edge and client alone take {bare:.0f} µs here and took {reference} µs where the bars were
  set: {slower:.1f} times as long. A bar of 100 µs there is about {bar:.0f} µs
  here; a governed call takes {full:.0f} µs, {over:+.0f} % against that.
- **Interpreted Python.** What is left has no peak: the profile below is flat, from the first function to the last.
  Every step of a call is short Python over a few hundred objects, and each costs what the interpreter costs.
- **Commits under little load.** At 64 connections a commit holds many entries; at 500 calls/s it holds one or two,
  and its signature, its fdatasync and the thread's two wake-ups are theirs alone: {quiet:.0f} µs of CPU per call there.
  The intent's commit also stands in every call's latency: one fdatasync is {sync:.0f} µs (p50) on this disk.
- **Stolen time.** Up to {stolen:.0f} % of the CPU time wanted in a scenario of this run went to the hypervisor's other
  guests: latencies and their upper percentiles show that first, and the same scenario has differed by half from run
  to run.
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
    parts = [_OPENING, "## The machine", facts, "## The bars", _bars(results)]
    if causes := _causes(results):
        parts += ["## What a call's CPU goes to, and what the misses come from", causes]
    parts.append("## Every scenario")
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


def _cpu(results: Results, scenario: str) -> float | None:
    found = results.figures(scenario)
    return None if found is None else found.cpu_us_per_call


def _causes(results: Results) -> str:
    """Splits a governed call by what is left when parts of the gateway are taken away."""
    full, bare = _cpu(results, "closed-64-full"), _cpu(results, "closed-64-none")
    unrecorded, quiet = _cpu(results, "closed-64-unrecorded"), _cpu(results, "open")
    if full is None or bare is None or unrecorded is None or quiet is None:
        return ""
    slower = bare / REFERENCE_WIRE_US
    rows = (
        ("edge and client alone, nothing governed", f"{bare:.0f}"),
        (
            "who calls, what may be called, detectors, plan, lease, headers, usage, price",
            f"{unrecorded - bare:.0f}",
        ),
        ("two signed, durable entries", f"{full - unrecorded:.0f}"),
        ("a governed call", f"{full:.0f}"),
    )
    return (
        _table(["part", "CPU µs per call, 64 connections"], rows)
        + "\n\n"
        + _CAUSES.format(
            bare=bare,
            reference=REFERENCE_WIRE_US,
            slower=slower,
            bar=100 * slower,
            full=full,
            over=100 * (full / (100 * slower) - 1),
            quiet=quiet,
            sync=results.disk.p50_us,
            stolen=max(found.figures.stolen_percent or 0.0 for found in results.measurements),
        )
    )


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
