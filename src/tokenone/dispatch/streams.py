"""Meters one streamed reply while it passes: the same result however the bytes were cut.

Law: what comes out is what went in, byte for byte; only when told to withhold the usage chunk is exactly that
event left out (comments that stood before it stay). It comes out in whole events, so that a stream that breaks
ends between two and an error can still be told behind them. No I/O, no pricing.
"""

from __future__ import annotations

from typing import Final, Protocol

from tokenone.sse import EVENT_LIMIT, EventSplitter, without_event
from tokenone.types import Usage

EVENT_STREAM: Final = b"text/event-stream"


class EventReader(Protocol):
    """Reads one provider's events. `read` sees each whole event once, in order, and says whether it is a
    usage chunk that carries nothing else; it never raises on what a provider may send."""

    usage: Usage | None
    model: str | None
    failed: bool
    ended: bool
    text_bytes: int
    charged: int | None

    def read(self, event: bytes) -> bool: ...


class Meter(Protocol):
    """Meters one streamed reply of whatever framing, decoded: bytes in, bytes to forward out."""

    @property
    def usage(self) -> Usage | None: ...
    @property
    def model(self) -> str | None: ...
    @property
    def charged(self) -> int | None: ...
    @property
    def failed(self) -> bool: ...
    @property
    def ended(self) -> bool: ...
    @property
    def text_bytes(self) -> int: ...
    @property
    def in_events(self) -> bool:
        """Says whether the stream is server-sent events: to be inspected as such, errors told as one more."""
        ...

    def feed(self, data: bytes) -> bytes: ...
    def finish(self) -> bytes: ...


class StreamMeter:
    """A sans-I/O machine between upstream and caller: decoded bytes in, bytes to forward out."""

    __slots__ = ("_reader", "_splitter", "_withhold", "withheld")
    in_events: Final = True

    def __init__(
        self, reader: EventReader, *, withhold_usage: bool = False, limit: int = EVENT_LIMIT
    ) -> None:
        self._reader = reader
        self._splitter = EventSplitter(limit)
        self._withhold = withhold_usage
        self.withheld = 0
        """How many bytes the caller did not get."""

    def feed(self, data: bytes) -> bytes:
        """Returns what to forward now; an unfinished event waits for its end."""
        read, withhold = self._reader.read, self._withhold
        events = self._splitter.feed(data)
        return b"".join([self._left_out(event) if read(event) and withhold else event for event in events])

    def finish(self) -> bytes:
        """Ends the stream: reads an event that lacks its blank line and returns what is still held."""
        rest = self._splitter.rest()
        alone = bool(rest) and self._reader.read(rest)
        return self._left_out(rest) if alone and self._withhold else rest

    def _left_out(self, event: bytes) -> bytes:
        kept = without_event(event)
        self.withheld += len(event) - len(kept)
        return kept

    @property
    def usage(self) -> Usage | None:
        """The usage reported so far; providers' counts are cumulative, the last one holds."""
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
        """Says whether the provider's own end mark was seen."""
        return self._reader.ended

    @property
    def text_bytes(self) -> int:
        """Bytes of generated text so far, the ground of an estimate when usage never comes."""
        return self._reader.text_bytes
