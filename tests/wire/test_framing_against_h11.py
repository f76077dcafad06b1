"""h11 as a differential oracle: the same events from the same bytes, wherever they are cut."""

from __future__ import annotations

import itertools
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenone.wire.framing import FramingError, HeadBuffer, parse_request_head

TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
TARGET = bytes(byte for byte in range(0x21, 0x7F) if byte not in b'"#<>\\')
FRAMING = (
    b"content-length",
    b"transfer-encoding",
    b"host",
    b"connection",
    b"expect",
    b"upgrade",
    b"keep-alive",
)


def text_of(alphabet: bytes, low: int, high: int) -> st.SearchStrategy[bytes]:
    return st.lists(st.sampled_from(list(alphabet)), min_size=low, max_size=high).map(bytes)


names = text_of(TOKEN, 1, 12).filter(lambda name: name.lower() not in (*FRAMING, b"trailer", b"te"))
inner = st.lists(st.sampled_from([*range(0x21, 0x7F), *range(0x80, 0x100), 0x20, 0x09]), max_size=20)
values = inner.map(lambda value: bytes(value).strip(b" \t"))
spaces = st.sampled_from([b"", b" ", b"\t", b"  "])
fields = st.builds(lambda n, a, v, b: n + b":" + a + v + b + b"\r\n", names, spaces, values, spaces)
blocks = st.lists(fields, max_size=6).map(b"".join)
bodies = st.binary(max_size=60)


@st.composite
def framed(draw: st.DrawFn, *, request: bool) -> tuple[bytes, bytes]:
    """Returns the fields and the bytes of a body, by length or by chunks."""
    body = draw(bodies)
    if draw(st.booleans()):
        return b"Content-Length: %d\r\n" % len(body), body
    sizes = draw(st.lists(st.integers(1, 20), max_size=8))
    wire, position = b"", 0
    for size in [*sizes, len(body) + 1]:
        piece = body[position : position + size]
        position += size
        if piece:
            extension = draw(st.sampled_from([b"", b"", b";a", b";a=b"]))
            wire += b"%x%b\r\n%b\r\n" % (len(piece), extension, piece)
    trailer = b"" if request else draw(st.sampled_from([b"", b"X-Sum: 1\r\n"]))
    return b"Transfer-Encoding: chunked\r\n", wire + b"0\r\n" + trailer + b"\r\n"


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    method = draw(st.sampled_from([b"GET", b"POST", b"PUT", b"HEAD", b"DELETE", b"OPTIONS"]))
    field, body = draw(framed(request=True))
    target = b"/" + draw(text_of(TARGET, 0, 15))
    return (
        method + b" " + target + b" HTTP/1.1\r\nHost: a.example\r\n" + draw(blocks) + field + b"\r\n" + body
    )


@st.composite
def responses(draw: st.DrawFn) -> tuple[bytes, bytes, bool]:
    """Returns method asked, bytes and whether the connection ends after them."""
    method = draw(st.sampled_from([b"GET", b"POST", b"HEAD"]))
    status = draw(st.sampled_from([200, 201, 204, 206, 304, 400, 404, 429, 500, 529]))
    interim = draw(
        st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Hints\r\nA: b\r\n\r\n"])
    )
    reason = draw(text_of(bytes(range(0x21, 0x7F)), 0, 8))
    head = interim + b"HTTP/1.1 %d %b\r\n" % (status, reason) + draw(blocks)
    kind = draw(st.sampled_from(["framed", "until close"]))
    if method == b"HEAD" or status in (204, 304):
        return method, head + b"\r\n", False
    if kind == "until close":
        return method, head + b"\r\n" + draw(bodies), True
    field, body = draw(framed(request=False))
    return method, head + field + b"\r\n" + body, False


def cut(raw: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(raw) + 1) for place in places), len(raw)]
    return [raw[a:b] for a, b in itertools.pairwise(edges)]


places = st.lists(st.integers(0, 10_000), max_size=6)


@given(messages=st.lists(requests(), min_size=1, max_size=3), places=places)
def test_requests_read_as_h11_reads_them_wherever_they_are_cut(
    messages: list[bytes], places: list[int], fuzz: ModuleType
) -> None:
    raw = b"".join(messages)
    ours = fuzz.plain(fuzz.read_requests(cut(raw, places)))
    assert ours == fuzz.h11_requests(raw)
    assert ours.count(("end",)) == len(messages)


@given(response=responses(), places=places)
def test_responses_read_as_h11_reads_them_wherever_they_are_cut(
    response: tuple[bytes, bytes, bool], places: list[int], fuzz: ModuleType
) -> None:
    method, raw, eof = response
    ours = fuzz.plain(fuzz.read_response(cut(raw, places), method, eof=eof))
    assert ours == fuzz.h11_response(raw, method, eof=eof)
    assert ours[-1] == ("end",)


@given(response=responses(), places=places, surplus=st.binary(min_size=1, max_size=5))
def test_a_byte_after_a_response_is_seen_as_surplus(
    response: tuple[bytes, bytes, bool], places: list[int], surplus: bytes, fuzz: ModuleType
) -> None:
    method, raw, eof = response
    if not eof:
        assert fuzz.read_response(cut(raw + surplus, places), method, eof=False)[-1] == ("surplus",)


@given(response=responses(), data=st.data())
def test_a_response_that_ends_early_is_never_whole(
    response: tuple[bytes, bytes, bool], data: st.DataObject, fuzz: ModuleType
) -> None:
    method, raw, until_close = response
    head_end = raw.rindex(b"\r\n\r\n") + 4 if raw.endswith(b"\r\n\r\n") else raw.index(b"\r\n\r\n") + 4
    limit = head_end if until_close else len(raw)
    short = raw[: data.draw(st.integers(0, limit - 1))]
    events = fuzz.read_response([short] if short else [], method, eof=True)
    assert ("end",) not in events or until_close


@settings(max_examples=200)
@given(seed=st.integers(0, 1 << 32))
def test_mutated_messages_break_no_law(seed: int, fuzz: ModuleType) -> None:
    assert fuzz.campaign(10, seed, rounds=5) == 5


@pytest.mark.long
def test_a_long_campaign_of_mutated_messages_breaks_no_law(fuzz: ModuleType) -> None:
    assert fuzz.campaign(300, 2026) > 1000


def test_an_endless_head_is_refused_at_the_limit_and_never_held_beyond_it() -> None:
    buffer = HeadBuffer(65_536)
    assert buffer.feed(b"GET / HTTP/1.1\r\nX: ") is None
    for _ in range(65):
        assert buffer.feed(b"a" * 1000) is None
    with pytest.raises(FramingError) as refused:
        buffer.feed(b"a" * 1000)
    assert refused.value.answer == 431


def test_more_than_two_hundred_fields_are_refused() -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X-%d: 1\r\n" % i for i in range(199))
    assert len(parse_request_head(head + b"\r\n", 200).headers) == 200
    with pytest.raises(FramingError) as refused:
        parse_request_head(head + b"One: more\r\n\r\n", 200)
    assert (refused.value.reason, refused.value.answer) == ("header-count", 431)


def test_look_up_finds_the_first_value_and_every_value_of_a_field() -> None:
    head = parse_request_head(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nx-a: 2\r\n\r\n", 200)
    assert (head.get(b"x-a"), head.all(b"x-a"), head.get(b"x-b"), head.all(b"x-b")) == (
        b"1",
        [b"1", b"2"],
        None,
        [],
    )
