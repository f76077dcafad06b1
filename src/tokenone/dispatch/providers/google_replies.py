"""Reads what Google's replies say about themselves: model, usage, errors; whole, as events, as array elements.

Law: `promptTokenCount` includes cached tokens but not what built-in tools fed back (`toolUsePromptTokenCount`),
and `candidatesTokenCount` excludes thoughts: input and output are the sums. On a stream the counts are
cumulative and the last ones hold. Google's JSON leaves zeros out, so an absent output is read from the total.
Members' values may be names or, with `$alt=json;enum-encoding=int`, numbers.
Source: ai.google.dev/api/generate-content (UsageMetadata), google.cloud.aiplatform.v1 (the same message),
ai.google.dev/api/interactions-api (Usage: output excludes thoughts, tools' tokens are apart).
"""

from __future__ import annotations

from typing import Final

import msgspec

from tokenone.dispatch.providers.counts import Count, lenient, total
from tokenone.dispatch.providers.facts import Reading
from tokenone.dispatch.text import event_text_bytes
from tokenone.sse import data_of
from tokenone.types import Headers, Usage

_NULL: Final = msgspec.Raw(b"null")
_NOTHING: Final = (b"", b"null")


class _Modality(msgspec.Struct, rename="camel", gc=False):
    modality: str | int | None = None
    token_count: Count | None = None


class _Counts(msgspec.Struct, rename="camel", gc=False):
    """`usageMetadata` without its details."""

    prompt_token_count: Count | None = None
    tool_use_prompt_token_count: Count | None = None
    cached_content_token_count: Count | None = None
    candidates_token_count: Count | None = None
    thoughts_token_count: Count | None = None
    total_token_count: Count | None = None
    service_tier: str | None = None
    traffic_type: str | int | None = None


class _Metadata(_Counts, rename="camel", gc=False):
    """`usageMetadata`; embeddings spell one member otherwise."""

    prompt_tokens_details: list[_Modality] | None = None
    prompt_token_details: list[_Modality] | None = None
    tool_use_prompt_tokens_details: list[_Modality] | None = None
    cache_tokens_details: list[_Modality] | None = None
    candidates_tokens_details: list[_Modality] | None = None


class _InteractionUsage(msgspec.Struct, gc=False):
    total_input_tokens: Count | None = None
    total_tool_use_tokens: Count | None = None
    total_cached_tokens: Count | None = None
    total_output_tokens: Count | None = None
    total_thought_tokens: Count | None = None


class _Interaction(msgspec.Struct, gc=False):
    model: str | None = None
    usage: msgspec.Raw = _NULL


class _Reply(msgspec.Struct, rename="camel", gc=False):
    """A whole reply, an event's data or an array's element. Large members stay undecoded."""

    candidates: msgspec.Raw = _NULL
    prompt_feedback: msgspec.Raw = _NULL
    usage_metadata: msgspec.Raw = _NULL
    model_version: str | None = None
    error: msgspec.Raw = _NULL
    predictions: msgspec.Raw = _NULL
    interaction: msgspec.Raw = _NULL
    event_type: str | None = msgspec.field(name="event_type", default=None)
    model: str | None = None
    usage: msgspec.Raw = _NULL


class _Chunk(msgspec.Struct, gc=False):
    maps: msgspec.Raw = _NULL


class _Grounding(msgspec.Struct, rename="camel", gc=False):
    web_search_queries: list[str] | None = None
    grounding_chunks: list[_Chunk] | None = None


class _Candidate(msgspec.Struct, rename="camel", gc=False):
    finish_reason: str | int | None = None
    grounding_metadata: msgspec.Raw = _NULL


class _Feedback(msgspec.Struct, rename="camel", gc=False):
    block_reason: str | int | None = None


class _Statistics(msgspec.Struct, gc=False):
    token_count: Count | None = None


class _Embeddings(msgspec.Struct, gc=False):
    statistics: _Statistics | None = None


class _Prediction(msgspec.Struct, gc=False):
    embeddings: _Embeddings | None = None


_reply: Final = msgspec.json.Decoder(_Reply)
_metadata: Final = msgspec.json.Decoder(_Metadata)
_counts: Final = msgspec.json.Decoder(_Counts)
_interaction: Final = msgspec.json.Decoder(_Interaction)
_interaction_usage: Final = msgspec.json.Decoder(_InteractionUsage)
_candidates: Final = msgspec.json.Decoder(list[_Candidate])
_grounding: Final = msgspec.json.Decoder(_Grounding)
_feedback: Final = msgspec.json.Decoder(_Feedback)
_predictions: Final = msgspec.json.Decoder(list[_Prediction])

# google.ai.generativelanguage.v1beta.Modality. Pages of a document are priced as images are.
_AUDIO: Final[frozenset[str | int]] = frozenset(("AUDIO", 4))
_IMAGE: Final[frozenset[str | int]] = frozenset(("IMAGE", 2, "DOCUMENT", 5))
_VIDEO: Final[frozenset[str | int]] = frozenset(("VIDEO", 3))
_UNSPECIFIED: Final[frozenset[str | int | None]] = frozenset(
    (None, 0, "", "FINISH_REASON_UNSPECIFIED", "BLOCK_REASON_UNSPECIFIED")
)
# google.cloud.aiplatform.v1.GenerateContentResponse.UsageMetadata.TrafficType, in the words of `serviceTier`.
_TIERS: Final[dict[str | int, str]] = {
    "ON_DEMAND": "on_demand",
    1: "on_demand",
    "PROVISIONED_THROUGHPUT": "provisioned_throughput",
    2: "provisioned_throughput",
    "ON_DEMAND_PRIORITY": "priority",
    "ON_DEMAND_FLEX": "flex",
}
_TEXT: Final = (b'"text":', b'"code":')
_GROUNDING: Final = b'"groundingMetadata"'
_LAST_EVENTS: Final = frozenset(("interaction.completed", "interaction.complete"))
# Up to Gemini 2.5 a grounded prompt is charged once, from Gemini 3 on each search is (ai.google.dev pricing).
_BY_PROMPT: Final = ("gemini-1", "gemini-2")


def read_google(body: bytes, _path: bytes, _headers: Headers) -> Reading:
    """Reads model and usage of a whole JSON reply; a body of another shape reports nothing."""
    reply = lenient(_reply, body)
    if reply is None:
        return Reading(None, None)
    model = reply.model_version or reply.model
    tools = _searches(reply.candidates, model) if _GROUNDING in body else None
    usage = _counted(_metadata_of(reply), tools)
    return Reading(model, usage or _interaction_counted(reply.usage) or _predicted(reply))


def _metadata_of(reply: _Reply) -> _Metadata | None:
    """Decodes the counts; details of another shape do not take them along."""
    raw = reply.usage_metadata
    if bytes(raw) in _NOTHING:
        return None
    found = lenient(_metadata, raw)
    if found is not None:
        return found
    bare = lenient(_counts, raw)
    return None if bare is None else _Metadata(**msgspec.structs.asdict(bare))


def _counted(found: _Metadata | None, tools: dict[str, int] | None) -> Usage | None:
    """Returns the house's counts; None for metadata that counts nothing, such as a traffic type alone."""
    if found is None:
        return None
    into = total(found.prompt_token_count, found.tool_use_prompt_token_count)
    output = total(found.candidates_token_count, found.thoughts_token_count)
    if output is None and into is not None and found.total_token_count is not None:
        output = max(0, found.total_token_count - into)
    if into is None and output is None:
        return None
    prompt = found.prompt_tokens_details or found.prompt_token_details
    fed_back, cached = found.tool_use_prompt_tokens_details, found.cache_tokens_details
    out = found.candidates_tokens_details
    return Usage(
        input=into,
        output=output,
        cache_read=found.cached_content_token_count,
        reasoning=found.thoughts_token_count,
        input_audio=_of(_AUDIO, prompt, fed_back),
        cache_read_audio=_of(_AUDIO, cached),
        input_image=_of(_IMAGE, prompt, fed_back),
        input_video=_of(_VIDEO, prompt, fed_back),
        output_audio=_of(_AUDIO, out),
        output_image=_of(_IMAGE, out),
        output_video=_of(_VIDEO, out),
        server_tools=tools,
        tier=_tier(found),
    )


def _of(kinds: frozenset[str | int], *lists: list[_Modality] | None) -> int | None:
    """Adds the tokens of some modalities; None where none is named."""
    found = None
    for rows in lists:
        for row in rows or ():
            if row.modality in kinds and row.token_count is not None:
                found = (found or 0) + row.token_count
    return found


def _tier(found: _Metadata) -> str | None:
    if found.service_tier:
        return found.service_tier.lower()
    kind = found.traffic_type
    return _TIERS.get(kind, str(kind).lower()) if kind else None


def _searches(candidates: msgspec.Raw, model: str | None) -> dict[str, int] | None:
    """Counts what a reply's grounding is charged for by the search or by the prompt."""
    queries = maps = 0
    for candidate in lenient(_candidates, candidates) or ():
        found = lenient(_grounding, candidate.grounding_metadata)
        if found is not None:
            queries += sum(1 for query in found.web_search_queries or () if query)
            maps |= any(bytes(chunk.maps) not in _NOTHING for chunk in found.grounding_chunks or ())
    if (model or "").startswith(_BY_PROMPT):
        queries = min(1, queries)
    counted = {"web_search_requests": queries, "google_maps_requests": int(maps)}
    return {name: count for name, count in counted.items() if count} or None


def _interaction_counted(raw: msgspec.Raw) -> Usage | None:
    """Returns the counts of the Interactions API, which has its own names for them."""
    found = None if bytes(raw) in _NOTHING else lenient(_interaction_usage, raw)
    if found is None:
        return None
    into = total(found.total_input_tokens, found.total_tool_use_tokens)
    output = total(found.total_output_tokens, found.total_thought_tokens)
    if into is None and output is None:
        return None
    return Usage(
        input=into,
        output=output,
        cache_read=found.total_cached_tokens,
        reasoning=found.total_thought_tokens,
    )


def _predicted(reply: _Reply) -> Usage | None:
    """Adds the tokens of embeddings that `:predict` returns; pictures and videos report none."""
    if b'"token_count"' not in bytes(reply.predictions):
        return None
    rows = lenient(_predictions, reply.predictions) or []
    statistics = [row.embeddings.statistics for row in rows if row.embeddings is not None]
    into = total(*(found.token_count for found in statistics if found is not None))
    return None if into is None else Usage(input=into)


class GoogleEvents:
    """Reads one stream of `generateContent` or of interactions, whatever its framing.

    Google has no end mark: a candidate's `finishReason`, or a blocked prompt, is taken as one.
    """

    __slots__ = ("_metadata", "_tools", "charged", "ended", "failed", "model", "text_bytes", "usage")

    def __init__(self) -> None:
        self._metadata: _Metadata | None = None
        self._tools: dict[str, int] | None = None
        self.usage: Usage | None = None
        self.model: str | None = None
        self.failed = self.ended = False
        self.text_bytes = 0
        self.charged: int | None = None

    def read(self, event: bytes) -> bool:
        """Takes one event in; there is nothing to withhold in Google's streams."""
        self.take(data_of(event))
        return False

    def take(self, data: bytes) -> None:
        """Takes in one JSON object of the stream."""
        self.text_bytes += event_text_bytes(data, _TEXT)
        reply = lenient(_reply, data)
        if reply is None:
            self.ended |= data == b"[DONE]"
            return
        if reply.event_type is not None:
            self._take_interaction(reply)
        self.model = reply.model_version or self.model
        self.failed |= bytes(reply.error) not in _NOTHING
        if b'Reason"' in data:
            self.ended |= _finished(reply)
        self._count(reply, _searches(reply.candidates, self.model) if _GROUNDING in data else None)

    def _count(self, reply: _Reply, tools: dict[str, int] | None) -> None:
        metadata = _metadata_of(reply)
        if metadata is None and tools is None:
            return
        self._tools = tools or self._tools
        counted = _counted(metadata or self._metadata, self._tools)
        if counted is not None:
            self._metadata = metadata or self._metadata
            self.usage = counted

    def _take_interaction(self, event: _Reply) -> None:
        self.ended |= event.event_type in _LAST_EVENTS
        found = lenient(_interaction, event.interaction) or _Interaction()
        self.model = found.model or self.model
        self.usage = _interaction_counted(found.usage) or self.usage


def _finished(reply: _Reply) -> bool:
    found = lenient(_candidates, reply.candidates) or ()
    if any(candidate.finish_reason not in _UNSPECIFIED for candidate in found):
        return True
    feedback = lenient(_feedback, reply.prompt_feedback)
    return feedback is not None and feedback.block_reason not in _UNSPECIFIED
