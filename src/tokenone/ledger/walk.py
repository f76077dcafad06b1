"""Walks a segment batch by batch: frames, records, links and signatures checked before a batch is handed on.

Law: what is yielded was signed, follows `Position` without a gap, and is whole. The walk stops at the first
thing that is not, with a `Stop` that names it. Recovery and the verifier are two readers of this one walk.
Memory: one batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tokenone.errors import IntegrityError
from tokenone.ledger import batch, entry, merkle, segment

FRAMES, RECORDS, LINKS, BATCHES, SEQUENCE, PAIRING, RECOVERIES, MACS, WITNESSES = range(1, 10)
"""The numbers of the checks, as in docs/spec/ledger.md."""


class Stop(IntegrityError):
    """Where a walk ended before the file did, and why. `torn`: nothing signed can have been lost."""

    def __init__(self, check: int, detail: str, *, offset: int, seq: int, torn: bool = False) -> None:
        super().__init__(detail)
        self.check = check
        self.offset = offset
        self.seq = seq
        self.torn = torn


@dataclass(slots=True)
class Log:
    """Whose log it is."""

    origin: str
    slot: int
    public: Ed25519PublicKey
    key_id: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.key_id = batch.key_id(self.public)


@dataclass(slots=True)
class Position:
    """The chain's head so far; `offset`: the end of the last good batch (or header) in the segment."""

    seq: int
    """The last entry's number."""
    link: bytes
    offset: int = 0


class Row(NamedTuple):
    """One entry of a walked batch; `entry` is None where the record was erased."""

    seq: int
    offset: int
    entry: entry.Entry | None
    link: bytes
    mac: bytes


class Batch(NamedTuple):
    statement: batch.Statement
    rows: list[Row]
    offset: int
    """Where the batch frame itself begins."""
    end: int


def read_header(file: BinaryIO, log: Log) -> tuple[segment.Header, int]:
    """Returns a segment's header and where the first record begins; raises Stop where there is none."""
    nothing = Position(0, b"")
    try:
        frame = next(segment.frames(file), None)
        if frame is None:
            raise Stop(FRAMES, "the segment is empty", offset=0, seq=0, torn=True)
        if frame.type != segment.HEADER:
            raise IntegrityError("the segment does not begin with a header")
        return segment.parse_header(frame.payload), frame.end
    except Stop:
        raise
    except segment.BadFrame as bad:
        torn = bad.cut or segment.zeros_from(file, 0)
        raise _stop(file, log, nothing, Stop(FRAMES, bad.detail, offset=0, seq=0, torn=torn)) from None
    except IntegrityError as error:
        raise Stop(FRAMES, error.detail, offset=0, seq=0) from None


def walk(file: BinaryIO, log: Log, position: Position) -> Iterator[Batch]:
    """Yields the batches from `position` on, moving it; raises Stop where no whole signed batch follows."""
    gathering = _Gathering(log, position)
    try:
        for frame in segment.frames(file, position.offset):
            if frame.type == segment.BATCH:
                whole = gathering.close(frame)
                position.seq, position.link, position.offset = whole.statement.last, gathering.link, frame.end
                yield whole
                gathering = _Gathering(log, position)
            elif frame.type == segment.HEADER:
                raise Stop(FRAMES, "a second header", offset=frame.offset, seq=gathering.seq + 1)
            else:
                gathering.take(frame)
    except segment.BadFrame as bad:
        torn = bad.cut or segment.zeros_from(file, bad.offset)
        stop = Stop(FRAMES, bad.detail, offset=bad.offset, seq=gathering.seq + 1, torn=torn)
        raise _stop(file, log, position, stop) from None
    if gathering.rows:
        stop = Stop(FRAMES, "unsigned records", offset=position.offset, seq=position.seq + 1, torn=True)
        raise _stop(file, log, position, stop)


def _stop(file: BinaryIO, log: Log, position: Position, stop: Stop) -> Stop:
    """Returns `stop`, no longer torn where a batch of this log stands further on."""
    if stop.torn and highest_signed(file, log, position) > position.seq:
        detail = f"{stop.detail}, with a signed batch behind it"
        return Stop(stop.check, detail, offset=stop.offset, seq=stop.seq)
    return stop


def highest_signed(file: BinaryIO, log: Log, position: Position) -> int:
    """Returns the highest number that a signed batch beyond `position` covers, or that position's own."""
    highest = position.seq
    for statement, signature in segment.batches_in(file, position.offset):
        if (statement.origin, statement.slot) != (log.origin, log.slot) or statement.last <= highest:
            continue
        try:
            batch.verify(statement, signature, log.public)
        except IntegrityError:
            continue
        highest = statement.last
    return highest


class _Gathering:
    """The records since the last batch frame, and what that batch's statement must say."""

    __slots__ = ("leaves", "link", "log", "macs", "rows", "seq")

    def __init__(self, log: Log, position: Position) -> None:
        self.log = log
        self.seq = position.seq
        self.link = position.link
        self.rows: list[Row] = []
        self.leaves: list[bytes] = []
        self.macs = hashlib.sha256()

    def take(self, frame: segment.Frame) -> None:
        """Checks a record frame: its record (2), its link (3), its number (5)."""
        seq, payload = self.seq + 1, frame.payload
        parsed: entry.Entry | None = None
        # 2 records: canonical, with the members of an entry
        try:
            if len(self.rows) == batch.MAX_COUNT or len(payload) <= segment.PREFIX:
                raise IntegrityError("a record frame too many or too short")
            if frame.type == segment.ERASED:
                leaf = _erased_leaf(payload)
            else:
                parsed = entry.parse(payload[segment.PREFIX :])
                leaf = hashlib.sha256(b"\x00" + parsed.record).digest()
        except IntegrityError as error:
            raise Stop(RECORDS, error.detail, offset=frame.offset, seq=seq) from None
        # 3 leaves and links
        link = hashlib.sha256(b"\x01" + self.link + leaf).digest()
        if link != payload[:32]:
            raise Stop(LINKS, "the link does not follow from record and chain", offset=frame.offset, seq=seq)
        # 5 sequence
        if parsed is not None and parsed.seq != seq:
            raise Stop(SEQUENCE, f"the record says seq {parsed.seq}", offset=frame.offset, seq=seq)
        mac = payload[32:64]
        self.macs.update(mac)
        self.leaves.append(leaf)
        self.rows.append(Row(seq, frame.offset, parsed, link, mac))
        self.seq, self.link = seq, link

    def close(self, frame: segment.Frame) -> Batch:
        """Checks a batch frame against what was gathered (4)."""
        first = self.seq - len(self.rows) + 1
        try:
            if not self.rows:
                raise IntegrityError("a batch without records")
            statement, signature = batch.parse(frame.payload)
            expected = batch.Statement(
                self.log.key_id,
                self.log.origin,
                self.log.slot,
                first,
                len(self.rows),
                statement.at_us,
                merkle.root(self.leaves),
                self.link,
                self.macs.digest(),
            )
            _compare(statement, expected)
            batch.verify(statement, signature, self.log.public)
        except IntegrityError as error:
            raise Stop(BATCHES, error.detail, offset=frame.offset, seq=first) from None
        return Batch(statement, self.rows, frame.offset, frame.end)


def _compare(statement: batch.Statement, expected: batch.Statement) -> None:
    # 4 batches: each part has its own sentence
    for part, said, found in zip(statement._fields, statement, expected, strict=True):
        if said != found:
            raise IntegrityError(f"the batch's {part} is not that of its records and log")


def _erased_leaf(payload: bytes) -> bytes:
    rest = payload[segment.PREFIX :]
    if len(rest) < 32 or rest.count(0, 32) != len(rest) - 32:
        raise IntegrityError("an erased record of the wrong form")
    return rest[:32]
