"""The members of an Anthropic Messages body, as typed structures.

Law: strict. A member that is not listed is unknown, whatever Anthropic may take it for. Shapes:
platform.claude.com/docs, API reference "Create a Message" (versions 2023-06-01 and 2026-10-21).
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from tokenone.dispatch.translate.unknown import Shapes, tagged

Positive: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]


class Strict(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The parent of everything read here."""


# ── content ────────────────────────────────────────────────────────────────────────────────────────────
class TextBlock(Strict, tag_field="type", tag="text"):
    text: str


class Base64Source(Strict, tag_field="type", tag="base64"):
    media_type: str
    data: str


class UrlSource(Strict, tag_field="type", tag="url"):
    url: str


class TextSource(Strict, tag_field="type", tag="text"):
    data: str
    media_type: str = "text/plain"


class FileSource(Strict, tag_field="type", tag="file"):
    file_id: str


AnySource: TypeAlias = Base64Source | UrlSource | TextSource | FileSource


class ImageBlock(Strict, tag_field="type", tag="image"):
    source: AnySource


class DocumentBlock(Strict, tag_field="type", tag="document"):
    source: AnySource
    title: str | None = None


class ThinkingBlock(Strict, tag_field="type", tag="thinking"):
    thinking: str
    signature: str = ""


class RedactedBlock(Strict, tag_field="type", tag="redacted_thinking"):
    data: str


class CallBlock(Strict, tag_field="type", tag="tool_use"):
    """`caller` says who called; SDKs send it back of a reply."""

    id: str
    name: str
    input: msgspec.Raw
    caller: msgspec.Raw = msgspec.Raw(b"null")


class ResultBlock(Strict, tag_field="type", tag="tool_result"):
    tool_use_id: str
    content: str | list[TextBlock | ImageBlock | DocumentBlock] | None = None
    is_error: bool | None = None


AnyBlock: TypeAlias = (
    TextBlock | ImageBlock | DocumentBlock | ThinkingBlock | RedactedBlock | CallBlock | ResultBlock
)


class Message(Strict):
    role: Literal["user", "assistant"]
    content: str | list[AnyBlock]


# ── parameters ─────────────────────────────────────────────────────────────────────────────────────────
class Tool(Strict):
    name: str
    input_schema: msgspec.Raw
    description: str | None = None
    type: Literal["custom"] | None = None
    strict: bool | None = None


class Choice(Strict):
    type: Literal["auto", "any", "tool", "none"]
    name: str = ""
    disable_parallel_tool_use: bool | None = None


class Metadata(Strict):
    user_id: str | None = None


class Thinking(Strict):
    """`display` decides what is shown of a thought, which is what there is of it here."""

    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: int | None = None
    display: str | None = None


class Format(Strict):
    schema: msgspec.Raw
    type: Literal["json_schema"]


class OutputConfig(Strict):
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: Format | None = None


class Body(Strict):
    model: str
    max_tokens: Positive
    messages: list[Message]
    system: str | list[TextBlock] | None = None
    tools: list[Tool] | None = None
    tool_choice: Choice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    metadata: Metadata | None = None
    stream: bool | None = None
    service_tier: str | None = None


_BLOCKS: Final = tagged(
    TextBlock, ImageBlock, DocumentBlock, ThinkingBlock, RedactedBlock, CallBlock, ResultBlock
)
SHAPES: Final = Shapes(
    body=Body,
    inside={
        (Body, "tool_choice"): Choice,
        (Body, "metadata"): Metadata,
        (Body, "thinking"): Thinking,
        (Body, "output_config"): OutputConfig,
        (OutputConfig, "format"): Format,
    },
    listed={(Body, "messages"): Message, (Body, "tools"): Tool},
    said={"content": ("type", _BLOCKS), "system": ("type", _BLOCKS)},
)
