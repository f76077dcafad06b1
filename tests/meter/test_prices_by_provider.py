"""Laws of what providers bill in their own ways: partitions, names, search units, tiers paid by the hour, video."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tokenone.meter.match import Clause, Index
from tokenone.meter.prices import LISTS, REMEMBERED, PriceBook
from tokenone.meter.rate import Cost, price
from tokenone.meter.usage import is_reported
from tokenone.rows import TenantRate
from tokenone.types import CostSource, Provider, Usage

NOW_US = 1_793_534_400_000_000
M = 1_000_000
TOKENS = Usage(input=1000, output=10)
SONNET, HAIKU = "anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic.claude-3-haiku-20240307-v1:0"
REGION, ACCOUNT = "arn:aws:bedrock:us-east-1", "123456789012"
GOV = "arn:aws-us-gov:bedrock:us-gov-west-1"


def cost(
    book: PriceBook,
    provider: str,
    model: str,
    usage: Usage | None = TOKENS,
    partition: str = "",
    *rates: TenantRate,
) -> Cost:
    return price(
        book, provider=provider, model=model, usage=usage, at_us=NOW_US, rates=rates, partition=partition
    )


# ── partitions ───────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("model", "partition"),
    [
        (HAIKU, "aws-us-gov"),
        ("us-gov." + HAIKU, ""),
        ("us-gov." + HAIKU, "aws-us-gov"),
        (f"{GOV}::foundation-model/{HAIKU}", ""),
        (f"{GOV}:{ACCOUNT}:inference-profile/us-gov.{HAIKU}", ""),
        ("amazon.nova-micro-v1:0", "aws-us-gov"),
        ("us-gov.amazon.nova-micro-v1:0", ""),
    ],
)
def test_a_commercial_price_is_not_used_in_another_partition(
    book: PriceBook, model: str, partition: str
) -> None:
    assert cost(book, "bedrock", HAIKU).source is CostSource.PRICE_BOOK
    found = cost(book, "bedrock", model, partition=partition)
    assert (found.total, found.source) == (None, CostSource.UNPRICED)
    assert found.caveats == ("partition:aws-us-gov",)


@pytest.mark.parametrize(
    "partition", ["aws-cn", "aws-iso", "azure-us-gov", "azure-cn", "aws-eusc", "on-prem"]
)
@pytest.mark.parametrize(
    ("provider", "model"), [("bedrock", SONNET), ("azure", "gpt-4o"), ("vertex", "gemini-2.5-pro")]
)
def test_a_partition_for_which_nothing_is_published_has_no_price(
    book: PriceBook, provider: str, model: str, partition: str
) -> None:
    assert cost(book, provider, model).source is CostSource.PRICE_BOOK
    found = cost(book, provider, model, partition=partition)
    assert (found.total, found.caveats) == (None, (f"partition:{partition}",))


@pytest.mark.parametrize("partition", ["", "commercial", "public", "aws", "azure", "gcp"])
def test_the_commercial_partition_is_what_prices_are_published_for(book: PriceBook, partition: str) -> None:
    assert cost(book, "bedrock", SONNET, partition=partition) == cost(book, "bedrock", SONNET)
    assert cost(book, "azure", "gpt-4o", partition=partition).caveats == ()


@pytest.mark.parametrize(
    ("model", "partition"),
    [
        (SONNET, "aws-us-gov"),
        ("us-gov." + SONNET, ""),
        ("us-gov." + SONNET, "aws-us-gov"),
        ("US-GOV." + SONNET, "aws"),
        (f"{GOV}::foundation-model/{SONNET}", ""),
        (f"{GOV}:{ACCOUNT}:inference-profile/us-gov.{SONNET}", "aws-us-gov"),
    ],
)
def test_a_price_that_is_published_for_the_partition_is_used_there(
    book: PriceBook, model: str, partition: str
) -> None:
    found = cost(book, "bedrock", model, partition=partition)
    assert (found.source, found.caveats) == (CostSource.PRICE_BOOK, ())
    assert found.total == cost(book, "bedrock", "us." + SONNET).total


def test_a_tenants_own_rate_prices_what_the_book_does_not_have_there(book: PriceBook) -> None:
    rate = TenantRate("bedrock", "*", input=M, output=M)
    found = cost(book, "bedrock", HAIKU, TOKENS, "aws-us-gov", rate)
    assert (found.total, found.source) == (1010, CostSource.TENANT_RATE)
    assert found.caveats == ("partition:aws-us-gov",)
    half = cost(book, "bedrock", HAIKU, TOKENS, "aws-us-gov", TenantRate("bedrock", "*", input=M))
    assert (half.total, half.caveats) == (None, ("partition:aws-us-gov", "unpriced:output"))


@pytest.mark.parametrize(
    ("provider", "spelled", "rated"),
    [
        ("bedrock", f"{REGION}::foundation-model/{HAIKU}", HAIKU),
        ("bedrock", f"{REGION}:{ACCOUNT}:inference-profile/us.{HAIKU}", "us.anthropic.*"),
        ("bedrock", f"{REGION}:{ACCOUNT}:provisioned-model/a1", f"{REGION}:{ACCOUNT}:provisioned-model/a1"),
        ("vertex", "publishers/google/models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("vertex", "publishers/meta/models/llama-x", "llama-x"),
    ],
)
def test_a_tenants_rate_fits_a_name_with_and_without_where_the_model_is_kept(
    book: PriceBook, provider: str, spelled: str, rated: str
) -> None:
    found = cost(book, provider, spelled, TOKENS, "", TenantRate(provider, rated, input=M, output=M))
    assert (found.total, found.source) == (1010, CostSource.TENANT_RATE)


def test_a_reported_charge_holds_in_every_partition(book: PriceBook) -> None:
    found = price(
        book,
        provider="bedrock",
        model=HAIKU,
        usage=TOKENS,
        at_us=NOW_US,
        reported_nano=7,
        partition="aws-iso",
    )
    assert (found.total, found.source, found.caveats) == (7, CostSource.PROVIDER_REPORTED, ())


# ── names ────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("provider", "spelled", "plain"),
    [
        ("bedrock", f"{REGION}::foundation-model/anthropic.claude-opus-5", "anthropic.claude-opus-5"),
        (
            "bedrock",
            f"{REGION}:{ACCOUNT}:inference-profile/us.anthropic.claude-opus-5",
            "us.anthropic.claude-opus-5",
        ),
        ("bedrock", f"{REGION}:{ACCOUNT}:inference-profile/eu.{SONNET}", f"eu.{SONNET}"),
        ("bedrock", f"{REGION}:{ACCOUNT}:inference-profile/apac.{HAIKU}", HAIKU),
        ("bedrock", f"{REGION}:{ACCOUNT}:inference-profile/global.{SONNET}", f"global.{SONNET}"),
        ("gemini", "models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("vertex", "publishers/google/models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("vertex", "projects/p/locations/l/publishers/google/models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("vertex", "publishers/anthropic/models/claude-sonnet-4-5@20250929", "claude-sonnet-4-5@20250929"),
        ("azure", "GPT-4o-2024-08-06", "gpt-4o"),
        ("openai", "gpt-4o-2024-08-06", "gpt-4o"),
        ("cohere", "command-r-plus-08-2024", "command-r-plus"),
    ],
)
def test_where_a_model_is_kept_is_taken_off_its_name(
    book: PriceBook, provider: str, spelled: str, plain: str
) -> None:
    found = book.find(provider, spelled)
    assert found is not None
    assert found is book.find(provider, plain)
    assert book.covers(provider, spelled)
    assert cost(book, provider, spelled).source is CostSource.PRICE_BOOK


def test_a_global_profile_is_not_priced_as_a_regional_one(book: PriceBook) -> None:
    worldwide, regional = (cost(book, "bedrock", prefix + SONNET).total for prefix in ("global.", "us."))
    assert worldwide is not None
    assert regional is not None
    assert worldwide < regional


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("bedrock", f"{REGION}:{ACCOUNT}:application-inference-profile/a1b2c3"),
        ("bedrock", f"{REGION}:{ACCOUNT}:custom-model/amazon.nova-micro-v1:0:128k/a1b2"),
        ("bedrock", f"{REGION}:{ACCOUNT}:provisioned-model/{SONNET}"),
        ("bedrock", f"{REGION}:{ACCOUNT}:custom-model-deployment/{HAIKU}"),
        ("bedrock", f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:endpoint/{HAIKU}"),
        ("bedrock", f"arn:{HAIKU}"),
        ("vertex", "projects/p/locations/l/endpoints/123"),
        ("gemini", "tunedModels/gemini-2.5-flash-x1"),
        ("azure", "my-deployment"),
        ("custom", "gpt-4o"),
        ("custom", "llama3.1"),
        ("openai", ""),
        ("nobody", "gpt-4o"),
    ],
)
def test_a_name_behind_which_anything_may_stand_has_no_price(
    book: PriceBook, provider: str, model: str
) -> None:
    assert book.find(provider, model) is None
    assert not book.covers(provider, model)
    assert cost(book, provider, model).source is CostSource.UNPRICED


@pytest.mark.parametrize(
    ("provider", "model", "covered", "priced"),
    [
        ("openai", "gpt-4o-2024-08-06", True, True),
        ("openai", "ft:gpt-4o-mini-2024-07-18:org::id", True, True),
        ("openai", "ft:gpt-4o-mini:org::id", True, False),
        ("openai", "ft:gpt-4.1-2025-04-14:org:suffix:id", True, False),
        ("openai", "ft:never-heard-of:org::id", False, False),
        ("openai", "ft::org::id", False, False),
        ("openai", "ft:gpt-4o", False, False),
        ("azure", "ft:gpt-4o-mini:org::id", False, False),
        ("openai", "never-heard-of", False, False),
        ("anthropic", "claude-3-5-haiku-20241022", True, True),
        ("cohere", "rerank-v3.5", False, False),
    ],
)
def test_a_provider_has_the_models_that_the_books_clauses_fit_and_their_fine_tunes(
    book: PriceBook, provider: str, model: str, covered: bool, priced: bool
) -> None:
    assert book.covers(provider, model) is covered
    assert (book.known(provider, model) == model) is priced
    assert (cost(book, provider, model).source is CostSource.PRICE_BOOK) is priced


def test_what_covers_remembers_is_bounded(raw_book: bytes) -> None:
    book = PriceBook.load(raw_book)
    for number in range(REMEMBERED + 10):
        assert not book.covers("openai", f"ft:nothing-{number}:org::id")
    assert len(book._found) == REMEMBERED


@pytest.mark.parametrize("provider", Provider)
def test_every_model_that_is_listed_is_covered_and_can_be_called_so(
    book: PriceBook, provider: Provider
) -> None:
    listed = book.models(provider.value)
    assert bool(listed) == (provider is not Provider.CUSTOM)
    assert bool(listed) == (provider.value in LISTS)
    assert len(set(listed)) == len(listed)
    assert all(book.covers(provider.value, name) for name in listed)
    assert not any(name.startswith("regional.") for name in listed)


CLAUSES = st.recursive(
    st.builds(
        Clause,
        st.sampled_from(["equals", "starts_with", "ends_with", "contains"]),
        st.text("ab", min_size=1, max_size=3),
    ),
    lambda parts: st.builds(
        Clause,
        st.sampled_from(["any", "all"]),
        st.just(""),
        st.lists(parts, min_size=1, max_size=3).map(tuple),
    ),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(CLAUSES, max_size=6), st.text("ab", max_size=4))
def test_an_index_finds_what_trying_every_clause_in_order_finds(clauses: list[Clause], name: str) -> None:
    rows = [(clause, place) for place, clause in enumerate(clauses)]
    assert Index(rows).first(name) == next((place for clause, place in rows if clause.fits(name)), None)


@given(CLAUSES, st.text("ab", min_size=1, max_size=2), st.text("ab", max_size=4))
def test_a_clause_fits_by_a_mark_only_where_it_fits(clause: Clause, mark: str, name: str) -> None:
    if clause.fits_by(mark, name):
        assert clause.fits(name)
        assert mark in repr(clause)


# ── what is billed in the place of tokens ────────────────────────────────────────────────────────────────
SEARCHES = Usage(server_tools={"search_units": 3})
RERANK = TenantRate("cohere", "rerank-*", search_units=2_000_000 * M)


def test_search_units_have_no_price_until_a_tenants_rate_gives_one(book: PriceBook) -> None:
    unknown = cost(book, "cohere", "rerank-v3.5", SEARCHES)
    assert (unknown.total, unknown.source, unknown.lines) == (None, CostSource.UNPRICED, ())
    known = cost(book, "cohere", "rerank-v3.5", SEARCHES, "", RERANK)
    assert [(line.name, line.quantity, line.nano) for line in known.lines] == [("search_units", 3, 6_000_000)]
    assert (known.total, known.source, known.caveats) == (6_000_000, CostSource.TENANT_RATE, ())


@pytest.mark.parametrize("name", ["search_units", "image_tokens", "images", "classifications"])
def test_what_is_billed_beside_tokens_and_has_no_price_leaves_the_call_without_one(
    book: PriceBook, name: str
) -> None:
    usage = Usage(input=10, server_tools={name: 1})
    found = cost(book, "cohere", "embed-v4.0", usage)
    assert (found.total, found.caveats) == (None, (f"unpriced:{name}",))
    none_used = cost(book, "cohere", "embed-v4.0", Usage(input=10, server_tools={name: 0}))
    assert (none_used.total, none_used.source) == (1200, CostSource.PRICE_BOOK)


def test_pictures_that_are_embedded_cost_what_the_tenant_says_beside_the_text(book: PriceBook) -> None:
    rate = TenantRate("cohere", "embed-v4.0", image_tokens=470_000_000)
    found = cost(book, "cohere", "embed-v4.0", Usage(input=10, server_tools={"image_tokens": 100}), "", rate)
    assert (found.total, found.source) == (1200 + 47_000, CostSource.TENANT_RATE)


@pytest.mark.parametrize(
    ("usage", "total"),
    [
        (Usage(server_tools={"search_units": 0}), 0),
        (Usage(input=5, server_tools={"search_units": 1}), None),
        (Usage(input=0, output=0, server_tools={"search_units": 1}), 2_000_000),
        (Usage(), None),
        (Usage(server_tools={"web_search_requests": 1}), None),
    ],
)
def test_zero_units_are_a_price_and_nothing_counted_is_none(
    book: PriceBook, usage: Usage, total: int | None
) -> None:
    assert cost(book, "cohere", "rerank-v3.5", usage, "", RERANK).total == total


def test_a_rate_for_units_and_tokens_does_not_want_tokens_of_a_ranking(book: PriceBook) -> None:
    both = TenantRate("cohere", "*", input=M, output=M, search_units=M)
    assert cost(book, "cohere", "rerank-v3.5", SEARCHES, "", both).total == 3
    assert cost(book, "cohere", "command-x", Usage(input=3), "", both).total is None


def test_a_ranking_counts_as_reported() -> None:
    assert is_reported(SEARCHES)
    assert not is_reported(Usage(output=3))


# ── tiers, video, free models ────────────────────────────────────────────────────────────────────────────
def test_tokens_of_capacity_that_is_paid_by_the_hour_have_no_price(book: PriceBook) -> None:
    usage = Usage(input=10, output=1, tier="provisioned_throughput")
    found = cost(book, "vertex", "gemini-2.5-pro", usage)
    assert (found.total, found.caveats) == (None, ("tier:provisioned_throughput",))
    own = cost(book, "vertex", "gemini-2.5-pro", usage, "", TenantRate("vertex", "*", input=0, output=0))
    assert (own.total, own.source) == (0, CostSource.TENANT_RATE)


@pytest.mark.parametrize("tier", ["flex", "FLEX", "priority", "ON_DEMAND", "batch"])
def test_a_tier_is_read_in_any_case(book: PriceBook, tier: str) -> None:
    lower = cost(book, "gemini", "gemini-3.5-flash", Usage(input=1000, output=10, tier=tier.lower()))
    assert (
        cost(book, "gemini", "gemini-3.5-flash", Usage(input=1000, output=10, tier=tier)).lines == lower.lines
    )
    assert (tier.lower() == "on_demand") <= (lower.caveats == ())


def test_video_is_charged_as_video(book: PriceBook) -> None:
    usage = Usage(input=1000, input_video=900)
    found = cost(book, "gemini", "gemini-embedding-2", usage)
    assert {line.name: line.quantity for line in found.lines} == {"input": 100, "input_video": 900}
    plain = cost(book, "gemini", "gemini-embedding-2", Usage(input=1000))
    assert found.total is not None
    assert plain.total is not None
    assert found.total > 10 * plain.total
    assert cost(book, "gemini", "gemini-embedding-2", Usage(input=1, input_video=2)).total is None


def test_a_model_that_is_called_free_costs_nothing_and_another_without_a_rate_is_unknown(
    book: PriceBook,
) -> None:
    free = cost(book, "openrouter", "openai/gpt-oss-20b:free")
    assert (free.total, free.source) == (0, CostSource.PRICE_BOOK)
    assert cost(book, "gemini", "gemma-3-27b-it").total is None
    assert cost(book, "openrouter", "openai/gpt-oss-20b:nitro").total is None
