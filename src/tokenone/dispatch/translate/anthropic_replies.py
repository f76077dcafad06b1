"""Reads Anthropic's replies, streams and refusals into the unified form.

Law: blocks that the form has no place for (server tools nobody asked for) are passed over; nothing raises but a
reply that is no message. Sources: platform.claude.com/docs, "Messages", "Streaming Messages", "Errors".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec

from tokenone.dispatch.providers.counts import lenient
from tokenone.dispatch.translate.arguments import arguments_text
from tokenone.dispatch.translate.faults import clipped, fault_of
from tokenone.dispatch.translate.form import (
    ANTHROPIC_FORMAT,
    CUT_OFF,
    CallDelta,
    ChatError,
    ChatReply,
    Choice,
    Ended,
    Event,
    Failed,
    Fault,
    Opened,
    Stop,
    Stopped,
    Text,
    TextDelta,
    Thought,
    ThoughtDelta,
    ToolCall,
)
from tokenone.errors import UpstreamBroken

JSON_TOOL: Final = "tokenone_json_reply"
"""The tool an older model must call when JSON was asked for: its arguments are the answer."""

_STOPS: Final[dict[str, Stop]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_FAULTS: Final[dict[str, tuple[int, Fault]]] = {
    "invalid_request_error": (400, "invalid"),
    "authentication_error": (401, "key"),
    "billing_error": (402, "billing"),
    "permission_error": (403, "denied"),
    "not_found_error": (404, "missing"),
    "request_too_large": (413, "too_large"),
    "rate_limit_error": (429, "rate"),
    "timeout_error": (504, "timeout"),
    "overloaded_error": (529, "overloaded"),
}


class _Block(msgspec.Struct, gc=False):
    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str | None = None
    data: str | None = None
    id: str = ""
    name: str = ""
    input: msgspec.Raw = msgspec.Raw(b"{}")


class _Message(msgspec.Struct, gc=False):
    content: list[_Block]
    id: str = ""
    model: str = ""
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _Fault(msgspec.Struct, gc=False):
    type: str | None = None
    message: str | None = None


class _Refusal(msgspec.Struct, gc=False):
    error: _Fault | None = None


class _Delta(msgspec.Struct, gc=False):
    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str | None = None
    partial_json: str = ""
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _Start(msgspec.Struct, gc=False):
    id: str = ""
    model: str = ""


class _Event(msgspec.Struct, gc=False):
    type: str = ""
    index: int = 0
    message: _Start | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    error: _Fault | None = None


_message: Final = msgspec.json.Decoder(_Message)
_refusal: Final = msgspec.json.Decoder(_Refusal)
_event: Final = msgspec.json.Decoder(_Event)
_NOTHING: Final = _Fault()


# ── whole replies ──────────────────────────────────────────────────────────────────────────────────────
def read_reply(body: bytes) -> ChatReply:
    """Returns the reply; raises UpstreamBroken for what is no message."""
    message = lenient(_message, body)
    if message is None:
        raise UpstreamBroken("the provider's reply is not a message")
    parts = tuple([part for block in message.content if (part := _part(block)) is not None])
    stop = _STOPS.get(message.stop_reason or "", "stop")
    if stop == "tool_calls" and not any(type(part) is ToolCall for part in parts):
        stop = "stop"  # the one call was the answer itself
    return ChatReply(message.id, message.model, (Choice(parts, stop, message.stop_sequence),))


def _part(block: _Block) -> Text | Thought | ToolCall | None:
    if block.type == "text":
        return Text(block.text) if block.text else None
    if block.type == "tool_use" and block.name == JSON_TOOL:
        return Text(arguments_text(block.input))
    if block.type == "tool_use":
        return ToolCall(block.id, block.name, arguments_text(block.input))
    if block.type == "thinking":
        return Thought(block.thinking, block.signature or None, format=ANTHROPIC_FORMAT)
    if block.type == "redacted_thinking":
        return Thought(sealed=block.data, format=ANTHROPIC_FORMAT)
    return None


# ── refusals ───────────────────────────────────────────────────────────────────────────────────────────
def read_error(status: int, body: bytes) -> ChatError:
    """Returns a refusal; one without a readable body is told by its status."""
    refusal = lenient(_refusal, body)
    found = _NOTHING if refusal is None or refusal.error is None else refusal.error
    _, fault = _FAULTS.get(found.type or "", (status, fault_of(status)))
    return ChatError(status, fault, clipped(found.message), found.type)


def _streamed_error(found: _Fault | None) -> Failed:
    """Returns an error inside a stream, which has no status of its own."""
    found = found or _NOTHING
    kind = found.type or "api_error"
    status, fault = _FAULTS.get(kind, (500, "upstream"))
    return Failed(ChatError(status, fault, clipped(found.message), kind))


# ── streams ────────────────────────────────────────────────────────────────────────────────────────────
_Place: TypeAlias = tuple[str, int]


class AnthropicReading:
    """Reads one stream of messages; remembers which block is which thought, call or text."""

    __slots__ = ("_calls", "_places", "_silent", "_thoughts")

    def __init__(self) -> None:
        self._places: dict[int, _Place] = {}
        self._silent: set[int] = set()
        """Calls whose arguments have not begun."""
        self._calls = self._thoughts = 0

    def take(self, data: bytes) -> list[Event]:
        """Returns what one event says."""
        found = lenient(_event, data)
        reader = None if found is None else _READERS.get(found.type)
        return [] if reader is None else reader(self, found)

    def last(self) -> list[Event]:
        """The end has a mark of its own, which did not come."""
        return [CUT_OFF]

    def opened(self, event: _Event) -> list[Event]:
        start = event.message or _Start()
        return [Opened(start.id, start.model)]

    def block(self, event: _Event) -> list[Event]:
        """A block begins."""
        block = event.content_block or _Block()
        if block.type == "tool_use" and block.name != JSON_TOOL:
            place = self._places[event.index] = ("call", self._calls)
            self._calls += 1
            self._silent.add(event.index)
            return [CallDelta(place[1], block.id, block.name)]
        if block.type in ("thinking", "redacted_thinking"):
            at = self._thoughts
            self._thoughts += 1
            self._places[event.index] = ("thought", at)
            if block.type == "redacted_thinking":
                return [ThoughtDelta(at, sealed=block.data, format=ANTHROPIC_FORMAT)]
            return [ThoughtDelta(at, block.thinking, format=ANTHROPIC_FORMAT)] if block.thinking else []
        if block.type in ("text", "tool_use"):
            self._places[event.index] = ("text", 0)
        return [TextDelta(block.text)] if block.type == "text" and block.text else []

    def delta(self, event: _Event) -> list[Event]:
        """A block goes on."""
        delta, place = event.delta, self._places.get(event.index)
        if delta is None or place is None:
            return []
        kind, at = place
        if kind == "text":
            text = delta.text or delta.partial_json
            return [TextDelta(text)] if text else []
        if kind == "thought":
            said = delta.thinking or delta.signature
            said_so = ThoughtDelta(at, delta.thinking, delta.signature, format=ANTHROPIC_FORMAT)
            return [said_so] if said else []
        if not delta.partial_json:
            return []
        self._silent.discard(event.index)
        return [CallDelta(at, arguments=delta.partial_json)]

    def closed(self, event: _Event) -> list[Event]:
        """A block ends; a call without a word of arguments has none, which is an empty object."""
        place = self._places.get(event.index)
        if place is None or event.index not in self._silent:
            return []
        self._silent.discard(event.index)
        return [CallDelta(place[1], arguments="{}")]

    def stopped(self, event: _Event) -> list[Event]:
        if event.delta is None or event.delta.stop_reason is None:
            return []
        stop = _STOPS.get(event.delta.stop_reason, "stop")
        if stop == "tool_calls" and not self._calls:
            stop = "stop"
        return [Stopped(stop, stopped_by=event.delta.stop_sequence)]

    def ended(self, _event: _Event) -> list[Event]:
        return [Ended()]

    def failed(self, event: _Event) -> list[Event]:
        return [_streamed_error(event.error)]


_READERS: Final[dict[str, Callable[[AnthropicReading, Any], list[Event]]]] = {
    "message_start": AnthropicReading.opened,
    "content_block_start": AnthropicReading.block,
    "content_block_delta": AnthropicReading.delta,
    "content_block_stop": AnthropicReading.closed,
    "message_delta": AnthropicReading.stopped,
    "message_stop": AnthropicReading.ended,
    "error": AnthropicReading.failed,
}
