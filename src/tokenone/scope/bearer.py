"""Finds the one credential of a request, wherever the caller's SDK puts it (docs/spec/token.md).

Law: two different values are refused, whatever they are; nothing is guessed. Does not check what it finds.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

import msgspec

from tokenone.errors import CredentialsDiffer
from tokenone.types import Headers

PLAIN: Final = frozenset((b"x-api-key", b"x-goog-api-key", b"api-key"))
"""Header fields (lower case) whose whole value is the credential."""

_AUTHORIZATION: Final = b"authorization"
_CARRIERS: Final = PLAIN | {_AUTHORIZATION}

QUERY_PARAMETER: Final = b"key"
"""The query parameter that carries a credential; never forwarded, like the header fields."""

_SIGNED: Final = re.compile(
    r"AWS4-HMAC-SHA256\s.*?\bCredential=([^/,\s]+)/\d{8}/([a-z0-9-]{1,40})/", re.ASCII
)


class Credential(msgspec.Struct, frozen=True, gc=False):
    """What a request carries; `region` comes from a SigV4 signature's scope."""

    text: str
    region: str | None = None

    def __repr__(self) -> str:
        return f"Credential(region={self.region!r})"


def credential(headers: Headers, target: bytes) -> Credential | None:
    """Returns the request's credential, None if it carries none; raises CredentialsDiffer for two."""
    found: Credential | None = None
    for name, value in headers:
        lowered = name.lower()
        if lowered in _CARRIERS:
            text = value.decode("latin-1")
            one = _authorization(text) if lowered == _AUTHORIZATION else Credential(text.strip())
            found = _agree(found, one)
    if b"key=" in target:
        for text in _query(target):
            found = _agree(found, Credential(text))
    return found


def _authorization(value: str) -> Credential:
    scheme, _, rest = value.partition(" ")
    lowered = scheme.lower()
    if lowered == "bearer":
        return Credential(rest.strip())
    if lowered == "aws4-hmac-sha256":
        signed = _SIGNED.match(value)
        if signed is not None:
            return Credential(signed[1], signed[2])
    return Credential(value.strip())


def _query(target: bytes) -> list[str]:
    query = target.partition(b"#")[0].partition(b"?")[2]
    pairs = (pair.partition(b"=") for pair in query.split(b"&"))
    return [unquote(value.decode("latin-1")) for name, _, value in pairs if name == QUERY_PARAMETER]


def _agree(found: Credential | None, one: Credential) -> Credential | None:
    """Joins two findings: empty ones do not count, equal ones are one, different ones are refused."""
    if not one.text:
        return found
    if found is None:
        return one
    if found.text != one.text:
        raise CredentialsDiffer
    return found if found.region is not None else one
