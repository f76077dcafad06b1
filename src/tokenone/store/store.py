"""The management store: one object per process, its verbs in parts by subject.

Law: every write is one transaction with its revision and its audit event; nothing above this floor knows SQL.
"""

from __future__ import annotations

from tokenone.audit import Act
from tokenone.clock import Clock
from tokenone.rows import Delta
from tokenone.store.database import Database
from tokenone.store.delta import Changes, read_delta, read_revision
from tokenone.store.keys import Keys
from tokenone.store.migrate import Schema, migrate_management, schema_of
from tokenone.store.once import Idempotency, Leases, Settings
from tokenone.store.people import People
from tokenone.store.routes import Routes
from tokenone.store.scopes import Scopes
from tokenone.store.tidy import Tidied, tidy
from tokenone.store.tokens import Tokens
from tokenone.store.trail import Trail


class Store:
    """What people edit, in SQLite or PostgreSQL. Open it once per process; safe for concurrent tasks."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._changes = Changes(database)
        self.scopes = Scopes(database)
        self.keys = Keys(database)
        self.tokens = Tokens(database)
        self.routes = Routes(database)
        self.people = People(database)
        self.trail = Trail(database)
        self.idempotency = Idempotency(database)
        self.leases = Leases(database)
        self.settings = Settings(database)

    @classmethod
    async def open(cls, url: str, clock: Clock) -> Store:
        """Opens `sqlite:///path` or `postgresql://…`; it connects at the first verb, which tells."""
        return cls(Database(url, clock))

    async def migrate(self) -> None:
        """Brings the database to the present schema; safe to run at every start."""
        await migrate_management(self._database)

    async def schema(self) -> Schema:
        """Tells whether the database is migrated."""
        return await schema_of(self._database, "management")

    async def delta(self, since: int) -> Delta:
        """Returns what changed after revision `since` with the database's time; 0 asks for everything."""
        delta = await read_delta(self._database, since)
        self._changes.delivered = delta.revision
        if not since:
            self._changes.renewed = False
        return delta

    @property
    def renewed(self) -> bool:
        """Says that the database is another one since the last delta of everything."""
        return self._changes.renewed

    async def changed(self, timeout_s: float) -> bool:
        """Waits until there is more than the last delta gave: True at once then, False after `timeout_s`."""
        return await self._changes.wait(timeout_s)

    async def revision(self) -> int:
        return await read_revision(self._database)

    async def ping(self) -> int:
        """Returns the database's time; StoreUnavailable unless it answers."""
        async with self._database.reading() as connection:
            return await self._database.now_us(connection)

    async def tidy(self, act: Act) -> Tidied:
        return await tidy(self._database, act)

    async def close(self) -> None:
        await self._changes.close()
        await self._database.close()
