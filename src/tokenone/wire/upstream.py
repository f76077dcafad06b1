"""A connection to a provider and the response that comes on it.

Law: one request at a time. A response ends where its framing says; any byte after that, any byte without a
request, and anything malformed closes the connection, so that no response is ever taken for another's. What
nobody consumes is not read. It never decides where to connect.
"""

from __future__ import annotations

import asyncio
import select
from dataclasses import dataclass
from typing import Final, Protocol, cast

from tokenone.errors import TokenOneError, UpstreamBroken, UpstreamClosedIdle, UpstreamTimeout
from tokenone.types import Headers
from tokenone.wire.bodies import Body, response_body
from tokenone.wire.framing import FramingError, HeadBuffer, ResponseHead, parse_response_head
from tokenone.wire.sweep import NEVER, Sweep


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds: to connect (name, TCP, TLS); until the head is whole; between reads; in all after sending."""

    connect: float = 5.0
    first_byte: float = 600.0
    idle: float = 300.0
    total: float | None = None


DEFAULT_TIMEOUTS: Final = Timeouts()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientLimits:
    """Bounds of the provider's side."""

    header_bytes: int = 65_536
    header_count: int = 200
    interim_responses: int = 8
    unread_bytes: int = 131_072
    """Of a response that nobody has taken; reading pauses there."""
    idle_seconds: float = 60.0
    connections: int = 8192
    connections_per_lane: int = 2048
    idle_per_lane: int = 256


class Owner(Protocol):
    """Where a connection belongs: it says when it opened, became free, and closed."""

    def joined(self, connection: UpstreamConnection) -> None: ...

    def freed(self, connection: UpstreamConnection) -> bool: ...

    def left(self, connection: UpstreamConnection) -> None: ...


class Incoming:
    """A provider's response: the head is whole, the body comes by `chunk`."""

    __slots__ = (
        "_arrived", "_connection", "_ended", "_failure", "_get", "_loop", "_parts", "_unread", "_waiter",
        "headers", "reason", "received", "status",
    )  # fmt: skip

    status: int
    reason: bytes
    headers: Headers

    def __init__(self, connection: UpstreamConnection, loop: asyncio.AbstractEventLoop) -> None:
        self._connection: UpstreamConnection | None = connection
        self._loop = loop
        self._parts: list[bytes] = []
        self._unread = 0
        self._arrived = self._ended = False
        self._failure: TokenOneError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.received = 0
        """Body bytes that have arrived."""

    def get(self, name: bytes) -> bytes | None:
        """Returns the first value of a field; `name` is lower case."""
        return self._get(name)

    @property
    def ended(self) -> bool:
        """The whole response has arrived (it may not have been taken yet)."""
        return self._ended

    async def chunk(self) -> bytes | None:
        """Returns what has arrived since the last call, None at the end; UpstreamBroken, UpstreamTimeout."""
        while not self._parts:
            if self._ended:
                return None
            if self._failure is not None:
                raise self._failure
            self._waiter = self._loop.create_future()
            await self._waiter
        parts, self._parts = self._parts, []
        if self._connection is not None:
            self._connection.taken()
        self._unread = 0
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def read(self, limit: int) -> bytes:
        """Returns the rest of the body; cuts a response that is longer than `limit` (UpstreamBroken)."""
        parts: list[bytes] = []
        size = 0
        while (chunk := await self.chunk()) is not None:
            parts.append(chunk)
            size += len(chunk)
            if size > limit:
                self.abort()
                raise UpstreamBroken(f"the response is longer than {limit} bytes")
        return b"".join(parts)

    def abort(self) -> None:
        """Closes the connection unless the response is whole; the provider sees it at once."""
        if self._connection is not None:
            self._connection.break_off(UpstreamBroken("the response was cut by the gateway"))

    async def arrived(self) -> None:
        """Waits for the head."""
        if not self._arrived and self._failure is None:
            self._waiter = self._loop.create_future()
            await self._waiter
        if self._failure is not None and not self._arrived:
            raise self._failure

    # ── called by the connection ───────────────────────────────────────────────────────────────────────
    def open(self, head: ResponseHead) -> None:
        self.status, self.reason, self.headers, self._get = head.status, head.reason, head.headers, head.get
        self._arrived = True
        self._wake()

    def add(self, payload: bytes) -> int:
        """Adds body bytes; returns how many nobody has taken."""
        size = len(payload)
        self.received += size
        self._unread += size
        self._parts.append(payload)
        self._wake()
        return self._unread

    def end(self) -> None:
        self._ended, self._connection = True, None
        self._wake()

    def fail(self, failure: TokenOneError) -> None:
        self._failure, self._connection = failure, None
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class UpstreamConnection(asyncio.Protocol):
    """See the module's law."""

    __slots__ = (
        "_body", "_deadline_total", "_head", "_idle_seconds", "_incoming", "_interim", "_keep", "_limits", "_loop",
        "_method", "_owner", "_poll", "_reading", "_reused", "_silent", "_sweep", "_time", "_timeouts",
        "_transport", "deadline",
    )  # fmt: skip

    _transport: asyncio.Transport

    def __init__(self, owner: Owner, sweep: Sweep, limits: ClientLimits) -> None:
        self._owner, self._sweep, self._limits = owner, sweep, limits
        self._loop = asyncio.get_running_loop()
        self._time = self._loop.time
        self._head = HeadBuffer(limits.header_bytes)
        self._incoming: Incoming | None = None
        self._body: Body | None = None
        self._method = b""
        self._timeouts = Timeouts()
        self._interim = 0
        self._keep = False
        self._reading = True
        self._reused = False  # this request is not the connection's first
        self._silent = True  # no byte has come since the request was sent
        self._idle_seconds = limits.idle_seconds
        self._deadline_total = NEVER
        self.deadline = NEVER
        self._poll = select.poll()

    # ── for the pool and the client ────────────────────────────────────────────────────────────────────
    def quiet(self) -> bool:
        """Says whether nothing (no byte, no end) has arrived on the idle connection, the kernel asked.

        Without asking, an answer that a provider sent before our request would be taken for the answer to it.
        """
        return not self._transport.is_closing() and not self._poll.poll(0)

    def send(self, method: bytes, parts: tuple[bytes, ...], timeouts: Timeouts) -> Incoming:
        """Writes one request and returns its response to be."""
        now = self._time()
        self._method, self._timeouts = method, timeouts
        self._interim, self._silent = 0, True
        self._deadline_total = NEVER if timeouts.total is None else now + timeouts.total
        self.deadline = min(now + timeouts.first_byte, self._deadline_total)
        incoming = self._incoming = Incoming(self, self._loop)
        for part in parts:
            self._transport.write(part)
        return incoming

    def taken(self) -> None:
        """The consumer has taken what was there: reading goes on."""
        if not self._reading:
            self._reading = True
            self._transport.resume_reading()
        self.deadline = min(self._time() + self._timeouts.idle, self._deadline_total)

    def break_off(self, failure: TokenOneError) -> None:
        """Fails the running response, if any, and closes at once."""
        incoming, self._incoming = self._incoming, None
        self._transport.abort()
        if incoming is not None:
            incoming.fail(failure)

    def discard(self) -> None:
        """Closes an unwanted connection; a running response is cut."""
        self.break_off(UpstreamBroken("the connection was closed by the gateway"))

    # ── the transport's calls ──────────────────────────────────────────────────────────────────────────
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        self._owner.joined(self)
        self._sweep.watch(self)

    def connection_lost(self, _: Exception | None) -> None:
        self._sweep.forget(self)
        self._owner.left(self)
        incoming, self._incoming = self._incoming, None
        if incoming is not None:
            incoming.fail(self._lost())

    def data_received(self, data: bytes) -> None:
        if self._incoming is None:
            self._transport.abort()  # nobody asked
            return
        self._silent = False
        try:
            if self._body is None:
                self._read_head(self._incoming, data)
            else:
                self._read_body(self._incoming, self._body, data)
        except FramingError as error:
            self.break_off(UpstreamBroken(f"malformed response: {error.detail}"))

    def eof_received(self) -> bool:
        incoming, body = self._incoming, self._body
        if incoming is not None and body is not None:
            try:
                body.close()
            except FramingError as error:
                self.break_off(UpstreamBroken(error.detail))
            else:
                self._end(incoming, b"")
        return False  # closes; connection_lost fails what is still waiting for a head

    # ── the response ───────────────────────────────────────────────────────────────────────────────────
    def _read_head(self, incoming: Incoming, data: bytes) -> None:
        while data:
            raw = self._head.feed(data)
            if raw is None:
                return
            data, self._head.rest = self._head.rest, b""
            head = parse_response_head(raw, self._limits.header_count, to_head=self._method == b"HEAD")
            if head.status >= 200:
                self._open(incoming, head, data)
                return
            self._interim += 1
            if head.status == 101 or self._interim > self._limits.interim_responses:
                raise FramingError("interim", "an interim response that nobody asked for")

    def _open(self, incoming: Incoming, head: ResponseHead, data: bytes) -> None:
        body = self._body = response_body(head.length)
        self._keep = head.keep_alive
        self._heed_keep_alive(head)
        self.deadline = min(self._time() + self._timeouts.idle, self._deadline_total)
        incoming.open(head)
        if body.done:
            self._end(incoming, data)
        elif data:
            self._read_body(incoming, body, data)

    def _read_body(self, incoming: Incoming, body: Body, data: bytes) -> None:
        payload = body.feed(data)
        if payload:
            unread = incoming.add(payload)
            if unread > self._limits.unread_bytes and self._reading and not body.done:
                self._reading = False
                self._transport.pause_reading()
            self.deadline = min(self._time() + self._timeouts.idle, self._deadline_total)
        if body.done:
            self._end(incoming, body.rest)

    def _end(self, incoming: Incoming, surplus: bytes) -> None:
        """The response is whole: the connection goes back to its lane, or closes."""
        self._incoming = self._body = None
        incoming.end()
        sent_all = self._transport.get_write_buffer_size() == 0
        if self._keep and not surplus and sent_all and self._owner.freed(self):
            self._reused = True
            self.deadline = self._time() + self._idle_seconds
            return
        self._transport.abort()

    def _heed_keep_alive(self, head: ResponseHead) -> None:
        """Closes a second before the provider would, where it says when (`Keep-Alive: timeout=5`)."""
        hint = head.get(b"keep-alive")
        if hint is None:
            return
        for word in hint.lower().split(b","):
            name, _, value = word.strip().partition(b"=")
            if name == b"timeout" and value.isdigit() and len(value) < 8:
                self._idle_seconds = min(self._limits.idle_seconds, max(0.0, int(value) - 1.0))

    # ── ends ───────────────────────────────────────────────────────────────────────────────────────────
    def expire(self, now: float) -> None:
        """A deadline has passed; which one, the state says."""
        if self._incoming is None:
            self._transport.abort()
        elif now >= self._deadline_total:
            self.break_off(UpstreamTimeout("the response took longer than allowed in all"))
        elif self._body is None:
            self.break_off(UpstreamTimeout("the provider did not begin to answer in time"))
        elif not self._reading:
            self.break_off(UpstreamBroken("nobody took the response"))
        else:
            self.break_off(UpstreamTimeout("the provider stopped in the middle of its response"))

    def _lost(self) -> TokenOneError:
        if self._silent and self._reused:
            return UpstreamClosedIdle()
        return UpstreamBroken("the provider closed the connection before the response was whole")
