"""Signs one request for AWS: Signature Version 4, in its header.

Law: pure; the bytes on the wire stay as they are, only their canonical form is derived here. A caller's own
signature never goes on: its fields are replaced. Signed are `Host`, `Content-Type` and every `x-amz…` field
(but the trace id, which proxies change). Nothing secret is kept between two calls.
Source: "Signing AWS API requests", IAM User Guide ("Create a signed AWS API request").
"""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import Final, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from tokenone.dispatch.credential import Unsigned
from tokenone.types import Headers

ALGORITHM: Final = b"AWS4-HMAC-SHA256"
_SIGNATURE_FIELDS: Final = frozenset(
    (
        b"authorization",
        b"x-amz-date",
        b"x-amz-security-token",
        b"x-amz-content-sha256",
        b"x-amz-region-set",
    )
)
_ALSO_SIGNED: Final = b"content-type"
_AMAZON: Final = b"x-amz"
_NEVER_SIGNED: Final = b"x-amzn-trace-id"


class AccessKey:
    """An access key of AWS; `session_token` belongs to a temporary one. It does not show itself."""

    __slots__ = ("access_key_id", "secret_access_key", "session_token")

    def __init__(
        self, access_key_id: bytes, secret_access_key: bytes, session_token: bytes | None = None
    ) -> None:
        self.access_key_id = access_key_id
        self.secret_access_key = secret_access_key
        self.session_token = session_token

    def __repr__(self) -> str:
        return "AccessKey()"


class Place(NamedTuple):
    """Where a signature is good: a region's service."""

    region: bytes
    service: bytes


def without_signature(headers: Headers) -> Headers:
    """Returns the fields without those that a signature consists of."""
    return [field for field in headers if field[0].lower() not in _SIGNATURE_FIELDS]


def sign(unsigned: Unsigned, key: AccessKey, place: Place) -> Headers:
    """Returns the request's headers with date, session token and signature in the place of the caller's."""
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(unsigned.now_us // 1_000_000)).encode("ascii")
    headers = without_signature(unsigned.headers)
    headers.append((b"x-amz-date", moment))
    if key.session_token is not None:
        headers.append((b"x-amz-security-token", key.session_token))
    names, request = _canonical_request(unsigned, headers)
    scope = b"/".join((moment[:8], place.region, place.service, b"aws4_request"))
    to_sign = b"\n".join((ALGORITHM, moment, scope, hashlib.sha256(request).hexdigest().encode("ascii")))
    signature = hmac.digest(_signing_key(key, moment[:8], place), to_sign, "sha256").hex().encode("ascii")
    value = b"%b Credential=%b/%b, SignedHeaders=%b, Signature=%b" % (
        ALGORITHM, key.access_key_id, scope, names, signature,
    )  # fmt: skip
    headers.append((b"authorization", value))
    return headers


def _signing_key(key: AccessKey, day: bytes, place: Place) -> bytes:
    derived = hmac.digest(b"AWS4" + key.secret_access_key, day, "sha256")
    for part in (place.region, place.service, b"aws4_request"):
        derived = hmac.digest(derived, part, "sha256")
    return derived


def _canonical_request(unsigned: Unsigned, headers: Headers) -> tuple[bytes, bytes]:
    """Returns the signed names and the canonical request."""
    path, _, query = unsigned.target.partition(b"?")
    fields: dict[bytes, list[bytes]] = {b"host": [unsigned.authority]}
    for name, value in headers:
        lower = name.lower()
        if lower == _ALSO_SIGNED or (lower.startswith(_AMAZON) and lower != _NEVER_SIGNED):
            fields.setdefault(lower, []).append(b" ".join(value.split()))
    ordered = sorted(fields)
    names = b";".join(ordered)
    request = b"\n".join(
        (
            unsigned.method,
            canonical_path(path),
            canonical_query(query) if query else b"",
            b"".join(b"%b:%b\n" % (name, b",".join(fields[name])) for name in ordered),
            names,
            hashlib.sha256(unsigned.body).hexdigest().encode("ascii"),
        )
    )
    return names, request


def canonical_path(path: bytes) -> bytes:
    """Returns the path as AWS signs it: its segments, as sent, encoded once more (S3 alone does not).

    A model id sent as `v1%3A0` counts as `v1%253A0`, one sent as `v1:0` as `v1%3A0`. Empty and dot segments
    are resolved (RFC 3986, 5.2.4), as the receiving end does.
    """
    return quote(_resolved(path), safe="/~").encode("ascii")


def _resolved(path: bytes) -> bytes:
    if b"//" not in path and b"/." not in path:
        return path or b"/"
    segments = path.split(b"/")
    kept: list[bytes] = []
    for segment in segments:
        if segment == b".." and kept:
            kept.pop()
        elif segment not in (b"", b".", b".."):
            kept.append(segment)
    closing = b"/" if kept and segments[-1] in (b"", b".", b"..") else b""
    return b"/" + b"/".join(kept) + closing


def canonical_query(query: bytes) -> bytes:
    """Returns the query as AWS signs it: names and values encoded in one way, in order."""
    pairs = (pair.partition(b"=") for pair in query.split(b"&") if pair)
    spelled = sorted((_encoded(name), _encoded(value)) for name, _, value in pairs)
    return "&".join(f"{name}={value}" for name, value in spelled).encode("ascii")


def _encoded(text: bytes) -> str:
    return quote(unquote_to_bytes(text), safe="~")
