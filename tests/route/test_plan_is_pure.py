"""Plans: by priority, then weight, from a seed alone; every step has its reason."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenone.route.plan import Plan, Planner, Verdict, plan
from tokenone.route.strategy import Odds, numbers
from tokenone.rows import Candidate, Endpoint, Key, KeyVersion
from tokenone.types import KeyState, Provider

ENDPOINT = Endpoint("ep", None, Provider.OPENAI, "openai", ("https://api.openai.com",))


def candidate(key_id: str, *, weight: int = 100, priority: int = 0, version: int = 1) -> Candidate:
    return Candidate(
        Key(key_id, "t", Provider.OPENAI, "ep", key_id),
        KeyVersion(key_id, version, KeyState.ACTIVE, b"e", "m", 0),
        ENDPOINT,
        "workload",
        weight,
        priority,
    )


lists = st.lists(
    st.tuples(st.integers(0, 1000), st.integers(-2, 2)), max_size=12
).map(
    lambda rows: tuple(candidate(f"k{n}", weight=w, priority=p) for n, (w, p) in enumerate(rows))
)  # fmt: skip
seeds = st.integers(-(2**70), 2**70)
attempts = st.integers(1, 5)
benches = st.sets(st.integers(0, 11).map(lambda n: f"k{n}"))


def _keys(planned: Plan) -> list[str]:
    return [one.key.id for one in planned.attempts]


@given(lists, seeds, attempts, benches, st.randoms(use_true_random=False))
def test_the_same_input_gives_the_same_plan_however_it_is_ordered(
    candidates: tuple, seed: int, most: int, bench: set, random: object
) -> None:
    def benched(key: str, version: int) -> bool:
        return key in bench

    shuffled = list(candidates)
    random.shuffle(shuffled)
    planner = Planner()
    plans = [
        plan(candidates, seed=seed, max_attempts=most, benched=benched),
        plan(tuple(shuffled), seed=seed, max_attempts=most, benched=benched),
        planner.plan(candidates, seed=seed, max_attempts=most, benched=benched),
        planner.plan(candidates, seed=seed, max_attempts=most, benched=benched),
    ]
    assert all(one == plans[0] for one in plans)


@given(lists, seeds, attempts, benches)
def test_a_plan_obeys_priority_bench_and_the_number_of_attempts(
    candidates: tuple, seed: int, most: int, bench: set
) -> None:
    planned = plan(candidates, seed=seed, max_attempts=most, benched=lambda key, version: key in bench)
    chosen = planned.attempts
    healthy = [one for one in candidates if one.key.id not in bench]
    assert set(chosen) <= set(candidates)
    assert len(set(_keys(planned))) == len(chosen)
    if not healthy:
        assert len(chosen) == min(1, len(candidates))
        return
    assert len(chosen) == min(most, len(healthy))
    assert not bench & set(_keys(planned))
    assert all(a.priority <= b.priority for a, b in pairwise(chosen))
    passed_over = [one for one in healthy if one not in chosen]
    assert all(chosen[-1].priority <= one.priority for one in passed_over)


@given(lists, seeds, attempts, benches)
def test_the_steps_tell_the_whole_way_to_the_attempts(
    candidates: tuple, seed: int, most: int, bench: set
) -> None:
    planned = plan(candidates, seed=seed, max_attempts=most, benched=lambda key, version: key in bench)
    told = [one.key for one in planned.steps if one.verdict in (Verdict.CHOSEN, Verdict.LAST_RESORT)]
    assert told == _keys(planned)
    assert all((one.verdict is Verdict.CHOSEN) is (one.key not in bench) for one in planned.steps)
    assert all(str(one.verdict) for one in planned.steps)


def test_the_last_resort_is_the_one_that_would_have_been_first() -> None:
    candidates = (candidate("a", priority=1), candidate("b", priority=0))
    planned = plan(candidates, seed=1, benched=lambda key, version: True)
    assert _keys(planned) == ["b"]
    assert [one.verdict for one in planned.steps] == [Verdict.BENCHED, Verdict.BENCHED, Verdict.LAST_RESORT]


def test_a_bench_is_asked_for_the_very_version() -> None:
    candidates = (candidate("a", version=2), candidate("b"))
    for seed in range(20):
        planned = plan(candidates, seed=seed, benched=lambda key, version: (key, version) == ("a", 1))
        assert sorted(_keys(planned)) == ["a", "b"]


def test_no_candidates_make_an_empty_plan() -> None:
    assert plan((), seed=1) == Plan((), ())


def test_traffic_is_shared_by_weight() -> None:
    candidates = (candidate("a", weight=70), candidate("b", weight=20), candidate("c", weight=10))
    firsts = Counter(_keys(plan(candidates, seed=seed))[0] for seed in range(20_000))
    assert {key: round(count / 20_000, 1) for key, count in firsts.items()} == {"a": 0.7, "b": 0.2, "c": 0.1}


def test_the_second_attempt_is_shared_by_weight_among_the_rest() -> None:
    candidates = (candidate("a", weight=800), candidate("b", weight=150), candidate("c", weight=50))
    after_a = Counter(
        keys[1] for seed in range(20_000) if (keys := _keys(plan(candidates, seed=seed)))[0] == "a"
    )
    assert after_a["b"] / after_a.total() == pytest.approx(0.75, abs=0.02)


def test_weight_zero_comes_after_all_others_and_alone_it_still_comes() -> None:
    candidates = (candidate("a", weight=0), candidate("b", weight=1), candidate("c", weight=0))
    for seed in range(50):
        keys = _keys(plan(candidates, seed=seed, max_attempts=3))
        assert keys[0] == "b"
        assert sorted(keys) == ["a", "b", "c"]
    idle = (candidate("a", weight=0), candidate("b", weight=0))
    assert {_keys(plan(idle, seed=seed))[0] for seed in range(50)} == {"a", "b"}


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=60), seeds)
def test_an_order_is_a_permutation(weights: list, seed: int) -> None:
    order = list(Odds(weights).order(numbers(seed)))
    assert sorted(order) == list(range(len(weights)))


def test_the_rest_is_ordered_with_the_same_odds_as_single_draws() -> None:
    """Heavy weights exhaust the draws; what is left must still be shared by weight."""
    weights = [10**9, 3, 1]
    second = Counter(list(Odds(weights).order(numbers(seed)))[1] for seed in range(8_000))
    assert second[1] / second.total() == pytest.approx(0.75, abs=0.02)


def test_the_numbers_are_those_of_splitmix64() -> None:
    source = numbers(1234567)
    assert [next(source) for _ in range(3)] == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_a_planner_forgets_lists_that_it_has_not_seen_lately() -> None:
    planner = Planner()
    for number in range(3000):
        fresh = (candidate(f"a{number}"), candidate(f"b{number}"))
        assert len(planner.plan(fresh, seed=1).attempts) == 2
    assert len(planner._known) <= 1024


def test_planning_does_not_touch_every_candidate() -> None:
    asked: list[str] = []

    def benched(key: str, version: int) -> bool:
        asked.append(key)
        return False

    planner = Planner()
    many = tuple(candidate(f"k{number:04}") for number in range(1000))
    planner.plan(many, seed=1, benched=benched)
    assert len(asked) == 2
