"""Puts the provider's credential on a request: the only reader of a secret in this room.

Law: `put` is called with a leased secret just before sending; nothing here stores, logs or returns it other
than as the header that goes out and as the forms to search a refusal for.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import TypeAlias
from urllib.parse import quote, quote_plus

from tokenone.secret import Secret, reveal
from tokenone.types import Headers

CredentialHeader: TypeAlias = Callable[[bytes], tuple[bytes, bytes]]
"""Makes the provider's credential header of the plaintext."""


def put(headers: Headers, secret: Secret, header: CredentialHeader) -> Headers:
    """Returns `headers`, already without the caller's credentials, with the provider's."""
    return [*headers, header(reveal(secret))]


def bearer(plaintext: bytes) -> tuple[bytes, bytes]:
    """RFC 6750."""
    return b"authorization", b"Bearer " + plaintext


def forms(secret: Secret) -> tuple[bytes, ...]:
    """Returns the spellings under which a reply might echo the secret, longest first.

    Plain, reversed, JSON-escaped, URL-encoded (needed characters, or every one), hex, base64 and base64url;
    the last two at all three alignments, to be found inside a longer encoded text such as `Bearer …`.
    """
    plain = reveal(secret)
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
    return tuple(sorted(spelled, key=len, reverse=True))


def _aligned(plain: bytes, encode: Callable[[bytes], bytes], shift: int) -> bytes:
    """Returns what of a base64 text depends on `plain` alone, when it begins at byte `shift`."""
    encoded = encode(b"\0" * shift + plain).rstrip(b"=")
    first = -(-shift * 8 // 6)
    last = (shift + len(plain)) * 8 // 6
    return encoded[first:last]
