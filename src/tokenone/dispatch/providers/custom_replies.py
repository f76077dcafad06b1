"""Reads what OpenAI-compatible services and Ollama say in their replies: model, usage, errors.

Law: OpenAI's spelling is read first; what a service spells in its own way completes it and never contradicts.
Ollama's own API counts in `prompt_eval_count` and `eval_count`, and streams one JSON object per line: lines come
out whole, byte for byte. A prompt that Ollama had in its cache is not counted by older versions, which is *not
reported*.
"""

from __future__ import annotations

from typing import Final

import msgspec

from tokenone.dispatch.providers import anthropic_replies, openai_replies
from tokenone.dispatch.providers.counts import Count, lenient
from tokenone.dispatch.providers.facts import Reading
from tokenone.dispatch.providers.openai_replies import OpenAIEvents
from tokenone.dispatch.text import event_text_bytes
from tokenone.sse import EVENT_LIMIT, data_of
from tokenone.types import Headers, Usage

NDJSON: Final = ("application/x-ndjson", "application/ndjson", "application/jsonl")
_LINE_TEXT: Final = (b'"content":', b'"response":', b'"thinking":', b'"arguments":')
# `x_groq` holds the usage of Groq's streams; the others are DeepSeek's and Mistral's words for cached input.
_OWN_WORDS: Final = (b'"x_groq"', b'"prompt_cache_hit_tokens"', b'"num_cached_tokens"')


class _OwnUsage(msgspec.Struct, gc=False):
    prompt_cache_hit_tokens: Count | None = None
    num_cached_tokens: Count | None = None


class _Groq(msgspec.Struct, gc=False):
    usage: msgspec.Raw = msgspec.Raw(b"null")


class _Own(msgspec.Struct, gc=False):
    usage: _OwnUsage | None = None
    x_groq: _Groq | None = None


class _Ollama(msgspec.Struct, gc=False):
    model: str | None = None
    prompt_eval_count: Count | None = None
    eval_count: Count | None = None
    done: bool | None = None
    error: msgspec.Raw = msgspec.Raw(b"null")


_own: Final = msgspec.json.Decoder(_Own)
_ollama: Final = msgspec.json.Decoder(_Ollama)


def is_messages(path: bytes) -> bool:
    """Says whether a path speaks Anthropic's protocol."""
    return path.endswith(b"/messages")


def is_ollama(path: bytes) -> bool:
    """Says whether a path is of Ollama's own API."""
    return path.startswith(b"/api/")


def read_reply(body: bytes, path: bytes, headers: Headers) -> Reading:
    """Reads model and usage of a whole JSON reply."""
    if is_ollama(path):
        found = lenient(_ollama, body)
        return Reading(None, None) if found is None else Reading(found.model, _counted(found))
    if is_messages(path):
        return anthropic_replies.read_reply(body, path, headers)
    reading = openai_replies.read_reply(body, path, headers)
    return reading._replace(usage=_completed(reading.usage, body))


def _counted(found: _Ollama) -> Usage | None:
    if found.prompt_eval_count is None and found.eval_count is None:
        return None
    return Usage(input=found.prompt_eval_count, output=found.eval_count)


def _completed(usage: Usage | None, text: bytes) -> Usage | None:
    """Returns the usage with what the service says in its own words."""
    if not any(word in text for word in _OWN_WORDS):
        return usage
    found = lenient(_own, text)
    if found is None:
        return usage
    if usage is None and found.x_groq is not None:
        usage = openai_replies.read_reply(b'{"usage":' + bytes(found.x_groq.usage) + b"}", b"", []).usage
    if usage is None or usage.cache_read is not None or found.usage is None:
        return usage
    own = found.usage
    cached = own.num_cached_tokens if own.prompt_cache_hit_tokens is None else own.prompt_cache_hit_tokens
    return usage if cached is None else msgspec.structs.replace(usage, cache_read=cached)


class CustomEvents(OpenAIEvents):
    """Reads one event stream in OpenAI's protocols, whatever the path lies below."""

    __slots__ = ()

    def __init__(self, path: bytes) -> None:
        super().__init__(path if path.startswith(b"/v1/") else b"/v1" + path)

    def read(self, event: bytes) -> bool:
        alone = super().read(event)
        if b'"usage"' in event and any(word in event for word in _OWN_WORDS):
            self.usage = _completed(self.usage, data_of(event))
        return alone


class LineMeter:
    """Meters one stream of JSON lines: decoded bytes in, whole lines out, the same however they were cut."""

    __slots__ = ("_limit", "_tail", "charged", "ended", "failed", "model", "text_bytes", "usage")
    in_events: Final = False

    def __init__(self, *, limit: int = EVENT_LIMIT) -> None:
        self._limit = limit
        self._tail = bytearray()
        self.usage: Usage | None = None
        self.model: str | None = None
        self.charged: int | None = None
        self.failed = self.ended = False
        self.text_bytes = 0

    def feed(self, data: bytes) -> bytes:
        """Returns the lines that `data` completes; a line beyond the limit comes out in pieces, unread."""
        self._tail += data
        end = self._tail.rfind(b"\n", len(self._tail) - len(data)) + 1
        if end == 0 and len(self._tail) <= self._limit:
            return b""
        out = bytes(self._tail[: end or len(self._tail)])
        del self._tail[: len(out)]
        self._read(out)
        return out

    def finish(self) -> bytes:
        """Ends the stream: reads a last line without its line feed and returns what is still held."""
        out = bytes(self._tail)
        self._tail.clear()
        self._read(out)
        return out

    def _read(self, lines: bytes) -> None:
        for line in lines.split(b"\n"):
            if b'"done":false' not in line or b'"error"' in line or self.model is None:
                self._decode(line)
            self.text_bytes += event_text_bytes(line, _LINE_TEXT)

    def _decode(self, line: bytes) -> None:
        found = lenient(_ollama, line)
        if found is None:
            return
        self.model = found.model or self.model
        self.usage = _counted(found) or self.usage
        self.ended |= bool(found.done)
        self.failed |= bytes(found.error) != b"null"
