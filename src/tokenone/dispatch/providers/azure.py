"""Azure OpenAI and the Claude models beside it: paths, credentials, refusals; the facts behind `/azure/…`.

Law: the deployment in a path is the model, whatever the body says; below `/openai/v1` the body names it. A key
goes as `api-key` (to Claude as `x-api-key`), an Entra application's token as `Authorization: Bearer`. Bodies,
streams and most refusals are OpenAI's; below `/anthropic` they are Anthropic's. Azure Government and China differ
in origins and authority alone.
Sources: Microsoft's REST reference of Azure OpenAI and the official SDK's `AzureOpenAI`, Anthropic's
`AnthropicFoundry`.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from tokenone.dispatch.credential import Unsigned
from tokenone.dispatch.document import is_document
from tokenone.dispatch.mint import Mint
from tokenone.dispatch.paths import PathTable, Shape, posts
from tokenone.dispatch.peek import Peek, peek
from tokenone.dispatch.providers import anthropic_replies, azure_entra, openai_replies
from tokenone.dispatch.providers.anthropic_replies import AnthropicEvents
from tokenone.dispatch.providers.counts import lenient
from tokenone.dispatch.providers.facts import Facts, Probe, Reading
from tokenone.dispatch.providers.openai import OPENAI
from tokenone.dispatch.providers.openai_replies import OpenAIEvents
from tokenone.dispatch.shapes import check_shape
from tokenone.dispatch.splice import splice_usage
from tokenone.dispatch.streams import EVENT_STREAM, StreamMeter
from tokenone.errors import BadSecret
from tokenone.types import Dialect, ErrorClass, Headers, PathClass, Provider

API_VERSION: Final = b"2024-10-21"
"""The stable version of the dated API, for the probe."""

# A deployment's name has letters, digits, `-`, `_` and `.`, so no percent-escape stands for one.
_DEPLOYMENTS: Final = Shape(
    b"POST",
    re.compile(
        rb"/openai/deployments/(?P<model>[A-Za-z0-9_-][A-Za-z0-9._-]{0,63})/"
        rb"(?:chat/completions|completions|embeddings|images/generations|images/edits"
        rb"|audio/speech|audio/transcriptions|audio/translations)"
    ),
    PathClass.INFERENCE,
)
_CLAUDE: Final = b"/anthropic"
_KEY: Final = re.compile(rb"[0-9A-Za-z]{32,128}")


def _at_azure(path: bytes) -> tuple[bytes, bytes]:
    """Returns where an OpenAI path lies: below the dateless `/openai/v1`, and below the dated `/openai`."""
    return b"/openai" + path, b"/openai" + path.removeprefix(b"/v1")


# The dated API takes a model in the body for responses alone; elsewhere it wants a deployment in the path.
_PATHS: Final = PathTable(
    exact={
        (method, there): kind
        for (method, path), kind in OPENAI.paths.exact.items()
        for there in _at_azure(path)[: 2 if path.startswith(b"/v1/responses") else 1]
    }
    | posts(_CLAUDE + b"/v1/messages", _CLAUDE + b"/v1/messages/count_tokens"),
    below=(
        *((there, kind) for path, kind in OPENAI.paths.below for there in _at_azure(path)),
        (b"/openai/deployments", PathClass.ADMIN),
    ),
    free=tuple(there for path in OPENAI.paths.free for there in _at_azure(path)),
    unbilled=frozenset(there for path in OPENAI.paths.unbilled for there in _at_azure(path))
    | {_CLAUDE + b"/v1/messages/count_tokens"},
    shapes=(_DEPLOYMENTS,),
)


class _Fault(msgspec.Struct, gc=False):
    code: str | int | None = None
    message: str | None = None


class _Refusal(msgspec.Struct, gc=False):
    error: _Fault | None = None


_refusal: Final = msgspec.json.Decoder(_Refusal)
_NO_FAULT: Final = _Fault()
_DENIED_CODES: Final = frozenset(("DeploymentNotFound", "OperationNotSupported", "PermissionDenied"))
_NETWORK_WORDS: Final = ("Virtual Network", "Firewall", "Public access is disabled", "private endpoint")
_SPENT_WORDS: Final = ("Out of call volume quota", "has been temporarily blocked", "has been suspended")


def _error_class(status: int, headers: Headers, body: bytes) -> ErrorClass:
    """Says what a refusal means: by Azure's own codes, else as OpenAI's.

    A 401 is also what a wrong resource answers; an application that lacks a role gets 401 `PermissionDenied`.
    """
    refusal = lenient(_refusal, body)
    fault = (refusal and refusal.error) or _NO_FAULT
    code, message = str(fault.code or ""), fault.message or ""
    if 400 <= status < 500 and code in _DENIED_CODES:
        return ErrorClass.MODEL_DENIED
    if status == 403:
        return _forbidden(code, message)
    return OPENAI.error_class(status, headers, body)


def _forbidden(code: str, message: str) -> ErrorClass:
    """Azure's 403 is about the network, the resource or the kind of credential, seldom about a model."""
    if code == "AuthenticationTypeDisabled":
        return ErrorClass.KEY_DEAD  # the resource takes no keys at all
    if any(words in message for words in _NETWORK_WORDS):
        return ErrorClass.UNKNOWN  # from elsewhere the same key may work
    if any(words in message for words in _SPENT_WORDS):
        return ErrorClass.BILLING
    return ErrorClass.CALLER


def _check_secret(secret: bytes) -> None:
    if is_document(secret):
        azure_entra.check_application(secret)
        return
    if secret.startswith(b"eyJ") and secret.count(b".") == 2:
        raise BadSecret("this is an Entra token, which lives an hour; add the application's credentials")
    check_shape(secret, own=(b"",), provider="Azure OpenAI")
    if not _KEY.fullmatch(secret):
        raise BadSecret("Azure OpenAI keys have 32 to 128 letters and digits")


def _authorise(unsigned: Unsigned, plaintext: bytes) -> Headers:
    if is_document(plaintext):
        return [*unsigned.headers, azure_entra.authorised(plaintext)]
    name = b"x-api-key" if _CLAUDE + b"/v1/" in unsigned.target.partition(b"?")[0] else b"api-key"
    return [*unsigned.headers, (name, plaintext)]


def _read(body: bytes, path: bytes, headers: Headers) -> Reading:
    read = anthropic_replies.read_reply if path.startswith(_CLAUDE) else openai_replies.read_reply
    return read(body, path, headers)


def _splice(body: bytes, found: Peek, path: bytes) -> bytes:
    """Asks for usage where chat goes on without; with `data_sources` the service refuses to be asked."""
    if not path.endswith(b"/completions") or b'"data_sources"' in body:
        return body
    return splice_usage(body, found)


def _open_meter(path: bytes, content_type: bytes, withhold_usage: bool) -> StreamMeter | None:
    if not content_type.startswith(EVENT_STREAM):
        return None
    if path.startswith(_CLAUDE):
        return StreamMeter(AnthropicEvents(), withhold_usage=withhold_usage)
    operation = path.removeprefix(b"/openai").removeprefix(b"/v1")
    return StreamMeter(OpenAIEvents(b"/v1" + operation), withhold_usage=withhold_usage)


AZURE: Final = Facts(
    provider=Provider.AZURE,
    dialect=Dialect.OPENAI,
    default_origin="",
    base_path="",
    paths=_PATHS,
    authorise=_authorise,
    check_secret=_check_secret,
    peek=peek,
    splice=_splice,
    read=_read,
    open_meter=_open_meter,
    error_class=_error_class,
    probe=Probe(b"GET", b"/openai/models?api-version=" + API_VERSION, [(b"accept", b"application/json")]),
    model_optional=frozenset(there for path in OPENAI.model_optional for there in _at_azure(path)),
    mint=Mint(azure_entra.ask, azure_entra.read),
)
