"""What a governed call needs, and what it carries along.

Law: `House` is wired once per process and only read afterwards; `Call` belongs to one request and one task.
No logic beyond small accessors lives here.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from tokenone.call.credentials import Credentials, Usable
from tokenone.call.voice import Voice
from tokenone.canonical import Canonical
from tokenone.clock import AnchoredClock
from tokenone.detect.detector import Detector
from tokenone.dispatch.peek import Peek
from tokenone.dispatch.providers import Facts
from tokenone.errors import KeyCompromised, LedgerUnavailable, Stopped, TokenOneError
from tokenone.keyed import Keyed
from tokenone.ledger.pending import Pending
from tokenone.ledger.writer import Ledger
from tokenone.meter.rate import PriceBook
from tokenone.route.catalog import Catalog
from tokenone.route.health import Health
from tokenone.route.plan import Plan, Planner
from tokenone.rows import Candidate
from tokenone.scope import Caller, Directory, Limits, Permit
from tokenone.types import Action, Dialect, Finding, PathClass, Provider
from tokenone.vault.vault import Vault
from tokenone.wire.client import Client
from tokenone.wire.exchange import Exchange
from tokenone.wire.upstream import Timeouts

RECENT_CALLS: Final = 4096
SETTLE_SECONDS: Final = 1.0
"""Whoever asks for a call waits so long for an entry that is being written; a disk that is away takes longer."""


class Recent:
    """The last calls of this worker, so that their cost can be asked for at once; bounded.

    It tells what is durable and nothing else: who was told of an outcome finds it after a crash, too.
    """

    def __init__(self, capacity: int = RECENT_CALLS) -> None:
        self._calls: OrderedDict[str, list[tuple[str, dict[str, Canonical]]]] = OrderedDict()
        self._capacity = capacity
        self._coming: dict[str, Pending] = {}
        """The last entry of a call that is on its way to the disk."""

    def expect(self, call: str, kind: str, fields: dict[str, Canonical], pending: Pending) -> None:
        """Notes the entry once it is durable; forgets it where it is refused."""
        self._coming[call] = pending

        def settled(durable: bool) -> None:
            if self._coming.get(call) is pending:
                del self._coming[call]
            if durable:
                self.note(call, kind, fields)

        pending.then(settled)

    async def told(self, call: str) -> list[tuple[str, dict[str, Canonical]]]:
        """Returns a call's entries, those that are just being written included."""
        coming = self._coming.get(call)
        if coming is not None:
            with contextlib.suppress(LedgerUnavailable, TimeoutError):
                await asyncio.wait_for(_settled(coming), SETTLE_SECONDS)
        return self.entries(call)

    def note(self, call: str, kind: str, fields: dict[str, Canonical]) -> None:
        """Keeps one entry of a call; the oldest call makes room, and is not taken up again in the middle."""
        entries = self._calls.get(call)
        if entries is None:
            if kind not in ("intent", "deny") or fields.get("attempt", 1) != 1:
                return
            if len(self._calls) >= self._capacity:
                self._calls.popitem(last=False)
            entries = self._calls[call] = []
        entries.append((kind, fields))

    def entries(self, call: str) -> list[tuple[str, dict[str, Canonical]]]:
        """Returns the (kind, fields) pairs of a call in order, empty if it is not kept."""
        return list(self._calls.get(call, ()))


async def _settled(pending: Pending) -> None:
    await pending


class Running:
    """The calls under way by key, so that those of a compromised key can be cut, and all at the worker's end."""

    def __init__(self) -> None:
        self._by_key: dict[str, set[Call]] = {}

    def enter(self, key: str, call: Call) -> None:
        """Notes that a call uses a key."""
        self._by_key.setdefault(key, set()).add(call)

    def leave(self, key: str, call: Call) -> None:
        """Notes that it no longer does."""
        calls = self._by_key.get(key)
        if calls is not None:
            calls.discard(call)
            if not calls:
                del self._by_key[key]

    def cut(self, key: str) -> None:
        """Ends every call that uses the key, streams included."""
        for call in tuple(self._by_key.get(key, ())):
            call.end(KeyCompromised())

    def cut_all(self) -> None:
        """Ends every call: the worker's time to drain is over."""
        for calls in tuple(self._by_key.values()):
            for call in tuple(calls):
                call.end(Stopped())


@dataclass(frozen=True, slots=True)
class House:
    """The duties and the figures of this process."""

    directory: Directory
    vault: Vault
    credentials: Credentials
    ledger: Ledger
    client: Client
    detectors: tuple[Detector, ...]
    book: PriceBook
    limits: Limits
    health: Health
    catalog: Catalog
    planner: Planner
    clock: AnchoredClock
    pepper: Keyed
    timeouts: Timeouts
    slot: int
    recent: Recent = field(default_factory=Recent)
    running: Running = field(default_factory=Running)


@dataclass(frozen=True, slots=True)
class Front:
    """Which door a request came through: provider, the path below the origin, the dialect to answer in."""

    provider: Provider
    path: bytes
    dialect: Dialect
    unified: bool = False
    endpoint: str | None = None
    """The name of the endpoints that it leads to, None for any of the provider's."""


@dataclass(slots=True)
class Attempt:
    """One try at one key."""

    number: int
    candidate: Candidate
    intent: Pending | None = None
    usable: Usable | None = None
    """What stands for the key in it, once there is something to send."""
    answered: bool = False
    """A byte of its reply came."""
    sent: bool = False
    """The request was handed to a connection: from here on it may have had an effect, and may cost."""
    closed: bool = False

    def written(self) -> None:
        """Notes that the request is on its way."""
        self.sent = True

    @property
    def owes_outcome(self) -> bool:
        """Its intent is recorded, or about to be, and no outcome is."""
        return not self.closed and self.intent is not None and not self.intent.refused


@dataclass(slots=True, eq=False)
class Call:
    """One request on its way through the house."""

    id: str
    exchange: Exchange
    front: Front
    facts: Facts
    path_class: PathClass
    started_us: int
    """Wall time, for prices."""
    began_ns: int = field(default_factory=time.monotonic_ns)
    task: asyncio.Task[object] | None = None
    caller: Caller | None = None
    permit: Permit | None = None
    peek: Peek | None = None
    voice: Voice | None = None
    """How the call is translated, where its provider speaks another dialect than its caller."""
    model: str | None = None
    body: bytes = b""
    spliced: bool = False
    verdict: Action = Action.ALLOW
    findings: tuple[Finding, ...] = ()
    plan: Plan | None = None
    attempt: Attempt | None = None
    receipt: str = ""
    dispatched: bool = False
    """Bytes of some attempt left this machine."""
    cut: TokenOneError | None = None
    """Why the house itself ended the call, if it did."""
    in_events: bool = False
    """A plain event stream is going back: an error can be told as one more event."""
    in_frames: bool = False
    """An AWS event stream is going back: an error can be told as one more frame."""
    actor: dict[str, Canonical] = field(default_factory=dict)
    """What every entry says of who called; filled once."""
    marks: dict[str, Canonical] = field(default_factory=dict)

    def end(self, why: TokenOneError) -> None:
        """Ends the call from outside; its outcome and its caller are told why."""
        self.cut = self.cut or why
        if self.task is not None:
            self.task.cancel()

    def mark(self, step: str) -> None:
        """Notes when a step ended, in microseconds since the call came in."""
        self.marks[step] = (time.monotonic_ns() - self.began_ns) // 1000
