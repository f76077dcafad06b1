"""Reads what Anthropic's replies say about themselves: model, usage, errors; whole or as events.

Law: Anthropic's `input_tokens` exclude cache reads and writes, so the total is their sum. In a stream,
`message_start` reports the input and `message_delta` the cumulative rest: each member's last value holds.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import Final

import msgspec

from tokenone.dispatch.providers.counts import Count, lenient, total
from tokenone.dispatch.providers.facts import Reading
from tokenone.dispatch.text import event_text_bytes
from tokenone.sse import data_of
from tokenone.types import Headers, Usage


class _CacheCreation(msgspec.Struct, gc=False):
    ephemeral_5m_input_tokens: Count | None = None
    ephemeral_1h_input_tokens: Count | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    thinking_tokens: Count | None = None


class _Iteration(msgspec.Struct, gc=False):
    type: str | None = None


class _Usage(msgspec.Struct, gc=False):
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation: _CacheCreation | None = None
    output_tokens_details: _OutputDetails | None = None
    server_tool_use: dict[str, Count | None] | None = None
    iterations: list[_Iteration] | None = None
    service_tier: str | None = None
    speed: str | None = None
    inference_geo: str | None = None


class _Message(msgspec.Struct, gc=False):
    model: str | None = None
    usage: msgspec.Raw = msgspec.Raw(b"null")


class _Event(msgspec.Struct, gc=False):
    type: str | None = None
    message: _Message | None = None
    usage: msgspec.Raw = msgspec.Raw(b"null")


_usage: Final = msgspec.json.Decoder(_Usage)
_message: Final = msgspec.json.Decoder(_Message)
_event: Final = msgspec.json.Decoder(_Event)
_NO_CACHE_CREATION: Final = _CacheCreation()
_NO_OUTPUT_DETAILS: Final = _OutputDetails()
_TEXT: Final = (b'"text":', b'"thinking":', b'"partial_json":', b'"completion":')

# Sampling whose tokens the top-level counts leave out: another model's advice, and compaction.
_TOOL: Final = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_MOST_TOOLS: Final = 32
_APART: Final = {"advisor_message": "advisor_messages", "compaction": "compactions"}


def read_reply(body: bytes, _path: bytes, _headers: Headers) -> Reading:
    """Reads model and usage of a whole JSON reply; a body of another shape reports nothing."""
    message = lenient(_message, body)
    if message is None:
        return Reading(None, None)
    return Reading(message.model, _normalised(lenient(_usage, message.usage)))


def _normalised(found: _Usage | None) -> Usage | None:
    if found is None or (found.input_tokens is None and found.output_tokens is None):
        return None
    cached = found.cache_creation or _NO_CACHE_CREATION
    out = found.output_tokens_details or _NO_OUTPUT_DETAILS
    written = found.cache_creation_input_tokens
    if written is None:
        written = total(cached.ephemeral_5m_input_tokens, cached.ephemeral_1h_input_tokens)
    read = found.cache_read_input_tokens
    return Usage(
        input=None if found.input_tokens is None else found.input_tokens + (written or 0) + (read or 0),
        output=found.output_tokens,
        cache_read=read,
        cache_write=written,
        cache_write_1h=cached.ephemeral_1h_input_tokens,
        reasoning=out.thinking_tokens,
        server_tools=_tools(found),
        tier=found.service_tier,
        speed=found.speed,
        geo=found.inference_geo,
    )


def _tools(found: _Usage) -> dict[str, int] | None:
    """Merges the reported tool requests with the iterations that are billed apart."""
    if found.server_tool_use is None and found.iterations is None:
        return None
    reported = (found.server_tool_use or {}).items()
    counted = {name: count for name, count in reported if count is not None and _TOOL.fullmatch(name)}
    counted = dict(islice(counted.items(), _MOST_TOOLS))
    for iteration in found.iterations or ():
        if name := _APART.get(iteration.type or ""):
            counted[name] = counted.get(name, 0) + 1
    return counted or None


def _merged(earlier: _Usage | None, later: _Usage) -> _Usage:
    """Returns `later`, completed by what only `earlier` reported."""
    if earlier is None:
        return later
    for name in _Usage.__struct_fields__:
        if getattr(later, name) is None:
            setattr(later, name, getattr(earlier, name))
    return later


class AnthropicEvents:
    """Reads one event stream of messages or of the legacy completions (which report no usage)."""

    __slots__ = ("_raw", "charged", "ended", "failed", "model", "text_bytes", "usage")

    def __init__(self) -> None:
        self._raw: _Usage | None = None
        self.usage: Usage | None = None
        self.model: str | None = None
        self.failed = self.ended = False
        self.text_bytes = 0
        self.charged: int | None = None

    def read(self, event: bytes) -> bool:
        """Takes one event in; there is nothing to withhold in Anthropic's streams."""
        if b'"usage"' in event or b'"error"' in event or b'"message_stop"' in event:
            self._decode(event)
        self.text_bytes += event_text_bytes(event, _TEXT)
        return False

    def _decode(self, event: bytes) -> None:
        found = lenient(_event, data_of(event))
        if found is None:
            return
        self.failed |= found.type == "error"
        self.ended |= found.type == "message_stop"
        raw = found.usage
        if found.message is not None:
            self.model = found.message.model or self.model
            raw = found.message.usage
        reported = lenient(_usage, raw)
        if reported is not None:
            self._raw = _merged(self._raw, reported)
            self.usage = _normalised(self._raw)
