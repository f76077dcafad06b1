"""Every error as an RFC 9457 problem, with a stable code and the request's id.

Law: an answer names fields and what is wrong with them and never what was sent: a pasted secret in the wrong
field must not come back, for answers end up in logs and tickets.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tokenone.errors import InvalidRequest, TokenOneError

MEDIA_TYPE: Final = "application/problem+json"
_HTTP_CODES: Final = {
    400: "malformed_body",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
}
_SURPLUS: Final = "extra_forbidden"
_QUOTING: Final = frozenset({"value_error", "assertion_error"})
"""Pydantic's kinds whose messages are written by us; all other kinds' messages are not used at all."""
_WORDS: Final = {
    "missing": "missing",
    _SURPLUS: "not known here",
    "json_invalid": "not JSON",
    "literal_error": "one of {expected}",
    "enum": "one of {expected}",
    "string_type": "a text",
    "int_type": "an integer",
    "bool_type": "true or false",
    "list_type": "a list",
    "model_attributes_type": "an object",
    "model_type": "an object",
    "string_too_short": "{min_length} characters or more",
    "string_too_long": "{max_length} characters or fewer",
    "string_pattern_mismatch": "not of the documented form",
    "too_short": "{min_length} items or more",
    "too_long": "{max_length} items or fewer",
    "greater_than_equal": "{ge} or more",
    "greater_than": "more than {gt}",
    "less_than_equal": "{le} or less",
    "less_than": "less than {lt}",
}
"""What is expected, by pydantic's kind; the figures in braces are the schema's own, never what was sent."""


def install(app: FastAPI) -> None:
    """Makes the application answer with problems alone."""
    app.add_exception_handler(TokenOneError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


async def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, TokenOneError)
    return problem(error, request_id(request))


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return problem(InvalidRequest(), request_id(request), fields(error.errors()))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = error.status_code
    phrase = HTTPStatus(status).phrase
    code = _HTTP_CODES.get(status, phrase.lower().replace(" ", "_"))
    return answer(status, code, phrase, f"{phrase}.", request_id(request), headers=dict(error.headers or {}))


def problem(error: TokenOneError, id: str, errors: list[dict[str, str]] | None = None) -> Response:
    """Returns one of our errors as a problem."""
    headers: dict[str, str] = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="tokenone"'
    return answer(error.status, error.code, error.advice, error.detail, id, errors=errors, headers=headers)


def answer(  # noqa: PLR0913 - the members of a problem
    status: int,
    code: str,
    title: str,
    detail: str,
    id: str,
    *,
    errors: list[dict[str, str]] | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """Returns a problem document."""
    content: dict[str, Any] = {
        "type": f"urn:tokenone:problem:{code}",
        "title": title,
        "status": status,
        "code": code,
        "detail": detail,
        "request_id": id,
    }
    if errors is not None:
        content["errors"] = errors
    return JSONResponse(content, status, headers, media_type=MEDIA_TYPE)


def fields(errors: Sequence[Any]) -> list[dict[str, str]]:
    """Names the fields at fault by our own names for them, and what is expected there; a surplus field's name
    is the sender's text, so only its place is told."""
    named = []
    for error in errors:
        place = list(error["loc"])
        if error["type"] == _SURPLUS:
            place = [*place[:-1], "(unknown field)"]
        if error["type"] == "json_invalid":
            place = ["body"]
        if place and place[0] == "query" and error["type"] == _SURPLUS:
            place = ["query", "(unknown parameter)"]
        named.append({"at": ".".join(map(str, place)), "problem": _fault(error)})
    return named


def _fault(error: Any) -> str:
    """Says what is expected; an unusual kind of fault by pydantic's word for it."""
    kind = str(error["type"])
    if kind in _QUOTING:
        return str(error["msg"]).removeprefix("Value error, ")
    return _WORDS.get(kind, kind).format_map(error.get("ctx") or {})


def request_id(request: Request) -> str:
    """Returns the id that the rim gave to this request."""
    return str(request.scope.get("state", {}).get("request_id", ""))
