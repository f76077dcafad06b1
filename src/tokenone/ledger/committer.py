"""The writer's thread: gathers what is queued into batches, signs and writes them, and syncs once a batch.

Law: an entry is acknowledged after fdatasync and not before; a failed write is taken back to the last
durable batch; a failed fdatasync ends the writer, because nobody can know what a second one would mean. The
chain is the loop's: after a failure the queue is left alone until the loop has emptied it (`halted`).
"""

from __future__ import annotations

import errno
import hashlib
import queue
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tokenone.clock import Clock
from tokenone.ledger import batch, entry, merkle, segment, walk
from tokenone.ledger.disk import Disk
from tokenone.ledger.pending import Pending, Signed

MAX_BATCH_BYTES: Final = 8 * 1024 * 1024
RESERVE: Final = "reserve"
_NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class Durable:
    """A batch is on the disk."""

    pendings: list[Pending]
    signed: Signed


@dataclass(frozen=True, slots=True)
class Failed:
    """A batch was taken back; `released`: the reserve was given up, so a little can still be written."""

    pendings: list[Pending]
    error: OSError
    seq: int
    link: bytes
    released: bool


@dataclass(frozen=True, slots=True)
class Dead:
    """The writer is over for good."""

    pendings: list[Pending]
    error: BaseException


@dataclass(frozen=True, slots=True)
class Probed:
    """Whether the disk takes writes again."""

    space: bool


@dataclass(frozen=True, slots=True)
class Stopped:
    """The thread has written what was queued and closed the segment."""


Event: TypeAlias = Durable | Failed | Dead | Probed | Stopped


class SyncFailed(Exception):
    """Not an answer but an end: what is on the disk is unknown."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(slots=True)
class Tail:
    """The segment being written: everything below `position.offset` is durable."""

    number: int
    fd: int | None
    position: walk.Position


class Committer:
    """Owns the segment files of one slot from start to stop; talks to the loop by `post` alone."""

    def __init__(
        self,
        directory: Path,
        log: walk.Log,
        signing: Ed25519PrivateKey,
        *,
        tail: Tail,
        clock: Clock,
        disk: Disk,
    ) -> None:
        self.queue: deque[Pending] = deque()
        self.halted = False
        self.probing_seconds: float | None = None
        self.reserve_bytes = 0
        self.reserved = False
        self._directory = directory
        self._log = log
        self._signing = signing
        self._tail = tail
        self._clock = clock
        self._disk = disk
        self._signals: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._signalled = False
        self._in_hand: list[Pending] = []
        self._thread: threading.Thread | None = None

    # ── the loop's side ──────────────────────────────────────────────────────────────────────────────────
    def start(self, post: Callable[[Event], object]) -> None:
        """Starts the thread; `post` is called on it and must hand the event to the loop."""
        name = f"ledger-{self._log.slot}"
        self._thread = threading.Thread(target=self._run, args=(post,), name=name, daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Tells the thread that the queue has something; cheap when it knows already."""
        if not self._signalled:
            self._signalled = True
            self._signals.put(True)

    def stop(self) -> None:
        """Asks the thread to write what is queued and end; `Stopped` follows."""
        self._signals.put(False)

    def let_go(self) -> None:
        """Closes the segment of a slot that was opened and never started."""
        if self._tail.fd is not None:
            self._disk.close(self._tail.fd)

    # ── the thread's side ────────────────────────────────────────────────────────────────────────────────
    def _run(self, post: Callable[[Event], object]) -> None:
        try:
            while self._turn(post):
                pass
        except BaseException as bug:
            post(Dead(self._in_hand, bug))  # nobody may wait forever for a thread that is gone
            raise

    def _turn(self, post: Callable[[Event], object]) -> bool:
        """Waits for one signal and does what it asks; False when the thread is over."""
        try:
            going_on = self._signals.get(timeout=self.probing_seconds)
        except queue.Empty:
            post(Probed(self.probe()))
            return True
        self._signalled = False  # before looking: what is queued from here on signals again
        due = len(self.queue)  # what comes meanwhile gathers for the next signal
        while due > 0 and self.queue and not self.halted:
            pendings = self._in_hand = self._take()
            due -= len(pendings)
            try:
                post(Durable(pendings, self._commit(pendings)))
            except SyncFailed as failed:
                self.halted = True
                post(Dead(pendings, failed.error))
                return False
            except OSError as error:
                self.halted = True
                head = self._tail.position
                post(Failed(pendings, error, head.seq, head.link, self._release(error)))
        if not going_on:
            if self._tail.fd is not None:
                self._disk.close(self._tail.fd)
            post(Stopped())
        return going_on

    def _take(self) -> list[Pending]:
        """Takes the next batch off the queue; a `carry` begins a segment and therefore a batch."""
        pendings = [self.queue.popleft()]
        size = len(pendings[0].record)
        while self.queue and len(pendings) < batch.MAX_COUNT and size < MAX_BATCH_BYTES:
            if self.queue[0].kind == entry.CARRY:
                break
            pendings.append(self.queue.popleft())
            size += len(pendings[-1].record)
        return pendings

    def _commit(self, pendings: list[Pending]) -> Signed:
        """Makes a batch durable; OSError: it was taken back; SyncFailed: the end."""
        signed, data = self._sign(pendings)
        tail = self._tail
        target = tail
        fresh = tail.fd is None or (pendings[0].kind == entry.CARRY and tail.position.offset > 0)
        try:
            if fresh:
                target = self._begin(pendings[0].seq)
                data = self._header(target, pendings[0].seq) + data
            self._disk.append(_fd(target), data)
        except OSError:
            self._take_back(target)
            raise
        try:
            self._disk.sync(_fd(target))
            if fresh:
                self._disk.sync_directory(self._directory)
        except OSError as error:
            raise SyncFailed(error) from error
        if fresh and tail.fd is not None:
            self._disk.close(tail.fd)
        last = pendings[-1]
        target.position = walk.Position(last.seq, last.link, target.position.offset + len(data))
        self._tail = target
        return signed

    def _sign(self, pendings: list[Pending]) -> tuple[Signed, bytes]:
        """Returns the signed batch and its bytes: the record frames and the batch frame."""
        tree = merkle.Tree([pending.leaf for pending in pendings])
        statement = batch.Statement(
            self._log.key_id,
            self._log.origin,
            self._log.slot,
            pendings[0].seq,
            len(pendings),
            self._clock.now_us(),
            tree.root,
            pendings[-1].link,
            hashlib.sha256(b"".join([pending.mac for pending in pendings])).digest(),
        )
        payload = batch.sign(statement, self._signing)
        frames = [
            segment.frame(segment.RECORD, pending.link + pending.mac + pending.record) for pending in pendings
        ]
        frames.append(segment.frame(segment.BATCH, payload))
        return Signed(statement, payload[-64:], tree), b"".join(frames)

    def _begin(self, first: int) -> Tail:
        """Creates the next segment's file; it counts once its first batch is durable."""
        number = self._tail.number + (self._tail.fd is not None)
        fd = self._disk.create(self._directory / segment.name(number))
        return Tail(number, fd, walk.Position(first - 1, self._tail.position.link))

    def _header(self, target: Tail, first: int) -> bytes:
        header = segment.Header(
            self._log.origin, self._log.slot, target.number, first, self._tail.position.link
        )
        return segment.frame(segment.HEADER, header.encode())

    def _take_back(self, target: Tail) -> None:
        """Undoes a failed write, down to the last durable batch. Failing at that is the end."""
        try:
            if target is not self._tail:
                self._disk.close(_fd(target))
                self._disk.remove(self._directory / segment.name(target.number))
            elif target.fd is not None:
                self._disk.truncate(target.fd, target.position.offset)
        except OSError as error:
            raise SyncFailed(error) from error

    def _release(self, error: OSError) -> bool:
        """Gives the reserve up where the disk is full, so that the outage itself can be recorded."""
        if error.errno not in _NO_SPACE or not self.reserved:
            return False
        self.reserved = False
        try:
            self._disk.remove(self._directory / RESERVE)
        except OSError:
            return False
        return True

    def probe(self) -> bool:
        """Sets the reserve aside again; says whether the disk let it."""
        try:
            self._disk.reserve(self._directory / RESERVE, self.reserve_bytes)
        except OSError:
            return False
        self.reserved = True
        return True


def _fd(tail: Tail) -> int:
    assert tail.fd is not None
    return tail.fd
