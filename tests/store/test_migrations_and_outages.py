"""Migrations give the metadata; a database that is away is said to be away, and comes back."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData

from tokenone.clock import AnchoredClock, FrozenClock
from tokenone.errors import ConfigRefused, StoreUnavailable
from tokenone.store import Index, Store
from tokenone.store.database import Database
from tokenone.store.index_schema import index_metadata
from tokenone.store.schema import metadata

pytestmark = pytest.mark.anyio


def modes_in(directory: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}


def differences(connection: Connection, target: MetaData) -> list[Any]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, target))


async def test_the_migrations_give_the_management_schema(new_url: str, clock: FrozenClock) -> None:
    store = await Store.open(new_url, clock)
    await asyncio.gather(store.migrate(), store.migrate())  # two processes that start at once
    await store.close()
    database = Database(new_url, clock)
    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences, metadata) == []
    await database.close()


async def test_the_migrations_give_the_index_schema(new_url: str, clock: FrozenClock) -> None:
    index = await Index.open(new_url, clock)
    await index.migrate()
    await index.migrate()
    await index.close()
    database = Database(new_url, clock, schema="tokenone_index")
    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences, index_metadata) == []
    await database.close()


async def test_sqlite_files_are_their_owners_alone_and_durable(tmp_path: Path, clock: FrozenClock) -> None:
    store = await Store.open(f"sqlite:///{tmp_path}/m.db", clock)
    await store.migrate()
    await store.delta(0)
    modes = modes_in(tmp_path)
    assert set(modes.values()) == {0o600}, modes
    async with store._database.engine.connect() as connection:
        for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
            assert (await connection.exec_driver_sql(f"PRAGMA {pragma}")).scalar_one() == value
    await store.close()


async def test_an_absent_database_is_unavailable_and_says_nothing_else(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path}/none/m.db", "postgresql://ann:hunter2secret@/x?host=/nonexistent"):
        with pytest.raises(StoreUnavailable) as refused:
            await opened_and_read(url)
        assert "hunter2secret" not in repr(refused.value)
        assert refused.value.__cause__ is None


async def opened_and_read(url: str) -> None:
    store = await Store.open(url, AnchoredClock())
    try:
        await store.delta(0)
    finally:
        await store.close()


async def test_a_database_without_tables_is_unavailable(new_url: str, clock: FrozenClock) -> None:
    store = await Store.open(new_url, clock)
    with pytest.raises(StoreUnavailable):
        await store.delta(0)
    with pytest.raises(StoreUnavailable):
        await store.changed(1)
    await store.migrate()
    assert (await store.delta(0)).revision == 0
    assert not await store.changed(0)
    await store.close()


async def test_a_url_that_is_none_is_refused_without_repeating_it() -> None:
    for url in ("mysql://u:hunter2secret@h/d", "hunter2secret", "sqlite://", "sqlite:///:memory:"):
        with pytest.raises(ConfigRefused) as refused:
            await Store.open(url, AnchoredClock())
        assert "hunter2secret" not in repr(refused.value)
