"""Prices one call's usage: a line per unit, integers, each line rounded once.

Law: tenant rate before price book, provider-reported cost before both; what has no price is unpriced, which
is None and never zero. Facts that move the price and that the book does not know are named in `caveats`,
together with what the provider charges apart: a total with caveats is honest about what it leaves out.
"""

from __future__ import annotations

import functools
from typing import Final

import msgspec

from tokenone.meter.names import COMMERCIAL, named, partition_of
from tokenone.meter.prices import ModelPrices, PriceBook, Rate
from tokenone.money import line_cost
from tokenone.rows import TenantRate
from tokenone.types import CostSource, Usage

__all__ = ["Cost", "Line", "PriceBook", "price"]


class Line(msgspec.Struct, frozen=True, gc=False):
    """`quantity` units at `rate` nano-USD per million; what a more specific line took is not in it."""

    name: str
    quantity: int
    rate: int | None
    nano: int


class Cost(msgspec.Struct, frozen=True):
    """What a call cost at the provider's price; `total` None is unknown. `book` names the price book."""

    lines: tuple[Line, ...]
    total: int | None
    source: CostSource
    book: str
    caveats: tuple[str, ...] = ()


# A unit's parts, most specific unit first. A part that has a price of its own is taken out of the whole;
# one that has none is charged as the whole is (cached input without a price costs as input).
_PARTS: Final[dict[str, tuple[str, ...]]] = {
    "cache_read_audio": (),
    "cache_write_1h": (),
    "cache_read": ("cache_read_audio",),
    "cache_write": ("cache_write_1h",),
    "input_audio": ("cache_read_audio",),
    "input_image": (),
    "input_video": (),
    "reasoning": (),
    "output_audio": (),
    "output_image": (),
    "output_video": (),
    "input": (
        "cache_read",
        "cache_write",
        "cache_write_1h",
        "input_audio",
        "input_image",
        "input_video",
        "cache_read_audio",
    ),
    "output": ("reasoning", "output_audio", "output_image", "output_video"),
    "audio_seconds": (),
}
_TOOLS: Final = ("web_search_requests", "file_search_requests")
# What a provider bills in the place of tokens: without a price for it the call has none.
_MEASURES: Final = ("search_units", "image_tokens", "images", "classifications")
_FREE_TOOLS: Final = frozenset(("web_fetch_requests", "tool_search_requests"))
_STANDARD: Final = frozenset(("default", "standard", "auto", "on_demand", "global", "not_available"))
_BY_TIME: Final = frozenset(("provisioned_throughput",))
"""Tiers whose capacity is paid for by the hour: their tokens have no price of their own."""
_TENANT_UNITS: Final = ("input", "output", "cache_read", "cache_write", "search_units", "image_tokens")


def price(  # noqa: PLR0913 - keyword-only: the facts of a call, none of which belong together elsewhere
    book: PriceBook,
    *,
    provider: str,
    model: str,
    usage: Usage | None,
    at_us: int,
    rates: tuple[TenantRate, ...] = (),
    reported_nano: int | None = None,
    partition: str = COMMERCIAL,
) -> Cost:
    """Returns what the call cost. `model` as the reply spells it (`book.known` chooses between spellings),
    `partition` as the endpoint that served it tells: the book's prices hold where they are published for."""
    if reported_nano is not None:
        line = Line("reported", 1, None, reported_nano)
        return Cost((line,), reported_nano, CostSource.PROVIDER_REPORTED, book.version)
    found = book.find(provider, model, partition)
    own = _tenant_rates(rates, provider, model, found)
    unknown = _elsewhere(provider, model, partition) if found is None else []
    if usage is None or (found is None and not own):
        return Cost((), None, CostSource.UNPRICED, book.version, tuple(unknown))
    sheet, caveats = ({}, unknown) if found is None else _sheet(found, usage, at_us)
    if usage.tier and usage.tier.lower() in _BY_TIME and not own:
        return Cost((), None, CostSource.UNPRICED, book.version, (f"tier:{usage.tier}",))
    lines = _lines(usage, sheet | own, caveats)
    if lines is None:
        return Cost((), None, CostSource.UNPRICED, book.version, tuple(caveats))
    used_own = any(line.name in own for line in lines)
    source = CostSource.TENANT_RATE if used_own or found is None else CostSource.PRICE_BOOK
    return Cost(lines, sum(line.nano for line in lines), source, book.version, tuple(caveats))


def _sheet(model: ModelPrices, usage: Usage, at_us: int) -> tuple[dict[str, Rate], list[str]]:
    """Returns the rates for this call's tier, speed and time, and what the book does not know about them."""
    facts = {}
    if usage.tier:
        facts["service_tier"] = usage.tier.lower()
        if facts["service_tier"] == "batch":
            facts["processing"] = "batch"
    if usage.speed:
        facts["speed"] = usage.speed
    sheet = model.standard(at_us)
    variants = model.fitting(at_us, facts) if facts and model.variants else []
    for variant in reversed(variants):
        sheet = sheet | variant.rates
    known = {value for variant in variants for value in variant.facts.values()} | _STANDARD
    told = (("tier", usage.tier), ("speed", usage.speed), ("geo", usage.geo))
    return sheet, [f"{name}:{value}" for name, value in told if value and value.lower() not in known]


def _elsewhere(provider: str, model: str, partition: str) -> list[str]:
    """Names the partition for which the book has no price of the model, if it is another than the commercial."""
    served = partition_of(partition, named(provider, model.lower()).partition)
    return [f"partition:{served}"] if served else []


def _tenant_rates(
    rates: tuple[TenantRate, ...], provider: str, model: str, found: ModelPrices | None
) -> dict[str, Rate]:
    """Returns the rates of the most specific row that fits: an exact model before the longest pattern."""
    if not rates:
        return {}
    spelled = named(provider, model).name
    names = tuple(name for name in (model, spelled, found and found.id) if name)
    fitting = [row for row in rates if row.provider == provider and _fits(row.model, names)]
    if not fitting:
        return {}
    best = max(fitting, key=lambda row: (not row.model.endswith("*"), len(row.model)))
    given = {unit: getattr(best, unit) for unit in _TENANT_UNITS}
    return {unit: Rate(rate) for unit, rate in given.items() if rate is not None}


def _fits(pattern: str, names: tuple[str, ...]) -> bool:
    if pattern.endswith("*"):
        return any(name.startswith(pattern[:-1]) for name in names)
    return pattern in names


@functools.lru_cache(maxsize=256)
def _steps(priced: tuple[str, ...]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Returns the priced units, parts before wholes, each with those of its parts that have a price."""
    return tuple(
        (unit, tuple(part for part in parts if part in priced))
        for unit, parts in _PARTS.items()
        if unit in priced
    )


def _lines(usage: Usage, sheet: dict[str, Rate], caveats: list[str]) -> tuple[Line, ...] | None:
    """Returns the lines, None if a counted total has no price, is missing or contradicts its parts."""
    whole_input = usage.input or 0
    remaining: dict[str, int] = {}
    lines: list[Line] = []
    for unit, parts in _steps(tuple(sheet)):
        left: int = getattr(usage, unit) or 0
        for part in parts:
            left -= remaining[part]
        if left < 0:
            caveats.append(f"contradiction:{unit}")
            return None
        remaining[unit] = left
        if left:
            rate = sheet[unit].at(whole_input)
            lines.append(Line(unit, left, rate, line_cost(left, rate)))
    if _unpriced_total(usage, sheet, caveats):
        return None
    _note_overlap(usage, sheet, caveats)
    lines.reverse()
    if usage.server_tools:
        lines += _tool_lines(usage.server_tools, sheet, caveats)
    return tuple(lines)


def _unpriced_total(usage: Usage, sheet: dict[str, Rate], caveats: list[str]) -> bool:
    """Says whether something was counted that has no rate, or tokens have a rate and were not counted."""
    tools = usage.server_tools or {}
    measured = [name for name in _MEASURES if name in tools] if tools else ()
    for name in measured:
        if tools[name] and name not in sheet:
            caveats.append(f"unpriced:{name}")
            return True
    counted_any = usage.input is not None or usage.output is not None
    by_time = usage.audio_seconds is not None and "audio_seconds" in sheet
    by_unit = bool(measured) and any(name in sheet for name in measured)
    instead = by_time or (by_unit and not counted_any)
    for unit in ("input", "output"):
        counted, rate = getattr(usage, unit), sheet.get(unit)
        if counted and rate is None:
            caveats.append(f"unpriced:{unit}")
            return True
        if counted is None and rate is not None and rate.base and not instead:
            caveats.append(f"unreported:{unit}")
            return True
    by_token = counted_any and ("input" in sheet or "output" in sheet)
    return not (by_time or by_unit or by_token)


def _tool_lines(tools: dict[str, int], sheet: dict[str, Rate], caveats: list[str]) -> list[Line]:
    """Returns a line per priced tool; others that cost something become caveats."""
    lines: list[Line] = []
    for name, count in tools.items():
        rate = sheet.get(name) if name in _TOOLS or name in _MEASURES else None
        if not count or name in _FREE_TOOLS:
            continue
        if rate is None:
            caveats.append(f"unpriced:{name}")
        else:
            lines.append(Line(name, count, rate.base, line_cost(count, rate.base)))
    return lines


def _note_overlap(usage: Usage, sheet: dict[str, Rate], caveats: list[str]) -> None:
    """Cached tokens may be audio or images; if the reply does not say how many are, none is assumed."""
    if not usage.cache_read or "cache_read" not in sheet:
        return
    if usage.input_audio and "input_audio" in sheet and usage.cache_read_audio is None:
        caveats.append("assumed:no-cached-audio")
    if usage.input_image and "input_image" in sheet:
        caveats.append("assumed:no-cached-images")
    if usage.input_video and "input_video" in sheet:
        caveats.append("assumed:no-cached-video")
