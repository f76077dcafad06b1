"""Laws of Vertex AI's facts: which paths are known and where they lie, and what its publishers' replies count."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenone.dispatch.credential import Unsigned
from tokenone.dispatch.providers import PROVIDERS
from tokenone.dispatch.streams import EVENT_STREAM
from tokenone.errors import PathDenied, UpstreamAuth
from tokenone.rows import Endpoint
from tokenone.types import Dialect, Headers, PathClass, Provider, Usage

VERTEX = PROVIDERS[Provider.VERTEX]
PLACE = b"/projects/p-1/locations/europe-west4"
GEMINI = b"/publishers/google/models/gemini-2.5-flash"
CLAUDE = b"/publishers/anthropic/models/claude-sonnet-4-5@20250929"


def endpoint(base_path: str = "") -> Endpoint:
    return Endpoint("e", None, Provider.VERTEX, "vertex", (VERTEX.default_origin,), base_path)


@pytest.mark.parametrize("version", [b"", b"/v1", b"/v1beta1"])
@pytest.mark.parametrize(
    "place", [b"", PLACE, b"/projects/example.com%3Ap/locations/global", b"/projects/1/locations/eu"]
)
@pytest.mark.parametrize(
    ("rest", "kind", "bills", "model"),
    [
        (GEMINI + b":generateContent", PathClass.INFERENCE, True, "gemini-2.5-flash"),
        (GEMINI + b":streamGenerateContent", PathClass.INFERENCE, True, "gemini-2.5-flash"),
        (GEMINI + b":countTokens", PathClass.INFERENCE, False, "gemini-2.5-flash"),
        (GEMINI + b":computeTokens", PathClass.INFERENCE, False, "gemini-2.5-flash"),
        (GEMINI + b":predict", PathClass.INFERENCE, True, "gemini-2.5-flash"),
        (GEMINI + b":embedContent", PathClass.INFERENCE, True, "gemini-2.5-flash"),
        (CLAUDE + b":rawPredict", PathClass.INFERENCE, True, "claude-sonnet-4-5@20250929"),
        (
            CLAUDE.replace(b"@", b"%40") + b":streamRawPredict",
            PathClass.INFERENCE,
            True,
            "claude-sonnet-4-5@20250929",
        ),
        (b"/publishers/anthropic/models/count-tokens:rawPredict", PathClass.INFERENCE, False, None),
        (
            b"/publishers/mistralai/models/mistral-large-2411:rawPredict",
            PathClass.INFERENCE,
            True,
            "mistral-large-2411",
        ),
        (b"/endpoints/4711:generateContent", PathClass.INFERENCE, True, "endpoints/4711"),
        (b"/endpoints/4711:countTokens", PathClass.INFERENCE, False, "endpoints/4711"),
        (b"/endpoints/openapi/chat/completions", PathClass.INFERENCE, True, None),
        (b"/interactions", PathClass.INFERENCE, True, None),
        (b"/publishers/google/models/veo-3:predictLongRunning", PathClass.STATEFUL, True, None),
        (b"/publishers/google/models/veo-3:fetchPredictOperation", PathClass.STATEFUL, True, None),
        (b"/batchPredictionJobs", PathClass.STATEFUL, True, None),
        (b"/batchPredictionJobs/7:cancel", PathClass.STATEFUL, True, None),
        (b"/cachedContents/7", PathClass.STATEFUL, True, None),
        (b"/tuningJobs", PathClass.STATEFUL, True, None),
        (b"/interactions/v1_x", PathClass.STATEFUL, True, None),
        (b"/endpoints", None, True, None),
        (b"/endpoints/4711:deployModel", None, True, None),
        (b"/models:upload", None, True, None),
        (b"/cachedContents:setIamPolicy", None, True, None),
        (b"/publishers/google/models/gemini:setIamPolicy", None, True, None),
        (b"/reasoningEngines/1:query", None, True, None),
        (b"/customJobs", None, True, None),
    ],
)
def test_paths_are_classed_wherever_they_lie(
    version: bytes, place: bytes, rest: bytes, kind: PathClass | None, bills: bool, model: str | None
) -> None:
    path = version + place + rest
    assert VERTEX.classify(b"POST", path + b"?alt=sse") is kind
    assert VERTEX.model_in(path) == model
    assert VERTEX.bills(path) is bills
    if kind is PathClass.INFERENCE:
        assert VERTEX.classify(b"GET", path) in (None, PathClass.STATEFUL)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/projects/../locations/l/publishers/google/models/m:generateContent",
        "/v1/projects/p/locations/../publishers/google/models/m:generateContent",
        "/v1/projects/p%2Fx/locations/l/publishers/google/models/m:generateContent",
        "/v1/projects/p/locations/l/publishers/google/models/m%3Apredict:countTokens",
        "/v1/projects/p/locations/l/publishers/google/models/..:generateContent",
        "/v1/projects/p/locations/l/publishers/google/models/m%2F..:generateContent",
        "/v1/projects/p/locations/l/publishers/go%6Fgle/models/m:generateContent",
        "/v1/projects/p/locations/l//publishers/google/models/m:generateContent",
        "/v1/projects/p/publishers/google/models/m:generateContent",
        "/v1/projects/p/locations/l/cachedContents/../endpoints",
        "/v1/projects/p/locations/l/cachedContents/%2e%2e/endpoints",
        "/v1/projects/p/locations/l/operations/a/b/c/d",
        "/v1beta/publishers/google/models/m:generateContent",
        "/v1/projects/p",
        "",
    ],
)
@pytest.mark.parametrize("method", [b"GET", b"POST", b"DELETE"])
def test_a_disguised_or_unknown_path_has_no_class(method: bytes, path: str) -> None:
    assert VERTEX.classify(method, path.encode()) is None


@given(st.sampled_from([b"GET", b"POST", b"DELETE", b"PATCH"]), st.binary(max_size=40))
def test_no_classed_path_leaves_its_place(method: bytes, rest: bytes) -> None:
    path = b"/v1" + PLACE + b"/" + rest
    if VERTEX.classify(method, path) is not None:
        segments = path.partition(b"?")[0].split(b"/")
        assert b"" not in segments[1:]
        assert not any(segment.startswith(b".") for segment in segments)


def test_listing_models_is_free() -> None:
    for path in (
        b"/v1beta1/publishers/google/models?pageSize=1",
        b"/v1" + GEMINI,
        b"/v1" + PLACE + b"/models",
    ):
        assert VERTEX.classify(b"GET", path) is PathClass.FREE
    assert VERTEX.classify(b"GET", b"/v1" + GEMINI + b":generateContent") is None
    assert VERTEX.classify(VERTEX.probe.method, VERTEX.probe.target) is PathClass.FREE


# ── places ───────────────────────────────────────────────────────────────────────────────────────────────
CALL = GEMINI + b":generateContent"
LISTING = b"/publishers/google/models?pageSize=1"


@pytest.mark.parametrize(
    ("base", "asked", "sent"),
    [
        ("", b"/v1beta1" + PLACE + CALL, b"/v1beta1" + PLACE + CALL),
        ("", b"/v1beta1" + CALL, b"/v1beta1" + CALL),
        ("", CALL, b"/v1" + CALL),
        ("/v1beta1", CALL, b"/v1beta1" + CALL),
        ("/v1" + PLACE.decode(), b"/v1beta1" + CALL, b"/v1beta1" + PLACE + CALL),
        ("/v1" + PLACE.decode(), CALL, b"/v1" + PLACE + CALL),
        (PLACE.decode(), b"/v1" + CALL, b"/v1" + PLACE + CALL),
        ("/v1" + PLACE.decode(), b"/v1" + PLACE + CALL, b"/v1" + PLACE + CALL),
        ("/v1" + PLACE.decode(), b"/v1beta1/cachedContents/7", b"/v1beta1" + PLACE + b"/cachedContents/7"),
        (
            "/v1" + PLACE.decode(),
            b"/v1/endpoints/openapi/chat/completions",
            b"/v1" + PLACE + b"/endpoints/openapi/chat/completions",
        ),
        ("/v1" + PLACE.decode(), b"/v1beta1" + LISTING, b"/v1beta1" + LISTING),
        (
            "/v1" + PLACE.decode(),
            b"/v1" + GEMINI + b"/operations/7",
            b"/v1" + PLACE + GEMINI + b"/operations/7",
        ),
        ("/behind/a-proxy", b"/v1" + PLACE + CALL, b"/behind/a-proxy/v1" + PLACE + CALL),
    ],
)
def test_the_endpoints_place_is_put_in_where_a_path_leaves_it_out(
    base: str, asked: bytes, sent: bytes
) -> None:
    assert VERTEX.place(endpoint(base), asked) == sent


@pytest.mark.parametrize(
    "other",
    [
        b"/projects/p-2/locations/europe-west4",
        b"/projects/p-1/locations/us-central1",
        b"/projects/p-1/locations/europe-west4x",
        b"/projects/P-1/locations/europe-west4",
        b"/projects/p-1/locations/global",
    ],
)
def test_an_endpoint_of_one_place_serves_no_other(other: bytes) -> None:
    with pytest.raises(PathDenied):
        VERTEX.place(endpoint("/v1" + PLACE.decode()), b"/v1" + other + CALL)
    assert VERTEX.place(endpoint(), b"/v1" + other + CALL) == b"/v1" + other + CALL


# ── credentials ──────────────────────────────────────────────────────────────────────────────────────────
def authorised(plaintext: bytes) -> Headers:
    return VERTEX.authorise(Unsigned(b"POST", b"h", b"/v1" + CALL, [(b"a", b"b")], b"{}", 0), plaintext)


def test_a_token_goes_as_bearer_and_an_api_key_on_its_own_header() -> None:
    assert authorised(b'{"access_token":"ya29.token"}') == [
        (b"a", b"b"),
        (b"authorization", b"Bearer ya29.token"),
    ]
    assert authorised(b"AQ.key") == [(b"a", b"b"), (b"x-goog-api-key", b"AQ.key")]


@pytest.mark.parametrize("plaintext", [b'{"type":"service_account","private_key":"x"}', b"{", b' {"a":1}'])
def test_a_file_that_was_not_traded_for_a_token_is_never_sent(plaintext: bytes) -> None:
    with pytest.raises(UpstreamAuth):
        authorised(plaintext)


# ── publishers ───────────────────────────────────────────────────────────────────────────────────────────
def test_claude_on_vertex_counts_as_anthropic_does_and_names_its_region() -> None:
    usage = {"input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 5}
    body = json.dumps({"model": "claude-sonnet-4-5-20250929", "usage": usage}).encode()
    path = b"/v1" + PLACE + CLAUDE + b":rawPredict"
    reading = VERTEX.read(body, path, [])
    assert reading.model == "claude-sonnet-4-5-20250929"
    assert reading.usage == Usage(input=7, output=5, cache_read=4, geo="europe-west4")
    assert VERTEX.read(body, b"/v1" + CLAUDE + b":rawPredict", []).usage == Usage(
        input=7, output=5, cache_read=4
    )
    start = {"type": "message_start", "message": {"model": "claude-sonnet-4-5-20250929", "usage": usage}}
    stop = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    stream = b"event: message_start\ndata: " + json.dumps(start).encode() + b"\n\n" + stop
    meter = VERTEX.open_meter(path.replace(b"rawPredict", b"streamRawPredict"), EVENT_STREAM, False)
    assert meter is not None
    assert meter.feed(stream) + meter.finish() == stream
    assert (meter.usage, meter.ended) == (reading.usage, True)


def test_open_models_count_as_openai_does() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
    body = json.dumps({"model": "mistral-large", "choices": [], "usage": usage}).encode()
    for path in (b"/publishers/mistralai/models/m:rawPredict", b"/endpoints/openapi/chat/completions"):
        assert VERTEX.read(body, b"/v1" + PLACE + path, []).usage == Usage(input=3, output=5)
        stream = b"data: " + body + b"\n\ndata: [DONE]\n\n"
        meter = VERTEX.open_meter(path.replace(b"rawPredict", b"streamRawPredict"), EVENT_STREAM, False)
        assert meter is not None
        assert meter.feed(stream) == stream
        assert (meter.usage, meter.ended) == (Usage(input=3, output=5), True)


def test_a_document_is_no_stream_unless_its_method_streams() -> None:
    json_type = b"application/json; charset=utf-8"
    assert VERTEX.open_meter(b"/v1" + PLACE + CALL, json_type, False) is None
    assert VERTEX.open_meter(b"/v1" + CLAUDE + b":streamRawPredict", json_type, False) is None
    array = VERTEX.open_meter(b"/v1" + GEMINI + b":streamGenerateContent", json_type, False)
    assert array is not None
    assert not array.in_events


def test_vertexs_front_speaks_googles_errors_and_asks_for_usage_on_chat_alone() -> None:
    assert VERTEX.dialect is Dialect.GOOGLE
    body = b'{"model":"google/gemini-2.5-flash","stream":true}'
    peeked = VERTEX.peek(body, None)
    assert peeked.model == "google/gemini-2.5-flash"
    assert b"include_usage" in VERTEX.splice(
        body, peeked, b"/v1" + PLACE + b"/endpoints/openapi/chat/completions"
    )
    assert VERTEX.splice(body, peeked, b"/v1" + CLAUDE + b":streamRawPredict") is body
