"""Finds the members of a JSON object in its own bytes: where each key and value begins and ends.

Law: it locates, it does not decode; it trusts that a real parser has accepted the text. Slower than a typed
peek (about 0.1 µs a token), so it runs only where the bytes leave a doubt.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_TOKEN: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]:,]|[^\s"{}\[\]:,]+', re.DOTALL)


class Member(NamedTuple):
    """A key with its quotes as spelled, and the span of its value."""

    key: bytes
    start: int
    end: int


def members(text: bytes, start: int = 0) -> list[Member]:
    """Returns the members of the object that begins at or after `start`, repeated keys included."""
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
