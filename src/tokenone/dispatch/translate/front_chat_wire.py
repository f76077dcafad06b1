"""The members of an OpenAI chat-completions body, as typed structures.

Law: strict. A member that is not listed is unknown, whatever OpenAI may take it for. Shapes: OpenAI's API
reference, "Create chat completion"; `reasoning_content` and `reasoning_details` as OpenRouter and vLLM spell
them, `extra_content` as Google's OpenAI-compatible endpoint does.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from tokenone.dispatch.translate.form import Effort
from tokenone.dispatch.translate.unknown import Shapes, tagged

NULL: Final = msgspec.Raw(b"null")
Positive: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]


class Strict(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The parent of everything read here."""


# ── content ────────────────────────────────────────────────────────────────────────────────────────────
class TextPart(Strict, tag_field="type", tag="text"):
    text: str


class RefusalPart(Strict, tag_field="type", tag="refusal"):
    refusal: str


class ImageUrl(Strict):
    url: str
    detail: str | None = None


class ImagePart(Strict, tag_field="type", tag="image_url"):
    image_url: ImageUrl


class File(Strict):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class FilePart(Strict, tag_field="type", tag="file"):
    file: File


class Audio(Strict):
    data: str
    format: Literal["wav", "mp3"]


class AudioPart(Strict, tag_field="type", tag="input_audio"):
    input_audio: Audio


AnyPart: TypeAlias = TextPart | ImagePart | FilePart | AudioPart


# ── messages ───────────────────────────────────────────────────────────────────────────────────────────
class System(Strict, tag_field="role", tag="system"):
    content: str | list[TextPart]
    name: str | None = None


class Developer(Strict, tag_field="role", tag="developer"):
    content: str | list[TextPart]
    name: str | None = None


class User(Strict, tag_field="role", tag="user"):
    content: str | list[AnyPart]
    name: str | None = None


class CalledFunction(Strict):
    name: str
    arguments: str = ""


class Google(msgspec.Struct, gc=False):
    thought_signature: str | None = None


class ExtraContent(msgspec.Struct, gc=False):
    google: Google | None = None


class Call(Strict):
    id: str
    function: CalledFunction
    type: Literal["function"] = "function"
    index: int | None = None
    extra_content: ExtraContent | None = None


class Detail(msgspec.Struct, gc=False):
    """One piece of reasoning; members beyond these are other providers' and mean nothing here."""

    type: str | None = None
    text: str | None = None
    summary: str | None = None
    signature: str | None = None
    data: str | None = None
    format: str | None = None


class Assistant(Strict, tag_field="role", tag="assistant"):
    """`annotations` and `index` are what SDKs send back of a reply; no provider reads them."""

    content: str | list[TextPart | RefusalPart] | None = None
    refusal: str | None = None
    tool_calls: list[Call] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Detail] | None = None
    annotations: msgspec.Raw = NULL
    audio: dict[str, object] | None = None
    function_call: dict[str, object] | None = None
    name: str | None = None


class ToolMessage(Strict, tag_field="role", tag="tool"):
    content: str | list[AnyPart]
    tool_call_id: str


AnyMessage: TypeAlias = System | Developer | User | Assistant | ToolMessage


# ── parameters ─────────────────────────────────────────────────────────────────────────────────────────
class Function(Strict):
    name: str
    description: str | None = None
    parameters: msgspec.Raw = NULL
    strict: bool | None = None


class FunctionTool(Strict, tag_field="type", tag="function"):
    function: Function


class ChosenFunction(Strict):
    name: str


class ChooseFunction(Strict, tag_field="type", tag="function"):
    function: ChosenFunction


AnyChoice: TypeAlias = Literal["auto", "none", "required"] | ChooseFunction | None


class TextFormat(Strict, tag_field="type", tag="text"):
    pass


class JsonFormat(Strict, tag_field="type", tag="json_object"):
    pass


class JsonSchema(Strict):
    schema: msgspec.Raw
    name: str = "reply"
    description: str | None = None
    strict: bool | None = None


class SchemaFormat(Strict, tag_field="type", tag="json_schema"):
    json_schema: JsonSchema


AnyFormat: TypeAlias = TextFormat | JsonFormat | SchemaFormat | None


class StreamOptions(msgspec.Struct, gc=False):
    include_usage: bool | None = None


class Body(Strict):
    model: str
    messages: list[AnyMessage]
    tools: list[FunctionTool] | None = None
    tool_choice: AnyChoice = None
    parallel_tool_calls: bool | None = None
    response_format: AnyFormat = None
    reasoning_effort: Effort | None = None
    max_tokens: Positive | None = None
    max_completion_tokens: Positive | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    n: Positive | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    logit_bias: dict[str, float] | None = None
    modalities: list[str] | None = None
    service_tier: str | None = None
    store: bool | None = None


SHAPES: Final = Shapes(
    body=Body,
    inside={
        (ImagePart, "image_url"): ImageUrl,
        (FilePart, "file"): File,
        (AudioPart, "input_audio"): Audio,
        (Call, "function"): CalledFunction,
        (FunctionTool, "function"): Function,
        (ChooseFunction, "function"): ChosenFunction,
        (SchemaFormat, "json_schema"): JsonSchema,
        (Body, "tool_choice"): ChooseFunction,
        (Body, "response_format"): SchemaFormat,
    },
    listed={(Assistant, "tool_calls"): Call, (Body, "tools"): FunctionTool},
    said={
        "messages": ("role", tagged(System, Developer, User, Assistant, ToolMessage)),
        "content": ("type", tagged(TextPart, RefusalPart, ImagePart, FilePart, AudioPart)),
    },
)
