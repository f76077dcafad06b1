"""Writes replies, streams and refusals of the unified form as OpenAI's chat completions.

Law: what the form says is written and nothing else; absent usage is left out, never zero. Reasoning is carried
twice, as text for people (`reasoning_content`) and signed for the next request (`reasoning_details`, Gemini's
call signatures in `extra_content`): docs/spec/unified.md, section 4. `[DONE]` ends a stream that ended well.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import msgspec

from tokenone.dispatch.translate.form import (
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
    Stamp,
    Stopped,
    Text,
    TextDelta,
    Thought,
    ThoughtDelta,
    ToolCall,
)
from tokenone.types import Usage

Json: TypeAlias = dict[str, Any]
DONE: Final = b"data: [DONE]\n\n"
_encode: Final = msgspec.json.Encoder().encode
_TYPES: Final[dict[Fault, str]] = {
    "invalid": "invalid_request_error",
    "key": "api_error",
    "billing": "insufficient_quota",
    "denied": "permission_error",
    "missing": "invalid_request_error",
    "too_large": "invalid_request_error",
    "rate": "rate_limit_error",
    "overloaded": "server_error",
    "timeout": "server_error",
    "upstream": "server_error",
}


# ── whole replies ──────────────────────────────────────────────────────────────────────────────────────
def write_reply(reply: ChatReply, usage: Usage | None, stamp: Stamp) -> bytes:
    """Returns the body of a `chat.completion`."""
    choices = [_choice(at, choice) for at, choice in enumerate(reply.choices)]
    body: Json = {
        "id": reply.id or stamp.id,
        "object": "chat.completion",
        "created": stamp.created,
        "model": reply.model or stamp.model,
        "choices": choices,
    }
    if usage is not None:
        body["usage"] = write_usage(usage)
    return _encode(body)


def _choice(at: int, choice: Choice) -> Json:
    logprobs = None if choice.logprobs is None else {"content": _logprobs(choice.logprobs)}
    return {"index": at, "message": _message(choice), "logprobs": logprobs, "finish_reason": choice.stop}


def _message(choice: Choice) -> Json:
    texts = [part.text for part in choice.parts if type(part) is Text]
    message: Json = {"role": "assistant", "content": "".join(texts) if texts else None, "refusal": None}
    thoughts = [part for part in choice.parts if type(part) is Thought]
    if thoughts:
        if shown := "".join([thought.text for thought in thoughts]):
            message["reasoning_content"] = shown
        message["reasoning_details"] = [_detail(at, thought) for at, thought in enumerate(thoughts)]
    calls = [_call(part) for part in choice.parts if type(part) is ToolCall]
    if calls:
        message["tool_calls"] = calls
    return message


def _detail(at: int, thought: Thought | ThoughtDelta) -> Json:
    """A thought in OpenRouter's shape (openrouter.ai/docs, "Reasoning tokens")."""
    if thought.sealed is not None:
        return {
            "type": "reasoning.encrypted",
            "data": thought.sealed,
            "format": thought.format,
            "index": at,
        }
    detail: Json = {"type": "reasoning.text", "text": thought.text, "format": thought.format, "index": at}
    if thought.signature is not None:
        detail["signature"] = thought.signature
    return detail


def _call(call: ToolCall) -> Json:
    written: Json = {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }
    if call.signature is not None:
        written["extra_content"] = _signed(call.signature)
    return written


def _signed(signature: str) -> Json:
    """A call's signature as Google's OpenAI-compatible endpoint carries it (ai.google.dev, "OpenAI
    compatibility")."""
    return {"google": {"thought_signature": signature}}


def _logprobs(logprobs: tuple[Logprob, ...]) -> list[Json]:
    return [_logprob(one) | {"top_logprobs": [_logprob(top) for top in one.top]} for one in logprobs]


def _logprob(one: Logprob) -> Json:
    return {"token": one.token, "logprob": one.logprob, "bytes": list(one.token.encode("utf-8", "replace"))}


def write_usage(usage: Usage) -> Json:
    """Returns OpenAI's usage; a total is only told where both its parts are known."""
    written: Json = {}
    if usage.input is not None:
        written["prompt_tokens"] = usage.input
    if usage.output is not None:
        written["completion_tokens"] = usage.output
    if usage.input is not None and usage.output is not None:
        written["total_tokens"] = usage.input + usage.output
    into = {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write}
    if known := {name: count for name, count in into.items() if count is not None}:
        written["prompt_tokens_details"] = known
    if usage.reasoning is not None:
        written["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning}
    return written


# ── refusals ───────────────────────────────────────────────────────────────────────────────────────────
def write_error(error: ChatError) -> tuple[int, bytes]:
    """Returns status and body. A provider's 401 becomes 502: the caller's own token is fine."""
    unsafe = error.fault == "key" or error.status in (401, 407) or not 400 <= error.status <= 599
    status = 502 if unsafe else error.status
    return status, _encode(_fault(error))


def _fault(error: ChatError) -> Json:
    code = "upstream_auth" if error.fault == "key" else error.code
    return {"error": {"message": error.message, "type": _TYPES[error.fault], "param": None, "code": code}}


# ── streams ────────────────────────────────────────────────────────────────────────────────────────────
class ChunkWriter:
    """Writes one stream as `chat.completion.chunk` events; tells the usage only where the caller asked."""

    __slots__ = ("_asked", "_head", "_spoken", "_stamp", "_tail")

    def __init__(self, stamp: Stamp, *, asked_usage: bool) -> None:
        self._stamp = stamp
        self._asked = asked_usage
        self._spoken: set[int] = set()
        self._head = b""
        self._tail = b',"usage":null}\n\n' if asked_usage else b"}\n\n"
        self._open(Opened("", ""))

    def write(self, events: list[Event], usage: Usage | None = None) -> bytes:
        """Returns the bytes of the events; `usage` is what the meter read until now."""
        return b"".join([self._one(event, usage) for event in events])

    def _one(self, event: Event, usage: Usage | None) -> bytes:
        kind = type(event)
        if kind is TextDelta:
            return self._text(event)  # type: ignore[arg-type]
        if isinstance(event, Opened):
            self._open(event)
            return b""
        if isinstance(event, Failed):
            return b"data: " + _encode(_fault(event.error)) + b"\n\n"
        if isinstance(event, Ended):
            return self._usage(usage) + DONE
        return self._other(event)  # type: ignore[arg-type]

    def _open(self, event: Opened) -> None:
        stamp = self._stamp
        head = {
            "id": event.id or stamp.id, "object": "chat.completion.chunk", "created": stamp.created,
            "model": event.model or stamp.model,
        }  # fmt: skip
        self._head = b"data: " + _encode(head)[:-1] + b',"choices":['

    def _text(self, event: TextDelta) -> bytes:
        return self._chunk(event.choice, {"content": event.text}, logprobs=event.logprobs)

    def _other(self, event: ThoughtDelta | CallDelta | Stopped) -> bytes:
        if isinstance(event, Stopped):
            return self._chunk(event.choice, {}, stop=event.stop)
        if isinstance(event, CallDelta):
            return self._chunk(event.choice, {"tool_calls": [_call_delta(event)]})
        delta: Json = {"reasoning_content": event.text} if event.text else {}
        return self._chunk(event.choice, delta | {"reasoning_details": [_detail(event.index, event)]})

    def _chunk(
        self,
        choice: int,
        delta: Json,
        *,
        stop: str | None = None,
        logprobs: tuple[Logprob, ...] | None = None,
    ) -> bytes:
        if choice not in self._spoken:
            self._spoken.add(choice)
            delta = {"role": "assistant", **delta}
        told = None if logprobs is None else {"content": _logprobs(logprobs)}
        written = _encode({"index": choice, "delta": delta, "logprobs": told, "finish_reason": stop})
        return b"".join((self._head, written, b"]", self._tail))

    def _usage(self, usage: Usage | None) -> bytes:
        if not self._asked or usage is None:
            return b""
        return b"".join((self._head, b'],"usage":', _encode(write_usage(usage)), b"}\n\n"))


def _call_delta(event: CallDelta) -> Json:
    function: Json = {"arguments": event.arguments}
    delta: Json = {"index": event.index, "function": function}
    if event.id is not None:
        delta |= {"id": event.id, "type": "function"}
    if event.name is not None:
        function["name"] = event.name
    if event.signature is not None:
        delta["extra_content"] = _signed(event.signature)
    return delta
