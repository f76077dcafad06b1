"""What changed since a revision, and waiting for the next change: the gateway's side of the store.

Law: a delta is one consistent moment, complete up to its revision, and costs what changed and no more (each
table is asked through its index on `revision`). Revision 0 asks for everything, read in portions so that the
loop stays free. It never writes.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final
from urllib.parse import quote

import aiosqlite
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from tokenone.errors import StoreUnavailable
from tokenone.rows import Delta, Removed, Row
from tokenone.store.database import CHANNEL, Database, converted
from tokenone.store.schema import head, removed
from tokenone.store.shape import SHAPES, Shape

PORTION: Final = 500
SQLITE_POLL_SECONDS: Final = 0.1
POSTGRESQL_POLL_SECONDS: Final = 1.0


async def read_delta(database: Database, since: int) -> Delta:
    """Returns every row touched after `since` and every removal."""
    async with database.reading() as connection:
        revision = (await connection.execute(select(head.c.revision))).scalar_one()
        database_us = await database.now_us(connection)
        rows: list[Row] = []
        gone: tuple[Removed, ...] = ()
        if revision != since:
            for shape in SHAPES.values():
                await _gather(connection, shape, since, rows)
            gone = await _gone(connection, since)
    return Delta(revision=revision, database_us=database_us, rows=tuple(rows), removed=gone)


async def _gather(connection: AsyncConnection, shape: Shape[Any], since: int, rows: list[Row]) -> None:
    query = select(*shape.columns)
    if since:
        query = query.where(shape.table.c.revision > since)
    portions = await connection.stream(query, execution_options={"yield_per": PORTION})
    async for portion in portions.partitions():
        rows.extend(map(shape.row, portion))


async def _gone(connection: AsyncConnection, since: int) -> tuple[Removed, ...]:
    if not since:
        return ()
    query = select(removed.c.table, removed.c.id).where(removed.c.revision > since)
    return tuple(Removed(table, id) for table, id in await connection.execute(query))


async def read_revision(database: Database) -> int:
    """Returns the revision of the last write."""
    async with database.reading() as connection:
        return int((await connection.execute(select(head.c.revision))).scalar_one())


class Changes:
    """Waits until the revision moves past the one that was delivered last.

    SQLite: `PRAGMA data_version` on a connection that never writes, ten times a second (it reads one word of
    shared memory). PostgreSQL: LISTEN, and the revision itself once a second in case a notice got lost.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._watch: aiosqlite.Connection | None = None
        self._version = -1
        self._listening: AsyncConnection | None = None
        self._notified = asyncio.Event()
        self.delivered = 0
        self._generation = 0
        self.renewed = False
        """The database is another one than before; whoever follows it reads everything."""

    async def wait(self, timeout_s: float) -> bool:
        """True as soon as there is something to fetch, False after `timeout_s`; StoreUnavailable when the
        database is away (ask again: it reconnects)."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        pause = self._pause_postgresql if self._database.is_postgresql else self._pause_sqlite
        try:
            while not await self._moved():
                left = deadline - loop.time()
                if left <= 0:
                    return False
                await pause(left)
        except StoreUnavailable:
            await self.close()
            raise
        return True

    async def _moved(self) -> bool:
        revision = await read_revision(self._database)
        if self._generation != self._database.generation:
            self._generation = self._database.generation
            self.renewed = True
            await self.close()
        return self.renewed or revision != self.delivered

    async def _pause_sqlite(self, seconds: float) -> None:
        """Returns when another connection has committed since the last look, or after `seconds`."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while loop.time() < until:
            version = await self._data_version()
            if version != self._version:
                self._version = version
                return
            await asyncio.sleep(min(SQLITE_POLL_SECONDS, seconds))

    async def _data_version(self) -> int:
        try:
            if self._watch is None:
                where = quote(str(self._database.url.database))
                self._watch = await aiosqlite.connect(f"file:{where}?mode=rw", uri=True, isolation_level=None)
            async with self._watch.execute("PRAGMA data_version") as cursor:
                found = await cursor.fetchone()
        except (aiosqlite.Error, OSError, ValueError) as error:
            raise StoreUnavailable(f"the database does not answer: {type(error).__name__}") from None
        return int(found[0]) if found else -1

    async def _pause_postgresql(self, seconds: float) -> None:
        """Returns when a writer gave notice, or after a second at most."""
        async with converted():
            await self._listen()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._notified.wait(), min(seconds, POSTGRESQL_POLL_SECONDS))
        self._notified.clear()

    async def _listen(self) -> None:
        if self._listening is not None and not self._listening.closed:
            return
        connection = await self._database.engine.connect()
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        raw = await connection.get_raw_connection()
        driver = raw.driver_connection
        if driver is None:
            raise StoreUnavailable
        await driver.add_listener(CHANNEL, lambda *_: self._notified.set())
        self._listening = connection

    async def close(self) -> None:
        """Lets go of the watching connection."""
        watch, self._watch, self._version = self._watch, None, -1
        listening, self._listening = self._listening, None
        if watch is not None:
            with contextlib.suppress(aiosqlite.Error, ValueError):
                await watch.close()
        if listening is not None:
            async with converted():
                await listening.invalidate()
                await listening.close()
