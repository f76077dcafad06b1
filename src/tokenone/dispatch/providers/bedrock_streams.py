"""Meters Bedrock's event streams: ConverseStream's events, and the models' own inside InvokeModel's chunks.

Law: the last word on usage is Bedrock's (`metadata`, or the metrics in the last chunk); a stream that ends
before has what the model's own events reported. A damaged or unknown event reports nothing and raises nothing.
Source: "ConverseStream" and "InvokeModelWithResponseStream" (Bedrock API Reference, Runtime).
"""

from __future__ import annotations

from typing import Final

import msgspec

from tokenone.dispatch.eventstream import Message
from tokenone.dispatch.providers.anthropic_replies import AnthropicEvents
from tokenone.dispatch.providers.bedrock_replies import (
    Metrics,
    completed,
    from_metrics,
    native_usage,
    read_converse,
    served,
)
from tokenone.dispatch.providers.counts import lenient
from tokenone.dispatch.text import event_text_bytes
from tokenone.types import Usage

_CONVERSE_TEXT: Final = (b'"text":', b'"input":')
# Anthropic, Amazon, Meta, Mistral, DeepSeek, Cohere, Titan and OpenAI, each by its own names.
_NATIVE_TEXT: Final = (
    b'"text":',
    b'"thinking":',
    b'"partial_json":',
    b'"completion":',
    b'"generation":',
    b'"outputText":',
    b'"content":',
    b'"reasoning_content":',
    b'"arguments":',
    b'"input":',
)
_METRICS: Final = b'"amazon-bedrock-invocationMetrics"'


class ConverseEvents:
    """Reads one stream of ConverseStream."""

    __slots__ = ("charged", "ended", "failed", "model", "text_bytes", "usage")

    def __init__(self, path: bytes) -> None:
        self.usage: Usage | None = None
        self.model = served(path)
        self.failed = self.ended = False
        self.text_bytes = 0
        self.charged: int | None = None

    def read(self, message: Message) -> None:
        """Takes one event in."""
        if message.name == b"contentBlockDelta":
            self.text_bytes += event_text_bytes(message.payload, _CONVERSE_TEXT)
        elif message.name == b"metadata":
            self.ended = True
            found = read_converse(message.payload, self.model)
            self.model, self.usage = found.model, found.usage or self.usage


class _Chunk(msgspec.Struct, gc=False):
    event: bytes = msgspec.field(name="bytes")


class _Last(msgspec.Struct, gc=False):
    metrics: Metrics | None = msgspec.field(default=None, name="amazon-bedrock-invocationMetrics")


_chunk: Final = msgspec.json.Decoder(_Chunk)
_last: Final = msgspec.json.Decoder(_Last)


class InvokeEvents:
    """Reads one stream of InvokeModelWithResponseStream."""

    __slots__ = ("_anthropic", "charged", "ended", "failed", "model", "text_bytes", "usage")

    def __init__(self, path: bytes) -> None:
        self._anthropic = AnthropicEvents()
        self.usage: Usage | None = None
        self.model = served(path)
        self.failed = self.ended = False
        self.text_bytes = 0
        self.charged: int | None = None

    def read(self, message: Message) -> None:
        """Takes one event in."""
        chunk = lenient(_chunk, message.payload) if message.name == b"chunk" else None
        if chunk is None:
            return
        event = chunk.event
        self.text_bytes += event_text_bytes(event, _NATIVE_TEXT)
        if b'"usage"' in event or b'"error"' in event:
            self._read_native(event)
        if _METRICS in event:
            self._read_metrics(event)

    def _read_native(self, event: bytes) -> None:
        """Anthropic's events are its server-sent ones without the framing; line breaks in JSON are only space."""
        self._anthropic.read(b"data: " + event.replace(b"\n", b" ").replace(b"\r", b" ") + b"\n\n")
        self.failed |= self._anthropic.failed
        self.usage = self._anthropic.usage or native_usage(event) or self.usage

    def _read_metrics(self, event: bytes) -> None:
        last = lenient(_last, event)
        if last is None or last.metrics is None:
            return
        self.ended = True
        self.usage = completed(from_metrics(last.metrics), self.usage)
