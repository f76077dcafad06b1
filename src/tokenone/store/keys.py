"""Endpoints, provider keys with their versions, and assignments of keys to scopes.

Law: a key's states follow the one table in `vault.life`; destroying empties every envelope in the same
transaction; a key is assigned within its tenant only. Envelopes go to gateways by delta and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from sqlalchemy import select

from tokenone.audit import Act
from tokenone.errors import Conflict, NotFound
from tokenone.rows import Assignment, Endpoint, Key, KeyVersion, Project, Row, Tenant, Workload
from tokenone.store import records
from tokenone.store.database import Change, Database
from tokenone.store.schema import assignments, endpoints, key_versions, keys
from tokenone.store.shape import Stored
from tokenone.types import KeyState
from tokenone.vault.life import Event, step

_SCOPES: Final[dict[str, type[Row]]] = {"tenant": Tenant, "project": Project, "workload": Workload}


class VersionView(msgspec.Struct, frozen=True):
    """A version as people may see it: the row without its envelope, and the secret's keyed fingerprint."""

    version: int
    state: KeyState
    masked: str
    fingerprint: str
    created_us: int
    active_us: int | None
    retire_us: int | None


class KeyView(msgspec.Struct, frozen=True):
    """A key and its versions, oldest first."""

    key: Key
    versions: tuple[VersionView, ...]
    revision: int


class Keys:
    """The verbs on endpoints, keys and assignments."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # ── endpoints ──────────────────────────────────────────────────────────────────────────────────────
    async def add_endpoint(self, act: Act, endpoint: Endpoint) -> Stored[Endpoint]:
        """Adds an endpoint; it is never edited, for keys are sealed to its origins."""
        async with self._database.changing(act, endpoint.id, endpoint.tenant) as change:
            await records.add(change, endpoint)
        return Stored(endpoint, change.revision)

    async def endpoint(self, id: str) -> Stored[Endpoint]:
        async with self._database.reading() as connection:
            return await records.fetch(connection, Endpoint, id)

    async def endpoints(
        self, *, tenant: str | None = None, provider: str | None = None, after: str = "", limit: int = 50
    ) -> list[Stored[Endpoint]]:
        """Lists endpoints; those of a tenant include the presets."""
        where = records.equal(Endpoint, {"provider": provider})
        if tenant is not None:
            where.append(endpoints.c.tenant.is_(None) | (endpoints.c.tenant == tenant))
        async with self._database.reading() as connection:
            return await records.page(connection, Endpoint, where, after, limit)

    # ── keys ───────────────────────────────────────────────────────────────────────────────────────────
    async def add(self, act: Act, key: Key, version: KeyVersion, fingerprint: str) -> KeyView:
        """Adds a key with its first version; its endpoint must be the tenant's own or a preset."""
        async with self._database.changing(act, key.id, key.tenant) as change:
            endpoint = (await records.fetch(change.connection, Endpoint, key.endpoint)).row
            if endpoint.provider != key.provider or endpoint.tenant not in (None, key.tenant):
                raise Conflict("the endpoint is of another provider or tenant")
            await records.add(change, key)
            await records.add(change, version, fingerprint=fingerprint)
            return await _view(change, key.id)

    async def get(self, id: str) -> KeyView:
        async with self._database.reading() as connection:
            return await _view(Change(connection, 0, 0), id)

    async def page(
        self,
        *,
        tenant: str | None = None,
        provider: str | None = None,
        state: str | None = None,
        after: str = "",
        limit: int = 50,
    ) -> list[KeyView]:
        where = records.equal(Key, {"tenant": tenant, "provider": provider, "state": state})
        async with self._database.reading() as connection:
            found = await records.page(connection, Key, where, after, limit)
            return await _views(Change(connection, 0, 0), found)

    async def advance(self, act: Act, id: str, event: Event) -> KeyView:
        """Takes a key as a whole through suspend, resume, compromise or destroy; Conflict where the table of
        states has no such step."""
        key = (await self.get(id)).key
        async with self._database.changing(act, id, key.tenant) as change:
            stored = await records.edit(change, Key, id, lambda row: _after(row, event))
            if stored.row.state is KeyState.DESTROYED:
                await _shred(change, id)
            return await _view(change, id)

    # ── assignments ────────────────────────────────────────────────────────────────────────────────────
    async def assign(self, act: Act, assignment: Assignment) -> Stored[Assignment]:
        """Grants a key to a scope of the same tenant."""
        tenant = (await self.get(assignment.key)).key.tenant
        async with self._database.changing(act, assignment.id, tenant) as change:
            scope = (await records.fetch(change.connection, _SCOPES[assignment.kind], assignment.scope)).row
            if tenant != (scope.id if isinstance(scope, Tenant) else getattr(scope, "tenant", None)):
                raise Conflict("the scope belongs to another tenant than the key")
            await records.add(change, assignment)
        return Stored(assignment, change.revision)

    async def assignment(self, id: str) -> Stored[Assignment]:
        async with self._database.reading() as connection:
            return await records.fetch(connection, Assignment, id)

    async def assignments(
        self,
        *,
        key: str | None = None,
        scope: str | None = None,
        tenant: str | None = None,
        after: str = "",
        limit: int = 50,
    ) -> list[Stored[Assignment]]:
        where = records.equal(Assignment, {"key": key, "scope": scope})
        if tenant is not None:
            where.append(assignments.c.key.in_(select(keys.c.id).where(keys.c.tenant == tenant)))
        async with self._database.reading() as connection:
            return await records.page(connection, Assignment, where, after, limit)

    async def reassign(
        self, act: Act, id: str, how: Callable[[Assignment], Assignment], if_revision: int | None = None
    ) -> Stored[Assignment]:
        """Changes weight or priority; another scope is another assignment."""
        tenant = await self.tenant_of_assignment(id)
        async with self._database.changing(act, id, tenant) as change:
            return await records.edit(change, Assignment, id, how, if_revision)

    async def unassign(self, act: Act, id: str) -> None:
        """Ends a grant."""
        tenant = await self.tenant_of_assignment(id)
        async with self._database.changing(act, id, tenant) as change:
            await records.fetch(change.connection, Assignment, id)
            await records.remove(change, Assignment, id)

    async def tenant_of_assignment(self, id: str) -> str:
        query = (
            select(keys.c.tenant)
            .join(assignments, assignments.c.key == keys.c.id)
            .where(assignments.c.id == id)
        )
        async with self._database.reading() as connection:
            tenant = (await connection.execute(query)).scalar_one_or_none()
        if tenant is None:
            raise NotFound("no such assignment")
        return str(tenant)


def _after(key: Key, event: Event) -> Key:
    return msgspec.structs.replace(key, state=step(key.state, event))


async def _shred(change: Change, key: str) -> None:
    """Empties every envelope: with the wrapped data key gone nothing opens them again."""
    for stored in await records.matching(change.connection, KeyVersion, key_versions.c.key == key):
        gone = msgspec.structs.replace(stored.row, state=KeyState.DESTROYED, envelope=b"")
        await records.replace(change, gone)


async def _view(change: Change, id: str) -> KeyView:
    return (await _views(change, [await records.fetch(change.connection, Key, id)]))[0]


async def _views(change: Change, found: list[Stored[Key]]) -> list[KeyView]:
    """Adds the versions; envelopes are not even read."""
    columns = [key_versions.c[name] for name in ("key", *VersionView.__struct_fields__)]
    ids = [stored.row.id for stored in found]
    query = select(*columns).where(key_versions.c.key.in_(ids)).order_by(key_versions.c.version)
    versions: dict[str, list[VersionView]] = {id: [] for id in ids}
    for key, version, state, *rest in await change.connection.execute(query):
        versions[key].append(VersionView(version, KeyState(state), *rest))
    return [KeyView(stored.row, tuple(versions[stored.row.id]), stored.revision) for stored in found]
