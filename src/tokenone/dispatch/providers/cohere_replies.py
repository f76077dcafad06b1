"""Reads what Cohere's replies say about themselves: usage, errors; whole, as events or as lines of JSON.

Law: money follows `billed_units`, so they are the usage; `tokens` (what the model saw, templates included, of
which `cached_tokens` are a part) is larger, costs nothing by itself, and is taken, marked as an estimate, only
where no billed units are told. What is billed in units of its own (searches, images) stands among the tools.
Replies never name the model. Sources: docs.cohere.com/reference/chat, /chat-v1, /rerank, /embed; the official
SDK's types of `usage` and `meta`, where every unit is a float.
"""

from __future__ import annotations

import math
from typing import Annotated, Final

import msgspec

from tokenone.dispatch.providers.counts import lenient
from tokenone.dispatch.providers.facts import Reading
from tokenone.dispatch.text import event_text_bytes
from tokenone.sse import EVENT_LIMIT, data_of
from tokenone.types import Headers, Usage

Units = Annotated[float, msgspec.Meta(ge=0, le=10**9)]


class _Billed(msgspec.Struct, gc=False):
    input_tokens: Units | None = None
    output_tokens: Units | None = None
    search_units: Units | None = None
    images: Units | None = None
    image_tokens: Units | None = None
    classifications: Units | None = None


class _Tokens(msgspec.Struct, gc=False):
    input_tokens: Units | None = None
    output_tokens: Units | None = None


class _Usage(msgspec.Struct, gc=False):
    """The second version's `usage`, and `meta` of the first and of embeddings and rankings."""

    billed_units: _Billed | None = None
    tokens: _Tokens | None = None
    cached_tokens: Units | None = None


class _Reply(msgspec.Struct, gc=False):
    usage: msgspec.Raw = msgspec.Raw(b"null")
    meta: msgspec.Raw = msgspec.Raw(b"null")


class _Delta(msgspec.Struct, gc=False):
    usage: msgspec.Raw = msgspec.Raw(b"null")
    error: msgspec.Raw = msgspec.Raw(b"null")
    finish_reason: str | None = None


class _Event(msgspec.Struct, gc=False):
    """An event of either version: the second has `type` and `delta`, the first `event_type` and `response`."""

    type: str | None = None
    delta: _Delta | None = None
    event_type: str | None = None
    is_finished: bool | None = None
    finish_reason: str | None = None
    response: _Reply | None = None
    message: msgspec.Raw = msgspec.Raw(b"null")


_usage: Final = msgspec.json.Decoder(_Usage)
_reply: Final = msgspec.json.Decoder(_Reply)
_event: Final = msgspec.json.Decoder(_Event)
_APART: Final = ("search_units", "images", "image_tokens", "classifications")
_SECOND_TEXT: Final = (b'"text":', b'"thinking":', b'"tool_plan":', b'"arguments":')
_FIRST_TEXT: Final = (b'"text":',)
_NULL: Final = b"null"


def read_reply(body: bytes, _path: bytes, _headers: Headers) -> Reading:
    """Reads the usage of a whole JSON reply; a body of another shape reports nothing."""
    reply = lenient(_reply, body)
    return Reading(None, None if reply is None else _usage_of(reply))


def _usage_of(reply: _Reply) -> Usage | None:
    found = lenient(_usage, reply.usage) or lenient(_usage, reply.meta)
    return None if found is None else _normalised(found)


def _normalised(found: _Usage) -> Usage | None:
    billed, seen = found.billed_units, found.tokens
    if billed is not None:
        apart = {name: count for name in _APART if (count := _whole(getattr(billed, name))) is not None}
        into, out = _whole(billed.input_tokens), _whole(billed.output_tokens)
        if (into, out) == (None, None) and not apart:
            return None
        return Usage(input=into, output=out, server_tools=apart or None)
    if seen is None or (seen.input_tokens is None and seen.output_tokens is None):
        return None
    return Usage(
        input=_whole(seen.input_tokens),
        output=_whole(seen.output_tokens),
        cache_read=_whole(found.cached_tokens),
        estimated=True,
    )


def _whole(units: float | None) -> int | None:
    """Units are told as numbers that may have a fraction; a begun one counts."""
    return None if units is None else math.ceil(units)


class CohereEvents:
    """Reads one stream of chat events of either version, or of the first version's text generation.

    `read` takes a server-sent event, `line` the JSON of one. Text is counted where it is new: the last event
    of the first version repeats it, citations quote it.
    """

    __slots__ = ("charged", "ended", "failed", "model", "text_bytes", "usage")

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.model: str | None = None
        self.failed = self.ended = False
        self.text_bytes = 0
        self.charged: int | None = None

    def read(self, event: bytes) -> bool:
        """Takes one event in; there is nothing to withhold in Cohere's streams."""
        if b'-delta"' in event or b'-start"' in event:
            if b'"citation-start"' not in event:
                self.text_bytes += event_text_bytes(event, _SECOND_TEXT)
        elif data := data_of(event):
            self.line(data)
        return False

    def line(self, text: bytes) -> None:
        """Takes the JSON of one event in; anything else says nothing."""
        found = lenient(_event, text)
        if found is None:
            return
        if found.delta is not None:
            self._end_of_second(found.type, found.delta)
        elif found.is_finished is not None or found.event_type is not None:
            self._first(found, text)
        self.failed |= found.type is None and found.event_type is None and bytes(found.message) != _NULL

    def _end_of_second(self, kind: str | None, delta: _Delta) -> None:
        self.usage = _usage_of(_Reply(usage=delta.usage)) or self.usage
        self.failed |= bytes(delta.error) != _NULL or _is_failure(delta.finish_reason)
        self.ended |= kind == "message-end"

    def _first(self, found: _Event, text: bytes) -> None:
        if found.is_finished:
            self.usage = (found.response and _usage_of(found.response)) or self.usage
            self.failed |= _is_failure(found.finish_reason)
            self.ended = True
        elif found.event_type in (None, "text-generation", "tool-calls-chunk"):
            self.text_bytes += event_text_bytes(text, _FIRST_TEXT)


def _is_failure(finish_reason: str | None) -> bool:
    """Says whether generation broke off by a fault: `ERROR`, `ERROR_TOXIC`, `ERROR_LIMIT`, `TIMEOUT`."""
    return finish_reason is not None and finish_reason.startswith(("ERROR", "TIMEOUT"))


class LineMeter:
    """Meters a stream of JSON lines (the first version's `application/stream+json`); sans I/O.

    What comes out is what went in, in whole lines, so that an error is known before its line goes out.
    """

    __slots__ = ("_held", "_limit", "_reader")
    in_events: Final = False

    def __init__(self, reader: CohereEvents, limit: int = EVENT_LIMIT) -> None:
        self._reader = reader
        self._limit = limit
        self._held = bytearray()

    def feed(self, data: bytes) -> bytes:
        """Returns the lines that `data` completes; a line beyond the limit comes out in pieces, unread."""
        end = data.rfind(b"\n") + 1
        if not end:
            self._held += data
            return self._given_up() if len(self._held) > self._limit else b""
        whole = bytes(self._held) + data[:end]
        self._held = bytearray(data[end:])
        for line in whole.split(b"\n"):
            if line:
                self._reader.line(line)
        return whole

    def finish(self) -> bytes:
        """Ends the stream: reads a line that lacks its end and returns what is still held."""
        rest = self._given_up()
        if rest:
            self._reader.line(rest)
        return rest

    def _given_up(self) -> bytes:
        rest = bytes(self._held)
        self._held.clear()
        return rest

    @property
    def usage(self) -> Usage | None:
        """The usage that the last line reported."""
        return self._reader.usage

    @property
    def model(self) -> str | None:
        """Replies do not name the model."""
        return self._reader.model

    @property
    def charged(self) -> int | None:
        """Replies do not tell a charge in money."""
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
