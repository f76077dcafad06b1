"""Cohere: paths, keys, refusals; the facts that make the native path `/cohere/v2/…` work.

Law: `Authorization: Bearer` with the provider key. Nothing is spliced, usage always comes. A key has no prefix
that names its owner, so its shape only rules out what is somebody else's or cut short; the probe, which is
free, decides. Sources: docs.cohere.com/reference (paths, errors, check-api-key), the official SDK's clients.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from tokenone.dispatch.credential import bearer, header
from tokenone.dispatch.paths import PathTable, posts
from tokenone.dispatch.peek import Peek, peek
from tokenone.dispatch.providers.cohere_replies import CohereEvents, LineMeter, read_reply
from tokenone.dispatch.providers.counts import lenient
from tokenone.dispatch.providers.facts import Facts, Probe
from tokenone.dispatch.shapes import check_shape
from tokenone.dispatch.streams import EVENT_STREAM, Meter, StreamMeter
from tokenone.errors import BadSecret
from tokenone.types import Dialect, ErrorClass, Headers, PathClass, Provider

_FIRST_VERSION: Final = (
    b"/v1/chat",
    b"/v1/generate",
    b"/v1/embed",
    b"/v1/rerank",
    b"/v1/classify",
    b"/v1/summarize",
)
_CHECK: Final = b"/v1/check-api-key"
_PATHS: Final = PathTable(
    exact={
        **posts(
            b"/v2/chat",
            b"/v2/embed",
            b"/v2/rerank",
            b"/v2/audio/transcriptions",
            *_FIRST_VERSION,
            b"/v1/tokenize",
            b"/v1/detokenize",
        ),
        (b"POST", _CHECK): PathClass.FREE,
    },
    below=(
        (b"/v1/connectors", PathClass.ADMIN),  # they hold other services' credentials
        (b"/v1/models", PathClass.ADMIN),
        (b"/v2/batches", PathClass.STATEFUL),
        (b"/v1/embed-jobs", PathClass.STATEFUL),
        (b"/v1/datasets", PathClass.STATEFUL),
        (b"/v1/finetuning", PathClass.STATEFUL),
    ),
    free=(b"/v1/models",),
    unbilled=frozenset((b"/v1/tokenize", b"/v1/detokenize")),
)
_LINES: Final = b"application/stream+json"
"""How the first version streams unless `Accept` asks for events."""


class _Refusal(msgspec.Struct, gc=False):
    message: str | None = None


class _Checked(msgspec.Struct, gc=False):
    valid: bool | None = None


_refusal: Final = msgspec.json.Decoder(_Refusal)
_checked: Final = msgspec.json.Decoder(_Checked)
_A_MONTH: Final = re.compile(r"(?:/|\bper)\s*month\b", re.IGNORECASE)
_NO_MODEL: Final = re.compile(r"\bmodel\b.*\bnot found\b", re.IGNORECASE | re.DOTALL)
_KEY: Final = re.compile(rb"[0-9A-Za-z_-]{40,}")


def _error_class(status: int, _headers: Headers, body: bytes) -> ErrorClass:
    """Says what a refusal means; every 429 speaks of trial keys and upgrades, a spent trial of the month."""
    refusal = lenient(_refusal, body)
    message = (refusal and refusal.message) or ""
    if status < 400:
        return ErrorClass.UNKNOWN
    if status == 402:
        return ErrorClass.BILLING
    if status == 401 or (status == 403 and "api token" in message):
        return ErrorClass.KEY_DEAD
    if status == 429:
        return ErrorClass.BILLING if _A_MONTH.search(message) else ErrorClass.RATE
    if status == 404 and _NO_MODEL.search(message):
        return ErrorClass.MODEL_DENIED
    if status == 408 or (status >= 500 and status != 501):
        return ErrorClass.UPSTREAM
    return ErrorClass.CALLER  # 498 (blocked content) and 499 (cancelled) among them


def _check_secret(secret: bytes) -> None:
    check_shape(secret, own=(b"",), provider="Cohere")
    if len(secret) < 40:
        raise BadSecret("Cohere keys have 40 characters; this one is cut short")
    if not _KEY.fullmatch(secret):
        raise BadSecret("Cohere keys consist of letters and digits alone")


def _splice(body: bytes, _found: Peek, _path: bytes) -> bytes:
    return body  # usage always comes


def _open_meter(_path: bytes, content_type: bytes, withhold_usage: bool) -> Meter | None:
    if content_type.startswith(EVENT_STREAM):
        return StreamMeter(CohereEvents(), withhold_usage=withhold_usage)
    return LineMeter(CohereEvents()) if content_type.startswith(_LINES) else None


def _proves(body: bytes) -> bool | None:
    checked = lenient(_checked, body)
    return None if checked is None else checked.valid


COHERE: Final = Facts(
    provider=Provider.COHERE,
    dialect=Dialect.OPENAI,
    default_origin="https://api.cohere.com",
    base_path="",
    paths=_PATHS,
    authorise=header(bearer),
    check_secret=_check_secret,
    peek=peek,
    splice=_splice,
    read=read_reply,
    open_meter=_open_meter,
    error_class=_error_class,
    probe=Probe(b"POST", _CHECK, [(b"accept", b"application/json")], proves=_proves),
    model_optional=frozenset(_FIRST_VERSION),
)
