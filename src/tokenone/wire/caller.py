"""A caller's connection: reads heads and bodies in order, one exchange at a time, under the edge's deadlines.

Law: requests are answered in the order they came; while one is being handled at most a head's worth of the
next is read. No state waits without a deadline, but for a handler at work. Closing never cuts a response:
what the caller still sends is thrown away for a moment first (RFC 9112 section 9.6).
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import struct
import termios
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

from tokenone.wire import render
from tokenone.wire.exchange import Exchange
from tokenone.wire.framing import FramingError, HeadBuffer, parse_request_head
from tokenone.wire.limits import Admission, EdgeLimits, EdgeStats
from tokenone.wire.sweep import NEVER, Sweep

# Where a connection stands. Plain numbers: they are looked at several times a call.
_IDLE: Final = 0  # between requests; no byte of the next has come
_HEAD: Final = 1
_EXCHANGE: Final = 2
_LINGER: Final = 3  # the last response is written; the caller's close is awaited
_CLOSED: Final = 4


@dataclass(slots=True)
class Room:
    """What all connections of an edge share."""

    limits: EdgeLimits
    stats: EdgeStats
    admission: Admission
    sweep: Sweep
    loop: asyncio.AbstractEventLoop
    serve: Callable[[Exchange], None]
    refused: Callable[[str, str], None]
    connections: set[CallerConnection]
    draining: bool = False


class CallerConnection(asyncio.Protocol):
    """See the module's law."""

    __slots__ = (
        "_admitted", "_ahead", "_body_deadline", "_eof", "_exchange", "_head", "_reading", "_room", "_stage",
        "_unsent", "_unsent_since", "deadline", "peer", "transport", "write_paused",
    )  # fmt: skip

    transport: asyncio.Transport

    def __init__(self, room: Room) -> None:
        self._room = room
        self._head = HeadBuffer(room.limits.header_bytes)
        self._stage = _IDLE
        self._exchange: Exchange | None = None
        self._ahead = b""  # bytes of later requests
        self._eof = self._admitted = False
        self._reading = True
        self._unsent, self._unsent_since = 0, 0.0
        self._body_deadline = NEVER
        self.write_paused = False
        self.deadline = NEVER
        self.peer = ""

    # ── the transport's calls ──────────────────────────────────────────────────────────────────────────
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        room = self._room
        self.transport = cast("asyncio.Transport", transport)
        self.peer = _peer(transport)
        room.connections.add(self)
        room.sweep.watch(self)
        self.transport.set_write_buffer_limits(high=room.limits.write_high_water)
        if not room.admission.enter(self.peer):
            self._stage = _LINGER  # uncounted, so it may not linger
            room.refused("connections", self.peer)
            self.transport.write(_refusal(FramingError("connections", "too many connections", 503)))
            self.transport.close()
            return
        self._admitted = True
        self._await_request()

    def connection_lost(self, _: Exception | None) -> None:
        self._stage = _CLOSED
        self._ahead = b""
        room = self._room
        room.connections.discard(self)
        room.sweep.forget(self)
        if self._admitted:
            room.admission.leave(self.peer)
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.lose()

    def data_received(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is None:
            if self._stage == _LINGER:
                return  # thrown away
            if self.write_paused:
                self._hold(data)
            else:
                self._read_head(data)
        elif exchange.received:
            self._hold(data)
        else:
            self._read_body(exchange, data)

    def eof_received(self) -> bool:
        """The caller sends no more; what is complete is still answered (TLS closes regardless)."""
        self._eof = True
        exchange = self._exchange
        if exchange is not None and exchange.received:
            if not exchange.started:
                self.deadline = self._room.loop.time() + self._room.limits.half_close_seconds
            return True
        if exchange is not None or self._stage == _HEAD:
            self._refuse(FramingError("truncated", "the request ended before it was whole"))
            return True
        return self._stage == _IDLE and self.write_paused

    def pause_writing(self) -> None:
        self.write_paused = True
        self._watch_sending(self._room.loop.time())

    def resume_writing(self) -> None:
        self.write_paused = False
        if self._stage == _EXCHANGE:
            self.deadline = self._body_deadline
            if self._exchange is not None:
                self._exchange.resume()
        elif self._stage == _IDLE:
            self._next_request()
        elif self._stage == _LINGER:
            self.deadline = self._room.loop.time() + self._room.limits.linger_seconds

    # ── the request ────────────────────────────────────────────────────────────────────────────────────
    def _read_head(self, data: bytes) -> None:
        room = self._room
        try:
            raw = self._head.feed(data)
            if raw is None:
                if self._stage == _IDLE:
                    self._stage = _HEAD
                    self.deadline = room.loop.time() + room.limits.head_seconds
                return
            head = parse_request_head(raw, room.limits.header_count)
        except FramingError as error:
            self._refuse(error)
            return
        rest, self._head.rest = self._head.rest, b""
        self._stage = _EXCHANGE
        self.deadline = self._body_deadline = NEVER
        exchange = self._exchange = Exchange(self, head, self.peer, room.limits, room.stats)
        if rest:
            if exchange.received:
                self._hold(rest)
            else:
                self._read_body(exchange, rest)
        if self._exchange is exchange:
            room.serve(exchange)

    def _read_body(self, exchange: Exchange, data: bytes) -> None:
        room = self._room
        try:
            rest = exchange.take(data)
        except FramingError as error:
            self._refuse(error)
            return
        if rest:
            self._hold(rest)
        if exchange.received:
            self.deadline = self._body_deadline = NEVER
        elif exchange.wants_body:
            self.deadline = min(room.loop.time() + room.limits.body_idle_seconds, self._body_deadline)
        elif exchange.unread_size > room.limits.unread_body_bytes:
            self._pause_reading()

    def _hold(self, data: bytes) -> None:
        """Keeps bytes of later requests, and stops reading when there are many."""
        self._ahead += data
        if len(self._ahead) > self._room.limits.header_bytes:
            self._pause_reading()

    def want_body(self) -> None:
        limits, now = self._room.limits, self._room.loop.time()
        self._body_deadline = now + limits.body_seconds
        self.deadline = min(now + limits.body_idle_seconds, self._body_deadline)
        self._resume_reading()

    # ── between requests ───────────────────────────────────────────────────────────────────────────────
    def may_persist(self) -> bool:
        return not self._room.draining and not (self._eof and not self._ahead)

    def response_ended(self, *, keep: bool) -> None:
        self._exchange = None
        if keep:
            self._next_request()
        else:
            self._close_gently()

    def _next_request(self) -> None:
        self._stage = _IDLE
        if self.write_paused:  # the response is still on its way; resume_writing comes back here
            return
        if self._ahead:
            data, self._ahead = self._ahead, b""
            self._resume_reading()
            self._read_head(data)
        elif self._eof:
            self._close_gently()
        else:
            self._await_request()

    def _await_request(self) -> None:
        limits = self._room.limits
        seconds = limits.drain_idle_seconds if self._room.draining else limits.keep_alive_seconds
        self.deadline = self._room.loop.time() + seconds

    def begin_drain(self) -> None:
        """Gives a silent connection a moment for a request that may be on its way."""
        if self._stage == _IDLE and not self.write_paused:
            self._await_request()

    # ── deadlines and ends ─────────────────────────────────────────────────────────────────────────────
    def expire(self, now: float) -> None:
        """A deadline has passed; which one, the stage says."""
        if self.write_paused or self._stage == _LINGER:
            self._expire_sending(now)
        elif self._stage == _IDLE:
            if not self._bytes_wait():
                self._close_idle()
        elif self._stage == _HEAD:
            self._refuse(FramingError("head-timeout", "the request's head took too long", 408))
        elif self._exchange is not None and self._exchange.wants_body:
            self._refuse(FramingError("body-timeout", "the request's body took too long", 408))
        elif self._eof and self._exchange is not None and not self._exchange.started:
            self._room.refused("half-closed", self.peer)
            self.transport.abort()
        else:
            self.deadline = NEVER

    def _expire_sending(self, now: float) -> None:
        """Cuts a caller that takes nothing; one that takes little is waited for."""
        unsent, stall = self.transport.get_write_buffer_size(), self._room.limits.send_stall_seconds
        if 0 < unsent < self._unsent:
            self._watch_sending(now)
        elif unsent and now < self._unsent_since + stall:
            self.deadline = self._unsent_since + stall
        else:
            if unsent:
                self._room.refused("send-stall", self.peer)
            self.transport.abort()

    def _watch_sending(self, now: float) -> None:
        self._unsent, self._unsent_since = self.transport.get_write_buffer_size(), now
        self.deadline = now + self._room.limits.send_stall_seconds

    def _bytes_wait(self) -> bool:
        """Says whether the kernel holds bytes of a request that the loop is about to read."""
        try:
            fd = self.transport.get_extra_info("socket").fileno()
            waiting = fcntl.ioctl(fd, termios.FIONREAD, b"\0\0\0\0")
        except (OSError, ValueError, AttributeError):
            return False
        return bool(struct.unpack("i", waiting)[0])

    def _refuse(self, error: FramingError) -> None:
        """Answers what cannot be a request and closes; a response that is already running is cut."""
        self._room.refused(error.reason, self.peer)
        exchange, self._exchange = self._exchange, None
        started = exchange is not None and exchange.started
        if exchange is not None:
            exchange.lose()
        if started:
            self.transport.abort()
            return
        self.transport.write(_refusal(error))
        self._close_gently()

    def _close_gently(self) -> None:
        """Ends the sending side and throws away what still comes, so that no reset overtakes the response."""
        if self._stage == _CLOSED or self.transport.is_closing():
            return
        self._stage = _LINGER
        self._ahead = b""
        now = self._room.loop.time()
        self._watch_sending(now)
        self.deadline = now + self._room.limits.linger_seconds
        if self._eof or not self.transport.can_write_eof():
            self.transport.close()
            return
        self.transport.write_eof()
        self._resume_reading()

    def _close_idle(self) -> None:
        """Ends a connection that waits for a request; in a drain at once, for its last response is long read."""
        if self._room.draining and not self.transport.get_write_buffer_size():
            self.transport.close()
        else:
            self._close_gently()

    def _pause_reading(self) -> None:
        if self._reading and not self.transport.is_closing():
            self._reading = False
            self.transport.pause_reading()

    def _resume_reading(self) -> None:
        if not self._reading and not self.transport.is_closing():
            self._reading = True
            self.transport.resume_reading()


def _peer(transport: asyncio.BaseTransport) -> str:
    """Returns the peer's address, an IPv4 one without its IPv6 wrapping."""
    name = transport.get_extra_info("peername")
    return str(name[0]).removeprefix("::ffff:") if name else ""


def _refusal(error: FramingError) -> bytes:
    problem = {
        "message": error.detail,
        "type": "invalid_request_error",
        "code": error.code,
        "reason": error.reason,
    }
    body = json.dumps({"error": problem}).encode("ascii")
    fields = render.fields([(b"content-type", b"application/json")])
    return b"%b%bcontent-length: %d\r\n%b\r\n%b" % (
        render.status_line(error.answer), fields, len(body), render.CLOSE, body,
    )  # fmt: skip
