"""The local upstream that everything is measured against: a process of its own, as fast as Python gets.

It answers any POST with the chat reply or stream that the request orders (exchange.py), on one plain and one
TLS port of the loopback interface; it prints one JSON line with its ports once it listens. It checks nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import sys
import time
from typing import cast

import httptools
import uvloop

from benchmarks import exchange
from benchmarks.finetimer import FineTimer

_REPLY = exchange.reply()
_WHOLE = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_benchmark\r\n"
    b"content-length: %d\r\n\r\n%b" % (len(_REPLY), _REPLY)
)
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)


class Serving(asyncio.Protocol):
    """One connection; calls on it are answered in order because clients send one at a time."""

    def __init__(self, timer: FineTimer) -> None:
        self._timer = timer
        self._parser = httptools.HttpRequestParser(self)
        self._content = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop does not subclass it

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the Protocol's signature
        self._transport = None

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if self._transport:
                self._transport.abort()

    def on_message_begin(self) -> None:
        self._content = b""

    def on_body(self, part: bytes) -> None:
        self._content += part

    def on_message_complete(self) -> None:
        order = exchange.read_order(self._content)
        if order.latency_ms:
            self._timer.at(time.monotonic_ns() + order.latency_ms * 1_000_000, lambda: self._answer(order))
        else:
            self._answer(order)

    def _answer(self, order: exchange.Order) -> None:
        if self._transport is None:
            return
        if not order.chunks:
            self._transport.write(_WHOLE)
            return
        self._transport.write(_STREAM_HEAD)
        self._trickle(order, 0)

    def _trickle(self, order: exchange.Order, sent: int) -> None:
        """Sends event number `sent`, then waits; after the last one, the usage and the end."""
        if self._transport is None:
            return
        if sent == order.chunks:
            asked = b'"include_usage":true' in self._content.replace(b" ", b"")
            self._transport.write(_chunk(exchange.last_events(with_usage=asked)) + b"0\r\n\r\n")
            return
        now = time.monotonic_ns()
        self._transport.write(_chunk(exchange.event(now)))
        self._timer.at(now + order.interval_ms * 1_000_000, lambda: self._trickle(order, sent + 1))


def _chunk(content: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(content), content)


async def serve(certificate: str, key: str) -> None:
    """Listens until the process is ended."""
    loop = asyncio.get_running_loop()
    timer = FineTimer()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    plain = await loop.create_server(lambda: Serving(timer), "127.0.0.1", 0, backlog=2048)
    tls = await loop.create_server(lambda: Serving(timer), "127.0.0.1", 0, ssl=context, backlog=2048)
    ports = {"plain": plain.sockets[0].getsockname()[1], "tls": tls.sockets[0].getsockname()[1]}
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("certificate")
    arguments.add_argument("key")
    given = arguments.parse_args()
    uvloop.run(serve(given.certificate, given.key))
