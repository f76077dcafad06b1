"""Prices equal genai-prices' own `calc_price`, within one rounding per line: for every model of every provider,
at random usages and times."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import genai_prices
import msgspec
import pytest
from genai_prices.data import providers as published
from genai_prices.types import ModelInfo
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from kit.publisher import assert_equal, theirs
from tokenone.meter.prices import LISTS, PriceBook
from tokenone.meter.rate import price
from tokenone.types import Usage

BY_ID = {provider.id: provider for provider in published}
OURS = {ours: BY_ID[theirs] for ours, theirs in LISTS.items() if ours != "vertex"}
MODELS = [(name, model) for name, provider in OURS.items() for model in provider.models]
NATIVE = [(name, model) for name, model in MODELS if name in ("openai", "anthropic")]


def spellings(model: ModelInfo) -> str:
    """Returns a name that the model's own clause accepts: its id, else the first text of the clause."""
    waiting: list[Any] = [model.match]
    names = [model.id]
    while waiting:
        clause = waiting.pop(0)
        waiting += [*getattr(clause, "or_", ()), *getattr(clause, "and_", ())]
        names += [str(text) for text in vars(clause).values() if isinstance(text, str)]
    return next(name for name in names if model.is_match(name))


def their_total(provider: str, model: str, usage: Usage, at_us: int) -> Decimal:
    context = {"service_tier": usage.tier, "speed": usage.speed}
    if usage.tier == "batch":
        context["processing"] = "batch"
    moment = datetime.datetime.fromtimestamp(at_us / 1e6, datetime.UTC)
    calculated = genai_prices.calc_price(
        theirs(usage), model, provider_id=LISTS[provider], genai_request_timestamp=moment,
        price_context={name: value for name, value in context.items() if value} or None,
    )  # fmt: skip
    return calculated.total_price


INSTANTS = st.datetimes(datetime.datetime(2023, 1, 1), datetime.datetime(2027, 6, 1)).map(
    lambda moment: int(moment.replace(tzinfo=datetime.UTC, microsecond=0).timestamp()) * 1_000_000
)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Draws a consistent usage: parts never exceed their whole; now and then beyond a tier's start."""
    whole = draw(st.integers(0, 2000) | st.integers(90_000, 1_200_000))
    out = draw(st.integers(0, 100_000))
    read = draw(st.integers(0, whole))
    write = draw(st.integers(0, whole - read))
    audio = draw(st.integers(0, whole - read - write)) if draw(st.booleans()) else None
    spoken = draw(st.integers(0, out)) if audio is not None else None
    thought = draw(st.integers(0, out - (spoken or 0)))
    searches = draw(st.sampled_from([None, {"web_search_requests": 3}, {"file_search_requests": 1}]))
    return Usage(
        input=whole, output=out, cache_read=read, cache_write=write,
        cache_write_1h=draw(st.integers(0, write)), reasoning=thought, input_audio=audio, output_audio=spoken,
        cache_read_audio=None if audio is None else 0, server_tools=searches,
        tier=draw(st.sampled_from([None, "default", "standard", "flex", "priority", "batch"])),
        speed=draw(st.sampled_from([None, "standard", "fast"])),
    )  # fmt: skip


def check_model(book: PriceBook, provider: str, model: ModelInfo, usage: Usage, at_us: int) -> None:
    """Compares one price; a model without token prices is unpriced, one without an output price has no output."""
    name = spellings(model)
    found = book.find(provider, name)
    assert found is not None
    rates = found.standard(at_us)
    if "input" not in rates:
        assert price(book, provider=provider, model=name, usage=usage, at_us=at_us).total is None
        return
    if "output" not in rates:
        usage = msgspec.structs.replace(usage, output=None, output_audio=None, reasoning=None)
    expected = their_total(provider, name, usage, at_us)
    assert_equal(price(book, provider=provider, model=name, usage=usage, at_us=at_us), expected)


@pytest.mark.parametrize(("provider", "model"), NATIVE, ids=lambda value: getattr(value, "id", value))
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(usage=usages(), at_us=INSTANTS)
def test_every_model_costs_what_the_publisher_says(
    book: PriceBook, provider: str, model: ModelInfo, usage: Usage, at_us: int
) -> None:
    check_model(book, provider, model, usage, at_us)


@pytest.mark.parametrize("provider", sorted(OURS))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), usage=usages(), at_us=INSTANTS)
def test_every_providers_models_cost_what_the_publisher_says(
    book: PriceBook, provider: str, data: st.DataObject, usage: Usage, at_us: int
) -> None:
    check_model(book, provider, data.draw(st.sampled_from(OURS[provider].models)), usage, at_us)


@pytest.mark.long
@settings(max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chosen=st.sampled_from(MODELS), usage=usages(), at_us=INSTANTS)
def test_every_model_costs_what_the_publisher_says_many_times(
    book: PriceBook, chosen: tuple[str, ModelInfo], usage: Usage, at_us: int
) -> None:
    check_model(book, *chosen, usage, at_us)


@pytest.mark.parametrize("provider", sorted(OURS))
def test_every_model_is_found_where_the_publisher_finds_it(book: PriceBook, provider: str) -> None:
    models = OURS[provider].models
    for model in models[
        :: 1 + len(models) // 150
    ]:  # the publisher takes a millisecond to find one of a thousand
        name = spellings(model)
        for spelled in (name, name.upper(), name + "-20251211", name + "x", "x" + name):
            expected = OURS[provider].find_model(spelled, all_providers=list(published))
            found = book.find(provider, spelled)
            assert (found and found.id) == (expected and expected.id), spelled


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(MODELS), st.text(st.characters(codec="utf-8"), max_size=20))
def test_any_name_is_found_or_missed_alike(book: PriceBook, model: tuple[str, ModelInfo], noise: str) -> None:
    provider = model[0]
    for name in (noise, model[1].id + noise, noise + model[1].id):
        expected = OURS[provider].find_model(name, all_providers=list(published))
        found = book.find(provider, name)
        assert (found and found.id) == (expected and expected.id)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([0, 14, 272, 86_399]), st.integers(1, 10**9), INSTANTS)
def test_transcription_by_the_second_costs_what_the_publisher_says(
    book: PriceBook, whole: int, seconds: int, at_us: int
) -> None:
    assume(seconds < 10**7 or whole)
    usage = Usage(audio_seconds=seconds)
    cost = price(book, provider="openai", model="whisper-1", usage=usage, at_us=at_us)
    assert_equal(cost, their_total("openai", "whisper-1", usage, at_us))
