"""Routes of tenants, projects and workloads.

Law: a tenant is made only with the key-encryption key that a gateway made for it.
"""

from __future__ import annotations

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from tokenone.canonical import unb64
from tokenone.console_api.answers import ProjectOut, TenantOut, WorkloadOut
from tokenone.console_api.deps import act_of, deps_of
from tokenone.console_api.guard import GuardedRoute
from tokenone.console_api.pages import Cursor, Limit, Page, after_of, next_after
from tokenone.console_api.rows import edit_of, row_of, shown, tag, wanted_revision
from tokenone.console_api.shapes import Id, ProjectIn, ScopePatch, TenantIn, TenantPatch, WorkloadIn
from tokenone.rows import Project, Tenant, TenantKek, Workload
from tokenone.types import new_id

router = APIRouter(route_class=GuardedRoute)


@router.post("/tenants", operation_id="tenant.create", status_code=201, tags=["tenants"])
async def add_tenant(request: Request, response: Response, body: TenantIn) -> TenantOut:
    """Makes a tenant and, by a gateway, its key-encryption key."""
    deps = deps_of(request)
    tenant = row_of(Tenant, body, id=new_id("ten"))
    made = await deps.control.ask("tenant.new", tenant=tenant.id)
    kek = TenantKek(tenant.id, made["kek"]["version"], made["kek"]["root"], unb64(made["kek"]["wrapped"]))
    tenant = msgspec.structs.replace(tenant, commitment=unb64(made["commitment"]))
    stored = await deps.store.scopes.add_tenant(act_of(request), tenant, kek)
    tag(response, stored.revision)
    return shown(TenantOut, stored.row, revision=stored.revision)


@router.get("/tenants", operation_id="tenant.list", tags=["tenants"])
async def list_tenants(request: Request, limit: Limit = 50, cursor: Cursor = None) -> Page[TenantOut]:
    found = await deps_of(request).store.scopes.page(Tenant, after=after_of(cursor), limit=limit)
    items = [shown(TenantOut, stored.row, revision=stored.revision) for stored in found]
    return Page(items=items, next=next_after([item.id for item in items], limit))


@router.get("/tenants/{id}", operation_id="tenant.get", tags=["tenants"])
async def get_tenant(request: Request, response: Response, id: Id) -> TenantOut:
    stored = await deps_of(request).store.scopes.get(Tenant, id)
    tag(response, stored.revision)
    return shown(TenantOut, stored.row, revision=stored.revision)


@router.patch("/tenants/{id}", operation_id="tenant.edit", tags=["tenants"])
async def edit_tenant(request: Request, response: Response, id: Id, body: TenantPatch) -> TenantOut:
    scopes, expected = deps_of(request).store.scopes, wanted_revision(request)
    stored = await scopes.edit(act_of(request), Tenant, id, edit_of(Tenant, body), expected)
    tag(response, stored.revision)
    return shown(TenantOut, stored.row, revision=stored.revision)


@router.post("/projects", operation_id="project.create", status_code=201, tags=["projects"])
async def add_project(request: Request, response: Response, body: ProjectIn) -> ProjectOut:
    project = row_of(Project, body, id=new_id("prj"))
    stored = await deps_of(request).store.scopes.add_project(act_of(request), project)
    tag(response, stored.revision)
    return shown(ProjectOut, stored.row, revision=stored.revision)


@router.get("/projects", operation_id="project.list", tags=["projects"])
async def list_projects(
    request: Request, tenant: Id | None = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[ProjectOut]:
    scopes = deps_of(request).store.scopes
    found = await scopes.page(Project, tenant=tenant, after=after_of(cursor), limit=limit)
    items = [shown(ProjectOut, stored.row, revision=stored.revision) for stored in found]
    return Page(items=items, next=next_after([item.id for item in items], limit))


@router.get("/projects/{id}", operation_id="project.get", tags=["projects"])
async def get_project(request: Request, response: Response, id: Id) -> ProjectOut:
    stored = await deps_of(request).store.scopes.get(Project, id)
    tag(response, stored.revision)
    return shown(ProjectOut, stored.row, revision=stored.revision)


@router.patch("/projects/{id}", operation_id="project.edit", tags=["projects"])
async def edit_project(request: Request, response: Response, id: Id, body: ScopePatch) -> ProjectOut:
    scopes, expected = deps_of(request).store.scopes, wanted_revision(request)
    stored = await scopes.edit(act_of(request), Project, id, edit_of(Project, body), expected)
    tag(response, stored.revision)
    return shown(ProjectOut, stored.row, revision=stored.revision)


@router.post("/workloads", operation_id="workload.create", status_code=201, tags=["workloads"])
async def add_workload(request: Request, response: Response, body: WorkloadIn) -> WorkloadOut:
    """Makes a workload; its tenant is its project's."""
    scopes = deps_of(request).store.scopes
    project = (await scopes.get(Project, body.project)).row
    workload = row_of(Workload, body, id=new_id("wkl"), tenant=project.tenant)
    stored = await scopes.add_workload(act_of(request), workload)
    tag(response, stored.revision)
    return shown(WorkloadOut, stored.row, revision=stored.revision)


@router.get("/workloads", operation_id="workload.list", tags=["workloads"])
async def list_workloads(
    request: Request,
    tenant: Id | None = None,
    project: Id | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[WorkloadOut]:
    scopes = deps_of(request).store.scopes
    found = await scopes.page(Workload, tenant=tenant, project=project, after=after_of(cursor), limit=limit)
    items = [shown(WorkloadOut, stored.row, revision=stored.revision) for stored in found]
    return Page(items=items, next=next_after([item.id for item in items], limit))


@router.get("/workloads/{id}", operation_id="workload.get", tags=["workloads"])
async def get_workload(request: Request, response: Response, id: Id) -> WorkloadOut:
    stored = await deps_of(request).store.scopes.get(Workload, id)
    tag(response, stored.revision)
    return shown(WorkloadOut, stored.row, revision=stored.revision)


@router.patch("/workloads/{id}", operation_id="workload.edit", tags=["workloads"])
async def edit_workload(request: Request, response: Response, id: Id, body: ScopePatch) -> WorkloadOut:
    scopes, expected = deps_of(request).store.scopes, wanted_revision(request)
    stored = await scopes.edit(act_of(request), Workload, id, edit_of(Workload, body), expected)
    tag(response, stored.revision)
    return shown(WorkloadOut, stored.row, revision=stored.revision)
