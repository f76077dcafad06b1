"""Laws of Google's streams: bytes in are bytes out, elements come whole, no cut changes a count, nothing raises."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenone.dispatch.providers import PROVIDERS
from tokenone.dispatch.providers.google_array import ArrayMeter
from tokenone.dispatch.providers.google_replies import GoogleEvents, read_google
from tokenone.dispatch.streams import EVENT_STREAM, Meter
from tokenone.dispatch.tail import TailReader
from tokenone.types import Provider, Usage

PATH = b"/v1beta/models/gemini-2.5-flash:streamGenerateContent"
GEMINI, VERTEX = PROVIDERS[Provider.GEMINI], PROVIDERS[Provider.VERTEX]
JSON = b"application/json; charset=utf-8"


class Elements:
    """Notes the elements that an array meter finds."""

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.model: str | None = None
        self.failed = False
        self.text_bytes = 0
        self.charged: int | None = None
        self.taken: list[bytes] = []

    def take(self, data: bytes) -> None:
        self.taken.append(data)


NASTY = st.text(alphabet='{}[]",\\:ab\n\té“\x00', max_size=12)
VALUE = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), NASTY),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NASTY, inner, max_size=3)),
    max_leaves=8,
)
OBJECT = st.dictionaries(NASTY, VALUE, max_size=3)
SIZES = st.lists(st.integers(1, 17), max_size=60)


def fed(meter: Meter, raw: bytes, sizes: list[int]) -> list[bytes]:
    """Returns what each piece brought out, and what the end did."""
    out, at = [], 0
    for size in [*sizes, len(raw)]:
        out.append(meter.feed(raw[at : at + size]))
        at += size
    return [*out, meter.finish()]


@given(st.lists(OBJECT, max_size=5), st.sampled_from([None, 0, 2]), st.booleans(), SIZES)
def test_an_arrays_elements_are_found_however_the_bytes_are_cut(
    rows: list[dict[str, Any]], indent: int | None, escaped: bool, sizes: list[int]
) -> None:
    raw = json.dumps(rows, indent=indent, ensure_ascii=escaped).encode() + b"\n"
    found = Elements()
    meter = ArrayMeter(found)
    assert b"".join(fed(meter, raw, sizes)) == raw
    assert [json.loads(one) for one in found.taken] == rows
    assert meter.ended
    assert not meter.in_events


@given(st.lists(OBJECT, min_size=1, max_size=4), st.integers(0, 400))
def test_an_array_that_breaks_has_only_whole_elements_out(rows: list[dict[str, Any]], size: int) -> None:
    raw = json.dumps(rows).encode()
    found = Elements()
    meter = ArrayMeter(found)
    out = meter.feed(raw[:size])
    assert raw.startswith(out)
    assert meter.ended == (size >= len(raw))
    between = out
    for one in found.taken:
        between = between.replace(one, b"", 1)
    assert not between.strip(b"[], "), "nothing of an unfinished element is out"
    taken = list(found.taken)
    rest = meter.finish()
    assert out + rest == raw[:size]
    assert [json.loads(one) for one in taken] == rows[: len(taken)]


@given(OBJECT, SIZES)
def test_an_object_that_stands_alone_is_one_element(row: dict[str, Any], sizes: list[int]) -> None:
    raw = json.dumps(row).encode()
    found = Elements()
    meter = ArrayMeter(found)
    assert b"".join(fed(meter, raw, sizes)) == raw
    assert [json.loads(one) for one in found.taken] == [row]
    assert meter.ended


@given(st.binary(max_size=200), SIZES, st.integers(1, 40))
def test_garbage_passes_unchanged_and_within_its_bound(raw: bytes, sizes: list[int], limit: int) -> None:
    noise = raw.translate(bytes(b'{}[]",\\a'[value % 8] for value in range(256)))
    meter = ArrayMeter(GoogleEvents(), limit=limit)
    assert b"".join(fed(meter, noise, sizes)) == noise


def test_an_element_beyond_the_limit_passes_unread_and_the_next_is_read() -> None:
    found = Elements()
    meter = ArrayMeter(found, limit=30)
    raw = json.dumps([{"a": "x" * 100}, {"b": 1}]).encode()
    assert b"".join(fed(meter, raw, [7] * 30)) == raw
    assert found.taken == [b'{"b": 1}']
    assert meter.ended


def test_a_long_string_in_small_pieces_costs_no_more_than_its_length() -> None:
    raw = b'[{"a":"' + b"x" * 4_000_000 + b'"}]'
    meter = ArrayMeter(Elements())
    began = time.process_time()
    for at in range(0, len(raw), 4096):
        meter.feed(raw[at : at + 4096])
    assert meter.ended
    assert time.process_time() - began < 2.0


def element(**members: Any) -> dict[str, Any]:
    return {"modelVersion": "gemini-2.5-flash", **members}


def counts(into: int, out: int | None = None, **more: Any) -> dict[str, Any]:
    given = {"promptTokenCount": into, "totalTokenCount": into + (out or 0)}
    return given | ({} if out is None else {"candidatesTokenCount": out}) | more


def streamed(rows: list[dict[str, Any]], *, events: bool, end: str = "\r\n\r\n") -> tuple[Meter, bytes]:
    raw = (
        "".join(f"data: {json.dumps(row)}{end}" for row in rows) if events else json.dumps(rows, indent=1)
    ).encode()
    meter = GEMINI.open_meter(PATH, EVENT_STREAM if events else JSON, False)
    assert meter is not None
    return meter, raw


MEMBERS = (
    "candidates",
    "usageMetadata",
    "promptTokenCount",
    "modelVersion",
    "error",
    "finishReason",
    "groundingMetadata",
    "webSearchQueries",
    "predictions",
    "embeddings",
    "statistics",
    "token_count",
    "event_type",
    "interaction",
    "usage",
    "promptFeedback",
    "blockReason",
    "promptTokensDetails",
    "modality",
    "tokenCount",
    "total_tokens",
    "model",
)
TEXT = st.sampled_from(["hi", '"usageMetadata":{"promptTokenCount":9}', '"finishReason":"STOP"', "}{", "“é”"])


@given(st.lists(TEXT, min_size=1, max_size=5), st.booleans(), SIZES, st.sampled_from(["\n\n", "\r\n\r\n"]))
def test_the_last_counts_hold_however_a_stream_is_framed_and_cut(
    texts: list[str], events: bool, sizes: list[int], end: str
) -> None:
    rows = [
        element(candidates=[{"content": {"parts": [{"text": text}]}}], usageMetadata=counts(9, number))
        for number, text in enumerate(texts)
    ]
    rows[0]["usageMetadata"] = {"trafficType": "ON_DEMAND"}
    last = element(
        candidates=[{"finishReason": "STOP"}],
        usageMetadata=counts(7, 5, thoughtsTokenCount=2, serviceTier="flex"),
    )
    meter, raw = streamed([*rows, last], events=events, end=end)
    assert b"".join(fed(meter, raw, sizes)) == raw
    assert meter.usage == Usage(input=7, output=7, reasoning=2, tier="flex")
    assert meter.model == "gemini-2.5-flash"
    assert meter.ended
    assert not meter.failed
    assert meter.text_bytes == sum(len(json.dumps(text)) - 2 for text in texts)


@pytest.mark.parametrize("events", [True, False])
def test_a_stream_that_was_cut_has_not_ended_and_keeps_what_was_counted(events: bool) -> None:
    row = element(candidates=[{"content": {"parts": [{"text": "abcd"}]}}], usageMetadata=counts(9, 1))
    meter, raw = streamed([row, row], events=events)
    meter.feed(raw[:-9])
    meter.finish()
    assert not meter.ended
    assert meter.usage == Usage(input=9, output=1)


@pytest.mark.parametrize("events", [True, False])
def test_an_error_inside_a_stream_is_seen_before_a_byte_of_it_is_out(events: bool) -> None:
    row = element(candidates=[{"content": {"parts": [{"text": "a"}]}}])
    error = {"error": {"code": 503, "message": "echo AIzaEcho", "status": "UNAVAILABLE"}}
    meter, raw = streamed([row, error], events=events)
    at = raw.index(b"AIzaEcho")
    assert b"error" not in meter.feed(raw[:at])
    assert not meter.failed
    out = meter.feed(raw[at:]) + meter.finish()
    assert meter.failed
    assert b"AIzaEcho" in out


@pytest.mark.parametrize(
    ("reply", "ended"),
    [
        ({"promptFeedback": {"blockReason": "SAFETY"}}, True),
        ({"promptFeedback": {"blockReason": 1}}, True),
        ({"promptFeedback": {"blockReason": "BLOCK_REASON_UNSPECIFIED"}}, False),
        ({"candidates": [{"finishReason": 1}]}, True),
        ({"candidates": [{"finishReason": 0}]}, False),
        (
            {"candidates": [{"content": {"parts": [{"functionCall": {"args": {"finishReason": "x"}}}]}}]},
            False,
        ),
        ({"candidates": []}, False),
    ],
)
def test_a_finished_candidate_or_a_blocked_prompt_ends_a_stream(reply: dict[str, Any], ended: bool) -> None:
    reader = GoogleEvents()
    reader.read(b"data: " + json.dumps(reply).encode() + b"\n\n")
    assert reader.ended is ended


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        (counts(9), Usage(input=9, output=0)),
        ({"promptTokenCount": 9}, Usage(input=9)),
        ({"promptTokenCount": 0, "totalTokenCount": 0}, Usage(input=0, output=0)),
        ({"totalTokenCount": 9}, None),
        ({"trafficType": "ON_DEMAND"}, None),
        ({}, None),
        (counts(9, 2, toolUsePromptTokenCount=3), Usage(input=12, output=2)),
        (counts(9, 2, cachedContentTokenCount=8), Usage(input=9, output=2, cache_read=8)),
        (
            counts(9, 2, trafficType="PROVISIONED_THROUGHPUT"),
            Usage(input=9, output=2, tier="provisioned_throughput"),
        ),
        (counts(9, 2, trafficType=2), Usage(input=9, output=2, tier="provisioned_throughput")),
        (counts(9, 2, trafficType="ON_DEMAND_PRIORITY"), Usage(input=9, output=2, tier="priority")),
        (counts(9, 2, trafficType=7), Usage(input=9, output=2, tier="7")),
        (counts(9, 2, serviceTier="PRIORITY"), Usage(input=9, output=2, tier="priority")),
        (
            counts(
                9, 5, candidatesTokensDetails=[{"modality": "IMAGE", "tokenCount": 4}, {"modality": "AUDIO"}]
            ),
            Usage(input=9, output=5, output_image=4),
        ),
        (
            counts(
                9,
                5,
                promptTokensDetails=[
                    {"modality": "AUDIO", "tokenCount": 4},
                    {"modality": "DOCUMENT", "tokenCount": 2},
                ],
                toolUsePromptTokensDetails=[
                    {"modality": 4, "tokenCount": 1},
                    {"modality": 2, "tokenCount": 1},
                ],
                cacheTokensDetails=[{"modality": "AUDIO", "tokenCount": 3}],
            ),
            Usage(input=9, output=5, input_audio=5, cache_read_audio=3, input_image=3),
        ),
        (
            counts(9, 5, promptTokensDetails=[{"modality": "VIDEO", "tokenCount": 8}]),
            Usage(input=9, output=5, input_video=8),
        ),
        (counts(9, 2, promptTokensDetails="damaged"), Usage(input=9, output=2)),
        (
            counts(9, 2, promptTokensDetails=[{"modality": "AUDIO", "tokenCount": -1}]),
            Usage(input=9, output=2),
        ),
        (counts(-1, 2), None),
        (counts(10**12, 2), None),
        ({"promptTokenCount": "9"}, None),
        ([], None),
        (None, None),
    ],
)
def test_counts_become_the_houses_counts(metadata: object, expected: Usage | None) -> None:
    body = json.dumps(element(candidates=[], usageMetadata=metadata)).encode()
    assert read_google(body, PATH, []).usage == expected


@pytest.mark.parametrize(
    ("model", "grounding", "tools"),
    [
        ("gemini-2.5-pro", [{"webSearchQueries": ["a", "b"]}], {"web_search_requests": 1}),
        ("gemini-3-pro", [{"webSearchQueries": ["a", "b"]}], {"web_search_requests": 2}),
        (
            "gemini-3-pro",
            [{"webSearchQueries": ["a", ""]}, {"webSearchQueries": ["c"]}],
            {"web_search_requests": 2},
        ),
        (
            "gemini-3-pro",
            [{"groundingChunks": [{"web": {}}, {"maps": {"uri": "u"}}]}],
            {"google_maps_requests": 1},
        ),
        ("gemini-3-pro", [{"groundingChunks": [{"retrievedContext": {}}]}], None),
        ("gemini-3-pro", [{"webSearchQueries": "damaged"}], None),
        ("gemini-3-pro", [{}], None),
    ],
)
def test_grounding_is_counted_as_google_charges_it(
    model: str, grounding: list[dict[str, Any]], tools: dict[str, int] | None
) -> None:
    reply = {
        "candidates": [{"groundingMetadata": one, "finishReason": "STOP"} for one in grounding],
        "usageMetadata": counts(9, 2),
        "modelVersion": model,
    }
    whole = read_google(json.dumps(reply).encode(), PATH, []).usage
    assert whole == Usage(input=9, output=2, server_tools=tools)
    meter, raw = streamed(
        [{**reply, "usageMetadata": counts(9, 1)}, {"usageMetadata": counts(9, 2)}], events=True
    )
    meter.feed(raw)
    assert meter.usage == whole


def test_embeddings_are_counted_by_their_statistics() -> None:
    rows = [{"embeddings": {"statistics": {"token_count": count}, "values": [0.5]}} for count in (3, 4)]
    reply = json.dumps({"predictions": rows, "metadata": {"billableCharacterCount": 9}}).encode()
    assert read_google(reply, b"", []).usage == Usage(input=7)
    pictures = json.dumps({"predictions": [{"bytesBase64Encoded": "eA==", "mimeType": "image/png"}]}).encode()
    assert read_google(pictures, b"", []).usage is None


def test_an_interaction_is_counted_whole_and_streamed() -> None:
    usage = {
        "total_input_tokens": 9,
        "total_output_tokens": 5,
        "total_thought_tokens": 3,
        "total_cached_tokens": 2,
    }
    expected = Usage(input=9, output=8, reasoning=3, cache_read=2)
    whole = {"id": "v1_x", "model": "gemini-3.5-flash", "status": "completed", "usage": usage}
    reading = read_google(json.dumps(whole).encode(), b"/v1beta/interactions", [])
    assert (reading.model, reading.usage) == ("gemini-3.5-flash", expected)
    rows = [
        {"event_type": "interaction.created", "interaction": {"id": "v1_x", "model": "gemini-3.5-flash"}},
        {"event_type": "step.delta", "delta": {"type": "text", "text": "abc"}},
        {"event_type": "interaction.completed", "interaction": whole},
    ]
    reader = GoogleEvents()
    for row in rows:
        reader.read(b"data: " + json.dumps(row).encode() + b"\n\n")
    assert (reader.model, reader.usage, reader.text_bytes) == ("gemini-3.5-flash", expected, 3)
    assert reader.ended
    tokens = {"total_input_tokens": 9, "total_tool_use_tokens": 4, "total_output_tokens": 1}
    background = json.dumps({"model": "m", "usage": tokens}).encode()
    assert read_google(background, b"", []).usage == Usage(input=13, output=1)
    assert read_google(json.dumps({"model": "m", "usage": None}).encode(), b"", []).usage is None


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(
                st.sampled_from(MEMBERS),
                inner,
                max_size=5,
            ),
        ),
    )
)
def test_whatever_a_reply_holds_reading_it_never_raises(value: Any) -> None:
    raw = json.dumps(value).encode()
    for facts in (GEMINI, VERTEX):
        for path in (
            PATH,
            b"/v1/publishers/anthropic/models/c:rawPredict",
            b"/v1beta/openai/chat/completions",
        ):
            facts.read(raw, path, [])
            for kind in (EVENT_STREAM, JSON):
                meter = facts.open_meter(path, kind, False)
                if meter is not None:
                    whole = b"data: " + raw + b"\n\n" if kind == EVENT_STREAM else b"[" + raw + b"]"
                    assert meter.feed(whole) + meter.finish() == whole


@given(st.binary(max_size=80))
def test_bytes_that_are_no_json_report_nothing(raw: bytes) -> None:
    reading = read_google(b"\xff" + raw, PATH, [])
    assert (reading.model, reading.usage) == (None, None)


def test_a_reply_too_long_to_hold_is_counted_from_its_end() -> None:
    picture = {"candidates": [{"content": {"parts": [{"inlineData": {"data": "QUJD" * 60_000}}]}}]}
    details = [{"modality": "IMAGE", "tokenCount": 1290}]
    raw = json.dumps(
        element(**picture, usageMetadata=counts(9, 1290, candidatesTokensDetails=details))
    ).encode()
    tail = TailReader()
    for at in range(0, len(raw), 16_384):
        tail.feed(raw[at : at + 16_384])
    reading = GEMINI.read(tail.digest(), PATH, [])
    assert reading.model == "gemini-2.5-flash"
    assert reading.usage == Usage(input=9, output=1290, output_image=1290)
