"""Laws of Azure OpenAI: the deployment is the model, replies are metered as recorded, refusals mean what they mean."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.passage import (
    Recorded,
    Refusal,
    counted,
    counted_by_openai,
    final_usage,
    named,
    refusals,
    told,
)
from kit.shared import Exchange, exchanges, require_exchanges
from tokenone.dispatch.providers.azure import AZURE
from tokenone.dispatch.streams import EVENT_STREAM, StreamMeter
from tokenone.types import ErrorClass, PathClass, Usage

RECORDED = exchanges("azure")
STREAMED = tuple(exchange for exchange in RECORDED if exchange.event_stream)


@pytest.fixture
def _recordings() -> None:
    require_exchanges()


needs_recordings = pytest.mark.usefixtures("_recordings")


def at(exchange: Exchange) -> Recorded:
    # One caller wrote its endpoint with a slash at the end, so its path has one too many.
    return Recorded(AZURE, exchange, exchange.path.replace("//", "/").encode())


# ── recorded exchanges ─────────────────────────────────────────────────────────────────────────────────────
@needs_recordings
@pytest.mark.parametrize("exchange", named(RECORDED))
def test_a_recorded_path_is_inference_and_names_the_deployment(exchange: Exchange) -> None:
    here = at(exchange)
    assert AZURE.classify(exchange.method.encode(), here.path) is PathClass.INFERENCE
    assert AZURE.bills(here.path)
    peeked, said = AZURE.peek(exchange.body, "application/json"), json.loads(exchange.body)
    assert (peeked.model, peeked.stream) == (said.get("model"), bool(said.get("stream")))
    deployment = re.search(r"/deployments/([^/]+)/", exchange.path)
    assert AZURE.model_in(here.path) == (deployment and deployment[1])
    assert (AZURE.model_in(here.path) or peeked.model) is not None


@needs_recordings
@pytest.mark.parametrize("exchange", named(RECORDED))
def test_usage_equals_the_recorded_one(exchange: Exchange) -> None:
    raw, usage = final_usage(exchange), at(exchange).usage()
    assert (usage and counted(usage)) == (raw and counted_by_openai(raw))


@needs_recordings
@pytest.mark.parametrize("exchange", named(STREAMED))
def test_a_stream_is_metered_alike_however_it_is_cut(exchange: Exchange) -> None:
    whole = at(exchange).check_however_cut()
    assert whole.model
    assert (whole.failed, whole.ended, whole.charged) == (False, True, None)
    assert whole.text_bytes > 0


@needs_recordings
@pytest.mark.parametrize("exchange", named(STREAMED))
def test_the_usage_that_was_asked_for_is_withheld_and_the_filter_results_are_not(exchange: Exchange) -> None:
    here = at(exchange)
    spliced = AZURE.splice(exchange.body, AZURE.peek(exchange.body, None), here.path)
    assert (spliced is exchange.body) == (b"include_usage" in exchange.body)
    chunk = (
        b'data: {"id":"x","model":"gpt","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":5}}\n\n'
    )
    mark = b"data: [DONE]"
    if spliced is exchange.body:
        return
    answered = exchange.reply.replace(mark, chunk + mark)
    meter, out = here.passed([answered], withhold=True)
    assert out == exchange.reply
    assert meter.usage == Usage(input=9, output=5)


@needs_recordings
def test_recorded_refusals_have_their_class() -> None:
    found = {
        exchange.id.split("--")[1]: at(exchange).error_class()
        for exchange in RECORDED
        if exchange.status >= 400
    }
    assert found == {
        "error_400": ErrorClass.CALLER,
        "error_401": ErrorClass.KEY_DEAD,
        "error_404": ErrorClass.MODEL_DENIED,
    }


@needs_recordings
def test_there_are_seventeen_recordings() -> None:
    assert (len(RECORDED), len(STREAMED)) == (17, 5)


# ── streams ────────────────────────────────────────────────────────────────────────────────────────────────
STREAM = (
    b'data: {"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0}]}\n\n'
    b'data: {"choices":[{"index":0,"delta":{"content":"Hel"}}],"model":"gpt-4o-2024-11-20"}\n\n'
    b'data: {"choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":"stop"}],"model":"gpt-4o-2024-11-20"}\n\n'
    b'data: {"choices":[],"model":"gpt-4o-2024-11-20","usage":{"prompt_tokens":7,"completion_tokens":2}}\n\n'
    b"data: [DONE]\n\n"
)
CHAT = b"/openai/deployments/mine/chat/completions"


def stream_meter(path: bytes = CHAT, *, withhold: bool = False) -> StreamMeter:
    meter = AZURE.open_meter(path, EVENT_STREAM, withhold)
    assert isinstance(meter, StreamMeter)
    return meter


@given(st.sets(st.integers(1, len(STREAM) - 1), max_size=20), st.booleans())
def test_cuts_change_nothing(cuts: set[int], withhold: bool) -> None:
    ends = [0, *sorted(cuts), len(STREAM)]
    whole, cut = stream_meter(withhold=withhold), stream_meter(withhold=withhold)
    at_once = whole.feed(STREAM) + whole.finish()
    in_pieces = b"".join(cut.feed(STREAM[a:b]) for a, b in pairwise(ends)) + cut.finish()
    assert in_pieces == at_once
    assert told(cut) == told(whole)
    assert (whole.usage, whole.model) == (Usage(input=7, output=2), "gpt-4o-2024-11-20")
    assert (b"prompt_filter_results" in at_once, b'"usage"' in at_once) == (True, not withhold)


@given(st.binary(max_size=300))
def test_no_stream_makes_the_meter_raise(noise: bytes) -> None:
    meter = stream_meter()
    assert (
        meter.feed(b"data: " + noise + b"\n\n" + noise) + meter.finish()
        == b"data: " + noise + b"\n\n" + noise
    )


def test_responses_streams_count_their_text_below_either_prefix() -> None:
    event = (
        b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"Hello"}\n\n'
    )
    for path in (b"/openai/v1/responses", b"/openai/responses"):
        meter = stream_meter(path)
        assert meter.feed(event) == event
        assert meter.text_bytes == len("Hello")


def test_claudes_replies_are_read_as_anthropics() -> None:
    path, told_usage = (
        b"/anthropic/v1/messages",
        b'{"input_tokens":7,"cache_read_input_tokens":3,"output_tokens":2}',
    )
    body = b'{"type":"message","model":"claude-opus-4-5","usage":' + told_usage + b"}"
    assert AZURE.read(body, path, []) == ("claude-opus-4-5", Usage(input=10, output=2, cache_read=3), None)
    meter = stream_meter(path)
    meter.feed(b'event: message_start\ndata: {"type":"message_start","message":' + body + b"}\n\n")
    meter.feed(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
    assert (meter.usage, meter.ended) == (Usage(input=10, output=2, cache_read=3), True)
    assert not AZURE.bills(path + b"/count_tokens")
    body = b'{"stream":true,"model":"claude-opus-4-5"}'
    assert AZURE.splice(body, AZURE.peek(body, None), path) is body


def test_a_document_has_no_meter() -> None:
    assert AZURE.open_meter(CHAT, b"application/json", False) is None


# ── paths ──────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("method", "path", "kind", "model"),
    [
        ("POST", "/openai/deployments/gpt-4.1_eu/chat/completions", "inference", "gpt-4.1_eu"),
        ("POST", "/openai/deployments/d/embeddings?api-version=2024-10-21", "inference", "d"),
        ("POST", "/openai/deployments/d/completions", "inference", "d"),
        ("POST", "/openai/deployments/whisper/audio/transcriptions", "inference", "whisper"),
        ("POST", "/openai/deployments/dalle/images/generations", "inference", "dalle"),
        ("POST", "/openai/v1/chat/completions", "inference", None),
        ("POST", "/openai/v1/responses", "inference", None),
        ("POST", "/openai/responses?api-version=preview", "inference", None),
        ("GET", "/openai/v1/responses/resp_1", "stateful", None),
        ("DELETE", "/openai/responses/resp_1", "stateful", None),
        ("POST", "/openai/files", "stateful", None),
        ("GET", "/openai/v1/batches/b", "stateful", None),
        ("POST", "/openai/assistants", "stateful", None),
        ("GET", "/openai/models?api-version=2024-10-21", "free", None),
        ("GET", "/openai/v1/models", "free", None),
        ("POST", "/openai/deployments", "admin", None),
        ("PUT", "/openai/deployments/d", "admin", None),
        ("POST", "/openai/deployments/d/realtime", "admin", None),
        ("POST", "/openai/v1/realtime/client_secrets", "admin", None),
        ("GET", "/openai/deployments/d/chat/completions", "admin", None),
        ("POST", "/openai/chat/completions", "stateful", None),
        ("POST", "/anthropic/v1/messages", "inference", None),
        ("POST", "/anthropic/v1/messages/count_tokens", "inference", None),
        ("POST", "/anthropic/v1/organizations/api_keys", None, None),
        ("POST", "/v1/chat/completions", None, None),
        ("POST", "/openai", None, None),
        ("POST", "/openai/deployments/../v1/chat/completions", None, None),
        ("POST", "/openai/deployments/./chat/completions", None, None),
        ("POST", "/openai/deployments/..%2f/chat/completions", None, None),
        ("POST", "/openai/deployments/a%2Fb/chat/completions", None, None),
        ("POST", "/openai/deployments//chat/completions", None, None),
        ("POST", "//openai/deployments/d/chat/completions", None, None),
        ("POST", "/openai/deployments/d/chat/completions/", None, None),
        ("POST", "/openai/deployments/" + "d" * 65 + "/chat/completions", "admin", None),
    ],
)
def test_paths(method: str, path: str, kind: str | None, model: str | None) -> None:
    assert AZURE.classify(method.encode(), path.encode()) == kind
    if kind == "inference":
        assert AZURE.model_in(path.encode()) == model


def test_the_model_may_be_left_out_where_the_path_names_it_or_the_provider_has_one() -> None:
    assert b"/openai/v1/images/generations" in AZURE.model_optional
    assert b"/openai/v1/chat/completions" not in AZURE.model_optional


def test_usage_is_not_asked_for_where_the_service_refuses_to_be_asked() -> None:
    body = b'{"stream":true,"messages":[],"data_sources":[{"type":"azure_search"}]}'
    assert AZURE.splice(body, AZURE.peek(body, None), CHAT) is body
    plain = b'{"stream":true,"messages":[]}'
    assert AZURE.splice(plain, AZURE.peek(plain, None), b"/openai/v1/responses") is plain
    assert b"include_usage" in AZURE.splice(plain, AZURE.peek(plain, None), b"/openai/v1/chat/completions")


# ── refusals ───────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("refusal", refusals("azure"))
def test_a_refusal_has_its_class(refusal: Refusal) -> None:
    assert AZURE.error_class(refusal.status, refusal.headers, refusal.body) is refusal.expected


def test_half_of_the_vectors_are_traps() -> None:
    traps = [param.values[0].trap for param in refusals("azure")]
    assert sum(traps) * 2 >= len(traps)


@given(st.integers(100, 599), st.binary(max_size=200))
def test_no_refusal_makes_the_reader_raise(status: int, body: bytes) -> None:
    assert AZURE.error_class(status, [], body) in ErrorClass
    assert AZURE.read(body, CHAT, []).charged is None
