"""Vertex: Gemini's dialect for Google's models, Anthropic's for Claude.

Law: the model's name decides how a request is written; a reply tells by its own shape whose it is. The project and
its location are put in where the path is placed. Source: cloud.google.com/vertex-ai/generative-ai/docs, "Generate
content", "Use Anthropic's Claude models" (`anthropic_version` in the body, the model in the path).
"""

from __future__ import annotations

from typing import Final

import msgspec

from tokenone.dispatch.providers.counts import lenient
from tokenone.dispatch.translate import anthropic, anthropic_replies, gemini, gemini_replies
from tokenone.dispatch.translate.anthropic_replies import AnthropicReading
from tokenone.dispatch.translate.form import ChatError, ChatReply, ChatRequest, Event
from tokenone.dispatch.translate.gemini_replies import GeminiReading
from tokenone.dispatch.translate.machine import Reading, SseReader
from tokenone.dispatch.translate.segment import segment
from tokenone.dispatch.translate.translation import Translation

_VERSION: Final = "vertex-2023-10-16"
_encode: Final = msgspec.json.Encoder().encode


class _Shape(msgspec.Struct, gc=False):
    """Anthropic's replies, events and refusals say their type; Google's have no such member."""

    type: str | None = None


_shape: Final = msgspec.json.Decoder(_Shape)


def _is_claude(model: str) -> bool:
    return "claude" in model


def _of_claude(data: bytes) -> bool:
    found = lenient(_shape, data)
    return found is not None and found.type is not None


def _path(model: str, stream: bool) -> bytes:
    if not _is_claude(model):
        return gemini.generate_path(b"/v1/publishers/google/models/", model, stream)
    verb = b":streamRawPredict" if stream else b":rawPredict"
    return b"/v1/publishers/anthropic/models/" + segment(model) + verb


def _request(request: ChatRequest, drop: bool) -> tuple[bytes, tuple[str, ...]]:
    if not _is_claude(request.model):
        return gemini.write_request(True, request, drop)
    body, left = anthropic.message_body(request, drop)
    del body["model"]
    return _encode({"anthropic_version": _VERSION, **body}), left


def _reply(body: bytes) -> ChatReply:
    return anthropic_replies.read_reply(body) if _of_claude(body) else gemini_replies.read_reply(body)


def _error(status: int, body: bytes) -> ChatError:
    reader = anthropic_replies.read_error if _of_claude(body) else gemini_replies.read_error
    return reader(status, body)


class _Either:
    """Reads a stream as its first event has it."""

    __slots__ = ("_reading",)

    def __init__(self) -> None:
        self._reading: Reading | None = None

    def take(self, data: bytes) -> list[Event]:
        """Returns what one event says."""
        if self._reading is None:
            self._reading = AnthropicReading() if _of_claude(data) else GeminiReading()
        return self._reading.take(data)

    def last(self) -> list[Event]:
        """Returns what the end of the bytes says."""
        return (self._reading or GeminiReading()).last()


VERTEX: Final = Translation(
    path=_path, request=_request, reply=_reply, stream=lambda: SseReader(_Either()), error=_error
)
