"""Cohere's chat (v2): a request of the unified form as its body.

Law: the roles are OpenAI's, the parameters have names of their own; only Cohere's own thoughts and plans go back
to it. Source: docs.cohere.com/reference/chat; docs.cohere.com/docs/reasoning.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec

from tokenone.dispatch.translate.arguments import NO_PARAMETERS, arguments_object
from tokenone.dispatch.translate.cohere_replies import CohereReading, read_error, read_reply
from tokenone.dispatch.translate.form import (
    COHERE_FORMAT,
    PLAN_FORMAT,
    ChatRequest,
    Effort,
    Media,
    Part,
    Text,
    Thought,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
)
from tokenone.dispatch.translate.leaving import Leaving
from tokenone.dispatch.translate.machine import SseReader
from tokenone.dispatch.translate.translation import Translation

Json: TypeAlias = dict[str, Any]
_LACKS: Final = ("metadata", "n", "parallel_tool_calls", "top_logprobs", "user")
_BUDGETS: Final[dict[Effort, int]] = {"minimal": 1024, "low": 1024, "medium": 8192}
"""Tokens to think with; a higher effort is not bounded."""
_encoder: Final = msgspec.json.Encoder()


def write_request(request: ChatRequest, drop: bool) -> tuple[bytes, tuple[str, ...]]:
    """Returns the body and the names of what was left out."""
    leaving = Leaving("Cohere", drop=drop)
    leaving.parameters(request, _LACKS)
    body: Json = {
        "model": request.model,
        "messages": [one for at, turn in enumerate(request.turns) for one in _messages(turn, at, leaving)],
        "stream": request.stream,
    }
    body |= _sampling(request)
    _tools(body, request, leaving)
    if request.output is not None:
        body["response_format"] = {"type": "json_object"}
        if request.output.schema is not None:
            body["response_format"]["schema"] = request.output.schema
    _think(body, request, leaving)
    return _encoder.encode(body), leaving.settled()


# ── the conversation ───────────────────────────────────────────────────────────────────────────────────
def _messages(turn: Turn, at: int, leaving: Leaving) -> list[Json]:
    """Returns a turn's messages: one, but for a turn of several results."""
    results = [part for part in turn.parts if isinstance(part, ToolResult)]
    said = [_result(part, at, leaving) for part in results]
    if results and len(results) == len(turn.parts):
        return said
    message: Json = {"role": turn.role}
    content: list[Json] = []
    calls: list[Json] = []
    for part in turn.parts:
        if isinstance(part, ToolCall):
            calls.append(_call(part, at))
        elif isinstance(part, Thought) and part.format == PLAN_FORMAT:
            message["tool_plan"] = part.text
        elif (
            not isinstance(part, ToolResult) and (one := _WRITERS[type(part)](part, at, leaving)) is not None
        ):
            content.append(one)
    if content:
        alone = len(content) == 1 and content[0]["type"] == "text"
        message["content"] = content[0]["text"] if alone else content
    if calls:
        message["tool_calls"] = calls
    return [*said, message]


def _text(part: Text, _at: int, _leaving: Leaving) -> Json | None:
    return {"type": "text", "text": part.text}


def _media(part: Media, at: int, leaving: Leaving) -> Json | None:
    url = part.url if part.data is None else f"data:{part.media_type};base64,{part.data}"
    if part.kind != "image" or url is None:
        leaving.cannot(f"messages[{at}].content.{part.kind}")
        return None
    image: Json = {"url": url}
    if part.detail is not None:
        image["detail"] = part.detail
    return {"type": "image_url", "image_url": image}


def _thought(part: Thought, at: int, leaving: Leaving) -> Json | None:
    if part.format == COHERE_FORMAT:
        return {"type": "thinking", "thinking": part.text}
    leaving.noted(f"messages[{at}].reasoning_details")
    return None


_WRITERS: Final[dict[type[Part], Callable[[Any, int, Leaving], Json | None]]] = {
    Text: _text,
    Media: _media,
    Thought: _thought,
}


def _call(part: ToolCall, at: int) -> Json:
    arguments = arguments_object(part.arguments, f"messages[{at}].tool_calls.function.arguments")
    function = {"name": part.name, "arguments": bytes(arguments).decode()}
    return {"id": part.id, "type": "function", "function": function}


def _result(part: ToolResult, at: int, leaving: Leaving) -> Json:
    inner = [said for one in part.parts if (said := _WRITERS[type(one)](one, at, leaving)) is not None]
    text = [block["text"] for block in inner if block["type"] == "text"]
    if len(text) != len(inner):
        leaving.cannot(f"messages[{at}].content.image")
    return {"role": "tool", "tool_call_id": part.id, "content": "".join(text)}


# ── parameters ─────────────────────────────────────────────────────────────────────────────────────────
def _sampling(request: ChatRequest) -> Json:
    told = {
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "p": request.top_p,
        "k": request.top_k,
        "frequency_penalty": request.frequency_penalty,
        "presence_penalty": request.presence_penalty,
        "seed": request.seed,
        "stop_sequences": request.stop or None,
        "logprobs": request.logprobs or None,
    }
    return {name: value for name, value in told.items() if value is not None}


def _tools(body: Json, request: ChatRequest, leaving: Leaving) -> None:
    if not request.tools:
        return
    body["tools"] = [_tool(tool) for tool in request.tools]
    strict = [at for at, tool in enumerate(request.tools) if tool.strict]
    if len(strict) == len(request.tools):
        body["strict_tools"] = True
    else:  # it holds for all or none
        for at in strict:
            leaving.noted(f"tools[{at}].function.strict")
    choice = request.tool_choice
    if choice is None or choice.mode == "auto":
        return
    if choice.mode == "one" and len(request.tools) != 1:
        leaving.cannot("tool_choice")
    else:
        body["tool_choice"] = "NONE" if choice.mode == "none" else "REQUIRED"


def _tool(tool: Tool) -> Json:
    schema = NO_PARAMETERS if tool.parameters is None else tool.parameters
    function: Json = {"name": tool.name, "parameters": schema}
    if tool.description:
        function["description"] = tool.description
    return {"type": "function", "function": function}


def _think(body: Json, request: ChatRequest, leaving: Leaving) -> None:
    effort = request.effort
    if effort is None:
        return
    if "reasoning" not in request.model:
        if effort != "none":
            leaving.cannot("reasoning_effort")
        return
    body["thinking"] = {"type": "disabled" if effort == "none" else "enabled"}
    if effort in _BUDGETS:
        body["thinking"]["token_budget"] = _BUDGETS[effort]


def _path(_model: str, _stream: bool) -> bytes:
    return b"/v2/chat"


COHERE: Final = Translation(
    path=_path,
    request=write_request,
    reply=read_reply,
    stream=lambda: SseReader(CohereReading()),
    error=read_error,
)
