"""OpenAI's responses API as the stand-in speaks it, plain and streamed.

Law: the order of events and their fields follow recorded exchanges; the last event carries the whole
response with its usage, equal to what the plain call answers. Nothing is stored.
"""

from __future__ import annotations

from typing import Any

from tokenone.testing.standin import prompt
from tokenone.testing.standin.prompt import CREATED, sse
from tokenone.testing.standin.reply import Reply, json_reply

Body = dict[str, Any]


def responses(request: Body) -> Reply:
    """POST /v1/responses."""
    given = request.get("input")
    text = prompt.last_user_text(given)
    tool = prompt.wants_tool(request, text)
    said = prompt.tool_arguments(text) if tool else prompt.reply_to(text)
    item = _call_item(tool, said) if tool else _message_item(said)
    prompt_text = prompt.all_text(request.get("instructions")) + prompt.all_text(given)
    whole = _response(request, item, _usage(prompt_text, said, str(request["model"])))
    if request.get("stream") is not True:
        return json_reply(whole)
    return Reply(200, events=_events(whole, item, said), error_event=_failure())


def _usage(prompt_text: str, said: str, model: str) -> Body:
    taken = max(1, prompt.tokens(prompt_text))
    thinking = 16 if model.startswith(("gpt-5", "o1", "o3", "o4")) else 0
    given = prompt.tokens(said) + thinking
    return {
        "input_tokens": taken,
        "input_tokens_details": {
            "cache_write_tokens": 0,
            "cached_tokens": taken // 2 if taken >= 1024 else 0,
        },
        "output_tokens": given,
        "output_tokens_details": {"reasoning_tokens": thinking},
        "total_tokens": taken + given,
    }


def _message_item(said: str) -> Body:
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": said}
    mark = prompt.digest(said)[:24]
    return {
        "id": f"msg_{mark}",
        "type": "message",
        "status": "completed",
        "content": [part],
        "role": "assistant",
    }


def _call_item(tool: Body, arguments: str) -> Body:
    mark = prompt.digest(arguments)[:24]
    return {
        "id": f"fc_{mark}",
        "type": "function_call",
        "status": "completed",
        "arguments": arguments,
        "call_id": f"call_{mark}",
        "name": tool.get("name", "unnamed"),
    }


def _response(request: Body, item: Body, spent: Body) -> Body:
    return {
        "id": f"resp_{item['id'].split('_', 1)[1]}",
        "object": "response",
        "created_at": CREATED,
        "status": "completed",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": request.get("instructions"),
        "max_output_tokens": request.get("max_output_tokens"),
        "model": request["model"],
        "output": [item],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tools": request.get("tools") or [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": spent,
        "user": None,
        "metadata": {},
    }


def _events(whole: Body, item: Body, said: str) -> tuple[bytes, ...]:
    unfinished = whole | {"status": "in_progress", "output": [], "usage": None}
    rows: list[Body] = [
        {"type": "response.created", "response": unfinished},
        {"type": "response.in_progress", "response": unfinished},
    ]
    rows += _call_rows(item, said) if item["type"] == "function_call" else _message_rows(item, said)
    rows.append({"type": "response.output_item.done", "output_index": 0, "item": item})
    rows.append({"type": "response.completed", "response": whole})
    return tuple(sse(row | {"sequence_number": number}, row["type"]) for number, row in enumerate(rows))


def _message_rows(item: Body, said: str) -> list[Body]:
    place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    part = item["content"][0]
    started = item | {"status": "in_progress", "content": []}
    deltas = [
        {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []}
        for piece in prompt.pieces(said)
    ]
    return [
        {"type": "response.output_item.added", "output_index": 0, "item": started},
        {"type": "response.content_part.added", **place, "part": part | {"text": ""}},
        *deltas,
        {"type": "response.output_text.done", **place, "text": said, "logprobs": []},
        {"type": "response.content_part.done", **place, "part": part},
    ]


def _call_rows(item: Body, arguments: str) -> list[Body]:
    place = {"item_id": item["id"], "output_index": 0}
    started = item | {"status": "in_progress", "arguments": ""}
    kind = "response.function_call_arguments"
    return [
        {"type": "response.output_item.added", "output_index": 0, "item": started},
        *({"type": f"{kind}.delta", **place, "delta": piece} for piece in prompt.pieces(arguments)),
        {"type": f"{kind}.done", **place, "arguments": arguments},
    ]


def _failure() -> bytes:
    row = {"type": "error", "code": "server_error", "message": "The server had an error.", "param": None}
    return sse(row | {"sequence_number": 99}, "error")
