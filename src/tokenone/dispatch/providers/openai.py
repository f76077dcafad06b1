"""OpenAI: paths, keys, refusals; the facts that make the native path `/openai/v1/…` work.

Law: `Authorization: Bearer` with the provider key. Usage of a chat stream is asked for when the caller did
not (`splice`). Sources: the official SDK's resources and api.openai.com's documentation of error codes.
"""

from __future__ import annotations

from typing import Final

import msgspec

from tokenone.dispatch.credential import bearer, header
from tokenone.dispatch.paths import PathTable, posts
from tokenone.dispatch.peek import Peek, peek
from tokenone.dispatch.providers.counts import lenient
from tokenone.dispatch.providers.facts import Facts, Probe
from tokenone.dispatch.providers.openai_replies import OpenAIEvents, read_reply
from tokenone.dispatch.shapes import check_shape
from tokenone.dispatch.splice import splice_usage
from tokenone.dispatch.streams import EVENT_STREAM, StreamMeter
from tokenone.types import Dialect, ErrorClass, Headers, PathClass, Provider

STREAMS_WITHOUT_USAGE: Final = frozenset((b"/v1/chat/completions", b"/v1/completions"))
"""Where usage comes in a stream only if `stream_options` asks for it."""

# Order matters: the first prefix that fits decides. What is not listed is refused; that is meant for
# paths that mint credentials (realtime and ChatKit sessions), hold them (vaults) or run alone (agents).
_BELOW: Final = (
    (b"/v1/organization", PathClass.ADMIN),
    (b"/v1/projects", PathClass.ADMIN),
    (b"/v1/models", PathClass.ADMIN),  # what is left after GET: deleting a fine-tuned model
    (b"/v1/webhook_endpoints", PathClass.ADMIN),
    (b"/v1/vaults", PathClass.ADMIN),
    (b"/v1/realtime", PathClass.ADMIN),
    (b"/v1/chatkit/sessions", PathClass.ADMIN),
    (b"/v1/fine_tuning/checkpoints", PathClass.ADMIN),  # permissions over an organisation's projects
    (b"/v1/chat/completions", PathClass.STATEFUL),
    (b"/v1/responses", PathClass.STATEFUL),
    (b"/v1/conversations", PathClass.STATEFUL),
    (b"/v1/files", PathClass.STATEFUL),
    (b"/v1/uploads", PathClass.STATEFUL),
    (b"/v1/batches", PathClass.STATEFUL),
    (b"/v1/assistants", PathClass.STATEFUL),
    (b"/v1/threads", PathClass.STATEFUL),
    (b"/v1/chatkit/threads", PathClass.STATEFUL),
    (b"/v1/vector_stores", PathClass.STATEFUL),
    (b"/v1/fine_tuning", PathClass.STATEFUL),
    (b"/v1/evals", PathClass.STATEFUL),
    (b"/v1/containers", PathClass.STATEFUL),
    (b"/v1/videos", PathClass.STATEFUL),
    (b"/v1/skills", PathClass.STATEFUL),
)
_PATHS: Final = PathTable(
    exact=posts(
        b"/v1/chat/completions",
        b"/v1/completions",
        b"/v1/embeddings",
        b"/v1/responses",
        b"/v1/responses/compact",
        b"/v1/responses/input_tokens",
        b"/v1/images/generations",
        b"/v1/images/edits",
        b"/v1/images/variations",
        b"/v1/audio/speech",
        b"/v1/audio/transcriptions",
        b"/v1/audio/translations",
        b"/v1/moderations",
        b"/v1/decisions",
    ),
    below=_BELOW,
    free=(b"/v1/models",),
    unbilled=frozenset((b"/v1/responses/input_tokens", b"/v1/moderations")),
)


class _Fault(msgspec.Struct, gc=False):
    code: str | int | None = None
    type: str | None = None
    message: str | None = None


class _Refusal(msgspec.Struct, gc=False):
    error: _Fault | None = None


_refusal: Final = msgspec.json.Decoder(_Refusal)
_NO_FAULT: Final = _Fault()

# A 429 is a spent budget, not a rate, when its *code* says so; `type` does not tell the two apart.
_BILLING_CODES: Final = frozenset(
    (
        "insufficient_quota",
        "credit_balance_exhausted",
        "billing_hard_limit_reached",
        "billing_not_active",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
    )
)
# These 401s are not about the key being wrong: it may be tried again from elsewhere or with other rights.
_NOT_THE_KEY: Final = frozenset(("ip_not_authorized", "mismatched_organization", "mismatched_project"))
_MODEL_CODES: Final = frozenset(("model_not_found", "unsupported_model", "model_not_available"))


def _error_class(status: int, _headers: Headers, body: bytes) -> ErrorClass:
    """Says what a refusal means, by `error.code` before status (OpenAI's table of error codes)."""
    refusal = lenient(_refusal, body)
    fault = (refusal and refusal.error) or _NO_FAULT
    code = str(fault.code or "")
    if status < 400:
        return ErrorClass.UNKNOWN
    if status == 402 or code in _BILLING_CODES or fault.type in _BILLING_CODES:
        return ErrorClass.BILLING
    if status == 401:
        return _unauthorised(code, fault.message or "")
    if status == 429:
        return ErrorClass.RATE
    if status >= 500 or status in (408, 409):
        return ErrorClass.UPSTREAM
    if code in _MODEL_CODES or (status == 403 and "model" in (fault.message or "")):
        return ErrorClass.MODEL_DENIED
    return ErrorClass.CALLER


def _unauthorised(code: str, message: str) -> ErrorClass:
    if code in _NOT_THE_KEY:
        return ErrorClass.UNKNOWN
    if "insufficient permissions" in message:
        return ErrorClass.MODEL_DENIED  # a restricted key without the scope of this path
    return ErrorClass.KEY_DEAD


def _check_secret(secret: bytes) -> None:
    check_shape(secret, own=(b"sk-", b"sk-proj-", b"sk-svcacct-"), provider="OpenAI")


def _splice(body: bytes, found: Peek, path: bytes) -> bytes:
    return splice_usage(body, found) if path in STREAMS_WITHOUT_USAGE else body


def _open_meter(path: bytes, content_type: bytes, withhold_usage: bool) -> StreamMeter | None:
    if not content_type.startswith(EVENT_STREAM):
        return None
    return StreamMeter(OpenAIEvents(path), withhold_usage=withhold_usage)


OPENAI: Final = Facts(
    provider=Provider.OPENAI,
    dialect=Dialect.OPENAI,
    default_origin="https://api.openai.com",
    base_path="/v1",
    paths=_PATHS,
    authorise=header(bearer),
    check_secret=_check_secret,
    peek=peek,
    splice=_splice,
    read=read_reply,
    open_meter=_open_meter,
    error_class=_error_class,
    probe=Probe(b"GET", b"/v1/models", [(b"accept", b"application/json")]),
    model_optional=frozenset(
        (
            b"/v1/moderations",
            b"/v1/images/generations",
            b"/v1/images/edits",
            b"/v1/images/variations",
            b"/v1/responses",
            b"/v1/responses/input_tokens",
        )
    ),
)
