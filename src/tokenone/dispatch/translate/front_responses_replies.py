"""Writes replies, streams and refusals of the unified form as OpenAI's responses.

Law: what the form says is written and nothing else; nothing is stored, and the reply says so. Items of a stream are
told one after the other; the first choice is the answer. A thought's text is its summary, its signature travels in
`encrypted_content`. Source: OpenAI's API reference, "The response object", "Streaming events".
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import msgspec

from tokenone.dispatch.translate.form import (
    CallDelta,
    ChatError,
    ChatReply,
    Ended,
    Event,
    Failed,
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
from tokenone.dispatch.translate.front_chat_replies import write_error
from tokenone.dispatch.translate.front_responses import CALL_SEAL, SEALED, SIGNED
from tokenone.types import Usage

__all__ = ["ResponseWriter", "write_error", "write_reply"]

Json: TypeAlias = dict[str, Any]
_encode: Final = msgspec.json.Encoder().encode
_INCOMPLETE: Final[dict[Stop, str]] = {"length": "max_output_tokens", "content_filter": "content_filter"}
_INTERLEAVED: Final = ChatError(502, "upstream", "the provider told several calls at once", "interleaved")


# ── whole replies ──────────────────────────────────────────────────────────────────────────────────────
def write_reply(reply: ChatReply, usage: Usage | None, stamp: Stamp) -> bytes:
    """Returns the body of a response."""
    choice = reply.choices[0]
    id = reply.id or stamp.id
    items: list[Json] = []
    for part in choice.parts:
        for item in _items(part):
            items.append(item | {"id": _item_id(item["type"], id, len(items))})
    return _encode(_response(Opened(reply.id, reply.model), stamp, items, choice.stop, usage))


def _response(
    opened: Opened, stamp: Stamp, items: list[Json], stop: Stop | None, usage: Usage | None
) -> Json:
    """Returns the response object; without a reason to stop it is in progress."""
    why = None if stop is None else _INCOMPLETE.get(stop)
    status = "in_progress" if stop is None else "completed" if why is None else "incomplete"
    return {
        "id": opened.id or stamp.id,
        "object": "response",
        "created_at": stamp.created,
        "status": status,
        "error": None,
        "incomplete_details": None if why is None else {"reason": why},
        "instructions": None,
        "metadata": {},
        "model": opened.model or stamp.model,
        "output": items,
        "parallel_tool_calls": True,
        "store": False,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "usage": None if usage is None else write_usage(usage),
    }


def _item_id(kind: str, reply: str, at: int) -> str:
    prefix = {"message": "msg", "function_call": "fc", "reasoning": "rs"}[kind]
    return f"{prefix}_{reply}_{at}"


def _items(part: Text | Thought | ToolCall) -> list[Json]:
    if isinstance(part, Text):
        return [_message([_output_text(part.text)], "completed")]
    if isinstance(part, Thought):
        return [_reasoning(part.text, _encrypted(part))]
    seal = [] if part.signature is None else [_reasoning("", CALL_SEAL + part.signature)]
    return [*seal, _function_call(part, "completed")]


def _message(content: list[Json], status: str) -> Json:
    return {"type": "message", "role": "assistant", "status": status, "content": content}


def _output_text(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _reasoning(text: str, encrypted: str | None) -> Json:
    summary = [{"type": "summary_text", "text": text}] if text else []
    return {"type": "reasoning", "summary": summary, "encrypted_content": encrypted}


def _encrypted(thought: Thought) -> str:
    """Returns who thought it and the signature or the sealed thought, to find the way back."""
    if thought.sealed is not None:
        return f"{thought.format}:{SEALED}:{thought.sealed}"
    return f"{thought.format}:{SIGNED}:{thought.signature or ''}"


def _function_call(call: ToolCall, status: str) -> Json:
    return {
        "type": "function_call",
        "call_id": call.id,
        "name": call.name,
        "arguments": call.arguments,
        "status": status,
    }


def write_usage(usage: Usage) -> Json:
    """Returns the usage of a response. SDKs want to find every member: what is not known is null, never zero."""
    known = usage.input is not None and usage.output is not None
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write,
        },
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": (usage.input or 0) + (usage.output or 0) if known else None,
    }


# ── streams ────────────────────────────────────────────────────────────────────────────────────────────
class ResponseWriter:
    """Writes one stream as the events of a response, one item after the other."""

    __slots__ = (
        "_begun", "_called", "_failed", "_id", "_item", "_items", "_opened", "_pieces", "_place", "_sequence",
        "_stamp", "_stop", "_thought",
    )  # fmt: skip

    def __init__(self, stamp: Stamp) -> None:
        self._stamp = stamp
        self._opened = Opened("", "")
        self._begun = self._failed = False
        self._sequence = -1
        self._items: list[Json] = []
        """What was told whole."""
        self._place: tuple[str, int] | None = None
        """Kind and number of the item that is open."""
        self._item: Json = {}
        self._pieces: list[str] = []
        self._thought = Thought()
        self._called: set[int] = set()
        self._stop: Stop = "stop"

    def write(self, events: list[Event], usage: Usage | None = None) -> bytes:
        """Returns the bytes of the events; `usage` is what the meter read until now."""
        return b"".join([piece for event in events for piece in self._one(event, usage)])

    def _one(self, event: Event, usage: Usage | None) -> list[bytes]:
        if self._failed or getattr(event, "choice", 0) != 0:
            return []
        out = self._begin(event)
        if isinstance(event, TextDelta):
            if event.text:
                out += self._text(event.text)
        elif isinstance(event, ThoughtDelta):
            out += self._think(event)
        elif isinstance(event, CallDelta):
            out += self._call(event)
        elif isinstance(event, Stopped):
            self._stop = event.stop
        elif isinstance(event, Ended):
            out += self._end(usage)
        elif isinstance(event, Failed):
            out += self._fail(event.error)
        return out

    def _begin(self, event: Event) -> list[bytes]:
        if self._begun:
            return []
        self._begun = True
        if isinstance(event, Opened):
            self._opened = event
        response = _response(self._opened, self._stamp, [], None, None)
        return [
            self._event("response.created", response=response),
            self._event("response.in_progress", response=response),
        ]

    # each kind of item
    def _text(self, text: str) -> list[bytes]:
        out: list[bytes] = []
        if self._place != ("text", 0):
            out = self._open(("text", 0), _message([], "in_progress"))
            out.append(self._of_item("response.content_part.added", content_index=0, part=_output_text("")))
        self._pieces.append(text)
        told = {"content_index": 0, "delta": text, "logprobs": []}
        return [*out, self._of_item("response.output_text.delta", **told)]

    def _think(self, event: ThoughtDelta) -> list[bytes]:
        place = ("thought", event.index)
        out: list[bytes] = []
        if self._place != place:
            out = self._open(place, _reasoning("", None))
            self._thought = Thought(format=event.format)
            part = {"type": "summary_text", "text": ""}
            out.append(self._of_item("response.reasoning_summary_part.added", summary_index=0, part=part))
        known = self._thought
        signature, sealed = event.signature or known.signature, event.sealed or known.sealed
        self._thought = Thought("", signature, sealed, known.format)
        if event.text:
            self._pieces.append(event.text)
            told = {"summary_index": 0, "delta": event.text}
            out.append(self._of_item("response.reasoning_summary_text.delta", **told))
        return out

    def _call(self, event: CallDelta) -> list[bytes]:
        place = ("call", event.index)
        out: list[bytes] = []
        if self._place != place:
            if event.index in self._called:
                return self._fail(_INTERLEAVED)
            self._called.add(event.index)
            if event.signature is not None:
                out = self._open(("seal", event.index), _reasoning("", CALL_SEAL + event.signature))
            call = ToolCall(event.id or "", event.name or "", "")
            out += self._open(place, _function_call(call, "in_progress"))
        if event.arguments:
            self._pieces.append(event.arguments)
            out.append(self._of_item("response.function_call_arguments.delta", delta=event.arguments))
        return out

    # the life of an item
    def _open(self, place: tuple[str, int], item: Json) -> list[bytes]:
        out = self._close()
        id = self._opened.id or self._stamp.id
        self._place = place
        self._item = item | {"id": _item_id(item["type"], id, len(self._items))}
        out.append(self._event("response.output_item.added", output_index=len(self._items), item=self._item))
        return out

    def _close(self) -> list[bytes]:
        if self._place is None:
            return []
        text = "".join(self._pieces)
        out = _CLOSERS[self._place[0]](self, text)
        out.append(self._event("response.output_item.done", output_index=len(self._items), item=self._item))
        self._items.append(self._item)
        self._place = None
        self._pieces = []
        return out

    def close_text(self, text: str) -> list[bytes]:
        part = _output_text(text)
        self._item |= {"status": "completed", "content": [part]}
        return [
            self._of_item("response.output_text.done", content_index=0, text=text, logprobs=[]),
            self._of_item("response.content_part.done", content_index=0, part=part),
        ]

    def close_thought(self, text: str) -> list[bytes]:
        self._item |= _reasoning(text, _encrypted(self._thought))
        part = {"type": "summary_text", "text": text}
        return [
            self._of_item("response.reasoning_summary_text.done", summary_index=0, text=text),
            self._of_item("response.reasoning_summary_part.done", summary_index=0, part=part),
        ]

    def close_call(self, text: str) -> list[bytes]:
        self._item |= {"status": "completed", "arguments": text}
        name = self._item["name"]
        return [self._of_item("response.function_call_arguments.done", name=name, arguments=text)]

    def close_seal(self, _text: str) -> list[bytes]:
        return []

    # the end
    def _end(self, usage: Usage | None) -> list[bytes]:
        out = self._close()
        response = _response(self._opened, self._stamp, self._items, self._stop, usage)
        return [*out, self._event(f"response.{response['status']}", response=response)]

    def _fail(self, error: ChatError) -> list[bytes]:
        self._failed = True
        response = _response(self._opened, self._stamp, self._items, None, None)
        code = "upstream_auth" if error.fault == "key" else error.code or "server_error"
        response |= {"status": "failed", "error": {"code": code, "message": error.message}}
        return [self._event("response.failed", response=response)]

    def _of_item(self, type: str, **told: Any) -> bytes:
        place = {"item_id": self._item["id"], "output_index": len(self._items)}
        return self._event(type, **place, **told)

    def _event(self, type: str, **told: Any) -> bytes:
        self._sequence += 1
        event = {"type": type, "sequence_number": self._sequence, **told}
        return b"".join((b"event: ", type.encode("ascii"), b"\ndata: ", _encode(event), b"\n\n"))


_CLOSERS: Final = {
    "text": ResponseWriter.close_text,
    "thought": ResponseWriter.close_thought,
    "call": ResponseWriter.close_call,
    "seal": ResponseWriter.close_seal,
}
