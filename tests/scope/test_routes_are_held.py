"""Routes in the directory: nearest first, the tenant's own, the same tuples until something changes."""

from __future__ import annotations

from typing import Any

import pytest

from tokenone.errors import NoKeyInScope
from tokenone.rows import Delta, Route, RouteRule, Target, Tenant
from tokenone.types import Provider, Scope

BOT = Scope("acme", "shop", "bot")
RULES = (RouteRule((Target(Provider.OPENAI, "gpt-5"),)),)


def route(id: str, kind: Any, scope: str, model: str = "fast", tenant: str = "acme") -> Route:
    return Route(id, tenant, kind, scope, model, RULES)


def ids(levels: tuple[tuple[Route, ...], ...]) -> list[list[str]]:
    return [sorted(one.id for one in level) for level in levels]


def test_the_routes_of_a_scope_come_by_level_nearest_first(world: Any) -> None:
    assert world.directory.routes(BOT) == ((), (), ())
    world.feed(route("t", "tenant", "acme"), route("p", "project", "shop"), route("w", "workload", "bot"))
    world.feed(route("w2", "workload", "bot", "slow"), route("x", "workload", "another"))
    assert ids(world.directory.routes(BOT)) == [["w", "w2"], ["p"], ["t"]]


def test_a_scope_id_at_another_level_is_another_scope(world: Any) -> None:
    world.feed(route("odd", "project", "bot"), route("odder", "tenant", "bot"))
    assert ids(world.directory.routes(BOT)) == [[], [], []]


def test_another_tenants_row_is_never_among_them_whatever_scope_it_names(world: Any) -> None:
    world.scope("evil", "their", "own")
    world.feed(route("e1", "workload", "bot", tenant="evil"), route("e2", "tenant", "acme", tenant="evil"))
    assert ids(world.directory.routes(BOT)) == [[], [], []]
    assert ids(world.directory.routes(Scope("evil", "their", "own"))) == [[], [], []]


def test_a_route_that_is_replaced_moved_or_removed_takes_effect_with_the_delta(world: Any) -> None:
    world.feed(route("r", "workload", "bot"))
    assert ids(world.directory.routes(BOT)) == [["r"], [], []]
    touched = world.feed(route("r", "tenant", "acme"))
    assert touched.tenants == {"acme"}
    assert ids(world.directory.routes(BOT)) == [[], [], ["r"]]
    touched = world.remove("Route", "r")
    assert touched.tenants == {"acme"}
    assert ids(world.directory.routes(BOT)) == [[], [], []]
    assert world.remove("Route", "r").tenants == set()


def test_the_same_tuples_are_given_until_a_delta_touches_the_tenant(world: Any) -> None:
    world.feed(route("r", "project", "shop"))
    before = world.directory.routes(BOT)
    world.scope("other", "their", "own")
    assert all(a is b for a, b in zip(before, world.directory.routes(BOT), strict=True))
    world.feed(route("s", "project", "shop", "slow"))
    assert ids(world.directory.routes(BOT)) == [[], ["r", "s"], []]


def test_a_directory_that_is_renewed_forgets_its_routes(world: Any) -> None:
    world.feed(route("r", "workload", "bot"))
    assert ids(world.directory.routes(BOT)) == [["r"], [], []]
    world.directory.renew(Delta(world.revision + 100, 0, (Tenant("acme", "acme"),)))
    assert ids(world.directory.routes(BOT)) == [[], [], []]


def test_usable_keys_are_the_candidates_and_none_is_no_error(world: Any) -> None:
    world.key("k")
    now_us = world.clock.now_us()
    assert world.directory.usable(BOT, Provider.OPENAI, now_us, "live") == ()
    with pytest.raises(NoKeyInScope):
        world.directory.candidates(BOT, Provider.OPENAI, now_us, "live")
    world.assign("k", "workload", "bot")
    found = world.directory.usable(BOT, Provider.OPENAI, now_us, "live")
    assert [one.key.id for one in found] == ["k"]
    assert world.directory.candidates(BOT, Provider.OPENAI, now_us, "live") is found
