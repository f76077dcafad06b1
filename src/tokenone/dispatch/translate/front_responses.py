"""Reads an OpenAI responses body into the unified form.

Law: as for every front: one strict pass, what has no place is named. Nothing is kept between calls, so what refers
to an earlier response is refused by its name. A message's `type` may be left out, as OpenAI allows. Shapes:
OpenAI's API reference, "Create a model response".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from tokenone.dispatch.translate import front_responses_wire as wire
from tokenone.dispatch.translate.data_url import inline
from tokenone.dispatch.translate.form import (
    GEMINI_FORMAT,
    ChatRequest,
    Media,
    Output,
    Part,
    Role,
    Text,
    Thought,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from tokenone.dispatch.translate.reading import read_strictly

CALL_SEAL: Final = f"{GEMINI_FORMAT}/call:"
"""Begins the reasoning that carries the signature of the call behind it."""
SEALED: Final = "sealed"
SIGNED: Final = "signed"
ENCRYPTED: Final = "reasoning.encrypted_content"
_SPELLED: Final[Mapping[str, str]] = MappingProxyType(
    {"reasoning_effort": "reasoning.effort", "response_format": "text.format", "logprobs": "top_logprobs"}
)
_strict: Final = msgspec.json.Decoder(wire.Body)


def read_responses(body: bytes) -> ChatRequest:
    """Returns the request; raises MalformedBody for what is no request of a response."""
    found, unknown, hints = read_strictly(_strict, _typed(body), wire.SHAPES, "responses")
    reading = _Reading()
    turns = [] if found.instructions is None else [Turn("system", (Text(found.instructions),))]
    turns += reading.turns(found.input)
    return ChatRequest(
        model=found.model,
        turns=tuple(turns),
        tools=tuple([_tool(tool) for tool in found.tools or ()]),
        tool_choice=_tool_choice(found.tool_choice),
        parallel_tools=found.parallel_tool_calls,
        output=_output(found.text),
        effort=None if found.reasoning is None else found.reasoning.effort,
        max_tokens=found.max_output_tokens,
        temperature=found.temperature,
        top_p=found.top_p,
        logprobs=bool(found.top_logprobs),
        top_logprobs=found.top_logprobs,
        user=found.user,
        metadata=found.metadata,
        stream=bool(found.stream),
        asked_usage=True,
        unknown=(*unknown, *_asked_beyond(found), *reading.unknown),
        hints=hints,
        spelled=_SPELLED,
    )


def _typed(body: bytes) -> bytes:
    """Returns the body with `type: message` in items that have a role and no type."""
    if b'"role"' not in body:
        return body
    try:
        whole = msgspec.json.decode(body)
        items = whole["input"]
        plain = [one for one in items if isinstance(one, dict) and "role" in one and "type" not in one]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
        return body  # told where it is read
    for one in plain:
        one["type"] = "message"
    return msgspec.json.encode(whole) if plain else body


def _asked_beyond(body: wire.Body) -> list[str]:
    """Names the parameters without a place in the form whose value asks something."""
    asked = (
        ("background", bool(body.background)),
        ("include", any(one != ENCRYPTED for one in body.include or ())),
        ("service_tier", body.service_tier not in (None, "auto", "default")),
        ("store", bool(body.store)),
        ("truncation", body.truncation not in (None, "disabled")),
    )
    return [name for name, asks in asked if asks]


class _Reading:
    """What is remembered while the items are read; neighbours that an assistant said are one turn."""

    __slots__ = ("_at", "_said", "_signature", "_tools", "unknown")

    def __init__(self) -> None:
        self._at = -1
        self._said: list[Part] = []
        self._signature: str | None = None
        self._tools: dict[str, str] = {}
        self.unknown: list[str] = []

    def turns(self, given: str | list[Any]) -> list[Turn]:
        if isinstance(given, str):
            return [Turn("user", (Text(given),))]
        turns: list[Turn] = []
        for self._at, item in enumerate(given):
            role, parts = _ITEMS[type(item)](self, item)
            if role == "assistant":
                self._said += parts
                continue
            self._spoken(turns)
            turns.append(Turn(role, tuple(parts)))
        self._spoken(turns)
        return turns

    def _spoken(self, turns: list[Turn]) -> None:
        if self._said:
            turns.append(Turn("assistant", tuple(self._said)))
            self._said = []

    def message(self, item: wire.Message) -> tuple[Role, list[Part]]:
        role: Role = "system" if item.role == "developer" else item.role
        if isinstance(item.content, str):
            return role, [Text(item.content)]
        return role, [self.part(part) for part in item.content]

    def call(self, item: wire.FunctionCall) -> tuple[Role, list[Part]]:
        self._tools[item.call_id] = item.name
        signature, self._signature = self._signature, None
        return "assistant", [ToolCall(item.call_id, item.name, item.arguments, signature)]

    def output(self, item: wire.FunctionOutput) -> tuple[Role, list[Part]]:
        given = [wire.InputText(item.output)] if isinstance(item.output, str) else item.output
        parts = tuple([self.part(part) for part in given])
        return "tool", [ToolResult(item.call_id, parts, self._tools.get(item.call_id, ""))]

    def reasoning(self, item: wire.Reasoning) -> tuple[Role, list[Part]]:
        text = "".join([one.text for one in item.summary])
        told = item.encrypted_content or ""
        if told.startswith(CALL_SEAL):
            self._signature = told[len(CALL_SEAL) :]
            return "assistant", []
        format, _, rest = told.partition(":")
        kind, _, value = rest.partition(":")
        if kind == SEALED:
            return "assistant", [Thought(text, sealed=value, format=format)]
        if kind == SIGNED:
            return "assistant", [Thought(text, value or None, format=format)]
        return "assistant", [Thought(text)]  # OpenAI's own, which nobody else can read

    def part(self, part: wire.AnyPart) -> Text | Media:
        if isinstance(part, (wire.InputText, wire.OutputText)):
            return Text(part.text)
        if isinstance(part, wire.Refusal):
            return Text(part.refusal)
        if part.file_id is not None:
            self.unknown.append(f"input[{self._at}].content.file_id")
        if isinstance(part, wire.InputImage):
            return _media("image", part.image_url, None, part.detail)
        return _media("document", part.file_data or part.file_url, part.filename, None)


_ITEMS: Final[dict[type, Callable[[_Reading, Any], tuple[Role, list[Part]]]]] = {
    wire.Message: _Reading.message,
    wire.FunctionCall: _Reading.call,
    wire.FunctionOutput: _Reading.output,
    wire.Reasoning: _Reading.reasoning,
}


def _media(kind: Any, url: str | None, name: str | None, detail: str | None) -> Media:
    media_type, data = ("", None) if url is None else inline(url)
    if data is None:
        return Media(kind, url=url, name=name, detail=detail)
    return Media(kind, media_type, data, name=name, detail=detail)


def _tool(tool: wire.FunctionTool) -> Tool:
    parameters = None if bytes(tool.parameters) == b"null" else tool.parameters
    return Tool(tool.name, tool.description, parameters, tool.strict)


def _tool_choice(choice: Any) -> ToolChoice | None:
    if choice is None:
        return None
    return ToolChoice("one", choice.name) if isinstance(choice, wire.ChooseFunction) else ToolChoice(choice)


def _output(text: wire.TextOptions | None) -> Output | None:
    format = None if text is None else text.format
    if format is None or isinstance(format, wire.TextFormat):
        return None
    if isinstance(format, wire.JsonFormat):
        return Output()
    return Output(format.schema, format.name, format.description, format.strict)
