"""A unified call to a provider that speaks another dialect: translated on its way out, its answer on the way back.

Law: what is translated is what is inspected, committed to and sent; the meter reads the provider's own bytes, the
caller gets OpenAI's. What the provider cannot do is refused by name, or left out where the caller allows it, and
then named in the answer's headers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tokenone.dispatch.translate.form import ChatRequest, Stamp
from tokenone.dispatch.translate.front_chat_replies import ChunkWriter, write_error, write_reply
from tokenone.dispatch.translate.translation import StreamReader, Translation
from tokenone.types import Headers, Usage

_JSON: Final = (b"content-type", b"application/json")
_EVENTS: Final = (b"content-type", b"text/event-stream; charset=utf-8")


@dataclass(frozen=True, slots=True)
class Voice:
    """How one call is spoken: its translation, what the caller asked, and what had to be left out."""

    translation: Translation
    asked: ChatRequest
    stamp: Stamp
    query: bytes
    dropped: tuple[str, ...]

    def headers(self) -> Headers:
        """Returns the request's headers: the caller's are another dialect's and stay behind."""
        return [_JSON, (b"accept-encoding", b"identity"), *self.translation.headers]

    def held(self, plain: bytes, usage: Usage | None) -> bytes:
        """Returns a whole reply in the caller's dialect; raises UpstreamBroken where it cannot be read."""
        return write_reply(self.translation.reply(plain), usage, self.stamp)

    def refused(self, status: int, plain: bytes) -> tuple[int, bytes]:
        """Returns a refusal in the caller's dialect."""
        return write_error(self.translation.error(status, plain))

    def reply_headers(self, received: Headers, *, streamed: bool) -> Headers:
        """Returns what of the provider's headers a caller of this dialect can use."""
        kept = [field for field in received if field[0].lower() in _USEFUL]
        return [_EVENTS if streamed else _JSON, *kept]

    def speaking(self) -> Speaking:
        """Opens the translation of one streamed reply."""
        return Speaking(
            self.translation.stream(),
            ChunkWriter(self.stamp, asked_usage=self.asked.asked_usage),
        )


_USEFUL: Final = frozenset((b"retry-after", b"retry-after-ms", b"x-should-retry", b"date"))


class Speaking:
    """One stream: the provider's decoded bytes in, the caller's events out."""

    __slots__ = ("_reader", "_writer")

    def __init__(self, reader: StreamReader, writer: ChunkWriter) -> None:
        self._reader = reader
        self._writer = writer

    def feed(self, plain: bytes, usage: Usage | None) -> bytes:
        """Returns the events that `plain` completes; `usage` is what the meter read until now."""
        return self._writer.write(self._reader.feed(plain), usage)

    def finish(self, usage: Usage | None) -> bytes:
        """Ends the stream, as cut off where it has no end mark."""
        return self._writer.write(self._reader.finish(), usage)
