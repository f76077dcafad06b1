"""Reads Gemini's replies, streams and refusals into the unified form.

Law: a stream has no end mark: it is whole when every choice gave its reason to stop. A call without an id gets
one made of the reply's, the same however the bytes were cut. Parts that the form has no place for (code that ran,
pictures) are passed over. Source: ai.google.dev/api, "Generating content", `GenerateContentResponse`.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from tokenone.dispatch.providers.counts import lenient
from tokenone.dispatch.translate.arguments import arguments_text
from tokenone.dispatch.translate.faults import clipped, fault_of
from tokenone.dispatch.translate.form import (
    CUT_OFF,
    GEMINI_FORMAT,
    CallDelta,
    ChatError,
    ChatReply,
    Choice,
    Ended,
    Event,
    Failed,
    Fault,
    Logprob,
    Opened,
    Stop,
    Stopped,
    Text,
    TextDelta,
    Thought,
    ThoughtDelta,
    ToolCall,
)
from tokenone.errors import UpstreamBroken

_FILTERED: Final = frozenset(
    ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "LANGUAGE")
)
_FAULTS: Final[dict[str, Fault]] = {
    "INVALID_ARGUMENT": "invalid",
    "FAILED_PRECONDITION": "invalid",
    "UNAUTHENTICATED": "key",
    "PERMISSION_DENIED": "denied",
    "NOT_FOUND": "missing",
    "RESOURCE_EXHAUSTED": "rate",
    "UNAVAILABLE": "overloaded",
    "DEADLINE_EXCEEDED": "timeout",
}


class _Function(msgspec.Struct, gc=False):
    name: str = ""
    id: str | None = None
    args: msgspec.Raw = msgspec.Raw(b"{}")


class _Part(msgspec.Struct, gc=False, rename="camel"):
    text: str | None = None
    thought: bool = False
    thought_signature: str | None = None
    function_call: _Function | None = None


class _Content(msgspec.Struct, gc=False):
    parts: list[_Part] = []


class _Token(msgspec.Struct, gc=False, rename="camel"):
    token: str = ""
    log_probability: float = 0.0


class _Top(msgspec.Struct, gc=False):
    candidates: list[_Token] = []


class _Logprobs(msgspec.Struct, gc=False, rename="camel"):
    chosen_candidates: list[_Token] = []
    top_candidates: list[_Top] = []


class _Candidate(msgspec.Struct, gc=False, rename="camel"):
    content: _Content | None = None
    finish_reason: str | int | None = None
    index: int = 0
    logprobs_result: _Logprobs | None = None


class _Feedback(msgspec.Struct, gc=False, rename="camel"):
    block_reason: str | int | None = None


class _Reason(msgspec.Struct, gc=False):
    reason: str | None = None


class _Fault(msgspec.Struct, gc=False):
    code: int | None = None
    message: str | None = None
    status: str | None = None
    details: list[_Reason] | None = None


class _Reply(msgspec.Struct, gc=False, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    model_version: str = ""
    response_id: str = ""
    error: _Fault | None = None


class _Refusal(msgspec.Struct, gc=False):
    error: _Fault | None = None


_reply: Final = msgspec.json.Decoder(_Reply)
_refusal: Final = msgspec.json.Decoder(_Refusal)
_refusals: Final = msgspec.json.Decoder(list[_Refusal])
_NOTHING: Final = _Fault()
Said: TypeAlias = Text | Thought | ToolCall


# ── whole replies ──────────────────────────────────────────────────────────────────────────────────────
def read_reply(body: bytes) -> ChatReply:
    """Returns the reply; a prompt that was blocked is an empty answer that was filtered."""
    reply = lenient(_reply, body)
    if reply is None or (reply.candidates is None and reply.prompt_feedback is None):
        raise UpstreamBroken("the provider's reply is not an answer")
    names = _CallNames(reply.response_id)
    choices = tuple([_choice(candidate, names) for candidate in reply.candidates or ()])
    return ChatReply(reply.response_id, reply.model_version, choices or (Choice((), "content_filter"),))


def _choice(candidate: _Candidate, names: _CallNames) -> Choice:
    parts: list[Said] = []
    for part in _parts(candidate):
        parts += _said(part, names)
    called = any(type(part) is ToolCall for part in parts)
    return Choice(tuple(parts), _stop(candidate.finish_reason, called=called), logprobs=_logprobs(candidate))


def _parts(candidate: _Candidate) -> list[_Part]:
    return [] if candidate.content is None else candidate.content.parts


def _said(part: _Part, names: _CallNames) -> list[Said]:
    function, signature = part.function_call, part.thought_signature or None
    if function is not None:
        id = names.next(function.id)
        return [ToolCall(id, function.name, arguments_text(function.args), signature)]
    if part.thought:
        return [Thought(part.text or "", signature, format=GEMINI_FORMAT)]
    said: list[Said] = [Text(part.text)] if part.text else []
    return [*said, Thought(sealed=signature, format=GEMINI_FORMAT)] if signature else said


class _CallNames:
    """Gives calls without an id one: the API matches results by name, OpenAI's callers by id."""

    __slots__ = ("_count", "reply")

    def __init__(self, reply: str) -> None:
        self.reply = reply
        self._count = 0

    def next(self, given: str | None) -> str:
        self._count += 1
        return given or f"call_{self.reply}_{self._count}"


def _stop(reason: str | int | None, *, called: bool) -> Stop:
    if called:
        return "tool_calls"
    if reason == "MAX_TOKENS":
        return "length"
    return "content_filter" if reason in _FILTERED else "stop"


def _logprobs(candidate: _Candidate) -> tuple[Logprob, ...] | None:
    found = candidate.logprobs_result
    if found is None:
        return None
    tops = [top.candidates for top in found.top_candidates]
    tops += [[]] * (len(found.chosen_candidates) - len(tops))
    return tuple(
        [
            Logprob(one.token, one.log_probability, tuple([Logprob(t.token, t.log_probability) for t in top]))
            for one, top in zip(found.chosen_candidates, tops, strict=False)
        ]
    )


# ── refusals ───────────────────────────────────────────────────────────────────────────────────────────
def read_error(status: int, body: bytes) -> ChatError:
    """Returns a refusal; it comes alone or, on paths that stream, as the one element of an array."""
    refusal = lenient(_refusal, body)
    if refusal is None and (several := lenient(_refusals, body)):
        refusal = several[0]
    found = _NOTHING if refusal is None or refusal.error is None else refusal.error
    return _error(found, status)


def _error(found: _Fault, status: int) -> ChatError:
    fault = _FAULTS.get(found.status or "", fault_of(status))
    if any(detail.reason == "API_KEY_INVALID" for detail in found.details or ()):
        fault = "key"  # comes as a 400
    return ChatError(status, fault, clipped(found.message), found.status)


# ── streams ────────────────────────────────────────────────────────────────────────────────────────────
class _Progress:
    """How far one choice has come."""

    __slots__ = ("calls", "stopped", "thinking", "thoughts")

    def __init__(self) -> None:
        self.calls = self.thoughts = 0
        self.thinking = self.stopped = False


class GeminiReading:
    """Reads one stream of `GenerateContentResponse`s."""

    __slots__ = ("_choices", "_names", "_opened")

    def __init__(self) -> None:
        self._choices: dict[int, _Progress] = {}
        self._names = _CallNames("")
        self._opened = False

    def take(self, data: bytes) -> list[Event]:
        """Returns what one chunk says."""
        reply = lenient(_reply, data)
        if reply is None:
            return []
        if reply.error is not None:
            return [Failed(_error(reply.error, reply.error.code or 500))]
        out: list[Event] = []
        if not self._opened:
            self._opened = True
            self._names.reply = reply.response_id
            out.append(Opened(reply.response_id, reply.model_version))
        for candidate in reply.candidates or ():
            out += self._candidate(candidate)
        if not reply.candidates and reply.prompt_feedback is not None and not self._choices:
            self._choices[0] = blocked = _Progress()
            blocked.stopped = True
            out.append(Stopped("content_filter"))
        return out

    def last(self) -> list[Event]:
        """The bytes ended: well, where every choice had stopped."""
        whole = self._choices and all(progress.stopped for progress in self._choices.values())
        return [Ended()] if whole else [CUT_OFF]

    def _candidate(self, candidate: _Candidate) -> list[Event]:
        choice = candidate.index
        progress = self._choices.setdefault(choice, _Progress())
        out: list[Event] = []
        logprobs = _logprobs(candidate)
        for part in _parts(candidate):
            for said in _said(part, self._names):
                out.append(_delta(said, progress, choice))
        if logprobs is not None:
            out.append(TextDelta("", choice, logprobs))
        if candidate.finish_reason and not progress.stopped:
            progress.stopped = True
            out.append(Stopped(_stop(candidate.finish_reason, called=progress.calls > 0), choice))
        return out


def _delta(said: Said, progress: _Progress, choice: int) -> Event:
    """Returns a part as a delta; thoughts that follow each other are one, unless they are sealed."""
    if isinstance(said, Text):
        progress.thinking = False
        return TextDelta(said.text, choice)
    if isinstance(said, ToolCall):
        progress.thinking = False
        progress.calls += 1
        return CallDelta(progress.calls - 1, said.id, said.name, said.arguments, said.signature, choice)
    if said.sealed is not None or not progress.thinking:
        progress.thoughts += 1
    progress.thinking = said.sealed is None
    return ThoughtDelta(progress.thoughts - 1, said.text, said.signature, said.sealed, GEMINI_FORMAT, choice)
