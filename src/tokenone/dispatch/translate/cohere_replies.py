"""Reads Cohere's replies, streams and refusals into the unified form.

Law: the plan that Cohere tells before calling tools is a thought, so that it survives a round trip; citations
have no place in the form and are passed over. Sources: docs.cohere.com/reference/chat, "Stream".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from tokenone.dispatch.providers.counts import lenient
from tokenone.dispatch.translate.faults import clipped, fault_of
from tokenone.dispatch.translate.form import (
    COHERE_FORMAT,
    CUT_OFF,
    PLAN_FORMAT,
    CallDelta,
    ChatError,
    ChatReply,
    Choice,
    Ended,
    Event,
    Failed,
    Logprob,
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
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR_TOXIC": "content_filter",
}
_FAILURES: Final = frozenset(("ERROR", "TIMEOUT", "ERROR_LIMIT"))


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str = ""


class _Call(msgspec.Struct, gc=False):
    id: str | None = None
    function: _Function | None = None


class _Block(msgspec.Struct, gc=False):
    type: str = ""
    text: str = ""
    thinking: str = ""


class _Logprob(msgspec.Struct, gc=False):
    text: str = ""
    logprobs: list[float] = []


class _Message(msgspec.Struct, gc=False):
    content: list[_Block] | None = None
    tool_plan: str = ""
    tool_calls: list[_Call] | None = None


class _Reply(msgspec.Struct, gc=False):
    message: _Message
    id: str = ""
    finish_reason: str = ""
    logprobs: list[_Logprob] | None = None


class _Refusal(msgspec.Struct, gc=False):
    message: str | None = None


class _Said(msgspec.Struct, gc=False):
    """A message of an event; `content` is one block here, a list where the stream begins."""

    content: _Block | list[msgspec.Raw] | None = None
    tool_plan: str = ""
    tool_calls: _Call | list[msgspec.Raw] | None = None


class _Delta(msgspec.Struct, gc=False):
    message: _Said | None = None
    finish_reason: str = ""
    error: str | None = None


class _Event(msgspec.Struct, gc=False):
    type: str = ""
    id: str = ""
    index: int = 0
    delta: _Delta | None = None
    logprobs: _Logprob | None = None


_reply: Final = msgspec.json.Decoder(_Reply)
_refusal: Final = msgspec.json.Decoder(_Refusal)
_event: Final = msgspec.json.Decoder(_Event)
_NOTHING: Final = _Said()


# ── whole replies ──────────────────────────────────────────────────────────────────────────────────────
def read_reply(body: bytes) -> ChatReply:
    """Returns the reply, which does not name its model; raises UpstreamBroken for one that failed."""
    reply = lenient(_reply, body)
    if reply is None:
        raise UpstreamBroken("the provider's reply is not a message")
    if reply.finish_reason in _FAILURES:
        raise UpstreamBroken("the provider failed in the middle of its answer")
    message = reply.message
    parts: list[Text | Thought | ToolCall] = []
    if message.tool_plan:
        parts.append(Thought(message.tool_plan, format=PLAN_FORMAT))
    for block in message.content or ():
        if block.thinking:
            parts.append(Thought(block.thinking, format=COHERE_FORMAT))
        elif block.text:
            parts.append(Text(block.text))
    for call in message.tool_calls or ():
        function = call.function or _Function()
        parts.append(ToolCall(call.id or "", function.name or "", function.arguments or "{}"))
    stop = _STOPS.get(reply.finish_reason, "stop")
    logprobs = None if reply.logprobs is None else tuple([_logprob(one) for one in reply.logprobs])
    return ChatReply(reply.id, "", (Choice(tuple(parts), stop, logprobs=logprobs),))


def _logprob(one: _Logprob) -> Logprob:
    """Returns the probability of a piece of text, which is the product of its tokens'."""
    return Logprob(one.text, sum(one.logprobs))


def read_error(status: int, body: bytes) -> ChatError:
    """Returns a refusal."""
    refusal = lenient(_refusal, body)
    return ChatError(status, fault_of(status), clipped(None if refusal is None else refusal.message))


# ── streams ────────────────────────────────────────────────────────────────────────────────────────────
class CohereReading:
    """Reads one stream of chat events."""

    __slots__ = ("_calls", "_planned", "_silent", "_thoughts")

    def __init__(self) -> None:
        self._calls: dict[int, int] = {}
        self._thoughts: dict[int, int] = {}
        self._planned = -1
        """Which thought the plan is, if there is one."""
        self._silent: set[int] = set()

    def take(self, data: bytes) -> list[Event]:
        """Returns what one event says."""
        found = lenient(_event, data)
        reader = None if found is None else _READERS.get(found.type)
        return [] if reader is None else reader(self, found)

    def last(self) -> list[Event]:
        """The end has a mark of its own, which did not come."""
        return [CUT_OFF]

    def opened(self, event: _Event) -> list[Event]:
        return [Opened(event.id, "")]

    def content(self, event: _Event) -> list[Event]:
        """A block begins or goes on; its index tells which."""
        block = _said(event).content
        if not isinstance(block, _Block):
            return []
        if block.thinking:
            at = self._thoughts.setdefault(event.index, self._thought_count())
            return [ThoughtDelta(at, block.thinking, format=COHERE_FORMAT)]
        logprobs = None if event.logprobs is None else (_logprob(event.logprobs),)
        return [TextDelta(block.text, logprobs=logprobs)] if block.text or logprobs else []

    def plan(self, event: _Event) -> list[Event]:
        text = _said(event).tool_plan
        if not text:
            return []
        if self._planned < 0:
            self._planned = self._thought_count()
        return [ThoughtDelta(self._planned, text, format=PLAN_FORMAT)]

    def _thought_count(self) -> int:
        return len(self._thoughts) + (self._planned >= 0)

    def call(self, event: _Event) -> list[Event]:
        """A call begins or goes on."""
        call = _said(event).tool_calls
        if not isinstance(call, _Call):
            return []
        function = call.function or _Function()
        if event.type == "tool-call-start":
            at = self._calls[event.index] = len(self._calls)
            if not function.arguments:
                self._silent.add(event.index)
            return [CallDelta(at, call.id, function.name, function.arguments)]
        known = self._calls.get(event.index)
        if known is None or not function.arguments:
            return []
        self._silent.discard(event.index)
        return [CallDelta(known, arguments=function.arguments)]

    def called(self, event: _Event) -> list[Event]:
        """A call ends; one without a word of arguments has none, which is an empty object."""
        if event.index not in self._silent:
            return []
        self._silent.discard(event.index)
        return [CallDelta(self._calls[event.index], arguments="{}")]

    def ended(self, event: _Event) -> list[Event]:
        delta = event.delta or _Delta()
        if delta.finish_reason in _FAILURES:
            return [Failed(ChatError(500, "upstream", clipped(delta.error), delta.finish_reason))]
        return [Stopped(_STOPS.get(delta.finish_reason, "stop")), Ended()]


def _said(event: _Event) -> _Said:
    return _NOTHING if event.delta is None or event.delta.message is None else event.delta.message


_READERS: Final[dict[str, Callable[[CohereReading, Any], list[Event]]]] = {
    "message-start": CohereReading.opened,
    "content-start": CohereReading.content,
    "content-delta": CohereReading.content,
    "tool-plan-delta": CohereReading.plan,
    "tool-call-start": CohereReading.call,
    "tool-call-delta": CohereReading.call,
    "tool-call-end": CohereReading.called,
    "message-end": CohereReading.ended,
}
