"""What comes after an attempt that failed: another leg of the same plan, or nothing.

Law: never more attempts than the rule allows; a key that was called dead is tried exactly once; another
provider comes after a refusal of the key or of its account only where the rule says so. What else may be
tried again (never after a byte went to the caller) is the way's to decide before it asks. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from tokenone.route.ask import Leg, Routed
from tokenone.route.router import MOST_ATTEMPTS
from tokenone.types import ErrorClass

_OF_KEY: Final = frozenset((ErrorClass.KEY_DEAD, ErrorClass.BILLING))
_OF_PLACE: Final = frozenset((ErrorClass.UPSTREAM, None))
FALLS_OVER: Final = frozenset(
    (ErrorClass.KEY_DEAD, ErrorClass.BILLING, ErrorClass.RATE, ErrorClass.MODEL_DENIED, ErrorClass.UPSTREAM)
)
"""What a rule may name. A caller's own fault is one everywhere; what nobody understood is not repeated."""


class Tried(msgspec.Struct, frozen=True, gc=False):
    """An attempt that failed: its leg, and the provider's answer by class; None if nothing was sent at all."""

    leg: int
    failure: ErrorClass | None


def following(routed: Routed, tried: Sequence[Tried]) -> int | None:
    """Returns the index of the leg to try next, None when the last failure is the call's."""
    rule, legs = routed.rule, routed.legs
    if not tried:
        return 0 if legs else None
    last = tried[-1]
    if len(tried) >= min(rule.attempts, MOST_ATTEMPTS) or not _may(last.failure, rule.fall_over):
        return None
    left = [index for index in range(len(legs)) if _open(legs, index, tried)]
    if any(one.failure in _OF_KEY for one in tried) and not rule.cross_on_key_dead:
        refused = {legs[one.leg].provider for one in tried if one.failure in _OF_KEY}
        left = [index for index in left if legs[index].provider in refused]
    if last.failure in _OF_PLACE:
        place = legs[last.leg].candidate.endpoint.id
        elsewhere = [index for index in left if legs[index].candidate.endpoint.id != place]
        left = elsewhere or left
    return left[0] if left else None


def _may(failure: ErrorClass | None, fall_over: Sequence[ErrorClass]) -> bool:
    return failure is None or (failure in fall_over and failure in FALLS_OVER)


def _open(legs: Sequence[Leg], index: int, tried: Sequence[Tried]) -> bool:
    """Says whether a leg was not tried, and nothing that was said of its key speaks against it."""
    leg = legs[index]
    for one in tried:
        before = legs[one.leg]
        if one.leg == index:
            return False
        if before.candidate.key.id == leg.candidate.key.id and one.failure in _OF_KEY:
            return False
    return True
