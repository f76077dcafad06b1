"""What a governed call needs, and what it carries along.

Law: `House` is wired once per process and only read afterwards; `Call` belongs to one request and one task.
No logic beyond small accessors lives here.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final

from tokenone.canonical import Canonical
from tokenone.clock import Clock
from tokenone.detect.detector import Detector
from tokenone.dispatch.providers import Facts, Peek
from tokenone.ledger import Ledger
from tokenone.meter import PriceBook
from tokenone.route.health import Health
from tokenone.route.plan import Plan
from tokenone.rows import Candidate
from tokenone.scope import Caller, Directory, Limits, Permit
from tokenone.secret import Secret
from tokenone.types import Action, Dialect, Finding, PathClass, Provider
from tokenone.vault import Vault
from tokenone.wire import Client, Exchange, Timeouts

RECENT_CALLS: Final = 4096


class Recent:
    """The last calls of this worker, so that their cost can be asked for at once; bounded."""

    def __init__(self, capacity: int = RECENT_CALLS) -> None:
        self._calls: OrderedDict[str, list[tuple[str, dict[str, Canonical]]]] = OrderedDict()
        self._capacity = capacity

    def note(self, call: str, kind: str, fields: dict[str, Canonical]) -> None:
        """Keeps one entry of a call; the oldest call makes room."""
        entries = self._calls.get(call)
        if entries is None:
            if len(self._calls) >= self._capacity:
                self._calls.popitem(last=False)
            entries = self._calls[call] = []
        entries.append((kind, fields))

    def entries(self, call: str) -> list[tuple[str, dict[str, Canonical]]]:
        """Returns the (kind, fields) pairs of a call in order, empty if it is not kept."""
        return list(self._calls.get(call, ()))


@dataclass(frozen=True, slots=True)
class House:
    """The duties and the figures of this process."""

    directory: Directory
    vault: Vault
    ledger: Ledger
    client: Client
    detectors: tuple[Detector, ...]
    book: PriceBook
    limits: Limits
    health: Health
    clock: Clock
    pepper: Secret
    timeouts: Timeouts
    slot: int
    recent: Recent = field(default_factory=Recent)
    unclosed: deque[dict[str, Canonical]] = field(default_factory=deque)
    """Outcomes that found the ledger unavailable; written first when it is back."""


@dataclass(frozen=True, slots=True)
class Front:
    """Which door a request came through: provider, the target to send upstream, the dialect to answer in."""

    provider: Provider
    target: bytes
    path: bytes
    dialect: Dialect
    unified: bool = False


@dataclass(slots=True)
class Attempt:
    """One try at one key."""

    number: int
    candidate: Candidate
    opened_us: int = 0
    durable_us: int = 0
    head_us: int = 0
    first_us: int = 0
    sent: bool = False
    closed: bool = False


@dataclass(slots=True)
class Call:
    """One request on its way through the house."""

    id: str
    exchange: Exchange
    front: Front
    facts: Facts
    path_class: PathClass
    started_us: int
    task: asyncio.Task[object] | None = None
    caller: Caller | None = None
    permit: Permit | None = None
    peek: Peek | None = None
    model: str | None = None
    body: bytes = b""
    spliced: bool = False
    verdict: Action = Action.ALLOW
    findings: tuple[Finding, ...] = ()
    plan: Plan | None = None
    attempt: Attempt | None = None
    receipt: str = ""
    marks: dict[str, int] = field(default_factory=dict)

    def mark(self, step: str, now_us: int) -> None:
        """Notes when a step ended, in microseconds since the call came in."""
        self.marks[step] = now_us - self.started_us
