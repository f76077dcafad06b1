"""Starts the gateway under test: the only place of the benchmarks that knows how it is set up and started.

Law: a fresh data directory each time, below the run's own; ended by process id. While the gateway cannot be
assembled, a byte relay stands in for it and every result says so.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from benchmarks.plans import Target
from benchmarks.processes import Child, measured_cores, python
from benchmarks.profiling import sampler_environment

Governance = Literal["full", "unrecorded", "none"]
"""full: as shipped. unrecorded: without ledger. none: the wire alone, nothing governed."""

GOVERNANCE_OFF: tuple[Governance, ...] = ("unrecorded", "none")

NAME = "stand-in"


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
    if want.governance != "full" or want.ledger_entries:
        raise Unavailable("the stand-in has neither governance nor a ledger")
    directory.mkdir(parents=True, exist_ok=True)
    arguments = [str(want.upstream.port)]
    if want.upstream.ca_file is not None:
        arguments.append(str(want.upstream.ca_file))
    began = time.monotonic()
    child = Child(
        python("benchmarks.standin", *arguments),
        cores=measured_cores(),
        log=directory / "gateway.log",
        announces=True,
        environment=sampler_environment(want.samples) if want.samples else None,
    )
    try:
        port = int(child.first_line())
        target = Target(name=NAME, port=port, path="/openai/v1/chat/completions", tokens=("none",))
        yield Subject(target=target, pids=(child.pid,), ready_seconds=time.monotonic() - began)
    finally:
        child.end()
