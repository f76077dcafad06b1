"""Reads an OpenAI chat-completions body into the unified form.

Law: one typed, strict pass; a body with members that the form has no place for is read again and each of them is
named, none ignored. A refusal names where in the body, never what stood there. Shapes: OpenAI's API reference,
"Create chat completion"; the carriers of reasoning are OpenRouter's `reasoning_details` and Google's
`extra_content` (docs/spec/unified.md, section 4).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from tokenone.dispatch.translate import front_chat_wire as wire
from tokenone.dispatch.translate.data_url import inline
from tokenone.dispatch.translate.form import (
    UNSIGNED_FORMAT,
    ChatRequest,
    Media,
    Output,
    Part,
    Text,
    Thought,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from tokenone.dispatch.translate.reading import read_strictly

_strict: Final = msgspec.json.Decoder(wire.Body)
_SOUNDS: Final = {"wav": "audio/wav", "mp3": "audio/mpeg"}


def read_chat(body: bytes) -> ChatRequest:
    """Returns the request; raises MalformedBody for what is no chat request."""
    found, unknown, hints = read_strictly(_strict, body, wire.SHAPES, "chat completions")
    return _form(found, unknown, hints)


def _form(body: wire.Body, unknown: tuple[str, ...], hints: tuple[str, ...]) -> ChatRequest:
    reading = _Reading()
    turns = tuple([_TURNS[type(message)](reading, message) for message in body.messages])
    options = body.stream_options
    return ChatRequest(
        model=body.model,
        turns=turns,
        tools=tuple([_tool(tool) for tool in body.tools or ()]),
        tool_choice=_tool_choice(body.tool_choice),
        parallel_tools=body.parallel_tool_calls,
        output=_output(body.response_format),
        effort=body.reasoning_effort,
        max_tokens=body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        frequency_penalty=body.frequency_penalty,
        presence_penalty=body.presence_penalty,
        seed=body.seed,
        stop=(body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ()),
        choices=body.n,
        logprobs=bool(body.logprobs),
        top_logprobs=body.top_logprobs,
        user=body.user,
        metadata=body.metadata,
        stream=bool(body.stream),
        asked_usage=bool(options and options.include_usage),
        unknown=(*unknown, *_asked_beyond(body), *reading.unknown),
        hints=hints,
    )


def _asked_beyond(body: wire.Body) -> list[str]:
    """Names the parameters without a place in the form whose value asks something."""
    asked = (
        ("logit_bias", bool(body.logit_bias)),
        ("modalities", body.modalities not in (None, ["text"])),
        ("service_tier", body.service_tier not in (None, "auto", "default")),
        ("store", bool(body.store)),
    )
    return [name for name, asks in asked if asks]


class _Reading:
    """What is remembered while the messages are read: which call belongs to which tool, and what has no place."""

    __slots__ = ("at", "tools", "unknown")

    def __init__(self) -> None:
        self.at = -1
        self.tools: dict[str, str] = {}
        self.unknown: list[str] = []

    def name(self, given: str | None) -> None:
        """Counts one message; a participant's name has no counterpart elsewhere."""
        self.at += 1
        if given is not None:
            self.unknown.append(f"messages[{self.at}].name")


def _system(reading: _Reading, message: wire.System | wire.Developer) -> Turn:
    reading.name(message.name)
    return Turn("system", _texts(message.content))


def _user(reading: _Reading, message: wire.User) -> Turn:
    reading.name(message.name)
    content = message.content
    if isinstance(content, str):
        return Turn("user", (Text(content),))
    return Turn("user", tuple([_PARTS[type(part)](reading, part) for part in content]))


def _assistant(reading: _Reading, message: wire.Assistant) -> Turn:
    reading.name(message.name)
    parts: list[Part] = _thoughts(message)
    if message.content:
        parts += _texts(message.content)
    if message.refusal:
        parts.append(Text(message.refusal))
    for call in message.tool_calls or ():
        function = call.function
        reading.tools[call.id] = function.name
        parts.append(ToolCall(call.id, function.name, function.arguments, _signature(call)))
    for name in ("audio", "function_call"):
        if getattr(message, name) is not None:
            reading.unknown.append(f"messages[{reading.at}].{name}")
    return Turn("assistant", tuple(parts))


def _result(reading: _Reading, message: wire.ToolMessage) -> Turn:
    reading.at += 1
    content, call = message.content, message.tool_call_id
    parts: tuple[Any, ...] = (
        (Text(content),)
        if isinstance(content, str)
        else tuple([_PARTS[type(part)](reading, part) for part in content])
    )
    return Turn("tool", (ToolResult(call, parts, reading.tools.get(call, "")),))


_TURNS: Final[dict[type, Callable[[_Reading, Any], Turn]]] = {
    wire.System: _system,
    wire.Developer: _system,
    wire.User: _user,
    wire.Assistant: _assistant,
    wire.ToolMessage: _result,
}


def _texts(content: str | list[Any]) -> tuple[Text, ...]:
    if isinstance(content, str):
        return (Text(content),)
    return tuple([Text(part.text if isinstance(part, wire.TextPart) else part.refusal) for part in content])


def _text(_reading: _Reading, part: wire.TextPart) -> Text:
    return Text(part.text)


def _image(_reading: _Reading, part: wire.ImagePart) -> Media:
    media_type, data = inline(part.image_url.url)
    detail = part.image_url.detail
    if data is None:
        return Media("image", url=part.image_url.url, detail=detail)
    return Media("image", media_type, data, detail=detail)


def _file(reading: _Reading, part: wire.FilePart) -> Media:
    file = part.file
    if file.file_data is None:  # an id means something to the provider that made it alone
        reading.unknown.append(f"messages[{reading.at}].content.file.file_id")
        return Media("document", name=file.filename)
    media_type, data = inline(file.file_data)
    if data is None:
        return Media("document", url=file.file_data, name=file.filename)
    return Media("document", media_type, data, name=file.filename)


def _sound(_reading: _Reading, part: wire.AudioPart) -> Media:
    return Media("audio", _SOUNDS[part.input_audio.format], part.input_audio.data)


_PARTS: Final[dict[type, Callable[[_Reading, Any], Text | Media]]] = {
    wire.TextPart: _text,
    wire.ImagePart: _image,
    wire.FilePart: _file,
    wire.AudioPart: _sound,
}


def _thoughts(message: wire.Assistant) -> list[Part]:
    """Returns what the message carries of a model's reasoning, the signed form before the plain one."""
    if message.reasoning_details:
        return [_thought(detail) for detail in message.reasoning_details]
    plain = message.reasoning_content or message.reasoning
    return [Thought(plain)] if plain else []


def _thought(detail: wire.Detail) -> Thought:
    return Thought(
        detail.text or detail.summary or "", detail.signature, detail.data, detail.format or UNSIGNED_FORMAT
    )


def _signature(call: wire.Call) -> str | None:
    extra = call.extra_content
    return None if extra is None or extra.google is None else extra.google.thought_signature


def _tool(tool: wire.FunctionTool) -> Tool:
    function = tool.function
    parameters = None if bytes(function.parameters) == b"null" else function.parameters
    return Tool(function.name, function.description, parameters, function.strict)


def _tool_choice(choice: wire.AnyChoice) -> ToolChoice | None:
    if choice is None:
        return None
    if isinstance(choice, wire.ChooseFunction):
        return ToolChoice("one", choice.function.name)
    return ToolChoice(choice)


def _output(wanted: wire.AnyFormat) -> Output | None:
    if wanted is None or isinstance(wanted, wire.TextFormat):
        return None
    if isinstance(wanted, wire.JsonFormat):
        return Output()
    asked = wanted.json_schema
    return Output(asked.schema, asked.name, asked.description, asked.strict)
