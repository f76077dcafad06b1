"""What stands outside the API: the plain page, health, readiness, metrics.

Law: nothing here tells of a tenant, a person or a key. Metrics go to allowed addresses only.
"""

from __future__ import annotations

import asyncio
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from tokenone.console_api.deps import desk_of, source_of
from tokenone.errors import AddressRefused, StoreUnavailable
from tokenone.types import address_in

READY_SECONDS: Final = 2.0
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>TokenOne BYOK</title></head>
<body><main><h1>TokenOne BYOK</h1>
<p>This console answers. Its web pages are not in this version yet; everything can be done with the
<code>tokenone</code> command and the API at <a href="/api/v1/openapi.json"><code>/api/v1</code></a>.</p>
</main></body></html>
"""

router = APIRouter(include_in_schema=False)


@router.get("/tokenone/byok")
async def byok() -> HTMLResponse:
    return HTMLResponse(_PAGE)


@router.get("/healthz")
async def healthz() -> PlainTextResponse:
    """The process answers."""
    return PlainTextResponse("ok\n")


@router.get("/readyz")
async def readyz(request: Request) -> PlainTextResponse:
    """The database answers too."""
    try:
        async with asyncio.timeout(READY_SECONDS):
            desk_of(request).metrics.revision.set(await desk_of(request).deps.store.revision())
    except TimeoutError:
        raise StoreUnavailable from None
    return PlainTextResponse("ready\n")


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    desk = desk_of(request)
    try:
        allowed = address_in(source_of(request), desk.deps.metrics_addresses)
    except ValueError:
        allowed = False
    if not allowed:
        raise AddressRefused("metrics go to allowed addresses only")
    return Response(desk.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
