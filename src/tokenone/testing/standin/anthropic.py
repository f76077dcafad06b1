"""Anthropic's protocol as the stand-in speaks it: messages plain and streamed, count_tokens, models.

Law: shapes follow recorded exchanges (`message_start` carries the input usage, `message_delta` the final
cumulative one, a ping in between, white space inside data); `input_tokens` excludes what was cached. The
API version 2026-10-21 refuses sampling parameters, as the real one does.
"""

from __future__ import annotations

import json
from typing import Any, Final

from tokenone.testing.standin import prompt
from tokenone.testing.standin.http import Request
from tokenone.testing.standin.prompt import sse
from tokenone.testing.standin.reply import Reply, json_reply

Body = dict[str, Any]
MODELS: Final = (
    "claude-opus-5",
    "claude-sonnet-5",
    "claude-opus-4-5",
    "claude-sonnet-4-5",
    "claude-haiku-4-5",
)
SAMPLING: Final = ("temperature", "top_p", "top_k")
NO_SAMPLING_VERSION: Final = "2026-10-21"
_ERRORS: Final = {
    400: ("invalid_request_error", "The request is not valid."),
    401: ("authentication_error", "invalid x-api-key"),
    402: ("billing_error", "There is an issue with your billing."),
    403: ("permission_error", "Your API key does not have permission to use the specified resource."),
    404: ("not_found_error", "The requested resource could not be found."),
    413: ("request_too_large", "Request exceeds the maximum allowed number of bytes."),
    429: ("rate_limit_error", "This request would exceed your rate limit."),
    529: ("overloaded_error", "Overloaded"),
}
ERROR_EVENT: Final = sse(
    {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "error"
)


def error(status: int, message: str | None = None) -> Reply:
    """Anthropic's error object with the type that its documentation gives for the status."""
    kind, usual = _ERRORS.get(status, ("api_error", "Internal server error"))
    inner = {"type": kind, "message": message or usual}
    return json_reply({"type": "error", "error": inner, "request_id": "req_standin"}, status)


def refusal(request: Request, body: Body) -> Reply | None:
    """Returns the 400 that a messages request deserves, if any."""
    version = request.header("anthropic-version")
    if version is None:
        return error(400, "anthropic-version: header is required")
    if not isinstance(body.get("messages"), list) or not body["messages"]:
        return error(400, "messages: Field required")
    if not isinstance(body.get("max_tokens"), int) and not request.path.endswith("count_tokens"):
        return error(400, "max_tokens: Field required")
    if version >= NO_SAMPLING_VERSION and any(name in body for name in SAMPLING):
        return error(400, "temperature, top_p and top_k are not supported in this version")
    return None


def messages(request: Body) -> Reply:
    """POST /v1/messages."""
    text = prompt.last_user_text(request["messages"])
    tool = prompt.wants_tool(request, text)
    said = prompt.tool_arguments(text) if tool else prompt.reply_to(text)
    spent = _usage(request, prompt.tokens(said))
    block: Body = {"type": "text", "text": said}
    if tool:
        mark = f"toolu_{prompt.digest(said)[:24]}"
        block = {
            "type": "tool_use",
            "id": mark,
            "name": tool.get("name", "unnamed"),
            "input": json.loads(said),
        }
    whole = {
        "model": request["model"],
        "id": f"msg_{prompt.digest(text)[:24]}",
        "type": "message",
        "role": "assistant",
        "content": [block],
        "stop_reason": "tool_use" if tool else "end_turn",
        "stop_sequence": None,
        "usage": spent,
    }
    if request.get("stream") is not True:
        return json_reply(whole)
    return Reply(200, events=_events(whole, block, said), error_event=ERROR_EVENT)


def count_tokens(request: Body) -> Reply:
    """POST /v1/messages/count_tokens."""
    return json_reply({"input_tokens": _input_tokens(request)})


def _input_tokens(request: Body) -> int:
    return max(
        1, prompt.tokens(prompt.all_text(request.get("system")) + prompt.all_text(request["messages"]))
    )


def _usage(request: Body, output_tokens: int) -> Body:
    """With `cache_control` somewhere, half the input is read from the cache and a quarter written to it."""
    total = _input_tokens(request)
    caching = '"cache_control"' in json.dumps(request)
    read, written = (total // 2, total // 4) if caching else (0, 0)
    return {
        "input_tokens": total - read - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output_tokens,
        "service_tier": "standard",
        "inference_geo": "not_available",
    }


def _events(whole: Body, block: Body, said: str) -> tuple[bytes, ...]:
    start = whole | {"content": [], "stop_reason": None, "usage": whole["usage"] | {"output_tokens": 1}}
    empty: Body = {"input": {}} if block["type"] == "tool_use" else {"text": ""}
    opening = block | empty
    kind, field = (
        ("input_json_delta", "partial_json") if block["type"] == "tool_use" else ("text_delta", "text")
    )
    deltas = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": kind, field: piece}}
        for piece in prompt.pieces(said)
    ]
    stop = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    spent = {name: value for name, value in whole["usage"].items() if name.endswith("_tokens")}
    rows: list[Body] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": opening},
        {"type": "ping"},
        *deltas,
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": stop, "usage": spent},
        {"type": "message_stop"},
    ]
    return tuple(_padded(sse(row, row["type"])) for row in rows)


def _padded(event: bytes) -> bytes:
    """White space before the last brace, as Anthropic's streams have it."""
    return event[:-3] + b"   }\n\n"


def model_list() -> Reply:
    """GET /v1/models."""
    data = [_model(name) for name in MODELS]
    return json_reply({"data": data, "has_more": False, "first_id": MODELS[0], "last_id": MODELS[-1]})


def model(name: str) -> Reply:
    """GET /v1/models/{name}."""
    return json_reply(_model(name)) if name in MODELS else error(404, f"model: {name}")


def _model(name: str) -> Body:
    return {"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"}
