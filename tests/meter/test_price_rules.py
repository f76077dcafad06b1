"""Laws of pricing: unpriced is never zero, tenant rates and reported cost come first, caveats are named."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenone.errors import ConfigRefused
from tokenone.meter.book import compile_book
from tokenone.meter.fee import fee
from tokenone.meter.match import Clause
from tokenone.meter.prices import (
    FORMAT,
    REMEMBERED,
    BookFile,
    Dated,
    ModelPrices,
    PriceBook,
    PriceList,
    Rate,
    Variant,
    When,
)
from tokenone.meter.rate import Cost, price
from tokenone.meter.usage import estimate, settled
from tokenone.rows import FeeSchedule, TenantRate
from tokenone.types import CostSource, Usage

DAY = 86_400 * 1_000_000
NOON = 20_000 * DAY + DAY // 2
M = 1_000_000


def small_book(**models: ModelPrices) -> PriceBook:
    return PriceBook(BookFile(FORMAT, "test 1", {"openai": PriceList(tuple(models.values()))}))


def model(name: str, *prices: Dated, variants: tuple[Variant, ...] = ()) -> ModelPrices:
    return ModelPrices(name, Clause("equals", name), prices, variants)


TOY = model(
    "toy",
    Dated({"input": Rate(2 * M), "output": Rate(8 * M), "cache_read": Rate(M)}),
    variants=(Variant({"service_tier": "flex"}, {"input": Rate(M)}),),
)
BOOK = small_book(toy=TOY)


def toy(usage: Usage | None, name: str = "toy", **more: object) -> Cost:
    return price(BOOK, provider="openai", model=name, usage=usage, at_us=NOON, **more)  # type: ignore[arg-type]


def lines(cost: Cost) -> dict[str, tuple[int, int]]:
    return {line.name: (line.quantity, line.nano) for line in cost.lines}


def test_each_part_is_charged_once() -> None:
    cost = toy(Usage(input=100, output=10, cache_read=40, cache_write=20, reasoning=5))
    assert lines(cost) == {"input": (60, 120), "output": (10, 80), "cache_read": (40, 40)}
    assert (cost.total, cost.source, cost.book, cost.caveats) == (240, CostSource.PRICE_BOOK, "test 1", ())


def test_zero_is_a_price_and_absence_is_not() -> None:
    assert toy(Usage(input=0, output=0)).total == 0
    assert toy(Usage(input=0, output=0)).source is CostSource.PRICE_BOOK
    for unknown in (
        toy(None),
        toy(Usage()),
        toy(Usage(input=3)),
        toy(Usage(output=3)),
        toy(Usage(input=3), "other"),
    ):
        assert unknown.total is None
        assert unknown.source is CostSource.UNPRICED
        assert unknown.lines == ()


@pytest.mark.parametrize(
    "usage",
    [
        Usage(input=10, output=1, cache_read=11),
        Usage(input=None, output=1, cache_read=11),
    ],
)
def test_counts_that_contradict_each_other_are_not_priced(usage: Usage) -> None:
    assert toy(usage).total is None
    assert toy(usage).caveats == ("contradiction:input",)


def test_tokens_without_a_rate_make_the_total_unknown() -> None:
    book = small_book(embed=model("embed", Dated({"input": Rate(M)})))
    known = price(book, provider="openai", model="embed", usage=Usage(input=5), at_us=NOON)
    unknown = price(book, provider="openai", model="embed", usage=Usage(input=5, output=1), at_us=NOON)
    assert known.total == 5
    assert (unknown.total, unknown.caveats) == (None, ("unpriced:output",))


def test_a_tier_that_the_book_knows_is_priced_and_another_is_a_caveat() -> None:
    usage = Usage(input=100, output=0)
    assert toy(msgspec.structs.replace(usage, tier="flex")).total == 100
    assert toy(msgspec.structs.replace(usage, tier="flex")).caveats == ()
    for standard in (None, "default", "standard", "auto"):
        assert toy(msgspec.structs.replace(usage, tier=standard)).caveats == ()
    other = toy(msgspec.structs.replace(usage, tier="scale", speed="fast", geo="us"))
    assert (other.total, other.caveats) == (200, ("tier:scale", "speed:fast", "geo:us"))


def test_tools_without_a_price_are_named_and_free_ones_are_not() -> None:
    tools = {
        "web_search_requests": 2,
        "web_fetch_requests": 9,
        "advisor_messages": 1,
        "code_execution_requests": 0,
    }
    cost = toy(Usage(input=1, output=0, server_tools=tools))
    assert cost.caveats == ("unpriced:web_search_requests", "unpriced:advisor_messages")
    assert cost.total == 2


def test_a_tier_by_length_applies_to_all_tokens_beyond_its_start() -> None:
    book = small_book(
        long=model("long", Dated({"input": Rate(M, ((1000, 2 * M), (5000, 3 * M))), "output": Rate(0)}))
    )
    totals = [
        price(book, provider="openai", model="long", usage=Usage(input=count, output=0), at_us=NOON).total
        for count in (1000, 1001, 5000, 5001)
    ]
    assert totals == [1000, 2002, 10_000, 15_003]


def test_the_last_price_in_force_wins_and_a_window_may_span_midnight() -> None:
    night = When(daily=(22 * 3600, 6 * 3600))
    book = small_book(
        dated=model(
            "dated",
            Dated({"input": Rate(M)}),
            Dated({"input": Rate(2 * M)}, When(from_us=NOON)),
            Dated({"input": Rate(3 * M)}, night),
        )
    )

    def at(at_us: int) -> int | None:
        return price(book, provider="openai", model="dated", usage=Usage(input=1), at_us=at_us).total

    midnight = NOON + DAY // 2
    assert [at(NOON - 1), at(NOON), at(midnight), at(midnight - DAY), at(midnight + 6 * 3600 * M)] == [
        1,
        2,
        3,
        3,
        2,
    ]


# ── tenant rates and reported cost ───────────────────────────────────────────────────────────────────────
def test_a_tenant_rate_replaces_what_it_names_and_leaves_the_rest() -> None:
    rates = (TenantRate("openai", "toy", output=M), TenantRate("openai", "*", input=0, output=0))
    cost = toy(Usage(input=100, output=10, cache_read=40), rates=rates)
    assert lines(cost) == {"input": (60, 120), "output": (10, 10), "cache_read": (40, 40)}
    assert cost.source is CostSource.TENANT_RATE


@pytest.mark.parametrize(
    ("pattern", "total"),
    [("toy", 7), ("to*", 7), ("*", 7), ("toy-*", 200), ("Toy", 200), ("other", 200)],
)
def test_a_tenant_rate_fits_whole_names_and_prefixes(pattern: str, total: int) -> None:
    rate = TenantRate("openai", pattern, input=70_000)
    assert toy(Usage(input=100, output=0), rates=(rate,)).total == total
    assert toy(Usage(input=100, output=0), rates=(TenantRate("anthropic", pattern, input=1),)).total == 200


def test_a_tenant_rate_prices_a_model_that_the_book_does_not_know() -> None:
    rates = (TenantRate("openai", "ours-*", input=M, output=M),)
    cost = toy(Usage(input=3, output=4, cache_read=2), "ours-1", rates=rates)
    assert (cost.total, cost.source) == (7, CostSource.TENANT_RATE)
    partial = toy(Usage(input=3, output=4), "ours-1", rates=(TenantRate("openai", "ours-*", input=M),))
    assert (partial.total, partial.source) == (None, CostSource.UNPRICED)


def test_a_tenant_rate_for_an_id_fits_its_dated_spellings(book: PriceBook) -> None:
    rates = (TenantRate("openai", "gpt-4o", input=M, output=M),)
    usage = Usage(input=10, output=5)
    cost = price(book, provider="openai", model="gpt-4o-2024-08-06", usage=usage, at_us=NOON, rates=rates)
    assert (cost.total, cost.source) == (15, CostSource.TENANT_RATE)


def test_a_reported_cost_is_taken_as_it_is() -> None:
    for reported in (0, 12_345):
        cost = toy(None, reported_nano=reported)
        assert (cost.total, cost.source) == (reported, CostSource.PROVIDER_REPORTED)


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**13))
def test_a_total_is_the_sum_of_its_lines_and_never_a_float(into: int, out: int, rate: int) -> None:
    rates = (TenantRate("openai", "toy", input=rate, output=rate),)
    cost = toy(Usage(input=into, output=out), rates=rates)
    assert cost.total == sum(line.nano for line in cost.lines)
    assert type(cost.total) is int
    assert 2 * abs(cost.total * M - (into + out) * rate) <= 2 * M


# ── the book ─────────────────────────────────────────────────────────────────────────────────────────────
def test_compiling_twice_gives_the_same_bytes(raw_book: bytes) -> None:
    assert compile_book() == raw_book
    assert PriceBook.load(raw_book).version.startswith("genai-prices ")


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[:-1],
        lambda raw: b"{}",
        lambda raw: b"",
        lambda raw: raw.replace(b'"format":1', b'"format":2'),
        lambda raw: raw.replace(b'["starts_with"', b'["begins_with"', 1),
        lambda raw: raw.replace(b'["regex","', b'["regex","(', 1),
        lambda raw: raw.replace(b'"models":', b'"model":', 1),
    ],
)
def test_a_damaged_book_is_refused(raw_book: bytes, damage: object) -> None:
    broken = damage(raw_book)  # type: ignore[operator]
    assert broken != raw_book
    with pytest.raises(ConfigRefused):
        PriceBook.load(broken)


def test_what_a_book_remembers_of_look_ups_is_bounded() -> None:
    book = small_book(toy=TOY)
    for number in range(REMEMBERED + 500):
        assert book.find("openai", f"unknown-{number}") is None
    assert len(book._found) == REMEMBERED
    assert book.find("openai", "toy") is TOY
    assert book.find("openai", "toy" * 1000) is None
    assert book.find("no provider", "toy") is None


def test_models_are_listed_per_provider(book: PriceBook) -> None:
    assert "gpt-4o" in book.models("openai")
    assert all("claude" in name for name in book.models("anthropic"))
    assert book.models("custom") == ()
    assert book.known("openai", None, "unheard-of", "gpt-4o-2024-08-06") == "gpt-4o-2024-08-06"
    assert book.known("openai", "unheard-of", None) is None


def test_pricing_does_not_import_the_publishers_package() -> None:
    code = "import sys, tokenone.meter.rate, tokenone.meter.fee; sys.exit('genai_prices' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


# ── fee ──────────────────────────────────────────────────────────────────────────────────────────────────
def cost_of(total: int | None) -> Cost:
    return Cost((), total, CostSource.PRICE_BOOK, "b")


@pytest.mark.parametrize(
    ("schedule", "total", "expected"),
    [
        (FeeSchedule(), 1000, 0),
        (FeeSchedule(500, 0), 1000, 500),
        (FeeSchedule(0, 20_000), 1000, 20),
        (FeeSchedule(500, 20_000), 1025, 520),
        (FeeSchedule(0, 500_000), 1, 0),
        (FeeSchedule(0, 500_000), 3, 2),
        (FeeSchedule(500, 20_000), 0, 500),
        (FeeSchedule(500, 20_000), None, 500),
    ],
)
def test_a_fee_is_flat_plus_a_share_rounded_once(
    schedule: FeeSchedule, total: int | None, expected: int
) -> None:
    assert fee(schedule, cost_of(total), True) == expected


def test_a_refusal_bears_no_fee_and_an_unknown_cost_the_flat_part() -> None:
    assert fee(FeeSchedule(500, 1_000_000), cost_of(1000), False) == 0
    assert fee(FeeSchedule(500, 1_000_000), None, True) == 500


# ── estimates ────────────────────────────────────────────────────────────────────────────────────────────
def test_a_whole_reported_usage_is_not_touched() -> None:
    usage = Usage(input=5, output=0)
    assert settled(usage, whole=True, request_bytes=9999, reply_bytes=9999) is usage


def test_a_cut_stream_is_estimated_from_its_text_and_marked() -> None:
    assert settled(None, whole=False, request_bytes=401, reply_bytes=80) == Usage(
        input=101, output=20, estimated=True
    )
    begun = Usage(input=12, output=1, cache_read=4)
    cut = settled(begun, whole=False, request_bytes=9999, reply_bytes=80)
    assert cut == Usage(input=12, output=20, cache_read=4, estimated=True)
    assert settled(None, whole=True, request_bytes=4, reply_bytes=4).estimated


@given(
    st.none() | st.builds(Usage, output=st.none() | st.integers(0, 9)), st.integers(0, 99), st.integers(0, 99)
)
def test_an_estimate_is_never_zero_and_never_below_the_reported(
    usage: Usage | None, asked: int, said: int
) -> None:
    guess = estimate(usage, request_bytes=asked, reply_bytes=said)
    assert guess.estimated
    assert guess.input is not None
    assert guess.output is not None
    assert guess.input >= 1
    assert guess.output >= max(1, (usage and usage.output) or 0)
