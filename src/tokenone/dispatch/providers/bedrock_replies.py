"""Reads what Bedrock's whole replies say about themselves: usage, tier, and the model where one was chosen.

Law: Bedrock's input counts, in bodies and in headers, exclude cache reads and writes; the total is their sum.
Of InvokeModel the headers count first, for they are Bedrock's own and the same for every model; the model's
body completes them. A reply names its model only where the path does not say which one serves: the path is what
was asked for, and the native bodies spell other names.
Source: "Converse" and "InvokeModel" (Bedrock API Reference, Runtime); "Prompt caching" (Bedrock User Guide).
"""

from __future__ import annotations

import re
from itertools import islice
from typing import Final
from urllib.parse import unquote

import msgspec

from tokenone.dispatch.forward import value_of
from tokenone.dispatch.providers import anthropic_replies, openai_replies
from tokenone.dispatch.providers.counts import Count, lenient, total
from tokenone.dispatch.providers.facts import Reading
from tokenone.types import Headers, Usage

_COUNT: Final = re.compile(rb"[0-9]{1,9}")
_IN_PATH: Final = re.compile(rb"/model/([^/?]+)/([a-z-]+)(?:\?.*)?")
# What an ARN names behind these is the id that prices and allow-lists know; others are opaque.
_NAMED: Final = re.compile(
    r"arn:aws[a-z-]*:bedrock:[^:]*:[^:]*:(?:foundation-model|inference-profile)/([^/]+)", re.ASCII
)
_TOOL: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)
_MOST_TOOLS: Final = 32
_HEADER: Final = b"x-amzn-bedrock-"


class _CacheDetail(msgspec.Struct, gc=False):
    inputTokens: Count | None = None
    ttl: str | None = None


class _Usage(msgspec.Struct, gc=False):
    """Converse's usage; Nova's own bodies have the same, under the older names of the cache's members."""

    inputTokens: Count | None = None
    outputTokens: Count | None = None
    cacheReadInputTokens: Count | None = None
    cacheWriteInputTokens: Count | None = None
    cacheReadInputTokenCount: Count | None = None
    cacheWriteInputTokenCount: Count | None = None
    cacheDetails: list[_CacheDetail] | None = None
    serverToolUsage: dict[str, Count | None] | None = None


class _Tier(msgspec.Struct, gc=False):
    type: str | None = None


class _Performance(msgspec.Struct, gc=False):
    latency: str | None = None


class _Router(msgspec.Struct, gc=False):
    invokedModelId: str | None = None


class _Trace(msgspec.Struct, gc=False):
    promptRouter: _Router | None = None


class _Converse(msgspec.Struct, gc=False):
    """A Converse reply, or the `metadata` event of a Converse stream."""

    usage: msgspec.Raw = msgspec.Raw(b"null")
    serviceTier: msgspec.Raw = msgspec.Raw(b"null")
    performanceConfig: msgspec.Raw = msgspec.Raw(b"null")
    trace: msgspec.Raw = msgspec.Raw(b"null")


class Metrics(msgspec.Struct, gc=False):
    """What Bedrock adds to the last event of a streamed InvokeModel."""

    inputTokenCount: Count | None = None
    outputTokenCount: Count | None = None
    cacheReadInputTokenCount: Count | None = None
    cacheWriteInputTokenCount: Count | None = None


_usage: Final = msgspec.json.Decoder(_Usage)
_tier: Final = msgspec.json.Decoder(_Tier)
_performance: Final = msgspec.json.Decoder(_Performance)
_trace: Final = msgspec.json.Decoder(_Trace)
_converse: Final = msgspec.json.Decoder(_Converse)


def read_reply(body: bytes, path: bytes, headers: Headers) -> Reading:
    """Reads usage and model of a whole reply; what has another shape reports nothing."""
    found = _IN_PATH.fullmatch(path)
    if found is None:
        return _read_compatible(body, path, headers)
    if found[2] == b"converse":
        return read_converse(body, served(path))
    if found[2] == b"invoke":
        return Reading(served(path), completed(_told(headers), native_usage(body)))
    return Reading(None, None)


def _read_compatible(body: bytes, path: bytes, headers: Headers) -> Reading:
    if path.startswith(b"/anthropic/"):
        return anthropic_replies.read_reply(body, path, headers)
    if path.endswith((b"/chat/completions", b"/responses")):
        return openai_replies.read_reply(body, path, headers)
    return Reading(None, None)


def served(path: bytes) -> str | None:
    """Returns the model's id where the path names it by an ARN that contains it, else None."""
    found = _IN_PATH.fullmatch(path)
    return None if found is None else _id_in(unquote(found[1].decode("ascii", "replace")))


def _id_in(arn: str | None) -> str | None:
    named = _NAMED.fullmatch(arn or "")
    return None if named is None else named[1]


def read_converse(body: bytes, model: str | None) -> Reading:
    """Reads a Converse reply or a stream's `metadata`; `model` is what the path said."""
    reply = lenient(_converse, body)
    if reply is None:
        return Reading(model, None)
    trace = lenient(_trace, reply.trace)
    router = None if trace is None else trace.promptRouter
    chosen = None if router is None else router.invokedModelId
    return Reading(_id_in(chosen) or chosen or model, _usage_of(reply))


def _usage_of(reply: _Converse) -> Usage | None:
    found = lenient(_usage, reply.usage)
    if found is None or (found.inputTokens is None and found.outputTokens is None):
        return None
    tier = lenient(_tier, reply.serviceTier)
    performance = lenient(_performance, reply.performanceConfig)
    read = _first(found.cacheReadInputTokens, found.cacheReadInputTokenCount)
    written = _first(found.cacheWriteInputTokens, found.cacheWriteInputTokenCount)
    return Usage(
        input=_whole(found.inputTokens, read, written),
        output=found.outputTokens,
        cache_read=read,
        cache_write=written,
        cache_write_1h=_written_for_an_hour(found.cacheDetails),
        server_tools=_tools(found.serverToolUsage),
        tier=None if tier is None else tier.type,
        speed=None if performance is None else performance.latency,
    )


def _first(newer: int | None, older: int | None) -> int | None:
    return older if newer is None else newer


def _whole(uncached: int | None, read: int | None, written: int | None) -> int | None:
    return None if uncached is None else uncached + (read or 0) + (written or 0)


def _written_for_an_hour(details: list[_CacheDetail] | None) -> int | None:
    if not details:
        return None
    return total(0, *(detail.inputTokens for detail in details if detail.ttl == "1h"))


def _tools(reported: dict[str, Count | None] | None) -> dict[str, int] | None:
    named = {name: count for name, count in (reported or {}).items() if count and _TOOL.fullmatch(name)}
    return dict(islice(named.items(), _MOST_TOOLS)) or None


# ── InvokeModel ──────────────────────────────────────────────────────────────────────────────────────────
def native_usage(body: bytes) -> Usage | None:
    """Returns the usage in a model's own body: Amazon's, Anthropic's or OpenAI's form."""
    reply = lenient(_converse, body)
    if reply is None or reply.usage == b"null":
        return None
    return (
        _usage_of(reply)
        or anthropic_replies.read_reply(body, b"", []).usage
        or openai_replies.read_reply(body, b"", []).usage
    )


def from_metrics(found: Metrics) -> Usage | None:
    """Returns the usage that Bedrock counted for any model."""
    if found.inputTokenCount is None and found.outputTokenCount is None:
        return None
    read, written = found.cacheReadInputTokenCount, found.cacheWriteInputTokenCount
    return Usage(
        input=_whole(found.inputTokenCount, read, written),
        output=found.outputTokenCount,
        cache_read=read,
        cache_write=written,
    )


def _told(headers: Headers) -> Usage | None:
    """Returns the usage in InvokeModel's headers."""
    told = from_metrics(
        Metrics(
            _count(headers, b"input-token-count"),
            _count(headers, b"output-token-count"),
            _count(headers, b"cache-read-input-token-count"),
            _count(headers, b"cache-write-input-token-count"),
        )
    )
    if told is None:
        return None
    tier, speed = _text(headers, b"service-tier"), _text(headers, b"performanceconfig-latency")
    return msgspec.structs.replace(told, tier=tier, speed=speed)


def _count(headers: Headers, name: bytes) -> int | None:
    value = value_of(headers, _HEADER + name) or b""
    return int(value) if _COUNT.fullmatch(value) else None


def _text(headers: Headers, name: bytes) -> str | None:
    value = value_of(headers, _HEADER + name)
    return None if value is None else value[:64].decode("ascii", "replace")


def completed(told: Usage | None, native: Usage | None) -> Usage | None:
    """Returns Bedrock's own counts, with what only the model reports; cached input is part of the total."""
    if told is None or native is None:
        return told or native
    missing = {name: getattr(native, name) for name in Usage.__struct_fields__ if getattr(told, name) is None}
    if told.input is not None:
        cached = total(missing.get("cache_read"), missing.get("cache_write"))
        missing["input"] = told.input + (cached or 0)
    return msgspec.structs.replace(told, **missing)
