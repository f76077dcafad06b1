"""The form of caller tokens: mint one, parse one, compute its digest (docs/spec/token.md).

Law: the text of a token exists when it is minted and while a request carries it; what is kept is an HMAC
under the pepper. Knows no rows and decides nothing about who may call.
"""

from __future__ import annotations

import re
import secrets
import zlib
from typing import Final

import msgspec

from tokenone.errors import BadToken
from tokenone.keyed import Keyed
from tokenone.types import Mode, new_id

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_FORM: Final = re.compile(
    r"to_(live|dev)_([0-9a-hjkmnp-tv-z]{20})_([0-9A-Za-z]{43})_([0-9A-Za-z]{6})", re.ASCII
)
_PURPOSE: Final = b"tokenone/token/1\x00"
_PAIRS: Final = tuple(high + low for high in _DIGITS for low in _DIGITS)
_PAIR: Final = len(_PAIRS)
_SECRET_LENGTH: Final = 43
_CRC_LENGTH: Final = 6


class Parsed(msgspec.Struct, frozen=True, gc=False):
    """What a well-formed token says of itself; nothing of it is proven."""

    id: str
    secret: str
    mode: Mode

    def __repr__(self) -> str:
        return f"Parsed(id={self.id!r}, mode={self.mode!r})"


class Minted(msgspec.Struct, frozen=True, gc=False):
    """A new token: `text` is shown once, `id` and `digest` are kept."""

    id: str
    text: str
    digest: bytes
    mode: Mode

    def __repr__(self) -> str:
        return f"Minted(id={self.id!r}, mode={self.mode!r})"


def mint(pepper: Keyed, mode: Mode) -> Minted:
    """Returns a new token with 256 random bits of secret."""
    token_id = new_id("tok")
    secret = "".join(secrets.choice(_DIGITS) for _ in range(_SECRET_LENGTH))
    body = f"to_{mode}_{token_id.removeprefix('tok_')}_{secret}"
    text = f"{body}_{checksum(body)}"
    return Minted(token_id, text, digest(pepper, text), mode)


def parse(text: str) -> Parsed:
    """Splits a token; raises BadToken unless form and checksum are right."""
    form = _FORM.fullmatch(text)
    if form is None or checksum(text[: -_CRC_LENGTH - 1]) != form[4]:
        raise BadToken
    return Parsed("tok_" + form[2], form[3], "live" if form[1] == "live" else "dev")


def digest(pepper: Keyed, text: str) -> bytes:
    """Returns the 32 bytes that are kept of a token."""
    return pepper.mac(_PURPOSE + text.encode("ascii"))


def checksum(body: str) -> str:
    """Returns the CRC-32 of `body` as six digits in base 62; for secret scanners, not for security."""
    rest, low = divmod(zlib.crc32(body.encode("ascii")), _PAIR)
    high, middle = divmod(rest, _PAIR)
    return _PAIRS[high] + _PAIRS[middle] + _PAIRS[low]
