"""The string leaves of JSON bytes, and the way from a place in a decoded string back to the original bytes.

Law: nothing is re-serialised and nothing recurses: strings are cut out by one pass over the quotes, so depth
costs nothing. A leaf is decoded only when it is worth a look.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from json import JSONDecoder
from typing import Final, NamedTuple

_STRING: Final = re.compile(rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"', re.DOTALL)
_AFTER_KEY: Final = re.compile(rb"[ \t\r\n]*+:")
_BASE64: Final = re.compile(rb"(?:data:[^,\x00-\x1f]{0,120}+,)?[A-Za-z0-9+/]*+={0,2}")
_PIECE: Final = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u.{4}|\\.|[^\\]{1,256}+", re.DOTALL
)
_DECODER: Final = JSONDecoder(strict=False)
BLOB: Final = 1024
"""From this length on a leaf of pure base64 (an image, audio, a file) is skipped: no credential has its form."""


class Leaf(NamedTuple):
    """Where a string stands in the body: the bytes between its quotes."""

    start: int
    end: int


def leaves(body: bytes) -> Iterator[Leaf]:
    """Yields every string value; keys of objects and long base64 are left out."""
    for match in _STRING.finditer(body):
        start, end = match.span(1)
        if end - start >= BLOB and _BASE64.fullmatch(body, start, end):
            continue
        if not _AFTER_KEY.match(body, match.end()):
            yield Leaf(start, end)


def text_of(raw: bytes) -> str:
    """Decodes what stands between the quotes; bytes that are no UTF-8 become lone surrogates."""
    text = raw.decode("utf-8", "surrogateescape")
    if "\\" not in text:
        return text
    try:
        decoded: str = _DECODER.decode(f'"{text}"')
    except ValueError:
        return text
    return decoded


def byte_offsets(raw: bytes, places: Sequence[int]) -> list[int]:
    """Returns where in `raw` the characters at `places` (ascending) of its decoded text begin."""
    offsets: list[int] = []
    seen = width = 0
    for piece in _pieces(raw):
        length = 1 if piece[0] == "\\" else len(piece)
        while len(offsets) < len(places) and places[len(offsets)] < seen + length:
            offsets.append(width + _width(piece[: places[len(offsets)] - seen]))
        seen, width = seen + length, width + _width(piece)
    return offsets + [width] * (len(places) - len(offsets))


def _pieces(raw: bytes) -> Iterator[str]:
    """Yields escapes and what stands between them, in pieces short enough to be measured again and again."""
    for match in _PIECE.finditer(raw.decode("utf-8", "surrogateescape")):
        yield match[0]


def _width(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogateescape"))
