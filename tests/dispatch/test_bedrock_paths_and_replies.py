"""Bedrock's paths and what its replies report: models in every spelling, usage of every form, streams that fail."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenone.dispatch.eventstream import CONTENT_TYPE, EventStreamMeter, encode, exception_frame
from tokenone.dispatch.providers.bedrock import BEDROCK
from tokenone.dispatch.streams import EVENT_STREAM, Meter
from tokenone.dispatch.tail import TailReader
from tokenone.rows import Endpoint
from tokenone.types import Headers, PathClass, Provider, Usage

CONVERSE = b"/model/amazon.nova-lite-v1%3A0/converse"
INVOKE = b"/model/amazon.nova-lite-v1%3A0/invoke"
OWN = "arn:aws:bedrock:us-east-1:123456789012:"
ARN = b"arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3A"


# ── paths ────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("path", "model"),
    [
        (CONVERSE, "amazon.nova-lite-v1:0"),
        (b"/model/amazon.nova-lite-v1%3a0/converse-stream", "amazon.nova-lite-v1:0"),
        (b"/model/amazon.nova-lite-v1:0/invoke", "amazon.nova-lite-v1:0"),
        (
            b"/model/us.anthropic.claude-opus-4-8/invoke-with-response-stream?x=1",
            "us.anthropic.claude-opus-4-8",
        ),
        (b"/model/" + ARN + b"provisioned-model%2Fabc/invoke", OWN + "provisioned-model/abc"),
        (b"/model/" + ARN + b"custom-model%2Fa.b%2Fc9/count-tokens", OWN + "custom-model/a.b/c9"),
        (b"/guardrail/v9kpg6yrwhs2/version/DRAFT/apply", "guardrail/v9kpg6yrwhs2"),
        (b"/guardrail/" + ARN + b"guardrail%2Fg/version/1/apply", "guardrail/" + OWN + "guardrail/g"),
        (b"/guardrail-checks/invoke", "guardrail-checks"),
    ],
)
def test_an_inference_path_names_its_model_decoded(path: bytes, model: str) -> None:
    assert BEDROCK.classify(b"POST", path) is PathClass.INFERENCE
    assert BEDROCK.model_in(path) == model
    assert BEDROCK.classify(b"GET", path) is None


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        (b"POST", b"/async-invoke", PathClass.STATEFUL),
        (b"GET", b"/async-invoke?maxResults=1", PathClass.STATEFUL),
        (b"GET", b"/async-invoke/" + ARN + b"async-invoke%2Fx1", PathClass.STATEFUL),
        (b"POST", b"/openai/v1/chat/completions", PathClass.INFERENCE),
        (b"POST", b"/v1/responses", PathClass.INFERENCE),
        (b"GET", b"/openai/v1/responses/resp_1", PathClass.STATEFUL),
        (b"POST", b"/anthropic/v1/messages", PathClass.INFERENCE),
        (b"GET", b"/v1/models", PathClass.FREE),
    ],
)
def test_other_paths_have_the_class_of_what_they_do(method: bytes, path: bytes, kind: PathClass) -> None:
    assert BEDROCK.classify(method, path) is kind


@pytest.mark.parametrize(
    "path",
    [
        b"/model//converse",
        b"/model/../converse",
        b"/model/%2e%2e/converse",
        b"/model/a%2F..%2Fb/converse",
        b"/model/a%2F%2Fb/converse",
        b"/model/a%252Fb/converse",
        b"/model/%61mazon.nova/converse",
        b"/model/a/b/converse",
        b"/model/a/converse/",
        b"/model/a/Converse",
        b"/model/a/converse-with-response-stream",
        b"/model/a/invoke-with-bidirectional-stream",
        b"/model/a%00/converse",
        b"/foundation-models",
        b"/guardrails",
        b"/model-invocation-job",
        b"/logging/modelinvocations",
    ],
)
def test_what_is_spelled_otherwise_or_belongs_to_the_control_plane_has_no_class(path: bytes) -> None:
    assert {BEDROCK.classify(method, path) for method in (b"GET", b"POST", b"PUT", b"DELETE")} == {None}


@given(st.binary(max_size=40))
def test_no_path_is_a_model_with_a_dot_segment(part: bytes) -> None:
    path = b"/model/" + part + b"/converse"
    if BEDROCK.classify(b"POST", path) is PathClass.INFERENCE:
        model = BEDROCK.model_in(path)
        assert model
        assert not any(segment in ("", ".", "..") for segment in model.split("/"))


def test_counting_tokens_costs_nothing() -> None:
    assert not BEDROCK.bills(b"/model/amazon.nova-lite-v1%3A0/count-tokens?x")
    assert BEDROCK.bills(CONVERSE)


@pytest.mark.parametrize(
    ("host", "target"),
    [
        ("https://bedrock-runtime.us-east-1.amazonaws.com", b"/pre/async-invoke?maxResults=1"),
        ("https://bedrock-mantle.us-east-1.api.aws", b"/pre/v1/models"),
    ],
)
def test_a_probe_is_a_free_request_of_the_endpoints_own_host(host: str, target: bytes) -> None:
    endpoint = Endpoint("ep", None, Provider.BEDROCK, "e", (host,), base_path="/pre")
    assert BEDROCK.probe.method == b"GET"
    assert BEDROCK.place(endpoint, BEDROCK.probe.target) == target
    assert BEDROCK.place(endpoint, CONVERSE) == b"/pre" + CONVERSE


# ── whole replies ────────────────────────────────────────────────────────────────────────────────────────
def read(reply: Any, path: bytes, headers: Headers | None = None) -> tuple[str | None, Usage | None]:
    found = BEDROCK.read(json.dumps(reply).encode(), path, headers or [])
    return found.model, found.usage


def test_a_conversation_reports_totals_with_the_cache_its_tier_and_its_tools() -> None:
    usage = {
        "inputTokens": 3,
        "outputTokens": 61,
        "totalTokens": 2438,
        "cacheReadInputTokens": 2074,
        "cacheWriteInputTokens": 300,
        "cacheDetails": [{"inputTokens": 100, "ttl": "1h"}, {"inputTokens": 200, "ttl": "5m"}],
        "serverToolUsage": {"webSearchRequests": 2, "idle": 0},
    }
    reply = {"usage": usage, "serviceTier": {"type": "flex"}, "performanceConfig": {"latency": "optimized"}}
    assert read(reply, CONVERSE) == (
        None,
        Usage(
            input=2377,
            output=61,
            cache_read=2074,
            cache_write=300,
            cache_write_1h=100,
            server_tools={"webSearchRequests": 2},
            tier="flex",
            speed="optimized",
        ),
    )


@pytest.mark.parametrize(
    ("told", "model"),
    [
        (b"foundation-model%2Famazon.nova-lite-v1%3A0", "amazon.nova-lite-v1:0"),
        (b"inference-profile%2Feu.amazon.nova-lite-v1%3A0", "eu.amazon.nova-lite-v1:0"),
        (b"application-inference-profile%2Fx1y2", None),
        (b"provisioned-model%2Fx1y2", None),
    ],
)
def test_an_arn_names_the_model_only_where_it_contains_its_id(told: bytes, model: str | None) -> None:
    for verb in (b"/converse", b"/invoke"):
        assert read({}, b"/model/" + ARN + told + verb) == (model, None)


def test_a_prompt_router_says_which_model_it_chose() -> None:
    chosen = "arn:aws:bedrock:us-east-1:1:inference-profile/us.amazon.nova-pro-v1:0"
    reply = {
        "usage": {"inputTokens": 1, "outputTokens": 2},
        "trace": {"promptRouter": {"invokedModelId": chosen}},
    }
    path = b"/model/" + ARN + b"default-prompt-router%2Famazon.nova%3A1/converse"
    assert read(reply, path) == ("us.amazon.nova-pro-v1:0", Usage(input=1, output=2))


def test_headers_count_for_models_whose_body_reports_nothing() -> None:
    headers = [(b"X-Amzn-Bedrock-Input-Token-Count", b"6"), (b"x-amzn-bedrock-service-tier", b"priority")]
    assert read({"embeddings": [[0.1]]}, INVOKE, headers) == (None, Usage(input=6, tier="priority"))


CREATED = {"input_tokens": 4, "output_tokens": 5, "cache_creation_input_tokens": 6}
REASONED = {
    "prompt_tokens": 4,
    "completion_tokens": 5,
    "completion_tokens_details": {"reasoning_tokens": 2},
}
AMAZON = {"inputTokens": 4, "outputTokens": 5, "cacheWriteInputTokenCount": 6}


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        ({"usage": CREATED}, Usage(input=10, output=5, cache_write=6)),
        ({"usage": AMAZON}, Usage(input=10, output=5, cache_write=6)),
        ({"usage": REASONED}, Usage(input=4, output=5, reasoning=2)),
        ({"usage": None}, None),
        ({"usage": {"input_tokens": -4}}, None),
        ({"usage": []}, None),
        ([], None),
        ({"results": [{"tokenCount": 5}]}, None),
    ],
)
def test_without_headers_the_models_own_body_counts(body: Any, usage: Usage | None) -> None:
    assert read(body, INVOKE) == (None, usage)


def test_cached_input_that_the_body_alone_reports_is_part_of_the_total() -> None:
    headers = [(b"x-amzn-bedrock-input-token-count", b"7"), (b"x-amzn-bedrock-output-token-count", b"8")]
    own = {"input_tokens": 7, "output_tokens": 8, "cache_read_input_tokens": 90}
    assert read({"usage": own}, INVOKE, headers) == (None, Usage(input=97, output=8, cache_read=90))


def test_headers_count_before_the_body_which_completes_them() -> None:
    headers = [
        (b"x-amzn-bedrock-input-token-count", b"7"),
        (b"x-amzn-bedrock-output-token-count", b"8"),
        (b"x-amzn-bedrock-cache-write-input-token-count", b"100"),
    ]
    own = {"input_tokens": 1, "output_tokens": 1, "cache_creation": {"ephemeral_1h_input_tokens": 40}}
    expected = Usage(input=107, output=8, cache_write=100, cache_write_1h=40)
    assert read({"model": "claude-x", "usage": own}, INVOKE, headers) == (None, expected)


@pytest.mark.parametrize("value", [b"", b"-1", b"1e3", b"9" * 12, b"0x1", b" 7", "٣".encode()])
def test_a_header_that_is_no_count_reports_nothing(value: bytes) -> None:
    assert read({}, INVOKE, [(b"x-amzn-bedrock-input-token-count", value)]) == (None, None)


def test_the_compatible_paths_report_as_their_own_dialects_do() -> None:
    chat = {"model": "openai.gpt-oss-120b", "usage": {"prompt_tokens": 72, "completion_tokens": 56}}
    assert read(chat, b"/openai/v1/chat/completions") == ("openai.gpt-oss-120b", Usage(input=72, output=56))
    usage = {"input_tokens": 1, "output_tokens": 2, "cache_read_input_tokens": 3}
    counted = Usage(input=4, output=2, cache_read=3)
    message = {"model": "anthropic.claude-x", "usage": usage}
    assert read(message, b"/anthropic/v1/messages") == ("anthropic.claude-x", counted)
    assert read({"usage": {"input_tokens": 1}}, b"/guardrail/a/version/1/apply") == (None, None)


def test_a_reply_too_long_to_hold_reports_from_its_end() -> None:
    said = {"output": {"message": {"content": [{"text": "x" * 300_000}]}}}
    reply = said | {"usage": {"inputTokens": 4, "outputTokens": 5, "cacheReadInputTokens": 6}}
    tail = TailReader()
    tail.feed(json.dumps(reply).encode())
    found = BEDROCK.read(tail.digest(), CONVERSE, [])
    assert found.usage == Usage(input=10, output=5, cache_read=6)
    told = [(b"x-amzn-bedrock-input-token-count", b"7")]
    assert BEDROCK.read(tail.digest(), INVOKE, told).usage == Usage(input=13, output=5, cache_read=6)


@given(
    st.binary(max_size=60), st.sampled_from([CONVERSE, INVOKE, b"/v1/responses", b"/", b"/model/\xff/invoke"])
)
def test_no_reply_makes_the_reader_raise(body: bytes, path: bytes) -> None:
    assert BEDROCK.read(body, path, []).usage is None


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────────
def event(name: bytes, payload: Any) -> bytes:
    return encode(((b":event-type", name), (b":message-type", b"event")), json.dumps(payload).encode())


def chunk(native: Any) -> bytes:
    return event(b"chunk", {"bytes": base64.b64encode(json.dumps(native).encode()).decode(), "p": "abcd"})


def opened(path: bytes) -> EventStreamMeter:
    meter = BEDROCK.open_meter(path, CONTENT_TYPE, False)
    assert isinstance(meter, EventStreamMeter)
    return meter


def after(path: bytes, *frames: bytes) -> Meter:
    meter = opened(path)
    assert b"".join(meter.feed(frame) for frame in frames) + meter.finish() == b"".join(frames)
    return meter


BEGUN = {"input_tokens": 9, "cache_read_input_tokens": 90, "output_tokens": 1}
START = {"type": "message_start", "message": {"model": "claude-x", "usage": BEGUN}}
TEXT = {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hello"}}
DELTA = {"type": "message_delta", "usage": {"output_tokens": 7}}
METRICS = {"inputTokenCount": 9, "outputTokenCount": 8, "cacheReadInputTokenCount": 90}
STOP = {"type": "message_stop", "amazon-bedrock-invocationMetrics": METRICS}


def test_converse_events_are_counted_and_the_metadata_ends_them() -> None:
    path = b"/model/" + ARN + b"inference-profile%2Fus.amazon.nova-lite-v1%3A0/converse-stream"
    meter = after(
        path,
        event(b"contentBlockDelta", {"delta": {"text": "Hello"}, "p": "abcdefgh"}),
        event(b"contentBlockDelta", {"delta": {"toolUse": {"input": "{}"}}}),
        event(b"contentBlockDelta", {"delta": {"reasoningContent": {"text": "hm"}}}),
        event(
            b"metadata", {"usage": {"inputTokens": 1, "outputTokens": 2}, "serviceTier": {"type": "default"}}
        ),
    )
    assert (meter.text_bytes, meter.ended, meter.failed) == (9, True, False)
    assert (meter.model, meter.usage) == (
        "us.amazon.nova-lite-v1:0",
        Usage(input=1, output=2, tier="default"),
    )


def test_an_invoked_stream_has_bedrocks_own_last_word() -> None:
    meter = after(b"/model/a/invoke-with-response-stream", *map(chunk, (START, TEXT, DELTA, STOP)))
    assert (meter.usage, meter.ended) == (Usage(input=99, output=8, cache_read=90), True)
    assert (meter.text_bytes, meter.model, meter.charged) == (5, None, None)


def test_an_invoked_stream_that_is_cut_has_what_the_model_reported() -> None:
    meter = after(b"/model/a/invoke-with-response-stream", *map(chunk, (START, TEXT, DELTA)))
    assert (meter.usage, meter.ended) == (Usage(input=99, output=7, cache_read=90), False)


@pytest.mark.parametrize("path", [b"/model/a/converse-stream", b"/model/a/invoke-with-response-stream"])
def test_an_exception_in_a_stream_fails_it_and_keeps_what_was_counted(path: bytes) -> None:
    meter = after(path, chunk(START), exception_frame("ModelStreamErrorException", "broke"))
    assert (meter.failed, meter.ended) == (True, False)
    assert meter.usage == (Usage(input=99, output=1, cache_read=90) if b"invoke" in path else None)


def test_an_error_of_the_model_inside_a_chunk_fails_the_stream() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    assert after(b"/model/a/invoke-with-response-stream", chunk(error)).failed


@given(st.sampled_from([b"chunk", b"metadata", b"contentBlockDelta", b"new"]), st.binary(max_size=60))
def test_no_event_makes_the_readers_raise(name: bytes, payload: bytes) -> None:
    raw = encode(((b":event-type", name), (b":message-type", b"event")), payload)
    wrapped = chunk(payload.decode("latin-1"))
    for path in (b"/model/a/converse-stream", b"/model/a/invoke-with-response-stream"):
        meter = after(path, raw, wrapped)
        assert (meter.usage, meter.failed) == (None, False)


def test_the_compatible_streams_are_server_sent_events() -> None:
    done = b'data: {"model":"m","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":5}}\n\ndata: [DONE]\n\n'
    for path in (b"/openai/v1/chat/completions", b"/v1/chat/completions"):
        meter = BEDROCK.open_meter(path, EVENT_STREAM, True)
        assert meter is not None
        assert meter.feed(done) == b"data: [DONE]\n\n"
        assert (meter.usage, meter.ended) == (Usage(input=9, output=5), True)
    message = BEDROCK.open_meter(b"/anthropic/v1/messages", EVENT_STREAM, False)
    assert message is not None
    message.feed(b"data: " + json.dumps(START).encode() + b"\n\n")
    assert (message.usage, message.model) == (Usage(input=99, output=1, cache_read=90), "claude-x")


def test_usage_is_asked_for_where_a_chat_stream_would_not_report_it() -> None:
    body = b'{"model":"m","stream":true}'
    found = BEDROCK.peek(body, None)
    assert b"include_usage" in BEDROCK.splice(body, found, b"/v1/chat/completions")
    for path in (b"/model/m/converse-stream", b"/v1/responses"):
        assert BEDROCK.splice(body, found, path) is body
