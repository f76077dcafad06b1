"""What the management API is built from, and the one question it can ask a gateway.

Law: the console holds no root and no provider secret; everything it knows comes in here. No logic lives here.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.requests import Request

from tokenone.audit import Act
from tokenone.clock import Clock
from tokenone.console_api.metrics import Metrics
from tokenone.console_api.throttle import Throttle
from tokenone.store import Index, Store
from tokenone.store.people import Person


class Control(Protocol):
    """Asks a gateway worker over its control socket (`docs/management-api.md` lists the operations). Raises the
    error that the gateway named, or ControlUnavailable. `slot` asks that worker alone. Safe for concurrent use."""

    async def ask(self, op: str, *, slot: int | None = None, **fields: Any) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class ConsoleDeps:
    """What the roof hands to the console. `session_key` signs access tokens and nothing else."""

    store: Store
    index: Index
    control: Control
    session_key: bytes
    clock: Clock
    allow_plaintext_intake: bool = False
    egress_allow: tuple[str, ...] = ()
    metrics_addresses: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    version: str = ""


@dataclass(frozen=True, slots=True)
class Desk:
    """The deps, and what one console process keeps in memory: bounded, and lost without harm."""

    deps: ConsoleDeps
    throttle: Throttle
    metrics: Metrics
    challenges: OrderedDict[str, int] = field(default_factory=OrderedDict)
    """Which worker gave a challenge: only that one can take the sealed secret in."""


def desk_of(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


def deps_of(request: Request) -> ConsoleDeps:
    return desk_of(request).deps


def act_of(request: Request) -> Act:
    """Returns who is doing what, as the guard found it."""
    act: Act = request.state.act
    return act


def person_of(request: Request) -> Person:
    person: Person = request.state.person
    return person


def source_of(request: Request) -> str:
    """Returns the peer's address; no forwarding header is believed."""
    return request.client.host if request.client else "unknown"
