"""Reading the audit trail; it is written where things happen (`database.changing`, `noting`, `refused`)."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select

from tokenone.audit import Act, Event, Outcome
from tokenone.store import records
from tokenone.store.database import Database
from tokenone.store.schema import audit_events


class Trail:
    """The verbs on audit events."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def refused(self, act: Act, target: str, reason: str) -> None:
        """Records a refusal, in a transaction of its own."""
        await self._database.refused(act, target, reason)

    async def noted(self, act: Act, target: str, tenant: str | None) -> None:
        """Records an act that changes no row (a challenge given, a key tested)."""
        async with self._database.noting(act, target, tenant):
            pass

    async def page(
        self,
        wanted: Mapping[str, str | None],
        *,
        from_us: int | None = None,
        to_us: int | None = None,
        before: tuple[int, str] | None = None,
        limit: int = 50,
    ) -> list[Event]:
        """Lists events newest first; `wanted` names columns (actor, action, target, tenant, outcome)."""
        table = audit_events.c
        query = select(*(table[name] for name in Event.__struct_fields__))
        query = query.where(*(table[name] == value for name, value in wanted.items() if value is not None))
        if from_us is not None:
            query = query.where(table.at_us >= from_us)
        if to_us is not None:
            query = query.where(table.at_us < to_us)
        query = records.newest_first(query, table.at_us, table.id, before, limit)
        outcome = Event.__struct_fields__.index("outcome")
        async with self._database.reading() as connection:
            rows = [list(found) for found in await connection.execute(query)]
        for row in rows:
            row[outcome] = Outcome(row[outcome])
        return [Event(*row) for row in rows]
