"""The ledger of one worker slot: appends entries on the loop, hands them to the committer, resumes who waits.

Law: nothing is acknowledged before it is durable; what cannot be recorded is refused at once, so that
nothing is dispatched; an outcome is never refused while there is hope, because its call was sent. The chain
in memory is the loop's alone, and returns to the last durable batch when one fails. `append` must be called
on the loop's thread.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from tokenone import canonical
from tokenone.clock import Clock
from tokenone.errors import IntegrityError, LedgerUnavailable, SlotTaken
from tokenone.ledger import batch, chain, committer, entry, facts, recovery, segment, walk
from tokenone.ledger.disk import Disk
from tokenone.ledger.pace import Pace
from tokenone.ledger.pairing import OpenIntents, pair_of
from tokenone.ledger.pending import Pending

_SALTS: Final = 256
_MAX_RECORD: Final = segment.MAX_PAYLOAD - segment.PREFIX


@dataclass(frozen=True, slots=True)
class LedgerKeys:
    """The log's name, its signing key, the offline auditor's public key (without it no MAC is checkable)."""

    signing: Ed25519PrivateKey
    auditor: X25519PublicKey | None
    origin: str


@dataclass(frozen=True, slots=True)
class LedgerLimits:
    segment_bytes: int = 16 * 1024 * 1024
    """A segment is rotated once it has this many; opening a slot reads one."""
    queued: int = 20_000
    reserve_bytes: int = 256 * 1024
    probe_seconds: float = 0.5
    epoch_us: int = chain.EPOCH_US


class Ledger:
    """One slot's log. `open`, then `start` on a loop; `append` while `healthy`; `close`.

    `fatal` is set when the writer is dead for good (a sync failed); the worker must exit then.
    """

    def __init__(  # noqa: PLR0913 - made by `open` alone
        self,
        *,
        keys: LedgerKeys,
        slot: int,
        clock: Clock,
        limits: LedgerLimits,
        opening: recovery.Opening,
        writer: committer.Committer,
        lock: int,
    ) -> None:
        self.healthy = False
        self.fatal = asyncio.Event()
        self.failure: BaseException | None = None
        """Why it is not healthy: the last error of the disk."""
        self.recovered = opening.findings
        """What opening found damaged or torn; recorded by this boot."""
        self.left_open = len(opening.open)
        """Intents that earlier boots left without an outcome; this boot closes them as unknown."""
        self._clock = clock
        self._limits = limits
        self._writer = writer
        self._lock: int | None = lock
        self._seq, self._link = opening.position.seq, opening.position.link
        self._boot = opening.boot + 1
        self._bytes = opening.position.offset
        first_key = os.urandom(32)
        self._key = chain.EpochKey(first_key)
        self._ratchet_due = clock.monotonic_us() + limits.epoch_us
        self._salts: list[str] = []
        self._open = OpenIntents()
        self._owed = _prologue(keys, slot, self._boot, first_key, opening)
        self._flushed_at = 0
        """The last entry of the owed ones that are on their way, or 0."""
        self._space = writer.reserved
        self._away_since_us = None if writer.reserved else clock.now_us()
        writer.probing_seconds = None if writer.reserved else limits.probe_seconds
        self._away_told = False
        self._refused = 0
        self._first: asyncio.Future[None] | None = None
        self._stopped: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._pace: Pace | None = None

    @classmethod
    def open(
        cls,
        directory: Path,
        slot: int,
        keys: LedgerKeys,
        clock: Clock,
        limits: LedgerLimits | None = None,
        disk: Disk | None = None,
    ) -> Ledger:
        """Takes the slot's lock and recovers its log (blocking); LedgerUnavailable where that fails."""
        limits, disk = limits or LedgerLimits(), disk or Disk()
        log = walk.Log(keys.origin, slot, keys.signing.public_key())
        place = directory / str(slot)
        try:
            place.mkdir(parents=True, exist_ok=True)
            lock = _lock(place)
        except OSError as error:
            raise LedgerUnavailable(f"ledger slot {slot}: {error.strerror}") from error
        try:
            auditor = keys.auditor.public_bytes_raw() if keys.auditor else None
            facts.keep_facts(directory, facts.Facts(keys.origin, batch.raw_public(log.public), auditor))
            opening = recovery.recover(place, log, disk)
            fd = disk.open(place / segment.name(opening.number)) if opening.exists else None
        except OSError as error:
            os.close(lock)
            raise LedgerUnavailable(f"ledger slot {slot} cannot be opened: {error.strerror}") from error
        except BaseException:
            os.close(lock)
            raise
        tail = committer.Tail(opening.number, fd, opening.position)
        writer = committer.Committer(place, log, keys.signing, tail=tail, clock=clock, disk=disk)
        writer.reserve_bytes = limits.reserve_bytes
        writer.probe()  # on a full disk it starts unhealthy, and comes back by itself
        return cls(
            keys=keys, slot=slot, clock=clock, limits=limits, opening=opening, writer=writer, lock=lock
        )

    async def start(self) -> None:
        """Starts the committer and records this boot; returns when that is durable or has failed for now."""
        loop = asyncio.get_running_loop()
        self._first = loop.create_future()

        def post(event: committer.Event) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._on, event)

        self._writer.start(post)
        self._pace = Pace(loop, self._writer.wake)
        self._schedule_ratchet()
        self._flush()
        await self._first

    async def close(self) -> None:
        """Writes what is queued, ends the committer, gives the slot up."""
        self.healthy = False
        if self._timer:
            self._timer.cancel()
        if self._pace:
            self._pace.stop()
        if self._first is not None and not self.fatal.is_set() and self._stopped is None:
            self._stopped = asyncio.get_running_loop().create_future()
            self._writer.stop()
            await self._stopped
        elif self._first is None:
            self._writer.let_go()
        self._refuse_all([*self._writer.queue, *self._owed], "the ledger is closed")
        self._writer.queue.clear()
        self._owed = []
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # ── appending ────────────────────────────────────────────────────────────────────────────────────────
    def append(self, kind: str, fields: dict[str, Any]) -> Pending:
        """Chains one entry and queues it; await the result before acting on it.

        Raises LedgerUnavailable where there is no durable place now, IntegrityError where the fields lie
        outside the signed subset or break the law of pairing. An outcome is taken even while the disk is
        away.
        """
        entry.check(fields)
        pending = Pending(kind, fields)
        if not self.healthy:
            self._defer(pending)
            return pending
        if len(self._writer.queue) >= self._limits.queued and kind != entry.OUTCOME:
            raise LedgerUnavailable("more entries wait for the disk than the queue holds")
        if self._clock.monotonic_us() >= self._ratchet_due:
            self._ratchet()
        if self._bytes >= self._limits.segment_bytes:
            self._carry()
        record = self._encode(pending)
        self._open.admit(kind, fields)
        self._chain(pending, record)
        assert self._pace is not None  # healthy, and therefore started
        if kind == entry.OUTCOME:
            self._pace.later()
        else:
            self._pace.soon()
        return pending

    def _encode(self, pending: Pending) -> bytes:
        try:
            record = canonical.encode(
                {
                    "at": self._clock.now_us(),
                    "boot": self._boot,
                    "epoch": self._key.epoch,
                    "fields": pending.fields,
                    "kind": pending.kind,
                    "salt": self._salt(),
                    "seq": self._seq + 1,
                }
            )
        except (TypeError, ValueError, OverflowError, RecursionError):
            raise IntegrityError(f"the fields of {pending.kind} cannot be encoded") from None
        if len(record) > _MAX_RECORD:
            raise IntegrityError(f"the fields of {pending.kind} are too large to record")
        return record

    def _chain(self, pending: Pending, record: bytes) -> None:
        """Gives the entry its place: seq, leaf, link, MAC."""
        self._seq += 1
        pending.seq = self._seq
        pending.record = record
        pending.leaf = leaf = chain.leaf_of(record)
        pending.link = self._link = link = chain.link_of(self._link, leaf)
        pending.mac = self._key.mac(link)
        self._bytes += len(record) + 128
        self._writer.queue.append(pending)

    def _defer(self, pending: Pending) -> None:
        """Keeps an outcome for later; refuses everything else at once."""
        if pending.kind != entry.OUTCOME or self.fatal.is_set() or self._lock is None:
            self._refused += 1
            raise LedgerUnavailable
        self._encode(pending)  # what can never be recorded is refused now
        self._open.admit(pending.kind, pending.fields)
        self._owed.append(pending)

    def _carry(self) -> None:
        """Begins a new segment with the list of what is open, so that recovery need not read further back."""
        pending = Pending(entry.CARRY, {"open": self._open.listed()})
        self._chain(pending, self._encode(pending))
        self._bytes = 0

    def _salt(self) -> str:
        if not self._salts:
            # Groups of 18 bytes make 24 characters; with the 17th byte zero the first 22 are 16 bytes in base64url.
            block = bytearray(os.urandom(18 * _SALTS))
            block[16::18] = bytes(_SALTS)
            text = canonical.b64(bytes(block))
            self._salts = [text[at : at + 22] for at in range(0, len(text), 24)]
        return self._salts.pop()

    # ── epochs ───────────────────────────────────────────────────────────────────────────────────────────
    def _ratchet(self) -> None:
        self._key.advance()
        self._ratchet_due = self._clock.monotonic_us() + self._limits.epoch_us

    def _schedule_ratchet(self) -> None:
        """Moves the key on even while nothing is appended."""
        if self._clock.monotonic_us() >= self._ratchet_due:
            self._ratchet()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._limits.epoch_us / 1_000_000, self._schedule_ratchet)

    # ── what the committer tells ─────────────────────────────────────────────────────────────────────────
    def _on(self, event: committer.Event) -> None:
        match event:
            case committer.Durable():
                self._on_durable(event)
            case committer.Failed():
                self._on_failed(event)
            case committer.Probed():
                self._space = event.space
                if not (self.healthy or self._flushed_at):
                    self._flush()
            case committer.Dead():
                self._on_dead(event)
            case committer.Stopped():
                if self._stopped is not None:
                    self._stopped.set_result(None)
        if self._first is not None and not self._first.done():
            self._first.set_result(None)

    def _on_durable(self, event: committer.Durable) -> None:
        if self._pace is not None:
            self._pace.committed(len(event.pendings))
        for pending in event.pendings:
            pending.settle(event.signed)
        if not self._flushed_at or event.signed.statement.last < self._flushed_at:
            return
        # What was owed is recorded. Healthy again, if there is space and nothing was deferred meanwhile.
        self._flushed_at = 0
        self._away_told = self._away_since_us is not None
        if not self._space:
            return
        if self._owed:
            self._flush()
            return
        self._away_since_us, self._away_told, self._refused, self.failure = None, False, 0, None
        self._writer.probing_seconds = None
        self.healthy = self._stopped is None

    def _on_failed(self, event: committer.Failed) -> None:
        """Returns to the last durable batch: intents and the rest are refused, outcomes and boot are owed."""
        doomed = [*event.pendings, *self._writer.queue]
        self._writer.queue.clear()
        self._seq, self._link = event.seq, event.link
        self.healthy, self._space, self._flushed_at, self.failure = False, False, 0, event.error
        if self._away_since_us is None:
            self._away_since_us = self._clock.now_us()
        gone = {pair_of(pending.fields) for pending in doomed if pending.kind == entry.INTENT}
        for pair in gone:
            self._open.forget(pair)
        if any(pending.kind == entry.CARRY for pending in doomed):
            self._bytes = self._limits.segment_bytes  # rotation is still due
        kept = [pending for pending in doomed if _owed(pending, gone)]
        self._refuse_all([pending for pending in doomed if not _owed(pending, gone)], "the disk failed")
        self._owed = kept + self._owed
        self._writer.probing_seconds = self._limits.probe_seconds
        self._writer.halted = False
        if event.released:
            self._flush()
        else:
            self._writer.wake()  # so that it notices that it is probing now

    def _flush(self) -> None:
        """Chains and queues what is owed, and a note about the outage; healthy follows when it is durable."""
        pendings = self._owed
        self._owed = []
        if self._away_since_us is not None and (self._space or not self._away_told):
            pendings.append(Pending(entry.NOTE, self._outage()))
        if not pendings:
            return
        for pending in pendings:
            self._chain(pending, self._encode(pending))
        self._flushed_at = self._seq
        self._writer.wake()

    def _outage(self) -> dict[str, Any]:
        code = self.failure.errno if isinstance(self.failure, OSError) else None
        event = "ledger-back" if self._space else "ledger-away"
        return {"errno": code, "event": event, "refused": self._refused, "since_us": self._away_since_us}

    def _on_dead(self, event: committer.Dead) -> None:
        self.healthy, self.failure = False, event.error
        self._refuse_all([*event.pendings, *self._writer.queue, *self._owed], "the disk did not sync")
        self._writer.queue.clear()
        self._owed = []
        self.fatal.set()
        if self._stopped is not None:
            self._stopped.set_result(None)

    def _refuse_all(self, pendings: list[Pending], detail: str) -> None:
        for pending in pendings:
            self._refused += 1
            pending.refuse(LedgerUnavailable(f"{detail}; this was not recorded"))


def _owed(pending: Pending, gone: set[tuple[str, int]]) -> bool:
    """Says whether a failed entry must still be recorded: the boot's own, and outcomes of durable intents."""
    return pending.keep or (pending.kind == entry.OUTCOME and pair_of(pending.fields) not in gone)


def _prologue(
    keys: LedgerKeys, slot: int, boot: int, first_key: bytes, opening: recovery.Opening
) -> list[Pending]:
    """Returns a boot's first entries: itself, what recovery found, the outcomes that a crash swallowed."""
    sealed = auditor = None
    if keys.auditor is not None:
        sealed = entry.b64(chain.seal(first_key, keys.auditor, origin=keys.origin, slot=slot, boot=boot))
        auditor = entry.b64(keys.auditor.public_bytes_raw())
    still_open = opening.open.listed()
    booted = {
        "auditor": auditor,
        "open": still_open,
        "origin": keys.origin,
        "sealed": sealed,
        "signing": entry.b64(batch.raw_public(keys.signing.public_key())),
        "slot": slot,
    }
    pendings = [Pending(entry.BOOT, booted, keep=True)]
    pendings += [Pending(entry.RECOVERY, dict(finding), keep=True) for finding in opening.findings]
    pendings += [
        Pending(entry.OUTCOME, {"attempt": attempt, "call": call, "cause": "unknown"}, keep=True)
        for call, attempt in still_open
    ]
    return pendings


def _lock(place: Path) -> int:
    """Takes the slot's lock until its descriptor is closed; SlotTaken where another holds it."""
    fd = os.open(place / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise SlotTaken(f"another writer holds the slot {place.name}") from None
    return fd
