"""Routes of assignments: which key may be used from which scope, without the secret being pasted again."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from tokenone.console_api.answers import AssignmentOut
from tokenone.console_api.deps import act_of, deps_of
from tokenone.console_api.guard import GuardedRoute
from tokenone.console_api.pages import Cursor, Limit, Page, after_of, next_after
from tokenone.console_api.rows import edit_of, row_of, shown, tag, wanted_revision
from tokenone.console_api.shapes import AssignmentIn, AssignmentPatch, Id
from tokenone.rows import Assignment
from tokenone.types import new_id

router = APIRouter(route_class=GuardedRoute, tags=["assignments"])


@router.post("/assignments", operation_id="assignment.create", status_code=201)
async def assign(request: Request, response: Response, body: AssignmentIn) -> AssignmentOut:
    """Grants a key to a scope of its tenant; effective at every gateway within two seconds."""
    assignment = row_of(Assignment, body, id=new_id("asg"))
    stored = await deps_of(request).store.keys.assign(act_of(request), assignment)
    tag(response, stored.revision)
    return shown(AssignmentOut, stored.row, revision=stored.revision)


@router.get("/assignments", operation_id="assignment.list")
async def list_assignments(
    request: Request,
    key: Id | None = None,
    scope: Id | None = None,
    tenant: Id | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[AssignmentOut]:
    keys = deps_of(request).store.keys
    found = await keys.assignments(key=key, scope=scope, tenant=tenant, after=after_of(cursor), limit=limit)
    items = [shown(AssignmentOut, stored.row, revision=stored.revision) for stored in found]
    return Page(items=items, next=next_after([item.id for item in items], limit))


@router.get("/assignments/{id}", operation_id="assignment.get")
async def get_assignment(request: Request, response: Response, id: Id) -> AssignmentOut:
    stored = await deps_of(request).store.keys.assignment(id)
    tag(response, stored.revision)
    return shown(AssignmentOut, stored.row, revision=stored.revision)


@router.patch("/assignments/{id}", operation_id="assignment.edit")
async def reassign(request: Request, response: Response, id: Id, body: AssignmentPatch) -> AssignmentOut:
    """Changes weight or priority."""
    keys, expected = deps_of(request).store.keys, wanted_revision(request)
    stored = await keys.reassign(act_of(request), id, edit_of(Assignment, body), expected)
    tag(response, stored.revision)
    return shown(AssignmentOut, stored.row, revision=stored.revision)


@router.delete("/assignments/{id}", operation_id="assignment.delete", status_code=204)
async def unassign(request: Request, id: Id) -> None:
    """Ends a grant; effective at every gateway within two seconds."""
    await deps_of(request).store.keys.unassign(act_of(request), id)
