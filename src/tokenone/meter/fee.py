"""The routing-and-governance fee: its own line, never mixed into the provider's price.

Law: one fee for each dispatched call however many attempts it took, none for refusals; the share of an
unknown cost is not guessed, so such a call bears the flat part alone.
"""

from __future__ import annotations

from tokenone.meter.rate import Cost
from tokenone.money import MILLION, round_half_even
from tokenone.rows import FeeSchedule


def fee(schedule: FeeSchedule, cost: Cost | None, dispatched: bool) -> int:
    """Returns the fee in nano-USD."""
    if not dispatched:
        return 0
    if cost is None or cost.total is None:
        return schedule.flat_nano
    return schedule.flat_nano + round_half_even(cost.total * schedule.share_ppm, MILLION)
