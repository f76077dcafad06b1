"""Things that must not happen twice: idempotency keys of the API, leases of the jobs, settings by name.

Law: a key is taken by inserting it, a lease by one conditional write, both by the database's own order; a
lease's end counts by the database's time, whatever the holders' clocks say. Stored answers hold no secret.
"""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy import delete, insert, select, update

from tokenone.clock import DAY_US, MINUTE_US
from tokenone.errors import Conflict, IdempotencyInProgress, IdempotencyMismatch
from tokenone.store.database import Database
from tokenone.store.schema import idempotency, leases, settings

KEPT_US: Final = DAY_US
ABANDONED_US: Final = MINUTE_US
"""A request that has not ended after this long has died with its process; the key may be taken again."""


class Answer(msgspec.Struct, frozen=True):
    """A stored answer."""

    status: int
    body: str


class Idempotency:
    """Remembers the answers to requests that carried an Idempotency-Key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, person: str, key: str, digest: bytes) -> Answer | None:
        """Returns None when the key is now ours, or the stored answer to the same request."""
        now_us = self._database.clock.now_us()
        here = (idempotency.c.person == person, idempotency.c.key == key)
        try:
            async with self._database.writing() as connection:
                kept = select(idempotency).where(*here)
                found = (await connection.execute(kept)).one_or_none()
                if found is not None and _over(found.status, found.created_us, now_us):
                    await connection.execute(delete(idempotency).where(*here))
                    found = None
                if found is None:
                    row = {"person": person, "key": key, "digest": digest, "created_us": now_us}
                    await connection.execute(insert(idempotency).values(row))
                    return None
        except Conflict:
            raise IdempotencyInProgress from None
        if bytes(found.digest) != digest:
            raise IdempotencyMismatch
        if found.status is None:
            raise IdempotencyInProgress
        return Answer(found.status, found.body or "")

    async def keep(self, person: str, key: str, answer: Answer) -> None:
        """Stores the answer to the request that took the key."""
        kept = update(idempotency).where(idempotency.c.person == person, idempotency.c.key == key)
        async with self._database.writing() as connection:
            await connection.execute(kept.values(status=answer.status, body=answer.body))

    async def release(self, person: str, key: str) -> None:
        """Gives the key back after a refusal, so that the corrected request may use it."""
        here = (idempotency.c.person == person, idempotency.c.key == key)
        async with self._database.writing() as connection:
            await connection.execute(delete(idempotency).where(*here))


def _over(status: int | None, created_us: int, now_us: int) -> bool:
    return created_us + (ABANDONED_US if status is None else KEPT_US) <= now_us


class Leases:
    """Lets one holder at a time do a thing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, name: str, holder: str, for_us: int) -> bool:
        """Takes or extends a lease; False while somebody else holds it."""
        try:
            async with self._database.writing() as connection:
                now_us = await self._database.now_us(connection)
                free = (leases.c.until_us <= now_us) | (leases.c.holder == holder)
                taken = update(leases).where(leases.c.name == name, free)
                values = {"holder": holder, "until_us": now_us + for_us}
                if (await connection.execute(taken.values(values))).rowcount == 1:
                    return True
                held = await connection.execute(select(leases.c.name).where(leases.c.name == name))
                if held.one_or_none() is not None:
                    return False
                await connection.execute(insert(leases).values(values | {"name": name}))
        except Conflict:
            return False  # somebody inserted it first
        return True

    async def drop(self, name: str, holder: str) -> None:
        """Gives a lease back early."""
        async with self._database.writing() as connection:
            await connection.execute(delete(leases).where(leases.c.name == name, leases.c.holder == holder))


class Settings:
    """Small values by name, for the installation as a whole; never a secret."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, name: str) -> str | None:
        async with self._database.reading() as connection:
            query = select(settings.c.value).where(settings.c.name == name)
            return (await connection.execute(query)).scalar_one_or_none()

    async def put(self, name: str, value: str) -> None:
        async with self._database.writing() as connection:
            changed = await connection.execute(
                update(settings).where(settings.c.name == name).values(value=value)
            )
            if changed.rowcount == 0:
                await connection.execute(insert(settings).values(name=name, value=value))
