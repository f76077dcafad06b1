"""A stand-in for the gateway: relays bytes to the upstream and governs nothing.

Law: one process, any path, any token; it exists so that the harness can be tried without a gateway.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from typing import cast

import uvloop


class _Side(asyncio.Protocol):
    """One half of a relay: what arrives here goes out there."""

    def __init__(self) -> None:
        self.other: _Side | None = None
        self.transport: asyncio.Transport | None = None
        self.waiting: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop does not subclass it
        for data in self.waiting:
            self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        assert self.other is not None
        if self.other.transport is None:
            self.other.waiting.append(data)
        else:
            self.other.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the Protocol's signature
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


async def serve(upstream_port: int, ca_file: str | None) -> None:
    """Listens on a free port, prints it, relays until ended."""
    loop = asyncio.get_running_loop()
    context = ssl.create_default_context(cafile=ca_file) if ca_file else None
    name = "localhost" if context else None
    dials: set[asyncio.Task[object]] = set()

    def accept() -> _Side:
        caller, upstream = _Side(), _Side()
        caller.other, upstream.other = upstream, caller
        dial = loop.create_connection(
            lambda: upstream, "127.0.0.1", upstream_port, ssl=context, server_hostname=name
        )
        task: asyncio.Task[object] = loop.create_task(dial)
        dials.add(task)
        task.add_done_callback(dials.discard)
        return caller

    server = await loop.create_server(accept, "127.0.0.1", 0, backlog=2048)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None))
