"""OpenAI's protocol as the stand-in speaks it: chat, responses, completions, embeddings, models, moderations.

Law: shapes follow recorded exchanges (ids, nullable fields, the usage chunk with `choices: []` only when
`stream_options.include_usage` asks for it, `[DONE]` for chat, named events for responses); usage adds up.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from typing import Any, Final

from tokenone.testing.standin import prompt
from tokenone.testing.standin.openai_responses import responses
from tokenone.testing.standin.prompt import CREATED, sse
from tokenone.testing.standin.reply import Reply, json_reply

Body = dict[str, Any]
MODELS: Final = (
    "gpt-4.1", "gpt-4.1-mini", "gpt-4.1-nano", "gpt-4o", "gpt-4o-mini", "gpt-5", "gpt-5-mini", "o4-mini",
    "text-embedding-3-small", "text-embedding-3-large", "omni-moderation-latest", "gpt-3.5-turbo-instruct",
)  # fmt: skip
_DONE: Final = b"data: [DONE]\n\n"
_ERRORS: Final = {
    400: ("invalid_request_error", None, "The request is not valid."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    403: (
        "invalid_request_error",
        "unsupported_country_region_territory",
        "Country or region not supported.",
    ),
    404: (
        "invalid_request_error",
        "model_not_found",
        "The model does not exist or you do not have access to it.",
    ),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached for requests."),
    503: ("server_error", "server_is_overloaded", "The server is overloaded."),
}


def error(status: int, message: str | None = None, code: str | None = None) -> Reply:
    """OpenAI's error object, with the type and code that its documentation gives for the status."""
    kind, usual_code, usual = _ERRORS.get(status, ("server_error", None, "The server had an error."))
    return json_reply(_error_body(message or usual, kind, code or usual_code), status)


def _error_body(message: str, kind: str, code: str | None) -> Body:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


ERROR_EVENT: Final = sse(
    _error_body("The server had an error while processing your request.", "server_error", None)
)


def usage(prompt_text: str, output_tokens: int, model: str) -> Body:
    """Chat usage: 1,024 and more prompt tokens are half cached; reasoning models think 16 tokens."""
    prompt_tokens = max(1, prompt.tokens(prompt_text))
    thinking = 16 if model.startswith(("gpt-5", "o1", "o3", "o4")) else 0
    cached = prompt_tokens // 2 if prompt_tokens >= 1024 else 0
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": output_tokens + thinking,
        "total_tokens": prompt_tokens + output_tokens + thinking,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": thinking,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def chat(request: Body) -> Reply:
    """POST /v1/chat/completions."""
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        return error(400, "Missing required parameter: 'messages'.", "missing_required_parameter")
    text = prompt.last_user_text(messages)
    tool = prompt.wants_tool(request, text)
    said = prompt.tool_arguments(text) if tool else prompt.reply_to(text)
    count = request.get("n") if isinstance(request.get("n"), int) else 1
    spent = usage(prompt.all_text(messages), prompt.tokens(said) * (count or 1), str(request["model"]))
    if request.get("stream") is True:
        return _chat_stream(request, said, tool, spent, count or 1)
    message: Body = {"role": "assistant", "content": said, "refusal": None, "annotations": []}
    if tool:
        message |= {"content": None, "tool_calls": [_tool_call(tool, said)]}
    finish = "tool_calls" if tool else "stop"
    choices = [
        {"index": index, "message": message, "logprobs": None, "finish_reason": finish}
        for index in range(count or 1)
    ]
    return json_reply(_envelope(request, "chat.completion") | {"choices": choices, "usage": spent})


def _envelope(request: Body, kind: str) -> Body:
    mark = prompt.digest(prompt.all_text(request.get("messages")))[:24]
    return {
        "id": f"chatcmpl-{mark}",
        "object": kind,
        "created": CREATED,
        "model": request["model"],
        "service_tier": "default",
        "system_fingerprint": "fp_standin",
    }


def _tool_call(tool: Body, arguments: str) -> Body:
    name = tool.get("function", {}).get("name", "unnamed")
    return {
        "id": f"call_{prompt.digest(arguments)[:24]}",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def _chat_stream(request: Body, said: str, tool: Body | None, spent: Body, count: int) -> Reply:
    options = request.get("stream_options")
    with_usage = isinstance(options, dict) and options.get("include_usage") is True
    envelope = _envelope(request, "chat.completion.chunk") | ({"usage": None} if with_usage else {})

    def chunk(index: int, delta: Body, finish: str | None = None) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        return sse(envelope | {"choices": [choice]})

    opening: Body = {"role": "assistant", "content": None if tool else "", "refusal": None}
    if tool:
        opening["tool_calls"] = [_tool_call(tool, "") | {"index": 0}]
    events = [chunk(index, opening) for index in range(count)]
    for piece in prompt.pieces(said):
        delta = (
            {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} if tool else {"content": piece}
        )
        events += [chunk(index, delta) for index in range(count)]
    events += [chunk(index, {}, "tool_calls" if tool else "stop") for index in range(count)]
    if with_usage:
        events.append(sse(envelope | {"choices": [], "usage": spent}))
    return Reply(200, events=(*events, _DONE), error_event=ERROR_EVENT)


def completions(request: Body) -> Reply:
    """POST /v1/completions (legacy)."""
    text = prompt.all_text(request.get("prompt"))
    said = prompt.reply_to(text)
    spent = usage(text, prompt.tokens(said), "")
    spent = {name: spent[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
    envelope = {
        "id": f"cmpl-{prompt.digest(text)[:24]}",
        "object": "text_completion",
        "created": CREATED,
        "model": request["model"],
    }

    def choice(piece: str, finish: str | None) -> Body:
        return {"text": piece, "index": 0, "logprobs": None, "finish_reason": finish}

    if request.get("stream") is not True:
        return json_reply(envelope | {"choices": [choice(said, "stop")], "usage": spent})
    events = [sse(envelope | {"choices": [choice(piece, None)]}) for piece in prompt.pieces(said)]
    events.append(sse(envelope | {"choices": [choice("", "stop")]}))
    options = request.get("stream_options")
    if isinstance(options, dict) and options.get("include_usage") is True:
        events.append(sse(envelope | {"choices": [], "usage": spent}))
    return Reply(200, events=(*events, _DONE), error_event=ERROR_EVENT)


def embeddings(request: Body) -> Reply:
    """POST /v1/embeddings: eight deterministic dimensions, as floats or base64."""
    given = request.get("input")
    inputs = given if isinstance(given, list) else [given]
    data = []
    for index, item in enumerate(inputs):
        mark = bytes.fromhex(prompt.digest(prompt.all_text(item)))
        vector = [(byte - 128) / 128 for byte in mark[:8]]
        packed = base64.b64encode(struct.pack("<8f", *vector)).decode("ascii")
        shown: object = packed if request.get("encoding_format") == "base64" else vector
        data.append({"object": "embedding", "index": index, "embedding": shown})
    spent = max(1, prompt.tokens(prompt.all_text(given)))
    usage_object = {"prompt_tokens": spent, "total_tokens": spent}
    return json_reply({"object": "list", "data": data, "model": request["model"], "usage": usage_object})


def moderations(request: Body) -> Reply:
    """POST /v1/moderations: nothing is ever flagged."""
    names = ("harassment", "hate", "self-harm", "sexual", "violence")
    result = {
        "flagged": False,
        "categories": dict.fromkeys(names, False),
        "category_scores": dict.fromkeys(names, 0.0001),
    }
    mark = prompt.digest(prompt.all_text(request.get("input")))[:24]
    return json_reply(
        {"id": f"modr-{mark}", "model": request.get("model") or "omni-moderation-latest", "results": [result]}
    )


def model_list() -> Reply:
    """GET /v1/models."""
    return json_reply({"object": "list", "data": [_model(name) for name in MODELS]})


def model(name: str) -> Reply:
    """GET /v1/models/{name}."""
    return json_reply(_model(name)) if name in MODELS else error(404)


def _model(name: str) -> Body:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "system"}


INFERENCE: Final[dict[str, Callable[[Body], Reply]]] = {
    "/v1/chat/completions": chat,
    "/v1/responses": responses,
    "/v1/completions": completions,
    "/v1/embeddings": embeddings,
    "/v1/moderations": moderations,
}
