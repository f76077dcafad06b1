"""Reads an Anthropic Messages body into the unified form.

Law: as for every front: one strict pass, what has no place is named. A thought signed by another provider comes
back as this front told it: its signature begins with who signed (docs/spec/unified.md, section 5). Shapes:
platform.claude.com/docs, API reference "Create a Message".
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from tokenone.dispatch.translate import front_messages_wire as wire
from tokenone.dispatch.translate.form import (
    ANTHROPIC_FORMAT,
    BEDROCK_FORMAT,
    COHERE_FORMAT,
    GEMINI_FORMAT,
    PLAN_FORMAT,
    UNSIGNED_FORMAT,
    ChatRequest,
    Effort,
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

CALL_SEAL: Final = f"{GEMINI_FORMAT}/call:"
"""Begins the sealed thought that carries the signature of the call behind it."""
_FORMATS: Final = (BEDROCK_FORMAT, COHERE_FORMAT, GEMINI_FORMAT, PLAN_FORMAT, UNSIGNED_FORMAT)
_SPELLED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
        "reasoning_effort": "thinking",
        "response_format": "output_config.format",
        "stop": "stop_sequences",
        "user": "metadata.user_id",
    }
)
_MODES: Final = {"auto": "auto", "none": "none", "any": "required", "tool": "one"}
_SHARES: Final[tuple[tuple[float, Effort], ...]] = (
    (0.15, "minimal"), (0.35, "low"), (0.65, "medium"), (0.875, "high"),
)  # fmt: skip
_strict: Final = msgspec.json.Decoder(wire.Body)


def read_messages(body: bytes) -> ChatRequest:
    """Returns the request; raises MalformedBody for what is no request of messages."""
    found, unknown, hints = read_strictly(_strict, body, wire.SHAPES, "messages")
    reading = _Reading()
    turns = [] if not found.system else [Turn("system", _texts(found.system))]
    turns += [_turn(reading, message) for message in found.messages]
    choice, config, metadata = found.tool_choice, found.output_config, found.metadata
    format = None if config is None else config.format
    beyond = ("service_tier",) if found.service_tier not in (None, "auto") else ()
    return ChatRequest(
        model=found.model,
        turns=tuple(turns),
        tools=tuple([Tool(t.name, t.description, t.input_schema, t.strict) for t in found.tools or ()]),
        tool_choice=None if choice is None else ToolChoice(_MODES[choice.type], choice.name),  # type: ignore[arg-type]
        parallel_tools=False if choice is not None and choice.disable_parallel_tool_use else None,
        output=None if format is None else Output(format.schema),
        effort=_effort(found),
        max_tokens=found.max_tokens,
        temperature=found.temperature,
        top_p=found.top_p,
        top_k=found.top_k,
        stop=tuple(found.stop_sequences or ()),
        user=None if metadata is None else metadata.user_id,
        stream=bool(found.stream),
        asked_usage=True,
        unknown=(*unknown, *beyond, *reading.unknown),
        hints=hints,
        spelled=_SPELLED,
    )


def _effort(body: wire.Body) -> Effort | None:
    """Returns an effort as it was asked for, or as the share of the tokens that may be thought with."""
    thinking, config = body.thinking, body.output_config
    if thinking is not None and thinking.type == "disabled":
        return "none"
    if config is not None and config.effort is not None:
        return config.effort
    if thinking is None:
        return None
    if thinking.budget_tokens is None:
        return "high"
    share = thinking.budget_tokens / body.max_tokens
    return next((effort for most, effort in _SHARES if share <= most), "xhigh")


class _Reading:
    """What is remembered while the messages are read."""

    __slots__ = ("at", "tools", "unknown")

    def __init__(self) -> None:
        self.at = -1
        self.tools: dict[str, str] = {}
        self.unknown: list[str] = []


def _turn(reading: _Reading, message: wire.Message) -> Turn:
    reading.at += 1
    if isinstance(message.content, str):
        return Turn(message.role, (Text(message.content),))
    parts: list[Part] = []
    signature: str | None = None
    for block in message.content:
        part = _READERS[type(block)](reading, block)
        if isinstance(part, Thought) and (part.sealed or "").startswith(CALL_SEAL):
            signature = (part.sealed or "")[len(CALL_SEAL) :]
            continue
        if isinstance(part, ToolCall) and signature is not None:
            part, signature = msgspec.structs.replace(part, signature=signature), None
        parts.append(part)
    return Turn(message.role, tuple(parts))


def _texts(content: str | list[wire.TextBlock]) -> tuple[Text, ...]:
    return (Text(content),) if isinstance(content, str) else tuple([Text(block.text) for block in content])


def _text(_reading: _Reading, block: wire.TextBlock) -> Text:
    return Text(block.text)


def _image(reading: _Reading, block: wire.ImageBlock) -> Media:
    return _media(reading, "image", block.source, None)


def _document(reading: _Reading, block: wire.DocumentBlock) -> Media:
    return _media(reading, "document", block.source, block.title)


def _media(reading: _Reading, kind: Any, source: wire.AnySource, name: str | None) -> Media:
    if isinstance(source, wire.Base64Source):
        return Media(kind, source.media_type, source.data, name=name)
    if isinstance(source, wire.UrlSource):
        return Media(kind, url=source.url, name=name)
    if isinstance(source, wire.TextSource):
        data = base64.b64encode(source.data.encode("utf-8", "replace")).decode()
        return Media(kind, source.media_type, data, name=name)
    reading.unknown.append(f"messages[{reading.at}].content.source.file_id")
    return Media(kind, name=name)


def _thinking(_reading: _Reading, block: wire.ThinkingBlock) -> Thought:
    if not block.signature:
        return Thought(block.thinking)
    format, signature = _signed(block.signature)
    return Thought(block.thinking, signature or None, format=format)


def _redacted(_reading: _Reading, block: wire.RedactedBlock) -> Thought:
    if block.data.startswith(CALL_SEAL):
        return Thought(sealed=block.data)
    format, data = _signed(block.data)
    return Thought(sealed=data, format=format)


def _signed(told: str) -> tuple[str, str]:
    """Returns who signed and the signature as that provider gave it; told plainly, it is Anthropic's."""
    who, colon, signature = told.partition(":")
    return (who, signature) if colon and who in _FORMATS else (ANTHROPIC_FORMAT, told)


def _call(reading: _Reading, block: wire.CallBlock) -> ToolCall:
    reading.tools[block.id] = block.name
    return ToolCall(block.id, block.name, bytes(block.input).decode())


def _result(reading: _Reading, block: wire.ResultBlock) -> ToolResult:
    content = [wire.TextBlock(block.content)] if isinstance(block.content, str) else block.content or []
    parts: tuple[Any, ...] = tuple([_READERS[type(one)](reading, one) for one in content])
    name = reading.tools.get(block.tool_use_id, "")
    return ToolResult(block.tool_use_id, parts, name, failed=bool(block.is_error))


_READERS: Final[dict[type, Callable[[_Reading, Any], Part]]] = {
    wire.TextBlock: _text,
    wire.ImageBlock: _image,
    wire.DocumentBlock: _document,
    wire.ThinkingBlock: _thinking,
    wire.RedactedBlock: _redacted,
    wire.CallBlock: _call,
    wire.ResultBlock: _result,
}
