"""The edge's limits and counters, and the state that all its connections share.

Law: every amount that a caller controls has a bound here. Values only; it opens and reads nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeLimits:
    """Bounds of the caller's side; seconds are kept within half a second."""

    header_bytes: int = 65_536
    header_count: int = 200
    head_seconds: float = 10.0
    """From a head's first byte to its last."""
    body_idle_seconds: float = 30.0
    """Between two reads of a request body."""
    body_seconds: float = 600.0
    """From the moment a handler asks for a body to its last byte."""
    keep_alive_seconds: float = 75.0
    body_bytes: int = 64 * MIB
    """Of one request."""
    inflight_body_bytes: int = 256 * MIB
    """Of all requests that are being handled."""
    unread_body_bytes: int = 65_536
    """Of a request whose handler has not asked for the body; reading pauses there."""
    connections: int = 8192
    connections_per_peer: int = 4096
    write_high_water: int = 65_536
    send_stall_seconds: float = 60.0
    """Without one byte being taken by a caller that has bytes to take."""
    half_close_seconds: float = 5.0
    """A caller that closed its sending side counts as gone when no response began in this time."""
    linger_seconds: float = 2.0
    """After the last response: how long a caller's close is awaited, its bytes being thrown away."""
    drain_idle_seconds: float = 1.0
    """In a drain: how long a silent keep-alive connection may still bring its next request."""
    tls_handshake_seconds: float = 10.0
    backlog: int = 2048


@dataclass(slots=True)
class EdgeStats:
    """What is going on at the edge now (`requests`: being handled) and since the start (`served`)."""

    connections: int = 0
    requests: int = 0
    served: int = 0
    inflight_body_bytes: int = 0


class Admission:
    """Counts connections, in all and per peer address."""

    __slots__ = ("_limits", "_peers", "_stats")

    def __init__(self, limits: EdgeLimits, stats: EdgeStats) -> None:
        self._limits, self._stats = limits, stats
        self._peers: Counter[str] = Counter()

    def enter(self, peer: str) -> bool:
        """Counts a connection in, or says that there is no room for it."""
        if self._stats.connections >= self._limits.connections:
            return False
        if self._peers[peer] >= self._limits.connections_per_peer:
            return False
        self._stats.connections += 1
        self._peers[peer] += 1
        return True

    def leave(self, peer: str) -> None:
        self._stats.connections -= 1
        self._peers[peer] -= 1
        if not self._peers[peer]:
            del self._peers[peer]
