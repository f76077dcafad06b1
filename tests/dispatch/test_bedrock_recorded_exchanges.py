"""Every recorded exchange of Bedrock: path and model, bytes and usage at any cut, the class of refusals."""

from __future__ import annotations

import base64
import gzip
import json
import struct
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.shared import Exchange, exchanges, require_exchanges
from tokenone.dispatch.decode import Gunzip
from tokenone.dispatch.eventstream import EventStreamMeter
from tokenone.dispatch.providers.bedrock import BEDROCK
from tokenone.types import ErrorClass, Headers, PathClass, Usage

RECORDED = exchanges("bedrock")
FRAMED = "application/vnd.amazon.eventstream"
STREAMED = tuple(one for one in RECORDED if one.reply_headers.get("content-type") == FRAMED)
REFUSED = tuple(one for one in RECORDED if one.status >= 400)
HEADER = "x-amzn-bedrock-{}-token-count"


def named(rows: tuple[Exchange, ...]) -> list[Any]:
    return [pytest.param(row, id=row.id[:70]) for row in rows] or [pytest.param(None, id="absent")]


@pytest.fixture(autouse=True)
def _recordings() -> None:
    require_exchanges()


def headers_of(exchange: Exchange) -> Headers:
    return [(name.encode(), value.encode()) for name, value in exchange.reply_headers.items()]


def opened(exchange: Exchange) -> EventStreamMeter:
    meter = BEDROCK.open_meter(exchange.path.encode(), FRAMED.encode(), False)
    assert isinstance(meter, EventStreamMeter)
    return meter


def metered(exchange: Exchange, pieces: list[bytes]) -> tuple[EventStreamMeter, bytes]:
    meter = opened(exchange)
    return meter, b"".join([*(meter.feed(piece) for piece in pieces), meter.finish()])


def facts_in(meter: EventStreamMeter) -> tuple[object, ...]:
    return meter.usage, meter.model, meter.failed, meter.ended, meter.text_bytes


def payloads(raw: bytes) -> list[dict[str, Any]]:
    """Reads the frames' payloads without the machine under test; those of InvokeModel are unwrapped."""
    found = []
    while raw:
        total, headers = struct.unpack(">II", raw[:8])
        payload = json.loads(raw[12 + headers : total - 4])
        found.append(json.loads(base64.b64decode(payload["bytes"])) if "bytes" in payload else payload)
        raw = raw[total:]
    return found


def reported(exchange: Exchange) -> tuple[int | None, ...] | None:
    """Returns input, output, cache read and write as the reply reports them, input as a total."""
    if exchange.status >= 400 or exchange.path.endswith("/count-tokens"):
        return None
    told = {
        name: int(exchange.reply_headers[HEADER.format(name)])
        for name in ("input", "output", "cache-read-input", "cache-write-input")
        if HEADER.format(name) in exchange.reply_headers
    }
    if told:
        return with_cache(
            *(told.get(name) for name in ("input", "output", "cache-read-input", "cache-write-input"))
        )
    if exchange in STREAMED:
        last = payloads(exchange.reply)[-1]
        metrics = last.get("amazon-bedrock-invocationMetrics")
        if metrics:
            counts = ("input", "output", "cacheReadInput", "cacheWriteInput")
            return with_cache(*(metrics.get(f"{name}TokenCount") for name in counts))
        usage = last["usage"]
    else:
        usage = json.loads(exchange.reply)["usage"]
    if "totalTokens" in usage:
        names = ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheWriteInputTokens")
        whole = with_cache(*(usage.get(name) for name in names))
        assert whole[0] is not None
        assert whole[1] is not None
        assert whole[0] + whole[1] == usage["totalTokens"], "Bedrock's own total"
        return whole
    into = usage.get("input_tokens_details") or usage.get("prompt_tokens_details") or {}
    return (
        usage.get("prompt_tokens", usage.get("input_tokens")),
        usage.get("completion_tokens", usage.get("output_tokens")),
        into.get("cached_tokens"),
        into.get("cache_write_tokens"),
    )


def with_cache(
    fresh: int | None, output: int | None, read: int | None, write: int | None
) -> tuple[int | None, ...]:
    return None if fresh is None else fresh + (read or 0) + (write or 0), output, read, write


def counted(usage: Usage) -> tuple[int | None, ...]:
    return usage.input, usage.output, usage.cache_read, usage.cache_write


@pytest.mark.parametrize("exchange", named(RECORDED))
def test_a_recorded_path_is_inference_and_names_the_model(exchange: Exchange) -> None:
    path = exchange.path.encode()
    assert BEDROCK.classify(exchange.method.encode(), path) is PathClass.INFERENCE
    assert BEDROCK.bills(path) != exchange.path.endswith("/count-tokens")
    asked = exchange.path.split("/")[2] if exchange.path.startswith("/model/") else None
    assert BEDROCK.model_in(path) == (asked and unquote(asked))
    peeked = BEDROCK.peek(exchange.body, "application/json")
    said = json.loads(exchange.body or b"{}")
    assert (peeked.model, peeked.stream) == (said.get("model"), bool(said.get("stream")))
    assert (BEDROCK.model_in(path) or peeked.model) is not None


@pytest.mark.parametrize("exchange", named(RECORDED))
def test_usage_equals_what_the_reply_reports(exchange: Exchange) -> None:
    raw = reported(exchange)
    path = exchange.path.encode()
    usage = (
        metered(exchange, [exchange.reply])[0].usage
        if exchange in STREAMED
        else BEDROCK.read(exchange.reply, path, headers_of(exchange)).usage
    )
    if raw is None:
        assert usage is None
        return
    assert usage is not None
    assert counted(usage) == raw
    assert not usage.estimated


@pytest.mark.parametrize("exchange", named(STREAMED))
def test_a_stream_is_metered_alike_however_it_is_cut_and_forwarded_unchanged(exchange: Exchange) -> None:
    whole = facts_in(metered(exchange, [exchange.reply])[0])
    for size in (1, 7, 64, 4096):
        pieces = [exchange.reply[at : at + size] for at in range(0, len(exchange.reply), size)]
        meter, out = metered(exchange, pieces)
        assert out == exchange.reply
        assert facts_in(meter) == whole
    _, _, failed, ended, text = whole
    assert (failed, ended) == (False, True)
    assert isinstance(text, int)
    assert text > 0


@settings(max_examples=15, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("exchange", named(STREAMED))
def test_random_cuts_change_nothing(exchange: Exchange, data: st.DataObject) -> None:
    end = len(exchange.reply)
    cuts = sorted(data.draw(st.lists(st.integers(0, end), max_size=12)))
    pieces = [exchange.reply[a:b] for a, b in zip([0, *cuts], [*cuts, end], strict=True)]
    meter, out = metered(exchange, pieces)
    assert out == exchange.reply
    assert facts_in(meter) == facts_in(metered(exchange, [exchange.reply])[0])


@pytest.mark.parametrize("exchange", named(STREAMED))
def test_a_stream_that_breaks_off_has_not_ended_and_reports_no_more_than_was_said(exchange: Exchange) -> None:
    whole, _ = metered(exchange, [exchange.reply])
    meter, out = metered(exchange, [exchange.reply[:-1]])
    assert out == exchange.reply[:-1]
    assert not meter.ended
    assert meter.usage is None or meter.usage == whole.usage


@pytest.mark.parametrize("exchange", named(tuple(one for one in RECORDED if one not in STREAMED)))
def test_a_whole_reply_is_no_stream(exchange: Exchange) -> None:
    content_type = exchange.reply_headers["content-type"].encode()
    assert BEDROCK.open_meter(exchange.path.encode(), content_type, False) is None


@pytest.mark.parametrize("exchange", named(REFUSED))
def test_a_recorded_refusal_has_the_class_its_kind_calls_for(exchange: Exchange) -> None:
    found = BEDROCK.error_class(exchange.status, headers_of(exchange), exchange.reply)
    unknown_model = b"model identifier is invalid" in exchange.reply
    expired = "ExpiredToken" in exchange.reply_headers.get("x-amzn-errortype", "")
    expected = {
        400: ErrorClass.MODEL_DENIED if unknown_model else ErrorClass.CALLER,
        403: ErrorClass.KEY_DEAD if expired else ErrorClass.MODEL_DENIED,
        408: ErrorClass.UPSTREAM,
        429: ErrorClass.RATE,
        500: ErrorClass.UPSTREAM,
    }[exchange.status]
    assert found is expected


def test_an_arn_that_contains_the_model_says_which_one_served() -> None:
    (profile,) = [one for one in RECORDED if "arn%3A" in one.path]
    assert BEDROCK.read(profile.reply, profile.path.encode(), []).model == (
        "us.anthropic.claude-3-7-sonnet-20250219-v1:0"
    )


def test_a_gzip_stream_in_small_pieces_is_metered_alike() -> None:
    exchange = STREAMED[0]
    inflate, zipped = Gunzip(), gzip.compress(exchange.reply)
    pieces = [inflate.feed(zipped[at : at + 7]) for at in range(0, len(zipped), 7)]
    assert facts_in(metered(exchange, pieces)[0]) == facts_in(metered(exchange, [exchange.reply])[0])


def test_bedrock_has_fifty_five_recordings() -> None:
    assert len(RECORDED) == 55
    assert len(STREAMED) == 12
