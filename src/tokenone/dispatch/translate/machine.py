"""Cuts a streamed reply into events and lets one provider's reading of them run until the end.

Law: the same events out however the bytes were cut; after `Failed` or `Ended` nothing comes any more; a stream
without its end mark ends with `CUT_OFF`.
"""

from __future__ import annotations

from typing import Protocol

from tokenone.dispatch.translate.form import Ended, Event, Failed
from tokenone.sse import EventSplitter, data_of


class Reading(Protocol):
    """Reads one provider's events, each once, in order; never raises on what a provider may send."""

    def take(self, data: bytes) -> list[Event]:
        """Returns what one event's data says."""
        ...

    def last(self) -> list[Event]:
        """Returns what the end of the bytes says: `CUT_OFF` unless the provider marks its end so."""
        ...


class SseReader:
    """A `StreamReader` over server-sent events."""

    __slots__ = ("_done", "_reading", "_splitter")

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._splitter = EventSplitter()
        self._done = False

    def feed(self, data: bytes) -> list[Event]:
        """Returns the events that `data` completes."""
        out: list[Event] = []
        for event in self._splitter.feed(data):
            out += self._taken(event)
        return out

    def finish(self) -> list[Event]:
        """Ends the stream; reads an event that lacks its blank line."""
        out = self._taken(self._splitter.rest())
        if not self._done:
            self._done = True
            out += self._reading.last()
        return out

    def _taken(self, event: bytes) -> list[Event]:
        if self._done:
            return []
        data = data_of(event)
        if not data:
            return []
        out = self._reading.take(data)
        for at, one in enumerate(out):
            if type(one) is Ended or type(one) is Failed:
                self._done = True
                return out[: at + 1]
        return out
