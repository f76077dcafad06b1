"""Every error in the caller's dialect: status, headers and body, and the frame inside a running stream.

Law: a refusal of ours carries `x-tokenone-error-origin: gateway`, its stable code and advice; `x-should-retry`
is false whenever another try cannot help, so that SDKs do not multiply retries. Shapes: OpenAI's and
Anthropic's API references, error sections; Google's AIP-193; AWS' restJson1 protocol, operation errors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from tokenone.dispatch.eventstream import exception_frame
from tokenone.errors import (
    CallerError,
    DeniedError,
    EgressRefused,
    IntegrityError,
    RateLimited,
    TokenOneError,
    UpstreamAuth,
)
from tokenone.scope import RateHeaders
from tokenone.types import Dialect, Headers

JSON: Final = (b"content-type", b"application/json")
OPENAI_TYPES: Final = {
    400: "invalid_request_error", 401: "invalid_request_error", 403: "permission_error",
    404: "invalid_request_error", 413: "invalid_request_error", 429: "rate_limit_error",
}  # fmt: skip
ANTHROPIC_TYPES: Final = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error",
    404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error",
    500: "api_error", 503: "overloaded_error", 504: "timeout_error",
}  # fmt: skip
GOOGLE_STATUSES: Final = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
    409: "ABORTED", 413: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}  # fmt: skip
AWS_TYPES: Final = {
    400: "ValidationException", 401: "UnrecognizedClientException", 403: "AccessDeniedException",
    404: "ResourceNotFoundException", 413: "ValidationException", 429: "ThrottlingException",
    503: "ServiceUnavailableException", 504: "ModelTimeoutException",
}  # fmt: skip


def openai_body(error: TokenOneError) -> dict[str, object]:
    kind = OPENAI_TYPES.get(error.status, "api_error" if error.status >= 500 else "invalid_request_error")
    return {"error": {"message": error.sentence, "type": kind, "param": None, "code": error.code}}


def anthropic_body(error: TokenOneError) -> dict[str, object]:
    kind = ANTHROPIC_TYPES.get(error.status, "api_error" if error.status >= 500 else "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": error.sentence, "code": error.code}}


def google_body(error: TokenOneError) -> dict[str, object]:
    status = GOOGLE_STATUSES.get(error.status, "INTERNAL" if error.status >= 500 else "FAILED_PRECONDITION")
    reason = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": error.code.upper(),
        "domain": "tokenone",
    }
    return {"error": {"code": error.status, "message": error.sentence, "status": status, "details": [reason]}}


def aws_body(error: TokenOneError) -> dict[str, object]:
    return {"message": error.sentence, "code": error.code}


def aws_type(error: TokenOneError) -> str:
    """Returns the name of the exception that an AWS SDK raises."""
    return AWS_TYPES.get(
        error.status, "InternalServerException" if error.status >= 500 else "ValidationException"
    )


BODIES: Final[dict[Dialect, Callable[[TokenOneError], dict[str, object]]]] = {
    Dialect.OPENAI: openai_body,
    Dialect.ANTHROPIC: anthropic_body,
    Dialect.GOOGLE: google_body,
    Dialect.AWS: aws_body,
}


_LASTING: Final = (CallerError, DeniedError, IntegrityError, EgressRefused, UpstreamAuth)


def retry_helps(error: TokenOneError) -> bool:
    """Says whether the same request may succeed later without anybody changing anything."""
    return isinstance(error, RateLimited) or not isinstance(error, _LASTING)


def answer(error: TokenOneError, dialect: Dialect, call: str | None) -> tuple[int, Headers, bytes]:
    """Returns status, headers and body of a refusal."""
    headers: Headers = [
        JSON,
        (b"x-tokenone-error-origin", b"gateway"),
        (b"x-tokenone-error", error.code.encode()),
        (b"x-should-retry", b"true" if retry_helps(error) else b"false"),
    ]
    if dialect is Dialect.AWS:
        headers.append((b"x-amzn-errortype", aws_type(error).encode()))
    if call is not None:
        headers.append((b"x-tokenone-call", call.encode()))
    if error.retry_after is not None:
        headers.append((b"retry-after", str(error.retry_after).encode()))
    return error.status, headers, msgspec.json.encode(BODIES[dialect](error))


def rate_headers(figures: RateHeaders | None) -> Headers:
    """Returns the figures of the tightest rate, where one is set."""
    if figures is None:
        return []
    return [
        (b"x-ratelimit-limit", str(figures.limit).encode()),
        (b"x-ratelimit-remaining", str(figures.remaining).encode()),
    ]


def frame(error: TokenOneError, dialect: Dialect) -> bytes:
    """Returns an error event for a running stream; a blank line first ends whatever was cut."""
    body = msgspec.json.encode(BODIES[dialect](error))
    named = b"event: error\n" if dialect is Dialect.ANTHROPIC else b""
    return b"\n\n" + named + b"data: " + body + b"\n\n"


def aws_frame(error: TokenOneError) -> bytes:
    """Returns an error for a running AWS event stream: one exception frame."""
    return exception_frame(aws_type(error), error.sentence)
