"""Compiles the prices that genai-prices publishes into a price book: offline, once, when they are installed.

Law: the only module that imports genai-prices; its updater is never started, so nothing is fetched. Rates
become integer nano-USD per million units, rounded half to even where the publisher has more digits. Unit
prices that no reply of ours can report (characters, cached images) are left out. The gateway never imports this.
"""

from __future__ import annotations

import datetime
import hashlib
from decimal import Decimal
from importlib.metadata import version as installed_version
from typing import Final

import msgspec
from genai_prices import types as source
from genai_prices.data import providers as published

from tokenone.clock import SECOND_US
from tokenone.errors import ConfigRefused
from tokenone.meter.match import Clause
from tokenone.meter.prices import (
    FORMAT,
    LISTS,
    BookFile,
    Dated,
    ModelPrices,
    PriceList,
    Rate,
    Variant,
    When,
)
from tokenone.money import MILLION, nano

# The publisher's price keys: our unit, and for how many of it the price is.
UNITS: Final = {
    "input_mtok": ("input", MILLION),
    "output_mtok": ("output", MILLION),
    "cache_read_mtok": ("cache_read", MILLION),
    "cache_write_mtok": ("cache_write", MILLION),
    "cache_write_1h_mtok": ("cache_write_1h", MILLION),
    "input_audio_mtok": ("input_audio", MILLION),
    "output_audio_mtok": ("output_audio", MILLION),
    "cache_audio_read_mtok": ("cache_read_audio", MILLION),
    "input_image_mtok": ("input_image", MILLION),
    "output_image_mtok": ("output_image", MILLION),
    "input_video_mtok": ("input_video", MILLION),
    "output_video_mtok": ("output_video", MILLION),
    "output_reasoning_mtok": ("reasoning", MILLION),
    "audio_hours": ("audio_seconds", 3600),
    "web_searches_kcount": ("web_search_requests", 1000),
    "storage_searches_kcount": ("file_search_requests", 1000),
    "rerank_searches_kcount": ("search_units", 1000),
}
_FREE: Final = {"input": Rate(0), "output": Rate(0)}
"""Of models that are called free; the publisher gives them no rates, as it does models without a known price."""
_SIMPLE_CLAUSES: Final = ("equals", "starts_with", "ends_with", "contains")


def compile_book() -> bytes:
    """Returns `pricebook.json`; the same installed prices always give the same bytes."""
    by_id = {provider.id: provider for provider in published}
    wanted = dict.fromkeys(LISTS.values())
    for name in tuple(wanted):
        wanted.update(dict.fromkeys(by_id[name].fallback_model_providers or ()))
    lists = {name: _price_list(by_id[name]) for name in wanted if name in by_id}
    content = msgspec.json.encode(lists, order="deterministic")
    version = f"genai-prices {installed_version('genai-prices')} {hashlib.sha256(content).hexdigest()[:12]}"
    return msgspec.json.encode(BookFile(FORMAT, version, lists), order="deterministic")


def _price_list(provider: source.Provider) -> PriceList:
    models = tuple(_model(model) for model in provider.models)
    return PriceList(models, tuple(provider.fallback_model_providers or ()))


def _model(model: source.ModelInfo) -> ModelPrices:
    prices = model.prices
    if isinstance(prices, source.ModelPrice):
        dated: tuple[Dated, ...] = (Dated(_rates(prices) or (_FREE if model.id.endswith(":free") else {})),)
    else:
        dated = tuple(Dated(_rates(price.prices), _when(price.constraint)) for price in prices)
    variants = tuple(
        Variant(dict(variant.when), _rates(variant.prices), _when(variant.constraint))
        for variant in model.price_variants or ()
    )
    return ModelPrices(model.id, _clause(model.match), dated, variants)


def _clause(clause: object) -> Clause:
    """Names are compared in lower case on both sides, but a pattern is taken as it is."""
    for kind in _SIMPLE_CLAUSES:
        text = getattr(clause, kind, None)
        if isinstance(text, str):
            return Clause(kind, text.lower())
    if isinstance(clause, source.ClauseRegex):
        return Clause("regex", clause.regex)
    if isinstance(clause, source.ClauseOr):
        return Clause("any", "", tuple(_clause(part) for part in clause.or_))
    if isinstance(clause, source.ClauseAnd):
        return Clause("all", "", tuple(_clause(part) for part in clause.and_))
    raise ConfigRefused("genai-prices has a match clause that this version does not know")


def _when(constraint: object) -> When:
    if constraint is None:
        return When()
    if isinstance(constraint, source.StartDateConstraint):
        midnight = datetime.datetime.combine(constraint.start_date, datetime.time(), datetime.UTC)
        return When(from_us=int(midnight.timestamp()) * SECOND_US)
    if isinstance(constraint, source.TimeOfDateConstraint):
        return When(daily=(_second_of_day(constraint.start_time), _second_of_day(constraint.end_time)))
    raise ConfigRefused("genai-prices has a price condition that this version does not know")


def _second_of_day(time: datetime.time) -> int:
    zoned = time if time.tzinfo else time.replace(tzinfo=datetime.UTC)
    instant = datetime.datetime.combine(datetime.date(1970, 1, 2), zoned)
    return int(instant.timestamp()) % 86_400


def _rates(prices: source.ModelPrice) -> dict[str, Rate]:
    named = {key: price for key, price in vars(prices).items() if price is not None}
    return {UNITS[key][0]: _rate(price, UNITS[key][1]) for key, price in named.items() if key in UNITS}


def _rate(price: Decimal | source.TieredPrices, per: int) -> Rate:
    if isinstance(price, source.TieredPrices):
        tiers = tuple((tier.start, _per_million(tier.price, per)) for tier in price.tiers)
        return Rate(_per_million(price.base, per), tiers)
    return Rate(_per_million(price, per))


def _per_million(usd: Decimal, per: int) -> int:
    return nano(usd * MILLION / per)
