"""Runs the packaged migrations against a database, in one transaction, on the connection that is given.

Law: the migrations give exactly the metadata (a test compares them on both databases); two processes that
start at once do not migrate at once; running it again does nothing. Alembic is loaded where it is used: a
gateway never migrates, and starts an eighth of a second sooner without it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import Connection, MetaData, text

from tokenone.store.database import Database, converted
from tokenone.store.index_schema import index_metadata
from tokenone.store.schema import metadata

if TYPE_CHECKING:
    from alembic.config import Config

_SCRIPTS: Final = Path(__file__).with_name("migrations")
_LOCK: Final = 0x746F_6B31
"""Number of the PostgreSQL advisory lock that one migrating process holds."""


class Schema(NamedTuple):
    """Which migration a database stands at (None: at none), and the newest that this version brings."""

    present: str | None
    newest: str | None


async def migrate_management(database: Database) -> None:
    """Migrates what people edit."""
    await _migrate(database, "management", metadata)


async def migrate_index(database: Database) -> None:
    """Migrates the ledger's query index; makes its PostgreSQL schema first."""
    await _migrate(database, "index", index_metadata)


async def schema_of(database: Database, history: str) -> Schema:
    """Tells where a database stands; changes nothing. `history` is `management` or `index`."""
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    async with database.reading() as connection:
        present = await connection.run_sync(
            lambda within: MigrationContext.configure(within).get_current_revision()
        )
    return Schema(present, ScriptDirectory.from_config(_config(history)).get_current_head())


async def _migrate(database: Database, history: str, target: MetaData) -> None:
    async with converted(), database.engine.connect() as connection:
        await connection.execution_options(tokenone_write=True)  # SQLite: the write lock is the queue
        async with connection.begin():
            if database.is_postgresql:
                await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            if database.schema:
                await connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{database.schema}"'))
            await connection.run_sync(_upgrade, history, target)


def _upgrade(connection: Connection, history: str, target: MetaData) -> None:
    from alembic import command  # noqa: PLC0415

    config = _config(history)
    config.attributes.update(connection=connection, target=target)
    command.upgrade(config, "head")


def _config(history: str) -> Config:
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("version_locations", str(_SCRIPTS / history).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    return config
