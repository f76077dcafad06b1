"""Shows results on a terminal: the bars, every scenario, the peers' ratios.

Law: reads results, writes to the given console; nothing is computed here that is not in the results.
"""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from benchmarks.bars import Finding, judge
from benchmarks.results import Figures, Results

_COLOURS = {"held": "green", "missed": "red", "not measured": "yellow"}


def show(results: Results, console: Console) -> None:
    """Prints everything."""
    disk = results.disk
    console.print(f"[bold]{results.subject}[/bold] on {results.machine.cpu}, {results.machine.cores} cores")
    console.print(
        f"fdatasync of a 4 KiB append on this disk: p50 {disk.p50_us:.0f} µs, p99 {disk.p99_us:.0f} µs"
    )
    console.print(_bars(judge(results)))
    console.print(_scenarios(results))
    if any(found.subject not in (results.subject, "direct") for found in results.measurements):
        console.print(_ratios(results))
    for note in results.notes:
        console.print(f"note: {note}", style="yellow", highlight=False)


def _bars(findings: list[Finding]) -> Table:
    table = Table(title="Bars", title_justify="left")
    for column in ("promise", "bar", "measured", "verdict"):
        table.add_column(column, justify="left" if column == "promise" else "right")
    for finding in findings:
        bar = finding.bar
        table.add_row(
            bar.promise,
            f"≤ {bar.limit:g} {bar.unit}",
            "" if finding.measured is None else f"{finding.measured:.3g} {bar.unit}",
            f"[{_COLOURS[finding.verdict]}]{verdict(finding)}",
        )
    return table


def verdict(finding: Finding) -> str:
    """Says held, not measured, or missed and by how much."""
    over = finding.missed_by
    return finding.verdict if over is None else f"missed by {over:.0f} %"


COLUMNS: tuple[tuple[str, str], ...] = (
    ("calls/s", "calls_per_second"),
    ("CPU µs/call", "cpu_us_per_call"),
    ("p50 µs", "p50_us"),
    ("p99 µs", "p99_us"),
    ("added p50 µs", "added_p50_us"),
    ("added p99 µs", "added_p99_us"),
    ("CPU µs/chunk", "cpu_us_per_chunk"),
    ("1st byte +p50 µs", "first_byte_added_p50_us"),
    ("KiB/stream", "kib_per_stream"),
    ("RSS MB", "rss_mb"),
    ("ready s", "ready_seconds"),
    ("stolen %", "stolen_percent"),
)


def cells(figures: Figures) -> list[str]:
    """Returns the figures in the order of COLUMNS, empty where not measured."""
    values = (getattr(figures, field) for _, field in COLUMNS)
    return ["" if value is None else number(value) for value in values]


def number(value: float) -> str:
    """Shows three significant digits, whole numbers from a hundred on with thousands set apart."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _scenarios(results: Results) -> Table:
    table = Table(title="Scenarios", title_justify="left")
    table.add_column("subject")
    table.add_column("scenario", no_wrap=True)
    for heading, _ in COLUMNS:
        table.add_column(heading, justify="right")
    for found in results.measurements:
        table.add_row(found.subject, found.scenario, *cells(found.figures))
    return table


RATIOS: tuple[tuple[str, str, str], ...] = (
    ("CPU per call, 64 connections", "closed-64", "cpu_us_per_call"),
    ("calls/s, 64 connections", "closed-64", "calls_per_second"),
    ("added p50, open loop", "open", "added_p50_us"),
    ("added p99, open loop", "open", "added_p99_us"),
    ("CPU per chunk, 32 streams", "streams-32", "cpu_us_per_chunk"),
    ("memory", "keys-10", "rss_mb"),
    ("time to ready", "keys-10", "ready_seconds"),
)


def ratios(results: Results) -> list[tuple[str, str, str, str]]:
    """Returns (figure, peer, peer's value, peer's value over the gateway's)."""
    known = {found.subject for found in results.measurements}
    rows: list[tuple[str, str, str, str]] = []
    for title, scenario, field in RATIOS:
        own = results.figures(scenario)
        for peer in sorted(known - {results.subject, "direct"}):
            theirs = results.figures(scenario, peer)
            value = getattr(theirs, field) if theirs else None
            ours = getattr(own, field) if own else None
            if value is not None and ours:
                rows.append((title, peer, number(value), f"{value / ours:.3g} times"))
    return rows


def _ratios(results: Results) -> Table:
    table = Table(title=f"Peers in the same run, as multiples of {results.subject}", title_justify="left")
    for column in ("figure", "peer", "measured", "ratio"):
        table.add_column(column)
    for row in ratios(results):
        table.add_row(*row)
    return table
