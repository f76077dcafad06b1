"""The wire's bench: real edges, clients and scripted peers on loopback ports; async tests run on uvloop."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import importlib.util
import inspect
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tokenone.types import Origin, parse_origin
from tokenone.wire.client import Client, Outgoing
from tokenone.wire.dialer import Resolve
from tokenone.wire.edge import Edge
from tokenone.wire.egress import EgressRules
from tokenone.wire.exchange import Exchange
from tokenone.wire.limits import EdgeLimits
from tokenone.wire.upstream import ClientLimits, Timeouts

STORY_SECONDS = 30


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs an async test to its end on a uvloop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(pyfuncitem.obj(**wanted), STORY_SECONDS))
    return True


@pytest.fixture(scope="session")
def fuzz() -> ModuleType:
    """The fuzz target, whose readers the other tests share."""
    spec = importlib.util.spec_from_file_location("fuzz_framing", Path(__file__).with_name("fuzz_framing.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ── callers ────────────────────────────────────────────────────────────────────────────────────────────────
class Peer:
    """A raw connection, on either side: bytes as they are."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> bytes:
        return await self.reader.readuntil(b"\r\n\r\n")

    async def message(self) -> tuple[bytes, bytes]:
        """Reads a message that is framed by length (or has none)."""
        head = await self.head()
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length: "):
                return head, await self.reader.readexactly(int(line[16:]))
        return head, b""

    async def rest(self) -> bytes:
        """Reads until the other side closes; a reset counts as the end."""
        parts = []
        with contextlib.suppress(ConnectionError):
            while part := await self.reader.read(65_536):
                parts.append(part)
        return b"".join(parts)

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        """Closes with a TCP reset."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.writer.transport.abort()


@dataclass
class Door:
    """A running edge and how to reach it."""

    edge: Edge
    port: int
    refused: list[str]

    @contextlib.asynccontextmanager
    async def caller(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[Peer]:
        host = "localhost" if tls else None
        peer = Peer(*await asyncio.open_connection("127.0.0.1", self.port, ssl=tls, server_hostname=host))
        try:
            yield peer
        finally:
            peer.close()

    async def ask(self, raw: bytes) -> bytes:
        """Sends bytes on a connection of their own and returns all that comes back."""
        async with self.caller() as caller:
            caller.send(raw)
            return await caller.rest()


OpenEdge = Callable[..., contextlib.AbstractAsyncContextManager[Door]]


@pytest.fixture
def open_edge() -> OpenEdge:
    """Opens an edge on a free loopback port: `async with open_edge(handler, head_seconds=0.3) as door`."""

    @contextlib.asynccontextmanager
    async def opened(
        handler: Callable[[Exchange], Awaitable[None]], *, tls: ssl.SSLContext | None = None, **limits: Any
    ) -> AsyncIterator[Door]:
        refused: list[str] = []
        edge = Edge(handler, EdgeLimits(**limits), tls=tls, on_refused=lambda why, _: refused.append(why))
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        await edge.start(sock)
        try:
            yield Door(edge, sock.getsockname()[1], refused)
        finally:
            await edge.drain(0)

    return opened


# ── providers ──────────────────────────────────────────────────────────────────────────────────────────────
Script = Callable[[Peer], Awaitable[None]]


@dataclass
class Stand:
    """A scripted provider: runs its script on every connection."""

    origin: Origin
    peers: list[Peer] = field(default_factory=list)


OpenProvider = Callable[..., contextlib.AbstractAsyncContextManager[Stand]]


@pytest.fixture
def open_provider() -> OpenProvider:
    """Opens a scripted provider: `async with open_provider(script) as stand`."""

    @contextlib.asynccontextmanager
    async def opened(script: Script, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Stand]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            peer = Peer(reader, writer)
            stand.peers.append(peer)
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await script(peer)

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
        port = server.sockets[0].getsockname()[1]
        stand = Stand(parse_origin(f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"))
        try:
            yield stand
        finally:
            for peer in stand.peers:
                peer.writer.transport.abort()
            server.close()

    return opened


@pytest.fixture
def answering() -> Callable[..., Script]:
    """Makes a script that answers every request with the same bytes."""

    def script_of(response: bytes, *, then_close: bool = False) -> Script:
        async def script(peer: Peer) -> None:
            while True:
                await peer.message()
                peer.send(response)
                if then_close:
                    await peer.writer.drain()
                    peer.close()
                    return

        return script

    return script_of


@pytest.fixture
def open_client() -> Callable[..., contextlib.AbstractAsyncContextManager[Client]]:
    """Opens a client whose egress list holds loopback."""

    @contextlib.asynccontextmanager
    async def opened(
        *, allow: tuple[str, ...] = ("127.0.0.0/8",), resolve: Resolve | None = None, **limits: Any
    ) -> AsyncIterator[Client]:
        client = Client(EgressRules(allow), ClientLimits(**limits), resolve=resolve)
        try:
            yield client
        finally:
            await client.close()

    return opened


@pytest.fixture
def request_to() -> Callable[..., Outgoing]:
    """Makes a request to an origin."""

    def outgoing(origin: Origin, **changes: Any) -> Outgoing:
        timeouts = Timeouts(**changes.pop("timeouts", {}))
        values: dict[str, Any] = {"pool": ("tenant", "key", 1), "method": b"POST", "target": b"/v1/x"}
        values |= {"headers": [(b"accept", b"*/*")], "body": b"{}"}
        return Outgoing(origin=origin, timeouts=timeouts, **(values | changes))

    return outgoing


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Waits until a condition holds, looking after every turn of the loop for at most five seconds."""

    async def wait(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():  # noqa: ASYNC110 - the condition has no event of its own
                await asyncio.sleep(0.002)

    return wait


# ── certificates ───────────────────────────────────────────────────────────────────────────────────────────
class Authority:
    """A CA of the test's own."""

    def __init__(self, directory: Path, name: str = "Test CA") -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._count = 0
        self.certificate = self._sign(self._name, self._key.public_key(), [], is_ca=True)
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")
        self.path = directory / f"{name}.pem"
        self.path.write_text(self.pem)

    def issue(
        self, *hosts: str, expired: bool = False, self_signed: bool = False, common: str = "x"
    ) -> tuple[Path, Path]:
        """Issues a certificate for host names or addresses; returns the paths of certificate and key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
        signer = key if self_signed else None
        certificate = self._sign(subject, key.public_key(), list(hosts), expired=expired, self_signed=signer)
        self._count += 1
        cert_path, key_path = (
            self._directory / f"{id(self)}-{self._count}.{kind}" for kind in ("crt", "key")
        )
        cert_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return cert_path, key_path

    def _sign(
        self,
        subject: x509.Name,
        public: ec.EllipticCurvePublicKey,
        hosts: list[str],
        *,
        is_ca: bool = False,
        expired: bool = False,
        self_signed: ec.EllipticCurvePrivateKey | None = None,
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        day = datetime.timedelta(days=1)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if self_signed else self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 3 * day)
            .not_valid_after(now - day if expired else now + day)
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        )
        if hosts:
            builder = builder.add_extension(
                x509.SubjectAlternativeName(list(map(_name, hosts))), critical=False
            )
        return builder.sign(self_signed or self._key, hashes.SHA256())


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)
