"""A database and its three kinds of transaction: reading, noting (an event, no revision) and changing.

Law: what is changed, the new revision and the audit event are one transaction; a reader sees one moment.
Foreign errors become ours here, with no parameter values in them. It knows nothing of any table but `head`
and `audit_events`.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import event, insert, text, update
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from tokenone.audit import Act, Event, Outcome
from tokenone.clock import Clock
from tokenone.errors import ConfigRefused, Conflict, NotFound, StoreUnavailable
from tokenone.store.schema import audit_events, head
from tokenone.types import new_id

CHANNEL: Final = "tokenone_changes"
BUSY_SECONDS: Final = 5
_DRIVERS: Final = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
}
_FOREIGN_KEY_STATE: Final = "23503"
_NOW_US: Final = {
    # Milliseconds: all that SQLite's clock has. '%f' is seconds with three decimals, SS.SSS.
    "sqlite": "SELECT CAST(strftime('%s','now') AS INTEGER) * 1000000"
    " + CAST(substr(strftime('%f','now'), 4) AS INTEGER) * 1000",
    "postgresql": "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)",
}


@dataclass(frozen=True, slots=True)
class Change:
    """A write under way: its connection, the revision it makes and its time."""

    connection: AsyncConnection
    revision: int
    now_us: int


class Database:
    """One engine. `sync` is SQLite's `synchronous`; `schema` a PostgreSQL schema other than `public`."""

    def __init__(self, url: str, clock: Clock, *, sync: str = "FULL", schema: str | None = None) -> None:
        self.url = parse_url(url)
        self.clock = clock
        self.schema = schema if self.is_postgresql else None
        self.engine = self._engine(sync)
        self._file = None if self.is_postgresql else _stamp(self.url.database)
        self.generation = 0
        """Counts how often another file stood at SQLite's path."""

    @property
    def is_postgresql(self) -> bool:
        return self.url.get_backend_name() == "postgresql"

    def _engine(self, sync: str) -> AsyncEngine:
        if self.is_postgresql:
            # asyncpg speaks to one server process; a pooler in between would break prepared statements.
            arguments: dict[str, Any] = {"timeout": BUSY_SECONDS, "command_timeout": 60}
            if self.schema:
                arguments["server_settings"] = {"search_path": self.schema}
            return create_async_engine(
                self.url,
                connect_args=arguments,
                hide_parameters=True,
                pool_pre_ping=True,
                pool_timeout=BUSY_SECONDS,
            )
        _make_private(self.url.database)
        # It logs every statement with its values at DEBUG, whatever hide_parameters says.
        logging.getLogger("aiosqlite").setLevel(logging.WARNING)
        engine = create_async_engine(
            self.url, connect_args={"timeout": BUSY_SECONDS}, hide_parameters=True, pool_timeout=BUSY_SECONDS
        )
        _teach_sqlite(engine, sync)
        return engine

    async def _see(self) -> None:
        """Sees to it that what is open is what stands at SQLite's path: a file that was moved away would answer
        on, for ever and to nobody else. Where another stands there, connections are made anew."""
        if self.is_postgresql or self._file == (stamp := _stamp(self.url.database)):
            return
        self._file = stamp
        self.generation += 1
        await self.engine.dispose()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """One consistent moment; writes are refused on PostgreSQL and pointless on SQLite."""
        await self._see()
        async with converted(), self.engine.connect() as connection:
            if self.is_postgresql:
                await connection.execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )
            async with connection.begin():
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A bare write transaction: no revision, no event (the index, leases, idempotency)."""
        await self._see()
        async with converted(), self.engine.connect() as connection:
            await connection.execution_options(tokenone_write=True)
            async with connection.begin():
                yield connection

    @asynccontextmanager
    async def noting(self, act: Act, target: str, tenant: str | None = None) -> AsyncIterator[Change]:
        """Writes what no gateway reads (people, sessions) and its event; the revision stays."""
        now_us = self.clock.now_us()
        async with self.writing() as connection:
            yield Change(connection, 0, now_us)
            await note(connection, event_of(act, target, tenant, now_us))

    @asynccontextmanager
    async def changing(self, act: Act, target: str, tenant: str | None = None) -> AsyncIterator[Change]:
        """Writes rows that gateways read: takes the next revision first, so writers stand in a line and
        revisions become visible in order; then the event; then everybody who waits is told."""
        now_us = self.clock.now_us()
        async with self.writing() as connection:
            bumped = update(head).values(revision=head.c.revision + 1).returning(head.c.revision)
            revision = (await connection.execute(bumped)).scalar_one()
            yield Change(connection, revision, now_us)
            await note(connection, event_of(act, target, tenant, now_us))
            if self.is_postgresql:
                await connection.execute(text("SELECT pg_notify(:channel, '')"), {"channel": CHANNEL})

    async def refused(self, act: Act, target: str, reason: str) -> None:
        """Records that something was refused; `reason` is the error's stable code."""
        refusal = event_of(act, target, None, self.clock.now_us(), outcome=Outcome.REFUSED, reason=reason)
        async with self.writing() as connection:
            await note(connection, refusal)

    async def now_us(self, connection: AsyncConnection) -> int:
        """Returns the database's own time."""
        return int((await connection.execute(text(_NOW_US[self.url.get_backend_name()]))).scalar_one())

    async def ping(self) -> None:
        """Raises StoreUnavailable unless the database answers."""
        async with self.reading() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        await self.engine.dispose()


def parse_url(url: str) -> URL:
    """Accepts `sqlite:///path` and `postgresql://…` and chooses the driver."""
    try:
        parsed = make_url(url)
        driver = _DRIVERS[parsed.get_backend_name()]
    except (SQLAlchemyError, KeyError):
        raise ConfigRefused("a database is sqlite:///path or postgresql://user@host/name") from None
    return parsed.set(drivername=driver)


def _make_private(path: str | None) -> None:
    """Creates the file readable by its owner alone; its -wal and -shm files take over the mode."""
    if not path or path == ":memory:":
        raise ConfigRefused("SQLite needs a file: several processes share it")
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError:
        raise StoreUnavailable("the database file cannot be opened") from None


def _stamp(path: str | None) -> tuple[int, int]:
    """Returns which file stands at a path now; StoreUnavailable where none does."""
    try:
        found = os.stat(str(path))
    except OSError:
        raise StoreUnavailable("the database file is gone") from None
    return found.st_dev, found.st_ino


def _teach_sqlite(engine: AsyncEngine, sync: str) -> None:
    """Sets the pragmas per connection and takes BEGIN into our hands: a writer begins IMMEDIATE, so that it
    waits for its turn at the start and never fails in the middle."""

    def on_connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            f"synchronous={sync}",
            "foreign_keys=ON",
            f"busy_timeout={BUSY_SECONDS * 1000}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def on_begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("tokenone_write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    event.listen(engine.sync_engine, "connect", on_connect)
    event.listen(engine.sync_engine, "begin", on_begin)


@asynccontextmanager
async def converted() -> AsyncIterator[None]:
    """Turns driver errors into ours; texts of the driver stay out, for they may quote values."""
    try:
        yield
    except IntegrityError as error:
        raise _constraint(error) from None
    except DBAPIError as error:
        raise StoreUnavailable(f"the database refused: {type(error.orig).__name__}") from None
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        raise StoreUnavailable(f"the database does not answer: {type(error).__name__}") from None


def _constraint(error: IntegrityError) -> Conflict | NotFound:
    state = getattr(error.orig, "sqlstate", None)
    if state == _FOREIGN_KEY_STATE or "FOREIGN KEY" in str(error.orig):
        return NotFound("it refers to something that does not exist")
    return Conflict("it exists already")


def event_of(
    act: Act,
    target: str,
    tenant: str | None,
    at_us: int,
    *,
    outcome: Outcome = Outcome.OK,
    reason: str | None = None,
) -> Event:
    """Makes the event of an act."""
    return Event(
        id=new_id("evt"),
        at_us=at_us,
        actor=act.actor,
        actor_name=act.actor_name,
        action=act.action,
        target=target,
        tenant=tenant,
        outcome=outcome,
        reason=act.reason if reason is None else reason,
        source=act.source,
        request_id=act.request_id,
    )


async def note(connection: AsyncConnection, happened: Event) -> None:
    """Writes one audit event in the transaction at hand."""
    values = {name: getattr(happened, name) for name in happened.__struct_fields__}
    await connection.execute(insert(audit_events).values(values | {"outcome": happened.outcome.value}))
