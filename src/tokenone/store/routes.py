"""Routes: what models' names mean in a scope, one row for each name and scope.

Law: putting a route of a name that the scope has already replaces it, under its id; a route is its scope's
tenant's, and an endpoint that it names is that tenant's own or a preset, of the target's provider. What a rule
means is decided in `route/`, not here.
"""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from tokenone.audit import Act
from tokenone.errors import Conflict, PreconditionFailed
from tokenone.rows import Endpoint, Project, Route, Tenant, Workload
from tokenone.store import records
from tokenone.store.database import Change, Database
from tokenone.store.schema import routes
from tokenone.store.shape import Stored
from tokenone.types import ScopeKind

_SCOPES: Final[dict[ScopeKind, type[Tenant | Project | Workload]]] = {
    "tenant": Tenant,
    "project": Project,
    "workload": Workload,
}


class Routes:
    """The verbs on routes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, act: Act, route: Route, if_revision: int | None = None) -> Stored[Route]:
        """Makes a route, or replaces the scope's one of that name and returns it under its own id."""
        async with self._database.reading() as connection:
            before = await _known(connection, route)
        target = before[0].row.id if before else route.id  # the event is about the row that stays
        async with self._database.changing(act, target, route.tenant) as change:
            await _refuse_foreign(change, route)
            known = await _known(change.connection, route)
            if if_revision is not None and [one.revision for one in known] != [if_revision]:
                raise PreconditionFailed
            if known:
                return await records.replace(change, msgspec.structs.replace(route, id=known[0].row.id))
            await records.add(change, route)
        return Stored(route, change.revision)

    async def get(self, id: str) -> Stored[Route]:
        async with self._database.reading() as connection:
            return await records.fetch(connection, Route, id)

    async def page(
        self, *, tenant: str | None = None, scope: str | None = None, after: str = "", limit: int = 50
    ) -> list[Stored[Route]]:
        where = records.equal(Route, {"tenant": tenant, "scope": scope})
        async with self._database.reading() as connection:
            return await records.page(connection, Route, where, after, limit)

    async def remove(self, act: Act, id: str) -> None:
        """Ends a route: from then on a farther scope's, or the name itself, decides."""
        route = (await self.get(id)).row
        async with self._database.changing(act, id, route.tenant) as change:
            await records.fetch(change.connection, Route, id)
            await records.remove(change, Route, id)

    async def tenant_of(self, kind: ScopeKind, scope: str) -> str:
        """Returns whose a scope is; NotFound where there is none of that kind."""
        async with self._database.reading() as connection:
            return _owner((await records.fetch(connection, _SCOPES[kind], scope)).row)


async def _known(connection: AsyncConnection, route: Route) -> list[Stored[Route]]:
    """Returns the scope's route of the name, in a list of one or none."""
    here = (routes.c.scope == route.scope, routes.c.model == route.model)
    return await records.matching(connection, Route, *here)


async def _refuse_foreign(change: Change, route: Route) -> None:
    """Checks again, inside the write, that everything the route names is the tenant's."""
    scope = await records.fetch(change.connection, _SCOPES[route.kind], route.scope)
    if _owner(scope.row) != route.tenant:
        raise Conflict("the scope belongs to another tenant")
    named = {(one.endpoint, one.provider) for rule in route.rules for one in rule.targets if one.endpoint}
    for id, provider in sorted(named):
        endpoint = (await records.fetch(change.connection, Endpoint, id)).row
        if endpoint.tenant not in (None, route.tenant) or endpoint.provider != provider:
            raise Conflict("a target's endpoint is of another provider or tenant")


def _owner(scope: Tenant | Project | Workload) -> str:
    return scope.id if isinstance(scope, Tenant) else scope.tenant
