"""Routes of endpoints: fixed sets of a provider's origins.

Law: https, unless the operator allow-listed that very origin or its address; the gateway checks again whenever
it dials. There is no edit: another origin is another endpoint.
"""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from tokenone.console_api.answers import EndpointOut
from tokenone.console_api.deps import act_of, deps_of
from tokenone.console_api.guard import GuardedRoute
from tokenone.console_api.pages import Cursor, Limit, Page, after_of, next_after
from tokenone.console_api.rows import row_of, shown, tag
from tokenone.console_api.shapes import EndpointIn, Id, ProviderName
from tokenone.errors import EndpointRefused
from tokenone.rows import Endpoint
from tokenone.types import Origin, address_in, new_id, parse_origin

router = APIRouter(route_class=GuardedRoute, tags=["endpoints"])


@router.post("/endpoints", operation_id="endpoint.create", status_code=201)
async def add_endpoint(request: Request, response: Response, body: EndpointIn) -> EndpointOut:
    """Makes an endpoint; `tenant` null makes a preset for everybody."""
    deps = deps_of(request)
    endpoint = row_of(Endpoint, body, id=new_id("ep"))
    for origin in map(parse_origin, endpoint.origins):
        if origin.scheme == "http" and not _allowed(origin, deps.egress_allow):
            raise EndpointRefused
    stored = await deps.store.keys.add_endpoint(act_of(request), endpoint)
    tag(response, stored.revision)
    return shown(EndpointOut, stored.row, revision=stored.revision)


@router.get("/endpoints", operation_id="endpoint.list")
async def list_endpoints(
    request: Request,
    tenant: Id | None = None,
    provider: ProviderName | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[EndpointOut]:
    keys = deps_of(request).store.keys
    found = await keys.endpoints(tenant=tenant, provider=provider, after=after_of(cursor), limit=limit)
    items = [shown(EndpointOut, stored.row, revision=stored.revision) for stored in found]
    return Page(items=items, next=next_after([item.id for item in items], limit))


@router.get("/endpoints/{id}", operation_id="endpoint.get")
async def get_endpoint(request: Request, response: Response, id: Id) -> EndpointOut:
    stored = await deps_of(request).store.keys.endpoint(id)
    tag(response, stored.revision)
    return shown(EndpointOut, stored.row, revision=stored.revision)


def _allowed(origin: Origin, allow: tuple[str, ...]) -> bool:
    blocks = tuple(entry for entry in allow if "://" not in entry)
    if str(origin) in allow:
        return True
    try:
        return address_in(origin.host, blocks)
    except ValueError:
        return False  # a name: only its very origin can be allow-listed for http
