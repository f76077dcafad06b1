"""Routes in the store: one for each name and scope, the tenant's own, with everything that they say."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tokenone.audit import Act
from tokenone.errors import Conflict, NotFound, PreconditionFailed
from tokenone.rows import (
    Capability,
    Endpoint,
    Removed,
    Route,
    RouteRule,
    Strategy,
    Target,
    Tenant,
    TenantKek,
    When,
)
from tokenone.store import Store
from tokenone.types import ErrorClass, Provider, new_id

pytestmark = pytest.mark.anyio

ACT = Act("usr_1", "ann", "route.set", "127.0.0.1", "req_1")
PLAIN = (RouteRule((Target(Provider.OPENAI, "gpt-5"),)),)
FULL = (
    RouteRule(
        targets=(Target(Provider.OPENAI, "gpt-5", None, 70), Target(Provider.ANTHROPIC, "claude-5", None, 0)),
        when=When(10, 2**40, (Capability.TOOLS, Capability.JSON), False, ("eu",)),
        strategy=Strategy.CHEAPEST,
        within=("eu", "ch"),
        attempts=5,
        sticky_s=600,
        cross_on_key_dead=True,
        fall_over=(ErrorClass.RATE, ErrorClass.UPSTREAM),
    ),
    *PLAIN,
)


def route_of(owner: Any, model: str = "fast", rules: tuple[RouteRule, ...] = PLAIN, **more: Any) -> Route:
    fields = {"kind": "workload", "scope": owner.workload.id, **more}
    return Route(new_id("rte"), owner.tenant.id, model=model, rules=rules, **fields)


async def test_a_route_comes_back_as_it_was_written(store: Store, scope: Any) -> None:
    route = route_of(scope, "Ünïcode *", FULL)
    stored = await store.routes.put(ACT, route)
    assert stored.row == route
    assert (await store.routes.get(route.id)).row == route
    assert route in (await store.delta(0)).rows


async def test_a_name_has_one_route_in_a_scope_and_keeps_its_id(store: Store, scope: Any) -> None:
    first = await store.routes.put(ACT, route_of(scope))
    again = await store.routes.put(ACT, route_of(scope, rules=FULL))
    other = await store.routes.put(ACT, route_of(scope, kind="tenant", scope=scope.tenant.id))
    assert again.row == msgspec.structs.replace(first.row, rules=FULL)
    assert other.row.id != first.row.id
    assert again.revision > first.revision
    events = await store.trail.page({"action": ACT.action})
    assert {one.target for one in events} - {scope.tenant.id} == {first.row.id, other.row.id}
    found = await store.routes.page(tenant=scope.tenant.id)
    assert {one.row.id for one in found} == {first.row.id, other.row.id}
    assert [one.row.id for one in await store.routes.page(scope=scope.tenant.id)] == [other.row.id]
    assert (await store.delta(first.revision)).rows == (again.row, other.row)


async def test_a_removed_route_is_a_tombstone_and_its_name_is_free(store: Store, scope: Any) -> None:
    made = await store.routes.put(ACT, route_of(scope))
    await store.routes.remove(ACT, made.row.id)
    assert (await store.delta(made.revision)).removed == (Removed("Route", made.row.id),)
    with pytest.raises(NotFound):
        await store.routes.remove(ACT, made.row.id)
    anew = await store.routes.put(ACT, route_of(scope))
    assert anew.row.id != made.row.id


async def test_a_stale_writer_of_a_route_is_refused(store: Store, scope: Any) -> None:
    with pytest.raises(PreconditionFailed):
        await store.routes.put(ACT, route_of(scope), 1)
    made = await store.routes.put(ACT, route_of(scope))
    await store.routes.put(ACT, route_of(scope, rules=FULL), made.revision)
    with pytest.raises(PreconditionFailed):
        await store.routes.put(ACT, route_of(scope), made.revision)


async def test_a_route_names_its_own_tenants_scope_and_endpoints_only(store: Store, scope: Any) -> None:
    other = Tenant(new_id("ten"), "another", commitment=b"c")
    await store.scopes.add_tenant(ACT, other, TenantKek(other.id, 1, "local:v", b"k"))
    theirs = Endpoint(new_id("ep"), other.id, Provider.OPENAI, "theirs", ("https://api.openai.com",))
    await store.keys.add_endpoint(ACT, theirs)
    assert await store.routes.tenant_of("workload", scope.workload.id) == scope.tenant.id
    with pytest.raises(NotFound):
        await store.routes.tenant_of("project", scope.workload.id)
    with pytest.raises(Conflict):
        await store.routes.put(ACT, msgspec.structs.replace(route_of(scope), tenant=other.id))
    for endpoint, provider in (
        (theirs.id, Provider.OPENAI),
        (scope.endpoint.id, Provider.ANTHROPIC),
    ):
        rules = (RouteRule((Target(provider, "m", endpoint),)),)
        with pytest.raises(Conflict):
            await store.routes.put(ACT, route_of(scope, rules=rules))
    with pytest.raises(NotFound):
        await store.routes.put(
            ACT, route_of(scope, rules=(RouteRule((Target(Provider.OPENAI, "m", "ep_no"),)),))
        )
    own = (RouteRule((Target(Provider.OPENAI, "m", scope.endpoint.id),)),)
    assert (await store.routes.put(ACT, route_of(scope, rules=own))).row.rules == own
    assert len(await store.routes.page()) == 1
