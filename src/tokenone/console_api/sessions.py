"""Signing in, staying signed in, signing out, and who one is.

Law: attempts are held back per name and source before any password is looked at; an answer never says
whether the name or the password was wrong.
"""

from __future__ import annotations

import ipaddress
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request

from tokenone.clock import SECOND_US
from tokenone.console_api.access import ACCESS_US, Access, make_access
from tokenone.console_api.answers import PersonOut, SessionOut
from tokenone.console_api.deps import Desk, act_of, deps_of, desk_of, person_of, source_of
from tokenone.console_api.guard import GuardedRoute, OpenRoute
from tokenone.console_api.shapes import Refresh, SignIn
from tokenone.errors import Throttled
from tokenone.store.people import Opened

PER_NAME: Final = 5
PER_SOURCE: Final = 30
"""Attempts a minute."""

open_router = APIRouter(route_class=OpenRoute, tags=["session"])
router = APIRouter(route_class=GuardedRoute, tags=["session"])


@open_router.post("/session", operation_id="session.open")
async def open_session(request: Request, body: SignIn) -> SessionOut:
    """Signs in with name and password."""
    desk = desk_of(request)
    source = _guesser(source_of(request))
    by_name = f"sign-in/{body.name.lower()}/{source}"
    try:
        desk.throttle.enter(f"sign-in//{source}", PER_SOURCE)
        desk.throttle.enter(by_name, PER_NAME)
    except Throttled:
        desk.metrics.throttled.inc()
        raise
    opened = await desk.deps.store.people.sign_in(act_of(request), body.name, body.password)
    desk.throttle.forget(by_name)
    return _session(desk, opened)


@open_router.post("/session/refresh", operation_id="session.refresh")
async def refresh_session(request: Request, body: Refresh) -> SessionOut:
    """Uses up a refresh token for new tokens."""
    opened = await deps_of(request).store.people.refresh(act_of(request), body.refresh_token)
    return _session(desk_of(request), opened)


@router.delete("/session", operation_id="session.end", status_code=204)
async def end_session(request: Request) -> None:
    """Signs out: this session's tokens are refused at once."""
    await deps_of(request).store.people.end(act_of(request), request.state.session)


@router.get("/me", operation_id="me.get")
async def me(request: Request) -> PersonOut:
    """Tells who is signed in."""
    person = person_of(request)
    return PersonOut(
        id=person.id, name=person.name, role=person.role, tenant=person.tenant, session=request.state.session
    )


def _guesser(address: str) -> str:
    """Returns the address, of IPv6 its /64: whoever has one such address has them all."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    return address if parsed.version == 4 else str(ipaddress.ip_network((parsed, 64), strict=False))


def _session(desk: Desk, opened: Opened) -> SessionOut:
    deps = desk.deps
    now_us = deps.clock.now_us()
    access = make_access(deps.session_key, Access(opened.person.id, opened.session), now_us)
    return SessionOut(
        access_token=access, refresh_token=opened.refresh_token, expires_in=ACCESS_US // SECOND_US
    )
