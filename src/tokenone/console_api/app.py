"""Builds the management API from its dependencies.

Law: every route below /api/v1 is guarded but for signing in and the description; what FastAPI does by default
and we do not want (interactive pages from a CDN, telemetry by environment variable, echoing 422s, redirects)
is off by construction.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer
from starlette.middleware import Middleware

from tokenone.console_api import (
    assignments,
    endpoints,
    keys,
    plain,
    problems,
    records,
    routes,
    scopes,
    sessions,
    tokens,
)
from tokenone.console_api.deps import ConsoleDeps, Desk
from tokenone.console_api.describe import describe
from tokenone.console_api.metrics import Metrics
from tokenone.console_api.rim import Rim
from tokenone.console_api.throttle import Throttle
from tokenone.errors import ConfigRefused

BASE: Final = "/api/v1"
SESSION_KEY_BYTES: Final = 32
_NO_TELEMETRY: Final[Any] = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}
_GUARDED: Final = (
    sessions.router,
    scopes.router,
    endpoints.router,
    keys.router,
    assignments.router,
    routes.router,
    tokens.router,
    records.router,
)


def create_app(deps: ConsoleDeps) -> FastAPI:
    """Returns the application; it opens and closes nothing, the roof does."""
    if len(deps.session_key) < SESSION_KEY_BYTES:
        raise ConfigRefused("the session key has at least 32 bytes")
    metrics = Metrics()
    app = FastAPI(
        title="TokenOne BYOK management",
        version=deps.version or "0",
        openapi_url=f"{BASE}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry=_NO_TELEMETRY,
        middleware=[Middleware(Rim, metrics=metrics)],
    )
    app.state.desk = Desk(deps=deps, throttle=Throttle(deps.clock), metrics=metrics)
    problems.install(app)
    bearer = Depends(
        HTTPBearer(auto_error=False, bearerFormat="JWT")
    )  # for the description; the guard decides
    app.include_router(sessions.open_router, prefix=BASE)
    for router in _GUARDED:
        app.include_router(router, prefix=BASE, dependencies=[bearer])
    app.include_router(plain.router)
    app.openapi = partial(describe, app)  # type: ignore[method-assign]  # FastAPI's documented seam
    return app
