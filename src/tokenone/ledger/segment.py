"""Segment files: frames, the header, and a reader that stops at the first thing that is not a frame.

Law: a frame is length, type, payload and CRC-32; the CRC finds accidents, signatures find people. Memory is
bounded by one frame and one read. It hashes nothing and knows no entries.
"""

from __future__ import annotations

import contextlib
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from tokenone.errors import IntegrityError
from tokenone.ledger import batch
from tokenone.ledger.chain import text

HEADER, RECORD, ERASED, BATCH = 1, 2, 3, 4
MAX_PAYLOAD: Final = 4 * 1024 * 1024
PREFIX: Final = 64  # link and mac before a record
MIN_RECORD_FRAME: Final = 9 + PREFIX + 100  # no record is shorter than its members' names and salt
_MAGIC: Final = b"tokenone/segment/v1\n"
_FRONT: Final = struct.Struct(">IB")
_CRC: Final = struct.Struct(">I")
_HEADER: Final = struct.Struct(">IQQ32s")
_NAME: Final = re.compile(r"([0-9]{10})\.seg")
_READ: Final = 1 << 18


class Header(NamedTuple):
    """A segment's first frame: whose it is and where it goes on."""

    origin: str
    slot: int
    number: int
    first: int
    previous: bytes

    def encode(self) -> bytes:
        return _MAGIC + text(self.origin) + _HEADER.pack(self.slot, self.number, self.first, self.previous)


class Frame(NamedTuple):
    offset: int
    end: int
    type: int
    payload: bytes


class BadFrame(IntegrityError):
    """The bytes at `offset` are no frame. `cut`: the file ended inside it, as after a broken write."""

    def __init__(self, detail: str, offset: int, *, cut: bool = False) -> None:
        super().__init__(detail)
        self.offset = offset
        self.cut = cut


def parse_header(payload: bytes) -> Header:
    """Parses a header frame's payload."""
    start = len(_MAGIC) + 1
    if not payload.startswith(_MAGIC) or len(payload) < start:
        raise IntegrityError("not a segment header")
    end = start + payload[start - 1]
    if len(payload) != end + _HEADER.size:
        raise IntegrityError("a segment header of the wrong length")
    try:
        origin = payload[start:end].decode("utf-8")
    except UnicodeDecodeError:
        raise IntegrityError("an origin that is not UTF-8") from None
    return Header(origin, *_HEADER.unpack_from(payload, end))


def frame(kind: int, payload: bytes) -> bytes:
    """Returns one frame."""
    body = _FRONT.pack(len(payload), kind) + payload
    return body + _CRC.pack(zlib.crc32(body))


def frames(file: BinaryIO, offset: int = 0) -> Iterator[Frame]:
    """Yields the frames from `offset` on; ends at the end of the file, raises BadFrame at anything else."""
    file.seek(offset)
    held, at = b"", 0  # bytes read, and where in them the next frame begins
    while True:
        need = 5
        if len(held) - at >= 5:
            length, kind = _FRONT.unpack_from(held, at)
            if length > MAX_PAYLOAD or not HEADER <= kind <= BATCH:
                raise BadFrame("no frame begins here", offset)
            need = length + 9
        if len(held) - at < need:
            more = file.read(max(_READ, need))
            if more:
                held, at = held[at:] + more, 0
                continue
            if len(held) == at:
                return
            raise BadFrame("the file ends inside a frame", offset, cut=True)
        end = at + need
        if zlib.crc32(memoryview(held)[at : end - 4]) != _CRC.unpack_from(held, end - 4)[0]:
            raise BadFrame("a frame's checksum is wrong", offset)
        yield Frame(offset, offset + need, kind, held[at + 5 : end - 4])
        at = end
        offset += need


def batches_in(file: BinaryIO, offset: int) -> Iterator[tuple[batch.Statement, bytes]]:
    """Yields what looks like a signed statement beyond `offset`, however damaged its frame."""
    file.seek(offset)
    held = b""
    keep = len(batch.MAGIC) + 1024  # more than one payload
    while True:
        more = file.read(_READ)
        held += more
        at = held.find(batch.MAGIC)
        while at >= 0 and (len(held) - at >= keep or not more):
            payload = batch.longest(held[at : at + keep])
            # Without all of its checksum behind it, it is a write that was cut off in its last four bytes.
            if payload is not None and len(held) - at >= len(payload) + 4:
                with contextlib.suppress(IntegrityError):  # it may only look like one
                    yield batch.parse(payload)
            at = held.find(batch.MAGIC, at + 1)
        if not more:
            return
        held = held[at:] if at >= 0 else held[-len(batch.MAGIC) :]


def zeros_from(file: BinaryIO, offset: int) -> bool:
    """Says whether the file holds nothing but zero bytes from `offset` on."""
    file.seek(offset)
    while chunk := file.read(_READ):
        if chunk.count(0) != len(chunk):
            return False
    return True


def numbers(directory: Path) -> list[int]:
    """Lists the segments' numbers in a slot's directory, ascending."""
    found = (_NAME.fullmatch(path.name) for path in directory.iterdir())
    return sorted(int(match[1]) for match in found if match)


def name(number: int) -> str:
    return f"{number:010d}.seg"
