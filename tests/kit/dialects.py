"""One answer, told in every provider's dialect: whole and as a stream, with and without reasoning and calls.

The contract suite reads each of them and expects the same; the words are our own, the shapes the providers'.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tokenone.dispatch.eventstream import encode
from tokenone.types import Provider

TEXT = ("Paris ", "is “nice”.")
THOUGHT = ("The user ", "asks about Paris.")
SIGNATURE = "c2lnbmF0dXJl"
CALLS = (("call_1", "get_weather", {"city": "Paris"}), ("call_2", "get_weather", {"city": "Rom\u00eb"}))


@dataclass(frozen=True)
class Answer:
    """What is answered: pieces of a thought, pieces of a text, calls."""

    thought: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    calls: tuple[tuple[str, str, dict[str, str]], ...] = ()


PLAIN = Answer(text=TEXT)
REASONED = Answer(thought=THOUGHT, text=TEXT)
CALLED = Answer(text=TEXT, calls=CALLS[:1])
PARALLEL = Answer(calls=CALLS)
ANSWERS = {"plain": PLAIN, "reasoning": REASONED, "tools": CALLED, "parallel tools": PARALLEL}


@dataclass(frozen=True)
class Spoken:
    """One dialect: a whole reply, a stream, an error inside a stream, a refusal."""

    reply: Callable[[Answer], bytes]
    stream: Callable[[Answer], bytes]
    midway: bytes
    refusal: tuple[int, bytes]
    signs: bool = False
    """Signs its thoughts."""


def sse(*events: Any, named: bool = False) -> bytes:
    """Returns server-sent events; with `named`, each under its own type."""
    out = b""
    for event in events:
        name = f"event: {event['type']}\n" if named else ""
        out += f"{name}data: {event if isinstance(event, str) else json.dumps(event)}\n\n".encode()
    return out


def halves(arguments: dict[str, str]) -> tuple[str, str]:
    text = json.dumps(arguments, ensure_ascii=False)
    return text[:5], text[5:]


# ── Anthropic ──────────────────────────────────────────────────────────────────────────────────────────
def anthropic_reply(answer: Answer) -> bytes:
    content: list[Any] = []
    if answer.thought:
        content.append({"type": "thinking", "thinking": "".join(answer.thought), "signature": SIGNATURE})
    if answer.text:
        content.append({"type": "text", "text": "".join(answer.text)})
    content += [{"type": "tool_use", "id": i, "name": n, "input": a} for i, n, a in answer.calls]
    stop = "tool_use" if answer.calls else "end_turn"
    message = {"id": "r1", "type": "message", "role": "assistant", "model": "m1", "content": content}
    return json.dumps(
        message | {"stop_reason": stop, "usage": {"input_tokens": 3, "output_tokens": 4}}
    ).encode()


def anthropic_stream(answer: Answer) -> bytes:
    start = {"id": "r1", "model": "m1", "content": [], "usage": {"input_tokens": 3, "output_tokens": 1}}
    events: list[Any] = [{"type": "message_start", "message": start}, {"type": "ping"}]
    at = 0

    def block(first: Any, deltas: list[Any]) -> None:
        nonlocal at
        events.append({"type": "content_block_start", "index": at, "content_block": first})
        events.extend({"type": "content_block_delta", "index": at, "delta": delta} for delta in deltas)
        events.append({"type": "content_block_stop", "index": at})
        at += 1

    if answer.thought:
        said: list[Any] = [{"type": "thinking_delta", "thinking": piece} for piece in answer.thought]
        sign = {"type": "signature_delta", "signature": SIGNATURE}
        block({"type": "thinking", "thinking": "", "signature": ""}, [*said, sign])
    if answer.text:
        block({"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in answer.text])
    for id, name, arguments in answer.calls:
        pieces = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", *halves(arguments))]
        block({"type": "tool_use", "id": id, "name": name, "input": {}}, pieces)
    stop = "tool_use" if answer.calls else "end_turn"
    events.append({"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 4}})
    return sse(*events, {"type": "message_stop"}, named=True)


# ── OpenAI and those that speak it ─────────────────────────────────────────────────────────────────────
def openai_reply(answer: Answer) -> bytes:
    message: dict[str, Any] = {"role": "assistant", "content": "".join(answer.text) or None}
    if answer.thought:
        message["reasoning_content"] = "".join(answer.thought)
    if answer.calls:
        message["tool_calls"] = [
            {"id": i, "type": "function", "function": {"name": n, "arguments": json.dumps(a)}}
            for i, n, a in answer.calls
        ]
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if answer.calls else "stop"}
    usage = {"prompt_tokens": 3, "completion_tokens": 4}
    return json.dumps({"id": "r1", "model": "m1", "choices": [choice], "usage": usage}).encode()


def openai_stream(answer: Answer) -> bytes:
    deltas: list[Any] = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": piece} for piece in answer.thought]
    deltas += [{"content": piece} for piece in answer.text]
    for at, (id, name, arguments) in enumerate(answer.calls):
        first = {"index": at, "id": id, "type": "function", "function": {"name": name, "arguments": ""}}
        deltas.append({"tool_calls": [first]})
        deltas += [
            {"tool_calls": [{"index": at, "function": {"arguments": piece}}]} for piece in halves(arguments)
        ]
    chunk = {"id": "r1", "model": "m1"}
    stop = {"index": 0, "delta": {}, "finish_reason": "tool_calls" if answer.calls else "stop"}
    chunks: list[Any] = [{"choices": []}]  # Azure's filter results come first
    chunks += [chunk | {"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    return sse(*chunks, chunk | {"choices": [stop]}, chunk | {"choices": [], "usage": {}}, "[DONE]")


# ── Gemini ─────────────────────────────────────────────────────────────────────────────────────────────
def gemini_chunk(parts: list[Any], stop: str | None = None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    if stop:
        candidate["finishReason"] = stop
    return {"candidates": [candidate], "responseId": "r1", "modelVersion": "m1"}


def gemini_calls(answer: Answer) -> list[Any]:
    return [{"functionCall": {"id": i, "name": n, "args": a}} for i, n, a in answer.calls]


def gemini_reply(answer: Answer) -> bytes:
    parts: list[Any] = []
    if answer.thought:
        thought = {"text": "".join(answer.thought), "thought": True, "thoughtSignature": SIGNATURE}
        parts.append(thought)
    if answer.text:
        parts.append({"text": "".join(answer.text)})
    return json.dumps(gemini_chunk(parts + gemini_calls(answer), "STOP")).encode()


def gemini_stream(answer: Answer) -> bytes:
    chunks = [gemini_chunk([{"text": piece, "thought": True}]) for piece in answer.thought]
    if answer.thought:
        chunks.append(gemini_chunk([{"text": "", "thought": True, "thoughtSignature": SIGNATURE}]))
    chunks += [gemini_chunk([{"text": piece}]) for piece in answer.text]
    chunks += [gemini_chunk([call]) for call in gemini_calls(answer)]
    return sse(*chunks, gemini_chunk([{"text": ""}], "STOP"))


# ── Bedrock ────────────────────────────────────────────────────────────────────────────────────────────
def bedrock_reply(answer: Answer) -> bytes:
    content: list[Any] = []
    if answer.thought:
        said = {"text": "".join(answer.thought), "signature": SIGNATURE}
        content.append({"reasoningContent": {"reasoningText": said}})
    if answer.text:
        content.append({"text": "".join(answer.text)})
    content += [{"toolUse": {"toolUseId": i, "name": n, "input": a}} for i, n, a in answer.calls]
    message = {"message": {"role": "assistant", "content": content}}
    stop = "tool_use" if answer.calls else "end_turn"
    return json.dumps({"output": message, "stopReason": stop, "usage": {"inputTokens": 3}}).encode()


def frame(name: str, payload: Any, kind: bytes = b"event") -> bytes:
    headers = ((b":" + kind + b"-type", name.encode()), (b":message-type", kind))
    return encode(headers, json.dumps(payload).encode())


def bedrock_stream(answer: Answer) -> bytes:
    frames = [frame("messageStart", {"role": "assistant"})]
    at = 0

    def block(start: Any, deltas: list[Any]) -> None:
        nonlocal at
        place = {"contentBlockIndex": at}
        if start is not None:
            frames.append(frame("contentBlockStart", place | {"start": start}))
        frames.extend(frame("contentBlockDelta", place | {"delta": delta}) for delta in deltas)
        frames.append(frame("contentBlockStop", place))
        at += 1

    if answer.thought:
        pieces: list[Any] = [{"text": piece} for piece in answer.thought]
        block(None, [{"reasoningContent": piece} for piece in [*pieces, {"signature": SIGNATURE}]])
    if answer.text:
        block(None, [{"text": piece} for piece in answer.text])
    for id, name, arguments in answer.calls:
        start = {"toolUse": {"toolUseId": id, "name": name}}
        block(start, [{"toolUse": {"input": piece}} for piece in halves(arguments)])
    stop = "tool_use" if answer.calls else "end_turn"
    return b"".join([*frames, frame("messageStop", {"stopReason": stop}), frame("metadata", {"usage": {}})])


# ── Cohere ─────────────────────────────────────────────────────────────────────────────────────────────
def cohere_call(id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def cohere_reply(answer: Answer) -> bytes:
    message: dict[str, Any] = {"role": "assistant", "content": []}
    if answer.thought:
        message["content"].append({"type": "thinking", "thinking": "".join(answer.thought)})
    if answer.text:
        message["content"].append({"type": "text", "text": "".join(answer.text)})
    if answer.calls:
        message["tool_calls"] = [cohere_call(i, n, json.dumps(a)) for i, n, a in answer.calls]
    stop = "TOOL_CALL" if answer.calls else "COMPLETE"
    return json.dumps({"id": "r1", "message": message, "finish_reason": stop}).encode()


def cohere_stream(answer: Answer) -> bytes:
    begun = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    events: list[Any] = [{"type": "message-start", "id": "r1", "delta": {"message": begun}}]
    at = 0
    for kind, pieces in (("thinking", answer.thought), ("text", answer.text)):
        if pieces:
            first = {"message": {"content": {"type": kind, kind: ""}}}
            events.append({"type": "content-start", "index": at, "delta": first})
            events += [
                {"type": "content-delta", "index": at, "delta": {"message": {"content": {kind: piece}}}}
                for piece in pieces
            ]
            events.append({"type": "content-end", "index": at})
            at += 1
    for index, (id, name, arguments) in enumerate(answer.calls):
        opened = {"message": {"tool_calls": cohere_call(id, name, "")}}
        events.append({"type": "tool-call-start", "index": index, "delta": opened})
        for piece in halves(arguments):
            more = {"message": {"tool_calls": {"function": {"arguments": piece}}}}
            events.append({"type": "tool-call-delta", "index": index, "delta": more})
        events.append({"type": "tool-call-end", "index": index})
    stop = "TOOL_CALL" if answer.calls else "COMPLETE"
    return sse(*events, {"type": "message-end", "delta": {"finish_reason": stop}}, named=True)


def _openai_like() -> Spoken:
    refusal = {"error": {"message": "slow down", "type": "rate_limit_error", "code": "rate_limit_exceeded"}}
    failed = {"error": {"message": "out of order", "type": "server_error", "code": None}}
    return Spoken(openai_reply, openai_stream, sse(failed), (429, json.dumps(refusal).encode()))


_GOOGLE = Spoken(
    gemini_reply,
    gemini_stream,
    sse({"error": {"code": 503, "message": "out of order", "status": "UNAVAILABLE"}}),
    (
        429,
        json.dumps({"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}}).encode(),
    ),
    signs=True,
)
DIALECTS = {
    Provider.OPENAI: _openai_like(),
    Provider.AZURE: _openai_like(),
    Provider.OPENROUTER: _openai_like(),
    Provider.CUSTOM: _openai_like(),
    Provider.ANTHROPIC: Spoken(
        anthropic_reply,
        anthropic_stream,
        sse({"type": "error", "error": {"type": "overloaded_error", "message": "out of order"}}, named=True),
        (429, b'{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}'),
        signs=True,
    ),
    Provider.GEMINI: _GOOGLE,
    Provider.VERTEX: _GOOGLE,
    Provider.BEDROCK: Spoken(
        bedrock_reply,
        bedrock_stream,
        frame("modelStreamErrorException", {"message": "out of order"}, b"exception"),
        (429, b'{"message":"slow down"}'),
        signs=True,
    ),
    Provider.COHERE: Spoken(
        cohere_reply,
        cohere_stream,
        sse(
            {"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "out of order"}}, named=True
        ),
        (429, b'{"message":"slow down"}'),
    ),
}
