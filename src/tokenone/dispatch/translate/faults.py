"""What a refusal's status, or its class, says where its body says no more."""

from __future__ import annotations

from typing import Final

import msgspec

from tokenone.dispatch.translate.form import ChatError, Fault
from tokenone.types import ErrorClass

_BY_STATUS: Final[dict[int, Fault]] = {
    401: "key",
    402: "billing",
    403: "denied",
    404: "missing",
    408: "timeout",
    413: "too_large",
    424: "upstream",
    429: "rate",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}
_BY_CLASS: Final[dict[ErrorClass, Fault]] = {
    ErrorClass.KEY_DEAD: "key",
    ErrorClass.BILLING: "billing",
    ErrorClass.RATE: "rate",
    ErrorClass.MODEL_DENIED: "denied",
}
LONGEST_MESSAGE: Final = 2048


def fault_of(status: int) -> Fault:
    """Returns what a status means by itself."""
    return _BY_STATUS.get(status, "invalid" if 400 <= status < 500 else "upstream")


def clipped(message: str | None) -> str:
    """Returns a provider's sentence, bounded; a provider that says nothing gets a sentence of ours."""
    return message[:LONGEST_MESSAGE] if message else "the provider refused the request and did not say why"


def classed(error: ChatError, found: ErrorClass) -> ChatError:
    """Returns the refusal as its class tells it: a provider's facts look at more than a body's own words."""
    fault = _BY_CLASS.get(found, error.fault)
    return error if fault == error.fault else msgspec.structs.replace(error, fault=fault)
