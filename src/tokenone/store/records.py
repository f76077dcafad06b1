"""Reading, listing, adding and editing one row of any kind: the SQL that all subjects share.

Law: an edit reads the row inside its own transaction and gives it the transaction's revision. What a subject
allows is decided in the subject's file, not here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tokenone.errors import NotFound, PreconditionFailed
from tokenone.rows import Row
from tokenone.store.database import Change
from tokenone.store.schema import removed
from tokenone.store.shape import R, Stored, shape_of


async def fetch(connection: AsyncConnection, kind: type[R], id: str) -> Stored[R]:
    """Returns one row by id; NotFound otherwise."""
    shape = shape_of(kind)
    found = (await connection.execute(select(*shape.columns).where(shape.table.c.id == id))).one_or_none()
    if found is None:
        raise NotFound(f"no such {kind.__name__.lower()}")
    return shape.stored(found)


async def page(
    connection: AsyncConnection, kind: type[R], where: Sequence[ColumnElement[bool]], after: str, limit: int
) -> list[Stored[R]]:
    """Returns up to `limit` rows in id order behind `after`."""
    shape = shape_of(kind)
    query = (
        select(*shape.columns).where(shape.table.c.id > after, *where).order_by(shape.table.c.id).limit(limit)
    )
    return [shape.stored(found) for found in await connection.execute(query)]


async def matching(
    connection: AsyncConnection, kind: type[R], *where: ColumnElement[bool]
) -> list[Stored[R]]:
    """Returns every row that fits; for the few that belong to one thing."""
    shape = shape_of(kind)
    return [shape.stored(found) for found in await connection.execute(select(*shape.columns).where(*where))]


async def add(change: Change, row: Row, **extra: Any) -> None:
    """Inserts a row; `extra` are columns that the row does not have."""
    shape = shape_of(type(row))
    values = shape.values(row) | extra | {"revision": change.revision}
    await change.connection.execute(insert(shape.table).values(values))


async def edit(
    change: Change, kind: type[R], id: str, how: Callable[[R], R], if_revision: int | None = None
) -> Stored[R]:
    """Replaces one row by `how(row)`; PreconditionFailed if it is not at `if_revision` any more."""
    current = await fetch(change.connection, kind, id)
    if if_revision is not None and current.revision != if_revision:
        raise PreconditionFailed
    return await replace(change, how(current.row))


async def replace(change: Change, row: R) -> Stored[R]:
    """Writes a row over the one with its primary key."""
    shape = shape_of(type(row))
    here = [column == getattr(row, column.name) for column in shape.table.primary_key]
    values = shape.values(row) | {"revision": change.revision}
    await change.connection.execute(update(shape.table).where(*here).values(values))
    return Stored(row, change.revision)


async def remove(change: Change, kind: type[Row], id: str) -> None:
    """Deletes a row and leaves its tombstone."""
    shape = shape_of(kind)
    await change.connection.execute(delete(shape.table).where(shape.table.c.id == id))
    tombstone = {"table": kind.__name__, "id": id, "revision": change.revision}
    await change.connection.execute(insert(removed).values(tombstone))


def equal(kind: type[Row], wanted: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    """Returns the conditions `column = value` of those values that are not None."""
    columns = shape_of(kind).table.c
    return [columns[name] == value for name, value in wanted.items() if value is not None]


def newest_first(
    query: Select[Any],
    at: ColumnElement[int],
    id: ColumnElement[str],
    before: tuple[int, str] | None,
    limit: int,
) -> Select[Any]:
    """Orders by time and id, newest first, behind the cursor `before`."""
    if before is not None:
        at_us, last = before
        query = query.where(or_(at < at_us, and_(at == at_us, id < last)))
    return query.order_by(at.desc(), id.desc()).limit(limit)
