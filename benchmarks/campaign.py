"""One whole run: starts the upstream, takes the gateway through all scenarios, collects the results.

Law: scenarios run one after another, each gateway is ended before the next starts; a scenario that cannot run
leaves a note, never a made-up figure.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks import gauge, peers, profiling, scenarios, subject
from benchmarks.plans import Target
from benchmarks.processes import Child, other_cores, python, raise_file_limit
from benchmarks.results import Figures, Measurement, Results
from benchmarks.scenarios import MB, Pace
from benchmarks.subject import Subject, Unavailable, Upstream, Want
from tokenone.testing.authority import Authority

Say = Callable[[str], None]
DIRECT_TOKEN = "direct"
PATH = "/v1/chat/completions"
BAR_ENTRIES = 10_000_000
"""The ledger that the bar of flat cost is set for; filling it takes minutes and gigabytes."""


class Campaign:
    """A run in progress: where it works, what it found so far."""

    def __init__(self, work: Path, pace: Pace, results: Results, say: Say) -> None:
        self.work = work
        self.pace = pace
        self.results = results
        self._say = say
        self._stolen = gauge.stolen()

    def say(self, sentence: str) -> None:
        self._say(sentence)

    def note(self, scenario: str, who: str, figures: Figures) -> None:
        """Keeps what a scenario found, with a warning where calls failed."""
        if figures.stolen_percent is None:
            figures = msgspec.structs.replace(figures, stolen_percent=gauge.stolen_since(self._stolen))
        self._stolen = gauge.stolen()
        self.results.measurements.append(Measurement(subject=who, scenario=scenario, figures=figures))
        if figures.failures:
            self.results.notes.append(f"{who}, {scenario}: calls failed: {figures.failures}")

    @contextmanager
    def gateway(self, want: Want) -> Iterator[Subject]:
        """A fresh gateway on a data directory of its own."""
        with subject.start(want, self.work) as running:
            yield running


def run(work: Path, pace: Pace, *, with_peers: bool, say: Say) -> Results:
    """Measures everything; `work` is an empty directory on the disk that the ledger would use."""
    raise_file_limit()
    results = Results(
        subject=subject.NAME,
        quick=pace.quick,
        taken=datetime.datetime.now(datetime.UTC).date().isoformat(),
        machine=gauge.machine(),
        disk=gauge.disk(work),
    )
    campaign = Campaign(work, pace, results, say)
    authority = Authority()
    ca_file, files = authority.write_ca(work / "ca.pem"), authority.issue(work)
    upstream = Child(
        python("benchmarks.upstream", str(files.certificate), str(files.key)),
        cores=other_cores(),
        log=work / "upstream.log",
        announces=True,
    )
    try:
        ports = json.loads(upstream.first_line())
        plain = Upstream(port=ports["plain"])
        tls = Upstream(port=ports["tls"], ca_file=ca_file)
        _latency(campaign, plain, tls)
        _streaming(campaign, plain, tls)
        _governance(campaign, plain)
        _growth(campaign, plain)
        _profile(campaign, plain)
        if with_peers:
            _peers(campaign, plain)
    finally:
        upstream.end()
    return results


def _direct(upstream: Upstream) -> Target:
    ca_file = str(upstream.ca_file) if upstream.ca_file else None
    return Target(name="direct", port=upstream.port, path=PATH, tokens=(DIRECT_TOKEN,), ca_file=ca_file)


def _latency(campaign: Campaign, plain: Upstream, tls: Upstream) -> None:
    """Open and closed loop, plain and TLS, with and without latency upstream."""
    pace, name = campaign.pace, campaign.results.subject
    campaign.say("closed loop, 64 connections, direct")
    direct = scenarios.closed(_direct(plain), (), pace, 64)
    campaign.note("closed-64", "direct", direct)
    for upstream, mark in ((plain, ""), (tls, "-tls")):
        with campaign.gateway(Want(upstream=upstream)) as running:
            for latency in pace.latencies_ms:
                wait = f"-{latency}ms" if latency else ""
                for connections in pace.connections:
                    scenario = f"closed-{connections}{mark}{wait}"
                    campaign.say(f"closed loop: {scenario}")
                    found = scenarios.closed(running.target, running.pids, pace, connections, latency)
                    campaign.note(scenario, name, found)
                campaign.say(f"open loop, {pace.rate:g} calls/s: open{mark}{wait}")
                found = scenarios.open_loop(running.target, _direct(upstream), running.pids, pace, latency)
                campaign.note(f"open{mark}{wait}", name, found)


def _streaming(campaign: Campaign, plain: Upstream, tls: Upstream) -> None:
    """Time to the first byte, cost of a chunk, memory of a slow stream; each on a fresh gateway."""
    pace, name = campaign.pace, campaign.results.subject
    many = pace.many_streams
    plans = (
        ("first-byte", plain, (pace.first_byte_streams,) * 2, 0.1, 50, pace.first_byte_streams / 50),
        ("streams-32", plain, (32, 32), pace.stream_seconds, 20, 1.0),
        ("streams-many", plain, (many, 50), pace.stream_seconds, 500, 2.0),
        ("streams-many-tls", tls, (many, 50), pace.stream_seconds, 500, 2.0),
    )
    for scenario, upstream, counts, seconds, interval, ramp in plans:
        with campaign.gateway(Want(upstream=upstream)) as running:
            campaign.say(f"event streams, {counts[0]} at once: {scenario}")
            _warm(running, pace)
            shape = scenarios.Streams(counts=counts, seconds=seconds, interval_ms=interval, ramp=ramp)
            found = scenarios.streams((running.target, _direct(upstream)), running.pids, shape)
            campaign.note(scenario, name, found)


def _warm(running: Subject, pace: Pace) -> None:
    """A second of calls, so that what is loaded once is on nobody's bill."""
    scenarios.closed(running.target, (), msgspec.structs.replace(pace, closed_seconds=0.5), 4)


def _governance(campaign: Campaign, plain: Upstream) -> None:
    """The same load with governance on, off in part and off: in turn, so that the machine's moods meet all."""
    wants = {
        f"closed-64-{governance}": Want(upstream=plain, governance=governance)
        for governance in ("full", *subject.GOVERNANCE_OFF)
    }
    _in_turn(campaign, wants)


def _growth(campaign: Campaign, plain: Upstream) -> None:
    """Cost, memory and readiness as keys and ledger grow."""
    pace = campaign.pace
    longest = max(pace.growth_entries, default=0)
    if 0 < longest < BAR_ENTRIES:
        campaign.results.notes.append(
            f"the longest ledger was {longest:,} entries, the bar is set for {BAR_ENTRIES:,} "
            f"(`make bench ARGS='--ledger-entries {BAR_ENTRIES}'`)"
        )
    _in_turn(campaign, {f"keys-{keys}": Want(upstream=plain, keys=keys) for keys in pace.growth_keys})
    _in_turn(
        campaign,
        {f"ledger-{count}": Want(upstream=plain, ledger_entries=count) for count in pace.growth_entries},
    )


def _in_turn(campaign: Campaign, wants: dict[str, Want]) -> None:
    """Runs every scenario once a round, each on a fresh gateway; keeps the one of median CPU per call."""
    found: dict[str, list[Figures]] = {scenario: [] for scenario in wants}
    for number in range(1, campaign.pace.rounds + 1):
        for scenario, want in wants.items():
            campaign.say(f"closed loop, 64 connections, round {number}: {scenario}")
            try:
                found[scenario].append(_at_rest_and_loaded(campaign, want))
            except Unavailable as reason:
                campaign.results.notes.append(f"{scenario}: not measured: {reason}")
    for scenario, taken in found.items():
        if taken:
            ordered = sorted(taken, key=lambda figures: figures.cpu_us_per_call or 0.0)
            campaign.note(scenario, campaign.results.subject, ordered[len(ordered) // 2])


def _at_rest_and_loaded(campaign: Campaign, want: Want) -> Figures:
    with campaign.gateway(want) as running:
        idle = gauge.read(running.pids).rss / MB
        before = gauge.stolen()
        found = scenarios.closed(running.target, running.pids, campaign.pace, 64)
    return msgspec.structs.replace(
        found,
        ready_seconds=running.ready_seconds,
        rss_mb=max(idle, found.rss_mb or 0.0),
        stolen_percent=gauge.stolen_since(before),
    )


def _profile(campaign: Campaign, plain: Upstream) -> None:
    """Samples the gateway's stacks under load."""
    samples = campaign.work / "samples"
    samples.mkdir()
    campaign.say("closed loop, 64 connections, with the sampling profiler")
    with campaign.gateway(Want(upstream=plain, samples=samples)) as running:
        pace = msgspec.structs.replace(campaign.pace, closed_seconds=max(4.0, campaign.pace.closed_seconds))
        scenarios.closed(running.target, running.pids, pace, 64)
    campaign.results.hot_spots = profiling.hot_spots(samples)


def _peers(campaign: Campaign, plain: Upstream) -> None:
    """The same load against the peers that this machine has."""
    for peer in peers.PEERS:
        directory = campaign.work / peer.name
        directory.mkdir()
        try:
            with peer.start(plain.port, directory) as running:
                campaign.say(f"{peer.name}: closed and open loop")
                peers.measure(campaign.note, peer.name, running, _direct(plain), campaign.pace)
                rss = gauge.read(running.pids).rss / MB
                campaign.note("keys-10", peer.name, Figures(ready_seconds=running.ready_seconds, rss_mb=rss))
        except Unavailable as reason:
            campaign.results.notes.append(f"{peer.name}: not run: {reason}")
