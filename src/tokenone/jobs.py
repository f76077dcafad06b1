"""Background work: ships ledger entries to the index, and tidies up what time has ended.

Law: shipping is idempotent and in each log's order, from the place that the index kept with the last entries;
tidying runs under a database lease, so several processes never do it at once. Nothing is decided here, and
nothing is lost when it does not run.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Final

import structlog

from tokenone.audit import Act
from tokenone.clock import MINUTE_US
from tokenone.ledger.reader import Cursor, Reader
from tokenone.store import Index, Store
from tokenone.store.index import Place
from tokenone.store.tidy import Tidied
from tokenone.types import new_id

PORTION: Final = 1000
SHIP_SECONDS: Final = 0.5
TIDY_SECONDS: Final = 60.0
TIDY_LEASE: Final = "tidy"
_SLOT: Final = re.compile(r"\d{1,6}")
_ACT: Final = Act(actor="job:tidy", actor_name="tidy", action="key.retire", source="local")


class Shipper:
    """Ships every slot's log below a directory; keeps one open reader per slot."""

    def __init__(self, directory: Path, index: Index) -> None:
        self._directory = directory
        self._index = index
        self._readers: dict[int, Reader] = {}
        self._log = structlog.get_logger("jobs")

    async def once(self) -> int:
        """Ships what is there now and returns how many entries were new."""
        shipped = 0
        for slot in await asyncio.to_thread(self._slots):
            shipped += await self._ship(slot)
        return shipped

    def forget(self) -> None:
        """Drops the readers: they start again from what the index has."""
        self._readers.clear()

    def _slots(self) -> list[int]:
        if not self._directory.is_dir():
            return []
        names = (path.name for path in self._directory.iterdir() if path.is_dir())
        return sorted(int(name) for name in names if _SLOT.fullmatch(name))

    async def _ship(self, slot: int) -> int:
        reader = self._readers.get(slot) or await self._reader(slot)
        shipped = 0
        while found := await asyncio.to_thread(reader.read, PORTION):
            cursor = reader.cursor
            shipped += await self._index.ship(slot, found, Place(cursor.segment, cursor.offset, cursor.seq))
        while reader.damaged:
            self._log.warning("segment left early", slot=slot, where=reader.damaged.pop())
        if reader.lost:
            del self._readers[slot]
        return shipped

    async def _reader(self, slot: int) -> Reader:
        """Opens a log where the index left it; where the log was cut meanwhile, at the segment's beginning."""
        kept = await self._index.place(slot)
        reader = Reader(self._directory / str(slot), Cursor(*kept))
        if not await asyncio.to_thread(reader.stands):
            cursor = await asyncio.to_thread(reader.back)
            await self._index.rewind(slot, Place(*cursor))
            self._log.error("the log was cut: what it lost stays in the index alone", slot=slot, seq=kept.seq)
        self._readers[slot] = reader
        return reader


async def ship_once(ledger_dir: Path, index: Index) -> int:
    """Ships everything that is committed now."""
    return await Shipper(ledger_dir, index).once()


async def ship_forever(ledger_dir: Path, index: Index, *, pause_seconds: float = SHIP_SECONDS) -> None:
    """Ships as entries come; what fails is told and tried again."""
    shipper = Shipper(ledger_dir, index)
    while True:
        try:
            await shipper.once()
        except Exception as error:  # noqa: BLE001  the top of background work: it goes on whatever happens
            shipper.forget()
            structlog.get_logger("jobs").warning("shipping failed", kind=type(error).__name__)
        await asyncio.sleep(pause_seconds)


async def tidy_once(store: Store, holder: str) -> Tidied | None:
    """Tidies up under the lease; None when somebody else holds it."""
    if not await store.leases.take(TIDY_LEASE, holder, 2 * MINUTE_US):
        return None
    return await store.tidy(_ACT)


async def tidy_forever(store: Store, *, pause_seconds: float = TIDY_SECONDS) -> None:
    """Tidies up every minute; only one process of all does."""
    holder = new_id("job")
    try:
        while True:
            try:
                await tidy_once(store, holder)
            except Exception as error:  # noqa: BLE001  the top of background work: it goes on whatever happens
                structlog.get_logger("jobs").warning("tidying failed", kind=type(error).__name__)
            await asyncio.sleep(pause_seconds)
    finally:
        await store.leases.drop(TIDY_LEASE, holder)
