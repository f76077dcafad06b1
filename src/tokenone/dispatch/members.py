"""Finds the members of a JSON object in its own bytes: where each key and value begins and ends.

Law: it locates, it does not decode; it trusts that a real parser has accepted the text. It costs little more
than that parser, whatever is nested inside: its callers hold up every other call meanwhile.
"""

from __future__ import annotations

import json
import re
from typing import Final, NamedTuple

import msgspec

from tokenone.errors import MalformedBody

TOKENS_LIMIT: Final = 65_536
"""Larger objects are not taken apart token by token (2 µs each); they must have no member twice."""
MOST: Final = 4096
"""Members of one object that are stepped over; requests have some thirty."""

_TOKEN: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]:,]|[^\s"{}\[\]:,]+', re.DOTALL)
_SPACE: Final = rb"[ \t\r\n]*+"
_OPENING: Final = re.compile(_SPACE + rb"\{" + _SPACE)
_KEY: Final = re.compile(rb'("[^"\\]*+(?:\\.[^"\\]*+)*+")' + _SPACE + b":" + _SPACE, re.DOTALL)
_AFTER: Final = re.compile(_SPACE + b"([,}])" + _SPACE)
_values: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Member(NamedTuple):
    """A key with its quotes as spelled, and the span of its value."""

    key: bytes
    start: int
    end: int


def members(text: bytes, start: int = 0, end: int | None = None) -> list[Member]:
    """Returns the members of the object in `text[start:end]`, repeated keys included.

    Raises MalformedBody for an object that is large and repeats a key, or has too many of them.
    """
    end = len(text) if end is None else end
    found = _walked(text, start, end)
    if found is not None:
        return found
    if end - start > TOKENS_LIMIT:
        raise MalformedBody("an object names one of its members more than once, or has thousands")
    return _by_tokens(text, start)


def _walked(text: bytes, start: int, end: int) -> list[Member] | None:
    """Steps over each value as a parser measured it; None where a key is repeated, for then they do not fit."""
    try:
        values = _values.decode(text if (start, end) == (0, len(text)) else text[start:end])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if len(values) > MOST:
        return None
    found: list[Member] = []
    opening = _OPENING.match(text, start)
    at = -1 if opening is None else opening.end()
    closing = b"," if values else b"}"
    for name, value in values.items():
        key, raw = _KEY.match(text, at), bytes(value)
        if (
            closing != b","
            or key is None
            or json.loads(key[1]) != name
            or not text.startswith(raw, key.end())
        ):
            return None
        found.append(Member(key[1], key.end(), key.end() + len(raw)))
        after = _AFTER.match(text, found[-1].end)
        if after is None:
            return None
        closing, at = after[1], after.end()
    return found if closing == b"}" else None


def _by_tokens(text: bytes, start: int) -> list[Member]:
    found: list[Member] = []
    depth = 0
    key, begin, end = b"", -1, -1
    for token in _TOKEN.finditer(text, start):
        word = token[0]
        if word in (b"}", b"]"):
            depth -= 1
        if key and ((depth == 1 and word == b",") or depth == 0):
            found.append(Member(key, begin, end))
            key, begin = b"", -1
        elif depth >= 1 and not (depth == 1 and word in (b":", b",")):
            if not key:
                key = word
            else:
                begin = token.start() if begin < 0 else begin
                end = token.end()
        if word in (b"{", b"["):
            depth += 1
        elif depth == 0:
            break
    return found


def value_end(text: bytes, start: int) -> int:
    """Returns where the object or array that begins at `start` ends, -1 if the text ends before."""
    depth = 0
    for token in _TOKEN.finditer(text, start):
        word = token[0]
        if word in (b"{", b"["):
            depth += 1
        elif word in (b"}", b"]"):
            depth -= 1
            if depth == 0:
                return token.end()
    return -1
