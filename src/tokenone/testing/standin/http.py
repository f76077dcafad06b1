"""HTTP/1.1 for the stand-in, on plain asyncio: reads requests off a connection, hands them over in order.

Law: one request at a time per connection, later ones wait in the buffer; what is written goes to the
transport at once. Strict parsing is not its aim (the gateway's is): it takes what a correct client sends
and answers anything else with 400 and a closed connection. It shares no code with the gateway's framing.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

MAX_HEAD: Final = 256 * 1024
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_REFUSAL: Final = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class BadRequest(Exception):
    """The bytes are no request that this reader knows."""


class Hangup(Exception):
    """The client closed the connection, or a fault said that we close it here."""


@dataclass(slots=True)
class Request:
    """One request as it came: header names lower-cased, values and target as sent."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    keep_alive: bool

    @property
    def path(self) -> str:
        return self.target.split("?", 1)[0]

    def header(self, name: str) -> str | None:
        """Returns the first value of a header, named in lower case."""
        return next((value for key, value in self.headers if key == name), None)


class RequestReader:
    """Bytes in, requests out; keeps its place in a body so that large uploads cost linear time."""

    __slots__ = ("_body", "_buffer", "_chunk_left", "_head", "_left", "expects_continue")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._head: Request | None = None
        self._left = 0
        self._chunk_left: int | None = None
        self._body = bytearray()
        self.expects_continue = False

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next(self) -> Request | None:
        """Returns the next whole request, or None until more bytes came; raises BadRequest."""
        if self._head is None and not self._read_head():
            return None
        whole = self._read_sized() if self._left >= 0 else self._read_chunked()
        head = self._head
        if not whole or head is None:
            return None
        head.body = bytes(self._body)
        self._head, self._chunk_left = None, None
        self._body.clear()
        return head

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > MAX_HEAD:
                raise BadRequest
            return False
        lines = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        self._head = request = _parse_head(lines)
        if (request.header("transfer-encoding") or "").lower() == "chunked":
            self._left = -1
        else:
            length = request.header("content-length") or "0"
            if not length.isdecimal():
                raise BadRequest
            self._left = int(length)
        self.expects_continue = (request.header("expect") or "").lower() == "100-continue"
        return True

    def _read_sized(self) -> bool:
        taken = min(self._left, len(self._buffer))
        if taken:
            self._body += self._buffer[:taken]
            del self._buffer[:taken]
            self._left -= taken
        return self._left == 0

    def _read_chunked(self) -> bool:
        while True:
            if self._chunk_left is None:
                end = self._buffer.find(b"\r\n")
                if end < 0:
                    return False
                try:
                    self._chunk_left = int(bytes(self._buffer[:end]).split(b";")[0], 16)
                except ValueError:
                    raise BadRequest from None
                del self._buffer[: end + 2]
            if len(self._buffer) < self._chunk_left + 2:
                return False
            self._body += self._buffer[: self._chunk_left]
            del self._buffer[: self._chunk_left + 2]
            last, self._chunk_left = self._chunk_left == 0, None
            if last:
                return True


def _parse_head(lines: list[str]) -> Request:
    parts = lines[0].split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise BadRequest
    headers = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name:
            raise BadRequest
        headers.append((name.lower(), value.strip(" \t")))
    request = Request(parts[0], parts[1], headers, b"", keep_alive=parts[2] == "HTTP/1.1")
    if (request.header("connection") or "").lower() == "close":
        request.keep_alive = False
    return request


class Outlet(Protocol):
    """Where an answer's bytes go. `send` waits while the client reads slowly and raises Hangup once it is
    gone; `push` writes without waiting; `end` closes with a proper end, `reset` without one."""

    def push(self, data: bytes) -> None: ...
    async def send(self, data: bytes) -> None: ...
    def end(self) -> None: ...
    def reset(self) -> None: ...


Answer = Callable[[Request, Outlet], "Coroutine[Any, Any, None] | None"]
"""Answers a request: at once (returns None), or by a coroutine that may take its time."""


@dataclass(slots=True)
class Traffic:
    """What came over the wire so far, whether or not it was a request."""

    connections: int = 0
    open: int = 0
    bytes_received: int = 0


class Connection(asyncio.Protocol):
    """One accepted connection."""

    def __init__(self, answer: Answer, traffic: Traffic, everyone: set[Connection]) -> None:
        self._answer = answer
        self._traffic = traffic
        self._everyone = everyone
        self._reader = RequestReader()
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._gone = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's TLS transport is no subclass
        self._everyone.add(self)
        self._traffic.connections += 1
        self._traffic.open += 1

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's signature)
        self._gone = True
        self._traffic.open -= 1
        self._everyone.discard(self)
        self._writable.set()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        self._traffic.bytes_received += len(data)
        self._reader.feed(data)
        if self._task is None:
            self._advance()

    def push(self, data: bytes) -> None:
        if self._gone:
            raise Hangup
        self._transport.write(data)

    async def send(self, data: bytes) -> None:
        self.push(data)
        await self._writable.wait()
        if self._gone:
            raise Hangup

    def end(self) -> None:
        self._transport.close()

    def reset(self) -> None:
        """Closes with a TCP reset, dropping what is still unsent."""
        sock = self._transport.get_extra_info("socket")
        with contextlib.suppress(OSError, AttributeError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _advance(self) -> None:
        """Answers the requests that are whole, until one takes its time."""
        while not self._transport.is_closing():
            try:
                request = self._reader.next()
            except BadRequest:
                self._transport.write(_REFUSAL)
                self._transport.close()
                return
            if self._reader.expects_continue and request is None:
                self._reader.expects_continue = False
                self._transport.write(_CONTINUE)
            if request is None:
                return
            later = self._answer(request, self)
            if later is not None:
                self._task = asyncio.get_running_loop().create_task(self._finish(later, request.keep_alive))
                return
            if not request.keep_alive:
                self._transport.close()

    async def _finish(self, later: Coroutine[Any, Any, None], keep_alive: bool) -> None:
        try:
            await later
        except Hangup:
            return
        except BaseException:
            self._transport.abort()
            raise
        self._task = None
        if not keep_alive:
            self._transport.close()
        self._advance()
