"""Reads Converse's replies, event streams and refusals into the unified form.

Law: a stream ends with `metadata`; one that ends after `messageStop` is whole all the same. An exception in a
stream, or bytes that are no event stream, fail it. Source: docs.aws.amazon.com/bedrock, API reference "Converse",
"ConverseStream".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from tokenone.dispatch.eventstream import Message, Splitter
from tokenone.dispatch.providers.counts import lenient
from tokenone.dispatch.translate.anthropic_replies import JSON_TOOL
from tokenone.dispatch.translate.arguments import arguments_text
from tokenone.dispatch.translate.faults import clipped, fault_of
from tokenone.dispatch.translate.form import (
    BEDROCK_FORMAT,
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

_STOPS: Final[dict[str, Stop]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
}
_FAULTS: Final[dict[bytes, tuple[int, Fault]]] = {
    b"validationException": (400, "invalid"),
    b"throttlingException": (429, "rate"),
    b"serviceUnavailableException": (503, "overloaded"),
    b"modelTimeoutException": (408, "timeout"),
}
_GARBLED: Final = Failed(ChatError(502, "upstream", "the provider's stream cannot be read", "garbled"))


class _ToolUse(msgspec.Struct, gc=False, rename="camel"):
    tool_use_id: str = ""
    name: str = ""
    input: msgspec.Raw = msgspec.Raw(b"{}")


class _ReasoningText(msgspec.Struct, gc=False):
    text: str = ""
    signature: str | None = None


class _Reasoning(msgspec.Struct, gc=False, rename="camel"):
    reasoning_text: _ReasoningText | None = None
    redacted_content: str | None = None


class _Block(msgspec.Struct, gc=False, rename="camel"):
    text: str | None = None
    tool_use: _ToolUse | None = None
    reasoning_content: _Reasoning | None = None


class _Message(msgspec.Struct, gc=False):
    content: list[_Block]


class _Output(msgspec.Struct, gc=False):
    message: _Message


class _Reply(msgspec.Struct, gc=False, rename="camel"):
    output: _Output
    stop_reason: str = ""


class _Refusal(msgspec.Struct, gc=False):
    message: str | None = None


class _Input(msgspec.Struct, gc=False):
    input: str = ""


class _ReasoningDelta(msgspec.Struct, gc=False, rename="camel"):
    text: str = ""
    signature: str | None = None
    redacted_content: str | None = None


class _Delta(msgspec.Struct, gc=False, rename="camel"):
    text: str | None = None
    tool_use: _Input | None = None
    reasoning_content: _ReasoningDelta | None = None


class _Start(msgspec.Struct, gc=False, rename="camel"):
    tool_use: _ToolUse | None = None


class _Event(msgspec.Struct, gc=False, rename="camel"):
    content_block_index: int = 0
    start: _Start | None = None
    delta: _Delta | None = None
    stop_reason: str = ""


_reply: Final = msgspec.json.Decoder(_Reply)
_refusal: Final = msgspec.json.Decoder(_Refusal)
_event: Final = msgspec.json.Decoder(_Event)


# ── whole replies ──────────────────────────────────────────────────────────────────────────────────────
def read_reply(body: bytes) -> ChatReply:
    """Returns the reply, which names neither itself nor its model."""
    reply = lenient(_reply, body)
    if reply is None:
        raise UpstreamBroken("the provider's reply is not a message")
    parts = tuple([part for block in reply.output.message.content if (part := _part(block)) is not None])
    stop = _STOPS.get(reply.stop_reason, "stop")
    if stop == "tool_calls" and not any(type(part) is ToolCall for part in parts):
        stop = "stop"  # the one call was the answer itself
    return ChatReply("", "", (Choice(parts, stop),))


def _part(block: _Block) -> Text | Thought | ToolCall | None:
    call, reasoning = block.tool_use, block.reasoning_content
    if call is not None:
        arguments = arguments_text(call.input)
        return Text(arguments) if call.name == JSON_TOOL else ToolCall(call.tool_use_id, call.name, arguments)
    if reasoning is not None and reasoning.reasoning_text is not None:
        said = reasoning.reasoning_text
        return Thought(said.text, said.signature or None, format=BEDROCK_FORMAT)
    if reasoning is not None:
        return Thought(sealed=reasoning.redacted_content, format=BEDROCK_FORMAT)
    return Text(block.text) if block.text else None


# ── refusals ───────────────────────────────────────────────────────────────────────────────────────────
def read_error(status: int, body: bytes) -> ChatError:
    """Returns a refusal; its kind stands in a header, so that its class must come from the provider's facts."""
    refusal = lenient(_refusal, body)
    return ChatError(status, fault_of(status), clipped(None if refusal is None else refusal.message))


def _exception(message: Message) -> Failed:
    refusal = lenient(_refusal, message.payload)
    status, fault = _FAULTS.get(message.name, (500, "upstream"))
    name = message.name.decode("ascii", "replace")
    return Failed(ChatError(status, fault, clipped(None if refusal is None else refusal.message), name))


# ── streams ────────────────────────────────────────────────────────────────────────────────────────────
class BedrockReader:
    """A `StreamReader` over AWS' event stream."""

    __slots__ = ("_calls", "_done", "_silent", "_splitter", "_stopped", "_thoughts")

    def __init__(self) -> None:
        self._splitter = Splitter()
        self._calls: dict[int, int] = {}
        self._thoughts: dict[int, int] = {}
        self._silent: set[int] = set()
        """Calls whose arguments have not begun."""
        self._done = self._stopped = False

    def feed(self, data: bytes) -> list[Event]:
        """Returns the events that `data` completes."""
        if self._done:
            return []
        out: list[Event] = []
        messages, _ = self._splitter.feed(data)
        for message in messages:
            out += self.take(message)
            if out and isinstance(out[-1], (Ended, Failed)):
                self._done = True
                return out
        if self._splitter.broken:
            self._done = True
            out.append(_GARBLED)
        return out

    def finish(self) -> list[Event]:
        """Ends the stream."""
        if self._done:
            return []
        self._done = True
        return [Ended()] if self._stopped and not self._splitter.rest() else [CUT_OFF]

    def take(self, message: Message) -> list[Event]:
        """Returns what one message says."""
        if message.kind != b"event":
            return [_exception(message)]
        reader = _READERS.get(message.name)
        found = None if reader is None else lenient(_event, message.payload)
        return [] if reader is None or found is None else reader(self, found)

    def opened(self, _event: _Event) -> list[Event]:
        return [Opened("", "")]

    def block(self, event: _Event) -> list[Event]:
        """A block begins; only calls announce themselves."""
        call = None if event.start is None else event.start.tool_use
        if call is None or call.name == JSON_TOOL:
            return []
        at = self._calls[event.content_block_index] = len(self._calls)
        self._silent.add(event.content_block_index)
        return [CallDelta(at, call.tool_use_id, call.name)]

    def delta(self, event: _Event) -> list[Event]:
        """A block goes on."""
        at, delta = event.content_block_index, event.delta or _Delta()
        if delta.text:
            return [TextDelta(delta.text)]
        if delta.tool_use is not None and delta.tool_use.input:
            return [self._called(at, delta.tool_use.input)]
        reasoning = delta.reasoning_content
        if reasoning is None:
            return []
        index = self._thoughts.setdefault(at, len(self._thoughts))
        said = (reasoning.text, reasoning.signature or None, reasoning.redacted_content)
        return [ThoughtDelta(index, *said, format=BEDROCK_FORMAT)] if any(said) else []

    def _called(self, at: int, arguments: str) -> Event:
        self._silent.discard(at)
        known = self._calls.get(at)
        return TextDelta(arguments) if known is None else CallDelta(known, arguments=arguments)

    def closed(self, event: _Event) -> list[Event]:
        """A block ends; a call without a word of arguments has none, which is an empty object."""
        if event.content_block_index not in self._silent:
            return []
        return [self._called(event.content_block_index, "{}")]

    def stopped(self, event: _Event) -> list[Event]:
        self._stopped = True
        stop = _STOPS.get(event.stop_reason, "stop")
        return [Stopped("stop" if stop == "tool_calls" and not self._calls else stop)]

    def ended(self, _event: _Event) -> list[Event]:
        return [Ended()]


_READERS: Final[dict[bytes, Callable[[BedrockReader, Any], list[Event]]]] = {
    b"messageStart": BedrockReader.opened,
    b"contentBlockStart": BedrockReader.block,
    b"contentBlockDelta": BedrockReader.delta,
    b"contentBlockStop": BedrockReader.closed,
    b"messageStop": BedrockReader.stopped,
    b"metadata": BedrockReader.ended,
}
