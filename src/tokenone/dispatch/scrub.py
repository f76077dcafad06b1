"""Removes secrets from refusals: some servers echo the key that they refuse.

Law: what is looked for is everything that stood for the key: the leased secret, what it refers to, the token it
was traded for. A body in which none of it occurs is returned byte for byte, encoding included; one that cannot
be read (unknown encoding, damaged, a compression bomb) is withheld, for it cannot be vouched for. It works on
non-2xx replies, and on running streams from an error event on.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tokenone.dispatch.credential import forms
from tokenone.dispatch.decode import decoded
from tokenone.dispatch.forward import value_of
from tokenone.secret import Secret
from tokenone.types import Headers

MARK: Final = b"[removed]"
WITHHELD: Final = (
    b'{"error":{"message":"The provider\'s reply could not be read and was withheld.","type":"withheld"}}'
)
SHORTEST_FORM: Final = 8


class Scrubbed(NamedTuple):
    """A refusal that may go to the caller. `plain` is the decoded body, for finding out what it says."""

    headers: Headers
    body: bytes
    plain: bytes
    changed: bool


def scrub(headers: Headers, body: bytes | None, *secrets: Secret) -> Scrubbed:
    """Returns the refusal without the secrets, in headers and body, whatever their spelling.

    None stands for a body that is too long to be looked at.
    """
    spelled = _spellings(secrets)
    kept = [(name, _removed(value, spelled)) for name, value in headers]
    headers_changed = kept != headers
    plain = None if body is None else decoded(body, value_of(headers, b"content-encoding"))
    if body is None or plain is None:
        unread = [
            (b"content-type", b"application/json"),
            *_without(kept, b"content-type", b"content-encoding"),
        ]
        return Scrubbed(unread, WITHHELD, WITHHELD, True)
    clean = _removed(plain, spelled)
    if clean == plain:
        return Scrubbed(kept, body, plain, headers_changed)
    return Scrubbed(_without(kept, b"content-encoding"), clean, clean, True)


def without_secret(piece: bytes, *secrets: Secret) -> bytes:
    """Returns a decoded piece of a reply without the secrets, whatever their spelling."""
    return _removed(piece, _spellings(secrets))


def _spellings(secrets: tuple[Secret, ...]) -> list[bytes]:
    return [form for secret in secrets for form in forms(secret) if len(form) >= SHORTEST_FORM]


def _removed(text: bytes, spelled: list[bytes]) -> bytes:
    for form in spelled:
        if form in text:
            text = text.replace(form, MARK)
    return text


def _without(headers: Headers, *names: bytes) -> Headers:
    return [(name, value) for name, value in headers if name.lower() not in names]
