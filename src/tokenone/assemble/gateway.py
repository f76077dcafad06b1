"""A gateway worker: wires the duties of the data plane, keeps them fresh, drains when told to.

Law: it listens only when roots, directory and ledger are ready; it ends itself when the ledger is dead (the
supervisor starts another). It reads no environment and answers no management request.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import re
import resource
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import uvloop
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from tokenone.assemble.files import LEDGER_DIRECTORY, PRICE_BOOK, RUN_DIRECTORY, read_auditor
from tokenone.assemble.logs import log_as_json
from tokenone.assemble.roots import open_keys, open_roots
from tokenone.assemble.slots import Slots
from tokenone.assemble.spec import GatewaySpec, Inherited, receive, refuse
from tokenone.call.credentials import Credentials
from tokenone.call.house import House
from tokenone.call.minted import Minter
from tokenone.call.record import Aggregates
from tokenone.call.referenced import References
from tokenone.call.unified import SPOKEN
from tokenone.clock import AnchoredClock
from tokenone.control.client import ControlClient
from tokenone.control.ops import Ops
from tokenone.control.server import ControlServer
from tokenone.detect.secrets import SecretsDetector
from tokenone.errors import LedgerUnavailable, StoreUnavailable, TokenOneError
from tokenone.gateway.door import Door
from tokenone.gateway.pages import Entries, Pages
from tokenone.keyed import Keyed
from tokenone.ledger.writer import LedgerKeys, LedgerLimits
from tokenone.meter.rate import PriceBook
from tokenone.route.catalog import Catalog
from tokenone.route.health import Health
from tokenone.route.plan import Planner
from tokenone.rows import Delta, Key, KeyVersion
from tokenone.scope import Directory, Limits, Touched
from tokenone.secret import Secret, reveal
from tokenone.store import Index, Store
from tokenone.types import Ids, KeyState, Provider
from tokenone.vault.life import leasable, state_at
from tokenone.vault.vault import Vault
from tokenone.vault.working import WorkingKeys
from tokenone.wire.client import Client
from tokenone.wire.edge import Edge
from tokenone.wire.egress import EgressRules
from tokenone.wire.limits import EdgeLimits
from tokenone.wire.tls import ServerTls
from tokenone.wire.upstream import Timeouts

LEDGER_DEAD: Final = 70
REFRESH_SECONDS: Final = 0.5
RETRY_SECONDS: Final = 0.5
ORPHAN_SECONDS: Final = 5.0
CUT_SECONDS: Final = 1.0
SWITCH_SECONDS: Final = 0.0005
"""How long the ledger's thread waits for the interpreter after fdatasync: callers wait with it."""
YOUNG_OBJECTS: Final = 20_000
"""Calls under way are thousands of objects that die by themselves: the collector need not look at each twice."""
_CALL_SLOT: Final = re.compile(r"call(\d{1,4})_")


@dataclass(slots=True)
class Worker:
    """One worker's parts and its background work."""

    spec: GatewaySpec
    store: Store
    index: Index
    house: House
    slots: Slots
    follow: Follow
    aggregates: Aggregates
    edge: Edge
    control: ControlServer
    tls: ServerTls | None

    async def run(self, inherited: Inherited) -> int:
        """Serves until told to stop or until the ledger is dead; returns the exit code."""
        assert inherited.listener is not None
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        work = [
            asyncio.create_task(steadily("following the database", self._refresh, 0.0)),
            asyncio.create_task(steadily("once a second", self._tick, 1.0)),
            asyncio.create_task(steadily("closing orphaned logs", self.slots.close_orphans, ORPHAN_SECONDS)),
        ]
        await self.control.start()
        await self.edge.start(inherited.listener)
        inherited.say_ready()
        stopping = asyncio.create_task(stop.wait())
        dead = asyncio.create_task(self.house.ledger.fatal.wait())
        await asyncio.wait({stopping, dead}, return_when=asyncio.FIRST_COMPLETED)
        if dead.done():
            _say("the ledger is dead: fdatasync failed; nothing was dispatched since")
            os._exit(LEDGER_DEAD)  # nothing may run on: what is in memory was never durable
        await self._drain(work)
        return 0

    async def _drain(self, work: list[asyncio.Task[None]]) -> None:
        """Lets calls end; those that take longer than they may are cut, and their outcomes say so."""
        await self.control.close()
        cut = asyncio.get_running_loop().call_later(self.spec.drain_seconds, self.house.running.cut_all)
        await self.edge.drain(self.spec.drain_seconds + CUT_SECONDS)
        cut.cancel()
        for task in work:
            task.cancel()
        with contextlib.suppress(LedgerUnavailable):
            self.aggregates.flush(self.house, before_us=sys.maxsize)
        await self.house.ledger.close()
        await self.house.client.close()
        await self.store.close()
        await self.index.close()

    # ── kept fresh ─────────────────────────────────────────────────────────────────────────────────────
    async def _refresh(self) -> None:
        """Follows the database by delta; while it is away the directory ages and calls go on until its bound."""
        await self.store.changed(REFRESH_SECONDS)
        await self.follow.catch_up()

    async def _tick(self) -> None:
        """What is due by time."""
        self.house.credentials.lapse()
        with contextlib.suppress(LedgerUnavailable):
            self.aggregates.flush(self.house, before_us=self.house.clock.now_us())
        if self.tls is not None and self.tls.reload():
            _say("the certificate was renewed")


async def steadily(name: str, step: Callable[[], Awaitable[None]], pause: float) -> None:
    """Does a step again and again; tells when it begins to fail and when it works again, and never ends."""
    trouble = ""
    while True:
        told = detail = ""
        try:
            await step()
        except TokenOneError as error:
            told, detail = error.code, f" ({error.detail})"
        except Exception as error:  # noqa: BLE001  the top of background work: calls depend on its going on
            told = f"a defect: {type(error).__name__}"
        if told != trouble:
            _say(f"{name}: {told or 'works again'}{detail}")
            trouble = told
        await asyncio.sleep(max(pause, RETRY_SECONDS) if told else pause)


@dataclass(frozen=True, slots=True)
class Follow:
    """Brings the directory up to the database; whoever cannot wait for the next poll asks for it."""

    store: Store
    house: House
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def catch_up(self) -> None:
        """Applies what changed since the directory's revision; raises StoreUnavailable."""
        async with self.turn:
            delta, whole = await self._changes()
            self.house.clock.anchor(delta.database_us)
            directory = self.house.directory
            self._react(directory.renew(delta) if whole else directory.apply(delta))

    async def _changes(self) -> tuple[Delta, bool]:
        """Returns what changed, or everything where the database is another one or was set back."""
        if not self.store.renewed:
            since = self.house.directory.revision
            delta = await self.store.delta(since)
            if delta.revision >= since:
                return delta, False
        _say("the database was replaced or set back: everything is read anew")
        return await self.store.delta(0), True

    def _react(self, touched: Touched) -> None:
        """Drops what was derived from rows that changed, and cuts the calls of compromised keys."""
        house = self.house
        for key_id in touched.keys:
            house.credentials.forget(key_id)
            key = house.directory.key(key_id)
            if key is None or key.state is KeyState.COMPROMISED:
                house.running.cut(key_id)
            for version in house.directory.versions(key_id):
                if not _leasable_now(house, key, version):
                    house.client.retire_pool(key_id, version.version)


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Finds calls that this worker did not serve."""

    slot: int
    siblings: ControlClient
    index: Index

    async def find(self, call: str) -> Entries:
        """Asks the worker that served the call, then the index; empty where nobody knows it."""
        named = _CALL_SLOT.match(call)
        slot = int(named.group(1)) if named else self.slot
        if slot != self.slot and slot in self.siblings.slots():
            with contextlib.suppress(TokenOneError):
                told = await self.siblings.ask("call", slot=slot, call=call)
                if told["entries"]:
                    return [(kind, fields) for kind, fields in told["entries"]]
        with contextlib.suppress(StoreUnavailable):
            return await self.index.told(call)
        return []


@dataclass(frozen=True, slots=True)
class Status:
    """What a worker tells people about itself."""

    spec: GatewaySpec
    house: House
    edge: Edge

    def tell(self) -> dict[str, Any]:
        """Returns the worker's state: nothing secret, no content."""
        house, stats = self.house, self.edge.stats
        return {
            "slot": house.slot,
            "pid": os.getpid(),
            "revision": house.directory.revision,
            "ledger": "ok" if house.ledger.healthy else LedgerUnavailable.code,
            "connections": stats.connections,
            "requests": stats.requests,
            "served": stats.served,
            "roots": {name: uri.partition(":")[0] for name, uri in self.spec.roots.items()},
            "price_book": house.book.version,
            "sealing_key": house.vault.sealing_key().fingerprint,
        }


async def build(spec: GatewaySpec) -> Worker:
    """Opens everything a worker needs; raises OperatorError and says what is wrong."""
    directory_path = Path(spec.directory)
    clock = AnchoredClock()
    roots = open_roots(spec.roots, directory_path, spec.passphrase, profile=spec.profile)
    keys = open_keys(roots, directory_path)
    store = await Store.open(spec.database_url, clock)
    index = await Index.open(spec.index_url, clock)
    directory = Directory(_leasable, clock)
    first = await store.delta(0)
    clock.anchor(first.database_us)
    directory.apply(first)
    slots = _slots(spec, keys, clock)
    slot, ledger = slots.take(spec.slots)
    await ledger.start()
    book = PriceBook.load((directory_path / PRICE_BOOK).read_bytes())
    vault = Vault(roots["vault"], keys.sealing, directory.kek, clock)
    client = Client(EgressRules(spec.egress_allow))
    house = House(
        directory=directory,
        vault=vault,
        credentials=Credentials(vault, _references(spec, clock), Minter(client, clock)),
        ledger=ledger,
        client=client,
        detectors=(SecretsDetector(),),
        book=book,
        limits=Limits(spec.workers),
        health=Health(),
        catalog=Catalog(
            {provider.value: book.models(provider.value) for provider in Provider}, SPOKEN, book.covers
        ),
        planner=Planner(),
        clock=clock,
        pepper=Keyed(reveal(keys.pepper)),
        timeouts=Timeouts(
            connect=spec.connect_seconds, first_byte=spec.first_byte_seconds, idle=spec.idle_seconds
        ),
        slot=slot,
    )
    return _wire(spec, store, index, house, slots)


def _wire(spec: GatewaySpec, store: Store, index: Index, house: House, slots: Slots) -> Worker:
    """Puts the doors in front of the house."""
    run = Path(spec.directory) / RUN_DIRECTORY
    siblings = ControlClient(run)
    aggregates = Aggregates()

    def unready() -> str | None:
        return None if house.ledger.healthy else LedgerUnavailable.code

    def refused(reason: str, peer: str) -> None:
        aggregates.count(reason, peer, house.clock.now_us())

    pages = Pages(house, Elsewhere(house.slot, siblings, index).find, unready)
    door = Door(house, pages, aggregates, Ids(f"call{house.slot}"))
    tls = _tls(spec)
    edge = Edge(
        door.serve,
        EdgeLimits(body_bytes=spec.body_bytes),
        tls=tls.context if tls else None,
        on_refused=refused,
    )
    follow = Follow(store, house)
    ops = Ops(house, Status(spec, house, edge).tell, follow.catch_up)
    socket_path = run / f"gateway-{house.slot}.sock"
    control = ControlServer(socket_path, ops.by_name(), allowed_uids=frozenset(spec.control_uids))
    return Worker(spec, store, index, house, slots, follow, aggregates, edge, control, tls)


def _references(spec: GatewaySpec, clock: AnchoredClock) -> References:
    variables = {name: Secret(value.encode()) for name, value in spec.reference_variables.items()}
    return References(spec.reference_rules, variables, clock, world_readable=spec.references_world_readable)


def _leasable_now(house: House, key: Key | None, version: KeyVersion) -> bool:
    return key is not None and _leasable(key, version, house.clock.now_us())


def _leasable(key: Key, version: KeyVersion, now_us: int) -> bool:
    return leasable(state_at(key, version, now_us))


def _slots(spec: GatewaySpec, keys: WorkingKeys, clock: AnchoredClock) -> Slots:
    directory = Path(spec.directory)
    auditor = X25519PublicKey.from_public_bytes(read_auditor(directory))
    ledger_keys = LedgerKeys(keys.signing, auditor, spec.ledger_origin)
    limits = LedgerLimits(segment_bytes=spec.segment_bytes)
    return Slots(directory / LEDGER_DIRECTORY, ledger_keys, clock, limits, say=_say)


def _tls(spec: GatewaySpec) -> ServerTls | None:
    if spec.tls_cert is None or spec.tls_key is None:
        return None
    client_ca = None if spec.client_ca is None else Path(spec.client_ca)
    return ServerTls(Path(spec.tls_cert), Path(spec.tls_key), client_ca)


def _say(line: str) -> None:
    with contextlib.suppress(
        OSError
    ):  # whoever listened may be gone: background work is not to end with them
        sys.stderr.write(f"gateway: {line}\n")
        sys.stderr.flush()


async def _run() -> int:
    spec, inherited = receive(GatewaySpec)
    worker = await build(spec)
    gc.collect()
    gc.freeze()  # what was built stays; the collector need not walk it again
    gc.set_threshold(YOUNG_OBJECTS, 20, 20)
    return await worker.run(inherited)


def main() -> None:
    """Runs a worker; a refusal to start is one line that says which thing is wrong."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    log_as_json()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        sys.exit(uvloop.run(_run()))
    except TokenOneError as error:
        refuse("gateway", error)


if __name__ == "__main__":
    main()
