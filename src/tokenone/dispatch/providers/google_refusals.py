"""Says what Google's refusals mean, for the Gemini API and Vertex AI alike.

Law: the reason of `google.rpc.ErrorInfo` decides before the status, and a message only where Google gives no
reason; messages are compared from their beginning, for further on they quote the caller. A refusal that is
about the project, the region, the sender's address or a permission is never about the key.
Sources: google/api/error_reason.proto, google/rpc/error_details.proto (ErrorInfo, QuotaFailure),
ai.google.dev/gemini-api/docs/troubleshooting and /rate-limits.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from tokenone.dispatch.providers.counts import lenient
from tokenone.types import ErrorClass, Headers

_NULL: Final = msgspec.Raw(b"null")


class _Violation(msgspec.Struct, rename="camel", gc=False):
    quota_id: str | None = None
    quota_value: str | int | None = None


class _Detail(msgspec.Struct, gc=False):
    reason: str | None = None
    violations: list[_Violation] | None = None


class _Fault(msgspec.Struct, gc=False):
    message: str | None = None
    status: str | None = None
    details: msgspec.Raw = _NULL


class _Refusal(msgspec.Struct, gc=False):
    error: _Fault | None = None


_refusal: Final = msgspec.json.Decoder(_Refusal)
_refusals: Final = msgspec.json.Decoder(list[_Refusal])
_details: Final = msgspec.json.Decoder(list[_Detail])
_NO_FAULT: Final = _Fault()

_REASONS: Final = {
    "API_KEY_INVALID": ErrorClass.KEY_DEAD,  # a 400; an expired key says so, too
    "API_KEY_EXPIRED": ErrorClass.KEY_DEAD,
    "ACCOUNT_STATE_INVALID": ErrorClass.KEY_DEAD,  # the service account is disabled or deleted
    "BILLING_DISABLED": ErrorClass.BILLING,
    "API_KEY_IP_ADDRESS_BLOCKED": ErrorClass.UNKNOWN,  # the key is restricted to other senders
    "API_KEY_HTTP_REFERRER_BLOCKED": ErrorClass.UNKNOWN,
    "API_KEY_ANDROID_APP_BLOCKED": ErrorClass.UNKNOWN,
    "API_KEY_IOS_APP_BLOCKED": ErrorClass.UNKNOWN,
    "CREDENTIALS_MISSING": ErrorClass.UNKNOWN,
    "USER_PROJECT_DENIED": ErrorClass.CALLER,  # the caller's own x-goog-user-project
    "RATE_LIMIT_EXCEEDED": ErrorClass.RATE,
}
# From the beginning of messages without a reason.
_MESSAGES: Final = (
    ("API key not valid", ErrorClass.KEY_DEAD),
    ("API key expired", ErrorClass.KEY_DEAD),
    ("Please pass a valid API key", ErrorClass.KEY_DEAD),
    ("Your API key was reported as leaked", ErrorClass.KEY_DEAD),
    ("Your prepayment credits are depleted", ErrorClass.BILLING),
    ("Your project has exceeded its monthly spending cap", ErrorClass.BILLING),
    ("Gemini API free tier is not available in your country", ErrorClass.BILLING),
    ("This API method requires billing to be enabled", ErrorClass.BILLING),
)
_MODEL_MISSING: Final = ("models/", "tunedModels/", "Publisher Model ", "Publisher model ")
_MODEL_CLOSED: Final = re.compile(r"Project `[^`]{1,100}` is not allowed to use Publisher Model ")
# Nothing but a larger plan, or another day, lifts these.
_LASTING: Final = ("PerDay", "PerMonth", "SpendLimit")


def refusal_class(
    status: int, _headers: Headers, body: bytes, dead: frozenset[str] = frozenset()
) -> ErrorClass:
    """Says what a refusal means; streamed errors come inside an array. `dead` are reasons that, where paths
    name no project, can only be about the key."""
    if status < 400:
        return ErrorClass.UNKNOWN
    fault = _fault_in(body)
    details = lenient(_details, fault.details) or []
    for detail in details:
        known = ErrorClass.KEY_DEAD if detail.reason in dead else _REASONS.get(detail.reason or "")
        if known is not None and not (known is ErrorClass.RATE and status == 429):
            return known
    message = fault.message or ""
    for beginning, found in _MESSAGES:
        if message.startswith(beginning):
            return found
    return _by_status(status, message, details)


def _fault_in(body: bytes) -> _Fault:
    if body.lstrip()[:1] == b"[":
        found = lenient(_refusals, body) or []
        return next((row.error for row in found if row.error is not None), _NO_FAULT)
    refusal = lenient(_refusal, body)
    return (refusal and refusal.error) or _NO_FAULT


def _by_status(status: int, message: str, details: list[_Detail]) -> ErrorClass:
    if status == 402:
        return ErrorClass.BILLING
    if status == 429:
        return ErrorClass.BILLING if any(_lasts(detail) for detail in details) else ErrorClass.RATE
    if status == 401:
        return ErrorClass.KEY_DEAD
    if status >= 500 or status in (408, 409, 499):
        return ErrorClass.UPSTREAM
    if status == 403 or message.startswith(_MODEL_MISSING) or _MODEL_CLOSED.match(message):
        return ErrorClass.MODEL_DENIED
    return ErrorClass.CALLER


def _lasts(detail: _Detail) -> bool:
    """Says whether a quota that was used up stays so beyond a minute: by day, or none at all in this plan."""
    for violation in detail.violations or ():
        if any(word in (violation.quota_id or "") for word in _LASTING):
            return True
        if str(violation.quota_value) == "0":
            return True
    return False
