"""Puts a reply on the wire, well or as badly as a fault asks for; events are flushed one by one.

Law: without a fault an answer is correct HTTP/1.1 with a length or chunks. A fault changes exactly what
its line in `faults.MODES` says.
"""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final

from tokenone.testing.standin.faults import Fault
from tokenone.testing.standin.http import Hangup, Outlet
from tokenone.testing.standin.reply import Reply

_LAST_CHUNK: Final = b"0\r\n\r\n"
_EARLY: Final = b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n"
_UNSOLICITED: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n" + b'{"stolen":true}'
)
_GARBAGE: Final = b"\x16\x03\x01 this is not HTTP at all \x00\xff\r\n\r\n" * 4
_ENDLESS_PLAIN: Final = b" " * 4096


class Cutter:
    """An outlet that closes or resets the connection after so many bytes."""

    def __init__(self, outlet: Outlet, after: int, *, reset: bool) -> None:
        self._outlet = outlet
        self._left = after
        self._reset = reset

    def push(self, data: bytes) -> None:
        kept = data[: self._left]
        self._left -= len(kept)
        if kept:
            self._outlet.push(kept)
        if len(kept) < len(data) or self._left == 0:
            self.reset() if self._reset else self.end()
            raise Hangup

    async def send(self, data: bytes) -> None:
        self.push(data)

    def end(self) -> None:
        self._outlet.end()

    def reset(self) -> None:
        self._outlet.reset()


def head(reply: Reply, *framing: str) -> bytes:
    """The status line and headers, ended by an empty line."""
    try:
        reason = HTTPStatus(reply.status).phrase
    except ValueError:
        reason = "Overloaded"
    kind = "text/event-stream; charset=utf-8" if reply.events is not None else reply.content_type
    lines = [f"HTTP/1.1 {reply.status} {reason}", f"content-type: {kind}"]
    lines += [f"{name}: {value}" for name, value in reply.headers]
    return ("\r\n".join([*lines, *framing]) + "\r\n\r\n").encode("latin-1")


def whole(reply: Reply) -> bytes:
    """A plain reply as one piece of bytes: the fast path."""
    return head(reply, f"content-length: {len(reply.body)}") + reply.body


async def deliver(reply: Reply, outlet: Outlet, fault: Fault, *, latency: float, gap: float) -> None:
    """Sends `reply` after `latency` seconds, with `gap` seconds between events, under `fault`."""
    if latency:
        await asyncio.sleep(latency)
    if fault.mode == "stall":
        await asyncio.sleep(fault.first(30))
    if fault.mode in ("cut", "reset"):
        outlet = Cutter(outlet, int(fault.first(0)), reset=fault.mode == "reset")
    if fault.mode == "early":
        await outlet.send(_EARLY)
    if fault.mode in ("drop", "garbage"):
        if fault.mode == "garbage":
            await outlet.send(_GARBAGE)
        outlet.end()
        raise Hangup
    if reply.events is not None:
        await _send_events(reply, outlet, fault, fault.first(0.01) if fault.mode == "trickle" else gap)
    else:
        await _send_plain(reply, outlet, fault)
    if fault.mode == "unsolicited":
        await outlet.send(_UNSOLICITED)
    if fault.mode == "close":
        outlet.end()


async def _send_events(reply: Reply, outlet: Outlet, fault: Fault, gap: float) -> None:
    zipped = zlib.compressobj(wbits=31) if fault.mode == "gzip" else None
    framing = [
        "connection: close" if fault.mode == "close" else "transfer-encoding: chunked",
        "cache-control: no-cache",
    ]
    await outlet.send(head(reply, *framing, *(["content-encoding: gzip"] if zipped else [])))
    chunked = fault.mode != "close"
    for number, event in enumerate(_row(reply, fault)):
        if fault.mode == "hang" and number == int(fault.first(0)):
            await asyncio.sleep(fault.second(30))
        if gap and number:
            await asyncio.sleep(gap)
        data = zipped.compress(event) + zipped.flush(zlib.Z_SYNC_FLUSH) if zipped else event
        await outlet.send(_chunk(data) if chunked else data)
        if fault.mode == "endless":
            await asyncio.sleep(fault.first(0.001))
    tail = zipped.flush() if zipped else b""
    if chunked:
        await outlet.send((_chunk(tail) if tail else b"") + _LAST_CHUNK)


def _row(reply: Reply, fault: Fault) -> Iterator[bytes]:
    """The events in order, as the fault changes them."""
    events = reply.events or ()
    if fault.mode == "midstream":
        yield from events[: int(fault.first(2))]
        yield reply.error_event
        return
    if fault.mode == "endless" and len(events) > 3:
        yield from events[:3]
        while True:
            yield events[3]
    yield from events


async def _send_plain(reply: Reply, outlet: Outlet, fault: Fault) -> None:
    body = gzip.compress(reply.body, mtime=0) if fault.mode == "gzip" else reply.body
    if fault.mode == "nonsense":
        body = b"<html>this is no JSON" + bytes(range(128, 160))
    if fault.mode == "fat":
        body = body[:-1] + b" " * (int(fault.first(2 << 20)) - len(body)) + body[-1:]
    if fault.mode == "endless":
        await outlet.send(head(reply, "transfer-encoding: chunked") + _chunk(body[:-1]))
        while True:
            await outlet.send(_chunk(_ENDLESS_PLAIN))
            await asyncio.sleep(fault.first(0.001))
    framing = ["connection: close"] if fault.mode == "close" else [f"content-length: {len(body)}"]
    if fault.mode == "short":
        framing = [f"content-length: {len(body) + 100}"]
    if fault.mode == "gzip":
        framing.append("content-encoding: gzip")
    start = head(reply, *framing)
    if fault.mode == "hang":
        await outlet.send(start)
        await asyncio.sleep(fault.second(30))
        start = b""
    if fault.mode == "trickle":
        await _trickle(start + body, outlet, fault.first(0.01))
        return
    await outlet.send(start + body)
    if fault.mode == "short":
        outlet.end()
        raise Hangup


async def _trickle(data: bytes, outlet: Outlet, gap: float) -> None:
    for at in range(0, len(data), 16):
        await outlet.send(data[at : at + 16])
        await asyncio.sleep(gap)


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"
