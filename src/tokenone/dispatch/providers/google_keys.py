"""Checks whether a pasted secret can be one of Google's API keys, and says why not.

Law: the reason never contains the secret or a part of it. Google has given out keys of two shapes (`AIza…` with
39 characters, and since 2026 `AQ.…`) and may give out others: an unknown beginning passes, another provider's
does not, nor do Google's own secrets that are no API keys.
"""

from __future__ import annotations

from typing import Final

from tokenone.dispatch.document import is_document
from tokenone.dispatch.shapes import check_shape
from tokenone.errors import BadSecret

_OLD_KEY: Final = b"AIza"
_OLD_KEY_LENGTH: Final = 39
_NO_KEYS: Final = (
    (b"GOCSPX-", "this is the secret of an OAuth client, not an API key"),
    (b"1//", "this is a refresh token, not an API key"),
    (b"ya29.", "this is an access token, which lives for an hour; paste what it is made from"),
    (b"auth_tokens/", "this is a token for one live session, not an API key"),
    (b"-----BEGIN", "this is a private key alone; paste the whole JSON file that it stands in"),
)


def check_key(secret: bytes, *, place: str) -> None:
    """Raises BadSecret unless `secret` may be an API key; `place` says what takes it."""
    if is_document(secret):
        raise BadSecret(f"this is a JSON document; {place} takes an API key")
    for beginning, note in _NO_KEYS:
        if secret.startswith(beginning):
            raise BadSecret(note)
    check_shape(secret, own=(_OLD_KEY, b"AQ.", b""), provider="Google")
    if secret.startswith(_OLD_KEY) and len(secret) != _OLD_KEY_LENGTH:
        raise BadSecret(f"Google's keys of this kind have {_OLD_KEY_LENGTH} characters; paste it whole")
