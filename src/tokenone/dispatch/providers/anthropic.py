"""Anthropic: paths, keys, refusals; the facts that make the native path `/anthropic/v1/…` work.

Law: the provider key decides its own header: `sk-ant-oat…` (OAuth) goes as `Authorization: Bearer`, every
other key as `x-api-key`, whichever of the two the caller used. `anthropic-version` and `anthropic-beta` are
the caller's and pass untouched.
"""

from __future__ import annotations

from typing import Final

import msgspec

from tokenone.dispatch.credential import bearer, header
from tokenone.dispatch.forward import value_of
from tokenone.dispatch.paths import PathTable, posts
from tokenone.dispatch.peek import Peek, peek
from tokenone.dispatch.providers.anthropic_replies import AnthropicEvents, read_reply
from tokenone.dispatch.providers.counts import lenient
from tokenone.dispatch.providers.facts import Facts, Probe
from tokenone.dispatch.shapes import check_shape
from tokenone.dispatch.streams import EVENT_STREAM, StreamMeter
from tokenone.types import Dialect, ErrorClass, Headers, PathClass, Provider

# What is not listed is refused: agents, sessions and environments run on their own, tunnels and vaults hold
# credentials.
_PATHS: Final = PathTable(
    exact=posts(b"/v1/messages", b"/v1/messages/count_tokens", b"/v1/complete"),
    below=(
        (b"/v1/organizations", PathClass.ADMIN),
        (b"/v1/oauth", PathClass.ADMIN),
        (b"/v1/vaults", PathClass.ADMIN),
        (b"/v1/tunnels", PathClass.ADMIN),
        (b"/v1/messages/batches", PathClass.STATEFUL),
        (b"/v1/files", PathClass.STATEFUL),
        (b"/v1/skills", PathClass.STATEFUL),
    ),
    free=(b"/v1/models",),
    unbilled=frozenset((b"/v1/messages/count_tokens",)),
)


class _Details(msgspec.Struct, gc=False):
    error_code: str | None = None


class _Fault(msgspec.Struct, gc=False):
    type: str | None = None
    message: str | None = None
    details: _Details | None = None


class _Refusal(msgspec.Struct, gc=False):
    error: _Fault | None = None


_refusal: Final = msgspec.json.Decoder(_Refusal)
_NO_FAULT: Final = _Fault()
_BILLING_MESSAGES: Final = ("credit balance is too low", "reached your specified API usage limits")


def _error_class(status: int, headers: Headers, body: bytes) -> ErrorClass:
    """Says what a refusal means; the spend cap comes as a 429 without retry-after."""
    refusal = lenient(_refusal, body)
    fault = (refusal and refusal.error) or _NO_FAULT
    message = fault.message or ""
    if status < 400:
        return ErrorClass.UNKNOWN
    if status == 402 or fault.type == "billing_error" or any(words in message for words in _BILLING_MESSAGES):
        return ErrorClass.BILLING
    if status == 429:
        capped = fault.details is not None and fault.details.error_code == "enforced_spend_limit_reached"
        return ErrorClass.BILLING if capped and value_of(headers, b"retry-after") is None else ErrorClass.RATE
    if status == 401 or (status == 403 and "revoked" in message):
        return ErrorClass.KEY_DEAD
    if status >= 500 or status in (408, 409):
        return ErrorClass.UPSTREAM
    if status == 403 or (status == 404 and message.startswith("model")):
        return ErrorClass.MODEL_DENIED
    return ErrorClass.CALLER


def _check_secret(secret: bytes) -> None:
    check_shape(secret, own=(b"sk-ant-",), provider="Anthropic")


def _credential(plaintext: bytes) -> tuple[bytes, bytes]:
    return bearer(plaintext) if plaintext.startswith(b"sk-ant-oat") else (b"x-api-key", plaintext)


def _splice(body: bytes, _found: Peek, _path: bytes) -> bytes:
    return body  # usage always comes


def _open_meter(_path: bytes, content_type: bytes, withhold_usage: bool) -> StreamMeter | None:
    if not content_type.startswith(EVENT_STREAM):
        return None
    return StreamMeter(AnthropicEvents(), withhold_usage=withhold_usage)


ANTHROPIC: Final = Facts(
    provider=Provider.ANTHROPIC,
    dialect=Dialect.ANTHROPIC,
    default_origin="https://api.anthropic.com",
    base_path="",
    paths=_PATHS,
    authorise=header(_credential),
    check_secret=_check_secret,
    peek=peek,
    splice=_splice,
    read=read_reply,
    open_meter=_open_meter,
    error_class=_error_class,
    probe=Probe(
        b"GET",
        b"/v1/models?limit=1",
        [(b"anthropic-version", b"2023-06-01"), (b"accept", b"application/json")],
    ),
)
