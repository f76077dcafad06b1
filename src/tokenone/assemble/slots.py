"""The ledger's slots: takes a free one for a worker, and closes what crashed workers left open in the others.

Law: a slot's lock comes first, so no log has two writers. Logs that nobody holds are closed by one process at
a time and one after the other, so a starting worker always finds a free slot; to them is appended what a
worker would append at its start (boot, recoveries, outcomes `unknown`), and nothing where all is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from tokenone.clock import Clock
from tokenone.errors import LedgerUnavailable, OperatorError, SlotTaken
from tokenone.ledger import segment
from tokenone.ledger.writer import Ledger, LedgerKeys, LedgerLimits

LOCK: Final = "orphans.lock"
Say = Callable[[str], None]


class Mark(NamedTuple):
    """Where a log ended when it was last found closed."""

    number: int
    size: int


class Slots:
    """The logs below `directory`."""

    def __init__(
        self, directory: Path, keys: LedgerKeys, clock: Clock, limits: LedgerLimits, *, say: Say
    ) -> None:
        self._directory = directory
        self._keys = keys
        self._clock = clock
        self._limits = limits
        self._say = say
        self._closed: dict[int, Mark] = {}

    def take(self, wanted: Iterable[int]) -> tuple[int, Ledger]:
        """Opens the first wanted slot that is free and says what was found in it."""
        for slot in wanted:
            try:
                ledger = self._open(slot)
            except SlotTaken:
                continue
            self._tell(slot, ledger)
            return slot, ledger
        raise OperatorError("every ledger slot is taken: is another supervisor running on this directory?")

    async def close_orphans(self) -> None:
        """Closes every log that needs it and is free; what cannot be done now is done another time."""
        with _alone(self._directory / LOCK) as alone:
            for slot in await asyncio.to_thread(self._changed) if alone else ():
                with contextlib.suppress(LedgerUnavailable):
                    await self._close(slot)

    def _open(self, slot: int) -> Ledger:
        return Ledger.open(self._directory, slot, self._keys, self._clock, self._limits)

    def _changed(self) -> list[int]:
        slots = (int(path.name) for path in self._directory.iterdir() if path.name.isdecimal())
        return sorted(slot for slot in slots if self._mark(slot) != self._closed.get(slot))

    async def _close(self, slot: int) -> None:
        ledger = await asyncio.to_thread(self._open, slot)
        closed = True
        try:
            if ledger.left_open or ledger.recovered:
                self._tell(slot, ledger)
                await ledger.start()
                closed = ledger.healthy  # not where the disk is full: then another time
        finally:
            await ledger.close()
        if closed:
            self._closed[slot] = self._mark(slot)

    def _mark(self, slot: int) -> Mark:
        place = self._directory / str(slot)
        numbers = segment.numbers(place)
        return (
            Mark(numbers[-1], (place / segment.name(numbers[-1])).stat().st_size) if numbers else Mark(0, 0)
        )

    def _tell(self, slot: int, ledger: Ledger) -> None:
        """Says what was found when a slot was opened; its log records it, too."""
        for found in ledger.recovered:
            kept = f"kept in {found['kept']}" if found["kept"] else "lost: there was no room to keep them"
            self._say(
                f"ledger slot {slot}: {found['file']}: {found['cause']} at byte {found['offset']}"
                f" ({found['detail']}), {found['length']} bytes {kept};"
                f" the chain goes on with entry {found['next_seq']}"
            )
        if ledger.left_open:
            self._say(f"ledger slot {slot}: {ledger.left_open} attempts left open are closed as unknown")


@contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Says whether this process got the lock; gives it back at the end."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        yield _locked(lock)
    finally:
        os.close(lock)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
