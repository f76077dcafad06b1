"""One request and its response on a caller's connection, as a handler sees them.

Law: the request body is counted in the edge's in-flight budget until the handler is done; a response is
framed here (length, chunks or the connection's end) and is either whole or visibly cut. It decides nothing
about connections: that is caller.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from tokenone.errors import BodyTooLarge, CallerGone, Overloaded, TokenOneError
from tokenone.types import Headers
from tokenone.wire import render
from tokenone.wire.bodies import request_body
from tokenone.wire.framing import RequestHead
from tokenone.wire.limits import EdgeLimits, EdgeStats

_JOINED_WRITE = 65_536


class Line(Protocol):
    """What an exchange asks of its connection."""

    transport: asyncio.Transport
    write_paused: bool

    def may_persist(self) -> bool:
        """Says whether the connection may serve another request after this one."""

    def want_body(self) -> None:
        """Resumes reading and starts the body's deadlines."""

    def response_ended(self, *, keep: bool) -> None:
        """Goes on to the next request, or closes."""


class Exchange:
    """A request to be answered once: by `respond`, or by `start`, `write`… and `finish`."""

    __slots__ = (
        "_bodiless", "_chunked", "_ended", "_failure", "_gone_callbacks", "_keep", "_left", "_limits",
        "_line", "_parts", "_reader", "_size", "_stats", "_waiter", "_wanted", "_writable", "gone", "head",
        "peer", "received", "started",
    )  # fmt: skip

    def __init__(
        self, line: Line, head: RequestHead, peer: str, limits: EdgeLimits, stats: EdgeStats
    ) -> None:
        self.head = head
        self.peer = peer
        self.gone = False
        self.started = False
        self._line: Line = line
        self._limits, self._stats = limits, stats
        self._ended = self._keep = self._chunked = self._bodiless = self._wanted = False
        self._left: int | None = None  # body bytes still to be written, where a length was announced
        self._parts: list[bytes] = []
        self._size = 0  # bytes of this body that are counted in the budget
        self._failure: TokenOneError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._gone_callbacks: list[Callable[[], None]] = []
        self._reader = request_body(head.length)
        self.received = self._reader.done
        """The whole request has arrived."""

    # ── the request ────────────────────────────────────────────────────────────────────────────────────
    async def body(self) -> bytes:
        """Returns the whole body; BodyTooLarge, Overloaded or CallerGone otherwise."""
        if not self.received and self._failure is None:
            await self._receive()
        if self._failure is not None:
            raise self._failure
        if len(self._parts) > 1:
            self._parts = [b"".join(self._parts)]
        return self._parts[0] if self._parts else b""

    async def _receive(self) -> None:
        if self.gone:
            raise CallerGone
        length, limits = self.head.length, self._limits
        if length > limits.body_bytes:
            raise BodyTooLarge
        if self._stats.inflight_body_bytes + max(0, length - self._size) > limits.inflight_body_bytes:
            raise Overloaded("too many request bytes are in flight", retry_after=1)
        if self.head.expects_continue and not self._size:
            self._line.transport.write(render.CONTINUE)
        self._wanted = True
        self._line.want_body()
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def take(self, data: bytes) -> bytes:
        """Takes body bytes from the connection; returns what follows the body. Raises FramingError."""
        reader = self._reader
        payload = reader.feed(data)
        if payload and self._failure is None:
            self._keep_part(payload)
        if not reader.done:
            return b""
        self.received = True
        self._wake(self._waiter)
        rest, reader.rest = reader.rest, b""
        return rest

    @property
    def wants_body(self) -> bool:
        """The handler waits for body bytes."""
        return self._wanted and not self.received and self._failure is None

    @property
    def unread_size(self) -> int:
        """Body bytes that wait for the handler to ask for them."""
        return 0 if self._wanted else self._size

    def _keep_part(self, payload: bytes) -> None:
        size = len(payload)
        if self._size + size > self._limits.body_bytes:
            return self._fail(BodyTooLarge())
        if self._stats.inflight_body_bytes + size > self._limits.inflight_body_bytes:
            return self._fail(Overloaded("too many request bytes are in flight", retry_after=1))
        self._parts.append(payload)
        self._size += size
        self._stats.inflight_body_bytes += size
        return None

    def _fail(self, failure: TokenOneError) -> None:
        self._failure = failure
        self.release()
        self._wake(self._waiter)

    def release(self) -> None:
        """Gives the body back to the budget; the handler is done with it."""
        self._stats.inflight_body_bytes -= self._size
        self._size = 0
        self._parts = []

    # ── the response ───────────────────────────────────────────────────────────────────────────────────
    def respond(self, status: int, headers: Headers, body: bytes = b"") -> None:
        """Writes a whole response; to HEAD, and for 204 and 304, the fields alone."""
        length = len(body)
        head = self._open(status, headers, length)
        if self.gone:
            return
        transport = self._line.transport
        if self._bodiless:
            transport.write(head)
        elif length <= _JOINED_WRITE:
            transport.write(head + body)
        else:
            transport.write(head)
            transport.write(body)
        self._end()

    def start(self, status: int, headers: Headers, *, length: int | None = None) -> None:
        """Writes a response's head; `write` brings the body, of `length` bytes or until `finish`."""
        head = self._open(status, headers, length)
        if not self.gone:
            self._line.transport.write(head)

    def write(self, data: bytes) -> bool:
        """Writes body bytes; False asks the handler to await `writable` before the next."""
        if not self.started or self._ended:
            raise RuntimeError("write comes between start and finish")
        if self.gone:
            return False
        if self._bodiless or not data:
            return not self._line.write_paused
        if self._chunked:
            self._line.transport.write(b"%x\r\n%b\r\n" % (len(data), data))
        elif self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                self.abort()
                raise RuntimeError("more body than was announced")
            self._line.transport.write(data)
        else:
            self._line.transport.write(data)
        return not self._line.write_paused

    async def writable(self) -> None:
        """Waits until the caller has taken enough; raises CallerGone."""
        if not self.gone and self._line.write_paused:
            self._writable = asyncio.get_running_loop().create_future()
            await self._writable
        if self.gone:
            raise CallerGone

    def finish(self) -> None:
        """Ends a started response; one that is shorter than announced is cut, so that the caller sees it."""
        if not self.started or self._ended:
            raise RuntimeError("finish comes once, after start")
        if self.gone:
            return
        if self._left:
            self.abort()
            return
        if self._chunked:
            self._line.transport.write(render.LAST_CHUNK)
        self._end()

    def abort(self) -> None:
        """Cuts the connection: the caller sees a truncated response, or none."""
        self._gone_callbacks = []  # nobody hung up: it is the handler that cuts
        self._line.transport.abort()
        self.lose()

    @property
    def ended(self) -> bool:
        """The response is whole, or nobody is left to read it."""
        return self._ended or self.gone

    def _open(self, status: int, headers: Headers, length: int | None) -> bytes:
        """Decides the framing and renders the head."""
        if self.started:
            raise RuntimeError("a response begins once")
        if not 200 <= status <= 999:
            raise ValueError("a final response's status")
        self._keep = self.received and self.head.keep_alive and self._line.may_persist()
        self._bodiless = self.head.method == b"HEAD" or status in (204, 304)
        framing = b"" if not length or status == 204 else b"content-length: %d\r\n" % length
        if self._bodiless:
            block = render.fields(headers, keep_length=not framing and status != 204)
        else:
            block = render.fields(headers)
            framing = self._frame(length)
        self.started = True
        closing = b"" if self._keep else render.CLOSE
        return b"%b%b%b%b\r\n" % (render.status_line(status), block, framing, closing)

    def _frame(self, length: int | None) -> bytes:
        """Announces how a body ends: by length, by chunks, or (to HTTP/1.0) with the connection."""
        if length is not None:
            self._left = length
            return b"content-length: %d\r\n" % length
        if self.head.http_version == b"HTTP/1.1":
            self._chunked = True
            return render.CHUNKED
        self._keep = False
        return b""

    def _end(self) -> None:
        self._ended = True
        self._gone_callbacks = []  # they hold the call, and it holds us: its body would wait for the collector
        self._line.response_ended(keep=self._keep)

    # ── the caller ─────────────────────────────────────────────────────────────────────────────────────
    def on_gone(self, callback: Callable[[], None]) -> None:
        """Calls back when the caller hangs up before the response is whole (at once if it has already)."""
        if self.gone:
            callback()
        elif not self._ended:
            self._gone_callbacks.append(callback)

    def lose(self) -> None:
        """Marks the caller as gone."""
        if self.gone or self._ended:
            return
        self.gone = True
        self._failure = self._failure or CallerGone()
        self._wake(self._waiter)
        self.resume()
        callbacks, self._gone_callbacks = self._gone_callbacks, []
        for callback in callbacks:
            callback()

    def resume(self) -> None:
        """Lets a handler that awaits `writable` go on."""
        self._wake(self._writable)

    @staticmethod
    def _wake(waiter: asyncio.Future[None] | None) -> None:
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
