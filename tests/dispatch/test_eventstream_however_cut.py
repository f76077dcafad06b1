"""AWS' event streams: the same messages however the bytes were cut, damage believed in nowhere, bytes kept."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenone.dispatch.eventstream import (
    EventStreamMeter,
    Garbled,
    Message,
    Splitter,
    encode,
    exception_frame,
    text_headers,
)
from tokenone.types import Usage

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "eventstream.json").read_text())
EVERY = [*VECTORS["whole"], *VECTORS["garbled"]]


class Noted:
    """Notes the events it reads."""

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.model: str | None = None
        self.failed = self.ended = False
        self.text_bytes = 0
        self.charged: int | None = None
        self.names: list[bytes] = []

    def read(self, message: Message) -> None:
        self.names.append(message.name)


def split(pieces: list[bytes]) -> tuple[list[Message], bytes, bool]:
    splitter = Splitter()
    messages: list[Message] = []
    out = b""
    for piece in pieces:
        found, forward = splitter.feed(piece)
        messages += found
        out += forward
    return messages, out + splitter.rest(), splitter.broken


def expected(vector: dict[str, Any]) -> list[Message]:
    return [Message(*(part.encode() for part in message)) for message in vector["messages"]]


def an_event(payload: bytes = b"{}") -> bytes:
    return encode(((b":event-type", b"chunk"), (b":message-type", b"event")), payload)


@pytest.mark.parametrize("vector", VECTORS["whole"], ids=lambda vector: vector["why"])
def test_a_whole_stream_has_the_messages_that_the_vectors_say(vector: dict[str, Any]) -> None:
    raw = bytes.fromhex(vector["hex"])
    assert split([raw]) == (expected(vector), raw, False)


@pytest.mark.parametrize("vector", VECTORS["garbled"], ids=lambda vector: vector["why"])
def test_of_a_damaged_stream_only_what_came_before_is_believed(vector: dict[str, Any]) -> None:
    raw = bytes.fromhex(vector["hex"])
    messages, out, broken = split([raw, an_event()])
    assert (messages, out, broken) == (expected(vector), raw + an_event(), True)


def test_half_of_the_vectors_are_damaged() -> None:
    assert len(VECTORS["garbled"]) >= len(VECTORS["whole"])


@pytest.mark.parametrize("vector", EVERY, ids=lambda vector: vector["why"])
def test_every_vector_reads_alike_byte_by_byte(vector: dict[str, Any]) -> None:
    raw = bytes.fromhex(vector["hex"])
    assert split([raw[at : at + 1] for at in range(len(raw))]) == split([raw])


@given(st.lists(st.binary(max_size=40), max_size=5), st.lists(st.integers(1, 60), min_size=1, max_size=40))
def test_messages_are_the_same_however_they_are_cut(payloads: list[bytes], sizes: list[int]) -> None:
    raw = b"".join(an_event(payload) for payload in payloads)
    pieces, at = [], 0
    for size in sizes:
        pieces.append(raw[at : at + size])
        at += size
    messages, out, broken = split([*pieces, raw[at:]])
    assert [message.payload for message in messages] == payloads
    assert (out, broken) == (raw, False)


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_no_bytes_make_the_meter_raise_and_all_of_them_pass(pieces: list[bytes]) -> None:
    meter = EventStreamMeter(Noted())
    assert b"".join([*(meter.feed(piece) for piece in pieces), meter.finish()]) == b"".join(pieces)
    assert not meter.ended


@given(st.binary(max_size=60))
def test_no_header_block_is_read_beyond_its_end(block: bytes) -> None:
    try:
        found = text_headers(block)
    except Garbled:
        return
    assert sum(len(name) + len(value) + 4 for name, value in found.items()) <= len(block)


@given(st.data())
def test_every_flipped_bit_is_noticed(data: st.DataObject) -> None:
    raw = an_event(b'{"usage":{"outputTokens":7}}')
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    damaged = bytearray(raw)
    damaged[bit // 8] ^= 1 << bit % 8
    messages, out, _ = split([bytes(damaged)])
    assert (messages, out) == ([], bytes(damaged))


def test_only_whole_messages_are_forwarded_so_that_an_error_can_follow() -> None:
    meter = EventStreamMeter(Noted())
    raw = an_event()
    assert meter.feed(raw + raw[:9]) == raw
    assert meter.feed(raw[9:20]) == b""
    assert meter.feed(raw[20:]) == raw
    assert meter.finish() == b""
    assert not meter.in_events


def test_a_long_message_in_small_pieces_is_put_together_once() -> None:
    raw = an_event(bytes(1 << 20))
    splitter = Splitter()
    waiting = [splitter.feed(raw[at : at + 7]) for at in range(0, len(raw) - 7, 7)]
    assert all(found == ([], b"") for found in waiting)
    (message,), out = splitter.feed(raw[len(waiting) * 7 :])
    assert (out, len(message.payload)) == (raw, 1 << 20)


def test_a_message_that_claims_too_much_is_not_waited_for() -> None:
    lengths = struct.pack(">II", 0x7FFFFFFF, 0)
    meter = EventStreamMeter(Noted())
    claimed = lengths + struct.pack(">I", crc32(lengths))
    assert meter.feed(claimed) == claimed
    assert meter.failed


@pytest.mark.parametrize("kind", ["exception", "error"])
def test_an_exception_fails_the_stream_and_events_do_not(kind: str) -> None:
    noted = Noted()
    meter = EventStreamMeter(noted)
    meter.feed(an_event())
    assert (noted.names, meter.failed) == ([b"chunk"], False)
    meter.feed(
        exception_frame("ThrottlingException" if kind == "exception" else "KeyRetired", "Slower, please")
    )
    assert (noted.names, meter.failed) == ([b"chunk"], True)


@pytest.mark.parametrize(
    ("name", "kind", "told"),
    [
        ("InternalServerException", b"exception", b"internalServerException"),
        ("throttlingException", b"exception", b"throttlingException"),
        ("AccessDeniedException", b"error", b"AccessDeniedException"),
    ],
)
@given(message=st.text(max_size=3000))
def test_an_error_that_we_tell_is_a_message_of_its_own(
    name: str, kind: bytes, told: bytes, message: str
) -> None:
    raw = exception_frame(name, message)
    (found,), out, broken = split([raw])
    assert (found.kind, found.name, out, broken) == (kind, told, raw, False)
    if kind == b"exception":
        assert json.loads(found.payload) == {"message": message}
    else:
        block = raw[12 : 12 + struct.unpack(">I", raw[4:8])[0]]
        assert message.startswith(text_headers(block)[b":error-message"].decode())
