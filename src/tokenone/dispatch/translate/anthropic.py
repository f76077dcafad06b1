"""Anthropic's Messages API (version 2023-06-01): a request of the unified form as its body.

Law: turns alternate, so neighbours of one side are merged and the results of parallel calls stand first in one
user turn; only Anthropic's own signed thoughts go back to it. `max_tokens` is always sent, since it is required.
Sources: platform.claude.com/docs, "Messages", "Structured outputs", "Extended thinking", "Adaptive thinking".
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec

from tokenone.dispatch.translate import anthropic_models as models
from tokenone.dispatch.translate.anthropic_replies import JSON_TOOL, AnthropicReading, read_error, read_reply
from tokenone.dispatch.translate.arguments import NO_PARAMETERS, arguments_object
from tokenone.dispatch.translate.form import (
    ANTHROPIC_FORMAT,
    ChatRequest,
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

Block: TypeAlias = dict[str, Any]
DEFAULT_TOKENS: Final = 4096
DEFAULT_TOKENS_THINKING: Final = 16384
_LACKS: Final = (
    "frequency_penalty", "logprobs", "metadata", "n", "presence_penalty", "seed", "top_logprobs",
)  # fmt: skip
_encoder: Final = msgspec.json.Encoder()


def write_request(request: ChatRequest, drop: bool) -> tuple[bytes, tuple[str, ...]]:
    """Returns the body and the names of what was left out."""
    body, left = message_body(request, drop)
    return _encoder.encode(body), left


def message_body(request: ChatRequest, drop: bool) -> tuple[Block, tuple[str, ...]]:
    """Returns the members of the body and the names of what was left out."""
    leaving = Leaving("Anthropic", drop=drop)
    leaving.parameters(request, _LACKS)
    body: Block = {"model": request.model, "max_tokens": request.max_tokens or DEFAULT_TOKENS}
    _converse(body, request, leaving)
    _sample(body, request)
    _tools(body, request, leaving)
    _structure(body, request, leaving)
    _think(body, request, leaving)
    if request.user is not None:
        body["metadata"] = {"user_id": request.user}
    if request.stream:
        body["stream"] = True
    return body, leaving.settled()


# ── the conversation ───────────────────────────────────────────────────────────────────────────────────
def _converse(body: Block, request: ChatRequest, leaving: Leaving) -> None:
    system: list[Block] = []
    messages: list[Block] = []
    side = ""
    for at, turn in enumerate(request.turns):
        if turn.role == "system":
            if messages:  # only a leading system message means the same here
                leaving.cannot(f"messages[{at}].role")
            system += _blocks(turn, at, leaving)
            continue
        blocks = _blocks(turn, at, leaving)
        now = "assistant" if turn.role == "assistant" else "user"
        if now == side:
            messages[-1]["content"] += blocks
        else:
            messages.append({"role": now, "content": blocks})
        side = now
    if system:
        body["system"] = system
    for message in messages:
        if message["role"] == "user":
            message["content"].sort(key=_results_first)
    body["messages"] = messages


def _results_first(block: Block) -> bool:
    """Orders a user turn as the API demands; everything else stays in its order."""
    return bool(block["type"] != "tool_result")


def _blocks(turn: Turn, at: int, leaving: Leaving) -> list[Block]:
    blocks: list[Block] = []
    for part in turn.parts:
        block = _WRITERS[type(part)](part, at, leaving)
        if block is not None:
            blocks.append(block)
    return blocks


def _text(part: Text, _at: int, _leaving: Leaving) -> Block | None:
    return {"type": "text", "text": part.text} if part.text else None  # empty blocks are refused


def _media(part: Media, at: int, leaving: Leaving) -> Block | None:
    if part.detail not in (None, "auto"):
        leaving.noted(f"messages[{at}].content.image_url.detail")
    source = _source(part)
    if source is None:
        leaving.cannot(f"messages[{at}].content.{part.kind}")
        return None
    block: Block = {"type": part.kind, "source": source}
    if part.name and part.kind == "document":
        block["title"] = part.name
    return block


def _source(part: Media) -> Block | None:
    if part.kind == "audio":
        return None
    if part.url is not None:
        return {"type": "url", "url": part.url}
    if part.data is None:
        return None
    if part.kind == "document" and part.media_type.startswith("text/"):
        try:
            text = base64.b64decode(part.data, validate=True).decode()
        except (binascii.Error, ValueError):
            return None
        return {"type": "text", "media_type": "text/plain", "data": text}
    if part.kind == "document" and part.media_type != "application/pdf":
        return None
    return {"type": "base64", "media_type": part.media_type, "data": part.data}


def _thought(part: Thought, at: int, leaving: Leaving) -> Block | None:
    if part.format == ANTHROPIC_FORMAT and part.sealed:
        return {"type": "redacted_thinking", "data": part.sealed}
    if part.format == ANTHROPIC_FORMAT and part.signature:
        return {"type": "thinking", "thinking": part.text, "signature": part.signature}
    leaving.noted(f"messages[{at}].reasoning_details")
    return None


def _call(part: ToolCall, at: int, _leaving: Leaving) -> Block:
    arguments = arguments_object(part.arguments, f"messages[{at}].tool_calls.function.arguments")
    return {"type": "tool_use", "id": part.id, "name": part.name, "input": arguments}


def _result(part: ToolResult, at: int, leaving: Leaving) -> Block:
    block: Block = {"type": "tool_result", "tool_use_id": part.id}
    inner = [said for one in part.parts if (said := _WRITERS[type(one)](one, at, leaving))]
    if inner:
        block["content"] = inner
    if part.failed:
        block["is_error"] = True
    return block


_WRITERS: Final[dict[type[Part], Callable[[Any, int, Leaving], Block | None]]] = {
    Text: _text,
    Media: _media,
    Thought: _thought,
    ToolCall: _call,
    ToolResult: _result,
}


# ── parameters ─────────────────────────────────────────────────────────────────────────────────────────
def _sample(body: Block, request: ChatRequest) -> None:
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.top_p is not None:
        body["top_p"] = request.top_p
    if request.top_k is not None:
        body["top_k"] = request.top_k
    if request.stop:
        body["stop_sequences"] = request.stop


def _tools(body: Block, request: ChatRequest, leaving: Leaving) -> None:
    if not request.tools:
        return
    body["tools"] = [_tool(tool, at, request.model, leaving) for at, tool in enumerate(request.tools)]
    choice, alone = request.tool_choice, request.parallel_tools is False
    if choice is None and not alone:
        return
    mode = "auto" if choice is None else choice.mode
    chosen: Block = {"type": {"required": "any", "one": "tool"}.get(mode, mode)}
    if choice is not None and mode == "one":
        chosen["name"] = choice.name
    if alone and mode != "none":
        chosen["disable_parallel_tool_use"] = True
    body["tool_choice"] = chosen


def _tool(tool: Tool, at: int, model: str, leaving: Leaving) -> Block:
    schema = NO_PARAMETERS if tool.parameters is None else tool.parameters
    written: Block = {"name": tool.name, "input_schema": schema}
    if tool.description:
        written["description"] = tool.description
    if tool.strict and models.structures(model):
        written["strict"] = True
    elif tool.strict:
        leaving.noted(f"tools[{at}].function.strict")
    return written


def _structure(body: Block, request: ChatRequest, leaving: Leaving) -> None:
    """Asks for JSON by schema: as output format where the model has it, else by a tool that must be called."""
    output = request.output
    if output is None:
        return
    if output.schema is None:  # there is no mode for "any JSON"
        leaving.cannot("response_format")
    elif models.structures(request.model):
        body.setdefault("output_config", {})["format"] = {"type": "json_schema", "schema": output.schema}
    elif request.tools or request.effort not in (None, "none"):
        leaving.cannot("response_format")
    else:
        asked = Tool(JSON_TOOL, output.description or "Answer by calling this.", output.schema)
        body["tools"] = [_tool(asked, 0, request.model, leaving)]
        body["tool_choice"] = {"type": "tool", "name": JSON_TOOL}


def _think(body: Block, request: ChatRequest, leaving: Leaving) -> None:
    effort = request.effort
    if effort is None:
        return
    if effort == "none":
        if models.thinks(request.model):
            body["thinking"] = {"type": "disabled"}
        return
    if models.adapts(request.model):
        body["thinking"] = models.adaptive(request.model)
        body.setdefault("output_config", {})["effort"] = models.level(request.model, effort)
        body["max_tokens"] = request.max_tokens or DEFAULT_TOKENS_THINKING
        return
    most = request.max_tokens or DEFAULT_TOKENS_THINKING
    if not models.thinks(request.model) or most <= models.LEAST_BUDGET:
        leaving.cannot("reasoning_effort")
        return
    body["max_tokens"] = most
    body["thinking"] = {"type": "enabled", "budget_tokens": models.budget(effort, most)}
    _incompatible(body, leaving)


def _incompatible(body: Block, leaving: Leaving) -> None:
    """A budget for thinking excludes sampling parameters and forced tools ("Extended thinking", feature
    compatibility)."""
    for name in ("temperature", "top_k"):
        if name in body and not (name == "temperature" and body[name] == 1):
            leaving.cannot(name)
            del body[name]
    if body.get("tool_choice", {}).get("type") in ("any", "tool"):
        leaving.cannot("tool_choice")
        del body["tool_choice"]


def _path(_model: str, _stream: bool) -> bytes:
    return b"/v1/messages"


ANTHROPIC: Final = Translation(
    path=_path,
    request=write_request,
    reply=read_reply,
    stream=lambda: SseReader(AnthropicReading()),
    error=read_error,
    headers=[(b"anthropic-version", b"2023-06-01")],  # the last that takes sampling parameters
)
