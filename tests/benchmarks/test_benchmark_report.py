"""What a run says of the bars, on the terminal and on the page."""

from __future__ import annotations

import io

import msgspec
import pytest
from benchmarks.bars import BARS, judge
from benchmarks.gauge import Disk, Machine
from benchmarks.results import Figures, HotSpot, Measurement, Results
from rich.console import Console

from benchmarks import document, profiling, tables


def results(*measurements: Measurement) -> Results:
    return Results(
        subject="tokenone",
        quick=False,
        taken="2026-11-23",
        machine=Machine(cpu="A CPU", cores=2, memory_gib=8.0, kernel="Linux 6", python="3.11.7"),
        disk=Disk(400.0, 3000.0, 400),
        measurements=list(measurements),
    )


def measured(scenario: str, who: str = "tokenone", **figures: float) -> Measurement:
    return Measurement(subject=who, scenario=scenario, figures=Figures(**figures))  # type: ignore[arg-type]


def finding(found: Results, promise: str) -> tuple[str, float | None, float | None]:
    matching = [each for each in judge(found) if each.bar.promise.startswith(promise)]
    assert len(matching) == 1
    return matching[0].verdict, matching[0].measured, matching[0].missed_by


def test_a_bar_at_its_limit_is_held() -> None:
    found = results(measured("closed-64", cpu_us_per_call=100.0))
    assert finding(found, "CPU per governed call, 64 connections, plain") == ("held", 100.0, None)


def test_a_missed_bar_says_by_how_much() -> None:
    found = results(measured("closed-64-tls", cpu_us_per_call=195.0))
    verdict, value, over = finding(found, "CPU per governed call, 64 connections, TLS")
    assert (verdict, value) == ("missed", 195.0)
    assert over == pytest.approx(50)


def test_what_was_not_measured_is_neither_held_nor_missed() -> None:
    assert {each.verdict for each in judge(results())} == {"not measured"}


def test_a_peers_figures_are_never_taken_for_the_gateways() -> None:
    found = results(measured("closed-64", who="LiteLLM", cpu_us_per_call=1.0))
    assert finding(found, "CPU per governed call, 64 connections, plain")[0] == "not measured"


def test_signing_and_durability_is_the_difference_the_ledger_makes() -> None:
    found = results(
        measured("closed-64-full", cpu_us_per_call=90.0),
        measured("closed-64-unrecorded", cpu_us_per_call=72.0),
    )
    assert finding(found, "of which signing")[:2] == ("held", 18.0)


def test_growth_compares_the_largest_with_the_smallest_size() -> None:
    found = results(
        measured("keys-1000", cpu_us_per_call=80.0),
        measured("keys-10", cpu_us_per_call=100.0),
        measured("keys-100000", cpu_us_per_call=110.0),
    )
    assert finding(found, "CPU per call, most keys")[:2] == ("held", pytest.approx(1.1))


def test_growth_at_one_size_is_not_measured() -> None:
    assert finding(results(measured("keys-10", cpu_us_per_call=9.0)), "CPU per call, most keys")[1] is None


def test_results_survive_json() -> None:
    found = results(measured("open", added_p99_us=1234.5))
    again = msgspec.json.decode(msgspec.json.encode(found), type=Results)
    assert again == found


def test_the_page_names_every_bar_and_every_scenario_and_the_hot_spots() -> None:
    found = results(measured("open", added_p50_us=300.0, added_p99_us=9000.0))
    found.hot_spots = [HotSpot("tokenone/call.py govern", 12.5, 80.0)]
    found.notes = ["keys-100000: not measured: no time"]
    page = document.render(found)
    assert all(bar.promise in page for bar in BARS)
    assert "| added latency p99, 500 calls/s, open loop | ≤ 3 ms | 9 ms | missed by 200 % |" in page
    assert "| tokenone | open |" in page
    assert "| `tokenone/call.py govern` | 12.5 % | 80.0 % |" in page
    assert "- keys-100000: not measured: no time" in page


def test_a_note_cannot_break_the_page_into_lines() -> None:
    found = results()
    found.notes = ["first\n# second"]
    assert "- first # second" in document.render(found)


def test_the_terminal_shows_the_verdict_and_the_disk() -> None:
    sink = io.StringIO()
    tables.show(results(measured("closed-64", cpu_us_per_call=250.0)), Console(file=sink, width=200))
    assert "missed by 150 %" in sink.getvalue()
    assert "fdatasync" in sink.getvalue()


def test_ratios_are_the_peers_value_over_the_gateways() -> None:
    found = results(
        measured("closed-64", cpu_us_per_call=90.0),
        measured("closed-64", who="LiteLLM", cpu_us_per_call=7200.0),
        measured("closed-64", who="direct", calls_per_second=1.0),
    )
    assert tables.ratios(found) == [("CPU per call, 64 connections", "LiteLLM", "7,200", "80 times")]


def test_samples_of_one_function_are_counted_together() -> None:
    samples = profiling.Samples(
        own={"/x/site-packages/a/b.py:1:f": 30, "/y/site-packages/a/b.py:1:f": 30, "/usr/c.py:9:g": 40},
        total={"/x/site-packages/a/b.py:1:f": 50, "/y/site-packages/a/b.py:1:f": 50, "/usr/c.py:9:g": 40},
    )
    assert profiling.rank(samples, top=1) == [HotSpot("a/b.py f", 60.0, 100.0)]


def test_a_spot_is_named_without_the_machines_directories() -> None:
    spot = f"{profiling.ROOT}/src/tokenone/call.py:10:govern"
    assert profiling.readable(spot) == "tokenone/call.py govern"
    assert profiling.readable("/opt/lib/python3.11/asyncio/events.py:1:run") == "asyncio/events.py run"
