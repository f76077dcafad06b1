"""Reads what a reply's headers say about rate limits, one function per family of headers.

Law: pure; a header that does not parse says nothing; times come out absolute, in microseconds. What is absent
stays absent and is never zero. Decides nothing: `headroom` keeps the figures, the plan weighs them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Final, TypeAlias

import msgspec

from tokenone.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from tokenone.types import Headers, Provider

FARTHEST_US: Final = DAY_US
"""No reset is believed to be farther away."""
_LIMIT_DIGITS: Final = 15
_SPAN: Final = re.compile(rb"(\d{1,9}(?:\.\d{1,9})?)(ms|us|ns|h|m|s|d)")
_UNIT_US: Final = {
    b"d": DAY_US, b"h": HOUR_US, b"m": MINUTE_US, b"s": SECOND_US, b"ms": 1000, b"us": 1, b"ns": 0,
}  # fmt: skip
_MARK: Final = b"ratelimit"


class Left(msgspec.Struct, frozen=True, gc=False):
    """What is left of one limit, and when it is full again (microseconds since 1970)."""

    remaining: int
    reset_us: int | None = None


class Figures(msgspec.Struct, frozen=True, gc=False):
    """What a reply said of its key's limits; None is *not said*."""

    requests: Left | None = None
    tokens: Left | None = None


NOTHING: Final = Figures()
Read: TypeAlias = Callable[[Mapping[bytes, bytes], int], Figures]


def figures(provider: Provider, headers: Headers, now_us: int) -> Figures:
    """Returns what a reply's headers say, by its provider's family; NOTHING for most replies."""
    found = {lower: value for name, value in headers if _MARK in (lower := name.lower()) and len(value) < 64}
    return FAMILIES.get(provider, standard)(found, now_us) if found else NOTHING


def openai(found: Mapping[bytes, bytes], now_us: int) -> Figures:
    """OpenAI, and Azure, Groq and others that took its names: `x-ratelimit-remaining-requests: 59`,
    `x-ratelimit-reset-requests: 6m0s` (platform.openai.com/docs/guides/rate-limits, headers).
    """

    def left(kind: bytes) -> Left | None:
        remaining = _count(found.get(b"x-ratelimit-remaining-" + kind))
        if remaining is None:
            return None
        span = _span(found.get(b"x-ratelimit-reset-" + kind))
        return Left(remaining, None if span is None else now_us + span)

    return Figures(left(b"requests"), left(b"tokens"))


def anthropic(found: Mapping[bytes, bytes], now_us: int) -> Figures:
    """Anthropic: `anthropic-ratelimit-requests-remaining: 49`, `…-reset` in RFC 3339; of the three limits on
    tokens the one with the least left (docs.anthropic.com/en/api/rate-limits, response headers).
    """

    def left(kind: bytes) -> Left | None:
        start = b"anthropic-ratelimit-" + kind
        remaining = _count(found.get(start + b"-remaining"))
        return None if remaining is None else Left(remaining, _moment(found.get(start + b"-reset"), now_us))

    kinds = (left(b"tokens"), left(b"input-tokens"), left(b"output-tokens"))
    tokens = [one for one in kinds if one is not None]
    return Figures(left(b"requests"), min(tokens, key=lambda one: one.remaining, default=None))


def openrouter(found: Mapping[bytes, bytes], now_us: int) -> Figures:
    """OpenRouter: `X-RateLimit-Remaining`, `X-RateLimit-Reset` in milliseconds since 1970
    (openrouter.ai/docs/api-reference/limits).
    """
    remaining = _count(found.get(b"x-ratelimit-remaining"))
    if remaining is None:
        return NOTHING
    reset_ms = _count(found.get(b"x-ratelimit-reset"))
    return Figures(Left(remaining, None if reset_ms is None else _near(reset_ms * 1000, now_us)))


def standard(found: Mapping[bytes, bytes], now_us: int) -> Figures:
    """`RateLimit-Remaining` and `RateLimit-Reset` in seconds from now (draft-ietf-httpapi-ratelimit-headers-06),
    else the names that OpenAI has made usual.
    """
    remaining = _count(found.get(b"ratelimit-remaining"))
    if remaining is None:
        return openai(found, now_us)
    seconds = _count(found.get(b"ratelimit-reset"))
    return Figures(Left(remaining, None if seconds is None else _near(now_us + seconds * SECOND_US, now_us)))


FAMILIES: Final[Mapping[Provider, Read]] = MappingProxyType(
    {
        Provider.OPENAI: openai,
        Provider.AZURE: openai,
        Provider.ANTHROPIC: anthropic,
        Provider.OPENROUTER: openrouter,
    }
)
"""The family by provider; `standard` for all others."""


def retry_after_us(headers: Headers, now_us: int) -> int | None:
    """Returns for how long a provider asks to be left alone: `retry-after-ms` (OpenAI, Azure), else
    `Retry-After` in seconds or as a date (RFC 9110, section 10.2.3); None where it says nothing."""
    told: dict[bytes, bytes] = {}
    for name, value in headers:
        lower = name.lower()
        if lower.startswith(b"retry-after"):
            told.setdefault(lower, value)
    milliseconds = _decimal(told.get(b"retry-after-ms"), 1000)
    if milliseconds is not None:
        return milliseconds
    after = told.get(b"retry-after")
    seconds = _decimal(after, SECOND_US)
    return _date_span(after, now_us) if seconds is None else seconds


def _count(value: bytes | None) -> int | None:
    if value is None or not value.isdigit() or len(value) > _LIMIT_DIGITS:
        return None
    return int(value)


def _decimal(value: bytes | None, unit_us: int) -> int | None:
    """Reads a plain decimal number of units."""
    if value is None or not re.fullmatch(rb"\d{1,9}(?:\.\d{1,9})?", value):
        return None
    return _scaled(value, unit_us)


def _scaled(number: bytes, unit_us: int) -> int:
    whole, _, part = number.partition(b".")
    return int(whole) * unit_us + (int(part) * unit_us // 10 ** len(part) if part else 0)


def _span(value: bytes | None) -> int | None:
    """Reads `1s`, `6m0s`, `1h2m3.5s`, `20ms`; a bare number is seconds (Azure)."""
    if value is None:
        return None
    bare = _decimal(value, SECOND_US)
    if bare is not None:
        return min(bare, FARTHEST_US)
    at, total = 0, 0
    while at < len(value):
        part = _SPAN.match(value, at)
        if part is None:
            return None
        total += _scaled(part[1], _UNIT_US[part[2]])
        at = part.end()
    return min(total, FARTHEST_US) if at else None


def _moment(value: bytes | None, now_us: int) -> int | None:
    """Reads an RFC 3339 time."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value.decode("ascii"))
        if moment.tzinfo is None:
            return None
        return _near(int(moment.timestamp()) * SECOND_US + moment.microsecond, now_us)
    except (ValueError, OverflowError, OSError):
        return None


def _date_span(value: bytes | None, now_us: int) -> int | None:
    if value is None or len(value) > 64:
        return None
    try:
        moment = parsedate_to_datetime(value.decode("ascii"))
        seconds = int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp())
    except (ValueError, TypeError, IndexError, OverflowError, OSError):
        return None
    return max(min(seconds * SECOND_US - now_us, FARTHEST_US), 0)


def _near(moment_us: int, now_us: int) -> int:
    return max(min(moment_us, now_us + FARTHEST_US), now_us)
