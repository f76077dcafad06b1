"""Cuts a stream of server-sent events into whole events, however the network cut the bytes.

Law: the pieces given back, joined with `rest()`, are the bytes that came in; an event ends with its blank
line (`\\n\\n`, `\\r\\n\\r\\n`, `\\r\\r` or a mixture, WHATWG HTML section 9.2.5). It does not parse JSON and
remembers at most `limit` bytes of an unfinished event.
"""

from __future__ import annotations

import re
from typing import Final

EVENT_LIMIT: Final = 16 * 1024 * 1024

# Atomic groups: without them "\r\n" alone would count as two line ends.
_BLANK_LINE: Final = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_LINE: Final = re.compile(rb"[^\r\n]*(?:\r\n|\n|\r|\Z)")


class EventSplitter:
    """Collects bytes and yields whole events, blank line included."""

    __slots__ = ("_limit", "_tail")

    def __init__(self, limit: int = EVENT_LIMIT) -> None:
        self._limit = limit
        self._tail = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Returns the events that `data` completes; an event beyond the limit comes out in pieces."""
        if not self._tail and _is_one(data):
            return [data]
        searched = max(0, len(self._tail) - 3)
        self._tail += data
        events, used = _cut(self._tail, searched)
        if used:
            del self._tail[:used]
        if len(self._tail) > self._limit:
            events.append(self.rest())
        return events

    def rest(self) -> bytes:
        """Gives up the unfinished event."""
        tail = bytes(self._tail)
        self._tail.clear()
        return tail


def _is_one(data: bytes) -> bool:
    """Says whether `data` is exactly one event, as most pieces are, with line ends of one kind."""
    if b"\r" not in data:
        return len(data) > 1 and data.find(b"\n\n") == len(data) - 2
    ends = data.count(b"\r\n")
    return ends == data.count(b"\r") == data.count(b"\n") and data.find(b"\r\n\r\n") == len(data) - 4 >= 0


def _cut(buffer: bytearray, searched: int) -> tuple[list[bytes], int]:
    """Returns the whole events of `buffer` and how many bytes they take."""
    events: list[bytes] = []
    used = 0
    if b"\r" not in buffer:
        while (at := buffer.find(b"\n\n", max(used, searched))) >= 0:
            events.append(bytes(buffer[used : at + 2]))
            used = at + 2
        return events, used
    while found := _BLANK_LINE.search(buffer, max(used, searched)):
        end = found.end()
        if end == len(buffer) and buffer[-1] == 0x0D:
            break  # the line feed of "\r\n" may still come
        events.append(bytes(buffer[used:end]))
        used = end
    return events, used


def data_of(event: bytes) -> bytes:
    """Returns the event's data: its `data` lines joined by line feeds, empty if there are none."""
    if event.startswith(b"data: ") and event.find(b"\n") == len(event) - 2:
        return event[6:-2]
    lines = event.removeprefix(b"\xef\xbb\xbf").splitlines()
    return b"\n".join(line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:"))


def without_event(event: bytes) -> bytes:
    """Returns what stays of a withheld event: comments and blank lines before it, byte for byte."""
    lines = _LINE.findall(event)
    while lines and not lines[-1].strip(b"\r\n"):
        lines.pop()
    return b"".join(line for line in lines if line.startswith(b":") or not line.strip(b"\r\n"))
