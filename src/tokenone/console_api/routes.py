"""Routes of routes: what a model's name means in a scope, and why a call would go where it goes.

Law: a scope has one route for a name; PUT makes it or replaces it. An explanation is a gateway's: it knows what
the keys may do now, and asks no provider.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from tokenone.console_api.deps import act_of, deps_of
from tokenone.console_api.guard import GuardedRoute
from tokenone.console_api.pages import Cursor, Limit, Page, after_of, next_after
from tokenone.console_api.route_shapes import ExplainIn, ExplanationOut, RouteIn, RouteOut
from tokenone.console_api.rows import row_of, shown, tag, wanted_revision
from tokenone.console_api.shapes import Id
from tokenone.rows import Route
from tokenone.store.shape import Stored
from tokenone.types import new_id

router = APIRouter(route_class=GuardedRoute, tags=["routes"])

_Filter = Annotated[Id | None, Query()]


@router.put("/routes", operation_id="route.set")
async def set_route(request: Request, response: Response, body: RouteIn) -> RouteOut:
    """Makes the scope's route of this name or replaces it; effective at every gateway within two seconds."""
    routes, expected = deps_of(request).store.routes, wanted_revision(request)
    tenant = await routes.tenant_of(body.kind, body.scope)
    route = row_of(Route, body, id=new_id("rte"), tenant=tenant)
    return _answer(response, await routes.put(act_of(request), route, expected))


@router.get("/routes", operation_id="route.list")
async def list_routes(
    request: Request, tenant: _Filter = None, scope: _Filter = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[RouteOut]:
    routes = deps_of(request).store.routes
    found = await routes.page(tenant=tenant, scope=scope, after=after_of(cursor), limit=limit)
    items = [_shown(stored) for stored in found]
    return Page(items=items, next=next_after([item.id for item in items], limit))


@router.get("/routes/{id}", operation_id="route.get")
async def get_route(request: Request, response: Response, id: Id) -> RouteOut:
    return _answer(response, await deps_of(request).store.routes.get(id))


@router.delete("/routes/{id}", operation_id="route.delete", status_code=204)
async def delete_route(request: Request, id: Id) -> None:
    """Ends a route; a farther scope's, or the name itself, decides from then on."""
    await deps_of(request).store.routes.remove(act_of(request), id)


@router.post("/routes/explain", operation_id="route.explain")
async def explain_route(request: Request, body: ExplainIn) -> ExplanationOut:
    """Tells where a call of a workload would go and why, by every rule, target and key; nobody is called."""
    answer = await deps_of(request).control.ask("route.explain", **body.model_dump())
    return ExplanationOut.model_validate(answer)


def _answer(response: Response, stored: Stored[Route]) -> RouteOut:
    tag(response, stored.revision)
    return _shown(stored)


def _shown(stored: Stored[Route]) -> RouteOut:
    return shown(RouteOut, stored.row, revision=stored.revision)
