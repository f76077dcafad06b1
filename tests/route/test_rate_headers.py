"""Rate-limit headers: each family read as its provider writes it, everything else saying nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenone.clock import DAY_US, MINUTE_US, SECOND_US
from tokenone.route.headroom import UNTOLD_US, Headroom
from tokenone.route.ratelimits import NOTHING, Figures, Left, figures, retry_after_us
from tokenone.types import Provider

NOW_US = 1_767_225_600 * SECOND_US  # 2026-01-01T00:00:00Z
VECTORS = msgspec.json.decode(Path("vectors/ratelimits.json").read_bytes())


def headers_of(case: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1")) for name, value in case["headers"].items()]


@pytest.mark.parametrize("case", VECTORS["limits"], ids=lambda case: case["why"])
def test_limits_are_read_as_the_vectors_say(case: dict[str, Any]) -> None:
    def left(kind: str) -> Left | None:
        told = case.get(kind)
        if told is None:
            return None
        return Left(told[0], None if told[1] is None else NOW_US + told[1] * 1000)

    expected = Figures(left("requests"), left("tokens"))
    assert figures(Provider(case["provider"]), headers_of(case), NOW_US) == expected


@pytest.mark.parametrize("case", VECTORS["retry_after"], ids=lambda case: case["why"])
def test_retry_after_is_read_as_the_vectors_say(case: dict[str, Any]) -> None:
    expected = case["ms"]
    found = retry_after_us(headers_of(case), NOW_US)
    assert found == (None if expected is None else expected * 1000)


names = st.sampled_from(
    ["x-ratelimit-remaining-requests", "X-RateLimit-Reset-Tokens", "x-ratelimit-remaining", "x-ratelimit-reset",
     "anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-requests-reset", "ratelimit-reset",
     "ratelimit-remaining", "retry-after", "retry-after-ms"]
)  # fmt: skip
values = st.one_of(
    st.binary(max_size=40),
    st.from_regex(rb"\A[0-9]{1,40}(\.[0-9]{0,12})?(ms|s|m|h)?\Z"),
    st.from_regex(rb"\A20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+]00:00)?\Z"),
)


@given(
    st.sampled_from(Provider), st.lists(st.tuples(names.map(str.encode), values), max_size=8), st.integers(0, 2**53)
)  # fmt: skip
def test_whatever_a_provider_sends_nothing_raises_and_no_reset_is_far_or_past(
    provider: Provider, headers: list, now_us: int
) -> None:
    told = figures(provider, headers, now_us)
    for left in (told.requests, told.tokens):
        if left is not None:
            assert left.remaining >= 0
            assert left.reset_us is None or now_us <= left.reset_us <= now_us + DAY_US
    after = retry_after_us(headers, now_us)
    assert after is None or after >= 0


def test_a_key_without_figures_has_room() -> None:
    room = Headroom()
    room.note("k", 1, "m", NOTHING, 0)
    assert len(room) == 0
    assert not room.spent("k", 1, "m", 0)


def test_a_key_is_spent_until_its_limit_is_full_again() -> None:
    room = Headroom()
    room.note("k", 1, "m", Figures(Left(5, None), Left(0, MINUTE_US)), 0)
    assert room.spent("k", 1, "m", MINUTE_US - 1)
    assert not room.spent("k", 1, "m", MINUTE_US)
    assert not room.spent("k", 1, "other", 0)
    assert not room.spent("k", 2, "m", 0)
    room.note("k", 1, "m", Figures(Left(1, None)), 1)
    assert not room.spent("k", 1, "m", 2)


def test_an_empty_limit_without_a_reset_counts_for_a_minute() -> None:
    room = Headroom()
    room.note("k", 1, "m", Figures(Left(0, None)), 7)
    assert room.spent("k", 1, "m", 6 + UNTOLD_US)
    assert not room.spent("k", 1, "m", 7 + UNTOLD_US)


def test_figures_are_bounded_in_memory() -> None:
    room = Headroom(capacity=8)
    for number in range(100):
        room.note(f"k{number}", 1, "m", Figures(Left(0, None)), 0)
    assert len(room) == 8
    assert room.spent("k99", 1, "m", 1)
