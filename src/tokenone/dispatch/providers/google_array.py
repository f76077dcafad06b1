"""Meters a stream that is one JSON array, element by element: how Google streams unless `alt=sse` is asked for.

Law: what comes out is what went in, byte for byte, whole elements at a time, so that an error element can be
cleaned before any of it is out; no cut changes a result. It finds elements by their brackets, as JSON's strings
and nesting place them, and decodes nothing itself. An element beyond `limit` passes unread. No I/O.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from tokenone.sse import EVENT_LIMIT
from tokenone.types import Usage

# Whatever stands before the next bracket, whole strings included, or before a string that is cut off.
_MARK: Final = re.compile(rb'(?:[^"{}\[\]]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+(["{}\[\]]|\Z)', re.DOTALL)
_OPENING: Final = (b"{", b"[")
_CLOSING: Final = (b"}", b"]")
_STRING: Final = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)


class ElementReader(Protocol):
    """Reads one provider's elements; `take` sees each whole element once, in order, and never raises."""

    usage: Usage | None
    model: str | None
    failed: bool
    text_bytes: int
    charged: int | None

    def take(self, data: bytes) -> None: ...


class _Brackets:
    """Follows JSON's nesting over pieces of a text and says where elements begin and end.

    An element is an object in the outermost array, or one that stands alone.
    """

    __slots__ = ("_depth", "_escaped", "_in_string", "_outer", "ended")

    def __init__(self) -> None:
        self._depth = 0
        self._outer = 0
        """The depth at which elements lie: 1 inside the array."""
        self._in_string = self._escaped = False
        self.ended = False
        """The outermost array or object was closed."""

    def edges(self, data: bytes) -> list[tuple[int, bool]]:
        """Returns where in `data` elements begin (True) and end (False)."""
        found: list[tuple[int, bool]] = []
        for mark in _MARK.finditer(data, self._after_string(data)):
            byte, end = mark[1], mark.end()
            if byte in _OPENING:
                self._open(byte, end - 1, found)
            elif byte in _CLOSING:
                self._close(byte, end, found)
            elif byte:  # a string that is cut off here
                self._in_string = True
                self._after_string(data, end)
                break
        return found

    def _after_string(self, data: bytes, at: int = 0) -> int:
        """Returns where the string that is open ends, `len(data)` if that is still to come."""
        if not self._in_string or at == len(data):
            return at
        text = _STRING.match(data, at + self._escaped)
        assert text is not None, "it matches nothing, too"
        end = text.end()
        self._escaped = data[end : end + 1] == b"\\"
        if end == len(data) or self._escaped:
            return len(data)
        self._in_string = False
        return end + 1

    def _open(self, byte: bytes, at: int, found: list[tuple[int, bool]]) -> None:
        if byte == b"{" and self._depth == self._outer:
            found.append((at, True))
        elif byte == b"[" and self._depth == 0:
            self._outer = 1
        self._depth += 1

    def _close(self, byte: bytes, end: int, found: list[tuple[int, bool]]) -> None:
        if self._depth == 0:
            return
        self._depth -= 1
        if byte == b"}" and self._depth == self._outer:
            found.append((end, False))
        if self._depth == 0:
            self._outer = 0
            self.ended = True


class ArrayMeter:
    """A sans-I/O machine between upstream and caller: decoded bytes in, bytes to forward out."""

    __slots__ = ("_brackets", "_held", "_inside", "_limit", "_reader", "_torn")
    in_events: Final = False

    def __init__(self, reader: ElementReader, *, limit: int = EVENT_LIMIT) -> None:
        self._reader = reader
        self._limit = limit
        self._brackets = _Brackets()
        self._held = bytearray()
        self._inside = False
        self._torn = False
        """The element in progress was too long to be held: its rest passes as it comes."""

    def feed(self, data: bytes) -> bytes:
        """Returns what to forward now; an unfinished element waits for its end."""
        out: list[bytes] = []
        at = 0
        for position, begins in self._brackets.edges(data):
            piece, at = data[at:position], position
            if not begins and self._inside:
                out.append(self._whole(piece))
            else:  # nothing is held then, unless brackets do not match
                out += (self._given_up(), piece)
                self._torn = False
            self._inside = begins
        out.append(self._rest(data[at:]))
        return b"".join(out)

    def _whole(self, piece: bytes) -> bytes:
        if self._torn:
            self._torn = False
            return piece
        element = bytes(self._held) + piece if self._held else piece
        self._held.clear()
        self._reader.take(element)
        return element

    def _rest(self, piece: bytes) -> bytes:
        if not self._inside or self._torn:
            return piece
        self._held += piece
        if len(self._held) <= self._limit:
            return b""
        self._torn = True
        return self._given_up()

    def _given_up(self) -> bytes:
        held = bytes(self._held)
        self._held.clear()
        return held

    def finish(self) -> bytes:
        """Ends the stream: returns what is still held of an element that was cut off."""
        rest = self._given_up()
        if rest:
            self._reader.take(rest)
        return rest

    @property
    def usage(self) -> Usage | None:
        """The usage reported so far; the counts are cumulative, the last ones hold."""
        return self._reader.usage

    @property
    def model(self) -> str | None:
        """The model that the provider says it used."""
        return self._reader.model

    @property
    def charged(self) -> int | None:
        """What the provider says that it charges, in nano-USD."""
        return self._reader.charged

    @property
    def failed(self) -> bool:
        """Says whether an error came inside the stream, after the 200."""
        return self._reader.failed

    @property
    def ended(self) -> bool:
        """Says whether the array was closed."""
        return self._brackets.ended

    @property
    def text_bytes(self) -> int:
        """Bytes of generated text so far, the ground of an estimate when usage never comes."""
        return self._reader.text_bytes
