"""Laws of the stream meter: bytes in are bytes out, exactly the usage chunk is withheld, no cut changes either."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.meters import event_meter
from tokenone.dispatch.streams import StreamMeter
from tokenone.sse import EventSplitter, data_of
from tokenone.types import Provider, Usage

CHAT = b"/v1/chat/completions"
USAGE = b'{"id":"a","model":"gpt-4o","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}'


def chat(*, withhold: bool) -> StreamMeter:
    return event_meter(Provider.OPENAI, CHAT, withhold=withhold)


def chunk(text: str) -> bytes:
    delta = {"index": 0, "delta": {"content": text}}
    return json.dumps({"model": "gpt-4o", "choices": [delta], "usage": None}).encode()


END = st.sampled_from([b"\n", b"\r\n", b"\r"])
TEXT = st.sampled_from(
    ["hi", '"usage":{"prompt_tokens":1}', "[DONE]", "data: x\n\ndata: y", "“é”", '{"choices":[]}']
)


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Draws a chat stream with a usage chunk, and the same stream without that chunk."""
    end = draw(END)
    events = [(b"data: " + chunk(text), True) for text in draw(st.lists(TEXT, max_size=5))]
    events.insert(
        draw(st.integers(0, len(events))), (draw(st.sampled_from([b"data: ", b"data:"])) + USAGE, False)
    )
    comment = draw(st.booleans())
    whole = kept = b""
    for event, stays in events:
        note = b": processing" + end if comment and draw(st.booleans()) else b""
        whole += note + event + end + end
        kept += note + (event + end + end if stays else b"")
    return whole + b"data: [DONE]" + end + end, kept + b"data: [DONE]" + end + end


@given(streams(), st.lists(st.integers(1, 40), max_size=30), st.booleans())
def test_exactly_the_usage_chunk_is_withheld_however_the_bytes_are_cut(
    pair: tuple[bytes, bytes], sizes: list[int], withhold: bool
) -> None:
    whole, kept = pair
    meter, out, at = chat(withhold=withhold), b"", 0
    for size in [*sizes, len(whole)]:
        out += meter.feed(whole[at : at + size])
        at += size
    out += meter.finish()
    assert out == (kept if withhold else whole)
    assert meter.usage == Usage(input=7, output=3)
    assert meter.ended
    assert meter.withheld == (len(whole) - len(kept) if withhold else 0)


@given(st.binary(max_size=400), st.lists(st.integers(1, 9), max_size=60), st.integers(1, 50))
def test_no_byte_is_lost_or_moved_by_the_splitter(raw: bytes, sizes: list[int], limit: int) -> None:
    noise = raw.translate(bytes(b"\n\r:d"[value % 4] if value < 128 else value for value in range(256)))
    splitter, out, at = EventSplitter(limit), b"", 0
    for size in [*sizes, len(noise)]:
        out += b"".join(splitter.feed(noise[at : at + size]))
        at += size
    assert out + splitter.rest() == noise


@given(
    st.lists(st.sampled_from([b"a\n\n", b"b\r\n\r\n", b"c\r\r", b"d\n\r\n", b"\n\n", b"e\r\n\n"]), max_size=8)
)
def test_events_are_cut_alike_byte_by_byte_and_at_once(events: list[bytes]) -> None:
    raw = b"".join(events)
    at_once, by_byte = EventSplitter(), EventSplitter()
    first = at_once.feed(raw)
    second = [event for at in range(len(raw)) for event in by_byte.feed(raw[at : at + 1])]
    assert [*first, at_once.rest()] == [*second, by_byte.rest()]


@given(streams(), st.integers(0, 2000))
def test_a_stream_that_breaks_ends_between_two_events(pair: tuple[bytes, bytes], size: int) -> None:
    whole, _ = pair
    out, splitter = chat(withhold=False).feed(whole[:size]), EventSplitter()
    assert whole.startswith(out)
    splitter.feed(out + b".")
    assert splitter.rest() == b"."  # nothing of an unfinished event is out


def test_an_unasked_first_chunk_without_choices_is_not_withheld() -> None:
    first = b'data: {"model":"gpt-4o","choices":[],"prompt_filter_results":[],"usage":null}\n\n'
    meter = chat(withhold=True)
    assert meter.feed(first) == first
    assert meter.usage is None


def test_usage_is_read_though_a_callers_own_tool_says_null() -> None:
    tool = b'"tools":[{"parameters":{"default":{"usage":null}}}]'
    counts = b'"usage":{"input_tokens":1000,"output_tokens":2000}'
    last = b'data: {"type":"response.completed","response":{"model":"m",%b,%b}}\n\n' % (tool, counts)
    meter = event_meter(Provider.OPENAI, b"/v1/responses")
    meter.feed(b'data: {"type":"response.created","response":{"model":"m","usage":null}}\n\n' + last)
    assert meter.usage == Usage(input=1000, output=2000)
    assert meter.ended


def test_usage_on_a_chunk_with_choices_is_read_and_forwarded() -> None:
    counts = b'"usage":{"prompt_tokens":1,"completion_tokens":1}'
    both = b'data: {"model":"m","choices":[{"delta":{"content":"x"}}],' + counts + b"}\n\n"
    meter = chat(withhold=True)
    assert meter.feed(both) == both
    assert meter.usage == Usage(input=1, output=1)


def test_a_last_event_without_its_blank_line_is_still_read_and_withheld() -> None:
    meter = chat(withhold=True)
    assert meter.feed(b"data: " + USAGE) == b""
    assert meter.finish() == b""
    assert meter.usage == Usage(input=7, output=3)


def test_an_endless_event_is_let_through_in_bounded_memory() -> None:
    meter = StreamMeter(event_meter(Provider.OPENAI, CHAT)._reader, withhold_usage=True, limit=1000)
    out = b"".join(meter.feed(b"data: " + b"x" * 200) for _ in range(100))
    assert len(out) >= 100 * 206 - 1200
    assert out + meter.finish() == (b"data: " + b"x" * 200) * 100


@pytest.mark.parametrize(
    ("provider", "path", "frame"),
    [
        ("openai", CHAT, b'data: {"error":{"message":"no","type":"server_error"}}\n\n'),
        ("openai", b"/v1/responses", b'event: error\ndata: {"type":"error","code":"x","message":"no"}\n\n'),
        (
            "openai",
            b"/v1/responses",
            b'data: {"type":"response.failed","response":{"error":{"code":"x"}}}\n\n',
        ),
        (
            "anthropic",
            b"/v1/messages",
            b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"}}\n\n',
        ),
    ],
)
def test_an_error_inside_a_stream_is_noted(provider: str, path: bytes, frame: bytes) -> None:
    meter = event_meter(Provider(provider), path)
    assert meter.feed(frame) == frame
    assert meter.failed


def test_anthropic_counts_are_cumulative_and_the_last_one_holds() -> None:
    meter = event_meter(Provider.ANTHROPIC, b"/v1/messages")
    start = {
        "model": "claude",
        "usage": {"input_tokens": 5, "cache_read_input_tokens": 10, "output_tokens": 1},
    }
    cached = {"cache_creation_input_tokens": 4, "cache_creation": {"ephemeral_1h_input_tokens": 3}}
    start["usage"] |= cached
    for event in (
        {"type": "message_start", "message": start},
        {"type": "message_delta", "usage": {"output_tokens": 20}},
        {
            "type": "message_delta",
            "usage": {"output_tokens": 30, "server_tool_use": {"web_search_requests": 2}},
        },
    ):
        meter.feed(f"data: {json.dumps(event)}\n\n".encode())
    assert meter.usage == Usage(
        input=19, output=30, cache_read=10, cache_write=4, cache_write_1h=3,
        server_tools={"web_search_requests": 2},
    )  # fmt: skip
    assert not meter.ended


@given(st.binary(max_size=200))
def test_no_event_makes_a_meter_raise(raw: bytes) -> None:
    for provider, path in ((Provider.OPENAI, CHAT), (Provider.ANTHROPIC, b"/v1/messages")):
        meter = event_meter(provider, path)
        event = b'data: {"usage":' + raw + b"}\n\n"
        assert meter.feed(event) + meter.finish() == event


@pytest.mark.parametrize("count", ["-1", "1e30", '"7"', "10000000000000000", "true", "[]"])
def test_a_count_that_is_no_count_is_not_reported(count: str) -> None:
    meter = chat(withhold=False)
    meter.feed(
        f'data: {{"choices":[],"usage":{{"prompt_tokens":{count},"completion_tokens":1}}}}\n\n'.encode()
    )
    assert meter.usage is None


def test_data_of_several_lines_is_joined() -> None:
    assert data_of(b"event: x\r\ndata: {\r\ndata: }\r\n\r\n") == b"{\n}"
    assert data_of(b": only a comment\n\n") == b""
    assert data_of(b"\xef\xbb\xbfdata: first\n\n") == b"first"
