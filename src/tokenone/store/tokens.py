"""Caller tokens at rest: added, listed, rotated with a grace, revoked.

Law: only the keyed digest is kept; a token is revoked once and stays so; rotation makes the new one and
shortens the old one's life in one transaction. It mints nothing.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import select

from tokenone.audit import Act
from tokenone.errors import Conflict, NotFound
from tokenone.rows import Token, Workload
from tokenone.store import records
from tokenone.store.database import Database
from tokenone.store.schema import tokens, workloads
from tokenone.store.shape import Stored


class Tokens:
    """The verbs on caller tokens."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, act: Act, token: Token) -> Stored[Token]:
        """Adds a token to a workload that is open."""
        async with self._database.reading() as connection:
            workload = (await records.fetch(connection, Workload, token.workload)).row
        async with self._database.changing(act, token.id, workload.tenant) as change:
            if (await records.fetch(change.connection, Workload, token.workload)).row.closed:
                raise Conflict("the workload is closed")
            await records.add(change, token)
        return Stored(token, change.revision)

    async def get(self, id: str) -> Stored[Token]:
        async with self._database.reading() as connection:
            return await records.fetch(connection, Token, id)

    async def page(
        self, *, tenant: str | None = None, workload: str | None = None, after: str = "", limit: int = 50
    ) -> list[Stored[Token]]:
        where = records.equal(Token, {"workload": workload})
        if tenant is not None:
            where.append(tokens.c.workload.in_(select(workloads.c.id).where(workloads.c.tenant == tenant)))
        async with self._database.reading() as connection:
            return await records.page(connection, Token, where, after, limit)

    async def rotate(self, act: Act, id: str, new: Token, grace_us: int) -> Stored[Token]:
        """Adds `new`; the old one expires after the grace at the latest. Conflict if it is over already."""
        tenant = await self._tenant_of(id)
        async with self._database.changing(act, id, tenant) as change:
            old = (await records.fetch(change.connection, Token, id)).row
            if old.revoked_us is not None or (old.expires_us is not None and old.expires_us <= change.now_us):
                raise Conflict("the token is revoked or expired")
            ends_us = min(change.now_us + grace_us, old.expires_us or change.now_us + grace_us)
            await records.replace(change, msgspec.structs.replace(old, expires_us=ends_us))
            await records.add(change, new)
        return Stored(new, change.revision)

    async def revoke(self, act: Act, id: str) -> Stored[Token]:
        """Ends a token now; revoking twice changes nothing."""
        tenant = await self._tenant_of(id)
        async with self._database.changing(act, id, tenant) as change:
            return await records.edit(change, Token, id, lambda token: _revoked(token, change.now_us))

    async def _tenant_of(self, id: str) -> str:
        query = (
            select(workloads.c.tenant)
            .join(tokens, tokens.c.workload == workloads.c.id)
            .where(tokens.c.id == id)
        )
        async with self._database.reading() as connection:
            tenant = (await connection.execute(query)).scalar_one_or_none()
        if tenant is None:
            raise NotFound("no such token")
        return str(tenant)


def _revoked(token: Token, now_us: int) -> Token:
    return token if token.revoked_us is not None else msgspec.structs.replace(token, revoked_us=now_us)
