"""Writes replies, streams and refusals of the unified form as Anthropic's messages.

Law: what the form says is written and nothing else; a signature that is not Anthropic's is told with who made it,
so that it finds its way back. Blocks of a stream are told one after the other, as Anthropic does; the first choice
is the answer. Sources: platform.claude.com/docs, "Messages", "Streaming Messages", "Errors".
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import msgspec

from tokenone.dispatch.translate.arguments import told_object
from tokenone.dispatch.translate.form import (
    ANTHROPIC_FORMAT,
    CallDelta,
    ChatError,
    ChatReply,
    Ended,
    Event,
    Failed,
    Fault,
    Opened,
    Stamp,
    Stop,
    Stopped,
    Text,
    TextDelta,
    Thought,
    ThoughtDelta,
    ToolCall,
)
from tokenone.dispatch.translate.front_messages import CALL_SEAL
from tokenone.types import Usage

Json: TypeAlias = dict[str, Any]
_encode: Final = msgspec.json.Encoder().encode
_STOPS: Final[dict[Stop, str]] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
_TYPES: Final[dict[Fault, str]] = {
    "invalid": "invalid_request_error",
    "key": "api_error",
    "billing": "billing_error",
    "denied": "permission_error",
    "missing": "not_found_error",
    "too_large": "request_too_large",
    "rate": "rate_limit_error",
    "overloaded": "overloaded_error",
    "timeout": "timeout_error",
    "upstream": "api_error",
}
_INTERLEAVED: Final = ChatError(502, "upstream", "the provider told several calls at once", "interleaved")


# ── whole replies ──────────────────────────────────────────────────────────────────────────────────────
def write_reply(reply: ChatReply, usage: Usage | None, stamp: Stamp) -> bytes:
    """Returns the body of a message."""
    choice = reply.choices[0]
    body = _message(Opened(reply.id, reply.model), stamp)
    body["content"] = [block for part in choice.parts for block in _blocks(part)]
    body |= _stop(choice.stop, choice.stopped_by)
    body["usage"] = write_usage(usage)
    return _encode(body)


def _message(opened: Opened, stamp: Stamp) -> Json:
    return {
        "id": opened.id or stamp.id,
        "type": "message",
        "role": "assistant",
        "model": opened.model or stamp.model,
        "content": [],
    }


def _stop(stop: Stop, stopped_by: str | None) -> Json:
    reason = "stop_sequence" if stop == "stop" and stopped_by is not None else _STOPS[stop]
    return {"stop_reason": reason, "stop_sequence": stopped_by}


def _blocks(part: Text | Thought | ToolCall) -> list[Json]:
    if isinstance(part, Text):
        return [{"type": "text", "text": part.text}]
    if isinstance(part, Thought) and part.sealed is not None:
        return [{"type": "redacted_thinking", "data": _signed(part.sealed, part.format)}]
    if isinstance(part, Thought):
        signature = "" if part.signature is None else _signed(part.signature, part.format)
        if part.signature is None and part.format != ANTHROPIC_FORMAT:
            signature = f"{part.format}:"
        return [{"type": "thinking", "thinking": part.text, "signature": signature}]
    call: Json = {
        "type": "tool_use",
        "id": part.id,
        "name": part.name,
        "input": told_object(part.arguments),
    }
    seal = None if part.signature is None else _call_seal(part.signature)
    return [call] if seal is None else [seal, call]


def _signed(signature: str, format: str) -> str:
    return signature if format == ANTHROPIC_FORMAT else f"{format}:{signature}"


def _call_seal(signature: str) -> Json:
    return {"type": "redacted_thinking", "data": CALL_SEAL + signature}


def write_usage(usage: Usage | None) -> Json:
    """Returns Anthropic's usage, whose input excludes what was read from and written to a cache.

    In a stream SDKs want to find the members: what is not known there is null, never zero.
    """
    if usage is None:
        return {}
    told: Json = {}
    if usage.input is not None:
        told["input_tokens"] = max(0, usage.input - (usage.cache_read or 0) - (usage.cache_write or 0))
    if usage.cache_read is not None:
        told["cache_read_input_tokens"] = usage.cache_read
    if usage.cache_write is not None:
        told["cache_creation_input_tokens"] = usage.cache_write
    if usage.output is not None:
        told["output_tokens"] = usage.output
    return told


# ── refusals ───────────────────────────────────────────────────────────────────────────────────────────
def write_error(error: ChatError) -> tuple[int, bytes]:
    """Returns status and body. A provider's 401 becomes 502: the caller's own token is fine."""
    unsafe = error.fault == "key" or error.status in (401, 407) or not 400 <= error.status <= 599
    return 502 if unsafe else error.status, _encode(_fault(error))


def _fault(error: ChatError) -> Json:
    code = "upstream_auth" if error.fault == "key" else error.code
    return {"type": "error", "error": {"type": _TYPES[error.fault], "message": error.message, "code": code}}


# ── streams ────────────────────────────────────────────────────────────────────────────────────────────
class MessageWriter:
    """Writes one stream as Anthropic's events, one block after the other."""

    __slots__ = ("_at", "_closed", "_failed", "_opened", "_owed", "_place", "_stamp", "_stop")

    def __init__(self, stamp: Stamp) -> None:
        self._stamp = stamp
        self._at = -1
        self._place: tuple[str, int] | None = None
        """Kind and number of the block that is open."""
        self._closed: set[int] = set()
        """Calls that were told."""
        self._owed: str | None = None
        """Who thought the open thought, as long as nobody signed it."""
        self._opened = self._failed = False
        self._stop: Json = _stop("stop", None)

    def write(self, events: list[Event], usage: Usage | None = None) -> bytes:
        """Returns the bytes of the events; `usage` is what the meter read until now."""
        return b"".join([piece for event in events for piece in self._one(event, usage)])

    def _one(self, event: Event, usage: Usage | None) -> list[bytes]:
        if self._failed or getattr(event, "choice", 0) != 0:
            return []
        if isinstance(event, Failed):
            return self._fail(event.error)
        out = self._begin(event, usage)
        if isinstance(event, TextDelta):
            if event.text:
                out += self._text(event)
        elif isinstance(event, ThoughtDelta):
            out += self._thought(event)
        elif isinstance(event, CallDelta):
            out += self._call(event)
        elif isinstance(event, Stopped):
            self._stop = _stop(event.stop, event.stopped_by)
        elif isinstance(event, Ended):
            out += self._end(usage)
        return out

    def _begin(self, event: Event, usage: Usage | None) -> list[bytes]:
        if self._opened:
            return []
        self._opened = True
        opened = event if isinstance(event, Opened) else Opened("", "")
        message = _message(opened, self._stamp) | {"stop_reason": None, "stop_sequence": None}
        message["usage"] = {"input_tokens": None, "output_tokens": None} | write_usage(usage)
        return [_event({"type": "message_start", "message": message})]

    def _text(self, event: TextDelta) -> list[bytes]:
        out = self._at_block(("text", 0), {"type": "text", "text": ""})
        return [*out, self._delta({"type": "text_delta", "text": event.text})]

    def _thought(self, event: ThoughtDelta) -> list[bytes]:
        if event.sealed is not None:
            return self._whole({"type": "redacted_thinking", "data": _signed(event.sealed, event.format)})
        out = self._at_block(("thought", event.index), {"type": "thinking", "thinking": "", "signature": ""})
        if out and event.format != ANTHROPIC_FORMAT:
            self._owed = event.format
        if event.text:
            out.append(self._delta({"type": "thinking_delta", "thinking": event.text}))
        if event.signature is not None:
            self._owed = None
            signature = _signed(event.signature, event.format)
            out.append(self._delta({"type": "signature_delta", "signature": signature}))
        return out

    def _call(self, event: CallDelta) -> list[bytes]:
        out: list[bytes] = []
        if event.signature is not None:
            out += self._whole(_call_seal(event.signature))
        place = ("call", event.index)
        if place != self._place:
            if event.index in self._closed:
                return [*out, *self._fail(_INTERLEAVED)]
            self._closed.add(event.index)
        block = {"type": "tool_use", "id": event.id or "", "name": event.name or "", "input": {}}
        out += self._at_block(place, block)
        if event.arguments:
            out.append(self._delta({"type": "input_json_delta", "partial_json": event.arguments}))
        return out

    def _at_block(self, place: tuple[str, int], block: Json) -> list[bytes]:
        """Opens the block of a place unless it is open; what was open before ends."""
        if place == self._place:
            return []
        out = self._close()
        self._at += 1
        self._place = place
        out.append(_event({"type": "content_block_start", "index": self._at, "content_block": block}))
        return out

    def _whole(self, block: Json) -> list[bytes]:
        out = self._at_block(("whole", self._at + 1), block)
        return out + self._close()

    def _close(self) -> list[bytes]:
        if self._place is None:
            return []
        self._place = None
        owed, self._owed = self._owed, None
        signed = [] if owed is None else [self._delta({"type": "signature_delta", "signature": f"{owed}:"})]
        return [*signed, _event({"type": "content_block_stop", "index": self._at})]

    def _delta(self, delta: Json) -> bytes:
        return _event({"type": "content_block_delta", "index": self._at, "delta": delta})

    def _end(self, usage: Usage | None) -> list[bytes]:
        told = {"output_tokens": None} | write_usage(usage)
        delta = {"type": "message_delta", "delta": self._stop, "usage": told}
        return [*self._close(), _event(delta), _event({"type": "message_stop"})]

    def _fail(self, error: ChatError) -> list[bytes]:
        self._failed = True
        return [_event(_fault(error))]


def _event(event: Json) -> bytes:
    return b"".join((b"event: ", str(event["type"]).encode("ascii"), b"\ndata: ", _encode(event), b"\n\n"))
