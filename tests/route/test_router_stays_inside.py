"""Whatever the routes say: no leg outside the scope, its restrictions or the demanded jurisdictions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from route.worlds import World, asks, candidate, endpoint, route, worlds
from tokenone.route import Demand, Fitness, Reason, Refusal, Router
from tokenone.route.router import MOST_LEGS
from tokenone.rows import RouteRule, Target
from tokenone.types import Provider


@given(worlds(), asks)
def test_every_leg_is_a_candidate_that_is_allowed_and_lies_where_it_has_to(
    world: World, ask: dict[str, Any]
) -> None:
    demand = ask["demand"]
    routed = world.plan(**ask)
    for leg in routed.legs:
        assert leg.candidate in world.keys[leg.provider]
        assert (leg.provider, leg.model) not in world.forbidden
        assert ask["native"] in (None, leg.provider)
        place = leg.candidate.endpoint
        assert demand.jurisdictions is None or place.jurisdiction in demand.jurisdictions
        assert place.self_hosted or not demand.self_hosted
        assert routed.rule.within is None or place.jurisdiction in routed.rule.within
        assert any(
            target.provider is leg.provider
            and target.endpoint in (None, place.id)
            and (target.model in (None, leg.model))
            for target in routed.rule.targets
        )


@given(worlds(), asks)
def test_the_same_input_gives_the_same_plan_whatever_was_planned_before(
    world: World, ask: dict[str, Any]
) -> None:
    first = world.plan(**ask)
    assert world.plan(**ask) == first
    world.router = Router(world.catalog)
    world.plan(**{**ask, "model": "other", "seed": 7})
    assert world.plan(**ask) == first


@given(worlds(), asks)
def test_a_plan_has_legs_or_says_why_not_and_no_key_twice_for_one_model(
    world: World, ask: dict[str, Any]
) -> None:
    routed = world.plan(**ask)
    places = [(leg.candidate.key.id, leg.model) for leg in routed.legs]
    assert len(set(places)) == len(places) <= MOST_LEGS
    assert (routed.refusal is None) is bool(routed.legs)
    assert all(isinstance(one.reason, Reason) for one in (*routed.legs, *routed.passed))


@given(worlds(), asks)
def test_a_bench_orders_and_never_denies(world: World, ask: dict[str, Any]) -> None:
    routed = world.plan(**ask)
    resting = {key for key, fitness in world.unfit.items() if fitness in (Fitness.BENCHED, Fitness.SPENT)}
    for leg in routed.legs:
        assert leg.candidate.key.id not in resting or leg.reason is Reason.LAST_RESORT
        assert leg.trial is (world.unfit.get(leg.candidate.key.id) is Fitness.TRIAL)
    if any(leg.reason is Reason.LAST_RESORT for leg in routed.legs):
        assert len(routed.legs) == 1
    world.unfit = {}
    assert bool(world.plan(**ask).legs) is bool(routed.legs)


@given(worlds(), asks)
def test_what_a_demand_excludes_is_told_as_that(world: World, ask: dict[str, Any]) -> None:
    nowhere = world.plan(**{**ask, "demand": Demand(frozenset({"nowhere"}))})
    assert nowhere.legs == ()
    free = world.plan(**{**ask, "demand": Demand()})
    if free.legs and nowhere.route == free.route and nowhere.number == free.number:
        assert nowhere.refusal is Refusal.OUTSIDE


EU, US = endpoint("eu", Provider.AZURE, lies="eu"), endpoint("us", Provider.AZURE, lies="us")
UNKNOWN = endpoint("somewhere", Provider.AZURE)


def test_an_endpoint_of_which_nobody_knows_where_it_lies_is_outside_of_every_demand() -> None:
    world = World([candidate("k", UNKNOWN)])
    assert world.plan("gpt-4o").legs
    assert world.plan("gpt-4o", demand=Demand(frozenset({"eu"}))).refusal is Refusal.OUTSIDE


def test_a_rule_narrows_a_demand_and_never_widens_it() -> None:
    rule = RouteRule((Target(Provider.AZURE, "gpt-4o"),), within=("eu", "us"))
    world = World([candidate("a", EU), candidate("b", US), candidate("c", UNKNOWN)], (route("gpt-4o", rule),))
    assert {leg.candidate.key.id for leg in world.plan("gpt-4o").legs} == {"a", "b"}
    eu = world.plan("gpt-4o", demand=Demand(frozenset({"eu", "ch"})))
    assert [leg.candidate.key.id for leg in eu.legs] == ["a"]
    assert world.plan("gpt-4o", demand=Demand(frozenset({"ch"}))).refusal is Refusal.OUTSIDE


@pytest.mark.parametrize(
    ("forbidden", "keys", "refusal"),
    [
        (set(), [], Refusal.NO_KEY),
        ({(Provider.AZURE, "gpt-4o")}, [candidate("a", EU)], Refusal.FORBIDDEN),
        (set(), [candidate("a", endpoint("x", Provider.AZURE, models=("llama",)))], None),
    ],
)
def test_a_refusal_says_what_is_missing(forbidden: set, keys: list, refusal: Refusal | None) -> None:
    world = World(keys)
    world.forbidden = forbidden
    assert world.plan("azure/gpt-4o").refusal is refusal


@given(st.text(max_size=20))
def test_a_name_that_nobody_knows_is_unknown(name: str) -> None:
    world = World([candidate("a", EU)])
    routed = world.plan("no-such-" + name)
    assert routed.refusal is Refusal.UNKNOWN


def test_a_native_path_sends_any_name_to_its_own_provider_alone() -> None:
    world = World([candidate("a", EU), candidate("b", endpoint("o", Provider.OPENROUTER))])
    routed = world.plan("openrouter/new-model", native=Provider.OPENROUTER)
    assert [(leg.candidate.key.id, leg.model) for leg in routed.legs] == [("b", "openrouter/new-model")]
    assert world.plan("", native=Provider.AZURE).legs[0].model == ""
    assert world.plan("x", native=Provider.OPENAI).refusal is Refusal.NO_KEY


def test_a_path_that_names_an_endpoint_reaches_the_endpoints_of_that_name_alone() -> None:
    world = World([candidate("a", EU), candidate("b", US)])
    routed = world.plan("any", native=Provider.AZURE, demand=Demand(endpoint="us"))
    assert [leg.candidate.key.id for leg in routed.legs] == ["b"]
    assert world.plan("any", native=Provider.AZURE, demand=Demand(endpoint="gpu")).refusal is Refusal.NO_KEY


def test_what_is_kept_of_edits_before_is_bounded() -> None:
    world = World([candidate("a", EU)])
    for number in range(60):
        rows = tuple(
            route(f"m{n}", RouteRule((Target(Provider.AZURE, "gpt-4o"),)), id=f"rte_{number}_{n}")
            for n in range(2000)
        )
        world.levels = (rows,)
        assert world.plan("m7").legs
    assert len(world.router._tables) <= 25


@given(st.lists(st.text("ab*", min_size=1, max_size=4), unique=True, max_size=6), st.text("ab*", max_size=5))
def test_a_name_is_found_exactly_or_by_the_longest_pattern(models: list[str], name: str) -> None:
    rows = tuple(
        route(model, RouteRule((Target(Provider.AZURE, "x"),)), id=f"rte_{model}") for model in models
    )
    found = Router(World(()).catalog).table(rows).find(name)
    prefixes = [model for model in models if model.endswith("*") and name.startswith(model[:-1])]
    expected = name if name in models and not name.endswith("*") else max(prefixes, key=len, default=None)
    assert (found[0].route if found else None) == (None if expected is None else f"rte_{expected}")
