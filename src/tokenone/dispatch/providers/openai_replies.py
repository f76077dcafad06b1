"""Reads what OpenAI's replies say about themselves: model, usage, errors; whole or as events.

Law: OpenAI's `prompt_tokens`/`input_tokens` include cached, cache-written, audio and image tokens, and
`completion_tokens`/`output_tokens` include reasoning and audio: they are taken as they are. The spellings of
chat, responses, images and audio are one structure here, since their members never contradict each other.
"""

from __future__ import annotations

import math
from typing import Annotated, Final

import msgspec

from tokenone.dispatch.providers.counts import Count, lenient
from tokenone.dispatch.providers.facts import Reading
from tokenone.dispatch.text import event_text_bytes
from tokenone.sse import data_of
from tokenone.types import Headers, Usage

Seconds = Annotated[float, msgspec.Meta(ge=0, le=10**9)]


class _CachedDetails(msgspec.Struct, gc=False):
    audio_tokens: Count | None = None


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    audio_tokens: Count | None = None
    image_tokens: Count | None = None
    cached_tokens_details: _CachedDetails | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: Count | None = None
    audio_tokens: Count | None = None
    image_tokens: Count | None = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    prompt_tokens_details: _InputDetails | None = None
    input_tokens_details: _InputDetails | None = None
    input_token_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    output_tokens_details: _OutputDetails | None = None
    output_token_details: _OutputDetails | None = None
    seconds: Seconds | None = None


class _Action(msgspec.Struct, gc=False):
    type: str | None = None


class _Item(msgspec.Struct, gc=False):
    type: str | None = None
    action: _Action | None = None


class _Reply(msgspec.Struct, gc=False):
    """A whole reply, or the `response` of a responses event. Large members stay undecoded."""

    model: str | None = None
    service_tier: str | None = None
    usage: msgspec.Raw = msgspec.Raw(b"null")
    output: msgspec.Raw = msgspec.Raw(b"null")
    error: msgspec.Raw = msgspec.Raw(b"null")


class _Event(_Reply, gc=False):
    type: str | None = None
    choices: list[msgspec.Raw] | None = None
    response: _Reply | None = None


_usage: Final = msgspec.json.Decoder(_Usage)
_items: Final = msgspec.json.Decoder(list[_Item])
_reply: Final = msgspec.json.Decoder(_Reply)
_event: Final = msgspec.json.Decoder(_Event)
_NO_CACHED_DETAILS: Final = _CachedDetails()
_NO_INPUT_DETAILS: Final = _InputDetails()
_NO_OUTPUT_DETAILS: Final = _OutputDetails()

# Tools that OpenAI charges by the call and does not count in `usage`. Of a web search only the action
# `search` is charged; opening and finding in a page are not.
_CHARGED_ITEMS: Final = {"web_search_call": "web_search_requests", "file_search_call": "file_search_requests"}
_LAST_EVENTS: Final = frozenset(
    (
        "response.completed",
        "response.incomplete",
        "response.failed",
        "image_generation.completed",
        "image_edit.completed",
        "speech.audio.done",
        "transcript.text.done",
    )
)
_CHAT_TEXT: Final = (b'"content":', b'"arguments":', b'"reasoning_content":', b'"refusal":', b'"text":')
_RESPONSES_TEXT: Final = (b'"delta":',)


def read_reply(body: bytes, _path: bytes, _headers: Headers) -> Reading:
    """Reads model and usage of a whole JSON reply; a body of another shape reports nothing."""
    reply = lenient(_reply, body)
    return (
        Reading(None, None) if reply is None else Reading(reply.model, _usage_of(reply, reply.service_tier))
    )


def _usage_of(reply: _Reply, tier: str | None) -> Usage | None:
    found = lenient(_usage, reply.usage)
    if found is None:
        return None
    into = found.prompt_tokens_details or found.input_tokens_details or found.input_token_details
    out = found.completion_tokens_details or found.output_tokens_details or found.output_token_details
    into, out = into or _NO_INPUT_DETAILS, out or _NO_OUTPUT_DETAILS
    usage = Usage(
        input=found.input_tokens if found.prompt_tokens is None else found.prompt_tokens,
        output=found.output_tokens if found.completion_tokens is None else found.completion_tokens,
        cache_read=into.cached_tokens,
        cache_write=into.cache_write_tokens,
        input_audio=into.audio_tokens,
        input_image=into.image_tokens,
        cache_read_audio=(into.cached_tokens_details or _NO_CACHED_DETAILS).audio_tokens,
        reasoning=out.reasoning_tokens,
        output_audio=out.audio_tokens,
        output_image=out.image_tokens,
        audio_seconds=None if found.seconds is None else math.ceil(found.seconds),
        server_tools=_charged_tools(reply.output),
        tier=tier,
    )
    counted = (usage.input, usage.output, usage.audio_seconds)
    return None if counted == (None, None, None) else usage


def _charged_tools(output: msgspec.Raw) -> dict[str, int] | None:
    """Counts the output items that cost something by themselves."""
    if b"_search_call" not in bytes(output):
        return None
    counted: dict[str, int] = {}
    for item in lenient(_items, output) or ():
        name = _CHARGED_ITEMS.get(item.type or "")
        if name and (item.action is None or item.action.type in (None, "search")):
            counted[name] = counted.get(name, 0) + 1
    return counted or None


def _may_report(event: bytes) -> bool:
    """Says whether usage or an error may be in it; chunks of a stream that will report both say null."""
    if b'"error"' in event:
        return True
    # Counted, because a caller's own tools and metadata are echoed, and may say null as well.
    return b'"usage"' in event and event.count(b'"usage"') > event.count(b'"usage":null')


class OpenAIEvents:
    """Reads one event stream of chat completions, completions, responses, images or audio.

    Most events carry text alone: they are counted by one search over their bytes and not decoded. An event is
    decoded when it may carry usage or an error, or while the model is not known.
    """

    __slots__ = ("_text", "charged", "ended", "failed", "model", "text_bytes", "usage")

    def __init__(self, path: bytes) -> None:
        responses = path.startswith(b"/v1/responses")
        self._text = _RESPONSES_TEXT if responses else _CHAT_TEXT
        self.usage: Usage | None = None
        self.model: str | None = None
        self.failed = self.ended = False
        self.text_bytes = 0
        self.charged: int | None = None

    def read(self, event: bytes) -> bool:
        """Takes one event in; True for a chat chunk with usage and without choices."""
        alone = False
        if self.model is None or _may_report(event):
            alone = self._decode(event)
        elif b"[DONE]" in event and data_of(event) == b"[DONE]":
            self.ended = True
            return False
        self.text_bytes += event_text_bytes(event, self._text)
        return alone

    def _decode(self, event: bytes) -> bool:
        data = data_of(event)
        if data == b"[DONE]":
            self.ended = True
            return False
        found = lenient(_event, data)
        if found is None:
            return False
        reply = found if found.response is None else found.response
        self.model = reply.model or self.model
        usage = _usage_of(reply, reply.service_tier or found.service_tier)
        self.usage = usage or self.usage
        self.failed |= found.type in ("error", "response.failed") or bytes(reply.error) != b"null"
        self.ended |= found.type in _LAST_EVENTS
        return usage is not None and found.choices == []
