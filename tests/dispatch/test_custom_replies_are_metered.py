"""Laws of services of one's own choice: every recorded reply of theirs is metered, whatever words they use."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.passage import Recorded, counted, counted_by_openai, final_usage, named, objects, told
from kit.shared import Exchange, exchanges, require_exchanges
from tokenone.dispatch.providers.custom import CUSTOM
from tokenone.dispatch.providers.custom_replies import LineMeter
from tokenone.dispatch.streams import EVENT_STREAM, Meter, StreamMeter
from tokenone.rows import Endpoint
from tokenone.types import ErrorClass, PathClass, Provider, Usage

RECORDED = (*exchanges("openai-compat"), *exchanges("ollama"))
STREAMED = tuple(row for row in RECORDED if row.event_stream or "ndjson" in row.reply_headers["content-type"])
OPENAI_STREAMS = tuple(row for row in STREAMED if row.event_stream)

# The base path with which an endpoint of each recorded service is set up, as its OpenAI base URL has it.
BASES = ("/openai/v1", "/api/paas/v4", "/novita/v3/openai", "/beta")
CHAT = b"/v1/chat/completions"


@pytest.fixture
def _recordings() -> None:
    require_exchanges()


needs_recordings = pytest.mark.usefixtures("_recordings")


def endpoint(base_path: str) -> Endpoint:
    return Endpoint("ep", None, Provider.CUSTOM, "mine", ("https://mine.example",), base_path)


def at(exchange: Exchange) -> Recorded:
    """The exchange as it comes in below `/custom/{name}`: with `/v1`, where the base path has a version."""
    base = base_of(exchange)
    below = exchange.path.removeprefix(base)
    return Recorded(CUSTOM, exchange, ("/v1" + below if "/v" in base else below).encode())


def base_of(exchange: Exchange) -> str:
    return next((base for base in BASES if exchange.path.startswith(base + "/")), "")


# ── recorded exchanges ─────────────────────────────────────────────────────────────────────────────────────
@needs_recordings
@pytest.mark.parametrize("exchange", named(RECORDED))
def test_a_recorded_call_is_inference_and_goes_where_it_was_recorded(exchange: Exchange) -> None:
    here = at(exchange)
    assert CUSTOM.classify(exchange.method.encode(), here.path) is PathClass.INFERENCE
    assert CUSTOM.place(endpoint(base_of(exchange)), here.path) == exchange.path.encode()
    peeked, said = CUSTOM.peek(exchange.body, "application/json"), json.loads(exchange.body)
    assert (peeked.model, peeked.stream) == (said["model"], bool(said.get("stream")))


@needs_recordings
@pytest.mark.parametrize("exchange", named(RECORDED))
def test_usage_equals_the_recorded_one(exchange: Exchange) -> None:
    usage = at(exchange).usage()
    if exchange.path.startswith("/api/") and "paas" not in exchange.path:
        last = list(objects(exchange))[-1]
        assert usage == Usage(input=last.get("prompt_eval_count"), output=last["eval_count"])
        return
    raw = final_usage(exchange)
    assert (usage and counted(usage)) == (raw and counted_by_openai(raw))


@needs_recordings
@pytest.mark.parametrize("exchange", named(STREAMED))
def test_a_stream_is_metered_alike_however_it_is_cut(exchange: Exchange) -> None:
    whole = at(exchange).check_however_cut()
    assert whole.model
    assert (whole.failed, whole.ended, whole.charged) == (False, True, None)
    assert whole.text_bytes > 0 or "tool-use-failed" in exchange.id


@needs_recordings
@pytest.mark.parametrize("exchange", named(OPENAI_STREAMS))
def test_a_chat_stream_is_asked_for_usage_and_the_caller_gets_what_an_unspliced_call_gives(
    exchange: Exchange,
) -> None:
    here = at(exchange)
    spliced = CUSTOM.splice(exchange.body, CUSTOM.peek(exchange.body, None), here.path)
    asks = here.path.endswith(b"/completions") and b"include_usage" not in exchange.body
    assert (spliced is not exchange.body) == asks
    chunk = b'data: {"id":"x","model":"m","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":5}}\n\n'
    mark = b"data: [DONE]"
    if not asks or b'"choices":[]' in exchange.reply:
        return
    meter, out = here.passed([exchange.reply.replace(mark, chunk + mark)], withhold=True)
    assert out == exchange.reply
    assert meter.usage == Usage(input=9, output=5)


@needs_recordings
def test_recorded_refusals_have_their_class() -> None:
    found = [(row.id.split("--")[1], at(row).error_class()) for row in RECORDED if row.status >= 400]
    assert sorted(found) == [
        ("error_400", ErrorClass.CALLER),
        ("error_401", ErrorClass.KEY_DEAD),
        ("error_404", ErrorClass.MODEL_DENIED),
        ("error_404", ErrorClass.MODEL_DENIED),
    ]


@needs_recordings
def test_there_are_thirty_nine_recordings() -> None:
    assert (len(RECORDED), len(STREAMED)) == (39, 14)


# ── words of their own ─────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("reply", "usage"),
    [
        ({"usage": {"prompt_tokens": 9, "completion_tokens": 2, "prompt_cache_hit_tokens": 4}}, (9, 2, 4)),
        ({"usage": {"prompt_tokens": 9, "completion_tokens": 2, "num_cached_tokens": 0}}, (9, 2, 0)),
        (
            {
                "usage": {
                    "prompt_tokens": 9,
                    "completion_tokens": 2,
                    "prompt_tokens_details": {"cached_tokens": 3},
                    "num_cached_tokens": 4,
                }
            },
            (9, 2, 3),
        ),
        ({"x_groq": {"usage": {"prompt_tokens": 9, "completion_tokens": 2}}}, (9, 2, None)),
        ({"x_groq": {"usage": "much"}}, None),
        ({"x_groq": "id", "usage": {"prompt_tokens": 9, "completion_tokens": 2}}, (9, 2, None)),
        ({"usage": {"prompt_tokens": 9, "completion_tokens": 2, "num_cached_tokens": -1}}, (9, 2, None)),
        ({"choices": []}, None),
    ],
)
def test_a_services_own_words_complete_openais(
    reply: dict[str, Any], usage: tuple[int | None, ...] | None
) -> None:
    found = CUSTOM.read(json.dumps(reply).encode(), CHAT, []).usage
    assert (found and (found.input, found.output, found.cache_read)) == usage
    event = b"data: " + json.dumps(reply | {"choices": [{}]}).encode() + b"\n\n"
    meter = CUSTOM.open_meter(CHAT, EVENT_STREAM, False)
    assert isinstance(meter, StreamMeter)
    assert meter.feed(event) == event
    assert meter.usage == found


def test_messages_are_read_as_anthropics() -> None:
    body = b'{"type":"message","model":"m","usage":{"input_tokens":7,"cache_read_input_tokens":3,"output_tokens":2}}'
    assert CUSTOM.read(body, b"/v1/messages", []) == ("m", Usage(input=10, output=2, cache_read=3), None)
    meter = CUSTOM.open_meter(b"/v1/messages", EVENT_STREAM, False)
    assert meter is not None
    meter.feed(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
    assert meter.ended


# ── lines ──────────────────────────────────────────────────────────────────────────────────────────────────
LINES = (
    b'{"model":"llama3.2","created_at":"t","message":{"role":"assistant","content":"Hel"},"done":false}\n'
    b'{"model":"llama3.2","created_at":"t","message":{"role":"assistant","content":"lo"},"done":false}\n'
    b'{"model":"llama3.2","created_at":"t","message":{"role":"assistant","content":""},"done": true,'
    b'"done_reason":"stop","total_duration":5,"prompt_eval_count":11,"eval_count":2}\n'
)


def lines_meter() -> Meter:
    meter = CUSTOM.open_meter(b"/api/chat", b"application/x-ndjson; charset=utf-8", False)
    assert isinstance(meter, LineMeter)
    assert not meter.in_events
    return meter


@given(st.sets(st.integers(1, len(LINES) - 1), max_size=20), st.booleans())
def test_lines_come_out_whole_however_they_are_cut(cuts: set[int], last_feed: bool) -> None:
    sent = LINES if last_feed else LINES[:-1]
    ends = [0, *sorted(cut for cut in cuts if cut < len(sent)), len(sent)]
    meter = lines_meter()
    out = [meter.feed(sent[a:b]) for a, b in pairwise(ends)]
    assert all(piece.endswith(b"\n") for piece in out if piece)
    assert b"".join(out) + meter.finish() == sent
    assert told(meter) == (Usage(input=11, output=2), "llama3.2", None, False, True, 5)


@pytest.mark.parametrize("path", [b"/api/generate", b"/api/chat"])
def test_a_line_that_is_an_error_fails_the_stream(path: bytes) -> None:
    head = b'{"model":"m","response":"Yes","done":false}\n'
    meter = CUSTOM.open_meter(path, b"application/x-ndjson", False)
    assert meter is not None
    error = b'{"error":"an error was encountered while running the model"}\n'
    assert meter.feed(head + error) + meter.finish() == head + error
    assert told(meter) == (None, "m", None, True, False, 3)


def test_text_that_looks_like_the_end_is_not_the_end() -> None:
    meter = lines_meter()
    meter.feed(
        json.dumps({"model": "m", "message": {"content": '"done":true,"error":"x"'}, "done": False}).encode()
        + b"\n"
    )
    assert (meter.ended, meter.failed) == (False, False)


def test_a_line_beyond_the_limit_is_not_remembered() -> None:
    meter = LineMeter(limit=64)
    out = meter.feed(b'{"response":"' + b"x" * 100)
    assert len(out) > 64
    assert meter.feed(b'"}\n' + LINES) == b'"}\n' + LINES
    assert meter.usage == Usage(input=11, output=2)


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_no_lines_make_the_meter_raise(noise: list[bytes]) -> None:
    meter = lines_meter()
    sent = b"".join(b'{"done":' + one + b"}\n" + one for one in noise)
    assert meter.feed(sent) + meter.finish() == sent
    CUSTOM.read(sent, b"/api/chat", [])
    CUSTOM.read(sent, CHAT, [])


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        (
            b"/api/embed",
            b'{"model":"m","embeddings":[[0.1]],"prompt_eval_count":8}',
            ("m", Usage(input=8), None),
        ),
        (b"/api/embeddings", b'{"embedding":[0.1]}', (None, None, None)),
        (b"/api/chat", b'{"model":"m","done":true,"eval_count":38}', ("m", Usage(output=38), None)),
        (b"/api/chat", b'{"model":"m","done":true,"eval_count":-1}', (None, None, None)),
        (b"/api/generate", b"[]", (None, None, None)),
    ],
)
def test_ollamas_documents_are_read(path: bytes, body: bytes, expected: object) -> None:
    assert CUSTOM.read(body, path, []) == expected
    assert CUSTOM.open_meter(path, b"application/json; charset=utf-8", False) is None
