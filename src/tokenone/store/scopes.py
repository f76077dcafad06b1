"""Tenants, projects and workloads: made, renamed, closed, restricted.

Law: a tenant is made together with its key-encryption key; names are unique within their parent; a scope is
closed, never deleted, for the ledger names it for ever. It does not decide what a restriction means.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tokenone.audit import Act
from tokenone.errors import Conflict
from tokenone.rows import Project, Tenant, TenantKek, Workload
from tokenone.store import records
from tokenone.store.database import Database
from tokenone.store.shape import Stored

S = TypeVar("S", Tenant, Project, Workload)


class Scopes:
    """The verbs on scopes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_tenant(self, act: Act, tenant: Tenant, kek: TenantKek) -> Stored[Tenant]:
        """Adds a tenant and the first version of its key-encryption key."""
        async with self._database.changing(act, tenant.id, tenant.id) as change:
            await records.add(change, tenant)
            await records.add(change, kek)
        return Stored(tenant, change.revision)

    async def add_project(self, act: Act, project: Project) -> Stored[Project]:
        """Adds a project to a tenant that is open."""
        async with self._database.changing(act, project.id, project.tenant) as change:
            _refuse_closed((await records.fetch(change.connection, Tenant, project.tenant)).row)
            await records.add(change, project)
        return Stored(project, change.revision)

    async def add_workload(self, act: Act, workload: Workload) -> Stored[Workload]:
        """Adds a workload to a project that is open; its tenant must be the project's."""
        async with self._database.changing(act, workload.id, workload.tenant) as change:
            project = (await records.fetch(change.connection, Project, workload.project)).row
            _refuse_closed(project)
            if project.tenant != workload.tenant:
                raise Conflict("the project belongs to another tenant")
            await records.add(change, workload)
        return Stored(workload, change.revision)

    async def get(self, kind: type[S], id: str) -> Stored[S]:
        async with self._database.reading() as connection:
            return await records.fetch(connection, kind, id)

    async def page(
        self,
        kind: type[S],
        *,
        tenant: str | None = None,
        project: str | None = None,
        after: str = "",
        limit: int = 50,
    ) -> list[Stored[S]]:
        """Lists scopes in id order behind `after`; filters that a kind lacks are refused by its columns."""
        where = records.equal(kind, {"tenant": tenant, "project": project})
        async with self._database.reading() as connection:
            return await records.page(connection, kind, where, after, limit)

    async def edit(
        self, act: Act, kind: type[S], id: str, how: Callable[[S], S], if_revision: int | None = None
    ) -> Stored[S]:
        """Replaces a scope by `how(scope)`."""
        async with self._database.changing(act, id, await self._tenant_of(kind, id)) as change:
            return await records.edit(change, kind, id, how, if_revision)

    async def _tenant_of(self, kind: type[S], id: str) -> str:
        row = (await self.get(kind, id)).row
        return row.id if isinstance(row, Tenant) else row.tenant


def _refuse_closed(scope: Tenant | Project) -> None:
    if scope.closed:
        raise Conflict(f"the {type(scope).__name__.lower()} is closed")
