"""Sends requests to providers and gives their responses back as they come.

Law: a request is written once, on one connection, and never repeated here: whether it may be is for whoever
recorded its intent. DialFailed, EgressRefused and Overloaded mean that nothing was sent; UpstreamTimeout and
UpstreamBroken that something was. Nothing is decoded, no redirect followed, no proxy asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from tokenone.errors import Overloaded
from tokenone.types import Headers, Origin
from tokenone.wire import render
from tokenone.wire.dialer import Dialer, Resolve
from tokenone.wire.egress import EgressRules
from tokenone.wire.pool import Lane, LaneKey, Pools
from tokenone.wire.sweep import Sweep
from tokenone.wire.upstream import DEFAULT_TIMEOUTS, ClientLimits, Incoming, Timeouts, UpstreamConnection

_JOINED_WRITE = 65_536
_METHODS_WITH_BODY = (b"POST", b"PUT", b"PATCH")


class Outgoing(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One request. The client adds Host and Content-Length and drops other framing fields."""

    origin: Origin
    pool: tuple[str, str, int]
    """Tenant, key id, key version: connections are shared among equals alone."""
    method: bytes
    target: bytes
    headers: Headers
    body: bytes = b""
    timeouts: Timeouts = DEFAULT_TIMEOUTS
    ca_pem: str | None = None


@dataclass(slots=True)
class ClientStats:
    """`connections` open now, of which `idle`; `dialled` and `sent` since the start."""

    connections: int = 0
    idle: int = 0
    dialled: int = 0
    sent: int = 0


class Client:
    """The gateway's only way out. Belongs to the loop that it first sends on."""

    def __init__(
        self, egress: EgressRules, limits: ClientLimits | None = None, *, resolve: Resolve | None = None
    ) -> None:
        self._limits = limits or ClientLimits()
        self._dialer = Dialer(egress, resolve)
        self._pools = Pools(self._limits)
        self._sweep: Sweep | None = None
        self._dialled = self._sent = 0

    async def send(self, outgoing: Outgoing, written: Callable[[], None] | None = None) -> Incoming:
        """Sends the request and returns when the response's head is there.

        `written` is called as soon as the request is on a connection: before that, nothing was sent.
        """
        lane = self._pools.lane(LaneKey(outgoing.pool, outgoing.origin, outgoing.ca_pem))
        request = render_request(outgoing, lane.host)
        connection = lane.take() or await self._dial(lane, outgoing)
        self._sent += 1
        if len(outgoing.body) <= _JOINED_WRITE:
            incoming = connection.send(outgoing.method, (request + outgoing.body,), outgoing.timeouts)
        else:
            incoming = connection.send(outgoing.method, (request, outgoing.body), outgoing.timeouts)
        if written is not None:
            written()
        try:
            await incoming.arrived()
        except asyncio.CancelledError:
            incoming.abort()
            raise
        return incoming

    def retire_pool(self, key: str, version: int, *, cut: bool = False) -> None:
        """Lets no later request use a connection of this key version; `cut` ends running responses too."""
        self._pools.retire(key, version, cut=cut)

    async def close(self) -> None:
        """Closes every connection; running responses are cut."""
        self._pools.close()
        await asyncio.sleep(0)  # lets the transports report that they are closed

    @property
    def stats(self) -> ClientStats:
        return ClientStats(self._pools.open, self._pools.idle_count, self._dialled, self._sent)

    async def _dial(self, lane: Lane, outgoing: Outgoing) -> UpstreamConnection:
        if not self._pools.reserve(lane):
            raise Overloaded("too many connections to providers")
        if self._sweep is None:
            self._sweep = Sweep(asyncio.get_running_loop())
        sweep = self._sweep

        def connection() -> UpstreamConnection:
            return UpstreamConnection(lane, sweep, self._limits)

        try:
            dialled = await self._dialer.dial(
                outgoing.origin, outgoing.ca_pem, outgoing.timeouts.connect, connection
            )
        finally:
            self._pools.release(lane)
        self._dialled += 1
        return dialled


def render_request(outgoing: Outgoing, host: bytes) -> bytes:
    """Returns the request's head; raises UnsafeField for what would not stay one request."""
    length = len(outgoing.body)
    framing = b"content-length: %d\r\n" % length if length or outgoing.method in _METHODS_WITH_BODY else b""
    return b"%bhost: %b\r\n%b%b\r\n" % (
        render.request_line(outgoing.method, outgoing.target),
        host,
        render.request_fields(outgoing.headers),
        framing,
    )
