"""What follows a failed attempt: bounded, never the dead key again, never another provider unasked."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from route.worlds import World, asks, candidate, endpoint, route, worlds
from tokenone.route import Routed, Tried, following
from tokenone.route.follow import FALLS_OVER
from tokenone.rows import RouteRule, Target
from tokenone.types import ErrorClass, Provider

FAILURES = st.lists(st.one_of(st.none(), st.sampled_from(ErrorClass)), min_size=12, max_size=12)


def run(routed: Routed, failures: list[ErrorClass | None]) -> list[Tried]:
    """Tries leg after leg, each of which fails as the list says."""
    tried: list[Tried] = []
    while (leg := following(routed, tried)) is not None:
        tried.append(Tried(leg, failures[len(tried)]))
    return tried


@given(worlds(), asks, FAILURES)
def test_attempts_are_bounded_and_no_leg_is_tried_twice(
    world: World, ask: dict[str, Any], failures: list
) -> None:
    routed = world.plan(**ask)
    tried = run(routed, failures)
    assert len(tried) <= min(routed.rule.attempts, 5)
    assert bool(tried) is bool(routed.legs)
    assert len({one.leg for one in tried}) == len(tried)


@given(worlds(), asks, FAILURES)
def test_a_key_that_was_called_dead_is_tried_exactly_once(
    world: World, ask: dict[str, Any], failures: list
) -> None:
    routed = world.plan(**ask)
    dead: set[str] = set()
    for one in run(routed, failures):
        key = routed.legs[one.leg].candidate.key.id
        assert key not in dead
        if one.failure is ErrorClass.KEY_DEAD:
            dead.add(key)


@given(worlds(), asks, FAILURES)
def test_another_provider_comes_after_a_refused_key_only_where_the_rule_says_so(
    world: World, ask: dict[str, Any], failures: list
) -> None:
    routed = world.plan(**ask)
    refused: set[Provider] = set()
    for one in run(routed, failures):
        provider = routed.legs[one.leg].provider
        assert not refused or routed.rule.cross_on_key_dead or provider in refused
        if one.failure in (ErrorClass.KEY_DEAD, ErrorClass.BILLING):
            refused.add(provider)


@given(worlds(), asks, FAILURES)
def test_only_what_the_rule_names_is_tried_again_and_what_was_never_sent(
    world: World, ask: dict[str, Any], failures: list
) -> None:
    routed = world.plan(**ask)
    for one in run(routed, failures)[:-1]:
        assert one.failure is None or one.failure in set(routed.rule.fall_over) & FALLS_OVER


A, B = endpoint("a", Provider.OPENAI), endpoint("b", Provider.ANTHROPIC)
KEYS = (candidate("a1", A), candidate("a2", A, priority=1), candidate("b1", B))
TARGETS = (Target(Provider.OPENAI, "gpt-5"), Target(Provider.ANTHROPIC, "claude-5"))


@pytest.mark.parametrize(
    ("failure", "more", "order"),
    [
        (ErrorClass.KEY_DEAD, {}, ["a1", "a2"]),
        (ErrorClass.KEY_DEAD, {"attempts": 3}, ["a1", "a2"]),
        (ErrorClass.KEY_DEAD, {"attempts": 3, "cross_on_key_dead": True}, ["a1", "a2", "b1"]),
        (ErrorClass.BILLING, {"attempts": 3, "fall_over": (ErrorClass.BILLING,)}, ["a1", "a2"]),
        (ErrorClass.RATE, {}, ["a1"]),
        (ErrorClass.RATE, {"attempts": 3, "fall_over": (ErrorClass.RATE,)}, ["a1", "a2", "b1"]),
        (ErrorClass.UPSTREAM, {"fall_over": (ErrorClass.UPSTREAM,)}, ["a1", "b1"]),
        (ErrorClass.UPSTREAM, {"attempts": 3, "fall_over": (ErrorClass.UPSTREAM,)}, ["a1", "b1", "a2"]),
        (ErrorClass.CALLER, {"attempts": 3, "fall_over": (ErrorClass.CALLER,)}, ["a1"]),
        (ErrorClass.UNKNOWN, {"attempts": 3, "fall_over": (ErrorClass.UNKNOWN,)}, ["a1"]),
        (None, {}, ["a1", "b1"]),
    ],
)
def test_the_way_through_two_providers(failure: ErrorClass | None, more: dict, order: list) -> None:
    routed = World(KEYS, (route("fast", RouteRule(TARGETS, **more)),)).plan("fast")
    tried = run(routed, [failure] * 12)
    assert [routed.legs[one.leg].candidate.key.id for one in tried] == order
