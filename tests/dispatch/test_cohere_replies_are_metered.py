"""Laws of Cohere's replies: billed units are the usage, however the stream is framed and cut; nothing raises."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.shared import Exchange, exchanges, require_exchanges
from tokenone.dispatch.providers.cohere import COHERE
from tokenone.dispatch.providers.cohere_replies import CohereEvents, LineMeter
from tokenone.dispatch.streams import Meter
from tokenone.dispatch.tail import TailReader
from tokenone.types import ErrorClass, PathClass, Usage

RECORDED = exchanges("cohere")
STREAMED = tuple(row for row in RECORDED if "stream" in row.reply_headers.get("content-type", ""))
EVENTS, LINES = b"text/event-stream", b"application/stream+json"


def named(rows: tuple[Exchange, ...]) -> list[Any]:
    """Parametrises by exchange; without the folder one case remains, which skips."""
    return [pytest.param(row, id=row.id[:60]) for row in rows] or [pytest.param(None, id="absent")]


def metered(stream: bytes, kind: bytes, size: int) -> tuple[Meter, bytes]:
    meter = COHERE.open_meter(b"/v2/chat", kind, False)
    assert meter is not None
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    return meter, b"".join(meter.feed(piece) for piece in pieces) + meter.finish()


def told(meter: Meter) -> tuple[object, ...]:
    return meter.usage, meter.model, meter.charged, meter.failed, meter.ended, meter.text_bytes


def usage(reply: dict[str, Any]) -> Usage | None:
    return COHERE.usage(json.dumps(reply).encode(), b"/v2/chat")


# ── what was recorded ────────────────────────────────────────────────────────────────────────────────────
def reported(exchange: Exchange) -> dict[str, Any] | None:
    """Finds the billed units in a reply with the standard library alone."""
    found = None
    for line in exchange.reply.decode().replace("data: ", "").splitlines():
        if not line.startswith("{"):
            continue
        whole = json.loads(line)
        for holder in (whole, whole.get("delta") or {}, whole.get("response") or {}):
            found = (holder.get("usage") or holder.get("meta") or {}).get("billed_units") or found
    return found


@pytest.mark.parametrize("exchange", named(RECORDED))
def test_a_recorded_path_is_classed_and_its_body_names_the_model(exchange: Exchange) -> None:
    require_exchanges()
    kind = COHERE.classify(exchange.method.encode(), exchange.path.encode())
    assert kind is (PathClass.FREE if exchange.method == "GET" else PathClass.INFERENCE)
    if kind is PathClass.INFERENCE:
        peeked, said = COHERE.peek(exchange.body, "application/json"), json.loads(exchange.body)
        assert (peeked.model, peeked.stream) == (said.get("model"), bool(said.get("stream")))
        assert COHERE.splice(exchange.body, peeked, exchange.path.encode()) is exchange.body


@pytest.mark.parametrize("exchange", named(RECORDED))
def test_usage_equals_the_recorded_billed_units(exchange: Exchange) -> None:
    require_exchanges()
    kind = exchange.reply_headers.get("content-type", "").encode()
    path = exchange.path.encode()
    if exchange in STREAMED:
        found = metered(exchange.reply, kind, len(exchange.reply))[0].usage
    else:
        assert COHERE.open_meter(path, kind, False) is None
        found = COHERE.usage(exchange.reply, path)
    raw = reported(exchange)
    if raw is None:
        assert found is None
        assert exchange.status >= 400 or not COHERE.bills(path) or exchange.method == "GET"
        return
    assert found is not None
    apart: dict[str, int] = {name: raw[name] for name in ("search_units", "image_tokens") if name in raw}
    assert found == Usage(
        input=raw.get("input_tokens"), output=raw.get("output_tokens"), server_tools=apart or None
    )


@pytest.mark.parametrize("exchange", named(STREAMED))
def test_a_stream_is_metered_alike_however_it_is_cut_and_forwarded_unchanged(exchange: Exchange) -> None:
    require_exchanges()
    kind = exchange.reply_headers["content-type"].encode()
    whole, _ = metered(exchange.reply, kind, len(exchange.reply))
    assert whole.ended
    assert not whole.failed
    assert whole.text_bytes > 0
    assert whole.in_events == (kind == EVENTS)
    for size in (1, 7, 64, 4096):
        meter, out = metered(exchange.reply, kind, size)
        assert out == exchange.reply
        assert told(meter) == told(whole)


@pytest.mark.parametrize("exchange", named(tuple(row for row in RECORDED if row.status >= 400)))
def test_a_recorded_refusal_has_the_class_its_kind_calls_for(exchange: Exchange) -> None:
    require_exchanges()
    expected = {
        401: ErrorClass.KEY_DEAD,
        402: ErrorClass.BILLING,
        404: ErrorClass.MODEL_DENIED if b"not found" in exchange.reply else ErrorClass.CALLER,
        503: ErrorClass.UPSTREAM,
    }
    assert COHERE.error_class(exchange.status, [], exchange.reply) is expected[exchange.status]


def test_the_recordings_are_all_there() -> None:
    require_exchanges()
    assert len(RECORDED) == 37
    assert len(STREAMED) == 5


# ── whole replies ────────────────────────────────────────────────────────────────────────────────────────
def test_money_follows_billed_units_and_not_what_the_model_saw() -> None:
    billed = {"input_tokens": 80, "output_tokens": 301}
    seen = {"input_tokens": 1494, "output_tokens": 330}
    whole = {"usage": {"billed_units": billed, "tokens": seen, "cached_tokens": 1008}}
    assert usage(whole) == Usage(input=80, output=301)


def test_what_the_model_saw_is_an_estimate_where_nothing_billed_is_told() -> None:
    seen = {"tokens": {"input_tokens": 9, "output_tokens": 2}, "cached_tokens": 4}
    assert usage({"usage": seen}) == Usage(input=9, output=2, cache_read=4, estimated=True)
    assert usage({"meta": {"tokens": {}}}) is None


@pytest.mark.parametrize(
    ("billed", "expected"),
    [
        ({"search_units": 2}, Usage(server_tools={"search_units": 2})),
        ({"search_units": 2.0}, Usage(server_tools={"search_units": 2})),
        ({"search_units": 0.5, "input_tokens": 3}, Usage(input=3, server_tools={"search_units": 1})),
        ({"search_units": 0}, Usage(server_tools={"search_units": 0})),
        ({"input_tokens": 0}, Usage(input=0)),
        ({"images": 3}, Usage(server_tools={"images": 3})),
        ({"image_tokens": 7, "input_tokens": 2}, Usage(input=2, server_tools={"image_tokens": 7})),
        ({"classifications": 4}, Usage(server_tools={"classifications": 4})),
        ({}, None),
        ({"input_tokens": None}, None),
        ({"input_tokens": -1}, None),
        ({"input_tokens": 1e10}, None),
        ({"input_tokens": "7"}, None),
        ({"output_tokens": True}, None),
        ({"input_tokens": [1]}, None),
    ],
)
def test_units_are_counted_absent_stays_absent_and_nonsense_is_nothing(
    billed: dict[str, Any], expected: Usage | None
) -> None:
    assert usage({"meta": {"billed_units": billed}}) == expected
    assert usage({"usage": {"billed_units": billed}}) == expected


def tail_of(body: bytes) -> bytes:
    tail = TailReader()
    for at in range(0, len(body), 100_000):
        tail.feed(body[at : at + 100_000])
    return tail.digest()


def test_a_reply_too_long_to_hold_is_read_by_its_tail() -> None:
    vectors = [[0.015625] * 1536] * 96
    meta = {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 9, "image_tokens": 0}}
    reply = {"id": "e", "embeddings": {"float": vectors}, "meta": meta, "response_type": "embeddings_by_type"}
    body = json.dumps(reply).encode()
    assert len(body) > 1 << 20
    expected = Usage(input=9, server_tools={"image_tokens": 0})
    assert COHERE.usage(tail_of(body), b"/v2/embed") == COHERE.usage(body, b"/v2/embed") == expected


def test_a_tail_full_of_unfinished_members_takes_no_longer_than_a_few_look_ups() -> None:
    assert tail_of(b'"meta":{' * 10_000) == b"{}"


@given(
    st.binary(max_size=60)
    | st.recursive(st.none() | st.text(max_size=3), st.lists).map(lambda v: json.dumps(v).encode())
)
def test_no_body_makes_the_reader_raise(body: bytes) -> None:
    reading = COHERE.read(body, b"/v2/chat", [])
    assert (reading.model, reading.charged) == (None, None)


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────────
def event(**fields: Any) -> bytes:
    return f"event: {fields.get('type', 'x')}\ndata: {json.dumps(fields)}\n\n".encode()


def ending(**delta: Any) -> bytes:
    return event(type="message-end", delta=delta)


BILLED = {"billed_units": {"input_tokens": 5, "output_tokens": 2}}


@pytest.mark.parametrize(
    ("last", "failed", "ended"),
    [
        (ending(finish_reason="COMPLETE", usage=BILLED), False, True),
        (ending(finish_reason="MAX_TOKENS", usage=BILLED), False, True),
        (ending(finish_reason="ERROR", usage=BILLED), True, True),
        (ending(finish_reason="TIMEOUT", usage=BILLED), True, True),
        (ending(error="generation broke off", usage=BILLED), True, True),
        (b'data: {"id":"0","message":"internal server error"}\n\n', True, False),
        (b"data: [DONE]\n\n", False, False),
        (b": a comment\n\n", False, False),
        (b"", False, False),
    ],
)
def test_a_stream_ends_with_its_last_message_and_fails_where_it_says_so(
    last: bytes, failed: bool, ended: bool
) -> None:
    said = event(type="content-delta", index=0, delta={"message": {"content": {"text": "hello"}}})
    meter, out = metered(said + last, EVENTS, 3)
    assert out == said + last
    assert (meter.failed, meter.ended, meter.text_bytes) == (failed, ended, 5)
    assert meter.usage == (Usage(input=5, output=2) if b"billed" in last else None)


def test_text_is_counted_where_it_is_new_and_not_where_it_is_quoted() -> None:
    stream = b"".join(
        (
            event(type="message-start", delta={"message": {"role": "assistant", "tool_plan": ""}}),
            event(
                type="content-start", delta={"message": {"content": {"type": "thinking", "thinking": "a"}}}
            ),
            event(type="content-delta", delta={"message": {"content": {"thinking": "bc"}}}),
            event(type="content-delta", delta={"message": {"content": {"text": 'd"-end" e'}}}),
            event(type="tool-plan-delta", delta={"message": {"tool_plan": "fgh"}}),
            event(
                type="tool-call-delta", delta={"message": {"tool_calls": {"function": {"arguments": "ij"}}}}
            ),
            event(type="citation-start", delta={"message": {"citations": {"text": "quoted"}}}),
            event(type="citation-end", index=0),
        )
    )
    meter, _ = metered(stream, EVENTS, len(stream))
    escaped = len(r"d\"-end\" e")
    assert meter.text_bytes == 1 + 2 + escaped + 3 + 2
    assert not meter.failed


LAST_LINE = {
    "is_finished": True, "event_type": "stream-end", "finish_reason": "COMPLETE",
    "response": {"text": "hello", "meta": {"billed_units": {"input_tokens": 5, "output_tokens": 2}}},
}  # fmt: skip


@pytest.mark.parametrize("kind", [EVENTS, LINES])
@pytest.mark.parametrize("size", [1, 5, 10_000])
def test_the_first_version_is_metered_alike_as_events_and_as_lines(kind: bytes, size: int) -> None:
    said = [
        {"is_finished": False, "event_type": "stream-start", "generation_id": "g"},
        {"is_finished": False, "event_type": "text-generation", "text": "hel"},
        {"is_finished": False, "event_type": "search-results", "documents": [{"text": "not said"}]},
        {"is_finished": False, "text": "lo", "index": 0},
        LAST_LINE,
    ]
    lines = [json.dumps(one).encode() for one in said]
    stream = b"\n".join(lines) if kind == LINES else b"".join(b"data: " + line + b"\n\n" for line in lines)
    meter, out = metered(stream, kind, size)
    assert out == stream
    assert told(meter) == (Usage(input=5, output=2), None, None, False, True, 5)
    assert meter.in_events == (kind == EVENTS)


@pytest.mark.parametrize("reason", ["ERROR", "ERROR_TOXIC", "ERROR_LIMIT"])
def test_a_line_that_tells_a_fault_is_known_before_it_goes_out(reason: str) -> None:
    meter = LineMeter(CohereEvents())
    line = json.dumps(LAST_LINE | {"finish_reason": reason}).encode()
    assert meter.feed(line) == b""
    assert not meter.failed
    assert meter.feed(b"\n") == line + b"\n"
    assert meter.failed


def test_a_line_beyond_the_limit_comes_out_in_pieces_and_is_not_kept() -> None:
    meter = LineMeter(CohereEvents(), limit=10)
    out = [meter.feed(b"x" * 8) for _ in range(4)]
    assert out == [b"", b"x" * 16, b"", b"x" * 16]
    assert meter.feed(b"\n" + json.dumps(LAST_LINE).encode() + b"\n").endswith(b"}\n")
    assert meter.usage == Usage(input=5, output=2)


@given(st.lists(st.binary(max_size=40)), st.sampled_from([EVENTS, LINES]))
def test_no_stream_makes_the_meter_raise_or_change_a_byte(pieces: list[bytes], kind: bytes) -> None:
    meter = COHERE.open_meter(b"/v1/chat", kind, False)
    assert meter is not None
    assert b"".join(meter.feed(piece) for piece in pieces) + meter.finish() == b"".join(pieces)
