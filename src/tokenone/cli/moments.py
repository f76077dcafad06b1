"""Reads times, spans and amounts as people write them: `90d`, `2026-12-31`, `0.0005`, `1.5%`."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Final

from tokenone.cli.exits import UsageError
from tokenone.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from tokenone.money import nano

_UNITS: Final = {"s": SECOND_US, "m": MINUTE_US, "h": HOUR_US, "d": DAY_US, "w": 7 * DAY_US}
_SPAN: Final = re.compile(r"([0-9]{1,6})([smhdw])")


def span_us(text: str) -> int:
    """Reads `30s`, `10m`, `24h`, `90d` or `2w` as microseconds."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise UsageError("a span is a number and s, m, h, d or w, such as 24h or 90d")
    return int(found[1]) * _UNITS[found[2]]


def until_us(text: str) -> int:
    """Reads a span from now on, or a date or time as `moment_us` does."""
    return now_us() + span_us(text) if _SPAN.fullmatch(text) else moment_us(text)


def since_us(text: str) -> int:
    """Reads a span back from now, or a date or time as `moment_us` does."""
    return now_us() - span_us(text) if _SPAN.fullmatch(text) else moment_us(text)


def moment_us(text: str) -> int:
    """Reads an ISO 8601 date or time; without a zone it is UTC."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError("a time is a span such as 90d, or ISO 8601 such as 2026-12-31") from None
    aware = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    return round(aware.timestamp() * SECOND_US)


def usd_nano(text: str) -> int:
    """Reads an amount of USD as nano-USD."""
    return nano(_decimal(text, "an amount is decimal USD such as 0.0005"))


def percent_ppm(text: str) -> int:
    """Reads `1.5%` as parts per million."""
    share = _decimal(text.removesuffix("%"), "a share is a percentage such as 1.5%") * 10_000
    if not text.endswith("%") or share != int(share):
        raise UsageError("a share is a percentage with at most four decimals, such as 1.5%")
    return int(share)


def now_us() -> int:
    """Returns wall time."""
    return time.time_ns() // 1000


def _decimal(text: str, advice: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise UsageError(advice) from None
    if not amount.is_finite() or amount < 0:
        raise UsageError(advice)
    return amount
