"""Money as integer nano-USD: one rounding per line, half to even; absent is None and never zero.

Rates are nano-USD per million units (tokens, calls). No float enters or leaves.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

NANO = 1_000_000_000
MILLION = 1_000_000


def line_cost(quantity: int, rate_per_million: int) -> int:
    """Returns nano-USD for `quantity` units at `rate_per_million` nano-USD per million, rounded once."""
    return round_half_even(quantity * rate_per_million, MILLION)


def round_half_even(numerator: int, denominator: int) -> int:
    """Divides integers, rounding half to even; `denominator` is positive."""
    quotient, remainder = divmod(numerator, denominator)
    twice = 2 * remainder
    if twice > denominator or (twice == denominator and quotient & 1):
        return quotient + 1
    return quotient


def nano(usd: Decimal) -> int:
    """Converts USD to nano-USD, rounded once."""
    return int((usd * NANO).to_integral_value(rounding=ROUND_HALF_EVEN))


def usd_text(nano_usd: int | None) -> str:
    """Shows nano-USD as exact decimal USD with at least six places; `unpriced` for None."""
    if nano_usd is None:
        return "unpriced"
    if nano_usd < 0:
        return "-" + usd_text(-nano_usd)
    if nano_usd % 1000:
        return f"{nano_usd // NANO}.{nano_usd % NANO:09d}"
    return f"{nano_usd // NANO}.{nano_usd % NANO // 1000:06d}"
