"""Every recorded exchange of the Gemini API and Vertex AI: its path is classed and names the model, its usage is
found however the reply was cut, its refusal has its class."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from kit.shared import Exchange, exchanges, require_exchanges
from tokenone.dispatch.decode import Gunzip
from tokenone.dispatch.providers import PROVIDERS, Facts
from tokenone.dispatch.streams import Meter
from tokenone.types import ErrorClass, PathClass, Provider, Usage

RECORDED = (*exchanges("gemini"), *exchanges("vertex"))
ARRAYS = frozenset(("vertex--text--04",))
STATEFUL = frozenset(("gemini--text--08", "gemini--text--09"))


def is_array(exchange: Exchange) -> bool:
    return exchange.id.startswith(tuple(ARRAYS))


STREAMED = tuple(exchange for exchange in RECORDED if exchange.event_stream or is_array(exchange))
NAMES = {1: "TEXT", 2: "IMAGE", 3: "VIDEO", 4: "AUDIO", 5: "DOCUMENT"}


def named(rows: tuple[Exchange, ...]) -> list[Any]:
    """Parametrises by exchange; without the folder one case remains, which skips."""
    return [pytest.param(row, id=row.id[:60]) for row in rows] or [pytest.param(None, id="absent")]


@pytest.fixture(autouse=True)
def _recordings() -> None:
    require_exchanges()


def facts_of(exchange: Exchange) -> Facts:
    return PROVIDERS[Provider(exchange.provider)]


def opened(exchange: Exchange) -> Meter | None:
    content_type = exchange.reply_headers.get("content-type", "").lower().encode()
    return facts_of(exchange).open_meter(exchange.path.encode(), content_type, False)


def meter_over(exchange: Exchange, pieces: list[bytes]) -> tuple[Meter, bytes]:
    meter = opened(exchange)
    assert meter is not None
    out = b"".join(meter.feed(piece) for piece in pieces) + meter.finish()
    return meter, out


def cut(body: bytes, size: int) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]


def documents(exchange: Exchange) -> list[dict[str, Any]]:
    """Returns the JSON objects of a reply in order, with the standard library alone."""
    if exchange.event_stream:
        lines = exchange.reply.decode().splitlines()
        return [json.loads(line[5:]) for line in lines if line.startswith("data:")]
    whole = json.loads(exchange.reply or b"{}")
    return whole if isinstance(whole, list) else [whole]


def reported(exchange: Exchange) -> tuple[int | None, ...] | None:
    """Computes input, output, cache read, reasoning, audio, cached audio, images and video in, and tier anew."""
    if "/openai/" in exchange.path:
        usage = documents(exchange)[-1]["usage"]
        output = usage["total_tokens"] - usage["prompt_tokens"]
        hidden = output - usage["completion_tokens"]
        return usage["prompt_tokens"], output, None, hidden, *[None] * 5
    predictions = documents(exchange)[-1].get("predictions")
    if predictions:
        tokens = sum(one["embeddings"]["statistics"]["token_count"] for one in predictions)
        return tokens, *[None] * 8
    counted = [one["usageMetadata"] for one in documents(exchange) if "usageMetadata" in one]
    counted = [usage for usage in counted if "promptTokenCount" in usage]
    return normalised(counted[-1]) if counted else None


def normalised(raw: dict[str, Any]) -> tuple[Any, ...]:
    into = raw["promptTokenCount"] + raw.get("toolUsePromptTokenCount", 0)
    assert raw["totalTokenCount"] - into == raw.get("candidatesTokenCount", 0) + raw.get(
        "thoughtsTokenCount", 0
    )
    traffic = raw.get("trafficType")
    tier = raw.get("serviceTier") or (traffic and "on_demand")
    return (
        into,
        raw["totalTokenCount"] - into,
        raw.get("cachedContentTokenCount"),
        raw.get("thoughtsTokenCount"),
        of("AUDIO", raw.get("promptTokensDetails")),
        of("AUDIO", raw.get("cacheTokensDetails")),
        of("IMAGE", raw.get("promptTokensDetails")) or of("DOCUMENT", raw.get("promptTokensDetails")),
        of("VIDEO", raw.get("promptTokensDetails")),
        tier,
    )


def of(kind: str, details: list[dict[str, Any]] | None) -> int | None:
    named = [row for row in details or () if NAMES.get(row["modality"], row["modality"]) == kind]
    return sum(row["tokenCount"] for row in named) if named else None


def counted(usage: Usage) -> tuple[Any, ...]:
    return (
        usage.input,
        usage.output,
        usage.cache_read,
        usage.reasoning,
        usage.input_audio,
        usage.cache_read_audio,
        usage.input_image,
        usage.input_video,
        usage.tier,
    )


@pytest.mark.parametrize("exchange", named(RECORDED))
def test_a_recorded_path_is_classed_and_names_the_model(exchange: Exchange) -> None:
    facts, path = facts_of(exchange), exchange.path.encode()
    kind = facts.classify(exchange.method.encode(), path + b"?" + exchange.query.encode())
    if exchange.id.startswith(tuple(STATEFUL)):
        assert kind is PathClass.STATEFUL
        return
    assert kind is PathClass.INFERENCE
    assert facts.bills(path) == (":countTokens" not in exchange.path)
    peeked = facts.peek(exchange.body, "application/json")
    if "/openai/" in exchange.path:
        assert facts.model_in(path) is None
        assert peeked.model == json.loads(exchange.body)["model"]
        return
    assert facts.model_in(path) == exchange.path.rpartition("/")[2].partition(":")[0]


@pytest.mark.parametrize("exchange", named(RECORDED))
def test_usage_equals_the_recorded_one(exchange: Exchange) -> None:
    expected = reported(exchange)
    meter = opened(exchange)
    if meter is not None:
        usage = meter_over(exchange, [exchange.reply])[0].usage
    else:
        usage = facts_of(exchange).usage(exchange.reply, exchange.path.encode())
    if expected is None:
        assert usage is None
        return
    assert usage is not None
    assert counted(usage) == expected
    assert not usage.estimated


@pytest.mark.parametrize("exchange", named(STREAMED))
def test_a_stream_is_metered_alike_however_it_is_cut_and_forwarded_unchanged(exchange: Exchange) -> None:
    whole, out = meter_over(exchange, [exchange.reply])
    assert out == exchange.reply
    for size in (1, 7, 64, 4096):
        meter, out = meter_over(exchange, cut(exchange.reply, size))
        assert out == exchange.reply
        assert (meter.usage, meter.model, meter.failed, meter.ended, meter.text_bytes) == (
            whole.usage,
            whole.model,
            whole.failed,
            whole.ended,
            whole.text_bytes,
        )
    assert whole.model is not None
    assert whole.ended
    assert not whole.failed
    assert whole.in_events == exchange.event_stream
    assert whole.text_bytes > 0 or "functionCall" in exchange.reply.decode()


@pytest.mark.parametrize("exchange", named(STREAMED))
def test_a_gzip_stream_in_small_pieces_is_metered_alike(exchange: Exchange) -> None:
    inflate = Gunzip()
    pieces = [inflate.feed(piece) for piece in cut(gzip.compress(exchange.reply), 7)]
    assert inflate.whole
    assert meter_over(exchange, pieces)[0].usage == meter_over(exchange, [exchange.reply])[0].usage


@pytest.mark.parametrize("exchange", named(tuple(row for row in RECORDED if row.status >= 400)))
def test_a_recorded_refusal_has_the_class_its_kind_calls_for(exchange: Exchange) -> None:
    found = facts_of(exchange).error_class(exchange.status, [], exchange.reply)
    dead = b"API_KEY_INVALID" in exchange.reply or exchange.status == 401
    missing = b"models/nonexistent-model" in exchange.reply
    expected = ErrorClass.KEY_DEAD if dead else ErrorClass.MODEL_DENIED if missing else ErrorClass.CALLER
    assert found is expected


def test_searches_that_google_charges_for_are_counted() -> None:
    tools = {}
    for exchange in RECORDED:
        usage = None if opened(exchange) else facts_of(exchange).usage(exchange.reply, exchange.path.encode())
        if usage is not None and usage.server_tools is not None:
            tools[exchange.id.partition("--test")[0]] = usage.server_tools
    assert tools == {
        "gemini--server_tools--07": {"web_search_requests": 1},
        "vertex--server_tools--03": {"web_search_requests": 1},
    }


def test_the_two_providers_have_sixty_eight_recordings() -> None:
    assert len(RECORDED) == 68
    assert len(STREAMED) == 14
