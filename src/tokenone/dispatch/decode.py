"""Decodes a copy of a gzip reply as it passes, within bounds, so that it can be metered.

Law: never more than `ALLOWANCE + RATIO × input` bytes come out, and of a whole body never more than `WHOLE`;
beyond that it stops for good (`overflow`).
Damaged input stops it too (`broken`). Encodings other than gzip and identity are not decoded.
"""

from __future__ import annotations

import zlib
from typing import Final, Protocol

ALLOWANCE: Final = 1024 * 1024
RATIO: Final = 200  # event streams of tiny, similar chunks reach about 60

WHOLE: Final = 32 * 1024 * 1024
"""Of a body that is decoded at once, for all of it is in memory then: a stream is gone as it comes."""


class Decoder(Protocol):
    """Incremental: `feed` returns what can be decoded so far and never raises; `whole` says whether the input
    ended where the encoding ends; a decoder that stopped (`overflow` or `broken`) returns nothing more."""

    overflow: bool
    broken: bool

    def feed(self, data: bytes) -> bytes: ...

    @property
    def whole(self) -> bool: ...


class Identity:
    """No encoding: what comes in goes out."""

    __slots__ = ("broken", "overflow")

    def __init__(self) -> None:
        self.overflow = self.broken = False

    def feed(self, data: bytes) -> bytes:
        return data

    @property
    def whole(self) -> bool:
        return True


class Gunzip:
    """gzip (RFC 1952), several members included, bounded."""

    __slots__ = ("_inflate", "_most", "_received", "_returned", "broken", "overflow")

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._inflate = zlib.decompressobj(wbits=31)
        self._received = self._returned = 0
        self.overflow = self.broken = False

    def feed(self, data: bytes) -> bytes:
        """Returns the decoded bytes that `data` completes."""
        self._received += len(data)
        pieces: list[bytes] = []
        while data and not (self.overflow or self.broken):
            if self._inflate.eof:
                self._inflate = zlib.decompressobj(wbits=31)
            allowed = ALLOWANCE + RATIO * self._received
            room = (allowed if self._most is None else min(allowed, self._most)) - self._returned
            try:
                piece = self._inflate.decompress(data, room + 1)
            except zlib.error:
                self.broken = True
                break
            self.overflow = len(piece) > room
            pieces.append(piece[:room])
            self._returned += len(pieces[-1])
            data = self._inflate.unconsumed_tail or self._inflate.unused_data
        return b"".join(pieces)

    @property
    def whole(self) -> bool:
        """Says whether the last member ended; an empty input is whole."""
        stopped = self.overflow or self.broken
        return not stopped and (self._inflate.eof or self._received == 0)


def decoder(content_encoding: bytes | None, most: int | None = None) -> Decoder | None:
    """Returns a decoder for a reply's `Content-Encoding`, None if it cannot be read here."""
    encoding = (content_encoding or b"identity").strip().lower()
    if encoding in (b"identity", b""):
        return Identity()
    if encoding in (b"gzip", b"x-gzip"):
        return Gunzip(most)
    return None


def decoded(body: bytes, content_encoding: bytes | None) -> bytes | None:
    """Returns a whole body decoded, None if it is damaged, too large or in an unknown encoding."""
    machine = decoder(content_encoding, WHOLE)
    if machine is None:
        return None
    plain = machine.feed(body)
    return plain if machine.whole else None
