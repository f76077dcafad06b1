"""Bedrock's Converse: a request of the unified form as its body.

Law: turns alternate, so neighbours of one side are merged and results stand first; what Converse leaves to each
model goes into `additionalModelRequestFields` as that family spells it, and is refused where none is known.
Sources: docs.aws.amazon.com/bedrock, API reference "Converse"; user guide, "Structured outputs", "Reasoning".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec

from tokenone.dispatch.translate import bedrock_models as models
from tokenone.dispatch.translate.anthropic_replies import JSON_TOOL
from tokenone.dispatch.translate.arguments import NO_PARAMETERS, arguments_object
from tokenone.dispatch.translate.bedrock_replies import BedrockReader, read_error, read_reply
from tokenone.dispatch.translate.form import (
    BEDROCK_FORMAT,
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
from tokenone.dispatch.translate.segment import segment
from tokenone.dispatch.translate.translation import Translation

Json: TypeAlias = dict[str, Any]
_LACKS: Final = (
    "frequency_penalty", "logprobs", "n", "parallel_tool_calls", "presence_penalty", "seed", "top_logprobs",
    "user",
)  # fmt: skip
_IMAGES: Final = {"image/png": "png", "image/jpeg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
_DOCUMENTS: Final = {
    "application/pdf": "pdf", "text/csv": "csv", "text/html": "html", "text/plain": "txt",
    "text/markdown": "md", "application/msword": "doc", "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
}  # fmt: skip
_UNNAMED: Final = re.compile(r"[^A-Za-z0-9()\[\] -]+")
_LONGEST_NAME: Final = 200
_encoder: Final = msgspec.json.Encoder()


def write_request(request: ChatRequest, drop: bool) -> tuple[bytes, tuple[str, ...]]:
    """Returns the body and the names of what was left out."""
    leaving = Leaving("Bedrock", drop=drop)
    leaving.parameters(request, _LACKS)
    body: Json = {}
    _Conversation(leaving).write(body, request.turns)
    _tools(body, request, leaving)
    _structure(body, request, leaving)
    models.think(body, request, leaving)
    _sample(body, request, leaving)
    if request.metadata:
        body["requestMetadata"] = request.metadata
    return _encoder.encode(body), leaving.settled()


# ── the conversation ───────────────────────────────────────────────────────────────────────────────────
class _Conversation:
    """Writes the turns; remembers where it is, and how many documents were named."""

    __slots__ = ("_at", "_documents", "_leaving")

    def __init__(self, leaving: Leaving) -> None:
        self._leaving = leaving
        self._at = self._documents = 0

    def write(self, body: Json, turns: tuple[Turn, ...]) -> None:
        system: list[Json] = []
        messages: list[Json] = []
        side = ""
        for self._at, turn in enumerate(turns):
            blocks = [said for part in turn.parts if (said := _WRITERS[type(part)](self, part)) is not None]
            if turn.role == "system":
                if messages:  # only a leading system message means the same here
                    self._leaving.cannot(f"messages[{self._at}].role")
                system += blocks
                continue
            now = "assistant" if turn.role == "assistant" else "user"
            if now == side:
                messages[-1]["content"] += blocks
            else:
                messages.append({"role": now, "content": blocks})
            side = now
        if system:
            body["system"] = system
        for message in messages:
            message["content"].sort(key=_results_first)
        body["messages"] = messages

    def text(self, part: Text) -> Json | None:
        return {"text": part.text} if part.text else None  # empty blocks are refused

    def media(self, part: Media) -> Json | None:
        if part.detail not in (None, "auto"):
            self._leaving.noted(f"messages[{self._at}].content.image_url.detail")
        known = {"image": _IMAGES, "document": _DOCUMENTS}.get(part.kind, {}).get(part.media_type)
        if known is None or part.data is None:  # Converse fetches nothing from the web
            self._leaving.cannot(f"messages[{self._at}].content.{part.kind}")
            return None
        block: Json = {"format": known, "source": {"bytes": part.data}}
        if part.kind == "document":
            block["name"] = self._document_name(part.name)
        return {part.kind: block}

    def _document_name(self, given: str | None) -> str:
        """Returns a name of the characters that Converse allows; names are not told twice."""
        self._documents += 1
        stem = " ".join(_UNNAMED.sub(" ", (given or "").rpartition(".")[0] or given or "").split())
        return f"{stem} {self._documents}"[-_LONGEST_NAME:] if stem else f"document {self._documents}"

    def thought(self, part: Thought) -> Json | None:
        if part.format != BEDROCK_FORMAT:
            self._leaving.noted(f"messages[{self._at}].reasoning_details")
            return None
        if part.sealed is not None:
            return {"reasoningContent": {"redactedContent": part.sealed}}
        said: Json = {"text": part.text}
        if part.signature is not None:
            said["signature"] = part.signature
        return {"reasoningContent": {"reasoningText": said}}

    def call(self, part: ToolCall) -> Json:
        arguments = arguments_object(part.arguments, f"messages[{self._at}].tool_calls.function.arguments")
        return {"toolUse": {"toolUseId": part.id, "name": part.name, "input": arguments}}

    def result(self, part: ToolResult) -> Json:
        inner = [said for one in part.parts if (said := _WRITERS[type(one)](self, one)) is not None]
        told: Json = {"toolUseId": part.id, "content": inner}
        if part.failed:
            told["status"] = "error"
        return {"toolResult": told}


_WRITERS: Final[dict[type[Part], Callable[[_Conversation, Any], Json | None]]] = {
    Text: _Conversation.text,
    Media: _Conversation.media,
    Thought: _Conversation.thought,
    ToolCall: _Conversation.call,
    ToolResult: _Conversation.result,
}


def _results_first(block: Json) -> bool:
    """Orders a user turn as Converse demands; everything else stays in its order."""
    return "toolResult" not in block


# ── parameters ─────────────────────────────────────────────────────────────────────────────────────────
def _tools(body: Json, request: ChatRequest, leaving: Leaving) -> None:
    if not request.tools:
        return
    choice = request.tool_choice
    if choice is not None and choice.mode == "none":  # there is no such choice; without a call, no tools
        if not any(type(part) is ToolCall for turn in request.turns for part in turn.parts):
            return
        leaving.cannot("tool_choice")
    config: Json = {
        "tools": [_tool(tool, at, request.model, leaving) for at, tool in enumerate(request.tools)]
    }
    if choice is not None and choice.mode == "required":
        config["toolChoice"] = {"any": {}}
    elif choice is not None and choice.mode == "one":
        config["toolChoice"] = {"tool": {"name": choice.name}}
    body["toolConfig"] = config


def _tool(tool: Tool, at: int, model: str, leaving: Leaving) -> Json:
    schema = NO_PARAMETERS if tool.parameters is None else tool.parameters
    spec: Json = {"name": tool.name, "inputSchema": {"json": schema}}
    if tool.description:
        spec["description"] = tool.description
    if tool.strict and models.structures(model):
        spec["strict"] = True
    elif tool.strict:
        leaving.noted(f"tools[{at}].function.strict")
    return {"toolSpec": spec}


def _structure(body: Json, request: ChatRequest, leaving: Leaving) -> None:
    """Asks for JSON by schema: as output format where the model has it, else by a tool that must be called."""
    output = request.output
    if output is None:
        return
    if output.schema is None:  # there is no mode for "any JSON"
        leaving.cannot("response_format")
    elif models.structures(request.model):
        schema: Json = {"schema": bytes(output.schema).decode(), "name": output.name}
        if output.description:
            schema["description"] = output.description
        text = {"type": "json_schema", "structure": {"jsonSchema": schema}}
        body["outputConfig"] = {"textFormat": text}
    elif request.tools or request.effort not in (None, "none") or not models.chooses(request.model):
        leaving.cannot("response_format")
    else:
        asked = Tool(JSON_TOOL, output.description or "Answer by calling this.", output.schema)
        tool = _tool(asked, 0, request.model, leaving)
        body["toolConfig"] = {"tools": [tool], "toolChoice": {"tool": {"name": JSON_TOOL}}}


def _sample(body: Json, request: ChatRequest, leaving: Leaving) -> None:
    told = {
        "maxTokens": request.max_tokens,
        "temperature": request.temperature,
        "topP": request.top_p,
        "stopSequences": request.stop or None,
    }
    config = {name: value for name, value in told.items() if value is not None}
    body.setdefault("inferenceConfig", {}).update(config)
    if request.top_k is not None:
        models.top_k(body, request, leaving)
    if not body["inferenceConfig"]:
        del body["inferenceConfig"]


def _path(model: str, stream: bool) -> bytes:
    verb = b"/converse-stream" if stream else b"/converse"
    return b"/model/" + segment(model) + verb


BEDROCK: Final = Translation(
    path=_path, request=write_request, reply=read_reply, stream=BedrockReader, error=read_error
)
