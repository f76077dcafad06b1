"""Routes that only read: calls and costs from the ledger's index, the audit trail, the status."""

from __future__ import annotations

import datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from starlette.requests import Request

from tokenone.clock import DAY_US
from tokenone.console_api.answers import AttemptOut, CallDetailOut, CallOut, CostsOut, EventOut, StatusOut
from tokenone.console_api.deps import deps_of
from tokenone.console_api.guard import GuardedRoute
from tokenone.console_api.pages import Page, before_of, next_before
from tokenone.console_api.queries import CallFilter, CostsQuery, EventFilter
from tokenone.console_api.rows import shown
from tokenone.console_api.shapes import Id
from tokenone.errors import ControlUnavailable
from tokenone.store.index import CostLine

router = APIRouter(route_class=GuardedRoute)


@router.get("/calls", operation_id="call.list", tags=["calls"])
async def list_calls(request: Request, wanted: Annotated[CallFilter, Query()]) -> Page[CallOut]:
    """Lists calls, newest first."""
    found = await deps_of(request).index.calls(
        wanted.columns(),
        from_us=wanted.from_us,
        to_us=wanted.to_us,
        before=before_of(wanted.cursor),
        limit=wanted.limit,
    )
    items = [shown(CallOut, call) for call in found]
    return Page(items=items, next=next_before([(call.at_us, call.id) for call in found], wanted.limit))


@router.get("/calls/{id}", operation_id="call.get", tags=["calls"])
async def get_call(request: Request, id: Id) -> CallDetailOut:
    """Shows a call with its attempts, keys and costs."""
    call, attempts = await deps_of(request).index.call(id)
    return shown(CallDetailOut, call, attempts=[shown(AttemptOut, attempt) for attempt in attempts])


@router.get("/costs", operation_id="cost.list", tags=["costs"])
async def costs(request: Request, wanted: Annotated[CostsQuery, Query()]) -> CostsOut:
    """Sums cost and fee by groups; unpriced attempts are counted beside, never guessed."""
    groups = wanted.groups()
    index = deps_of(request).index
    found = await index.costs(groups, wanted.from_us, wanted.to_us, tenant=wanted.tenant)
    return CostsOut(items=[_line(line) for line in found], from_us=wanted.from_us, to_us=wanted.to_us)


@router.get("/audit", operation_id="audit.list", tags=["audit"])
async def audit(request: Request, wanted: Annotated[EventFilter, Query()]) -> Page[EventOut]:
    """Lists audit events, newest first."""
    found = await deps_of(request).store.trail.page(
        wanted.columns(),
        from_us=wanted.from_us,
        to_us=wanted.to_us,
        before=before_of(wanted.cursor),
        limit=wanted.limit,
    )
    items = [shown(EventOut, event) for event in found]
    return Page(items=items, next=next_before([(event.at_us, event.id) for event in found], wanted.limit))


@router.get("/status", operation_id="status.get", tags=["status"])
async def status(request: Request) -> StatusOut:
    """Tells how the installation is: revision, shipped positions, what a gateway says of itself."""
    deps = deps_of(request)
    try:
        gateway: dict[str, Any] | None = await deps.control.ask("status")
    except ControlUnavailable:
        gateway = None
    shipped = {str(slot): seq for slot, seq in (await deps.index.cursors()).items()}
    return StatusOut(
        version=deps.version,
        revision=await deps.store.revision(),
        database_us=await deps.store.ping(),
        index=shipped,
        gateway=gateway,
    )


def _line(line: CostLine) -> dict[str, Any]:
    content: dict[str, Any] = msgspec.to_builtins(line)
    group: dict[str, Any] = content.pop("group")
    if "day" in group:
        group["day"] = _date(group["day"])
    return group | content


def _date(day_us: int) -> str:
    return (datetime.date(1970, 1, 1) + datetime.timedelta(days=day_us // DAY_US)).isoformat()
