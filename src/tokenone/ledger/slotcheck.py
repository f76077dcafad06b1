"""Verifies one slot's log: walks its segments in order and holds the entries against the laws of the log.

Law: as `verify.py`, whose numbers the comments repeat. A segment that stops early is a finding, and the
next one's header is where the chain is taken up again. Memory: one batch, and what is open.
"""

from __future__ import annotations

import hmac
from pathlib import Path
from typing import BinaryIO

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tokenone.errors import IntegrityError
from tokenone.ledger import batch, chain, entry, segment, walk
from tokenone.ledger.pairing import OpenIntents, read_list
from tokenone.ledger.report import Head, Problem, Recovery, Report, Tail
from tokenone.ledger.walk import FRAMES, MACS, PAIRING, RECOVERIES, SEQUENCE, Position, Row


class SlotCheck:
    """The state that checks carry from entry to entry of one log."""

    def __init__(
        self, directory: Path, log: walk.Log, auditor: X25519PrivateKey | None, report: Report
    ) -> None:
        self._directory = directory
        self._log = log
        self._auditor = auditor
        self._report = report
        self._position = Position(0, chain.genesis(log.origin, log.slot))
        self._segment = ""
        self._in_segment = 0
        """The segment whose header was taken."""
        self._boot = 0
        self._epoch = 0
        self._key: chain.EpochKey | None = None
        self._open = OpenIntents()
        self._closing = False
        """A boot has begun and not all that it found open is closed yet."""
        self._begins = True
        """The next entry is its segment's first."""
        self._link = self._position.link
        """The last entry's link."""
        self._opening: Position | None = None
        """The head that this boot's recoveries must name, while it is opening."""
        self._unexplained = False
        """The boot begins a segment behind damage, and no recovery has told of it yet."""
        self._lost = False
        """Something before was not readable, so what is open is not known."""
        self._erased: dict[int, tuple[str, int]] = {}
        """Erased records that no `erasure` has named yet."""
        self._unknown = 0
        """Erased records that may have been intents or outcomes."""

    def run(self, asked: set[batch.Statement]) -> set[batch.Statement]:
        """Walks the whole log into the report; returns which of the asked statements it holds."""
        numbers = segment.numbers(self._directory)
        held: set[batch.Statement] = set()
        expected = 1
        for number in numbers:
            self._segment = segment.name(number)
            # 5 segments without gaps
            if number != expected:
                self._found(SEQUENCE, 0, self._position.seq + 1, f"{segment.name(expected)} is missing")
                self._lost = True
            expected = number + 1
            with (self._directory / self._segment).open("rb") as file:
                self._walk(file, number, last=number == numbers[-1], asked=asked, held=held)
        self._end()
        return held

    def _walk(
        self,
        file: BinaryIO,
        number: int,
        *,
        last: bool,
        asked: set[batch.Statement],
        held: set[batch.Statement],
    ) -> None:
        self._report.segments += 1
        while True:
            size = file.seek(0, 2)
            try:
                if self._in_segment != number:
                    self._header(file, number)
                    self._in_segment = number
                for whole in walk.walk(file, self._log, self._position):
                    if whole.statement in asked:
                        held.add(whole.statement)
                    self._report.batches += 1
                    for row in whole.rows:
                        self._row(row)
            except walk.Stop as stop:
                if last and file.seek(0, 2) != size:
                    continue  # a writer went on meanwhile, and what looked cut may be whole now
                self._stopped(file, stop, last=last)
            return

    def _header(self, file: BinaryIO, number: int) -> None:
        """Takes the chain up from the segment's header, which must go on where the last one ended."""
        header, end = walk.read_header(file, self._log)
        # 1 frames: the header is this segment's
        if (header.origin, header.slot, header.number) != (self._log.origin, self._log.slot, number):
            raise walk.Stop(FRAMES, "the header is another segment's or log's", offset=0, seq=header.first)
        head = self._position
        # 3 links, 5 sequence: over the segments' borders
        if not self._lost and (header.first != head.seq + 1 or header.previous != head.link):
            self._found(SEQUENCE, 0, header.first, "the segment does not go on where the last one ended")
        self._position = Position(header.first - 1, header.previous, end)
        self._link = header.previous
        self._begins = True

    def _stopped(self, file: BinaryIO, stop: walk.Stop, *, last: bool) -> None:
        if stop.torn and last:
            size = file.seek(0, 2)
            start = self._position.offset if stop.offset else 0
            self._report.tails.append(Tail(self._log.slot, self._segment, start, size - start, stop.detail))
            return
        self._found(stop.check, stop.offset, stop.seq, stop.detail)
        self._lost = True

    # ── each entry ───────────────────────────────────────────────────────────────────────────────────────
    def _row(self, row: Row) -> None:
        self._report.entries += 1
        parsed = row.entry
        if parsed is None:
            # 5 an erased record needs an `erasure` that names it
            self._report.erased += 1
            self._unknown += 1
            self._erased[row.seq] = (self._segment, row.offset)
        elif parsed.kind == entry.BOOT:
            self._on_boot(row, parsed)
        else:
            self._on_entry(row, parsed)
        if self._key is not None and parsed is not None:
            self._on_mac(row, parsed)
        self._link = row.link
        self._begins = False

    def _on_boot(self, row: Row, parsed: entry.Entry) -> None:
        self._report.boots += 1
        # 5 boots count up; each says whose it is
        if parsed.boot <= self._boot:
            self._found_at(row, SEQUENCE, f"boot {parsed.boot} after boot {self._boot}")
        if (parsed.fields.get("origin"), parsed.fields.get("slot")) != (self._log.origin, self._log.slot):
            self._found_at(row, SEQUENCE, "the boot is another log's")
        self._boot, self._epoch = parsed.boot, parsed.epoch
        self._explained(row)
        self._unexplained = self._lost and self._begins
        self._opening = Position(row.seq - 1, self._link)
        self._listed(row, parsed)
        self._closing = len(self._open) > 0
        self._key = self._unseal(row, parsed)

    def _on_entry(self, row: Row, parsed: entry.Entry) -> None:
        kind = parsed.kind
        # 5 boots and epochs; a segment begins with a boot or a carry
        if parsed.boot != self._boot or parsed.epoch < self._epoch:
            self._found_at(row, SEQUENCE, "an entry of another boot or an earlier epoch")
        self._epoch = parsed.epoch
        if self._begins and kind != entry.CARRY:
            self._found_at(row, SEQUENCE, "a segment that begins with neither boot nor carry")
        if kind in (entry.INTENT, entry.OUTCOME):
            self._on_pair(row, parsed)
        elif kind == entry.CARRY:
            if not self._begins:
                self._found_at(row, PAIRING, "a carry that does not begin its segment")
            self._listed(row, parsed)
        elif kind == entry.RECOVERY:
            self._on_recovery(row, parsed)
        elif kind == entry.ERASURE:
            for seq in _integers(parsed.fields.get("seqs")):
                self._erased.pop(seq, None)
        if self._opening is not None and kind != entry.RECOVERY:
            self._opening = None
            self._explained(row)

    def _on_pair(self, row: Row, parsed: entry.Entry) -> None:
        # 6 pairing: a boot closes what it found open before anything else; one intent, then one outcome
        if self._closing and parsed.kind == entry.INTENT:
            self._closing = False
            self._found_at(row, PAIRING, "an earlier boot's intent was left without an outcome")
        try:
            self._open.admit(parsed.kind, parsed.fields)
        except IntegrityError as error:
            if parsed.kind == entry.OUTCOME and self._unknown:
                self._unknown -= 1  # its intent was erased
            elif not self._lost:
                self._found_at(row, PAIRING, error.detail)
        self._closing = self._closing and len(self._open) > 0

    def _listed(self, row: Row, parsed: entry.Entry) -> None:
        # 6 pairing: what a boot or carry says is open is what is open
        try:
            listed = set(read_list(parsed.fields.get("open")))
        except IntegrityError as error:
            self._found_at(row, PAIRING, error.detail)
            return
        differing = len(listed ^ self._open.pairs())
        if differing > self._unknown and not self._lost:
            self._found_at(row, PAIRING, "its list of open intents is not true")
        self._unknown = max(0, self._unknown - differing)
        self._open.replace(parsed.fields["open"])
        self._lost = False

    def _on_recovery(self, row: Row, parsed: entry.Entry) -> None:
        # 7 recoveries: right behind their boot, and true
        fields, opening = parsed.fields, self._opening
        told = (fields.get("last_link"), fields.get("next_seq"))
        last_seq, offset = fields.get("last_seq"), fields.get("offset")
        if not isinstance(last_seq, int) or not isinstance(offset, int) or opening is None:
            self._found_at(row, RECOVERIES, "a recovery that belongs to no boot or is malformed")
            return
        straight = last_seq == opening.seq or (self._unexplained and last_seq <= opening.seq)
        if told != (opening.link.hex(), opening.seq + 1) or not straight:
            self._found_at(row, RECOVERIES, "the recovery does not say where the chain went on")
        if fields.get("cause") == "damage":
            self._unexplained = False
        self._report.recoveries.append(
            Recovery(
                self._log.slot,
                row.seq,
                str(fields.get("cause")),
                str(fields.get("file")),
                offset,
                last_seq,
                opening.seq + 1,
            )
        )

    def _explained(self, row: Row) -> None:
        # 7 recoveries: a boot that begins a segment behind damage tells of it
        if self._unexplained:
            self._unexplained = False
            self._found_at(row, RECOVERIES, "a boot behind damage without a recovery that tells of it")

    def _unseal(self, row: Row, parsed: entry.Entry) -> chain.EpochKey | None:
        if self._auditor is None:
            return None
        # 8 MACs: the boot's first key, sealed to the auditor
        log = self._log
        try:
            sealed = parsed.fields.get("sealed")
            if not isinstance(sealed, str):
                raise IntegrityError("the boot sealed no epoch key to an auditor")
            raw = entry.unb64(sealed)
            return chain.unseal(raw, self._auditor, origin=log.origin, slot=log.slot, boot=parsed.boot)
        except IntegrityError as error:
            self._found_at(row, MACS, error.detail)
            return None

    def _on_mac(self, row: Row, parsed: entry.Entry) -> None:
        # 8 MACs: each under its epoch's key
        assert self._key is not None
        try:
            self._key.advance_to(parsed.epoch)
        except IntegrityError as error:
            self._found_at(row, MACS, error.detail)
            return
        self._report.macs += 1
        if not hmac.compare_digest(self._key.mac(row.link), row.mac):
            self._found_at(row, MACS, "the MAC is not that of the epoch's key")

    def _end(self) -> None:
        for seq, (name, offset) in self._erased.items():
            self._segment = name
            self._found(SEQUENCE, offset, seq, "a record was erased and no erasure names it")
        link = self._position.link.hex()
        self._report.heads.append(Head(self._log.slot, self._position.seq, link, self._boot, len(self._open)))

    def _found_at(self, row: Row, check: int, detail: str) -> None:
        self._found(check, row.offset, row.seq, detail)

    def _found(self, check: int, offset: int, seq: int, detail: str) -> None:
        self._report.add(Problem(check, self._log.slot, self._segment, offset, seq, detail))


def _integers(value: object) -> list[int]:
    return [item for item in value if isinstance(item, int)] if isinstance(value, list) else []
