"""Examines what answers: databases, the clock, the workers behind the control sockets, the listening ports.

Law: it asks and changes nothing; every question ends within seconds. A database file that is missing is not
made by looking for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import http.client
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tokenone.assemble.files import RUN_DIRECTORY
from tokenone.assemble.finding import Finding, Level, advice, ok, wrong
from tokenone.assemble.spec import database_url
from tokenone.clock import SECOND_US, AnchoredClock
from tokenone.config import Settings
from tokenone.control.client import ControlClient
from tokenone.errors import TokenOneError
from tokenone.store import Index, Store
from tokenone.store.migrate import Schema

SECONDS: Final = 3.0
CLOCK_ADVICE_US: Final = 2 * SECOND_US
CLOCK_WRONG_US: Final = 60 * SECOND_US
_UPGRADE: Final = "run `tokenone upgrade`"
_SQLITE: Final = "sqlite:///"


# ── databases ──────────────────────────────────────────────────────────────────────────────────────────────
async def databases(directory: Path, settings: Settings) -> AsyncIterator[Finding]:
    """Both answer and are migrated; the management database's clock is this machine's."""
    for name, field, url in (
        ("database", "database.url", settings.database.url),
        ("index", "database.index_url", settings.database.index_url),
    ):
        place = database_url(url, directory)
        if _is_missing(place):
            said = f"{place.removeprefix(_SQLITE)} is missing"
            yield wrong(name, said, "bring it back from a backup, or run `tokenone init`")
            continue
        try:
            async with asyncio.timeout(SECONDS):
                for finding in await (_management(place) if name == "database" else _index(place)):
                    yield finding
        except TokenOneError as error:
            yield wrong(name, error.detail, f"start it, or correct {field}")
        except TimeoutError:
            yield wrong(name, "the database does not answer in time", f"start it, or correct {field}")


def _is_missing(place: str) -> bool:
    """Says whether an SQLite file is not there; opening it would make one."""
    return place.startswith(_SQLITE) and not Path(place.removeprefix(_SQLITE)).exists()


async def _management(place: str) -> list[Finding]:
    store = await Store.open(place, AnchoredClock())
    try:
        schema = _schema("database", place, await store.schema())
        found = [schema, _clock(await _drift_us(store))]
        if schema.level is Level.OK and not await store.people.count():
            found.append(
                wrong(
                    "people", "nobody can sign in: `tokenone init` was cut off", "run `tokenone init` again"
                )
            )
        return found
    finally:
        await store.close()


async def _index(place: str) -> list[Finding]:
    index = await Index.open(place, AnchoredClock())
    try:
        return [_schema("index", place, await index.schema())]
    finally:
        await index.close()


def _schema(name: str, place: str, schema: Schema) -> Finding:
    kind = place.partition(":")[0]
    if schema.present is None:
        return wrong(name, f"{kind}, without tables", "run `tokenone init`")
    if schema.present != schema.newest:
        return wrong(
            name, f"{kind}, at migration {schema.present}; this version needs {schema.newest}", _UPGRADE
        )
    return ok(name, f"{kind}, answers, at migration {schema.present}")


async def _drift_us(store: Store) -> int:
    """Returns how far the database's clock is ahead of this machine's."""
    asked = time.time_ns()
    told_us = await store.ping()
    return told_us - (asked + time.time_ns()) // 2000


def _clock(drift_us: int) -> Finding:
    """Deadlines count by the database's clock; a machine far from it refuses certificates and misreads logs."""
    said = f"{abs(drift_us) / SECOND_US:.1f} s {'behind' if drift_us > 0 else 'ahead of'} the database's"
    do = "let both machines follow the same time servers"
    if abs(drift_us) > CLOCK_WRONG_US:
        return wrong("clock", said, do)
    if abs(drift_us) > CLOCK_ADVICE_US:
        return advice("clock", said, do)
    return ok("clock", "agrees with the database's")


# ── workers ────────────────────────────────────────────────────────────────────────────────────────────────
async def statuses(directory: Path) -> dict[int, dict[str, Any]]:
    """Asks every worker how it stands, by slot; those that do not answer are left out."""
    client = ControlClient(directory / RUN_DIRECTORY)
    found: dict[int, dict[str, Any]] = {}
    for slot in client.slots():
        with contextlib.suppress(TokenOneError, TimeoutError):
            async with asyncio.timeout(SECONDS):
                found[slot] = await client.ask("status", slot=slot)
    return found


def workers(told: dict[int, dict[str, Any]], book: str | None) -> Iterator[Finding]:
    """Each worker's ledger is well and it has the price book that lies in the directory."""
    if not told:
        yield ok("workers", "none runs; start them with `tokenone serve`")
        return
    for slot, status in told.items():
        name = f"worker {slot}"
        if status["ledger"] != "ok":
            yield wrong(
                name,
                f"its ledger says {status['ledger']}",
                "see disk space above, and the worker's last lines",
            )
        elif book is not None and status["price_book"] != book:
            yield advice(
                name, "it runs with an older price book", "replace the workers: kill -HUP of the supervisor"
            )
        else:
            yield ok(name, f"process {status['pid']}, revision {status['revision']}, ledger ok")


# ── ports ──────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class Port:
    """A listener of the configuration and the page by which it is known."""

    name: str
    listen: str
    page: str
    certificate: Path | None
    asks_for_certificates: bool = False

    @property
    def address(self) -> tuple[str, int]:
        """Where to knock: the unspecified address is reached by loopback."""
        host, _, port = self.listen.rpartition(":")
        host = host.strip("[]")
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), int(port)  # noqa: S104  (knocking)


def ports(settings: Settings, *, running: bool) -> Iterator[Finding]:
    """Each listener is free, or served by this very installation."""
    gateway, console = settings.gateway, settings.console
    for port in (
        Port("gateway port", gateway.listen, "/livez", gateway.tls_cert, gateway.client_ca is not None),
        Port("console port", console.listen, "/healthz", console.tls_cert),
    ):
        yield _port(port, running=running)


def _port(port: Port, *, running: bool) -> Finding:
    setting = port.name.replace(" port", ".listen")
    end_it = f"end it, or choose another {setting}"
    refused = _refusal(port)
    if refused is None and running:
        said = f"nothing listens on {port.listen} although workers run"
        return wrong(port.name, said, "restart `tokenone serve`")
    if refused is None:
        return ok(port.name, f"{port.listen}, free")
    if refused.errno != errno.EADDRINUSE:
        return wrong(port.name, f"{port.listen} cannot be taken: {refused.strerror}", f"correct {setting}")
    if not _is_ours(port):
        return wrong(port.name, f"another program listens on {port.listen}", end_it)
    if not running:
        return wrong(port.name, f"another installation serves {port.listen}", end_it)
    return ok(port.name, f"{port.listen}, served by this installation")


def _refusal(port: Port) -> OSError | None:
    """Takes the port for a moment, without listening; returns what the system has against it."""
    host, number = port.listen.rpartition(":")[0].strip("[]"), port.address[1]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
        except OSError as error:
            return error
    return None


def _is_ours(port: Port) -> bool:
    """Says whether what listens answers as we do, with our certificate where there is one."""
    connection = http.client.HTTPConnection(*port.address, timeout=SECONDS)
    if port.certificate is not None:
        context = _only(port.certificate)
        connection = http.client.HTTPSConnection(*port.address, timeout=SECONDS, context=context)
    try:
        connection.connect()
        if port.asks_for_certificates:
            return True  # only our own certificate came so far; without one of ours there is no answer
        connection.request("GET", port.page)
        answer = connection.getresponse()
        return answer.status == http.client.OK and b"ok" in answer.read(64)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _only(certificate: Path) -> ssl.SSLContext:
    """A context that trusts this very certificate, under whatever name it is reached."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    with contextlib.suppress(OSError):  # a file that cannot be read trusts nobody
        context.load_verify_locations(cafile=str(certificate))
    return context
