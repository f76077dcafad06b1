"""An Entra application's credentials for Azure OpenAI: how they are written, and traded for a token.

Law: pure. The token is asked for at the document's authority, which must be among the endpoint's origins; the
authority's cloud decides the scope. What stands in the minted secret's place is `{"access_token":…}`.
Sources: Microsoft's pages on the client credentials flow and on authentication in national clouds.
"""

from __future__ import annotations

import re
from typing import Annotated, Final
from urllib.parse import urlencode

import msgspec

from tokenone.dispatch.credential import bearer
from tokenone.dispatch.document import Text, read_document
from tokenone.dispatch.mint import Minted, MintRequest
from tokenone.dispatch.providers.counts import lenient
from tokenone.errors import BadSecret, ConfigRefused, UpstreamAuth, UpstreamBroken
from tokenone.types import parse_origin

PUBLIC: Final = "https://login.microsoftonline.com"
SHORTEST_SECONDS: Final = 60
LONGEST_SECONDS: Final = 86_400

_SCOPES: Final = {
    ".us": "https://cognitiveservices.azure.us/.default",
    ".cn": "https://cognitiveservices.azure.cn/.default",
}
_PUBLIC_SCOPE: Final = "https://cognitiveservices.azure.com/.default"
_ERROR_WORD: Final = re.compile(r"[a-z_]{1,40}")


class EntraApplication(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="azure-entra"
):
    """The document: an application that may call the resource, and the authority of its cloud."""

    tenant_id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,254}$")]
    client_id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,99}$")]
    client_secret: Text
    authority: Text = PUBLIC


class _Token(msgspec.Struct, gc=False):
    access_token: Annotated[str, msgspec.Meta(pattern=r"^[!-~]{16,16384}$")]
    expires_in: int | str = SHORTEST_SECONDS


class _Refused(msgspec.Struct, gc=False):
    error: str | None = None


class _Held(msgspec.Struct, gc=False):
    access_token: str


_application: Final = msgspec.json.Decoder(EntraApplication)
_token: Final = msgspec.json.Decoder(_Token)
_refused: Final = msgspec.json.Decoder(_Refused)
_held: Final = msgspec.json.Decoder(_Held)


def check_application(secret: bytes) -> None:
    """Raises BadSecret unless the document is whole and its authority an origin."""
    one = read_document(secret, (EntraApplication,))
    try:
        parse_origin(one.authority)
    except ConfigRefused:
        raise BadSecret("the document's `authority` must be an origin such as https://login.…") from None


def ask(plaintext: bytes, _now_us: int) -> MintRequest | None:
    """Returns the request for a token; None for a key, which is sent itself."""
    one = lenient(_application, plaintext)
    if one is None:
        return None
    origin = parse_origin(one.authority)
    form = {
        "grant_type": "client_credentials",
        "client_id": one.client_id,
        "client_secret": one.client_secret,
        "scope": _SCOPES.get(origin.host[-3:], _PUBLIC_SCOPE),
    }
    return MintRequest(
        origin=str(origin),
        method=b"POST",
        target=f"/{one.tenant_id}/oauth2/v2.0/token".encode("ascii"),
        headers=[
            (b"content-type", b"application/x-www-form-urlencoded"),
            (b"accept", b"application/json"),
        ],
        body=urlencode(form).encode("ascii"),
    )


def read(_plaintext: bytes, status: int, body: bytes) -> Minted:
    """Returns the token; UpstreamAuth where the authority refuses, UpstreamBroken where it fails."""
    if status == 200:
        found = lenient(_token, body)
        if found is None:
            raise UpstreamBroken("the authority's answer holds no token")
        return Minted(msgspec.json.encode(_Held(found.access_token)), _seconds(found.expires_in))
    if status in (400, 401, 403):
        refused = lenient(_refused, body)
        word = (refused and refused.error) or ""
        told = f" ({word})" if _ERROR_WORD.fullmatch(word) else ""
        raise UpstreamAuth(f"the authority refused the application{told}")
    raise UpstreamBroken(f"the authority answered with status {status}")


def authorised(plaintext: bytes) -> tuple[bytes, bytes]:
    """Returns the header of a minted token."""
    held = lenient(_held, plaintext)
    if held is None:
        raise UpstreamAuth("no token was obtained for the application")
    return bearer(held.access_token.encode("ascii", "ignore"))


def _seconds(told: int | str) -> int:
    """Reads `expires_in`, which older endpoints spell as a text."""
    number = told if isinstance(told, int) else int(told) if told.isdecimal() and len(told) < 10 else 0
    return max(SHORTEST_SECONDS, min(number, LONGEST_SECONDS))
