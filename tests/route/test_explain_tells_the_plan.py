"""Explain: the plan's own legs, a line for everything else, and a list of models that is exactly what it says."""

from __future__ import annotations

from typing import Any

from hypothesis import given

from route.worlds import BOOK, MODELS, SPOKEN, World, asks, candidate, endpoint, route, worlds
from tokenone.route import Catalog, Reason, Refusal, Unfit, explain, listed
from tokenone.route.table import unfit
from tokenone.rows import Capability, RouteRule, Strategy, Target, When
from tokenone.types import Provider


def nobody(provider: Provider) -> tuple[Unfit, ...]:
    return ()


@given(worlds(), asks)
def test_explaining_gives_the_plans_legs_and_a_line_for_every_candidate(
    world: World, ask: dict[str, Any]
) -> None:
    routed, scene = world.plan(**ask), world.scene()
    told = explain(world.router, world.ask(**ask), scene, nobody)
    planned = [(line.key, line.model) for line in told.lines if line.order is not None]
    assert planned == [(leg.candidate.key.id, leg.model) for leg in routed.legs]
    assert [line.order for line in told.lines if line.order] == list(range(1, len(planned) + 1))
    assert told.refusal == (routed.refusal.value if routed.refusal else None)
    assert (told.route, told.rule) == (routed.route, routed.number or None)
    lines = [(line.key, line.model) for line in told.lines if line.key]
    assert len(set(lines)) == len(lines)
    assert all(line.why for line in told.lines)
    for target in routed.rule.targets:
        assert any(line.provider == target.provider.value for line in told.lines)


@given(worlds(), asks)
def test_exactly_one_rule_decides_or_none(world: World, ask: dict[str, Any]) -> None:
    told = explain(world.router, world.ask(**ask), world.scene(), nobody)
    if ask["native"] is None:
        deciding = [(one.route, one.number) for one in told.rules if one.verdict == "decides"]
        assert deciding == ([(told.route, told.rule)] if told.route else [])


def test_prices_places_and_reasons_stand_beside_each_candidate() -> None:
    a, b = endpoint("a", Provider.OPENAI), endpoint("b", Provider.ANTHROPIC)
    targets = (
        Target(Provider.OPENAI, "gpt-5"),
        Target(Provider.ANTHROPIC, "claude-5"),
        Target(Provider.COHERE, "x"),
    )
    rule = RouteRule(targets, strategy=Strategy.CHEAPEST, attempts=1)
    world = World((candidate("ka", a), candidate("kb", b)), (route("fast", rule),))
    world.prices, world.speeds = {"a": 30, "b": 20}, {"b": 400}
    told = explain(
        world.router, world.ask("fast"), world.scene(),
        lambda provider: (Unfit("kc", "tenant", "no version may be leased now"),) if provider == "cohere" else (),
    )  # fmt: skip
    rows = [(line.order, line.key, line.price_nano, line.first_byte_us, line.why) for line in told.lines]
    assert rows == [
        (1, "kb", 20, 400, Reason.CHEAPEST.value),
        (None, "ka", 30, None, Reason.SPARE.value),
        (None, None, None, None, Reason.NO_KEY.value),
        (None, "kc", None, None, "no version may be leased now"),
    ]
    assert (told.strategy, told.attempts, told.route, told.rule) == ("cheapest", 1, "rte_1", 1)


def test_a_rule_that_is_not_for_the_call_says_for_which() -> None:
    ask = World(()).ask("fast", body_bytes=50)
    for when, verdict in (
        (When(min_bytes=51), "for bodies of 51 bytes or more"),
        (When(max_bytes=49), "for bodies of 49 bytes or fewer"),
        (When(stream=True), "for streams"),
        (When(needs=(Capability.TOOLS, Capability.JSON)), "for calls that ask for tools, json"),
        (When(jurisdictions=("eu", "ch")), "for calls that have to stay within eu, ch"),
        (When(50, 50, stream=False), None),
    ):
        assert unfit(when, ask) == verdict


@given(worlds())
def test_the_list_of_models_is_exactly_what_explain_can_place(world: World) -> None:
    names = {row.id: row for row in listed(world.router, world.catalog, world.ask(""), world.scene())}
    for name, row in names.items():
        first = leads(world, name)
        assert first == (row.provider, row.model)
    aliases = {one.model for level in world.levels for one in level if not one.model.endswith("*")}
    known = {model for provider in SPOKEN for model in BOOK.get(provider.value, ())}
    known |= {model for keys in world.keys.values() for one in keys for model in one.endpoint.models}
    for name in {*aliases, *known, *MODELS} - set(names):
        first = leads(world, name)
        if name in aliases:
            assert first is None
        elif first is not None and not any(level for level in world.levels):
            assert first in {(row.provider, row.model) for row in names.values()}


def leads(world: World, name: str) -> tuple[Provider, str] | None:
    """Where the first rule that leads anywhere leads, each asked as if it fitted."""
    for level in world.levels:
        rules = world.router.table(level).find(name)
        if rules is not None:
            plans = [world.router.plan_by(one, world.ask(name), world.scene()) for one in rules]
            return next(((one.legs[0].provider, one.legs[0].model) for one in plans if one.legs), None)
    routed = world.plan(name)
    return (routed.legs[0].provider, routed.legs[0].model) if routed.legs else None


def test_a_dated_name_that_the_price_book_covers_resolves_and_is_not_listed() -> None:
    catalog = Catalog(
        BOOK, SPOKEN, lambda provider, model: (provider, model) == ("openai", "gpt-5-2026-01-01")
    )
    world = World([candidate("k", endpoint("o", Provider.OPENAI))])
    world.router = type(world.router)(catalog)
    assert world.plan("gpt-5-2026-01-01").legs[0].model == "gpt-5-2026-01-01"
    assert world.plan("openai/gpt-5-2026-01-01").legs[0].model == "gpt-5-2026-01-01"
    assert world.plan("gpt-5-2026-01-02").refusal is Refusal.UNKNOWN
    assert "gpt-5-2026-01-01" not in {
        row.id for row in listed(world.router, catalog, world.ask(""), world.scene())
    }


def test_a_bare_name_means_the_first_provider_of_which_the_scope_has_a_key() -> None:
    azure = candidate("kz", endpoint("z", Provider.AZURE))
    assert World([azure]).plan("gpt-4o").legs[0].provider is Provider.AZURE
    both = World([azure, candidate("ko", endpoint("o", Provider.OPENAI))])
    assert {leg.provider for leg in both.plan("gpt-4o").legs} == {Provider.OPENAI}
    router = World([candidate("kr", endpoint("r", Provider.OPENROUTER))])
    assert router.plan("openai/gpt-4o").legs[0].model == "openai/gpt-4o"


def test_a_provider_that_lists_the_very_name_comes_before_one_that_only_covers_it() -> None:
    catalog = Catalog(BOOK, SPOKEN, lambda provider, model: provider == "openai")
    keys = [
        candidate("ko", endpoint("o", Provider.OPENAI)),
        candidate("ka", endpoint("a", Provider.ANTHROPIC)),
    ]
    world = World(keys)
    world.router = type(world.router)(catalog)
    assert world.plan("claude-5").legs[0].provider is Provider.ANTHROPIC
    assert world.plan("claude-6").legs[0].provider is Provider.OPENAI
    world = World(keys[:1])
    world.router = type(world.router)(catalog)
    assert world.plan("claude-5").legs[0].provider is Provider.OPENAI
