"""Keeps idle provider connections, one lane per tenant, origin, CA and key version.

Law: a connection serves one lane for life; retired lanes keep nothing. The number of connections is bounded
in all and per lane; the oldest idle one of any lane makes room. It opens nothing itself.
"""

from __future__ import annotations

from typing import NamedTuple

from tokenone.errors import DialFailed
from tokenone.types import Origin
from tokenone.wire.upstream import ClientLimits, UpstreamConnection


class LaneKey(NamedTuple):
    """Who may share a connection: requests that agree in all of this."""

    pool: tuple[str, str, int]
    """Tenant, key id, key version."""
    origin: Origin
    ca_pem: str | None


class Lane:
    """The connections of one LaneKey."""

    __slots__ = ("_pools", "dialling", "host", "idle", "key", "members", "retired")

    def __init__(self, pools: Pools, key: LaneKey) -> None:
        self._pools = pools
        self.key = key
        if not key.origin.host.isascii():
            raise DialFailed("an endpoint's host is written in ASCII (xn--…)")
        self.host = key.origin.authority.encode("ascii")
        self.idle: list[UpstreamConnection] = []
        self.members: set[UpstreamConnection] = set()
        self.dialling = 0
        self.retired = False

    def take(self) -> UpstreamConnection | None:
        """Returns the most recently used idle connection on which nothing has arrived meanwhile."""
        while self.idle:
            connection = self.idle[-1]
            self.forget_idle(connection)
            if connection.quiet():
                return connection
            connection.discard()
        return None

    # ── called by the lane's connections ───────────────────────────────────────────────────────────────
    def joined(self, connection: UpstreamConnection) -> None:
        self.members.add(connection)
        self._pools.open += 1

    def freed(self, connection: UpstreamConnection) -> bool:
        """Takes a connection back after a whole response; False means that it must close."""
        if self.retired or len(self.idle) >= self._pools.limits.idle_per_lane:
            return False
        self.idle.append(connection)
        self._pools.idle[connection] = self
        return True

    def left(self, connection: UpstreamConnection) -> None:
        self._pools.open -= 1
        self.members.discard(connection)
        self.forget_idle(connection)
        self._pools.forget_if_empty(self)

    def forget_idle(self, connection: UpstreamConnection) -> None:
        """Takes a connection off the idle lists, if it is on them."""
        if self._pools.idle.pop(connection, None) is None:
            return
        if self.idle[-1] is connection:
            self.idle.pop()
        else:
            self.idle.remove(connection)


class Pools:
    """All lanes of one client."""

    __slots__ = ("_dialling", "_lanes", "idle", "limits", "open")

    def __init__(self, limits: ClientLimits) -> None:
        self.limits = limits
        self.open = 0
        self.idle: dict[UpstreamConnection, Lane] = {}  # in the order in which they became idle
        self._dialling = 0
        self._lanes: dict[LaneKey, Lane] = {}

    @property
    def idle_count(self) -> int:
        return len(self.idle)

    def lane(self, key: LaneKey) -> Lane:
        found = self._lanes.get(key)
        if found is None:
            found = self._lanes[key] = Lane(self, key)
        return found

    def reserve(self, lane: Lane) -> bool:
        """Counts a connection that is about to be dialled, or says that there is no room for it."""
        if len(lane.members) + lane.dialling >= self.limits.connections_per_lane:
            return False
        if self.open + self._dialling >= self.limits.connections and not self._evict():
            self.forget_if_empty(lane)
            return False
        lane.dialling += 1
        self._dialling += 1
        return True

    def release(self, lane: Lane) -> None:
        """Ends a reservation: the connection counts itself now, or it failed."""
        lane.dialling -= 1
        self._dialling -= 1
        self.forget_if_empty(lane)

    def retire(self, key: str, version: int, *, cut: bool) -> None:
        for lane in [lane for name, lane in self._lanes.items() if name.pool[1:] == (key, version)]:
            lane.retired = True
            del self._lanes[lane.key]
            for connection in list(lane.members if cut else lane.idle):
                connection.discard()

    def close(self) -> None:
        for lane in list(self._lanes.values()):
            lane.retired = True
            for connection in list(lane.members):
                connection.discard()
        self._lanes.clear()

    def forget_if_empty(self, lane: Lane) -> None:
        if not lane.members and not lane.dialling and self._lanes.get(lane.key) is lane:
            del self._lanes[lane.key]

    def _evict(self) -> bool:
        """Closes the connection that has been idle longest."""
        for connection, lane in self.idle.items():
            lane.forget_idle(connection)
            connection.discard()
            return True
        return False
