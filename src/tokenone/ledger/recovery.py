"""Opening a slot: finds the last durable batch, cuts a torn tail off, leaves damage alone, tells of both.

Law: nothing that was acknowledged is cut; a seq is never given twice; what was found becomes `recovery`
entries of the next boot. Only the last segments are read: opening costs the same however long the log is.
It appends nothing itself.
"""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from tokenone.errors import IntegrityError
from tokenone.ledger import chain, entry, segment, walk
from tokenone.ledger.disk import Disk
from tokenone.ledger.pairing import OpenIntents

Finding: TypeAlias = dict[str, str | int | None]
"""The fields of a `recovery` entry."""


@dataclass(slots=True)
class Opening:
    """Where the next boot goes on."""

    position: walk.Position
    boot: int
    """The last boot's number."""
    number: int
    """The segment to append to, or to create."""
    exists: bool
    open: OpenIntents
    findings: list[Finding]


@dataclass(slots=True)
class _Scan:
    """One segment, read up to its last whole signed batch; without one, `batches` is 0."""

    number: int
    path: Path
    size: int
    position: walk.Position
    batches: int = 0
    boot: int = 0
    last_batch: int = 0
    """Where the last batch's first record begins."""
    open: OpenIntents = field(default_factory=OpenIntents)
    stop: walk.Stop | None = None
    highest: int = 0
    """The highest number that a signature beyond the damage covers."""
    room: int = 0
    """How many entries there can have been behind the last whole batch."""


def recover(directory: Path, log: walk.Log, disk: Disk) -> Opening:
    """Returns where to go on, after cutting torn tails; raises OSError where the disk does not let it."""
    scans = _scans(directory, log)
    base = next((scan for scan in scans if scan.batches), None)
    if base is None:
        position, boot, intents = walk.Position(0, chain.genesis(log.origin, log.slot)), 0, OpenIntents()
    else:
        position, boot, intents = base.position, base.boot, base.open
    findings = [finding for scan in scans if (finding := _tidy(scan, directory, disk))]
    damaged = [scan for scan in scans if scan.stop is not None and not scan.stop.torn]
    head = position.seq
    if damaged:
        position.seq = _beyond(head, damaged)
    for finding in findings:
        finding.update(last_seq=head, last_link=position.link.hex(), next_seq=position.seq + 1)
    if base is not None and not damaged:
        _settle(base, disk)
        return Opening(position, boot, base.number, True, intents, findings)
    numbers = segment.numbers(directory)
    position.offset = 0
    return Opening(position, boot, numbers[-1] + 1 if numbers else 1, False, intents, findings)


def _scans(directory: Path, log: walk.Log) -> list[_Scan]:
    """Reads segments from the last one back to the first that holds a signed batch; ascending."""
    scans: list[_Scan] = []
    for number in reversed(segment.numbers(directory)):
        scans.append(_scan(directory / segment.name(number), number, log))
        if scans[-1].batches:
            break
    scans.reverse()
    return scans


def _scan(path: Path, number: int, log: walk.Log) -> _Scan:
    scan = _Scan(number, path, path.stat().st_size, walk.Position(0, b""))
    with path.open("rb") as file:
        try:
            header, scan.position.offset = walk.read_header(file, log)
            if (header.origin, header.slot, header.number) != (log.origin, log.slot, number):
                raise walk.Stop(walk.SEQUENCE, "the header is another segment's", offset=0, seq=header.first)
            scan.position.seq, scan.position.link = header.first - 1, header.previous
            start = scan.position.offset
            for batch in walk.walk(file, log, scan.position):
                _note(scan, batch)
                scan.last_batch, start = start, batch.end
        except walk.Stop as stop:
            scan.stop = stop
            scan.highest = walk.highest_signed(file, log, scan.position)
            scan.room = (scan.size - scan.position.offset) // segment.MIN_RECORD_FRAME + 1
    return scan


def _beyond(head: int, damaged: list[_Scan]) -> int:
    """Returns a number that no entry ever had: damage may hide as many as had room, and even where they began."""
    for scan in damaged:
        head = max(head + scan.room, scan.position.seq + scan.room, scan.highest)
    return head


def _note(scan: _Scan, batch: walk.Batch) -> None:
    """Takes a good batch's boots and intents in; what breaks the law of pairing is the verifier's to tell."""
    scan.batches += 1
    for row in batch.rows:
        parsed = row.entry
        if parsed is None:
            continue
        scan.boot = parsed.boot
        with contextlib.suppress(IntegrityError):
            if parsed.kind in (entry.BOOT, entry.CARRY):
                scan.open.replace(parsed.fields.get("open"))
            else:
                scan.open.admit(parsed.kind, parsed.fields)


def _tidy(scan: _Scan, directory: Path, disk: Disk) -> Finding | None:
    """Cuts a torn tail off, or a segment that was never born; returns what there is to tell."""
    stop, cut = scan.stop, scan.position.offset if scan.batches else 0
    if stop is None and scan.batches:
        return None
    torn = stop is None or stop.torn
    offset = cut if torn or stop is None else stop.offset
    finding: Finding = {
        "cause": "torn-tail" if torn else "damage",
        "detail": "a segment without a batch" if stop is None else stop.detail,
        "file": scan.path.name,
        "kept": scan.path.name,
        "length": scan.size - offset,
        "offset": offset,
    }
    if torn:
        finding["kept"] = _keep_aside(scan.path, cut, disk)
        # A crash here leaves the tail in both places; the next start does the same again.
        _cut(scan.path, cut, disk)
        disk.sync_directory(directory)
    return finding


def _keep_aside(path: Path, offset: int, disk: Disk) -> str | None:
    """Copies the tail to a `.torn` file and returns its name; None where the disk has no room for it."""
    with path.open("rb") as file:
        file.seek(offset)
        tail = file.read()
    stem = path.name.removesuffix(".seg")
    names = (path.with_name(f"{stem}.{offset}{'-' * again}.torn") for again in itertools.count())
    target = next(name for name in names if not name.exists())
    try:
        fd = disk.create(target)
        try:
            disk.append(fd, tail)
            disk.sync(fd)
        finally:
            disk.close(fd)
    except OSError:
        disk.remove(target)
        return None
    return target.name


def _cut(path: Path, offset: int, disk: Disk) -> None:
    if offset == 0:
        disk.remove(path)
        return
    fd = disk.open(path)
    try:
        disk.truncate(fd, offset)
        disk.sync(fd)
    finally:
        disk.close(fd)


def _settle(scan: _Scan, disk: Disk) -> None:
    """Writes the last batch again in place, synced.

    If the last process died of a failed fdatasync, the kernel may show that batch from memory and never
    write it; earlier batches were synced without an error.
    """
    with scan.path.open("rb") as file:
        file.seek(scan.last_batch)
        data = file.read(scan.position.offset - scan.last_batch)
    disk.rewrite(scan.path, scan.last_batch, data)
