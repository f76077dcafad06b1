"""The gateway under test is the real one: it governs what the load sends, whatever is left out on purpose."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.processes import Child, other_cores, python
from benchmarks.subject import Governance, Upstream, Want

from benchmarks import scenarios, subject
from tokenone.ledger.verify import verify
from tokenone.testing.authority import Authority

PACE = scenarios.Pace(closed_seconds=0.5)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def upstreams(work: Path) -> Iterator[dict[str, Upstream]]:
    authority = Authority()
    ca_file, files = authority.write_ca(work / "ca.pem"), authority.issue(work)
    child = Child(
        python("benchmarks.upstream", str(files.certificate), str(files.key)),
        cores=other_cores(),
        log=work / "log",
        announces=True,
    )
    try:
        ports = json.loads(child.first_line())
        yield {"plain": Upstream(port=ports["plain"]), "tls": Upstream(port=ports["tls"], ca_file=ca_file)}
    finally:
        child.end()


@pytest.mark.parametrize("governance", ["full", *subject.GOVERNANCE_OFF])
def test_every_variant_answers_every_call(
    work: Path, upstreams: dict[str, Upstream], governance: Governance
) -> None:
    with subject.start(Want(upstream=upstreams["plain"], governance=governance), work) as running:
        found = scenarios.closed(running.target, running.pids, PACE, 4)
    assert found.failures == {}
    assert found.calls
    assert running.ready_seconds > 0


def test_the_measured_calls_are_in_a_ledger_that_verifies(work: Path, upstreams: dict[str, Upstream]) -> None:
    with subject.start(Want(upstream=upstreams["tls"]), work) as running:
        found = scenarios.closed(running.target, running.pids, PACE, 4)
        (directory,) = work.glob("gateway-*")
        report = verify(directory / "data" / "ledger")
    assert report.ok, report.first
    assert found.calls
    assert report.entries >= 2 * found.calls


def test_a_seeded_size_is_there_and_used_over_its_whole_range(
    work: Path, upstreams: dict[str, Upstream]
) -> None:
    want = Want(upstream=upstreams["plain"], keys=300, ledger_entries=4000)
    with subject.start(want, work) as running:
        found = scenarios.closed(running.target, running.pids, PACE, 4)
        (directory,) = work.glob("gateway-*")
        report = verify(directory / "data" / "ledger")
    assert found.failures == {}
    assert len(set(running.target.tokens)) == 10
    assert report.ok, report.first
    assert report.entries >= 4000


def test_nothing_is_left_of_a_gateway_that_ended(work: Path) -> None:
    assert list(work.glob("gateway-*")) == []
