"""A plan over 1,000 keys and 200 routes costs about as much as counting to a thousand, and no more than over few."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from route.worlds import World, candidate, endpoint, route
from tokenone.route.health import Health
from tokenone.rows import RouteRule, Strategy, Target
from tokenone.types import Provider

A, B = endpoint("a", Provider.OPENAI), endpoint("b", Provider.ANTHROPIC)
TARGETS = (Target(Provider.OPENAI, "gpt-5"), Target(Provider.ANTHROPIC, "claude-5"))
REPEATS = 300


def world(keys: int, routes: int, strategy: Strategy) -> World:
    rows = [route(f"alias-{n}", RouteRule(TARGETS, strategy=strategy), id=f"rte_{n}") for n in range(routes)]
    half = keys // 2
    every = [candidate(f"ka{n}", A) for n in range(half)] + [
        candidate(f"kb{n}", B) for n in range(keys - half)
    ]
    return World(every, (), (), tuple(rows))


def cost_us(act: Callable[[int], object]) -> float:
    """CPU microseconds of one call, the best of several rounds: other work on the machine only adds."""
    act(0)
    best = float("inf")
    for _ in range(7):
        began = time.process_time()
        for seed in range(REPEATS):
            act(seed)
        best = min(best, time.process_time() - began)
    return best / REPEATS * 1e6


def counting(_: int) -> int:
    total = 0
    for number in range(1000):
        total += number * number
    return total


@pytest.mark.parametrize("strategy", Strategy)
def test_planning_over_many_keys_and_routes_costs_no_more_than_counting_to_a_thousand(
    strategy: Strategy,
) -> None:
    large, small = world(1000, 200, strategy), world(10, 2, strategy)
    scene, few = large.scene(), small.scene()
    over_many = cost_us(lambda seed: large.router.plan(large.ask("alias-1", seed=seed), scene))
    over_few = cost_us(lambda seed: small.router.plan(small.ask("alias-1", seed=seed), few))
    counted = cost_us(counting)
    print(
        f"{strategy.value}: {over_many:.1f} µs over 1,000 keys, {over_few:.1f} over 10, counting {counted:.1f}"
    )
    assert over_many < 1.5 * counted
    assert over_many < 2 * over_few


def test_a_plan_does_not_touch_every_key() -> None:
    here = world(1000, 200, Strategy.WEIGHTED)
    asked: list[str] = []
    health = Health()

    def fitness(key: str, version: int, model: str):
        asked.append(key)
        return health.fitness(key, version, 0, model)

    scene = here.scene()
    scene = type(scene)(
        levels=scene.levels, candidates=scene.candidates, allows=scene.allows, fitness=fitness
    )
    here.router.plan(here.ask("alias-7"), scene)
    assert len(asked) == 3
