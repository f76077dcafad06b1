"""The OpenAPI 3.1 description: FastAPI's own, with our problems and headers in the place of its defaults.

Law: it is made from the routes once and says what they do: every error is a problem.
"""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from tokenone.console_api.problems import MEDIA_TYPE

_DROPPED: Final = ("HTTPValidationError", "ValidationError")
_IDEMPOTENCY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
}
_IF_MATCH: Final = {"name": "If-Match", "in": "header", "required": False, "schema": {"type": "string"}}
_HEADERS: Final = {"post": _IDEMPOTENCY, "patch": _IF_MATCH, "put": _IF_MATCH}


class Fault(BaseModel):
    """One field at fault: where, and what kind of fault; never what was sent."""

    at: str
    problem: str


class Problem(BaseModel):
    """An RFC 9457 problem."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str
    errors: list[Fault] | None = None


def describe(app: FastAPI) -> dict[str, Any]:
    """Returns the description, made at the first call."""
    if app.openapi_schema is None:
        app.openapi_schema = _describe(app)
    return app.openapi_schema


def _describe(app: FastAPI) -> dict[str, Any]:
    made = get_openapi(title=app.title, version=app.version, openapi_version="3.1.0", routes=app.routes)
    schemas = made["components"]["schemas"]
    for name in _DROPPED:
        schemas.pop(name, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= problem.pop("$defs") | {"Problem": problem}
    for path in made["paths"].values():
        for method, operation in path.items():
            _complete(method, operation)
    return made


def _complete(method: str, operation: dict[str, Any]) -> None:
    """Every error of an operation is a problem; signed-in writes take their header."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    operation["responses"].pop("422", None)
    operation["responses"] |= {
        kind: {"description": "A problem", "content": content} for kind in ("4XX", "5XX")
    }
    if method in _HEADERS and "security" in operation:
        operation.setdefault("parameters", []).append(_HEADERS[method])
