"""One entry of the log: the members of a record, and the strict reading of its stored bytes.

Law: the stored bytes are the signed bytes; what is not canonical JSON of exactly these members is no record.
It runs with the standard library alone (a verifier has no msgspec), and does not write: writers encode with
`tokenone.canonical`, and the tests hold the two against each other.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from tokenone.errors import IntegrityError

BOOT: Final = "boot"
CARRY: Final = "carry"
ERASURE: Final = "erasure"
INTENT: Final = "intent"
NOTE: Final = "note"
OUTCOME: Final = "outcome"
RECOVERY: Final = "recovery"

MAX_INTEGER: Final = 2**53 - 1
_MEMBERS: Final = ("at", "boot", "epoch", "fields", "kind", "salt", "seq")
_KIND: Final = re.compile(r"[a-z-]{1,32}")
_SALT: Final = re.compile(r"[A-Za-z0-9_-]{21}[AQgw]")  # 16 bytes: the last character carries two bits


class Entry(NamedTuple):
    """A parsed record; `record` is what was signed."""

    seq: int
    kind: str
    at_us: int
    boot: int
    epoch: int
    fields: dict[str, Any]
    record: bytes


def members(  # noqa: PLR0913 - the seven members of a record
    *, seq: int, kind: str, at_us: int, boot: int, epoch: int, salt: str, fields: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns a record's members, ready to be encoded."""
    return {
        "at": at_us,
        "boot": boot,
        "epoch": epoch,
        "fields": fields,
        "kind": kind,
        "salt": salt,
        "seq": seq,
    }


def check(value: Mapping[str, Any] | Iterable[Any]) -> None:
    """Raises IntegrityError unless fields to be recorded lie in the signed subset.

    The writer asks before it chains: one float or giant integer that a provider slipped into a usage report would make
    the log unverifiable for ever.
    """
    items: Iterable[Any] = value
    if value.__class__ is dict or isinstance(value, Mapping):
        try:
            ascii_keys = "".join(value).isascii()
        except TypeError:
            ascii_keys = False
        if not ascii_keys:
            raise IntegrityError("a key that is not ASCII")
        items = value.values()
    for item in items:
        kind = item.__class__
        if kind is str or item is None or kind is bool:
            continue
        if kind is int:
            if not -MAX_INTEGER <= item <= MAX_INTEGER:
                raise IntegrityError("an integer beyond 2^53")
        elif kind is dict or kind is list or kind is tuple:
            check(item)
        elif not isinstance(item, str):
            raise IntegrityError("a value outside the signed subset")


def parse(record: bytes) -> Entry:
    """Parses a record's stored bytes; raises IntegrityError unless they are canonical and whole."""
    value = decode(record)
    if tuple(value) != _MEMBERS:
        raise IntegrityError("the record's members are not those of an entry")
    at, boot, epoch, fields, kind, salt, seq = value.values()
    if not at.__class__ is boot.__class__ is epoch.__class__ is seq.__class__ is int:
        raise IntegrityError("a number of the record is not one")
    if at < 0 or boot < 0 or epoch < 0 or seq < 0:
        raise IntegrityError("a number of the record is negative")
    if fields.__class__ is not dict or kind.__class__ is not str or salt.__class__ is not str:
        raise IntegrityError("a member of the record has the wrong type")
    if not _KIND.fullmatch(kind) or not _SALT.fullmatch(salt):
        raise IntegrityError("kind or salt of the record is malformed")
    return Entry(seq, kind, at, boot, epoch, fields, record)


def decode(record: bytes) -> dict[str, Any]:
    """Parses canonical JSON and refuses any other spelling of the same object."""
    try:
        text = record.decode("utf-8")
        value, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        raise IntegrityError("not JSON of the signed subset") from None
    if end != len(text) or value.__class__ is not dict:
        raise IntegrityError("not one JSON object")
    keys = _walk(value, ascii_keys=text.isascii())
    if not _plain(text, keys) and not _same(value, record):
        raise IntegrityError("not in canonical form")
    parsed: dict[str, Any] = value
    return parsed


def _plain(text: str, keys: int) -> bool:
    """Says whether the text, whose objects have `keys` sorted keys, cannot be spelt in another way.

    Without a backslash every string is spelt as RFC 8785 spells it; without a space, a raw control character (which
    JSON refuses inside strings) or "-0" so is everything between them. `":` ends every key, doubled ones too, and
    otherwise only opens a string. Most records are plain, and need not be encoded again to be compared.
    """
    if " " in text or "\\" in text or "\n" in text or "\t" in text or "\r" in text or "-0" in text:
        return False
    return keys == text.count('":')


def _same(value: dict[str, Any], record: bytes) -> bool:
    try:
        return _ENCODER.encode(value).encode("utf-8") == record
    except (ValueError, RecursionError):
        return False


def _walk(value: dict[str, Any] | list[Any], *, ascii_keys: bool) -> int:
    """Counts the keys of `value`, refusing unsorted or non-ASCII ones and integers beyond 2^53."""
    count = 0
    items: Iterable[Any] = value
    if value.__class__ is dict:
        keys = list(value)
        if keys != sorted(keys):
            raise IntegrityError("keys out of order")
        if not ascii_keys and not all(map(str.isascii, keys)):
            raise IntegrityError("a key that is not ASCII")
        count = len(keys)
        items = value.values()
    for item in items:
        kind = item.__class__
        if kind is str:
            continue
        if kind is int:
            if not -MAX_INTEGER <= item <= MAX_INTEGER:
                raise IntegrityError("an integer beyond 2^53")
        elif kind is dict or kind is list:
            count += _walk(item, ascii_keys=ascii_keys)
    return count


def _refuse(_: str) -> Any:
    raise ValueError("a number outside the signed subset")


_ENCODER: Final = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), sort_keys=True, check_circular=False, allow_nan=False
)
_DECODER: Final = json.JSONDecoder(parse_float=_refuse, parse_constant=_refuse)


def b64(raw: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def unb64(text: str) -> bytes:
    """The inverse of `b64`; refuses padding, other alphabets and loose trailing bits."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, TypeError):
        raise IntegrityError("not base64url") from None
    if b64(raw) != text:
        raise IntegrityError("not canonical base64url")
    return raw
