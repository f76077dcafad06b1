"""The one way in: who is it, may they, was it done before, and the record of a refusal.

Law: nothing of a request's body is looked at before the person is known; every refusal of a write, and every
refusal of somebody unknown, is an audit event (those of unknown people are held to a few a minute per
reason and source network, so that nobody can fill the disk). A route without an `operation_id` does not start.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeAlias

import msgspec
import structlog
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from tokenone.audit import Act
from tokenone.console_api.access import read_access
from tokenone.console_api.deps import Desk, act_of, desk_of, person_of, source_of
from tokenone.console_api.problems import request_id
from tokenone.errors import (
    CallerError,
    InvalidRequest,
    NotSignedIn,
    RoleMissing,
    StoreUnavailable,
    TokenOneError,
)
from tokenone.store.once import Answer

Handle: TypeAlias = Callable[[Request], Coroutine[Any, Any, Response]]
ANONYMOUS: Final = "anonymous"
ROLES: Final = frozenset({"owner"})
UNKNOWN_PER_MINUTE: Final = 3
"""Events per minute for one reason, action and source network; and twenty times that over all of them."""
_ID: Final = re.compile(r"[a-z]{2,4}_[0-9a-hjkmnp-tv-z]{20}")
_KEY: Final = re.compile(r"[\x21-\x7e]{1,128}")
_REFUSALS: Final = (TokenOneError, RequestValidationError, HTTPException)


class OpenRoute(APIRoute):
    """A route that anybody may call (signing in); its refusals are recorded too."""

    def get_route_handler(self) -> Handle:
        handle, action = super().get_route_handler(), _action(self)

        async def opened(request: Request) -> Response:
            request.state.act = _anonymous(request, action)
            return await _recording(request, handle)

        return opened


class GuardedRoute(APIRoute):
    """A route for people who are signed in and have the role."""

    def get_route_handler(self) -> Handle:
        handle, action = super().get_route_handler(), _action(self)

        async def admitted(request: Request) -> Response:
            await _admit(request)
            return await _once(request, handle)

        async def guarded(request: Request) -> Response:
            request.state.act = _anonymous(request, action)
            return await _recording(request, admitted)

        return guarded


def _action(route: APIRoute) -> str:
    if not route.operation_id:
        raise TypeError(f"{route.path} has no operation_id, which names the act in the audit trail")
    return route.operation_id


def _anonymous(request: Request, action: str) -> Act:
    return Act(ANONYMOUS, "", action, source=source_of(request), request_id=request_id(request))


async def _admit(request: Request) -> None:
    """Finds the person behind the access token and checks the role."""
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not text:
        raise NotSignedIn
    deps = desk_of(request).deps
    access = read_access(deps.session_key, text.strip(), deps.clock.now_us())
    person = await deps.store.people.current(access.session)
    request.state.person, request.state.session = person, access.session
    request.state.act = msgspec.structs.replace(act_of(request), actor=person.id, actor_name=person.name)
    if person.role not in ROLES or person.tenant is not None:
        raise RoleMissing


# ── refusals ───────────────────────────────────────────────────────────────────────────────────────────────
async def _recording(request: Request, handle: Callable[[Request], Awaitable[Response]]) -> Response:
    try:
        return await handle(request)
    except _REFUSALS as error:
        await _record(request, _code(error))
        raise


async def _record(request: Request, code: str) -> None:
    desk, act = desk_of(request), act_of(request)
    unknown = act.actor == ANONYMOUS
    if request.method in ("GET", "HEAD") and not unknown and code != RoleMissing.code:
        return
    if unknown and not _within_bounds(desk, act, code):
        return
    try:
        await desk.deps.store.trail.refused(act, _target(request), code)
    except StoreUnavailable:
        # The refusal stands; that it could not be recorded is told where operators look.
        structlog.get_logger("console").error("refusal not recorded", action=act.action, code=code)


def _within_bounds(desk: Desk, act: Act, code: str) -> bool:
    place = f"refusal/{act.action}/{code}/{source_network(act.source)}"
    return desk.throttle.allows(place, UNKNOWN_PER_MINUTE) and desk.throttle.allows(
        "refusal", 20 * UNKNOWN_PER_MINUTE
    )


def source_network(address: str) -> str:
    """Returns the /24 (IPv4) or /48 (IPv6) of an address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    return str(ipaddress.ip_network((parsed, 24 if parsed.version == 4 else 48), strict=False))


def _target(request: Request) -> str:
    """Returns the id in the path, if it has an id's form: anything else could be a pasted secret."""
    id = str(request.path_params.get("id", ""))
    return id if _ID.fullmatch(id) else ""


def _code(error: Exception) -> str:
    if isinstance(error, TokenOneError):
        return error.code
    return InvalidRequest.code if isinstance(error, RequestValidationError) else CallerError.code


# ── once ───────────────────────────────────────────────────────────────────────────────────────────────────
async def _once(request: Request, handle: Handle) -> Response:
    """Runs a POST with an Idempotency-Key at most once; replays its stored answer after that."""
    key = request.headers.get("idempotency-key")
    if key is None or request.method != "POST":
        return await handle(request)
    if not _KEY.fullmatch(key):
        raise InvalidRequest("an Idempotency-Key has 1 to 128 printable ASCII characters")
    answers, person = desk_of(request).deps.store.idempotency, person_of(request).id
    key = hashlib.sha256(key.encode("ascii")).hexdigest()  # whatever somebody put there, it is not kept
    kept = await answers.take(person, key, await _digest(request))
    if kept is not None:
        return _replayed(kept)
    try:
        response = await handle(request)
    except BaseException:
        await answers.release(person, key)
        raise
    await answers.keep(person, key, Answer(response.status_code, _storable(bytes(response.body))))
    return response


async def _digest(request: Request) -> bytes:
    """Binds a key to method, path, query and body."""
    place = f"{request.method} {request.url.path}?{request.url.query}\n".encode()
    return hashlib.sha256(place + await request.body()).digest()


def _storable(body: bytes) -> str:
    """Takes the one secret out that an answer can hold: a caller token's text."""
    if not body:
        return ""
    content = msgspec.json.decode(body)
    if isinstance(content, dict) and "text" in content:
        content["text"] = None
    return msgspec.json.encode(content).decode("utf-8")


def _replayed(kept: Answer) -> Response:
    response = Response(kept.body, kept.status, media_type="application/json" if kept.body else None)
    response.headers["Idempotency-Replayed"] = "true"
    return response
