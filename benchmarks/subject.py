"""Starts the gateway under test: the only place of the benchmarks that knows how it is set up and started.

Law: a fresh data directory each time, below the run's own; ended by process id; the shipped gateway worker with
its shipped settings, one worker on one core.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from benchmarks.plans import Target
from benchmarks.processes import ROOT, Child, measured_cores, python
from benchmarks.profiling import sampler_environment
from benchmarks.seed import Seed
from benchmarks.worker import worker

Governance = Literal["full", "unrecorded", "none"]
"""full: as shipped. unrecorded: without ledger. none: the wire alone, nothing governed."""

GOVERNANCE_OFF: tuple[Governance, ...] = ("unrecorded", "none")

NAME = "tokenone"
PATH = "/openai/v1/chat/completions"


class Unavailable(Exception):
    """What was asked for cannot be run here; the message says why, in a sentence."""


class Upstream(msgspec.Struct, frozen=True, kw_only=True):
    """The local upstream that the gateway's endpoint points at."""

    port: int
    ca_file: Path | None = None


class Want(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway that a scenario asks for."""

    upstream: Upstream
    keys: int = 10
    """Provider keys, each with its own caller token."""
    ledger_entries: int = 0
    governance: Governance = "full"
    samples: Path | None = None
    """Set: the gateway's stacks are sampled into this directory (profiling.py)."""


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """A running gateway. `pids` are its gateway workers; `ready_seconds` counts from start to readiness."""

    target: Target
    pids: tuple[int, ...]
    ready_seconds: float


@contextmanager
def start(want: Want, directory: Path) -> Iterator[Subject]:
    """Yields a running gateway with one worker and ends it."""
    if want.governance == "unrecorded":
        raise Unavailable("the gateway has no switch that leaves recording out")
    directory.mkdir(parents=True, exist_ok=True)
    running = _bare if want.governance == "none" else _governed
    with running(want, directory) as subject:
        yield subject


@contextmanager
def _governed(want: Want, directory: Path) -> Iterator[Subject]:
    """The gateway worker as shipped, in a fresh installation."""
    upstream = want.upstream
    ca_pem = None if upstream.ca_file is None else upstream.ca_file.read_text(encoding="ascii")
    seed = Seed(str(directory / "data"), _origin(upstream), ca_pem, want.keys, want.ledger_entries)
    done = subprocess.run(
        python("benchmarks.seed"), input=msgspec.json.encode(seed), capture_output=True, cwd=ROOT, check=False
    )
    if done.returncode:
        raise RuntimeError(f"seeding failed: {done.stderr.decode(errors='replace')[-2000:]}")
    tokens = tuple(msgspec.json.decode(done.stdout, type=list[str]))
    environment = sampler_environment(want.samples) if want.samples else None
    began = time.monotonic()
    with worker(directory / "data", environment=environment, log=directory / "gateway.log") as running:
        target = Target(name=NAME, port=running.port, path=PATH, tokens=tokens)
        yield Subject(target=target, pids=(running.pid,), ready_seconds=time.monotonic() - began)


@contextmanager
def _bare(want: Want, directory: Path) -> Iterator[Subject]:
    """Edge and client alone."""
    ca_file = [str(want.upstream.ca_file)] if want.upstream.ca_file else []
    began = time.monotonic()
    child = Child(
        python("benchmarks.bare", _origin(want.upstream), *ca_file),
        cores=measured_cores(),
        log=directory / "bare.log",
        announces=True,
        environment=sampler_environment(want.samples) if want.samples else None,
    )
    try:
        port = int(child.first_line())
        target = Target(name=NAME, port=port, path=PATH, tokens=("none",))
        yield Subject(target=target, pids=(child.pid,), ready_seconds=time.monotonic() - began)
    finally:
        child.end()


def _origin(upstream: Upstream) -> str:
    scheme = "http" if upstream.ca_file is None else "https"
    return f"{scheme}://127.0.0.1:{upstream.port}"
