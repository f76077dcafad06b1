"""The load process's side of one keep-alive connection: sends a request, tells when its answer is whole.

Law: raw asyncio protocol, one call at a time; anything but a whole 200 is a failure with a reason.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import Protocol, cast

import httptools

from benchmarks.plans import Target


class Listener(Protocol):
    """What a load wants to know; all calls come from the event loop, `failed` at most once a call."""

    def part(self, connection: Connection, content: bytes) -> None: ...

    def answered(self, connection: Connection) -> None: ...

    def failed(self, connection: Connection, reason: str) -> None: ...


class Connection(asyncio.Protocol):
    """One connection to one target (`number` in the plan)."""

    __slots__ = ("_listener", "_parser", "_transport", "busy", "call", "number", "started_ns")

    def __init__(self, number: int, listener: Listener) -> None:
        self.number = number
        self.busy = False
        self.call = 0
        self.started_ns = 0
        self._listener = listener
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None

    @property
    def open(self) -> bool:
        return self._transport is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop does not subclass it

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self.busy:
            self._end(f"connection lost: {type(exc).__name__}" if exc else "connection closed")

    def send(self, request: bytes, call: int, started_ns: int) -> None:
        """Starts a call whose latency counts from `started_ns`."""
        assert self._transport is not None
        self.busy, self.call, self.started_ns = True, call, started_ns
        self._transport.write(request)

    def close(self) -> None:
        """Ends the connection without a word."""
        self.busy = False
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._end("garbage")

    def on_body(self, part: bytes) -> None:
        self._listener.part(self, part)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        self._end(None if status == 200 else f"status {status}")

    def _end(self, reason: str | None) -> None:
        if not self.busy:
            return
        self.busy = False
        if reason is None:
            self._listener.answered(self)
        else:
            self._listener.failed(self, reason)


async def dial(target: Target, number: int, listener: Listener) -> Connection:
    """Connects, with TLS where the target has a CA file."""
    loop = asyncio.get_running_loop()
    context = ssl.create_default_context(cafile=target.ca_file) if target.ca_file else None
    _, connection = await loop.create_connection(
        lambda: Connection(number, listener),
        target.host,
        target.port,
        ssl=context,
        server_hostname="localhost" if context else None,
    )
    return connection


async def dial_many(target: Target, number: int, listener: Listener, count: int) -> list[Connection]:
    """Connects `count` times, a few at once so that no listen queue overflows."""
    dialed: list[Connection] = []
    for start in range(0, count, 32):
        batch = (dial(target, number, listener) for _ in range(start, min(start + 32, count)))
        dialed.extend(await asyncio.gather(*batch))
    return dialed


def since_us(start_ns: int) -> int:
    """Returns the microseconds that have passed since `start_ns`."""
    return (time.monotonic_ns() - start_ns) // 1000
