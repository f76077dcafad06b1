"""What a refusal's status says where its body says no more, and the same for the words of streamed errors."""

from __future__ import annotations

from typing import Final

from tokenone.dispatch.translate.form import Fault

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
LONGEST_MESSAGE: Final = 2048


def fault_of(status: int) -> Fault:
    """Returns what a status means by itself."""
    return _BY_STATUS.get(status, "invalid" if 400 <= status < 500 else "upstream")


def clipped(message: str | None) -> str:
    """Returns a provider's sentence, bounded; a provider that says nothing gets a sentence of ours."""
    return message[:LONGEST_MESSAGE] if message else "the provider refused the request and did not say why"
