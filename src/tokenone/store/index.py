"""The ledger's query index: takes shipped entries once, in order; answers for calls, attempts and costs.

Law: a log's cursor moves in the same transaction as its rows, so shipping again changes nothing; all of it
can be dropped and shipped anew. Sums are of integers in nano-USD; what has no price is counted, not guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Column, ColumnElement, Table, case, delete, distinct, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from tokenone.clock import DAY_US, Clock
from tokenone.errors import NotFound
from tokenone.store import records
from tokenone.store.database import Database
from tokenone.store.fold import ATTEMPT_COLUMNS, CALL_COLUMNS, Folding, ShippedEntry
from tokenone.store.index_schema import attempts, calls, cursors, entries, index_metadata
from tokenone.store.migrate import Schema, migrate_index, schema_of

SCHEMA: Final = "tokenone_index"
GROUPS: Final = ("tenant", "project", "workload", "key", "provider", "model", "day")
CALL_FILTERS: Final = ("tenant", "project", "workload", "token", "key", "provider", "model", "outcome")
_AT_ONCE: Final = 400
"""Ids per IN list and rows per statement: below SQLite's and PostgreSQL's limits on parameters."""


class Place(NamedTuple):
    """Where a log's reader stands: behind a batch, in a segment (the fields of the ledger's own cursor)."""

    segment: int = 0
    offset: int = 0
    seq: int = 0


class CallRow(msgspec.Struct, frozen=True):
    """One call as the index knows it; `key` and `ver` are those of its last attempt."""

    id: str
    at_us: int
    tenant: str
    project: str
    workload: str
    token: str
    path: str
    provider: str | None
    model: str | None
    key: str | None
    ver: int | None
    attempts: int
    outcome: str
    status: int | None
    error_class: str | None = msgspec.field(name="class")
    code: str | None
    cause: str | None
    usage: dict[str, Any] | None
    cost_nano: int | None
    cost_source: str | None
    fee_nano: int | None


class AttemptRow(msgspec.Struct, frozen=True):
    """One attempt: where it went, with which key version, how it ended and what it cost."""

    attempt: int
    slot: int
    seq: int
    at_us: int
    key: str
    ver: int
    provider: str
    endpoint: str
    origin: str
    method: str
    path: str
    model: str | None
    verdict: str | None
    closed_us: int | None
    status: int | None
    error_class: str | None = msgspec.field(name="class")
    cause: str | None
    sent: int | None
    received: int | None
    usage: dict[str, Any] | None
    cost: dict[str, Any] | None
    cost_nano: int | None
    cost_source: str | None
    fee_nano: int | None


class CostLine(msgspec.Struct, frozen=True):
    """Sums of one group; `cost_nano` is of the priced attempts, `unpriced` counts the others."""

    group: dict[str, Any]
    calls: int
    unpriced: int
    cost_nano: int
    fee_nano: int
    input: int
    output: int


class Index:
    """The verbs on the index. Its SQLite file syncs less often than the management one: it can be rebuilt."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    async def open(cls, url: str, clock: Clock, *, schema: str = SCHEMA) -> Index:
        """Opens the index database; on PostgreSQL it lives in a schema of its own."""
        return cls(Database(url, clock, sync="NORMAL", schema=schema))

    async def migrate(self) -> None:
        await migrate_index(self._database)

    async def schema(self) -> Schema:
        """Tells whether the index is migrated."""
        return await schema_of(self._database, "index")

    async def close(self) -> None:
        await self._database.close()

    async def clear(self) -> None:
        """Forgets everything, to be shipped again from the segments."""
        async with self._database.writing() as connection:
            for table in index_metadata.tables.values():
                await connection.execute(delete(table))

    # ── shipping ───────────────────────────────────────────────────────────────────────────────────────
    async def cursor(self, slot: int) -> int:
        """Returns the last sequence number taken from a log, -1 before the first."""
        async with self._database.reading() as connection:
            return await _cursor(connection, slot)

    async def cursors(self) -> dict[int, int]:
        async with self._database.reading() as connection:
            found = await connection.execute(select(cursors.c.slot, cursors.c.seq))
            return {int(row.slot): int(row.seq) for row in found}

    async def place(self, slot: int) -> Place:
        """Returns where the reader of a log goes on."""
        query = select(cursors.c.segment, cursors.c.place, cursors.c.seq).where(cursors.c.slot == slot)
        async with self._database.reading() as connection:
            found = (await connection.execute(query)).one_or_none()
        return Place() if found is None else Place(*found)

    async def ship(self, slot: int, shipped: Sequence[ShippedEntry], place: Place | None = None) -> int:
        """Takes entries of one log in their order and returns how many were new; `place` is kept with them."""
        start = self._insert(cursors).values(slot=slot, seq=-1, segment=0, place=0).on_conflict_do_nothing()
        async with self._database.writing() as connection:
            await connection.execute(start)
            # The row's lock keeps two shippers of one log apart; SQLite's writers are apart anyway.
            locked = select(cursors.c.seq).where(cursors.c.slot == slot).with_for_update()
            last = int((await connection.execute(locked)).scalar_one())
            new = [entry for entry in shipped if entry.seq > last]
            if new:
                await self._take(connection, slot, new)
                moved: dict[str, int] = {"seq": new[-1].seq}
                if place is not None:
                    moved |= {"segment": place.segment, "place": place.offset}
                await connection.execute(cursors.update().where(cursors.c.slot == slot).values(moved))
        return len(new)

    async def rewind(self, slot: int, place: Place) -> None:
        """Goes back in a log to `place`; calls that were shipped stay, entries behind it are taken anew."""
        behind = (entries.c.slot == slot) & (entries.c.seq > place.seq)
        moved = {"seq": place.seq, "segment": place.segment, "place": place.offset}
        async with self._database.writing() as connection:
            await connection.execute(delete(entries).where(behind))
            await connection.execute(cursors.update().where(cursors.c.slot == slot).values(moved))

    async def _take(self, connection: AsyncConnection, slot: int, new: Sequence[ShippedEntry]) -> None:
        folding = await _known(
            connection, {call for entry in new if isinstance(call := entry.fields.get("call"), str)}
        )
        for entry in new:
            folding.add(slot, entry)
        for portion in _portions([_entry_columns(slot, entry) for entry in new]):
            await connection.execute(insert(entries), portion)
        await self._upsert(connection, attempts, list(folding.attempts.values()))
        await self._upsert(connection, calls, list(folding.calls.values()))

    async def _upsert(self, connection: AsyncConnection, table: Table, rows: list[dict[str, Any]]) -> None:
        statement = self._insert(table)
        keys = [column.name for column in table.primary_key]
        changed = {
            column.name: statement.excluded[column.name] for column in table.c if column.name not in keys
        }
        for portion in _portions(rows):
            await connection.execute(
                statement.on_conflict_do_update(index_elements=keys, set_=changed), portion
            )

    def _insert(self, table: Table) -> Any:
        dialect = postgresql if self._database.is_postgresql else sqlite
        return dialect.insert(table)

    # ── asking ─────────────────────────────────────────────────────────────────────────────────────────
    async def call(self, id: str) -> tuple[CallRow, tuple[AttemptRow, ...]]:
        """Returns a call and its attempts in order; NotFound for one that was not shipped yet."""
        columns = _columns(attempts, AttemptRow)
        tried = select(*columns).where(attempts.c.call == id).order_by(attempts.c.attempt)
        async with self._database.reading() as connection:
            found = (
                await connection.execute(select(*_columns(calls, CallRow)).where(calls.c.id == id))
            ).one_or_none()
            if found is None:
                raise NotFound("no such call; a new one appears here within seconds")
            return _row(CallRow, found), tuple(
                _row(AttemptRow, row) for row in await connection.execute(tried)
            )

    async def told(self, call: str) -> list[tuple[str, dict[str, Any]]]:
        """Returns what the ledger told about a call, (kind, fields) in order; empty if nothing was shipped."""
        query = select(entries.c.kind, entries.c.fields).where(entries.c.call == call)
        async with self._database.reading() as connection:
            found = await connection.execute(query.order_by(entries.c.slot, entries.c.seq))
            return [(row.kind, msgspec.json.decode(row.fields)) for row in found]

    async def calls(
        self,
        wanted: Mapping[str, str | None],
        *,
        from_us: int | None = None,
        to_us: int | None = None,
        before: tuple[int, str] | None = None,
        limit: int = 50,
    ) -> list[CallRow]:
        """Lists calls newest first; `wanted` names columns of CALL_FILTERS."""
        query = select(*_columns(calls, CallRow)).where(*_where(calls, wanted, from_us, to_us))
        query = records.newest_first(query, calls.c.at_us, calls.c.id, before, limit)
        async with self._database.reading() as connection:
            return [_row(CallRow, found) for found in await connection.execute(query)]

    async def costs(
        self, group_by: Sequence[str], from_us: int | None, to_us: int | None, *, tenant: str | None = None
    ) -> list[CostLine]:
        """Sums costs and fees by any of GROUPS; `day` is the UTC day as microseconds of its beginning."""
        groups = [_group(name) for name in group_by]
        unpriced = case((attempts.c.cost_source == "unpriced", 1), else_=0)
        sums = [func.count(distinct(attempts.c.call)), func.sum(unpriced)]
        sums += [
            func.coalesce(func.sum(attempts.c[name]), 0)
            for name in ("cost_nano", "fee_nano", "input", "output")
        ]
        query = select(*groups, *sums).where(*_where(attempts, {"tenant": tenant}, from_us, to_us))
        query = query.group_by(*groups).order_by(*groups)
        async with self._database.reading() as connection:
            found = [tuple(row) for row in await connection.execute(query)]
        width = len(groups)
        return [
            CostLine(
                dict(zip(group_by, row[:width], strict=True)), *(int(value or 0) for value in row[width:])
            )
            for row in found
            if row[width]
        ]


async def _cursor(connection: AsyncConnection, slot: int) -> int:
    found = (
        await connection.execute(select(cursors.c.seq).where(cursors.c.slot == slot))
    ).scalar_one_or_none()
    return -1 if found is None else int(found)


async def _known(connection: AsyncConnection, touched: Iterable[str]) -> Folding:
    """Reads the calls and attempts that the new entries go on with."""
    known_calls: dict[str, dict[str, Any]] = {}
    known_attempts: dict[tuple[str, int], dict[str, Any]] = {}
    for ids in _portions(sorted(touched)):
        queried = select(*(calls.c[name] for name in CALL_COLUMNS)).where(calls.c.id.in_(ids))
        for row in (await connection.execute(queried)).mappings():
            known_calls[row["id"]] = dict(row)
        queried = select(*(attempts.c[name] for name in ATTEMPT_COLUMNS)).where(attempts.c.call.in_(ids))
        for row in (await connection.execute(queried)).mappings():
            known_attempts[row["call"], row["attempt"]] = dict(row)
    return Folding(known_calls, known_attempts)


def _entry_columns(slot: int, entry: ShippedEntry) -> dict[str, Any]:
    call = entry.fields.get("call")
    return {
        "slot": slot,
        "seq": entry.seq,
        "kind": entry.kind,
        "at_us": entry.at_us,
        "call": call if isinstance(call, str) else None,
        "fields": msgspec.json.encode(entry.fields).decode("utf-8"),
    }


def _portions(items: list[Any]) -> Iterable[list[Any]]:
    return (items[start : start + _AT_ONCE] for start in range(0, len(items), _AT_ONCE))


def _columns(table: Table, kind: type[msgspec.Struct]) -> list[Column[Any]]:
    return [table.c[name] for name in kind.__struct_encode_fields__]


def _row(kind: type[Any], found: Sequence[Any]) -> Any:
    """Makes a row from `_columns`; usage and cost are JSON texts."""
    values = list(found)
    for place, name in enumerate(kind.__struct_encode_fields__):
        if name in ("usage", "cost") and values[place] is not None:
            values[place] = msgspec.json.decode(values[place])
    return kind(*values)


def _where(
    table: Table, wanted: Mapping[str, str | None], from_us: int | None, to_us: int | None
) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = [
        table.c[name] == value for name, value in wanted.items() if value is not None
    ]
    if from_us is not None:
        where.append(table.c.at_us >= from_us)
    if to_us is not None:
        where.append(table.c.at_us < to_us)
    return where


def _group(name: str) -> ColumnElement[Any]:
    if name == "day":
        return (attempts.c.at_us - attempts.c.at_us % DAY_US).label("day")
    return attempts.c[name]
