"""Starts one gateway worker as the supervisor does, on the cores it is given, and says when it is ready.

Law: the shipped settings; descriptors are passed as `tokenone.supervise` passes them.
"""

from __future__ import annotations

import os
import select
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.processes import Child, measured_cores, python
from tokenone.assemble.spec import GatewaySpec
from tokenone.config import load
from tokenone.supervise import listen

READY_SECONDS = 120


@dataclass(frozen=True)
class Running:
    """A ready worker."""

    pid: int
    port: int


def spec_of(directory: Path) -> GatewaySpec:
    """Returns the settings of a single machine with one worker, allowed to dial loopback."""
    settings = load(directory)
    return GatewaySpec(
        directory=str(directory),
        slots=(0,),
        workers=1,
        database_url=f"sqlite:///{directory / 'management.db'}",
        index_url=f"sqlite:///{directory / 'index.db'}",
        roots=settings.roots.uris(),
        egress_allow=("127.0.0.0/8",),
        ledger_origin=settings.ledger.origin,
        segment_bytes=settings.ledger.segment_mib << 20,
        body_bytes=settings.gateway.body_mib << 20,
        drain_seconds=2,
        connect_seconds=settings.gateway.connect_seconds,
        first_byte_seconds=settings.gateway.first_byte_seconds,
        idle_seconds=settings.gateway.idle_seconds,
    )


@contextmanager
def worker(
    directory: Path, *, module: str, environment: Mapping[str, str] | None, log: Path
) -> Iterator[Running]:
    """Yields a ready worker and ends it by its id."""
    listener = listen("127.0.0.1:0")
    spec_read, spec_write = os.pipe()
    ready_read, ready_write = os.pipe()
    descriptors = {"--spec-fd": spec_read, "--ready-fd": ready_write, "--listen-fd": listener.fileno()}
    arguments = [text for name, number in descriptors.items() for text in (name, str(number))]
    child = Child(
        python(module, *arguments),
        cores=measured_cores(),
        log=log,
        environment=environment,
        pass_fds=tuple(descriptors.values()),
    )
    os.close(spec_read)
    os.close(ready_write)
    try:
        with os.fdopen(spec_write, "wb") as pipe:
            pipe.write(msgspec.msgpack.encode(spec_of(directory)))
        readable, _, _ = select.select([ready_read], [], [], READY_SECONDS)
        if not readable or not os.read(ready_read, 1):
            raise RuntimeError(f"the gateway did not get ready: {child.tail()}")
        yield Running(child.pid, listener.getsockname()[1])
    finally:
        os.close(ready_read)
        child.end()
        listener.close()
