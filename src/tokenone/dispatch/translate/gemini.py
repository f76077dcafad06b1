"""Gemini's generateContent: a request of the unified form as its body, for the Gemini API and for Vertex.

Law: turns alternate, so neighbours of one side are merged; a result names its function, since Gemini matches by
name; only Gemini's own thoughts go back to it, and a call keeps its signature. Sources: ai.google.dev/api,
"Generating content"; ai.google.dev/gemini-api/docs, "Thought signatures", "Thinking", "Structured outputs".
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Final, TypeAlias

import msgspec

from tokenone.dispatch.translate.arguments import arguments_object
from tokenone.dispatch.translate.form import (
    GEMINI_FORMAT,
    ChatRequest,
    Effort,
    Media,
    Part,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    Turn,
)
from tokenone.dispatch.translate.gemini_replies import GeminiReading, read_error, read_reply
from tokenone.dispatch.translate.gemini_schema import cleaned
from tokenone.dispatch.translate.leaving import Leaving
from tokenone.dispatch.translate.machine import SseReader
from tokenone.dispatch.translate.segment import segment
from tokenone.dispatch.translate.translation import Translation
from tokenone.errors import MalformedBody

Json: TypeAlias = dict[str, Any]
_LACKS: Final = ("metadata", "parallel_tool_calls", "user")
_SIGNED_ELSEWHERE: Final = base64.b64encode(b"skip_thought_signature_validator").decode()
"""Stands for the signature of a call that another model made ("Thought signatures", FAQ)."""
_BUDGETS: Final[dict[Effort, int]] = {
    "none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576,
}  # fmt: skip
"""As Google's OpenAI-compatible endpoint maps efforts (ai.google.dev/gemini-api/docs/openai)."""
_LEVELS: Final[dict[Effort, str]] = {
    "minimal": "minimal", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high",
}  # fmt: skip
_MODES: Final = {"auto": "AUTO", "none": "NONE", "required": "ANY", "one": "ANY"}
_TYPES: Final = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp", "gif": "image/gif",
    "heic": "image/heic", "heif": "image/heif", "pdf": "application/pdf", "txt": "text/plain",
}  # fmt: skip
_GENERATION: Final = re.compile(r"gemini-(\d+)(?:\.(\d+))?")
_encoder: Final = msgspec.json.Encoder()


@lru_cache(maxsize=256)
def generation(model: str) -> tuple[int, int]:
    """Returns major and minor of the generation a name tells; an alias is taken for the newest."""
    found = _GENERATION.search(model)
    return (99, 0) if found is None else (int(found[1]), int(found[2] or 0))


def write_request(vertex: bool, request: ChatRequest, drop: bool) -> tuple[bytes, tuple[str, ...]]:
    """Returns the body and the names of what was left out. Vertex knows no ids of calls."""
    leaving = Leaving("Vertex" if vertex else "Gemini", drop=drop)
    leaving.parameters(request, _LACKS)
    body: Json = {}
    _Conversation(request.model, leaving, ids=not vertex).write(body, request.turns)
    _tools(body, request, leaving)
    config = _sampling(request)
    _structure(config, request, leaving)
    _think(config, request, leaving)
    if config:
        body["generationConfig"] = config
    return _encoder.encode(body), leaving.settled()


# ── the conversation ───────────────────────────────────────────────────────────────────────────────────
class _Conversation:
    """Writes the turns; remembers where it is, to name what has to be left out."""

    __slots__ = ("_at", "_ids", "_leaving", "_third")

    def __init__(self, model: str, leaving: Leaving, *, ids: bool) -> None:
        self._leaving = leaving
        self._ids = ids
        self._third = generation(model) >= (3, 0)
        self._at = 0

    def write(self, body: Json, turns: tuple[Turn, ...]) -> None:
        system: list[Json] = []
        contents: list[Json] = []
        side = ""
        for self._at, turn in enumerate(turns):
            parts = self._parts(turn)
            if turn.role == "system":
                if contents:  # only a leading system message means the same here
                    self._leaving.cannot(f"messages[{self._at}].role")
                system += parts
                continue
            now = "model" if turn.role == "assistant" else "user"
            if now == side:
                contents[-1]["parts"] += parts
            else:
                contents.append({"role": now, "parts": parts})
            side = now
        if system:
            body["systemInstruction"] = {"parts": system}
        body["contents"] = contents

    def _parts(self, turn: Turn) -> list[Json]:
        parts: list[Json] = []
        seals: list[str] = []
        for part in turn.parts:
            if isinstance(part, Thought) and part.format == GEMINI_FORMAT and part.sealed:
                seals.append(part.sealed)
            elif (written := _WRITERS[type(part)](self, part)) is not None:
                parts.append(written)
        _put_seals(parts, seals)
        calls = [part for part in parts if "functionCall" in part]
        if self._third and calls and not any("thoughtSignature" in call for call in calls):
            calls[0]["thoughtSignature"] = _SIGNED_ELSEWHERE
        return parts

    def text(self, part: Text) -> Json | None:
        return {"text": part.text} if part.text else None

    def media(self, part: Media) -> Json | None:
        if part.detail not in (None, "auto"):
            self._leaving.noted(f"messages[{self._at}].content.image_url.detail")
        if part.data is not None:
            return {"inlineData": {"mimeType": part.media_type, "data": part.data}}
        if part.url is None:
            self._leaving.cannot(f"messages[{self._at}].content.{part.kind}")
            return None
        file: Json = {"fileUri": part.url}
        ending = part.url.partition("?")[0].rpartition(".")[2].lower()
        if ending in _TYPES:
            file["mimeType"] = _TYPES[ending]
        return {"fileData": file}

    def thought(self, part: Thought) -> Json | None:
        if part.format != GEMINI_FORMAT:
            self._leaving.noted(f"messages[{self._at}].reasoning_details")
            return None
        written: Json = {"text": part.text, "thought": True}
        if part.signature is not None:
            written["thoughtSignature"] = part.signature
        return written

    def call(self, part: ToolCall) -> Json:
        arguments = arguments_object(part.arguments, f"messages[{self._at}].tool_calls.function.arguments")
        named = {"id": part.id, "name": part.name} if self._ids else {"name": part.name}
        written: Json = {"functionCall": {**named, "args": arguments}}
        if part.signature is not None:
            written["thoughtSignature"] = part.signature
        return written

    def result(self, part: ToolResult) -> Json:
        if not part.name:
            raise MalformedBody(f"`messages[{self._at}].tool_call_id` is of no call before it")
        text = "".join([one.text for one in part.parts if isinstance(one, Text)])
        response: Json = {"error" if part.failed else "output": text}
        written: Json = {"name": part.name, "response": response}
        if self._ids:
            written["id"] = part.id
        media = [one for one in part.parts if isinstance(one, Media)]
        if media and not self._third:  # results with media came with Gemini 3
            self._leaving.cannot(f"messages[{self._at}].content.{media[0].kind}")
        elif media:
            written["parts"] = [said for one in media if (said := self.media(one))]
        return {"functionResponse": written}


_WRITERS: Final[dict[type[Part], Callable[[_Conversation, Any], Json | None]]] = {
    Text: _Conversation.text,
    Media: _Conversation.media,
    Thought: _Conversation.thought,
    ToolCall: _Conversation.call,
    ToolResult: _Conversation.result,
}


def _put_seals(parts: list[Json], seals: list[str]) -> None:
    """Puts signatures without a thought where they came from: on the last texts, or on empty ones."""
    texts = [part for part in parts if "text" in part and "thought" not in part]
    for seal in seals:
        if texts:
            texts.pop()["thoughtSignature"] = seal
        else:
            parts.append({"text": "", "thoughtSignature": seal})


# ── parameters ─────────────────────────────────────────────────────────────────────────────────────────
def _tools(body: Json, request: ChatRequest, leaving: Leaving) -> None:
    if not request.tools:
        return
    declared: list[Json] = []
    for at, tool in enumerate(request.tools):
        function: Json = {"name": tool.name, "description": tool.description or ""}
        if tool.parameters is not None:
            function["parametersJsonSchema"], lost = cleaned(
                tool.parameters, f"tools[{at}].function.parameters"
            )
            for name in lost:
                leaving.noted(name)
        if tool.strict:
            leaving.noted(f"tools[{at}].function.strict")
        declared.append(function)
    body["tools"] = [{"functionDeclarations": declared}]
    choice = request.tool_choice
    if choice is not None:
        config: Json = {"mode": _MODES[choice.mode]}
        if choice.mode == "one":
            config["allowedFunctionNames"] = [choice.name]
        body["toolConfig"] = {"functionCallingConfig": config}


def _sampling(request: ChatRequest) -> Json:
    told = {
        "maxOutputTokens": request.max_tokens,
        "temperature": request.temperature,
        "topP": request.top_p,
        "topK": request.top_k,
        "frequencyPenalty": request.frequency_penalty,
        "presencePenalty": request.presence_penalty,
        "seed": request.seed,
        "stopSequences": request.stop or None,
        "candidateCount": request.choices,
        "responseLogprobs": request.logprobs or None,
        "logprobs": request.top_logprobs,
    }
    return {name: value for name, value in told.items() if value is not None}


def _structure(config: Json, request: ChatRequest, leaving: Leaving) -> None:
    if request.output is None:
        return
    config["responseMimeType"] = "application/json"
    if request.output.schema is not None:
        place = "response_format.json_schema.schema"
        config["responseJsonSchema"], lost = cleaned(request.output.schema, place)
        for name in lost:
            leaving.cannot(name)


def _think(config: Json, request: ChatRequest, leaving: Leaving) -> None:
    effort = request.effort
    if effort is None:
        return
    found = generation(request.model)
    if found < (2, 5) or (found >= (3, 0) and effort == "none"):  # from 3 on it cannot be switched off
        leaving.cannot("reasoning_effort")
    elif found >= (3, 0):
        config["thinkingConfig"] = {"thinkingLevel": _LEVELS[effort], "includeThoughts": True}
    else:
        shown = {} if effort == "none" else {"includeThoughts": True}
        config["thinkingConfig"] = {"thinkingBudget": _BUDGETS[effort], **shown}


def generate_path(prefix: bytes, model: str, stream: bool) -> bytes:
    """Returns the path below `prefix`; a stream is asked for as events."""
    verb = b":streamGenerateContent?alt=sse" if stream else b":generateContent"
    return prefix + segment(model.removeprefix("models/")) + verb


GEMINI: Final = Translation(
    path=partial(generate_path, b"/v1beta/models/"),
    request=partial(write_request, False),
    reply=read_reply,
    stream=lambda: SseReader(GeminiReading()),
    error=read_error,
)
