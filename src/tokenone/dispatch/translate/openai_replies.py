"""Reads chat completions of OpenAI and of those that speak it into the unified form.

Law: what only some servers say (no index on a call, reasoning under three names, no `[DONE]`) is understood; a
chunk without choices is no surprise. Sources: OpenAI's API reference, "Chat completions"; openrouter.ai/docs,
"Reasoning tokens", "Errors"; docs.vllm.ai, "Reasoning outputs".
"""

from __future__ import annotations

from typing import Final

import msgspec

from tokenone.dispatch.providers.counts import lenient
from tokenone.dispatch.translate.faults import clipped, fault_of
from tokenone.dispatch.translate.form import (
    CUT_OFF,
    UNSIGNED_FORMAT,
    CallDelta,
    ChatError,
    ChatReply,
    Choice,
    Ended,
    Event,
    Failed,
    Fault,
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
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
_FAULTS: Final[dict[str, Fault]] = {
    "insufficient_quota": "billing",
    "rate_limit_exceeded": "rate",
    "server_is_overloaded": "overloaded",
    "invalid_api_key": "key",
}


class _Google(msgspec.Struct, gc=False):
    thought_signature: str | None = None


class _Extra(msgspec.Struct, gc=False):
    google: _Google | None = None


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None
    extra_content: _Extra | None = None


class _Detail(msgspec.Struct, gc=False):
    index: int | None = None
    text: str | None = None
    summary: str | None = None
    signature: str | None = None
    data: str | None = None
    format: str | None = None


class _Said(msgspec.Struct, gc=False):
    """A message, or a delta of one."""

    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[_Detail] | None = None
    tool_calls: list[_Call] | None = None


class _Token(msgspec.Struct, gc=False):
    token: str = ""
    logprob: float = 0.0
    top_logprobs: list[_Token] | None = None


class _Logprobs(msgspec.Struct, gc=False):
    content: list[_Token] | None = None


class _Choice(msgspec.Struct, gc=False):
    index: int = 0
    message: _Said | None = None
    delta: _Said | None = None
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Fault(msgspec.Struct, gc=False):
    message: str | None = None
    type: str | None = None
    code: str | int | None = None


class _Reply(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    id: str | None = None
    model: str | None = None
    error: _Fault | str | None = None


class _FlatRefusal(msgspec.Struct, gc=False):
    message: str | None = None


_reply: Final = msgspec.json.Decoder(_Reply)
_flat: Final = msgspec.json.Decoder(_FlatRefusal)
_NOTHING: Final = _Said()


# ── whole replies ──────────────────────────────────────────────────────────────────────────────────────
def read_reply(body: bytes) -> ChatReply:
    """Returns the reply; raises UpstreamBroken for what is no completion."""
    reply = lenient(_reply, body)
    if reply is None or not reply.choices:
        raise UpstreamBroken("the provider's reply is not a completion")
    choices = sorted(reply.choices, key=lambda choice: choice.index)
    return ChatReply(reply.id or "", reply.model or "", tuple([_choice(choice) for choice in choices]))


def _choice(choice: _Choice) -> Choice:
    message = choice.message or _NOTHING
    parts: list[Text | Thought | ToolCall] = [*_thoughts(message)]
    parts += [Text(text) for text in (message.content, message.refusal) if text]
    for call in message.tool_calls or ():
        function = call.function or _Function()
        arguments = function.arguments or "{}"
        parts.append(ToolCall(call.id or "", function.name or "", arguments, _signature(call)))
    stop = _STOPS.get(choice.finish_reason or "", "stop")
    return Choice(tuple(parts), stop, logprobs=_logprobs(choice.logprobs))


def _thoughts(message: _Said) -> list[Thought]:
    if message.reasoning_details:
        return [
            Thought(
                one.text or one.summary or "", one.signature or None, one.data, one.format or UNSIGNED_FORMAT
            )
            for one in message.reasoning_details
        ]
    plain = message.reasoning_content or message.reasoning
    return [Thought(plain)] if plain else []


def _signature(call: _Call) -> str | None:
    extra = call.extra_content
    return None if extra is None or extra.google is None else extra.google.thought_signature


def _logprobs(found: _Logprobs | None) -> tuple[Logprob, ...] | None:
    if found is None or found.content is None:
        return None
    return tuple(
        [
            Logprob(
                one.token, one.logprob, tuple([Logprob(t.token, t.logprob) for t in one.top_logprobs or ()])
            )
            for one in found.content
        ]
    )


# ── refusals ───────────────────────────────────────────────────────────────────────────────────────────
def read_error(status: int, body: bytes) -> ChatError:
    """Returns a refusal in any of the family's shapes: nested, a bare string, or flat."""
    reply = lenient(_reply, body)
    if reply is not None and reply.error is not None:
        return _error(reply.error, status)
    flat = lenient(_flat, body)
    return ChatError(status, fault_of(status), clipped(None if flat is None else flat.message))


def _error(found: _Fault | str, status: int) -> ChatError:
    if isinstance(found, str):
        return ChatError(status, fault_of(status), clipped(found))
    code = found.code if isinstance(found.code, str) else found.type
    return ChatError(status, _FAULTS.get(code or "", fault_of(status)), clipped(found.message), code)


def _streamed(found: _Fault | str) -> Failed:
    """Returns an error inside a stream; OpenRouter tells its status as a code."""
    told = found.code if isinstance(found, _Fault) and isinstance(found.code, int) else 500
    return Failed(_error(found, told if 400 <= told <= 599 else 500))


# ── streams ────────────────────────────────────────────────────────────────────────────────────────────
class _Progress:
    """How far one choice has come: its calls by the index they came with, its thoughts likewise."""

    __slots__ = ("calls", "stopped", "thoughts", "told")

    def __init__(self) -> None:
        self.calls: dict[int | None, int] = {}
        self.told = 0
        self.thoughts: dict[int, int] = {}
        self.stopped = False


class OpenAIReading:
    """Reads one stream of `chat.completion.chunk`s."""

    __slots__ = ("_choices", "_opened")

    def __init__(self) -> None:
        self._choices: dict[int, _Progress] = {}
        self._opened = False

    def take(self, data: bytes) -> list[Event]:
        """Returns what one chunk says."""
        if data == b"[DONE]":
            return [Ended()]
        reply = lenient(_reply, data)
        if reply is None:
            return []
        if reply.error is not None:
            return [_streamed(reply.error)]
        out: list[Event] = []
        if not self._opened and reply.choices:  # Azure's first chunk has neither id nor model
            self._opened = True
            out.append(Opened(reply.id or "", reply.model or ""))
        for choice in reply.choices or ():
            out += self._choice(choice)
        return out

    def last(self) -> list[Event]:
        """The bytes ended without `[DONE]`, which some servers leave out."""
        whole = self._choices and all(progress.stopped for progress in self._choices.values())
        return [Ended()] if whole else [CUT_OFF]

    def _choice(self, choice: _Choice) -> list[Event]:
        progress = self._choices.setdefault(choice.index, _Progress())
        delta = choice.delta or _NOTHING
        out: list[Event] = _thought_deltas(delta, progress, choice.index)
        logprobs = _logprobs(choice.logprobs)
        text = delta.content or delta.refusal or ""
        if text or logprobs:
            out.append(TextDelta(text, choice.index, logprobs))
        for call in delta.tool_calls or ():
            out.append(_call_delta(call, progress, choice.index))
        if choice.finish_reason and not progress.stopped:
            progress.stopped = True
            out.append(Stopped(_STOPS.get(choice.finish_reason, "stop"), choice.index))
        return out


def _thought_deltas(delta: _Said, progress: _Progress, choice: int) -> list[Event]:
    if not delta.reasoning_details:
        plain = delta.reasoning_content or delta.reasoning
        return [ThoughtDelta(0, plain, choice=choice)] if plain else []
    out: list[Event] = []
    for one in delta.reasoning_details:
        at = progress.thoughts.setdefault(one.index or 0, len(progress.thoughts))
        said = (one.text or one.summary or "", one.signature or None, one.data)
        out.append(ThoughtDelta(at, *said, format=one.format or UNSIGNED_FORMAT, choice=choice))
    return out


def _call_delta(call: _Call, progress: _Progress, choice: int) -> CallDelta:
    """Returns a piece of a call; where no index is told, an id begins the next call."""
    calls = progress.calls
    known = call.index in calls and (call.index is not None or not call.id)
    if not known:
        calls[call.index] = progress.told
        progress.told += 1
    at = calls[call.index]
    function = call.function or _Function()
    id = None if known else call.id
    name = None if known else function.name
    return CallDelta(at, id, name, function.arguments or "", _signature(call), choice)
