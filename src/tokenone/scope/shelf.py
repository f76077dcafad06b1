"""The rows of a gateway's directory, by id and by what refers to them; fed one row at a time.

Law: putting or dropping a row costs O(1) and says which tenants it touches, old row and new alike, so that
what was derived from them can be forgotten. Believes no reference: a row that points to nothing, or across
tenants, is kept and never trusted (nearest.py decides).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from tokenone.errors import IntegrityError
from tokenone.rows import (
    Assignment,
    Endpoint,
    Key,
    KeyVersion,
    Project,
    Removed,
    Route,
    Row,
    Tenant,
    TenantKek,
    Token,
    Workload,
)
from tokenone.scope.groups import Groups

EVERYBODY: Final = None
"""In a set of touched tenants: a preset endpoint changed, which concerns all of them."""


class Touched:
    """What a delta changed: `tenants` whose candidates or rules may differ, and the rows by id."""

    __slots__ = ("keys", "tenants", "tokens")

    def __init__(self) -> None:
        self.tenants: set[str | None] = set()
        self.keys: set[str] = set()
        self.tokens: set[str] = set()


class Shelf:
    """Every row, and the indexes that a call needs."""

    def __init__(self) -> None:
        self.tenants: dict[str, Tenant] = {}
        self.projects: dict[str, Project] = {}
        self.workloads: dict[str, Workload] = {}
        self.endpoints: dict[str, Endpoint] = {}
        self.keys: dict[str, Key] = {}
        self.tokens: dict[str, Token] = {}
        self.keks: dict[tuple[str, int], TenantKek] = {}
        self.assignments: dict[str, Assignment] = {}
        self.versions: Groups[str, int, KeyVersion] = Groups()
        self.assigned: dict[str, Groups[str, str, Assignment]] = {
            "workload": Groups(),
            "project": Groups(),
            "tenant": Groups(),
        }
        self.routes: dict[str, Route] = {}
        self.routed: dict[str, Groups[str, str, Route]] = {
            "workload": Groups(),
            "project": Groups(),
            "tenant": Groups(),
        }
        self.keys_of: Groups[str, str, Key] = Groups()
        self.endpoints_of: Groups[str | None, str, Endpoint] = Groups()
        self._putters: dict[type, Callable[[Row, Touched], None]] = {
            Tenant: self._put_tenant,
            TenantKek: self._put_kek,
            Project: self._put_project,
            Workload: self._put_workload,
            Endpoint: self._put_endpoint,
            Key: self._put_key,
            KeyVersion: self._put_version,
            Assignment: self._put_assignment,
            Token: self._put_token,
            Route: self._put_route,
        }
        self._droppers: dict[str, Callable[[str, Touched], None]] = {
            "Tenant": self._drop_tenant,
            "Project": self._drop_project,
            "Workload": self._drop_workload,
            "Endpoint": self._drop_endpoint,
            "Key": self._drop_key,
            "Assignment": self._drop_assignment,
            "Token": self._drop_token,
            "Route": self._drop_route,
        }

    def put(self, row: Row, touched: Touched) -> None:
        """Adds a row or replaces the one with its id."""
        self._putters[type(row)](row, touched)

    def drop(self, removed: Removed, touched: Touched) -> None:
        """Removes a row; an absent one is no error."""
        self._droppers[removed.table](removed.id, touched)

    def knows(self, removed: Removed) -> None:
        """Raises IntegrityError for a table that loses no rows (versions end as destroyed, never removed)."""
        if removed.table not in self._droppers:
            raise IntegrityError("a removed row of a table that loses none")

    # ── scopes ─────────────────────────────────────────────────────────────────────────────────────────
    def _put_tenant(self, row: Row, touched: Touched) -> None:
        tenant = cast(Tenant, row)
        self.tenants[tenant.id] = tenant
        touched.tenants.add(tenant.id)

    def _drop_tenant(self, row_id: str, touched: Touched) -> None:
        self.tenants.pop(row_id, None)
        touched.tenants.add(row_id)

    def _put_kek(self, row: Row, touched: Touched) -> None:
        kek = cast(TenantKek, row)
        self.keks[kek.tenant, kek.version] = kek
        touched.tenants.add(kek.tenant)

    def _put_project(self, row: Row, touched: Touched) -> None:
        project = cast(Project, row)
        self._drop_project(project.id, touched)
        self.projects[project.id] = project
        touched.tenants.add(project.tenant)

    def _drop_project(self, row_id: str, touched: Touched) -> None:
        old = self.projects.pop(row_id, None)
        if old is not None:
            touched.tenants.add(old.tenant)

    def _put_workload(self, row: Row, touched: Touched) -> None:
        workload = cast(Workload, row)
        self._drop_workload(workload.id, touched)
        self.workloads[workload.id] = workload
        touched.tenants.add(workload.tenant)

    def _drop_workload(self, row_id: str, touched: Touched) -> None:
        old = self.workloads.pop(row_id, None)
        if old is not None:
            touched.tenants.add(old.tenant)

    def _put_token(self, row: Row, touched: Touched) -> None:
        token = cast(Token, row)
        self.tokens[token.id] = token
        touched.tokens.add(token.id)

    def _drop_token(self, row_id: str, touched: Touched) -> None:
        self.tokens.pop(row_id, None)
        touched.tokens.add(row_id)

    # ── keys ───────────────────────────────────────────────────────────────────────────────────────────
    def _put_endpoint(self, row: Row, touched: Touched) -> None:
        endpoint = cast(Endpoint, row)
        self._drop_endpoint(endpoint.id, touched)
        self.endpoints[endpoint.id] = endpoint
        self.endpoints_of.put(endpoint.tenant, endpoint.id, endpoint)
        touched.tenants.add(endpoint.tenant)

    def _drop_endpoint(self, row_id: str, touched: Touched) -> None:
        old = self.endpoints.pop(row_id, None)
        if old is not None:
            self.endpoints_of.drop(old.tenant, row_id)
            touched.tenants.add(old.tenant)

    def _put_key(self, row: Row, touched: Touched) -> None:
        key = cast(Key, row)
        self._drop_key(key.id, touched)
        self.keys[key.id] = key
        self.keys_of.put(key.tenant, key.id, key)
        touched.tenants.add(key.tenant)

    def _drop_key(self, row_id: str, touched: Touched) -> None:
        old = self.keys.pop(row_id, None)
        touched.keys.add(row_id)
        if old is not None:
            self.keys_of.drop(old.tenant, row_id)
            touched.tenants.add(old.tenant)

    def _put_version(self, row: Row, touched: Touched) -> None:
        version = cast(KeyVersion, row)
        self.versions.put(version.key, version.version, version)
        touched.keys.add(version.key)
        self._touch_tenant_of(version.key, touched)

    def _put_assignment(self, row: Row, touched: Touched) -> None:
        assignment = cast(Assignment, row)
        self._drop_assignment(assignment.id, touched)
        self.assignments[assignment.id] = assignment
        self.assigned[assignment.kind].put(assignment.scope, assignment.id, assignment)
        self._touch_tenant_of(assignment.key, touched)

    def _drop_assignment(self, row_id: str, touched: Touched) -> None:
        old = self.assignments.pop(row_id, None)
        if old is not None:
            self.assigned[old.kind].drop(old.scope, row_id)
            self._touch_tenant_of(old.key, touched)

    def _touch_tenant_of(self, key_id: str, touched: Touched) -> None:
        """A grant concerns the tenant that owns the key; to any other tenant the key is never given."""
        key = self.keys.get(key_id)
        if key is not None:
            touched.tenants.add(key.tenant)

    # ── routes ─────────────────────────────────────────────────────────────────────────────────────────
    def _put_route(self, row: Row, touched: Touched) -> None:
        route = cast(Route, row)
        self._drop_route(route.id, touched)
        self.routes[route.id] = route
        self.routed[route.kind].put(route.scope, route.id, route)
        touched.tenants.add(route.tenant)

    def _drop_route(self, row_id: str, touched: Touched) -> None:
        old = self.routes.pop(row_id, None)
        if old is not None:
            self.routed[old.kind].drop(old.scope, row_id)
            touched.tenants.add(old.tenant)
