"""The members of an OpenAI responses body, as typed structures.

Law: strict. What refers to things a provider keeps (earlier responses, conversations, files, prompts) is not
listed and therefore unknown. Shapes: OpenAI's API reference, "Create a model response".
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
class InputText(Strict, tag_field="type", tag="input_text"):
    text: str


class OutputText(Strict, tag_field="type", tag="output_text"):
    """`annotations` and `logprobs` are what SDKs send back of a reply."""

    text: str
    annotations: msgspec.Raw = NULL
    logprobs: msgspec.Raw = NULL


class Refusal(Strict, tag_field="type", tag="refusal"):
    refusal: str


class InputImage(Strict, tag_field="type", tag="input_image"):
    image_url: str | None = None
    file_id: str | None = None
    detail: str | None = None


class InputFile(Strict, tag_field="type", tag="input_file"):
    file_data: str | None = None
    file_url: str | None = None
    file_id: str | None = None
    filename: str | None = None


AnyPart: TypeAlias = InputText | OutputText | Refusal | InputImage | InputFile


# ── items ──────────────────────────────────────────────────────────────────────────────────────────────
class Message(Strict, tag_field="type", tag="message"):
    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[AnyPart]
    id: str | None = None
    status: str | None = None
    phase: str | None = None


class FunctionCall(Strict, tag_field="type", tag="function_call"):
    call_id: str
    name: str
    arguments: str
    id: str | None = None
    status: str | None = None


class FunctionOutput(Strict, tag_field="type", tag="function_call_output"):
    call_id: str
    output: str | list[InputText | InputImage | InputFile]
    id: str | None = None
    status: str | None = None


class Summary(Strict):
    text: str
    type: Literal["summary_text"] = "summary_text"


class Reasoning(Strict, tag_field="type", tag="reasoning"):
    summary: list[Summary] = []
    encrypted_content: str | None = None
    content: msgspec.Raw = NULL
    id: str | None = None
    status: str | None = None


AnyItem: TypeAlias = Message | FunctionCall | FunctionOutput | Reasoning


# ── parameters ─────────────────────────────────────────────────────────────────────────────────────────
class FunctionTool(Strict, tag_field="type", tag="function"):
    name: str
    parameters: msgspec.Raw = NULL
    description: str | None = None
    strict: bool | None = None


class ChooseFunction(Strict, tag_field="type", tag="function"):
    name: str


class ReasoningOptions(Strict):
    """`summary` decides what is shown of a thought, which is what there is of it here."""

    effort: Effort | None = None
    summary: str | None = None


class TextFormat(Strict, tag_field="type", tag="text"):
    pass


class JsonFormat(Strict, tag_field="type", tag="json_object"):
    pass


class SchemaFormat(Strict, tag_field="type", tag="json_schema"):
    schema: msgspec.Raw
    name: str = "reply"
    description: str | None = None
    strict: bool | None = None


class TextOptions(Strict):
    format: TextFormat | JsonFormat | SchemaFormat | None = None


class Body(Strict):
    model: str
    input: str | list[AnyItem]
    instructions: str | None = None
    tools: list[FunctionTool] | None = None
    tool_choice: Literal["auto", "none", "required"] | ChooseFunction | None = None
    parallel_tool_calls: bool | None = None
    reasoning: ReasoningOptions | None = None
    text: TextOptions | None = None
    max_output_tokens: Positive | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: int | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    stream: bool | None = None
    store: bool | None = None
    include: list[str] | None = None
    truncation: str | None = None
    background: bool | None = None
    service_tier: str | None = None


_PARTS: Final = tagged(InputText, OutputText, Refusal, InputImage, InputFile)
SHAPES: Final = Shapes(
    body=Body,
    inside={
        (Body, "tool_choice"): ChooseFunction,
        (Body, "reasoning"): ReasoningOptions,
        (Body, "text"): TextOptions,
        (TextOptions, "format"): SchemaFormat,
    },
    listed={(Body, "tools"): FunctionTool, (Reasoning, "summary"): Summary},
    said={
        "input": ("type", tagged(Message, FunctionCall, FunctionOutput, Reasoning)),
        "content": ("type", _PARTS),
        "output": ("type", _PARTS),
    },
)
