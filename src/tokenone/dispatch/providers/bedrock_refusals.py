"""Says what a refusal of Bedrock means, by the exception's name before the status, by its words where a name
has several meanings.

Law: a signature that AWS calls late, early or meant for another region is a matter of clocks and addresses and
not of the key. Words count only where AWS writes them: at the beginning of its own message.
Sources: "Error responses" of each operation (Bedrock API Reference, Runtime); "Troubleshooting Amazon Bedrock
API Error Codes" (Bedrock User Guide); "Troubleshoot Signature Version 4" (IAM User Guide).
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from tokenone.dispatch.forward import value_of
from tokenone.dispatch.providers.counts import lenient
from tokenone.types import ErrorClass, Headers


class _Fault(msgspec.Struct, gc=False):
    """The error of the OpenAI- and Anthropic-style paths."""

    code: str | int | None = None
    type: str | None = None
    message: str | None = None


class _Refusal(msgspec.Struct, gc=False):
    kind: str | None = msgspec.field(default=None, name="__type")
    message: str | None = None
    Message: str | None = None
    error: _Fault | str | None = None


_refusal: Final = msgspec.json.Decoder(_Refusal)
_NO_REFUSAL: Final = _Refusal()

_CLASSES: Final = {
    "UnrecognizedClientException": ErrorClass.KEY_DEAD,
    "InvalidSignatureException": ErrorClass.KEY_DEAD,
    "SignatureDoesNotMatch": ErrorClass.KEY_DEAD,
    "ExpiredTokenException": ErrorClass.KEY_DEAD,
    "ExpiredToken": ErrorClass.KEY_DEAD,
    "InvalidClientTokenId": ErrorClass.KEY_DEAD,
    "InvalidAccessKeyId": ErrorClass.KEY_DEAD,
    "authentication_error": ErrorClass.KEY_DEAD,
    "invalid_api_key": ErrorClass.KEY_DEAD,
    # A credential is always sent: whoever misses it is not Bedrock, or not at this path.
    "MissingAuthenticationTokenException": ErrorClass.UNKNOWN,
    "AccessDeniedException": ErrorClass.MODEL_DENIED,
    "ResourceNotFoundException": ErrorClass.MODEL_DENIED,
    "UnknownOperationException": ErrorClass.CALLER,
    "ConflictException": ErrorClass.CALLER,
    "ThrottlingException": ErrorClass.RATE,
    "TooManyRequestsException": ErrorClass.RATE,
    "ServiceQuotaExceededException": ErrorClass.RATE,  # a 400: "You can resubmit your request later"
    "ModelNotReadyException": ErrorClass.UPSTREAM,  # a 429 that no quota explains
    "ModelTimeoutException": ErrorClass.UPSTREAM,
    "ModelErrorException": ErrorClass.UPSTREAM,
    "ModelStreamErrorException": ErrorClass.UPSTREAM,
    "InternalServerException": ErrorClass.UPSTREAM,
    "ServiceUnavailableException": ErrorClass.UPSTREAM,
}
_BY_STATUS: Final = {
    401: ErrorClass.KEY_DEAD,
    402: ErrorClass.BILLING,
    404: ErrorClass.MODEL_DENIED,
    408: ErrorClass.UPSTREAM,
    424: ErrorClass.UPSTREAM,
    429: ErrorClass.RATE,
}
_NOT_THE_KEY: Final = ("Signature expired", "Signature not yet current", "Credential should be scoped to")
_BEARER: Final = re.compile(
    r"Authentication failed: Please make sure your API Key is valid"
    r"|(?:The )?(?:API Key|Bearer Token|security token)\b.{0,60}\b(?:invalid|expired)",
    re.IGNORECASE,
)
_NO_BEARER: Final = re.compile(
    r"User: \S{1,2048} is not authorized to perform: bedrock:CallWithBearerToken\b"
)
_PAYMENT: Final = re.compile(r"Model access is denied due to INVALID_PAYMENT_INSTRUMENT\b")
_NO_SUCH_MODEL: Final = re.compile(
    r"The provided model identifier is invalid|The model ID is invalid|Operation not allowed"
    r"|Invocation of model ID \S{1,2048} with on-demand throughput isn.t supported"
    r"|Access to \w{1,40} models is not allowed from unsupported"
)


def error_class(status: int, headers: Headers, body: bytes) -> ErrorClass:
    """Says what a refusal means for the key and the caller."""
    if status < 400:
        return ErrorClass.UNKNOWN
    refusal = lenient(_refusal, body) or _NO_REFUSAL
    fault = refusal.error if isinstance(refusal.error, _Fault) else None
    message = refusal.message or refusal.Message or (fault and fault.message) or ""
    name = _name(headers, refusal, fault)
    found = _CLASSES.get(name)
    if found is ErrorClass.KEY_DEAD and any(words in message for words in _NOT_THE_KEY):
        return ErrorClass.UNKNOWN
    if status == 403 and found in (None, ErrorClass.MODEL_DENIED):
        return _forbidden(message, named=bool(name))
    if found is not None:
        return found
    if _NO_SUCH_MODEL.match(message):
        return ErrorClass.MODEL_DENIED
    return ErrorClass.UPSTREAM if status >= 500 else _BY_STATUS.get(status, ErrorClass.CALLER)


def _name(headers: Headers, refusal: _Refusal, fault: _Fault | None) -> str:
    """Returns the exception's name: of `ns#Name` and `Name:http://…`, the name."""
    told = value_of(headers, b"x-amzn-errortype")
    if told is not None:
        text = told.decode("latin-1")
    else:
        text = refusal.kind or (fault and (str(fault.code or "") or fault.type)) or ""
    return text.partition(":")[0].rpartition("#")[2].strip()


def _forbidden(message: str, *, named: bool) -> ErrorClass:
    """A 403 that is no matter of signatures: the key, the account's money, or what it may use."""
    if _BEARER.match(message) or _NO_BEARER.match(message):
        return ErrorClass.KEY_DEAD
    if _PAYMENT.match(message):
        return ErrorClass.BILLING
    return ErrorClass.MODEL_DENIED if named or message else ErrorClass.UNKNOWN
