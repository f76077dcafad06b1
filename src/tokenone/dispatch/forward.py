"""The header rules of the native path: what goes on to the provider, and what comes back to the caller.

Law: every field is forwarded as received, in order, but for: hop-by-hop fields (RFC 9110 section 7.6.1, those
that `Connection` names included), framing and `Host`, which each side writes itself; the caller's credentials
and cookies in every form, query included; and `x-tokenone-*`, which is this gateway's alone, both ways.
`Accept-Encoding` is clamped to what can be metered. Cookies that a provider sets are passed on.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote_to_bytes

from tokenone.types import Headers

CALLER_CREDENTIALS: Final = frozenset(
    (
        b"authorization",
        b"x-api-key",
        b"x-goog-api-key",
        b"api-key",
        b"cookie",
        b"x-amz-security-token",
        b"proxy-authorization",
    )
)
_HOP_BY_HOP: Final = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    )
)
_OVERRIDES: Final = frozenset((b"x-http-method-override", b"x-http-method", b"x-method-override"))
"""Another method than the one that was classed and recorded."""
_NOT_SENT: Final = CALLER_CREDENTIALS | _HOP_BY_HOP | _OVERRIDES | {b"host", b"content-length", b"expect"}
_NOT_RETURNED: Final = _HOP_BY_HOP | {b"content-length"}
_USUAL_OPTIONS: Final = frozenset((b"keep-alive", b"close", b""))
_OWN: Final = b"x-tokenone-"
_KEY_PARAMETERS: Final = (b"key", b"api_key", b"api-key", b"access_token", b"oauth_token")


def request_headers(headers: Headers, *, clamp: bool = True, identity: bool = False) -> Headers:
    """Returns what goes to the provider, before its credential is put on.

    `clamp` reduces accepted encodings to gzip and identity; `identity` asks for no encoding: it is
    for a stream from which an event will be withheld.
    """
    kept = _kept(headers, _NOT_SENT)
    if clamp or identity:
        accepted = [value for name, value in kept if name.lower() == b"accept-encoding"]
        kept = [field for field in kept if field[0].lower() != b"accept-encoding"] if accepted else kept
        kept.append((b"accept-encoding", b"identity" if identity else _clamped(accepted)))
    return kept


def response_headers(headers: Headers, *, decoded: bool = False) -> Headers:
    """Returns what goes back to the caller; `decoded` when the body is no longer encoded as received."""
    return _kept(headers, _NOT_RETURNED | {b"content-encoding"} if decoded else _NOT_RETURNED)


def request_target(target: bytes) -> bytes:
    """Returns the raw target without credentials in its query; everything else keeps its spelling."""
    path, mark, query = target.partition(b"?")
    if not mark:
        return target
    kept = [pair for pair in query.split(b"&") if _parameter(pair) not in _KEY_PARAMETERS]
    return path + b"?" + b"&".join(kept) if kept else path


def _parameter(pair: bytes) -> bytes:
    return unquote_to_bytes(pair.partition(b"=")[0]).lower()


def request_query(target: bytes) -> bytes:
    """Returns the target's query with its question mark, without credentials; empty where there is none."""
    return request_target(target[target.index(b"?") :]) if b"?" in target else b""


def content_type(headers: Headers) -> bytes:
    """Returns a reply's content type in lower case, empty where it has none."""
    return (value_of(headers, b"content-type") or b"").lower()


def value_of(headers: Headers, lower_name: bytes) -> bytes | None:
    """Returns the first value of a field."""
    return next((value for name, value in headers if name.lower() == lower_name), None)


def _kept(headers: Headers, dropped: frozenset[bytes]) -> Headers:
    """Returns the fields that are neither dropped, nor the gateway's own, nor named by `Connection`."""
    kept: Headers = []
    named: set[bytes] = set()
    for name, value in headers:
        lower = name.lower()
        if lower == b"connection":
            named.update(option.strip().lower() for option in value.split(b","))
        elif lower not in dropped and lower[: len(_OWN)] != _OWN:
            kept.append((name, value))
    named -= _USUAL_OPTIONS
    return [field for field in kept if field[0].lower() not in named] if named else kept


def _clamped(accepted: list[bytes]) -> bytes:
    """Returns `gzip` if the caller takes it, else `identity`; no field at all means any, so identity too."""
    for value in accepted:
        for coding in value.lower().split(b","):
            token, _, weight = coding.partition(b";")
            if token.strip() in (b"gzip", b"x-gzip", b"*") and not _is_zero(weight):
                return b"gzip"
    return b"identity"


def _is_zero(weight: bytes) -> bool:
    """Says whether a weight such as `q=0.0` forbids (RFC 9110 section 12.4.2)."""
    name, _, value = weight.strip().partition(b"=")
    return name.strip() == b"q" and value.strip().strip(b"0.") == b"" and value.strip() != b""
