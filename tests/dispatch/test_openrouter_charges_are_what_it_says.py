"""Laws of OpenRouter: the charge is the one that it reports, replies are metered as recorded, no model slips past."""

from __future__ import annotations

import json
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import pairwise
from typing import Any

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
    objects,
    refusals,
    told,
)
from kit.shared import Exchange, exchanges, require_exchanges
from tokenone.dispatch.credential import Unsigned
from tokenone.dispatch.providers.openrouter import OPENROUTER
from tokenone.dispatch.providers.openrouter_replies import charge
from tokenone.dispatch.streams import EVENT_STREAM, StreamMeter
from tokenone.errors import BadSecret, MalformedBody
from tokenone.secret import Secret
from tokenone.types import ErrorClass, PathClass, Usage

RECORDED = exchanges("openrouter")
STREAMED = tuple(exchange for exchange in RECORDED if exchange.event_stream)
CHAT = b"/api/v1/chat/completions"


@pytest.fixture
def _recordings() -> None:
    require_exchanges()


needs_recordings = pytest.mark.usefixtures("_recordings")


def at(exchange: Exchange) -> Recorded:
    return Recorded(OPENROUTER, exchange, exchange.path.encode())


def charged(exchange: Exchange) -> int | None:
    """The charge that a recorded reply reports, read with the standard library alone."""
    found = None
    for whole in objects(exchange):
        usage = whole.get("usage") or (whole.get("response") or {}).get("usage") or {}
        if usage.get("cost") is not None:
            upstream = (usage.get("cost_details") or {}).get("upstream_inference_cost")
            found = Decimal(repr(usage["cost"]))
            if usage.get("is_byok"):
                found += Decimal(repr(upstream))
    return None if found is None else int((found * 10**9).to_integral_value(ROUND_HALF_EVEN))


# ── recorded exchanges ─────────────────────────────────────────────────────────────────────────────────────
@needs_recordings
@pytest.mark.parametrize("exchange", named(RECORDED))
def test_a_recorded_path_is_inference_and_its_body_names_the_model(exchange: Exchange) -> None:
    here = at(exchange)
    assert OPENROUTER.classify(exchange.method.encode(), here.path) is PathClass.INFERENCE
    peeked, said = OPENROUTER.peek(exchange.body, "application/json"), json.loads(exchange.body)
    assert (peeked.model, peeked.stream) == (said["model"], bool(said.get("stream")))
    assert peeked.also == tuple(said.get("models") or ())
    assert OPENROUTER.splice(exchange.body, peeked, here.path) is exchange.body


@needs_recordings
@pytest.mark.parametrize("exchange", named(RECORDED))
def test_usage_and_charge_equal_the_recorded_ones(exchange: Exchange) -> None:
    here, raw = at(exchange), final_usage(exchange)
    usage = here.usage()
    assert (usage and counted(usage)) == (raw and counted_by_openai(raw))
    meter = here.passed([exchange.reply])[0] if exchange.event_stream else None
    found = OPENROUTER.read(exchange.reply, here.path, []).charged if meter is None else meter.charged
    assert found == charged(exchange)


@needs_recordings
@pytest.mark.parametrize("exchange", named(STREAMED))
def test_a_stream_is_metered_alike_however_it_is_cut(exchange: Exchange) -> None:
    whole = at(exchange).check_however_cut()
    assert whole.model
    assert (whole.failed, whole.ended) == (False, True)
    assert whole.text_bytes > 0
    assert whole.charged


@needs_recordings
def test_recorded_refusals_have_their_class() -> None:
    found = {
        exchange.id.split("--")[1]: at(exchange).error_class()
        for exchange in RECORDED
        if exchange.status >= 400
    }
    assert found == {
        "error_403": ErrorClass.CALLER,
        "error_429": ErrorClass.RATE,
        "error_503": ErrorClass.UPSTREAM,
    }


@needs_recordings
def test_there_are_thirty_four_recordings_one_with_the_accounts_own_key() -> None:
    assert (len(RECORDED), len(STREAMED)) == (34, 5)
    own = [row for row in RECORDED for whole in objects(row) if (whole.get("usage") or {}).get("is_byok")]
    assert [charged(exchange) for exchange in own] == [59_000]


# ── the charge ─────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"cost": 0.95}, 950_000_000),
        ({"cost": 0}, 0),
        ({"cost": 4.51e-06}, 4_510),
        ({"cost": "0.0000000015"}, 2),
        ({"cost": 0.0000000025}, 2),
        ({"cost": 0.002, "is_byok": False, "cost_details": {"upstream_inference_cost": 19}}, 2_000_000),
        ({"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.000059}}, 59_000),
        ({"cost": 0.001, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.02}}, 21_000_000),
        ({"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": None}}, None),
        ({"cost": 0, "is_byok": True, "cost_details": None}, None),
        ({"cost": 0, "is_byok": True}, None),
        ({"cost": None, "cost_details": {"upstream_inference_cost": 1}}, None),
        ({"prompt_tokens": 1}, None),
        ({"cost": -1}, None),
        ({"cost": 1_000_001}, None),
        ({"cost": "NaN"}, None),
        ({"cost": "Infinity"}, None),
        ({"cost": "free"}, None),
        ({"cost": True}, None),
        (None, None),
        ([], None),
    ],
)
def test_the_charge_is_read_exactly_or_not_at_all(usage: Any, expected: int | None) -> None:
    body = json.dumps({"model": "m", "usage": usage}).encode()
    assert OPENROUTER.read(body, CHAT, []).charged == expected
    assert (
        charge(json.dumps({"type": "response.completed", "response": {"usage": usage}}).encode()) == expected
    )


@pytest.mark.parametrize(
    "number", ["1e999999999", "1e-999999999", "1E-99999999999999", "0." + "0" * 5000 + "1"]
)
def test_monstrous_numbers_cost_no_time_and_no_money(number: str) -> None:
    assert charge(f'{{"usage":{{"cost":{number}}}}}'.encode()) in (None, 0)


@given(st.decimals(0, 1_000_000, allow_nan=False, places=15))
def test_any_sum_is_rounded_once(cost: Decimal) -> None:
    exact = int((cost * 10**9).to_integral_value(ROUND_HALF_EVEN))
    assert charge(f'{{"usage":{{"cost":{cost:f}}}}}'.encode()) == exact


@given(st.binary(max_size=300))
def test_no_reply_makes_the_reader_raise(noise: bytes) -> None:
    OPENROUTER.read(noise, CHAT, [])
    OPENROUTER.read(noise, b"/api/v1/messages", [])
    charge(b'{"usage":' + noise + b"}")


# ── streams ────────────────────────────────────────────────────────────────────────────────────────────────
STREAM = (
    b": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n"
    b'data: {"id":"g","model":"a/b","choices":[{"index":0,"delta":{"role":"assistant","content":"Hel"}}]}\n\n'
    b": OPENROUTER PROCESSING\n\n"
    b'data: {"id":"g","model":"a/b","choices":[{"index":0,"delta":{"content":"lo"}}]}\n\n'
    b'data: {"id":"g","model":"a/b","choices":[{"index":0,"delta":{"content":""},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":7,"completion_tokens":2,"cost":0.0000123,"is_byok":false,'
    b'"prompt_tokens_details":{"cached_tokens":3}}}\n\n'
    b"data: [DONE]\n\n"
)
MESSAGES = (
    b'event: message_start\ndata: {"type":"message_start","message":{"model":"a/b","usage":{"input_tokens":7}}}\n\n'
    b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"type":"text_delta","text":"Hi"}}\n\n'
    b'event: message_delta\ndata: {"type":"message_delta","usage":{"output_tokens":2,"cost":0.25}}\n\n'
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)


def stream_meter(path: bytes = CHAT) -> StreamMeter:
    meter = OPENROUTER.open_meter(path, EVENT_STREAM, False)
    assert isinstance(meter, StreamMeter)
    return meter


@given(st.sets(st.integers(1, len(STREAM) - 1), max_size=20))
def test_comments_and_cuts_change_nothing(cuts: set[int]) -> None:
    ends = [0, *sorted(cuts), len(STREAM)]
    meter, whole = stream_meter(), stream_meter()
    assert whole.feed(STREAM) + whole.finish() == STREAM
    assert b"".join(meter.feed(STREAM[a:b]) for a, b in pairwise(ends)) + meter.finish() == STREAM
    assert told(meter) == told(whole)
    assert told(whole) == (Usage(input=7, output=2, cache_read=3), "a/b", 12_300, False, True, 5)


def test_a_stream_in_anthropics_protocol_is_charged_as_well() -> None:
    meter = stream_meter(b"/api/v1/messages")
    assert meter.feed(MESSAGES) + meter.finish() == MESSAGES
    assert told(meter) == (Usage(input=7, output=2), "a/b", 250_000_000, False, True, 2)


def test_a_whole_message_in_anthropics_protocol_is_read() -> None:
    usage = b'{"input_tokens":7,"cache_read_input_tokens":3,"output_tokens":2,"cost":1}'
    body = b'{"type":"message","model":"a/b","usage":' + usage + b"}"
    found = OPENROUTER.read(body, b"/api/v1/messages", [])
    assert found == ("a/b", Usage(input=10, output=2, cache_read=3), 1_000_000_000)


def test_an_error_after_the_200_fails_the_stream_and_keeps_what_was_counted() -> None:
    head, error = (
        STREAM.split(b'data: {"id":"g","model":"a/b","choices":[{"index":0,"delta":{"content":""}')[0],
        (
            b'data: {"id":"g","error":{"code":502,"message":"Provider disconnected"},'
            b'"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}\n\n'
        ),
    )
    meter = stream_meter()
    assert meter.feed(head + error) + meter.finish() == head + error
    assert (meter.failed, meter.ended, meter.text_bytes, meter.charged) == (True, False, 5, None)


# ── models ─────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("body", "model", "also"),
    [
        (b'{"model":"a/b"}', "a/b", ()),
        (b'{"model":"a/b","models":[]}', "a/b", ()),
        (b'{"model":"a/b","models":null}', "a/b", ()),
        (b'{"model":"a/b","models":["c/d","e/f"]}', "a/b", ("c/d", "e/f")),
        (b'{"model":"a/b","mod\\u0065ls":["c/d"]}', "a/b", ("c/d",)),
        (b' \n{"models":["c/d"]}', None, ("c/d",)),
        (b"", None, ()),
    ],
)
def test_models_to_fall_back_to_are_found_however_they_are_spelled(
    body: bytes, model: str | None, also: tuple[str, ...]
) -> None:
    found = OPENROUTER.peek(body, "application/json")
    assert (found.model, found.also) == (model, also)


@pytest.mark.parametrize("listed", [b'"c/d"', b"[1]", b'{"0":"c/d"}', b'["c/d",null]', b"true"])
def test_a_list_of_models_that_is_none_is_refused(listed: bytes) -> None:
    with pytest.raises(MalformedBody):
        OPENROUTER.peek(b'{"model":"a/b","models":' + listed + b"}", None)


# ── paths, keys ────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", "/api/v1/chat/completions", "inference"),
        ("POST", "/api/v1/completions", "inference"),
        ("POST", "/api/v1/responses", "inference"),
        ("POST", "/api/v1/messages", "inference"),
        ("POST", "/api/v1/embeddings", "inference"),
        ("POST", "/api/v1/rerank", "inference"),
        ("GET", "/api/v1/key", "free"),
        ("GET", "/api/v1/models", "free"),
        ("GET", "/api/v1/models/user", "free"),
        ("GET", "/api/v1/models/google/gemini-2.5-flash:free/endpoints", "free"),
        ("GET", "/api/v1/models/a/../endpoints", None),
        ("GET", "/api/v1/models/a%2Fb/c/endpoints", None),
        ("GET", "/api/v1/providers", "free"),
        ("GET", "/api/v1/embeddings/models", "free"),
        ("GET", "/api/v1/generation?id=gen-1", "stateful"),
        ("POST", "/api/v1/videos", "stateful"),
        ("GET", "/api/v1/videos/v1/content", "stateful"),
        ("GET", "/api/v1/keys", "admin"),
        ("POST", "/api/v1/keys", "admin"),
        ("DELETE", "/api/v1/keys/abc", "admin"),
        ("GET", "/api/v1/credits", "admin"),
        ("POST", "/api/v1/credits/coinbase", "admin"),
        ("POST", "/api/v1/auth/keys", "admin"),
        ("GET", "/api/v1/activity", "admin"),
        ("POST", "/api/v1/analytics/query", "admin"),
        ("GET", "/api/v1/byok", "admin"),
        ("GET", "/api/v1/organization/members", "admin"),
        ("DELETE", "/api/v1/key", None),
        ("GET", "/api/v1/chat/completions", None),
        ("POST", "/v1/chat/completions", None),
        ("POST", "/api/v1/unheard-of", None),
    ],
)
def test_paths(method: str, path: str, kind: str | None) -> None:
    assert OPENROUTER.classify(method.encode(), path.encode()) == kind


def test_a_key_goes_as_bearer() -> None:
    key = b"sk-or-v1-" + b"a" * 64
    OPENROUTER.check_secret(key)
    unsigned = Unsigned(b"POST", b"openrouter.ai", CHAT, [], b"", 0)
    assert OPENROUTER.credential(unsigned, Secret(key)) == [(b"authorization", b"Bearer " + key)]


@pytest.mark.parametrize(
    "secret", [b"sk-proj-" + b"a" * 40, b"sk-ant-api03-" + b"a" * 40, b"a" * 40, b"sk-or-v1-a"]
)
def test_other_keys_are_refused(secret: bytes) -> None:
    with pytest.raises(BadSecret):
        OPENROUTER.check_secret(secret)


@pytest.mark.parametrize(
    ("answer", "proves"),
    [
        ({"data": {"label": "sk-or-v1-0e6...1c9", "usage": 0, "is_management_key": False}}, True),
        ({"data": {"limit": None}}, True),
        ({"data": {"is_management_key": True}}, False),
        ({"data": {"is_provisioning_key": True}}, False),
        ({"data": None}, False),
        ({}, False),
    ],
)
def test_a_key_that_manages_keys_is_not_proven(answer: object, proves: bool) -> None:
    assert OPENROUTER.probe.target == b"/api/v1/key"
    assert OPENROUTER.probe.proves(json.dumps(answer).encode()) is proves
    assert OPENROUTER.probe.proves(b"<html>") is False


# ── refusals ───────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("refusal", refusals("openrouter"))
def test_a_refusal_has_its_class(refusal: Refusal) -> None:
    assert OPENROUTER.error_class(refusal.status, refusal.headers, refusal.body) is refusal.expected


@pytest.mark.parametrize(
    ("reply", "fails"),
    [
        ({"error": {"code": 502, "message": "Provider disconnected"}}, True),
        ({"choices": [{"finish_reason": "error", "error": {"code": 502, "message": "?"}}]}, True),
        ({"error": None, "choices": [{"error": None, "message": {"content": '"error"'}}]}, False),
        ({"choices": [{"message": {"content": "an error"}}]}, False),
        ({"choices": "error"}, False),
        ([{"error": {}}], False),
    ],
)
def test_a_failure_inside_a_200_is_one(reply: object, fails: bool) -> None:
    assert OPENROUTER.fails(json.dumps(reply).encode()) is fails


def test_half_of_the_vectors_are_traps() -> None:
    traps = [param.values[0].trap for param in refusals("openrouter")]
    assert sum(traps) * 2 >= len(traps)


@given(st.integers(100, 599), st.binary(max_size=200))
def test_no_refusal_makes_the_reader_raise(status: int, body: bytes) -> None:
    assert OPENROUTER.error_class(status, [], body) in ErrorClass
