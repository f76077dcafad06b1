"""Puts the provider's credential on a request: the only reader of a secret in this room.

Law: `put` is called with a leased secret just before sending; nothing here stores, logs or returns it other
than as the headers that go out, as the request that trades it for a token, and as the forms to search a refusal
for. A secret is a text, or a JSON object of typed fields (docs/spec/credential.md).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, TypeAlias
from urllib.parse import quote, quote_plus

from tokenone.dispatch.mint import Mint, MintRequest
from tokenone.dispatch.reference import Reference, reference_in
from tokenone.secret import Secret, reveal
from tokenone.types import Headers

_SECRET_NAMES: Final = ("secret", "key", "token", "password", "private")
_SHORTEST_FIELD: Final = 16


class Unsigned(NamedTuple):
    """A request as it will be sent, but for its credential: `headers` are without the caller's."""

    method: bytes
    authority: bytes
    """The value of Host."""
    target: bytes
    """Raw path and query."""
    headers: Headers
    body: bytes
    now_us: int


CredentialHeader: TypeAlias = Callable[[bytes], tuple[bytes, bytes]]
"""Makes the provider's credential header of the plaintext."""
Authorise: TypeAlias = Callable[[Unsigned, bytes], Headers]
"""Returns the request's headers with the provider's credential, made of the plaintext."""


def put(unsigned: Unsigned, secret: Secret, authorise: Authorise) -> Headers:
    """Returns the request's headers with the provider's credential."""
    return authorise(unsigned, reveal(secret))


def ask_for(mint: Mint, secret: Secret, now_us: int) -> MintRequest | None:
    """Returns the request that trades a secret for a token, None where the secret is sent as it is."""
    return mint.ask(reveal(secret), now_us)


def token_in(mint: Mint, secret: Secret, status: int, body: bytes) -> tuple[Secret, int]:
    """Returns the token that an answer holds, and for how many seconds it is good; raises UpstreamAuth."""
    minted = mint.read(reveal(secret), status, body)
    return Secret(minted.plaintext), minted.seconds


def referred(secret: Secret) -> Reference | None:
    """Returns where the secret lies, None where what is stored is the secret itself."""
    return reference_in(reveal(secret))


def check(secret: Secret, checked: Callable[[bytes], None]) -> None:
    """Lets a provider's check look at a secret that was found elsewhere; raises BadSecret."""
    checked(reveal(secret))


def header(make: CredentialHeader) -> Authorise:
    """Authorises by one header that does not depend on the request."""

    def authorise(unsigned: Unsigned, plaintext: bytes) -> Headers:
        return [*unsigned.headers, make(plaintext)]

    return authorise


def bearer(plaintext: bytes) -> tuple[bytes, bytes]:
    """RFC 6750."""
    return b"authorization", b"Bearer " + plaintext


def forms(secret: Secret) -> tuple[bytes, ...]:
    """Returns the spellings under which a reply might echo the secret, longest first.

    Plain, reversed, JSON-escaped, URL-encoded (needed characters, or every one), hex, base64 and base64url;
    the last two at all three alignments, to be found inside a longer encoded text such as `Bearer …`. Of a
    secret of typed fields, those of every field whose name says that it is secret.
    """
    spelled = {form for part in _parts(reveal(secret)) for form in _spelled(part)}
    return tuple(sorted(spelled, key=len, reverse=True))


def _parts(plain: bytes) -> Iterator[bytes]:
    yield plain
    if not plain.lstrip().startswith(b"{"):
        return
    try:
        fields = json.loads(plain)
    except ValueError:
        return
    for name, value in fields.items():
        secret = any(word in name.lower() for word in _SECRET_NAMES)
        if secret and isinstance(value, str) and len(value) >= _SHORTEST_FIELD:
            yield value.encode()


def _spelled(plain: bytes) -> set[bytes]:
    text = plain.decode("latin-1")
    every = "".join(f"%{byte:02x}" for byte in plain)
    spelled = {
        plain,
        plain[::-1],
        plain.hex().encode(),
        plain.hex().upper().encode(),
        json.dumps(text)[1:-1].encode(),
        plain.replace(b"/", b"\\/"),
        "".join(f"\\u{byte:04x}" for byte in plain).encode(),
        quote(text, safe="").encode(),
        quote_plus(text).encode(),
        every.encode(),
        every.upper().encode(),
    }
    for encode in (base64.standard_b64encode, base64.urlsafe_b64encode):
        spelled.update(_aligned(plain, encode, shift) for shift in range(3))
    return spelled


def _aligned(plain: bytes, encode: Callable[[bytes], bytes], shift: int) -> bytes:
    """Returns what of a base64 text depends on `plain` alone, when it begins at byte `shift`."""
    encoded = encode(b"\0" * shift + plain).rstrip(b"=")
    first = -(-shift * 8 // 6)
    last = (shift + len(plain)) * 8 // 6
    return encoded[first:last]
