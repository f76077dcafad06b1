"""Reads message bodies by the framing that the head declared: bytes in, payload out, no I/O.

Law: a body reader takes exactly its message's bytes; what follows is in `rest`, for somebody else to judge.
Chunk lines are strict (RFC 9112 section 7.1): hexadecimal digits, an extension at most, CR LF. It never
decodes content codings.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from tokenone.wire.framing import CHUNKED, UNTIL_CLOSE, FramingError

# Extensions are legal and meaningless; they are passed over within a bound (CVE-2023-39326's lesson).
_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})(;[\t -~]*+)?")
# RFC 9110 section 6.5.1: fields that frame a message are no trailers.
_TRAILER_LINE: Final = re.compile(
    rb"(?!(?i:transfer-encoding|content-length|host):)[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[\t -~\x80-\xff]*+"
)
_CRLF: Final = b"\r\n"
_MAX_LINE: Final = 512
_MAX_OVERHEAD: Final = 16_384


class Body(Protocol):
    """`feed` returns payload until `done`; `close` is the end of the connection and raises if too early."""

    done: bool
    rest: bytes

    def feed(self, data: bytes) -> bytes: ...

    def close(self) -> None: ...


class LengthBody:
    """A body of a declared length."""

    __slots__ = ("_left", "done", "rest")

    def __init__(self, length: int) -> None:
        self._left = length
        self.done = length == 0
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        left = self._left - len(data)
        if left > 0:
            self._left = left
            return data
        self.done = True
        if left == 0:
            return data
        data, self.rest = data[: self._left], data[self._left :]
        return data

    def close(self) -> None:
        if not self.done:
            raise FramingError("truncated", f"the connection ended {self._left} bytes before the body did")


class CloseBody:
    """A body that ends with the connection; responses only."""

    __slots__ = ("done", "rest")

    def __init__(self) -> None:
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        return data

    def close(self) -> None:
        self.done = True


class ChunkedBody:
    """A chunked body. Trailers are refused in requests and dropped from responses."""

    __slots__ = ("_held", "_left", "_overhead", "_trailers", "_trailing", "done", "rest")

    def __init__(self, *, trailers: bool) -> None:
        self._trailers = trailers
        self._held = b""  # the unfinished part of a chunk or trailer line
        self._left = 0  # bytes to come of the current chunk, its CR LF included
        self._overhead = 0  # bytes of extensions and trailers so far
        self._trailing = False
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        if self._held:
            data, self._held = self._held + data, b""
        position, size = 0, len(data)
        payload: list[bytes] = []
        while position < size and not self.done:
            if self._left:
                position = self._take(data, position, payload)
                continue
            end = data.find(b"\r\n", position, position + _MAX_LINE)
            if end < 0:
                self._hold(data[position:])
                break
            self._read_line(data[position:end])
            position = end + 2
        if self.done:
            self.rest = data[position:]
        return payload[0] if len(payload) == 1 else b"".join(payload)

    def close(self) -> None:
        if not self.done:
            raise FramingError("truncated", "the connection ended before the last chunk")

    def _take(self, data: bytes, position: int, payload: list[bytes]) -> int:
        """Takes what is there of the current chunk; returns the new position."""
        content, end = self._left - 2, position + self._left
        if content > 0:
            payload.append(data[position : position + content])
        closing = data[position + max(content, 0) : end]
        if not (_CRLF if content >= 0 else b"\n").startswith(closing):
            raise FramingError("chunk", "a chunk ends with CR LF")
        self._left = max(0, end - len(data))
        return min(end, len(data))

    def _read_line(self, line: bytes) -> None:
        if self._trailing:
            self._read_trailer(line)
            return
        match = _CHUNK_LINE.fullmatch(line)
        if match is None:
            raise FramingError("chunk", "a chunk begins with its size in hexadecimal")
        if match[2]:
            self._count(len(match[2]))
        length = int(match[1], 16)
        if length:
            self._left = length + 2
        else:
            self._trailing = True

    def _read_trailer(self, line: bytes) -> None:
        if not line:
            self.done = True
            return
        if not self._trailers:
            raise FramingError("trailers", "trailers are not accepted")
        if _TRAILER_LINE.fullmatch(line) is None:
            raise FramingError("trailers", "malformed trailer")
        self._count(len(line))

    def _hold(self, line: bytes) -> None:
        """Keeps an unfinished line; refuses at once what can never become one."""
        if len(line) >= _MAX_LINE:
            raise FramingError("chunk", "a chunk or trailer line is too long")
        if b"\n" in line or b"\r" in line[:-1]:
            raise FramingError("chunk", "lines end with CR LF")
        self._held = line

    def _count(self, overhead: int) -> None:
        self._overhead += overhead
        if self._overhead > _MAX_OVERHEAD:
            raise FramingError("chunk", "too many bytes of chunk extensions or trailers")


def request_body(length: int) -> LengthBody | ChunkedBody:
    """Returns the reader for a request's declared length."""
    return ChunkedBody(trailers=False) if length == CHUNKED else LengthBody(length)


def response_body(length: int) -> Body:
    """Returns the reader for a response's declared length."""
    if length == CHUNKED:
        return ChunkedBody(trailers=True)
    return CloseBody() if length == UNTIL_CLOSE else LengthBody(length)
