"""Reads committed entries from a slot's segments while a writer goes on appending: for the shipper and tools.

Law: it hands out whole batches only, and only durable ones; it goes on from a cursor at the cost of what is
new. It checks checksums, not signatures: that is `verify`'s.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from tokenone.errors import IntegrityError
from tokenone.ledger import entry, segment
from tokenone.ledger.entry import Entry

_ROUND: Final = 4096


class Cursor(NamedTuple):
    """Where a reader stands: behind a batch, in a segment. `Cursor()` is the beginning."""

    segment: int = 0
    offset: int = 0
    seq: int = 0


class Reader:
    """Reads one slot's log forward; keep `cursor` to go on in another process."""

    def __init__(self, directory: Path, cursor: Cursor | None = None) -> None:
        self.cursor = cursor or Cursor()
        self.damaged: list[str] = []
        """Segments that were left early, with the reason; a `recovery` entry follows in the log."""
        self.lost = False
        """What is at the cursor does not go on from there: see `stands`."""
        self._directory = directory

    def read(self, limit: int = _ROUND) -> list[Entry]:
        """Returns the next committed entries, in whole batches until there are `limit`; empty: nothing new."""
        if not self.cursor.segment and not self._advance():
            return []
        found: list[Entry] = []
        while len(found) < limit:
            later = self._later()
            try:
                found += self._read_segment(limit - len(found), over=later is not None)
                stuck = False
            except IntegrityError as error:
                stuck = True
                self.lost = later is None
                if later is not None:
                    self.damaged.append(f"{segment.name(self.cursor.segment)}: {error.detail}")
            if len(found) >= limit or later is None or not (stuck or self._at_end()):
                break
            self.cursor = Cursor(later, 0, self.cursor.seq)
        return found

    def _read_segment(self, limit: int, *, over: bool) -> list[Entry]:
        """Reads on in the cursor's segment; where that is `over`, what is no batch is damage."""
        path = self._directory / segment.name(self.cursor.segment)
        found: list[Entry] = []
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size < self.cursor.offset:
                raise IntegrityError("it is shorter than what was read of it")
            try:
                for batch, end in _batches(file, self.cursor.offset, over=over):
                    found += batch
                    seq = batch[-1].seq if batch else self.cursor.seq
                    self.cursor = Cursor(self.cursor.segment, end, seq)
                    if len(found) >= limit:
                        break
            except IntegrityError:
                if not found:
                    raise
            if found:
                # The writer may not have synced what the file already shows. What is shipped must be durable.
                os.fdatasync(file.fileno())
        return found

    def stands(self) -> bool:
        """Says whether a batch that ends with the cursor's entry ends at the cursor.

        It does not where the log was cut behind this reader's back: entries that it handed out are gone, and
        their numbers are given again.
        """
        number, offset, seq = self.cursor
        if not number:
            return True
        try:
            with (self._directory / segment.name(number)).open("rb") as file:
                return _last_before(file, offset) in (None, seq)
        except (OSError, IntegrityError):
            return False

    def back(self) -> Cursor:
        """Moves the cursor to the beginning of its segment, or of the last one before, and returns it."""
        before = [number for number in segment.numbers(self._directory) if number <= self.cursor.segment]
        first = _first_of(self._directory / segment.name(before[-1])) if before else None
        self.cursor = Cursor(before[-1], 0, first - 1) if first is not None else Cursor()
        self.lost = False
        return self.cursor

    def _at_end(self) -> bool:
        path = self._directory / segment.name(self.cursor.segment)
        return self.cursor.offset >= path.stat().st_size

    def _later(self) -> int | None:
        return next((n for n in segment.numbers(self._directory) if n > self.cursor.segment), None)

    def _advance(self) -> bool:
        first = self._later() if self._directory.is_dir() else None
        if first is None:
            return False
        self.cursor = Cursor(first, 0, self.cursor.seq)
        return True


def _batches(file: BinaryIO, offset: int, *, over: bool) -> Iterator[tuple[list[Entry], int]]:
    """Yields each batch's entries (erased ones left out) and where it ends; a cut tail just ends it.

    In a segment that is `over` a tail is damage: recovery left it there because a signed batch stands behind it.
    """
    signed = True
    gathered: list[Entry] = []
    try:
        for frame in segment.frames(file, offset):
            signed = frame.type in (segment.BATCH, segment.HEADER)
            if frame.type == segment.RECORD:
                gathered.append(entry.parse(frame.payload[segment.PREFIX :]))
            elif frame.type == segment.BATCH:
                yield gathered, frame.end
                gathered = []
    except segment.BadFrame as bad:
        if over or not bad.cut:
            raise
    if over and not signed:
        raise IntegrityError("unsigned records")


def _last_before(file: BinaryIO, offset: int) -> int | None:
    """Returns the number of the last entry before a batch's end, None at a segment's beginning; IntegrityError
    where no batch ends there."""
    last: segment.Frame | None = None
    end = 0
    for frame in segment.frames(file):
        if end >= offset:
            break
        end = frame.end
        if frame.type == segment.RECORD:
            last = frame
    if end != offset:
        raise IntegrityError("no batch ends there")
    return entry.parse(last.payload[segment.PREFIX :]).seq if last is not None else None


def read(directory: Path, after_seq: int = 0) -> Iterator[Entry]:
    """Yields a slot's committed entries whose seq is beyond `after_seq`, up to what is durable now."""
    reader = Reader(directory, _cursor_before(directory, after_seq))
    while found := reader.read():
        yield from (each for each in found if each.seq > after_seq)


def _cursor_before(directory: Path, after_seq: int) -> Cursor | None:
    """Finds the last segment that begins at or before the entry wanted, by the headers alone."""
    numbers = segment.numbers(directory)
    low, high = 0, len(numbers)
    while high - low > 1:
        middle = (low + high) // 2
        first = _first_of(directory / segment.name(numbers[middle]))
        low, high = (middle, high) if first is not None and first <= after_seq + 1 else (low, middle)
    return Cursor(numbers[low]) if numbers else None


def _first_of(path: Path) -> int | None:
    with path.open("rb") as file:
        try:
            frame = next(segment.frames(file), None)
            return segment.parse_header(frame.payload).first if frame else None
        except IntegrityError:
            return None
