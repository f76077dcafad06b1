"""Canonical JSON (RFC 8785) for what is signed: the stored bytes are the signed bytes.

Law: keys are ASCII, integers lie within ±2^53, there are no floats; within that subset msgspec's sorted
encoder gives RFC 8785's bytes (the tests hold it against the `rfc8785` package).
"""

from __future__ import annotations

import base64
from typing import Final, TypeAlias

import msgspec

from tokenone.errors import IntegrityError

Canonical: TypeAlias = "bool | int | str | list[Canonical] | dict[str, Canonical] | None"

MAX_INTEGER: Final = 2**53 - 1
_encoder: Final = msgspec.json.Encoder(order="deterministic")
_decoder: Final = msgspec.json.Decoder()


def encode(value: dict[str, Canonical]) -> bytes:
    """Returns the canonical bytes; trusts the caller for the subset (`check` tests it)."""
    return _encoder.encode(value)


def decode(record: bytes) -> dict[str, Canonical]:
    """Parses canonical bytes and refuses any other spelling of the same object."""
    try:
        value = _decoder.decode(record)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise IntegrityError("not JSON") from None
    if not isinstance(value, dict):
        raise IntegrityError("not a JSON object")
    check(value)
    if _encoder.encode(value) != record:
        raise IntegrityError("not in canonical form")
    return value


def check(value: object) -> None:
    """Raises IntegrityError unless `value` lies in the signed subset."""
    if value is None or isinstance(value, (bool, str)):
        return
    if isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise IntegrityError("an integer beyond 2^53")
        return
    if isinstance(value, (list, tuple)):
        for item in value:
            check(item)
        return
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) or not key.isascii():
                raise IntegrityError("a key that is not ASCII")
            check(item)
        return
    raise IntegrityError("a value outside the signed subset")


def b64(raw: bytes) -> str:
    """Base64url without padding (RFC 4648 section 5)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def unb64(text: str) -> bytes:
    """The inverse of `b64`; refuses padding, other alphabets and non-zero trailing bits."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, TypeError):
        raise IntegrityError("not base64url") from None
    if b64(raw) != text:
        raise IntegrityError("not canonical base64url")
    return raw
