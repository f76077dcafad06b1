"""Puts a stand-in on a port: in the running event loop, or in a thread with a loop of its own.

Law: loopback by default; closing cuts every connection and waits for nothing.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from types import TracebackType
from typing import Self

from tokenone.testing.standin.http import Connection
from tokenone.testing.standin.service import StandIn


class Listener:
    """A stand-in listening in the running loop: `async with Listener(StandIn()) as upstream`."""

    def __init__(
        self,
        standin: StandIn | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.standin = standin or StandIn()
        self._host = host
        self._tls = tls
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self.port = port

    @property
    def origin(self) -> str:
        """`http://host:port` or `https://host:port`, once it listens."""
        return f"{'https' if self._tls else 'http'}://{self._host}:{self.port}"

    async def start(self) -> Self:
        """Listens; afterwards `port` and `origin` are real."""
        standin, connections = self.standin, self._connections

        def accept() -> Connection:
            return Connection(standin.answer, standin.traffic, connections)

        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(accept, self._host, self.port, ssl=self._tls, backlog=4096)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def disconnect(self) -> None:
        """Resets every open connection and goes on listening."""
        for connection in list(self._connections):
            connection.reset()

    async def close(self) -> None:
        """Stops listening and resets what is open."""
        if self._server is not None:
            self._server.close()
            self.disconnect()
            await self._server.wait_closed()
            self._server = None

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class ThreadedListener:
    """The same from synchronous code: a context manager whose loop runs in a thread."""

    def __init__(
        self,
        standin: StandIn | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._listener = Listener(standin, host=host, port=port, tls=tls)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="standin", daemon=True)

    @property
    def standin(self) -> StandIn:
        return self._listener.standin

    @property
    def origin(self) -> str:
        return self._listener.origin

    @property
    def port(self) -> int:
        return self._listener.port

    def disconnect(self) -> None:
        """Resets every open connection and goes on listening."""
        self._loop.call_soon_threadsafe(self._listener.disconnect)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listener.start(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _stop(self) -> None:
        await self._listener.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
