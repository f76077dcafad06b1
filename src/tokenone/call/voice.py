"""How a unified call is spoken to a provider of another dialect, and its answer told in the caller's.

Law: the meter reads the provider's own bytes, the caller gets its own dialect's. What had to be left out is named.
It knows no call and does no I/O.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tokenone.dispatch.translate.faults import classed
from tokenone.dispatch.translate.form import ChatError
from tokenone.dispatch.translate.fronts import StreamWriter
from tokenone.dispatch.translate.translation import StreamReader
from tokenone.errors import UpstreamBroken
from tokenone.types import ErrorClass, Headers, Usage

_JSON: Final = (b"content-type", b"application/json")
_EVENTS: Final = (b"content-type", b"text/event-stream; charset=utf-8")
_USEFUL: Final = frozenset((b"retry-after", b"retry-after-ms", b"x-should-retry", b"date"))


class Speaking:
    """One translated stream: the provider's decoded bytes in, the caller's events out."""

    __slots__ = ("_reader", "_writer")

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def feed(self, plain: bytes, usage: Usage | None) -> bytes:
        """Returns the events that `plain` completes; `usage` is what the meter read until now."""
        return self._writer.write(self._reader.feed(plain), usage)

    def finish(self, usage: Usage | None) -> bytes:
        """Ends the stream, as cut off where it has no end mark."""
        return self._writer.write(self._reader.finish(), usage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """One call's translation, made when its provider was known."""

    body: bytes
    path: bytes
    """The provider's path, query included."""
    dropped: tuple[str, ...]
    held: Callable[[bytes, Usage | None], bytes]
    """(reply, usage) → the reply in the caller's dialect; raises UpstreamBroken where it cannot be read."""
    error: Callable[[int, bytes], ChatError]
    tell_error: Callable[[ChatError], tuple[int, bytes]]
    """A refusal in the caller's dialect: status and body."""
    extra: Headers
    """What the provider demands beside credential and content type."""
    streamed: Callable[[], Speaking] | None = None

    @property
    def query(self) -> bytes:
        """The path's query with its question mark, if it has one."""
        return b"".join(self.path.partition(b"?")[1:])

    def headers(self) -> Headers:
        """Returns the request's headers: the caller's are another dialect's and stay behind."""
        return [_JSON, (b"accept-encoding", b"identity"), *self.extra]

    def refused(self, status: int, plain: bytes, found: ErrorClass) -> tuple[int, bytes]:
        """Returns a refusal in the caller's dialect; `found` is its class, as the provider's facts have it."""
        return self.tell_error(classed(self.error(status, plain), found))

    def speaking(self) -> Speaking:
        """Opens the translation of one streamed reply."""
        if self.streamed is None:
            raise UpstreamBroken("the provider streams what was not asked for as a stream")
        return self.streamed()

    def reply_headers(self, received: Headers, *, streamed: bool) -> Headers:
        """Returns what of the provider's headers a caller of this dialect can use."""
        kept = [field for field in received if field[0].lower() in _USEFUL]
        return [_EVENTS if streamed else _JSON, *kept]
