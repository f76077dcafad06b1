"""Cuts a stream into server-sent events and finds the piece of text that an event adds, without parsing it.

Law: an unescaped `"name":"` can only be a key with a string value, so that one expression finds the piece in
valid JSON. What an event adds belongs to a channel (choice, block, tool call): the key's name and all
`index` numbers of the event. Knows OpenAI's chat, completions and responses, and Anthropic's messages.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NamedTuple, TypeAlias

_STRING: Final = rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
_NAMES: Final = ("content", "text", "delta", "arguments", "partial_json", "thinking", "reasoning_content",
                 "reasoning", "refusal")  # fmt: skip
_PIECE: Final = re.compile(rb'"(' + "|".join(_NAMES).encode() + rb')"\s*+:\s*+' + _STRING, re.DOTALL)
_KEYS: Final = re.compile(rb'"(?:type|' + "|".join(_NAMES).encode() + rb')"\s*+:')
_INDEX: Final = re.compile(rb'index"\s*+:\s*+(\d+)')
_TYPE: Final = re.compile(rb'"type"\s*+:\s*+"([a-z_.]+)"')
_DELTA_TYPES: Final = (b".delta", b"content_block_delta", b"text_delta")
_WHOLE_TYPES: Final = (b"response.", b"message_", b"content_block_", b"message", b"ping", b"error")
MAX_EVENT: Final = 1 << 20

Channel: TypeAlias = tuple[object, ...]


class Piece(NamedTuple):
    """Text that an event adds to a channel: its bytes lie in event[start:end]."""

    channel: Channel
    start: int
    end: int


class PieceFinder:
    """Finds the pieces of each event of one stream; remembers what stood around the last event's piece,
    because most events differ from the one before in their piece alone."""

    __slots__ = ("_after", "_before", "_channel", "_indexes")

    def __init__(self) -> None:
        self._before = self._after = b"\x00"
        self._channel: Channel = ()
        self._indexes: list[bytes] = []

    def pieces(self, event: bytes) -> list[Piece] | None:
        """Returns the pieces of text that `event` adds; None if it is no event of deltas, but whole JSON."""
        if event.startswith(self._before):
            start = len(self._before)
            end = event.find(b'"', start)
            if end >= 0 and event.find(b"\\", start, end) < 0 and self._same_after(event[end:]):
                return [Piece(self._channel, start, end)]
        found = find_pieces(event)
        if found is not None and len(found) == 1:
            self._channel, start, end = found[0]
            self._before, self._after = event[:start], event[end:]
            self._indexes = _INDEX.findall(self._after)
        return found

    def _same_after(self, after: bytes) -> bool:
        """Says whether what follows a piece leaves channel and number of pieces as they were."""
        if after == self._after:
            return True
        if _KEYS.search(after) is not None:
            return False
        return not (self._indexes or b"index" in after) or _INDEX.findall(after) == self._indexes


def find_pieces(event: bytes) -> list[Piece] | None:
    """The same without a memory."""
    kind = _TYPE.search(event)
    if kind is not None and not kind[1].endswith(_DELTA_TYPES) and kind[1].startswith(_WHOLE_TYPES):
        return None
    found = [(match[1], match.start(2), match.end(2)) for match in _PIECE.finditer(event)]
    if not found:
        return None
    if len(found) == 1 and event.count(b'"delta"') < 2:
        name, start, end = found[0]
        return [Piece((name, *_INDEX.findall(event)), start, end)]
    channels = _channels(event, [name for name, _, _ in found])
    return [Piece(channel, start, end) for channel, (_, start, end) in zip(channels, found, strict=True)]


def _channels(event: bytes, names: list[bytes]) -> list[Channel]:
    """Tells several pieces of one event apart by the `index` values around each."""
    try:
        around = list(_walk(json.loads(event[event.find(b"{") :]), ()))
    except (ValueError, RecursionError):
        around = []
    if [name for name, _ in around] != [name.decode() for name in names]:
        return [(name, number) for number, name in enumerate(names)]
    return [(name.encode(), *indexes) for name, indexes in around]


def _walk(value: Any, indexes: tuple[bytes, ...]) -> list[tuple[str, tuple[bytes, ...]]]:
    if isinstance(value, list):
        return [found for item in value for found in _walk(item, indexes)]
    if not isinstance(value, dict):
        return []
    own = tuple(
        str(number).encode() for key, number in value.items() if key.endswith("index") and type(number) is int
    )
    found: list[tuple[str, tuple[bytes, ...]]] = []
    for key, item in value.items():
        if isinstance(item, str):
            found += [(key, indexes + own)] if key in _NAMES else []
            continue
        found += _walk(item, indexes + own)
    return found
