"""Google's service accounts: the JSON file as Google writes it, and the token that it is traded for.

Law: pure. The token is asked for with a signed JWT (RFC 7523, RS256) at the file's own `token_uri`, whose origin
must be among the endpoint's; the private key signs and goes nowhere. Reasons name members, never what stands in
them. What stands in the minted secret's place is `{"access_token":…}`.
Source: developers.google.com/identity/protocols/oauth2/service-account (HTTP/REST).
"""

from __future__ import annotations

import base64
import re
from typing import Annotated, Final

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tokenone.dispatch.credential import bearer
from tokenone.dispatch.document import LONGEST
from tokenone.dispatch.mint import Minted, MintRequest
from tokenone.dispatch.providers.counts import lenient
from tokenone.errors import BadSecret, ConfigRefused, UpstreamAuth, UpstreamBroken
from tokenone.types import parse_origin

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
ASSERTED_SECONDS: Final = 3600
"""How long the token may live at most; Google grants an hour."""
SHORTEST_SECONDS: Final = 60
LONGEST_SECONDS: Final = 43_200
WEAKEST_BITS: Final = 2048

_NEEDED: Final = ("project_id", "private_key_id", "private_key", "client_email", "token_uri")
_OTHER_FILES: Final = {
    "authorized_user": "this is a person's own credential, as gcloud keeps it",
    "external_account": "this describes a workload identity and holds no key",
    "external_account_authorized_user": "this describes a workforce identity and holds no key",
    "impersonated_service_account": "this impersonates an account and holds no key of it",
    "gdch_service_account": "this is an account of Google Distributed Cloud",
}
_ADMIN: Final = re.compile(r"firebase-adminsdk-[a-z0-9]+@")
_EMAIL: Final = re.compile(r"[^@\s]{1,200}@[A-Za-z0-9.-]{1,200}")
_TOKEN_URI: Final = re.compile(r"(https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?)(/[A-Za-z0-9._~/-]{0,200})")
_ERROR_WORD: Final = re.compile(r"[a-z_]{1,40}")
_FORM: Final = b"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion="


class _Account(msgspec.Struct, gc=False):
    private_key_id: str
    private_key: str
    client_email: str
    token_uri: str


class _Token(msgspec.Struct, gc=False):
    access_token: Annotated[str, msgspec.Meta(pattern=r"^[!-~]{16,16384}$")]
    expires_in: int = SHORTEST_SECONDS


class _Refused(msgspec.Struct, gc=False):
    error: str | None = None
    error_description: str | None = None


class _Held(msgspec.Struct, gc=False):
    access_token: str


_members: Final = msgspec.json.Decoder(dict[str, object])
_account: Final = msgspec.json.Decoder(_Account)
_token: Final = msgspec.json.Decoder(_Token)
_refused: Final = msgspec.json.Decoder(_Refused)
_held: Final = msgspec.json.Decoder(_Held)


def check_account(secret: bytes) -> None:
    """Raises BadSecret unless the file is whole, a service account's, and its key can sign."""
    if len(secret) > LONGEST:
        raise BadSecret(f"the document is longer than {LONGEST} bytes")
    if not secret.startswith(b"{"):
        raise BadSecret("the document begins with white space; paste it alone")
    try:
        members = _members.decode(secret)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadSecret("the document is cut off or damaged; paste the whole JSON file") from None
    _check_kind(members)
    missing = [f"`{name}`" for name in _NEEDED if not _is_text(members.get(name))]
    if missing:
        raise BadSecret(f"the service account's file lacks {' and '.join(missing)}; paste it whole")
    _check_members(_account.decode(secret))


def _check_kind(members: dict[str, object]) -> None:
    if "installed" in members or "web" in members:
        raise BadSecret("this is the file of an OAuth client; Vertex AI takes a service account's")
    kind = members.get("type")
    if isinstance(kind, str) and kind in _OTHER_FILES:
        raise BadSecret(f"{_OTHER_FILES[kind]}; Vertex AI takes a service account's file")
    if kind != "service_account":
        raise BadSecret("the document's `type` must be `service_account`, as in Google's JSON file")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _check_members(account: _Account) -> None:
    if not _EMAIL.fullmatch(account.client_email):
        raise BadSecret("the file's `client_email` is not an address")
    if _ADMIN.match(account.client_email):
        raise BadSecret("this is Firebase's administrator; use an account with the role Vertex AI User")
    if _token_place(account.token_uri) is None:
        raise BadSecret("the file's `token_uri` is not an https address")
    pem = account.private_key.strip()
    if not pem.startswith("-----BEGIN PRIVATE KEY-----"):
        raise BadSecret("the file's `private_key` does not begin as Google writes it")
    if not pem.endswith("-----END PRIVATE KEY-----"):
        raise BadSecret("the file's `private_key` is cut off; paste the whole JSON file")
    key = _loaded(account.private_key, trusted=False)
    if key is None or key.key_size < WEAKEST_BITS:
        raise BadSecret("the file's `private_key` is damaged or no RSA key; paste the whole JSON file")


def _token_place(uri: str) -> tuple[str, bytes] | None:
    """Returns origin and path of a token's address."""
    found = _TOKEN_URI.fullmatch(uri)
    if found is None:
        return None
    try:
        return str(parse_origin(found[1])), found[2].encode("ascii")
    except ConfigRefused:
        return None


def _loaded(pem: str, *, trusted: bool) -> rsa.RSAPrivateKey | None:
    """Loads a private key; one that was checked when it was added is not proven to be consistent again."""
    try:
        key = load_pem_private_key(pem.encode(), None, unsafe_skip_rsa_key_validation=trusted)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, rsa.RSAPrivateKey) else None


def ask(plaintext: bytes, now_us: int) -> MintRequest | None:
    """Returns the request for a token; None for an API key, which is sent itself."""
    if not plaintext.startswith(b"{"):
        return None
    account = lenient(_account, plaintext)
    place = None if account is None else _token_place(account.token_uri)
    key = None if account is None else _loaded(account.private_key, trusted=True)
    if account is None or place is None or key is None:
        raise UpstreamAuth("the service account's file cannot be used; add it again")
    origin, target = place
    return MintRequest(
        origin=origin,
        method=b"POST",
        target=target,
        headers=[
            (b"content-type", b"application/x-www-form-urlencoded"),
            (b"accept", b"application/json"),
        ],
        body=_FORM + _assertion(account, key, now_us // 1_000_000),
    )


def _assertion(account: _Account, key: rsa.RSAPrivateKey, now: int) -> bytes:
    """Returns the signed JWT (RFC 7515, RFC 7523): who asks, for what, until when."""
    head = {"alg": "RS256", "typ": "JWT", "kid": account.private_key_id}
    claims = {
        "iss": account.client_email,
        "scope": SCOPE,
        "aud": account.token_uri,
        "iat": now,
        "exp": now + ASSERTED_SECONDS,
    }
    signed = _base64url(msgspec.json.encode(head)) + b"." + _base64url(msgspec.json.encode(claims))
    return signed + b"." + _base64url(key.sign(signed, padding.PKCS1v15(), SHA256()))


def _base64url(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def read(_plaintext: bytes, status: int, body: bytes) -> Minted:
    """Returns the token; UpstreamAuth where Google refuses the account, UpstreamBroken where it fails."""
    if status == 200:
        found = lenient(_token, body)
        if found is None:
            raise UpstreamBroken("Google's answer holds no token")
        seconds = max(SHORTEST_SECONDS, min(found.expires_in, LONGEST_SECONDS))
        return Minted(msgspec.json.encode(_Held(found.access_token)), seconds)
    if status in (400, 401, 403):
        raise UpstreamAuth(f"Google refused the service account{_why(lenient(_refused, body))}")
    raise UpstreamBroken(f"Google's token server answered with status {status}")


def _why(refused: _Refused | None) -> str:
    """Names the error that RFC 6749 defines, and a clock that is wrong, which is not the account's fault."""
    if refused is None or not _ERROR_WORD.fullmatch(refused.error or ""):
        return ""
    if (refused.error_description or "").startswith("Invalid JWT: Token must be a short-lived token"):
        return f" ({refused.error}: this machine's clock differs from Google's)"
    return f" ({refused.error})"


def authorised(plaintext: bytes) -> tuple[bytes, bytes]:
    """Returns the header of a minted token; a file that was not traded is never sent."""
    held = lenient(_held, plaintext)
    if held is None:
        raise UpstreamAuth("no token was obtained for the service account")
    return bearer(held.access_token.encode("ascii", "ignore"))
