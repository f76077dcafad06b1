"""The bench: a refused version rests for a minute, per version and model, in bounded memory."""

from hypothesis import given
from hypothesis import strategies as st

from tokenone.clock import MINUTE_US
from tokenone.route.health import FORGET_US, LONGEST_US, Health


def test_a_version_rests_for_a_minute_and_no_longer() -> None:
    health = Health()
    health.bench("k", 1, 1000)
    assert health.benched("k", 1, 1000)
    assert health.benched("k", 1, 1000 + MINUTE_US - 1)
    assert not health.benched("k", 1, 1000 + MINUTE_US)


def test_the_next_version_and_other_keys_are_not_benched() -> None:
    health = Health()
    health.bench("k", 1, 0)
    assert not health.benched("k", 2, 1)
    assert not health.benched("other", 1, 1)


def test_a_model_is_benched_alone_and_a_whole_version_for_every_model() -> None:
    health = Health()
    health.bench("k", 1, 0, model="gpt-4o")
    assert health.benched("k", 1, 1, "gpt-4o")
    assert not health.benched("k", 1, 1, "gpt-5")
    assert not health.benched("k", 1, 1)
    health.bench("k", 1, 0)
    assert health.benched("k", 1, 1, "gpt-5")


def test_success_lifts_every_bench_of_the_version() -> None:
    health = Health()
    health.bench("k", 1, 0)
    health.bench("k", 1, 0, model="m")
    health.bench("k", 2, 0)
    health.clear("k", 1)
    assert not health.benched("k", 1, 1, "m")
    assert health.benched("k", 2, 1)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, MINUTE_US)), max_size=200))
def test_memory_is_bounded_and_what_is_over_is_forgotten(refusals: list) -> None:
    health, now_us = Health(capacity=16), 0
    for key, gap_us in refusals:
        now_us += gap_us
        health.bench(f"k{key}", 1, now_us)
        assert health.benched(f"k{key}", 1, now_us)
        assert len(health) <= 16
    health.bench("last", 1, now_us + LONGEST_US + FORGET_US)
    assert len(health) == 1
