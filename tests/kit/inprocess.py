"""The house put together by hand in a thread of this process: what a coverage tool and a recording detector need.

Law: edge, client, ledger, vault, directory and door are the real ones, on loopback; only the rows are handed
to the directory instead of coming from a database, and the detectors are the test's.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import socket
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec
import uvloop
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tokenone.call.credentials import Credentials
from tokenone.call.house import House
from tokenone.call.minted import Minter
from tokenone.call.record import Aggregates
from tokenone.call.referenced import References
from tokenone.call.unified import SPOKEN
from tokenone.canonical import unb64
from tokenone.clock import AnchoredClock
from tokenone.control.ops import Ops
from tokenone.control.server import ControlServer
from tokenone.detect.detector import Detector
from tokenone.detect.secrets import SecretsDetector
from tokenone.dispatch.providers import PROVIDERS
from tokenone.dispatch.reference import Rule, intake_check
from tokenone.gateway.door import Door
from tokenone.gateway.pages import Pages
from tokenone.keyed import Keyed
from tokenone.ledger.disk import Disk
from tokenone.ledger.reader import read
from tokenone.ledger.writer import Ledger, LedgerKeys, LedgerLimits
from tokenone.meter.book import compile_book
from tokenone.meter.rate import PriceBook
from tokenone.route.catalog import Catalog
from tokenone.route.health import Health
from tokenone.route.plan import Planner
from tokenone.rows import (
    Assignment,
    Delta,
    Endpoint,
    Key,
    KeyVersion,
    Project,
    Removed,
    Row,
    Tenant,
    Token,
    Workload,
)
from tokenone.scope import Directory, Limits, mint
from tokenone.secret import Secret
from tokenone.testing.desk import Workplace
from tokenone.types import Ids, KeyState, Provider, new_id
from tokenone.vault.envelope import origin_digest
from tokenone.vault.intake import Intake
from tokenone.vault.keks import create_local_root, open_root
from tokenone.vault.life import leasable, state_at
from tokenone.vault.seal import SealContext, seal
from tokenone.vault.vault import Vault
from tokenone.wire.client import Client
from tokenone.wire.edge import Edge
from tokenone.wire.egress import EgressRules
from tokenone.wire.limits import EdgeLimits
from tokenone.wire.upstream import Timeouts

T = TypeVar("T")
ORIGIN = "log.example/in-process"
PATIENCE = 30
SHORT = Timeouts(connect=1.0, first_byte=1.0, idle=1.0)
EDGE = EdgeLimits(body_bytes=1 << 20, head_seconds=1.0, body_idle_seconds=1.0)
LEDGER = LedgerLimits(probe_seconds=0.05, reserve_bytes=4096)


@dataclass(kw_only=True)
class Manner:
    """What may differ from one house to the next."""

    detectors: tuple[Detector, ...] = field(default_factory=lambda: (SecretsDetector(),))
    timeouts: Timeouts = SHORT
    edge: EdgeLimits = EDGE
    disk: Disk = field(default_factory=Disk)
    ledger: LedgerLimits = LEDGER
    egress: tuple[str, ...] = ("127.0.0.0/8",)
    references: tuple[Rule, ...] = ()
    variables: dict[str, Secret] = field(default_factory=dict)


@cache
def price_book() -> PriceBook:
    return PriceBook.load(compile_book())


def _leasable(key: Key, version: KeyVersion, now_us: int) -> bool:
    return leasable(state_at(key, version, now_us))


class InProcess:
    """A gateway worker without a worker: `with InProcess(folder) as bench`; its rows are added by verbs."""

    def __init__(self, directory: Path, manner: Manner | None = None) -> None:
        self.directory = directory
        self.manner = manner or Manner()
        self.aggregates = Aggregates()
        self.house: House
        self.edge: Edge
        self.control: ControlServer
        self.port = 0
        self.known: dict[str, list[tuple[str, dict[str, Any]]]] = {}
        """What the index would tell of calls that this worker does not remember."""
        self.unready: str | None = None
        self.defects: list[dict[str, Any]] = []
        """What reached the loop's last resort: nothing ever should."""
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="in-process house", daemon=True)
        self._revisions = itertools.count(1)

    @property
    def gateway(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # ── its life ───────────────────────────────────────────────────────────────────────────────────────
    def __enter__(self) -> Self:
        self._thread.start()
        self.run(self._open)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run(self._close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.set_exception_handler(lambda _, context: self.defects.append(context))
        self._loop.run_forever()

    def run(self, story: Callable[[], Awaitable[T]]) -> T:
        """Runs a coroutine function on the house's loop and returns what it returns."""

        async def told() -> T:
            return await story()

        future: concurrent.futures.Future[T] = asyncio.run_coroutine_threadsafe(told(), self._loop)
        return future.result(PATIENCE)

    def do(self, act: Callable[[], T]) -> T:
        """Calls a function on the house's loop."""

        async def acted() -> T:
            return act()

        return self.run(acted)

    async def _open(self) -> None:
        manner, clock = self.manner, AnchoredClock()
        directory = Directory(_leasable, clock)
        root_file = self.directory / "vault.root"
        create_local_root(root_file, "vault", None)
        sealing = X25519PrivateKey.generate()
        keys = LedgerKeys(Ed25519PrivateKey.generate(), X25519PrivateKey.generate().public_key(), ORIGIN)
        ledger = Ledger.open(self.directory / "ledger", 0, keys, clock, manner.ledger, manner.disk)
        await ledger.start()
        book = price_book()
        vault = Vault(open_root(f"local:{root_file}", "vault"), sealing, directory.kek, clock)
        client = Client(EgressRules(manner.egress))
        references = References(manner.references, manner.variables, clock)
        self.house = House(
            directory=directory,
            vault=vault,
            credentials=Credentials(vault, references, Minter(client, clock, manner.timeouts)),
            ledger=ledger,
            client=client,
            detectors=manner.detectors,
            book=book,
            limits=Limits(1),
            health=Health(),
            catalog=Catalog(
                {provider.value: book.models(provider.value) for provider in Provider}, SPOKEN, book.covers
            ),
            planner=Planner(),
            clock=clock,
            pepper=Keyed(b"p" * 32),
            timeouts=manner.timeouts,
            slot=0,
        )
        await self._listen()

    async def _listen(self) -> None:
        house = self.house

        async def lookup(call: str) -> list[tuple[str, dict[str, Any]]]:
            return self.known.get(call, [])

        async def caught_up() -> None:
            return None

        def refused(reason: str, peer: str) -> None:
            self.aggregates.count(reason, peer, house.clock.now_us())

        door = Door(house, Pages(house, lookup, lambda: self.unready), self.aggregates, Ids("call0"))
        self.edge = Edge(door.serve, self.manner.edge, on_refused=refused)
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        await self.edge.start(listener)
        ops = Ops(house, lambda: {"slot": 0}, caught_up).by_name()
        self.control = ControlServer(self.directory / "run" / "gateway-0.sock", ops, allowed_uids=frozenset())
        await self.control.start()

    async def _close(self) -> None:
        await self.control.close()
        await self.edge.drain(1)
        if self.house.ledger.healthy:
            self.aggregates.flush(self.house, before_us=2**62)
        await self.house.ledger.close()
        await self.house.client.close()

    # ── its rows, by the verbs of a management desk ────────────────────────────────────────────────────
    def apply(self, *rows: Row, removed: tuple[Removed, ...] = ()) -> None:
        """Gives rows to the directory, as one delta, and reacts to the keys among them as a worker does."""

        def applied() -> None:
            delta = Delta(next(self._revisions), self.house.clock.now_us(), rows, removed)
            for name in self.house.directory.apply(delta).keys:
                self.house.credentials.forget(name)
                key = self.house.directory.key(name)
                if key is None or key.state is KeyState.COMPROMISED:
                    self.house.running.cut(name)

        self.do(applied)

    def tenant(self, name: str, **fields: Any) -> str:
        tenant_id = new_id("ten")
        new = self.do(lambda: self.house.vault.new_tenant(tenant_id))
        made = {"id": tenant_id, "name": name, **fields}
        self.apply(msgspec.structs.replace(msgspec.convert(made, Tenant), commitment=new.commitment), new.kek)
        return tenant_id

    def place(self, tenant: str, name: str, **token: Any) -> Workplace:
        """Makes a project, a workload and a caller token."""
        project = Project(id=new_id("prj"), tenant=tenant, name=f"{name} project")
        workload = Workload(id=new_id("wkl"), tenant=tenant, project=project.id, name=f"{name} workload")
        self.apply(project, workload)
        minted = self.token(workload.id, **token)
        return Workplace(tenant, project.id, workload.id, minted["text"], minted["id"])

    def token(self, workload: str, **fields: Any) -> dict[str, Any]:
        """Mints a token; returns its id and text."""
        minted = mint(self.house.pepper, fields.get("mode", "live"))
        made = {"id": minted.id, "workload": workload, "digest": b"", **fields}
        self.apply(msgspec.structs.replace(msgspec.convert(made, Token), digest=minted.digest))
        return {"id": minted.id, "text": minted.text}

    def endpoint(self, provider: str, origin: str, *, tenant: str | None = None, **fields: Any) -> str:
        made = {
            "id": new_id("ep"), "tenant": tenant, "provider": provider, "name": "endpoint", "origins": [origin],
            **fields,
        }  # fmt: skip
        row = msgspec.convert(made, Endpoint)
        self.apply(row)
        return row.id

    def key(self, tenant: str, provider: str, endpoint: str, secret: str, **fields: Any) -> str:
        """Seals a secret, has the vault take it in and adds the key with its first version."""
        made = {
            "id": new_id("key"), "tenant": tenant, "provider": provider, "endpoint": endpoint, "name": "key",
            **fields,
        }  # fmt: skip
        key = msgspec.convert(made, Key)
        taken = self.do(lambda: self._take_in(key, secret))
        version = KeyVersion(
            key=key.id, version=1, state=KeyState.ACTIVE, envelope=taken.envelope, masked=taken.masked,
            created_us=0, active_us=0,
        )  # fmt: skip
        self.apply(key, version)
        return key.id

    def envelope(self, key: Key, version: int, secret: str) -> bytes:
        """Has the vault take a secret in as another version of a key."""
        return self.do(lambda: self._take_in(key, secret, version)).envelope

    def _take_in(self, key: Key, secret: str, version: int = 1) -> Intake:
        vault, endpoint = self.house.vault, self.house.directory.endpoint(key.endpoint)
        assert endpoint is not None
        context = SealContext(
            tenant=key.tenant, provider=key.provider.value, endpoint=endpoint.id,
            endpoint_digest=origin_digest(endpoint).hex(), key=key.id, challenge=vault.challenge(),
        )  # fmt: skip
        sealed = seal(unb64(vault.sealing_key().public), secret.encode(), context)
        rules, check = self.house.credentials.references.rules, PROVIDERS[key.provider].check_secret
        check = intake_check(rules, key.tenant, endpoint, check)
        return vault.take_in(sealed, context, key=key, version=version, endpoint=endpoint, check=check)

    def assign(self, key: str, kind: str, scope: str, **fields: Any) -> str:
        made = {"id": new_id("asg"), "key": key, "kind": kind, "scope": scope, **fields}
        self.apply(msgspec.convert(made, Assignment))
        return str(made["id"])

    def api(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        """The few edits that tests make: PATCH of a scope, revoking a token, suspending a key."""
        directory = self.house.directory
        _, kind, row_id, *verb = path.split("/")
        match method, kind, verb:
            case "PATCH", "tenants" | "workloads", []:
                row = directory.tenant(row_id) if kind == "tenants" else directory.workload(row_id)
                assert row is not None
                self.apply(msgspec.convert({**msgspec.structs.asdict(row), **(body or {})}, type(row)))
            case "POST", "tokens", ["revoke"]:
                token = directory.token(row_id)
                assert token is not None
                self.apply(msgspec.structs.replace(token, revoked_us=1))
            case "POST", "keys", ["suspend" | "resume" | "compromise" as state]:
                key = directory.key(row_id)
                assert key is not None
                states = {
                    "suspend": KeyState.SUSPENDED,
                    "resume": KeyState.ACTIVE,
                    "compromise": KeyState.COMPROMISED,
                }
                self.apply(msgspec.structs.replace(key, state=states[state]))
            case _:
                raise NotImplementedError(f"{method} {path}")

    # ── what it recorded ───────────────────────────────────────────────────────────────────────────────
    def entries(self) -> list[tuple[str, dict[str, Any]]]:
        """Returns (kind, fields) of every committed entry."""
        return [(entry.kind, entry.fields) for entry in read(self.directory / "ledger" / "0")]

    def counts(self) -> Counter[str]:
        """Returns what strangers were refused and how often, as far as it is not in the ledger yet."""

        def counted() -> Counter[str]:
            found: Counter[str] = Counter()
            for (reason, _, _), times in self.aggregates._counts.items():
                found[reason] += times
            return found

        return self.do(counted)
