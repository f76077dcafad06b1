"""OpenAI's chat completions and those that speak it: a request of the unified form as their body.

Law: usage is always asked for, and told to the caller only where it asked. What the members of the family do
differently is one value each (`_Family`). Sources: OpenAI's API reference, "Create chat completion"; Azure's
REST reference; openrouter.ai/docs, "Reasoning tokens".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias

import msgspec

from tokenone.dispatch.translate.arguments import arguments_object
from tokenone.dispatch.translate.form import (
    ChatRequest,
    Effort,
    Media,
    Output,
    Text,
    Thought,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
)
from tokenone.dispatch.translate.leaving import Leaving
from tokenone.dispatch.translate.machine import SseReader
from tokenone.dispatch.translate.openai_replies import OpenAIReading, read_error, read_reply
from tokenone.dispatch.translate.translation import Translation

Json: TypeAlias = dict[str, Any]
_SOUNDS: Final = {"audio/wav": "wav", "audio/mpeg": "mp3"}
_encoder: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Family:
    """What one member of the family does its own way."""

    name: str
    path: bytes
    lacks: tuple[str, ...] = ()
    max_tokens: str = "max_tokens"
    effort: Callable[[Effort], Json]
    thoughts: bool = False
    """Takes `reasoning_details` back."""


def write_request(family: _Family, request: ChatRequest, drop: bool) -> tuple[bytes, tuple[str, ...]]:
    """Returns the body and the names of what was left out."""
    leaving = Leaving(family.name, drop=drop)
    leaving.parameters(request, family.lacks)
    messages: list[Json] = []
    for at, turn in enumerate(request.turns):
        messages += _messages(family, turn, at, leaving)
    body: Json = {"model": request.model, "messages": messages}
    body |= _sampling(family, request)
    _tools(body, request)
    if request.output is not None:
        body["response_format"] = _format(request.output)
    if request.effort is not None and "reasoning_effort" not in family.lacks:
        body |= family.effort(request.effort)
    if request.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return _encoder.encode(body), leaving.settled()


# ── the conversation ───────────────────────────────────────────────────────────────────────────────────
def _messages(family: _Family, turn: Turn, at: int, leaving: Leaving) -> list[Json]:
    """Returns a turn's messages: each result is one of its own and stands before what else was said."""
    said: list[Json] = []
    content: list[Json] = []
    message: Json = {"role": turn.role}
    for part in turn.parts:
        if isinstance(part, ToolResult):
            said.append(_result(part, at, leaving))
        elif isinstance(part, ToolCall):
            message.setdefault("tool_calls", []).append(_call(part, at))
        elif isinstance(part, Thought):
            _think(family, message, part, at, leaving)
        elif (block := _block(part, at, leaving)) is not None:
            content.append(block)
    if content:
        alone = len(content) == 1 and content[0]["type"] == "text"
        message["content"] = content[0]["text"] if alone else content
    elif turn.role == "assistant":
        message["content"] = None
    if turn.role == "tool" or (said and not content):
        return said
    return [*said, message]


def _block(part: Text | Media, at: int, leaving: Leaving) -> Json | None:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if part.kind == "audio" and part.media_type in _SOUNDS and part.data is not None:
        sound = {"data": part.data, "format": _SOUNDS[part.media_type]}
        return {"type": "input_audio", "input_audio": sound}
    url = part.url if part.data is None else f"data:{part.media_type};base64,{part.data}"
    if part.kind == "image" and url is not None:
        image = {"url": url} if part.detail is None else {"url": url, "detail": part.detail}
        return {"type": "image_url", "image_url": image}
    if part.kind == "document" and part.data is not None:
        file = {"filename": part.name or "document.pdf", "file_data": url}
        return {"type": "file", "file": file}
    leaving.cannot(f"messages[{at}].content.{part.kind}")
    return None


def _call(part: ToolCall, at: int) -> Json:
    arguments = arguments_object(part.arguments, f"messages[{at}].tool_calls.function.arguments")
    function = {"name": part.name, "arguments": bytes(arguments).decode()}
    return {"id": part.id, "type": "function", "function": function}


def _result(part: ToolResult, at: int, leaving: Leaving) -> Json:
    texts = [one.text for one in part.parts if isinstance(one, Text)]
    if len(texts) != len(part.parts):
        leaving.cannot(f"messages[{at}].content.image")
    return {"role": "tool", "tool_call_id": part.id, "content": "".join(texts)}


def _think(family: _Family, message: Json, part: Thought, at: int, leaving: Leaving) -> None:
    if not family.thoughts:
        leaving.noted(f"messages[{at}].reasoning_details")
        return
    details = message.setdefault("reasoning_details", [])
    detail: Json = {"format": part.format, "index": len(details)}
    if part.sealed is not None:
        detail |= {"type": "reasoning.encrypted", "data": part.sealed}
    else:
        detail |= {"type": "reasoning.text", "text": part.text, "signature": part.signature}
    details.append(detail)


# ── parameters ─────────────────────────────────────────────────────────────────────────────────────────
def _sampling(family: _Family, request: ChatRequest) -> Json:
    told = {
        family.max_tokens: request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": None if "top_k" in family.lacks else request.top_k,
        "frequency_penalty": request.frequency_penalty,
        "presence_penalty": request.presence_penalty,
        "seed": request.seed,
        "stop": request.stop or None,
        "n": request.choices,
        "logprobs": request.logprobs or None,
        "top_logprobs": request.top_logprobs,
        "user": request.user,
        "metadata": request.metadata or None,
        "parallel_tool_calls": request.parallel_tools if request.tools else None,
    }
    return {name: value for name, value in told.items() if value is not None}


def _tools(body: Json, request: ChatRequest) -> None:
    if not request.tools:
        return
    body["tools"] = [{"type": "function", "function": _function(tool)} for tool in request.tools]
    choice = request.tool_choice
    if choice is not None and choice.mode == "one":
        body["tool_choice"] = {"type": "function", "function": {"name": choice.name}}
    elif choice is not None:
        body["tool_choice"] = choice.mode


def _function(tool: Tool) -> Json:
    told = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": tool.strict,
    }
    return {name: value for name, value in told.items() if value is not None}


def _format(output: Output) -> Json:
    if output.schema is None:
        return {"type": "json_object"}
    told = {
        "name": output.name,
        "schema": output.schema,
        "description": output.description,
        "strict": output.strict,
    }
    schema = {name: value for name, value in told.items() if value is not None}
    return {"type": "json_schema", "json_schema": schema}


def _openai_effort(effort: Effort) -> Json:
    return {"reasoning_effort": "xhigh" if effort == "max" else effort}


def _openrouter_effort(effort: Effort) -> Json:
    return {"reasoning": {"effort": "xhigh" if effort == "max" else effort}}


def _translation(family: _Family) -> Translation:
    return Translation(
        path=lambda _model, _stream: family.path,
        request=partial(write_request, family),
        reply=read_reply,
        stream=lambda: SseReader(OpenAIReading()),
        error=read_error,
    )


OPENAI: Final = _translation(
    _Family(
        name="OpenAI",
        path=b"/v1/chat/completions",
        lacks=("top_k",),
        max_tokens="max_completion_tokens",
        effort=_openai_effort,
    )
)
AZURE: Final = _translation(
    _Family(
        name="Azure OpenAI",
        path=b"/openai/v1/chat/completions",
        lacks=("top_k",),
        max_tokens="max_completion_tokens",
        effort=_openai_effort,
    )
)
OPENROUTER: Final = _translation(
    _Family(name="OpenRouter", path=b"/api/v1/chat/completions", effort=_openrouter_effort, thoughts=True)
)
CUSTOM: Final = _translation(
    _Family(name="this endpoint", path=b"/v1/chat/completions", effort=_openai_effort)
)
