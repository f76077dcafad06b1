"""Starts the gateway under test: the only place of the benchmarks that knows how it is set up and started.

Law: the shipped gateway worker with its shipped settings, one worker on one core, ended by its process id; a
data directory of its own each time, copied from one that is made once per size.
"""

from __future__ import annotations

import shutil
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
_TOKENS = "benchmark-tokens.json"


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
def start(want: Want, work: Path) -> Iterator[Subject]:
    """Yields a running gateway with one worker and ends it; `work` is the whole run's directory."""
    directory = work / f"gateway-{time.monotonic_ns()}"
    directory.mkdir()
    running = _bare if want.governance == "none" else _governed
    try:
        with running(want, directory) as subject:
            yield subject
    finally:
        shutil.rmtree(directory)


@contextmanager
def _governed(want: Want, directory: Path) -> Iterator[Subject]:
    """The gateway worker as shipped, or the same without its ledger."""
    made = directory.parent / f"made-{want.keys}-{want.ledger_entries}-{want.upstream.port}"
    if not made.exists():
        _make(want, made)
    tokens = msgspec.json.decode((made / _TOKENS).read_bytes(), type=tuple[str, ...])
    shutil.copytree(made, directory / "data")
    environment = sampler_environment(want.samples) if want.samples else None
    module = "tokenone.assemble.gateway" if want.governance == "full" else "benchmarks.without_ledger"
    log = directory / "gateway.log"
    began = time.monotonic()
    with worker(directory / "data", module=module, environment=environment, log=log) as running:
        target = Target(name=NAME, port=running.port, path=PATH, tokens=tokens)
        yield Subject(target=target, pids=(running.pid,), ready_seconds=time.monotonic() - began)


def _make(want: Want, directory: Path) -> None:
    """Makes an installation of the wanted size, in a process of its own for its memory's sake."""
    upstream = want.upstream
    ca_pem = None if upstream.ca_file is None else upstream.ca_file.read_text(encoding="ascii")
    seed = Seed(str(directory), _origin(upstream), ca_pem, want.keys, want.ledger_entries)
    done = subprocess.run(
        python("benchmarks.seed"), input=msgspec.json.encode(seed), capture_output=True, cwd=ROOT, check=False
    )
    if done.returncode:
        raise RuntimeError(f"seeding failed: {done.stderr.decode(errors='replace')[-2000:]}")
    (directory / _TOKENS).write_bytes(done.stdout)


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
