"""Strategies: the order of targets by an exact law, and sessions that move only when they must."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from route.worlds import World, candidate, endpoint, route
from tokenone.route import Held, Reason, Refusal
from tokenone.route.order import EXPLORED, Draw, Spot, weighted
from tokenone.route.rendezvous import digest, order
from tokenone.route.strategy import numbers
from tokenone.route.table import Ruled
from tokenone.rows import RouteRule, Strategy, Target
from tokenone.types import Provider

A = endpoint("a", Provider.OPENAI)
B = endpoint("b", Provider.ANTHROPIC)
C = endpoint("c", Provider.AZURE)
TARGETS = (
    Target(Provider.OPENAI, "gpt-5", weight=70),
    Target(Provider.ANTHROPIC, "claude-5", weight=20),
    Target(Provider.AZURE, "gpt-4o", weight=10),
)
KEYS = (candidate("ka", A), candidate("kb", B), candidate("kc", C))


def world(strategy: Strategy, keys: tuple = KEYS, **more: object) -> World:
    return World(keys, (route("fast", RouteRule(TARGETS, strategy=strategy, attempts=3, **more)),))


def keys_of(routed: object) -> list[str]:
    return [leg.candidate.key.id for leg in routed.legs]


def test_priority_is_the_rules_own_order_whatever_the_weights() -> None:
    for seed in range(50):
        assert keys_of(world(Strategy.PRIORITY).plan("fast", seed=seed)) == ["ka", "kb", "kc"]


def test_within_a_target_the_lower_priority_of_its_key_comes_first() -> None:
    keys = (*KEYS, candidate("k0", A, priority=1), candidate("k1", A, priority=2))
    for seed in range(20):
        assert keys_of(world(Strategy.PRIORITY, keys).plan("fast", seed=seed)) == [
            "ka",
            "k0",
            "k1",
            "kb",
            "kc",
        ]


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=6).filter(lambda weights: sum(weights) > 0))
def test_of_all_numbers_each_target_gets_its_exact_share(weights: list[int]) -> None:
    """A target of weight w out of W is first for the numbers x with sum before ≤ x·W / 2⁶⁴ < sum after: its share
    of the 2⁶⁴ numbers is w/W, to the very number."""
    rule = RouteRule(tuple(Target(Provider.OPENAI, f"m{n}", weight=w) for n, w in enumerate(weights)))
    ruled = Ruled("r", 1, rule)
    spots = [Spot(n, f"m{n}", None) for n in range(len(weights))]

    def first(number: int) -> int:
        source: Iterator[int] = iter([number, *range(1000)])
        return next(iter(weighted(spots, Draw(ruled, None, source, None)))).place

    total, bounds = sum(weights), [0, *accumulate(weights)]
    for place, (before, after) in enumerate(pairwise(bounds)):
        if before == after:
            continue
        lowest, highest = -(-before * 2**64 // total), -(-after * 2**64 // total) - 1
        assert first(lowest) == first(highest) == place
        assert abs((highest - lowest + 1) * total - weights[place] * 2**64) < total


def test_a_target_that_cannot_be_used_leaves_its_share_to_the_others_by_weight() -> None:
    firsts = Counter(
        keys_of(world(Strategy.WEIGHTED, KEYS[1:]).plan("fast", seed=next(numbers(seed))))[0]
        for seed in range(6000)
    )
    assert firsts["kb"] / firsts.total() == pytest.approx(2 / 3, abs=0.02)


def test_the_cheapest_comes_first_and_what_has_no_price_last() -> None:
    here = world(Strategy.CHEAPEST)
    here.prices = {"b": 5, "c": 3}
    routed = here.plan("fast")
    assert keys_of(routed) == ["kc", "kb", "ka"]
    assert routed.legs[0].reason is Reason.CHEAPEST
    here.prices = {"a": 0, "b": 0, "c": 0}
    assert keys_of(here.plan("fast")) == ["ka", "kb", "kc"]


def test_prices_are_compared_by_endpoint_not_by_provider() -> None:
    dear = endpoint("dear", Provider.OPENAI)
    here = world(Strategy.CHEAPEST, (*KEYS, candidate("kd", dear)))
    here.prices = {"a": 1, "b": 2, "c": 3, "dear": 9}
    assert keys_of(here.plan("fast")) == ["ka", "kb", "kc"]
    here.prices["dear"] = 0
    assert keys_of(here.plan("fast")) == ["kd", "ka", "kb"]


def test_the_fastest_comes_first_and_what_was_not_measured_gets_one_call_in_so_many() -> None:
    here = world(Strategy.FASTEST)
    here.speeds = {"a": 900, "b": 300}
    firsts = Counter(tuple(keys_of(here.plan("fast", seed=seed))) for seed in range(4000))
    assert set(firsts) == {("kb", "ka", "kc"), ("kc", "kb", "ka")}
    assert firsts["kc", "kb", "ka"] / 4000 == pytest.approx(1 / EXPLORED, abs=0.015)


# ── sessions ───────────────────────────────────────────────────────────────────────────────────────────────
places = st.lists(st.integers(0, 2**64 - 1), unique=True, min_size=1, max_size=12)


@given(places, st.integers(0, 2**64 - 1), st.data())
def test_a_place_that_goes_moves_nobody_elses_sessions(
    given_places: list, session: int, data: st.DataObject
) -> None:
    weights = data.draw(st.lists(st.integers(0, 100), min_size=len(given_places), max_size=len(given_places)))
    gone = data.draw(st.integers(0, len(given_places) - 1))
    before = [given_places[at] for at in order(session, given_places, weights)]
    left = [place for at, place in enumerate(given_places) if at != gone]
    after = [left[at] for at in order(session, left, [w for at, w in enumerate(weights) if at != gone])]
    assert after == [place for place in before if place != given_places[gone]]


@given(places, st.integers(0, 2**64 - 1), st.data())
def test_a_heavier_weight_only_draws_sessions_to_its_own_place(
    given_places: list, session: int, data: st.DataObject
) -> None:
    size = len(given_places)
    weights = data.draw(st.lists(st.integers(1, 100), min_size=size, max_size=size))
    grown = data.draw(st.integers(0, size - 1))
    before = next(iter(order(session, given_places, weights)))
    weights[grown] *= 3
    assert next(iter(order(session, given_places, weights))) in (before, grown)


@given(places, st.integers(0, 2**64 - 1))
def test_a_sessions_order_does_not_depend_on_the_order_of_the_places(
    given_places: list, session: int
) -> None:
    ones = [1] * len(given_places)
    forth = [given_places[at] for at in order(session, given_places, ones)]
    back = given_places[::-1]
    assert [back[at] for at in order(session, back, ones)] == forth
    assert sorted(forth) == sorted(given_places)


def test_sessions_share_places_by_weight() -> None:
    at = [digest(name) for name in ("a", "b", "c", "d")]
    firsts = Counter(next(iter(order(digest(f"s{n}"), at, [60, 30, 10, 0]))) for n in range(20_000))
    assert {place: round(found / 20_000, 2) for place, found in firsts.items()} == pytest.approx(
        {0: 0.6, 1: 0.3, 2: 0.1}, abs=0.011
    )


def test_many_places_are_all_yielded_once() -> None:
    at = [digest(str(n)) for n in range(100)]
    assert sorted(order(7, at, [n % 3 for n in range(100)])) == list(range(100))


def test_a_session_stays_whatever_the_seed_and_moves_only_when_its_key_goes() -> None:
    keys = tuple(candidate(f"k{n}", A) for n in range(8))
    here = world(Strategy.PRIORITY, keys, sticky_s=600)
    firsts = {name: keys_of(here.plan("fast", session=name))[0] for name in map(str, range(60))}
    assert len(set(firsts.values())) > 4
    for name, key in firsts.items():
        for seed in range(5):
            routed = here.plan("fast", session=name, seed=seed)
            assert keys_of(routed)[0] == key
            assert routed.legs[0].reason is Reason.OWN
    fewer = world(Strategy.PRIORITY, keys[1:], sticky_s=600)
    for name, key in firsts.items():
        if key != "k0":
            assert keys_of(fewer.plan("fast", session=name))[0] == key


def test_a_session_that_was_answered_somewhere_comes_first_there_while_the_scope_has_it() -> None:
    for strategy in Strategy:
        here = world(strategy, sticky_s=600)
        here.speeds = {"a": 1, "b": 2, "c": 3}
        held = here.plan("fast", session="s", held=Held("kc", "gpt-4o"))
        assert keys_of(held)[0] == "kc"
        assert held.legs[0].reason is Reason.HELD
        assert sorted(keys_of(held)) == ["ka", "kb", "kc"]
        gone = here.plan("fast", session="s", held=Held("another", "gpt-4o"))
        assert Reason.HELD not in {leg.reason for leg in gone.legs}
        here.forbidden = {(Provider.AZURE, "gpt-4o")}
        assert "kc" not in keys_of(here.plan("fast", session="s", held=Held("kc", "gpt-4o")))


def test_without_a_session_or_a_time_nothing_sticks() -> None:
    loose = world(Strategy.WEIGHTED)
    assert {keys_of(loose.plan("fast", seed=seed, session="s"))[0] for seed in range(200)} == {
        "ka",
        "kb",
        "kc",
    }
    sticky = world(Strategy.WEIGHTED, sticky_s=60)
    assert {keys_of(sticky.plan("fast", seed=seed))[0] for seed in range(200)} == {"ka", "kb", "kc"}
    assert len({keys_of(sticky.plan("fast", seed=seed, session="s"))[0] for seed in range(50)}) == 1


def test_two_workloads_sessions_of_one_name_are_two_sessions() -> None:
    keys = tuple(candidate(f"k{n}", A) for n in range(50))
    here = world(Strategy.PRIORITY, keys, sticky_s=600)
    from_two = {
        keys_of(here.plan("fast", session="s", scope=type(here.ask("x").scope)("t", "p", name)))[0]
        for name in map(str, range(20))
    }
    assert len(from_two) > 1


def test_attempts_bound_the_legs_of_each_target() -> None:
    keys = tuple(candidate(f"{name}{n}", at) for name, at in (("a", A), ("b", B), ("c", C)) for n in range(5))
    for attempts, most in zip(range(1, 6), (1, 3, 6, 8, 8), strict=True):
        rule = RouteRule(TARGETS, attempts=attempts)
        routed = World(keys, (route("fast", rule),)).plan("fast")
        assert len(routed.legs) == most
        assert {leg.candidate.endpoint.id for leg in routed.legs} <= {"a", "b", "c"}


def test_a_rule_may_ask_for_more_attempts_than_anybody_gets() -> None:
    keys = tuple(candidate(f"k{n}", A) for n in range(20))
    routed = World(keys, (route("fast", RouteRule(TARGETS, attempts=1000)),)).plan("fast")
    assert len(routed.legs) == 5
    assert routed.refusal is not Refusal.NO_KEY
