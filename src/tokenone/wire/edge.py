"""The callers' door: listens, makes one task per request, drains without dropping a call.

Law: plain HTTP is served on loopback only. A handler's failure is answered (500) or shown as a cut response,
never as silence. It knows neither tokens nor providers.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from tokenone.errors import CallerGone, ConfigRefused
from tokenone.wire.caller import CallerConnection, Room
from tokenone.wire.exchange import Exchange
from tokenone.wire.limits import Admission, EdgeLimits, EdgeStats
from tokenone.wire.sweep import Sweep

Handler: TypeAlias = Callable[[Exchange], Awaitable[None]]

_INTERNAL: Final = b'{"error":{"message":"internal error","type":"server_error","code":"internal"}}'
_SETTLE_SECONDS: Final = 2.0
_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)


class Edge:
    """Serves `handler` on one listening socket; `on_refused(reason, peer)` hears of what never reached it."""

    def __init__(
        self,
        handler: Handler,
        limits: EdgeLimits,
        *,
        tls: ssl.SSLContext | None = None,
        on_refused: Callable[[str, str], None],
    ) -> None:
        self.stats = EdgeStats()
        self._handler = handler
        self._limits = limits
        self._tls = tls
        self._on_refused = on_refused
        self._room: Room | None = None
        self._server: asyncio.Server | None = None
        self._tasks: dict[Exchange, asyncio.Task[None]] = {}
        self._quiet = asyncio.Event()

    async def start(self, sock: socket.socket) -> None:
        """Accepts connections from a bound socket (which may be shared with other processes)."""
        if self._tls is None and not _on_loopback(sock):
            raise ConfigRefused("plain HTTP is served on loopback only; give the edge a certificate")
        loop = asyncio.get_running_loop()
        room = self._room = Room(
            limits=self._limits,
            stats=self.stats,
            admission=Admission(self._limits, self.stats),
            sweep=Sweep(loop),
            loop=loop,
            serve=self._serve,
            refused=self._on_refused,
            connections=set(),
        )
        self._server = await loop.create_server(
            lambda: CallerConnection(room),
            sock=sock,
            ssl=self._tls,
            backlog=self._limits.backlog,
            ssl_handshake_timeout=self._limits.tls_handshake_seconds if self._tls else None,
        )

    async def drain(self, seconds: float) -> None:
        """Stops accepting, lets every call end, and cuts what is left after `seconds`.

        Responses that begin from now on carry `Connection: close`. Connections without a request get
        `drain_idle_seconds` to bring one that is already on its way.
        """
        room, server = self._room, self._server
        if room is None or server is None:
            return
        room.draining = True
        server.close()
        for connection in list(room.connections):
            connection.begin_drain()
        await self._wait_quiet(seconds)
        for connection in list(room.connections):
            connection.transport.abort()
        if self._tasks:  # handlers learn that their callers are gone and still record how it ended
            await asyncio.wait(self._tasks.values(), timeout=_SETTLE_SECONDS)
        for task in self._tasks.values():
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=_SETTLE_SECONDS)

    async def _wait_quiet(self, seconds: float) -> None:
        """Waits until no connection and no task is left, looking four times a second."""
        assert self._room is not None
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while (self._room.connections or self._tasks) and loop.time() < end:
            self._quiet.clear()
            try:
                await asyncio.wait_for(self._quiet.wait(), min(0.25, max(0.0, end - loop.time())))
            except TimeoutError:
                continue

    def _serve(self, exchange: Exchange) -> None:
        self.stats.requests += 1
        self._tasks[exchange] = asyncio.get_running_loop().create_task(self._run(exchange))

    async def _run(self, exchange: Exchange) -> None:
        try:
            await self._handler(exchange)
        except CallerGone:
            pass  # nobody is left to answer
        except Exception as error:  # noqa: BLE001 - a task's end: the caller must get an answer
            self._report(error)
        finally:
            self._close(exchange)

    def _close(self, exchange: Exchange) -> None:
        """Ends what the handler left open and gives its body back to the budget."""
        if not exchange.ended:
            if exchange.started:
                exchange.abort()
            else:
                exchange.respond(500, [(b"content-type", b"application/json")], _INTERNAL)
        exchange.release()
        self.stats.requests -= 1
        self.stats.served += 1
        del self._tasks[exchange]
        if not self._tasks:
            self._quiet.set()

    def _report(self, error: Exception) -> None:
        context = {"message": "a handler failed", "exception": error}
        asyncio.get_running_loop().call_exception_handler(context)


def _on_loopback(sock: socket.socket) -> bool:
    return sock.family in _FAMILIES and ipaddress.ip_address(sock.getsockname()[0]).is_loopback
