"""Cuts AWS' binary event streams into messages and meters them; encodes the one message that tells an error.

Law: what comes out is what went in, byte for byte and in whole messages, so that a stream that breaks ends
between two and an error can still be told behind them. Lengths and both checksums are verified before a message
is believed; from the first that does not hold on, bytes pass unread and the stream counts as failed. No I/O.
Source: "Event stream encoding" (application/vnd.amazon.eventstream) in AWS' Smithy specification.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple, Protocol
from zlib import crc32

import msgspec

from tokenone.types import Usage

CONTENT_TYPE: Final = b"application/vnd.amazon.eventstream"
HEADERS_LIMIT: Final = 128 * 1024
PAYLOAD_LIMIT: Final = 24 * 1024 * 1024
"""Both as the AWS SDKs have them."""

_PRELUDE: Final = struct.Struct(">III")
_LENGTHS: Final = struct.Struct(">II")
_CHECKSUM: Final = struct.Struct(">I")
_SHORT: Final = struct.Struct(">H")
_AROUND: Final = _PRELUDE.size + _CHECKSUM.size
_TEXT: Final = 7
_TOLD: Final = 4096
# Of both of Bedrock's streams, as their unions in AWS' service model have them.
_DECLARED: Final = frozenset(
    (
        "internalServerException",
        "modelStreamErrorException",
        "serviceUnavailableException",
        "throttlingException",
        "validationException",
    )
)
_SIZED: Final = (6, _TEXT)
# Bytes of a header's value by its type: true, false, byte, short, integer, long, timestamp, UUID.
_SIZES: Final = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}


class Garbled(ValueError):
    """The bytes are not an event stream."""


class Message(NamedTuple):
    """One message. `kind` is `event`, `exception` or `error`; `name` the event's or exception's type."""

    kind: bytes
    name: bytes
    payload: bytes


class Splitter:
    """Collects bytes and yields whole messages."""

    __slots__ = ("_needed", "_tail", "broken")

    def __init__(self) -> None:
        self._tail = bytearray()
        self._needed = 0
        self.broken = False
        """Something came that is no message; nothing is read from there on."""

    def feed(self, data: bytes) -> tuple[list[Message], bytes]:
        """Returns the messages that `data` completes, and what may be forwarded now."""
        if self.broken:
            return [], data
        if self._tail:
            self._tail += data
            if len(self._tail) < self._needed:
                return [], b""
            data = self.rest()
        messages: list[Message] = []
        at = 0
        try:
            while len(data) - at >= (needed := _needed(data, at)):
                messages.append(_read(data[at : at + needed]))
                at += needed
        except Garbled:
            self.broken = True
            return messages, data
        if at < len(data):
            self._tail += data[at:]
            self._needed = needed
        return messages, data[:at]

    def rest(self) -> bytes:
        """Gives up the unfinished message."""
        tail = bytes(self._tail)
        self._tail.clear()
        return tail


def _needed(data: bytes, at: int) -> int:
    """Returns how long the message at `at` is, or its prelude as long as that is not whole; raises Garbled for
    lengths that cannot be."""
    if len(data) - at < _PRELUDE.size:
        return _PRELUDE.size
    total, headers, checksum = _PRELUDE.unpack_from(data, at)
    if crc32(data[at : at + _LENGTHS.size]) != checksum:
        raise Garbled
    if headers > HEADERS_LIMIT or not headers + _AROUND <= total <= headers + _AROUND + PAYLOAD_LIMIT:
        raise Garbled
    return int(total)


def _read(raw: bytes) -> Message:
    """Takes a whole message apart."""
    (checksum,) = _CHECKSUM.unpack_from(raw, len(raw) - _CHECKSUM.size)
    if crc32(raw[: -_CHECKSUM.size]) != checksum:
        raise Garbled
    _, length = _LENGTHS.unpack_from(raw)
    start = _PRELUDE.size
    texts = text_headers(raw[start : start + length])
    kind = texts.get(b":message-type", b"")
    named = {b"event": b":event-type", b"exception": b":exception-type", b"error": b":error-code"}.get(kind)
    return Message(kind, texts.get(named, b"") if named else b"", raw[start + length : -_CHECKSUM.size])


def text_headers(block: bytes) -> dict[bytes, bytes]:
    """Returns a message's headers whose values are texts; raises Garbled for a block of another form."""
    found: dict[bytes, bytes] = {}
    at, end = 0, len(block)
    try:
        while at < end:
            name_end = at + 1 + block[at]
            kind = block[name_end]
            start = name_end + 1
            if kind in _SIZED:
                (size,) = _SHORT.unpack_from(block, start)
                start += _SHORT.size
            else:
                size = _SIZES[kind]
            if kind == _TEXT:
                found[block[at + 1 : name_end]] = block[start : start + size]
            at = start + size
    except (IndexError, KeyError, struct.error):
        raise Garbled from None
    if at != end:
        raise Garbled
    return found


def encode(headers: tuple[tuple[bytes, bytes], ...], payload: bytes) -> bytes:
    """Returns one message with text headers (names up to 255 bytes, values up to 65,535)."""
    block = b"".join(
        bytes((len(name),)) + name + bytes((_TEXT,)) + _SHORT.pack(len(value)) + value
        for name, value in headers
    )
    lengths = _LENGTHS.pack(len(block) + len(payload) + _AROUND, len(block))
    raw = lengths + _CHECKSUM.pack(crc32(lengths)) + block + payload
    return raw + _CHECKSUM.pack(crc32(raw))


def exception_frame(name: str, message: str) -> bytes:
    """Returns the message by which an AWS SDK raises the exception `name` out of a running stream.

    The exceptions that streams declare are called as their members are, in lower camel case; others are errors
    that the SDKs raise by code.
    """
    member = name[:1].lower() + name[1:]
    if member not in _DECLARED:
        told = message.encode()[:_TOLD].decode("utf-8", "ignore").encode()
        code, text = (b":error-code", name.encode()), (b":error-message", told)
        return encode((code, text, (b":message-type", b"error")), b"")
    headers = (
        (b":exception-type", member.encode()),
        (b":content-type", b"application/json"),
        (b":message-type", b"exception"),
    )
    return encode(headers, msgspec.json.encode({"message": message}))


class MessageReader(Protocol):
    """Reads one provider's events, each once and in order; it never raises on what a provider may send."""

    usage: Usage | None
    model: str | None
    failed: bool
    ended: bool
    text_bytes: int
    charged: int | None

    def read(self, message: Message) -> None: ...


class EventStreamMeter:
    """A sans-I/O machine between upstream and caller: decoded bytes in, the same bytes out, whole messages."""

    __slots__ = ("_reader", "_splitter", "_told")
    in_events: Final = False

    def __init__(self, reader: MessageReader) -> None:
        self._reader = reader
        self._splitter = Splitter()
        self._told = False

    def feed(self, data: bytes) -> bytes:
        """Returns what to forward now; an unfinished message waits for its end."""
        messages, out = self._splitter.feed(data)
        for message in messages:
            if message.kind == b"event":
                self._reader.read(message)
            else:
                self._told = True
        return out

    def finish(self) -> bytes:
        """Ends the stream: returns what is still held."""
        return self._splitter.rest()

    @property
    def usage(self) -> Usage | None:
        """The usage reported so far."""
        return self._reader.usage

    @property
    def model(self) -> str | None:
        """The model that is known to have served."""
        return self._reader.model

    @property
    def charged(self) -> int | None:
        """What the provider says that it charges, in nano-USD."""
        return self._reader.charged

    @property
    def failed(self) -> bool:
        """Says whether an exception came inside the stream, or what came is no event stream."""
        return self._told or self._splitter.broken or self._reader.failed

    @property
    def ended(self) -> bool:
        """Says whether the last event was seen."""
        return self._reader.ended

    @property
    def text_bytes(self) -> int:
        """Bytes of generated text so far, the ground of an estimate when usage never comes."""
        return self._reader.text_bytes
