"""The directory: what a gateway knows of tenants, scopes, keys and tokens, without a database on the way.

Law: fed by deltas, each applied in one synchronous step in O(delta), so that no call sees half of one; what
is derived (candidates, rules) is remembered per tenant until a delta touches the tenant or a key's deadline
passes. Does no I/O; the life of a key is decided by the `leasable` that is handed in.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from tokenone.clock import Clock
from tokenone.errors import KeyUnusable, NoKeyInScope
from tokenone.rows import (
    Candidate,
    Delta,
    Endpoint,
    Key,
    KeyVersion,
    Project,
    Restrictions,
    Route,
    Tenant,
    TenantKek,
    Token,
    Workload,
)
from tokenone.scope.nearest import Ask, Considered, Found, Leasable, find, survey
from tokenone.scope.rules import Rules, intersect
from tokenone.scope.shelf import EVERYBODY, Shelf, Touched
from tokenone.types import Mode, Provider, Scope

REMEMBERED: Final = 10_000
"""Answers kept at most: about 4 MB, and few enough to be forgotten within 5 ms."""

NOTHING: Final = Restrictions(models=(), providers=())
"""What a scope whose row is gone allows."""

NEVER_US: Final = -(2**62)


class Directory:
    """An in-memory snapshot of the rows that decide, at `revision`."""

    def __init__(self, leasable: Leasable, clock: Clock) -> None:
        self.revision = 0
        self.refreshed_us = NEVER_US
        """Monotonic time of the last delta, empty ones included: the database answered then."""
        self._clock = clock
        self._leasable = leasable
        self._shelf = Shelf()
        self._found: dict[str, dict[tuple[Scope, Provider, Mode], Found]] = {}
        self._rules: dict[str, dict[Scope, Rules]] = {}
        self._routed: dict[str, dict[tuple[str, str], tuple[Route, ...]]] = {}
        self._remembered = 0

    def apply(self, delta: Delta) -> Touched:
        """Takes a delta in, whole, and returns what it touched (leases, pools and streams depend on it)."""
        touched = Touched()
        shelf = self._shelf
        for removed in delta.removed:
            shelf.knows(removed)
        for removed in delta.removed:
            shelf.drop(removed, touched)
        for row in delta.rows:
            shelf.put(row, touched)
        self._forget(touched.tenants)
        self.revision = delta.revision
        self.refreshed_us = self._clock.monotonic_us()
        return touched

    def renew(self, delta: Delta) -> Touched:
        """Takes a delta of everything in the place of all that was known: the database is another one now."""
        before = self._shelf
        self._shelf = Shelf()
        touched = self.apply(delta)
        touched.keys |= before.keys.keys()
        touched.tokens |= before.tokens.keys()
        self._forget({EVERYBODY})
        return touched

    def stale(self, tenant: Tenant, clock: Clock) -> bool:
        """Says whether the database has been away for longer than the tenant allows."""
        return clock.monotonic_us() - self.refreshed_us > tenant.staleness_us

    # ── rows ───────────────────────────────────────────────────────────────────────────────────────────
    def tenant(self, tenant_id: str) -> Tenant | None:
        return self._shelf.tenants.get(tenant_id)

    def project(self, project_id: str) -> Project | None:
        return self._shelf.projects.get(project_id)

    def workload(self, workload_id: str) -> Workload | None:
        return self._shelf.workloads.get(workload_id)

    def endpoint(self, endpoint_id: str) -> Endpoint | None:
        return self._shelf.endpoints.get(endpoint_id)

    def key(self, key_id: str) -> Key | None:
        return self._shelf.keys.get(key_id)

    def token(self, token_id: str) -> Token | None:
        return self._shelf.tokens.get(token_id)

    def kek(self, tenant_id: str, version: int) -> TenantKek | None:
        return self._shelf.keks.get((tenant_id, version))

    def versions(self, key_id: str) -> tuple[KeyVersion, ...]:
        """Returns a key's versions, oldest first."""
        return tuple(sorted(self._shelf.versions.of(key_id), key=lambda version: version.version))

    def keys_for(self, tenant_id: str) -> Collection[Key]:
        """Returns the keys that a tenant owns."""
        return self._shelf.keys_of.of(tenant_id)

    def endpoints_for(self, tenant_id: str) -> tuple[Endpoint, ...]:
        """Returns the presets and the tenant's own endpoints."""
        return (*self._shelf.endpoints_of.of(None), *self._shelf.endpoints_of.of(tenant_id))

    # ── what follows from them ─────────────────────────────────────────────────────────────────────────
    def candidates(self, scope: Scope, provider: Provider, now_us: int, mode: Mode) -> tuple[Candidate, ...]:
        """Returns the keys that the scope may use, by priority; the same tuple until something changes.

        Raises NoKeyInScope when nothing is assigned, KeyUnusable when nothing assigned may be leased.
        """
        ours = self._found.get(scope.tenant)
        found = None if ours is None else ours.get((scope, provider, mode))
        if found is None or not found.since_us <= now_us < found.until_us:
            found = self._find(scope, provider, now_us, mode)
        if found.candidates:
            return found.candidates
        raise KeyUnusable if found.assigned else NoKeyInScope

    def usable(self, scope: Scope, provider: Provider, now_us: int, mode: Mode) -> tuple[Candidate, ...]:
        """Returns what `candidates` does, and an empty tuple where there are none."""
        ours = self._found.get(scope.tenant)
        found = None if ours is None else ours.get((scope, provider, mode))
        if found is None or not found.since_us <= now_us < found.until_us:
            found = self._find(scope, provider, now_us, mode)
        return found.candidates

    def survey(self, scope: Scope, provider: Provider, now_us: int, mode: Mode) -> tuple[Considered, ...]:
        """Returns every assignment in the scope with why it is or is not a candidate."""
        return survey(self._shelf, self._leasable, Ask(scope, provider, mode, now_us))

    def routes(self, scope: Scope) -> tuple[tuple[Route, ...], ...]:
        """Returns the routes of workload, project and tenant, nearest first: the same tuples until something
        changes. Another tenant's rows are never among them, whatever scope they name."""
        return (
            self._routes(scope.tenant, "workload", scope.workload),
            self._routes(scope.tenant, "project", scope.project),
            self._routes(scope.tenant, "tenant", scope.tenant),
        )

    def rules(self, scope: Scope) -> Rules:
        """Returns the intersected restrictions of a scope's tenant, project and workload."""
        ours = self._rules.get(scope.tenant)
        rules = None if ours is None else ours.get(scope)
        return self._intersect(scope) if rules is None else rules

    def _routes(self, tenant: str, kind: str, scope_id: str) -> tuple[Route, ...]:
        ours = self._routed.get(tenant)
        known = None if ours is None else ours.get((kind, scope_id))
        if known is not None:
            return known
        found = tuple(one for one in self._shelf.routed[kind].of(scope_id) if one.tenant == tenant)
        self._make_room()
        self._routed.setdefault(tenant, {})[kind, scope_id] = found
        return found

    def _find(self, scope: Scope, provider: Provider, now_us: int, mode: Mode) -> Found:
        found = find(self._shelf, self._leasable, Ask(scope, provider, mode, now_us))
        self._make_room()
        self._found.setdefault(scope.tenant, {})[scope, provider, mode] = found
        return found

    def _intersect(self, scope: Scope) -> Rules:
        shelf = self._shelf
        rows: tuple[Tenant | Project | Workload | None, ...] = (
            shelf.tenants.get(scope.tenant),
            shelf.projects.get(scope.project),
            shelf.workloads.get(scope.workload),
        )
        rules = intersect(row.restrictions if row is not None else NOTHING for row in rows)
        self._make_room()
        self._rules.setdefault(scope.tenant, {})[scope] = rules
        return rules

    def _make_room(self) -> None:
        """Counts one more answer; when there are too many, all are forgotten and found again when asked."""
        self._remembered += 1
        if self._remembered > REMEMBERED:
            self._forget({EVERYBODY})

    def _forget(self, tenants: set[str | None]) -> None:
        if EVERYBODY in tenants:
            self._found.clear()
            self._rules.clear()
            self._routed.clear()
            self._remembered = 0
            return
        for tenant in tenants:
            if tenant is not None:
                derived = (self._found, self._rules, self._routed)
                self._remembered -= sum(len(known.pop(tenant, ())) for known in derived)
