"""OpenRouter: paths, keys, refusals; the facts behind `/openrouter/api/v1/…`.

Law: `Authorization: Bearer` with the provider key. Usage and charge always come, so nothing is spliced. A body
may name further models to fall back to: each of them is asked about as the first is.
Source: OpenRouter's API reference and its page on errors.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from tokenone.dispatch.credential import bearer, header
from tokenone.dispatch.paths import PathTable, Shape, posts
from tokenone.dispatch.peek import Peek, peek
from tokenone.dispatch.providers.counts import lenient
from tokenone.dispatch.providers.facts import Facts, Probe
from tokenone.dispatch.providers.openrouter_replies import (
    OpenRouterEvents,
    OpenRouterMessages,
    is_messages,
    read_reply,
)
from tokenone.dispatch.shapes import check_shape
from tokenone.dispatch.streams import EVENT_STREAM, StreamMeter
from tokenone.errors import MalformedBody
from tokenone.types import Dialect, ErrorClass, Headers, PathClass, Provider

_SEGMENT: Final = rb"(?!\.{1,2}(?:/|$))[A-Za-z0-9._:@~-]{1,200}"

# Order matters: the first prefix that fits decides. What makes keys, moves credits or shows an account is
# administration, whatever kind of key asks.
_BELOW: Final = (
    (b"/api/v1/keys", PathClass.ADMIN),
    (b"/api/v1/credits", PathClass.ADMIN),
    (b"/api/v1/auth", PathClass.ADMIN),
    (b"/api/v1/activity", PathClass.ADMIN),
    (b"/api/v1/analytics", PathClass.ADMIN),
    (b"/api/v1/byok", PathClass.ADMIN),
    (b"/api/v1/guardrails", PathClass.ADMIN),
    (b"/api/v1/organization", PathClass.ADMIN),
    (b"/api/v1/workspaces", PathClass.ADMIN),
    (b"/api/v1/presets", PathClass.ADMIN),
    (b"/api/v1/generation", PathClass.STATEFUL),
    (b"/api/v1/videos", PathClass.STATEFUL),
    (b"/api/v1/files", PathClass.STATEFUL),
)
_PATHS: Final = PathTable(
    exact=posts(
        b"/api/v1/chat/completions",
        b"/api/v1/completions",
        b"/api/v1/responses",
        b"/api/v1/messages",
        b"/api/v1/embeddings",
        b"/api/v1/rerank",
        b"/api/v1/images",
        b"/api/v1/audio/speech",
        b"/api/v1/audio/transcriptions",
    ),
    below=_BELOW,
    free=(b"/api/v1/key", b"/api/v1/models", b"/api/v1/providers", b"/api/v1/endpoints"),
    shapes=(
        Shape(
            b"GET",
            re.compile(rb"/api/v1/models/" + _SEGMENT + b"/" + _SEGMENT + rb"/endpoints"),
            PathClass.FREE,
        ),
        Shape(b"GET", re.compile(rb"/api/v1/(?:embeddings|images|videos)/models"), PathClass.FREE),
    ),
)


class _Key(msgspec.Struct, gc=False):
    is_management_key: bool = False
    is_provisioning_key: bool = False


class _KeyAnswer(msgspec.Struct, gc=False):
    data: _Key


class _Fallbacks(msgspec.Struct, gc=False):
    models: list[str] | None = None


class _Metadata(msgspec.Struct, gc=False):
    provider_name: str | None = None
    limit_source: str | None = None


class _Fault(msgspec.Struct, gc=False):
    code: int | str | None = None
    message: str | None = None
    metadata: _Metadata | None = None


class _Refusal(msgspec.Struct, gc=False):
    error: _Fault | None = None


class _Choice(msgspec.Struct, gc=False):
    error: _Fault | None = None


class _Failure(_Refusal, gc=False):
    choices: list[_Choice] | None = None


_failure: Final = msgspec.json.Decoder(_Failure)
_key_answer: Final = msgspec.json.Decoder(_KeyAnswer)
_fallbacks: Final = msgspec.json.Decoder(_Fallbacks)
_refusal: Final = msgspec.json.Decoder(_Refusal)
_NO_FAULT: Final = _Fault()
_NO_METADATA: Final = _Metadata()
_IN_FLIGHT: Final = "openrouter_in_flight_budget"
_NO_MODEL: Final = ("is not a valid model", "No endpoints found", "No allowed providers")


def _error_class(status: int, _headers: Headers, body: bytes) -> ErrorClass:
    """Says what a refusal means; a reply of status 200 may hold one, then its own code counts.

    An error that names a provider was answered by that provider: it says nothing about this key.
    """
    refusal = lenient(_refusal, body)
    fault = (refusal and refusal.error) or _NO_FAULT
    metadata, message = fault.metadata or _NO_METADATA, fault.message or ""
    if status < 400:
        status = fault.code if isinstance(fault.code, int) else 0
    if status < 400:
        return ErrorClass.UNKNOWN
    if status == 402:
        return ErrorClass.RATE if metadata.limit_source == _IN_FLIGHT else ErrorClass.BILLING
    if status == 429:
        return ErrorClass.BILLING if "per-day" in message else ErrorClass.RATE
    if status == 401:
        return ErrorClass.UPSTREAM if metadata.provider_name else ErrorClass.KEY_DEAD
    if status >= 500 or status == 408:
        return ErrorClass.UPSTREAM
    if status == 403 and message.startswith("Key limit exceeded"):
        return ErrorClass.BILLING
    if any(words in message for words in _NO_MODEL):
        return ErrorClass.MODEL_DENIED
    return ErrorClass.CALLER


def _peek(body: bytes, content_type: str | None) -> Peek:
    """Reads the models to fall back to as well; refuses a list that another parser might read otherwise."""
    found = peek(body, content_type)
    if body.lstrip()[:1] != b"{":
        return found
    listed = lenient(_fallbacks, body)
    if listed is None:
        raise MalformedBody("`models` is not a list of texts")
    return msgspec.structs.replace(found, also=tuple(listed.models)) if listed.models else found


def _fails(body: bytes) -> bool:
    """Says whether generation failed after it began: OpenRouter answers 200 then, the error in the reply or in
    a choice of it."""
    found = lenient(_failure, body) if b'"error"' in body else None
    if found is None:
        return False
    return found.error is not None or any(choice.error is not None for choice in found.choices or ())


def _serves_calls(body: bytes) -> bool:
    """Says whether `GET /api/v1/key` tells of a key for calls: one that manages keys looks alike."""
    told = lenient(_key_answer, body)
    return told is not None and not (told.data.is_management_key or told.data.is_provisioning_key)


def _check_secret(secret: bytes) -> None:
    check_shape(secret, own=(b"sk-or-",), provider="OpenRouter")


def _splice(body: bytes, _found: Peek, _path: bytes) -> bytes:
    return body  # usage always comes


def _open_meter(path: bytes, content_type: bytes, withhold_usage: bool) -> StreamMeter | None:
    if not content_type.startswith(EVENT_STREAM):
        return None
    reader = OpenRouterMessages() if is_messages(path) else OpenRouterEvents(path)
    return StreamMeter(reader, withhold_usage=withhold_usage)


OPENROUTER: Final = Facts(
    provider=Provider.OPENROUTER,
    dialect=Dialect.OPENAI,
    default_origin="https://openrouter.ai",
    base_path="",
    paths=_PATHS,
    authorise=header(bearer),
    check_secret=_check_secret,
    peek=_peek,
    splice=_splice,
    read=read_reply,
    open_meter=_open_meter,
    error_class=_error_class,
    fails=_fails,
    probe=Probe(b"GET", b"/api/v1/key", [(b"accept", b"application/json")], proves=_serves_calls),
)
