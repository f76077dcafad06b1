"""uvicorn's h11 protocol with a deadline for a whole request, which uvicorn itself does not have.

Law: from a connection's start, or from the first byte of a later request, `seconds` may pass until head and body
are here; then the connection is cut, however steadily it trickles. An answer may take as long as it takes.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_SECONDS = 30.0
_COMING = (h11.IDLE, h11.SEND_BODY)


class PatientProtocol(H11Protocol):
    """One connection."""

    seconds: ClassVar[float] = REQUEST_SECONDS
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins with the first request's time running."""
        super().connection_made(transport)
        self._begin()

    def data_received(self, data: bytes) -> None:
        """Takes bytes in; once the request is whole, its time is over."""
        if self._deadline is None:
            self._begin()
        super().data_received(data)
        if self.conn.their_state not in _COMING:
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        super().connection_lost(exc)

    def _begin(self) -> None:
        self._deadline = self.loop.call_later(self.seconds, self.transport.abort)

    def _end(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
