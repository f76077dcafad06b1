"""Every recorded exchange: its path is classed, its body peeked, its usage found however the reply was cut."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from kit.meters import event_meter
from kit.shared import Exchange, exchanges, require_exchanges
from tokenone.dispatch.decode import Gunzip
from tokenone.dispatch.providers import PROVIDERS, Facts
from tokenone.dispatch.streams import StreamMeter
from tokenone.dispatch.text import text_bytes
from tokenone.types import ErrorClass, PathClass, Provider, Usage

RECORDED = (*exchanges("openai"), *exchanges("anthropic"))
STREAMED = tuple(exchange for exchange in RECORDED if exchange.event_stream)
UNREPORTED = frozenset(("openai--text-stream--04", "openai--text-stream--05", "openai--error_midstream--01"))


def named(rows: tuple[Exchange, ...]) -> list[Any]:
    """Parametrises by exchange; without the folder one case remains, which skips."""
    return [pytest.param(row, id=row.id[:60]) for row in rows] or [pytest.param(None, id="absent")]


@pytest.fixture(autouse=True)
def _recordings() -> None:
    require_exchanges()


def facts_of(exchange: Exchange) -> Facts:
    return PROVIDERS[Provider(exchange.provider)]


def meter_over(
    exchange: Exchange, pieces: list[bytes], *, withhold: bool = False
) -> tuple[StreamMeter, bytes]:
    meter = event_meter(Provider(exchange.provider), exchange.path.encode(), withhold=withhold)
    out = b"".join(meter.feed(piece) for piece in pieces) + meter.finish()
    return meter, out


def cut(body: bytes, size: int) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]


def reported(exchange: Exchange) -> dict[str, Any] | None:
    """Finds the usage in a reply with the standard library alone."""
    if not exchange.event_stream:
        return json.loads(exchange.reply or b"{}").get("usage")
    found: dict[str, Any] = {}
    for line in exchange.reply.decode().splitlines():
        if not line.startswith("data:") or line.strip() == "data: [DONE]":
            continue
        event = json.loads(line[5:])
        for holder in (event, event.get("response") or {}, event.get("message") or {}):
            found |= {name: value for name, value in (holder.get("usage") or {}).items() if value is not None}
    return found or None


def normalised(provider: str, raw: dict[str, Any]) -> tuple[int | None, ...]:
    """Returns input, output, cache read, cache write and reasoning as the house counts them."""
    into = raw.get("prompt_tokens_details") or raw.get("input_tokens_details") or {}
    out = raw.get("completion_tokens_details") or raw.get("output_tokens_details") or {}
    if provider == "anthropic":
        read, write = raw.get("cache_read_input_tokens"), raw.get("cache_creation_input_tokens")
        whole = raw["input_tokens"] + (read or 0) + (write or 0)
        return whole, raw["output_tokens"], read, write, out.get("thinking_tokens")
    return (
        raw.get("prompt_tokens", raw.get("input_tokens")),
        raw.get("completion_tokens", raw.get("output_tokens")),
        into.get("cached_tokens"),
        into.get("cache_write_tokens"),
        out.get("reasoning_tokens"),
    )


def counted(usage: Usage) -> tuple[int | None, ...]:
    return usage.input, usage.output, usage.cache_read, usage.cache_write, usage.reasoning


@pytest.mark.parametrize("exchange", named(RECORDED))
def test_a_recorded_path_is_inference_and_its_body_names_the_model(exchange: Exchange) -> None:
    facts = facts_of(exchange)
    kind = facts.classify(exchange.method.encode(), exchange.path.encode())
    if exchange.method == "GET":
        assert kind is PathClass.STATEFUL
        return
    assert kind is PathClass.INFERENCE
    peeked = facts.peek(exchange.body, "application/json")
    said = json.loads(exchange.body)
    assert (peeked.model, peeked.stream) == (said.get("model"), bool(said.get("stream")))
    assert text_bytes(exchange.body) > 0


@pytest.mark.parametrize("exchange", named(RECORDED))
def test_usage_equals_the_recorded_one(exchange: Exchange) -> None:
    raw = reported(exchange)
    path = exchange.path.encode()
    usage = (
        meter_over(exchange, [exchange.reply])[0].usage
        if exchange.event_stream
        else facts_of(exchange).usage(exchange.reply, path)
    )
    if raw is None:
        assert usage is None
        assert (
            exchange.status >= 400 or not exchange.event_stream or exchange.id.startswith(tuple(UNREPORTED))
        )
        return
    assert usage is not None
    assert counted(usage) == normalised(exchange.provider, raw)
    assert not usage.estimated


@pytest.mark.parametrize("exchange", named(STREAMED))
def test_a_stream_is_metered_alike_however_it_is_cut_and_forwarded_unchanged(exchange: Exchange) -> None:
    whole, _ = meter_over(exchange, [exchange.reply])
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
    assert whole.failed == ("error_midstream" in exchange.id)
    assert whole.ended != whole.failed
    assert whole.text_bytes > 0


@pytest.mark.parametrize("exchange", named(STREAMED))
def test_a_gzip_stream_in_small_pieces_is_metered_alike(exchange: Exchange) -> None:
    inflate = Gunzip()
    pieces = [inflate.feed(piece) for piece in cut(gzip.compress(exchange.reply), 7)]
    assert inflate.whole
    assert b"".join(pieces) == exchange.reply
    assert meter_over(exchange, pieces)[0].usage == meter_over(exchange, [exchange.reply])[0].usage


@pytest.mark.parametrize("exchange", named(STREAMED))
def test_splicing_and_withholding_leave_the_caller_what_an_unspliced_call_gives(exchange: Exchange) -> None:
    facts = facts_of(exchange)
    path = exchange.path.encode()
    spliced = facts.splice(exchange.body, facts.peek(exchange.body, None), path)
    chat = path == b"/v1/chat/completions"
    asked = b"include_usage" in exchange.body
    assert (spliced != exchange.body) == (chat and not asked)
    if spliced == exchange.body:
        return
    assert spliced.replace(b'"stream_options":{"include_usage":true},', b"", 1) == exchange.body
    chunk = (
        b'data: {"id":"x","model":"gpt","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":5}}\n\n'
    )
    answered = exchange.reply.replace(b"data: [DONE]", chunk + b"data: [DONE]")
    for size in (1, 7, len(answered)):
        meter, out = meter_over(exchange, cut(answered, size), withhold=True)
        assert out == exchange.reply
        if chunk in answered:
            assert meter.usage == Usage(input=9, output=5)
            assert meter.withheld == len(chunk)


@pytest.mark.parametrize("exchange", named(tuple(row for row in RECORDED if row.status >= 400)))
def test_a_recorded_refusal_has_the_class_its_kind_calls_for(exchange: Exchange) -> None:
    headers = [(name.encode(), value.encode()) for name, value in exchange.reply_headers.items()]
    found = facts_of(exchange).error_class(exchange.status, headers, exchange.reply)
    billing = (
        b"credit balance is too low" in exchange.reply or b'"code": "insufficient_quota"' in exchange.reply
    )
    expected = {
        401: {ErrorClass.KEY_DEAD},
        403: {ErrorClass.MODEL_DENIED},
        404: {ErrorClass.MODEL_DENIED},
        429: {ErrorClass.RATE, ErrorClass.BILLING},
        503: {ErrorClass.UPSTREAM},
    }.get(exchange.status, {ErrorClass.CALLER, ErrorClass.MODEL_DENIED})
    assert found in ({ErrorClass.BILLING} if billing else expected)


def test_the_two_providers_have_a_hundred_and_eighteen_recordings() -> None:
    assert len(RECORDED) == 118
    assert len(STREAMED) >= 20
