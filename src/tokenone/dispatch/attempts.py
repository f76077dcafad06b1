"""Decides whether a failed attempt may be followed by a second one, with another key or version.

Law: a call is sent again only where the first cannot have had an effect: nothing was sent, or the provider
refused the key itself. Never after a byte went to the caller, never because of time-outs, resets, rate limits
or server errors: the caller's SDK decides about those.
"""

from __future__ import annotations

from tokenone.errors import (
    DialFailed,
    EgressRefused,
    ProviderError,
    ReferenceUnresolved,
    TokenOneError,
    UpstreamAuth,
)
from tokenone.types import ErrorClass


def may_try_again(failure: TokenOneError | ErrorClass, *, answered: bool, sent: bool = True) -> bool:
    """Says whether another attempt is allowed after `failure`; `answered` once the caller has a byte, `sent` once
    the request was on a connection (a token that could not be had ends an attempt before)."""
    if answered:
        return False
    if isinstance(failure, ErrorClass):
        return failure is ErrorClass.KEY_DEAD
    if isinstance(failure, ProviderError) and not sent:
        return True
    return isinstance(failure, (DialFailed, EgressRefused, ReferenceUnresolved))


def benches_key(failure: TokenOneError | ErrorClass) -> bool:
    """Says whether the key version should rest: the provider called it dead, or would not trade it for a token.
    It is a bench and not a verdict, for a wrong endpoint answers the same way."""
    return failure is ErrorClass.KEY_DEAD or isinstance(failure, UpstreamAuth)
