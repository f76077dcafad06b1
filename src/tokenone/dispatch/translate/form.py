"""The one unified form of a chat call: what every front door reads into and every provider is written from.

Law: values only, frozen. A front knows the form and its callers' dialect, a provider's file the form and its
provider; neither knows the other. What the form has no place for is named in `ChatRequest.unknown`, so that it
can be refused by name. Usage is not here: the meter reads it from the provider's own bytes (docs/spec/unified.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import msgspec

ANTHROPIC_FORMAT: Final = "anthropic-claude-v1"
GEMINI_FORMAT: Final = "google-gemini-v1"
BEDROCK_FORMAT: Final = "amazon-bedrock-v1"
COHERE_FORMAT: Final = "cohere-command-v1"
PLAN_FORMAT: Final = "cohere-tool-plan"
UNSIGNED_FORMAT: Final = "unknown"
"""Who signed a thought: a signature means something to whoever made it alone."""


# ── what is said ───────────────────────────────────────────────────────────────────────────────────────
class Text(msgspec.Struct, frozen=True, gc=False):
    text: str


class Media(msgspec.Struct, frozen=True, gc=False):
    """An image, a document or a sound: either base64 `data` of a `media_type`, or a `url`."""

    kind: Literal["image", "document", "audio"]
    media_type: str = ""
    data: str | None = None
    url: str | None = None
    name: str | None = None
    detail: str | None = None


class Thought(msgspec.Struct, frozen=True, gc=False):
    """Reasoning that a model showed: `text` with its `signature`, or `sealed` bytes without a text."""

    text: str = ""
    signature: str | None = None
    sealed: str | None = None
    format: str = UNSIGNED_FORMAT


class ToolCall(msgspec.Struct, frozen=True, gc=False):
    """`arguments` is the JSON text of one object; `signature` is Gemini's, which belongs to the call."""

    id: str
    name: str
    arguments: str
    signature: str | None = None


class ToolResult(msgspec.Struct, frozen=True, gc=False):
    """What a tool gave back: `name` is that of the call's tool, empty where the caller did not say."""

    id: str
    parts: tuple[Text | Media, ...]
    name: str = ""
    failed: bool = False


Part: TypeAlias = Text | Media | Thought | ToolCall | ToolResult
Role: TypeAlias = Literal["system", "user", "assistant", "tool"]


class Turn(msgspec.Struct, frozen=True, gc=False):
    """One message as the caller sent it; providers merge neighbours as they demand."""

    role: Role
    parts: tuple[Part, ...]


# ── what is asked ──────────────────────────────────────────────────────────────────────────────────────
class Tool(msgspec.Struct, frozen=True, gc=False):
    """A function the model may call; `parameters` is the caller's own JSON Schema, undecoded."""

    name: str
    description: str | None = None
    parameters: msgspec.Raw | None = None
    strict: bool | None = None


class ToolChoice(msgspec.Struct, frozen=True, gc=False):
    """`one` names the tool that must be called; `required` is any of them."""

    mode: Literal["auto", "none", "required", "one"]
    name: str = ""


class Output(msgspec.Struct, frozen=True, gc=False):
    """JSON is asked for: by a schema, or (None) any object."""

    schema: msgspec.Raw | None = None
    name: str = "reply"
    description: str | None = None
    strict: bool | None = None


Effort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One chat call. None is *not said*: the provider's own default holds."""

    model: str
    turns: tuple[Turn, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tools: bool | None = None
    output: Output | None = None
    effort: Effort | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    choices: int | None = None
    logprobs: bool = False
    top_logprobs: int | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    stream: bool = False
    asked_usage: bool = False
    """The caller wants the stream's usage told."""
    unknown: tuple[str, ...] = ()
    """Parameters the caller sent that the form has no place for, as the caller spelled them."""
    hints: tuple[str, ...] = ()
    """The same of those that change no answer (marks for a cache)."""
    spelled: Mapping[str, str] = {}
    """What the caller's dialect calls a parameter that OpenAI's calls otherwise."""


# ── what is answered ───────────────────────────────────────────────────────────────────────────────────
Stop: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter"]


class Logprob(msgspec.Struct, frozen=True, gc=False):
    token: str
    logprob: float
    top: tuple[Logprob, ...] = ()


class Choice(msgspec.Struct, frozen=True, gc=False):
    """One answer; `stopped_by` is the caller's stop sequence that ended it, where the provider says so."""

    parts: tuple[Text | Thought | ToolCall, ...]
    stop: Stop
    stopped_by: str | None = None
    logprobs: tuple[Logprob, ...] | None = None


class ChatReply(msgspec.Struct, frozen=True, gc=False):
    id: str
    model: str
    choices: tuple[Choice, ...]


Fault: TypeAlias = Literal[
    "invalid", "key", "billing", "denied", "missing", "too_large", "rate", "overloaded", "timeout", "upstream"
]


class ChatError(msgspec.Struct, frozen=True, gc=False):
    """A provider's refusal; `message` is its own sentence, `code` its own word for it."""

    status: int
    fault: Fault
    message: str
    code: str | None = None


class Stamp(msgspec.Struct, frozen=True, gc=False):
    """What a reply says of itself where its provider does not: id and model; `created` in seconds since 1970."""

    id: str
    model: str
    created: int


# ── what is streamed ───────────────────────────────────────────────────────────────────────────────────
class Opened(msgspec.Struct, frozen=True, gc=False):
    """The answer begins; comes once, before anything else but a failure."""

    id: str
    model: str


class TextDelta(msgspec.Struct, frozen=True, gc=False):
    text: str
    choice: int = 0
    logprobs: tuple[Logprob, ...] | None = None


class ThoughtDelta(msgspec.Struct, frozen=True, gc=False):
    """A piece of the answer's `index`-th thought (counted among the thoughts)."""

    index: int
    text: str = ""
    signature: str | None = None
    sealed: str | None = None
    format: str = UNSIGNED_FORMAT
    choice: int = 0


class CallDelta(msgspec.Struct, frozen=True, gc=False):
    """A piece of the answer's `index`-th tool call; id and name come with its first piece alone."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    signature: str | None = None
    choice: int = 0


class Stopped(msgspec.Struct, frozen=True, gc=False):
    """One choice came to its end."""

    stop: Stop
    choice: int = 0
    stopped_by: str | None = None


class Failed(msgspec.Struct, frozen=True, gc=False):
    """The stream failed after it began; nothing follows."""

    error: ChatError


class Ended(msgspec.Struct, frozen=True, gc=False):
    """The provider's own end mark came; nothing follows."""


Event: TypeAlias = Opened | TextDelta | ThoughtDelta | CallDelta | Stopped | Failed | Ended

CUT_OFF: Final = Failed(
    ChatError(502, "upstream", "the provider broke off before the answer was whole", "cut_off")
)
"""What a stream ends with that ended without its end mark."""
