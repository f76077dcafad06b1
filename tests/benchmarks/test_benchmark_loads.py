"""The loads against the local upstream itself: they count right and end in time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.plans import ClosedLoad, OpenLoad, StreamLoad, Target
from benchmarks.processes import Child, other_cores, python, run_load

from benchmarks import exchange, gauge
from tokenone.testing.authority import Authority


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Target, Target]]:
    """The upstream process as a plain and as a TLS target."""
    directory: Path = tmp_path_factory.mktemp("upstream")
    authority = Authority()
    ca_file, files = authority.write_ca(directory / "ca.pem"), authority.issue(directory)
    child = Child(
        python("benchmarks.upstream", str(files.certificate), str(files.key)),
        cores=other_cores(),
        log=directory / "log",
        announces=True,
    )
    try:
        ports = json.loads(child.first_line())
        plain = Target(name="plain", port=ports["plain"], path="/v1/chat/completions", tokens=("t",))
        tls = Target(name="tls", port=ports["tls"], path="/x", tokens=("t",), ca_file=str(ca_file))
        yield plain, tls
    finally:
        child.end()


def test_a_closed_load_counts_answers_and_reads_the_process(upstream: tuple[Target, Target]) -> None:
    outcome = run_load(ClosedLoad(targets=upstream[:1], connections=4, seconds=0.3, warm_up=0.1))
    tally = outcome.tallies[0]
    assert tally.calls > 10
    assert tally.calls == len(tally.latency_us)
    assert tally.failures == {}


def test_an_open_load_sends_every_arrival_to_plain_and_tls(upstream: tuple[Target, Target]) -> None:
    plan = OpenLoad(targets=upstream, rate=100, seconds=0.5, warm_up=0.1, connections=4, latency_ms=5)
    plain, tls = run_load(plan).tallies
    assert plain.calls > 10
    assert tls.calls > 10
    assert plain.failures == tls.failures == {}
    # The upstream waits five milliseconds; the fine timers must not lose that to rounding.
    assert min(plain.latency_us) >= 5000


def test_streams_are_stamped_counted_and_ended(upstream: tuple[Target, Target]) -> None:
    plan = StreamLoad(targets=upstream, streams=(3, 2), chunks=5, interval_ms=10, ramp=0.1)
    plain, tls = run_load(plan).tallies
    assert (plain.calls, tls.calls) == (3, 2)
    assert len(plain.chunk_us) == 15
    assert len(tls.first_byte_us) == 2
    assert min(plain.chunk_us) >= 0


def test_a_refused_call_is_a_failure_with_a_reason(upstream: tuple[Target, Target]) -> None:
    plain = upstream[0]
    nowhere = Target(name="wrong", port=plain.port, path="no slash", tokens=("t",))
    outcome = run_load(ClosedLoad(targets=(nowhere,), connections=1, seconds=0.2, warm_up=0.0))
    assert outcome.tallies[0].calls == 0
    assert sum(outcome.tallies[0].failures.values()) >= 1


def test_the_order_in_the_prompt_reaches_the_upstream() -> None:
    order = exchange.Order(60, 50, 100)
    assert exchange.read_order(exchange.body("gpt-4o-mini", order)) == order
    assert exchange.read_order(b"{}") == exchange.Order()


def test_request_and_reply_are_about_a_kilobyte() -> None:
    assert 900 < len(exchange.body("gpt-4o-mini", exchange.Order())) < 1300
    assert 900 < len(exchange.reply()) < 1300


def test_a_process_that_is_gone_costs_nothing() -> None:
    assert gauge.read((2**22 + 1,)) == gauge.Reading(0.0, 0)


def test_the_disks_own_figure_leaves_no_file_behind(tmp_path: Path) -> None:
    found = gauge.disk(tmp_path, samples=5)
    assert found.samples == 5
    assert 0 < found.p50_us <= found.p99_us
    assert list(tmp_path.iterdir()) == []
