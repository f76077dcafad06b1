"""Every recorded exchange of every provider: usage as the provider's facts read it, priced, equals what
genai-prices calculates, from the same counts and, where it can, from its own reading of the reply; what it cannot
price is unpriced. A charge that the provider reports is taken as it is."""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import genai_prices
import pytest

from kit.publisher import assert_equal, theirs
from kit.shared import Exchange, exchanges, require_exchanges
from tokenone.dispatch.providers import PROVIDERS
from tokenone.meter.prices import LISTS, PriceBook
from tokenone.meter.rate import Cost, price
from tokenone.money import NANO, nano
from tokenone.types import CostSource, Provider, Usage

FOLDERS = {
    **{provider.value: provider for provider in Provider if provider is not Provider.CUSTOM},
    "ollama": Provider.CUSTOM,
    "openai-compat": Provider.CUSTOM,
}
RECORDED = [(name, exchange) for name in FOLDERS for exchange in exchanges(name) if exchange.status < 300]
NOW = datetime.datetime(2026, 11, 1, 12, tzinfo=datetime.UTC)
NOW_US = int(NOW.timestamp()) * 1_000_000
PRICED = {"openai": 43, "anthropic": 44, "azure": 10, "bedrock": 34, "gemini": 33, "vertex": 21, "cohere": 16}
"""How many recordings of a provider the book prices; of OpenRouter those that report no charge."""
# The publisher's flavours of replies, by how a path ends.
FLAVOURS = {
    "/messages": "default",
    "/chat/completions": "chat",
    "/completions": "chat",
    "/responses": "responses",
    "/embeddings": "embeddings",
    "/embed": "embeddings",
    "/chat": "default",
    "/converse": "default",
    ":generateContent": "default",
}


@dataclass(frozen=True)
class Read:
    """What the facts say of a recorded reply: the name to price by, counts and charge."""

    model: str
    usage: Usage | None
    charged: int | None


def named() -> list[Any]:
    """Parametrises by exchange; without the folder one case remains, which skips."""
    rows = [pytest.param(*row, id=f"{row[0]}-{row[1].id[:60]}") for row in RECORDED]
    return rows or [pytest.param("openai", None, id="absent")]


def path_of(exchange: Exchange, provider: Provider) -> bytes:
    """Returns the path as the facts know it; services of one's own have theirs below the endpoint's base."""
    path = exchange.path.replace("//", "/")
    if provider is not Provider.CUSTOM or path.startswith("/api/"):
        return path.encode()
    return next("/v1" + end for end in FLAVOURS if path.endswith(end)).encode()


def read(folder: str, exchange: Exchange, book: PriceBook) -> Read:
    """Reads a recorded reply with the facts of its provider."""
    provider = FOLDERS[folder]
    facts = PROVIDERS.get(provider)
    if facts is None:
        pytest.skip(f"SKIPPED LOUDLY: {provider.value} is not served yet; its recordings are not priced")
    path = path_of(exchange, provider)
    meter = facts.open_meter(path, exchange.reply_headers.get("content-type", "").lower().encode(), False)
    if meter is None:
        headers = [(name.encode(), value.encode()) for name, value in exchange.reply_headers.items()]
        said, usage, charged = facts.read(exchange.reply, path, headers)
    else:
        assert meter.feed(exchange.reply) + meter.finish() == exchange.reply
        said, usage, charged = meter.model, meter.usage, meter.charged
    asked = facts.model_in(path) or json.loads(exchange.body or b"{}").get("model")
    return Read(book.known(provider.value, said, asked) or said or asked or "", usage, charged)


def cost_of(folder: str, exchange: Exchange, book: PriceBook) -> Cost:
    found = read(folder, exchange, book)
    return price(
        book, provider=FOLDERS[folder].value, model=found.model, usage=found.usage, at_us=NOW_US,
        reported_nano=found.charged,
    )  # fmt: skip


def calculated(folder: str, found: Read) -> Decimal | None:
    """Returns the publisher's price of the same counts."""
    priced_by = LISTS.get(FOLDERS[folder].value)
    if found.usage is None or priced_by is None:
        return None
    try:
        calculated = genai_prices.calc_price(
            theirs(found.usage), found.model, provider_id=priced_by, genai_request_timestamp=NOW
        )
    except LookupError:
        return None
    return calculated.total_price


def extracted(folder: str, exchange: Exchange, model: str) -> Decimal | None:
    """Returns the publisher's price of what it reads itself in a whole JSON reply."""
    flavour = next((name for end, name in FLAVOURS.items() if exchange.path.endswith(end)), None)
    priced_by = LISTS.get(FOLDERS[folder].value)
    if flavour is None or priced_by is None or not exchange.reply.lstrip().startswith(b"{"):
        return None
    if b"web_search_call" in exchange.reply or b"groundingMetadata" in exchange.reply:
        return None  # it does not count searches
    if exchange.path.endswith("/openai/chat/completions"):
        return None  # it leaves out the thoughts, which `total_tokens` alone counts there
    try:
        reply = json.loads(exchange.reply) | {"model": model}
        found = genai_prices.extract_usage(reply, provider_id=priced_by, api_flavor=flavour)
        return found.calc_price(genai_request_timestamp=NOW).total_price
    except (LookupError, ValueError):
        return None
    except AttributeError:  # modalities as numbers, which it does not know
        return None


@pytest.mark.parametrize(("folder", "exchange"), named())
def test_a_recorded_exchange_costs_what_the_publisher_says_or_is_unpriced(
    book: PriceBook, folder: str, exchange: Exchange
) -> None:
    require_exchanges()
    found, cost = read(folder, exchange, book), cost_of(folder, exchange, book)
    if found.charged is not None:
        assert (cost.total, cost.source) == (found.charged, CostSource.PROVIDER_REPORTED)
        return
    expected = calculated(folder, found)
    if expected is None:
        assert (cost.total, cost.source, cost.lines) == (None, CostSource.UNPRICED, ())
        return
    assert cost.source is CostSource.PRICE_BOOK
    assert_equal(cost, expected)
    own_reading = extracted(folder, exchange, found.model)
    if own_reading is not None:
        assert_equal(cost, own_reading)


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_book_prices_as_many_recordings_as_it_is_known_to(book: PriceBook, folder: str) -> None:
    require_exchanges()
    rows = [exchange for name, exchange in RECORDED if name == folder]
    costs = [cost_of(folder, exchange, book) for exchange in rows]
    priced = sum(cost.source is CostSource.PRICE_BOOK for cost in costs)
    reported = sum(cost.source is CostSource.PROVIDER_REPORTED for cost in costs)
    assert rows
    assert priced >= PRICED.get(folder, 0)
    assert (reported > 0) == (folder == "openrouter")
    if FOLDERS[folder] is Provider.CUSTOM:
        assert all(cost.source is CostSource.UNPRICED for cost in costs)


def test_openrouters_charge_is_its_own_figure_to_the_nano_and_comes_before_the_book(book: PriceBook) -> None:
    """With a key of one's own at the model's provider, `cost` is what OpenRouter takes, the rest goes there."""
    require_exchanges()
    compared = 0
    for exchange in exchanges("openrouter"):
        if exchange.status >= 300 or exchange.event_stream:
            continue
        usage = json.loads(exchange.reply, parse_float=Decimal).get("usage") or {}
        found = read("openrouter", exchange, book)
        if usage.get("cost") is None:
            assert found.charged is None
            continue
        upstream = (
            (usage.get("cost_details") or {}).get("upstream_inference_cost") if usage.get("is_byok") else 0
        )
        expected = nano(Decimal(usage["cost"]) + Decimal(upstream or 0))
        assert found.charged is not None
        assert abs(found.charged - expected) <= 1
        assert cost_of("openrouter", exchange, book).total == found.charged
        compared += 1
    assert compared >= 15


def test_a_model_that_was_served_instead_of_the_one_asked_for_is_not_priced_as_that(book: PriceBook) -> None:
    assert book.known("openrouter", "x-ai/never-heard-of", "openai/gpt-4o") is None
    assert book.known("openrouter", None, "openai/gpt-4o") == "openai/gpt-4o"
    assert book.known("azure", "gpt-never-heard-of", "gpt-4o") is None
    assert book.known("azure", "gpt-4o-2024-08-06", "ours") == "gpt-4o-2024-08-06"
    assert book.known("openai", "gpt-never-heard-of", "gpt-4o") == "gpt-4o"


def test_a_charge_is_nano_dollars() -> None:
    assert nano(Decimal("0.000123456789")) == 123_457
    assert NANO == 10**9
