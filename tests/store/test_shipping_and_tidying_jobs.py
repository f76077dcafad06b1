"""The jobs, with a real ledger beside a real index."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tokenone import jobs
from tokenone.clock import AnchoredClock
from tokenone.errors import StoreUnavailable
from tokenone.ledger.writer import Ledger, LedgerKeys
from tokenone.store import Index, Store
from tokenone.store.index import Place

pytestmark = pytest.mark.anyio
KEYS = LedgerKeys(Ed25519PrivateKey.generate(), X25519PrivateKey.generate().public_key(), "log.example/jobs")


async def written(directory: Path, slot: int, calls: range) -> None:
    """Writes an intent and an outcome for each call into a slot's log."""
    ledger = await asyncio.to_thread(Ledger.open, directory, slot, KEYS, AnchoredClock())
    await ledger.start()
    for number in calls:
        fields: dict[str, Any] = {"call": f"call_{slot}_{number}", "tenant": "ten_a", "attempt": 1}
        await ledger.append("intent", {**fields, "key": "key_a", "ver": 1, "provider": "openai"})
        if number % 5:
            await ledger.append("outcome", {**fields, "cause": "complete", "final": True, "status": 200})
    await ledger.close()


async def test_every_slot_is_shipped_once_and_only_the_new_after_that(tmp_path: Path, index: Index) -> None:
    await written(tmp_path, 0, range(1, 5))
    await written(tmp_path, 1, range(1, 3))
    assert await jobs.ship_once(tmp_path / "none", index) == 0
    assert await jobs.ship_once(tmp_path, index) >= 12
    assert len(await index.calls({})) == 6
    assert await jobs.ship_once(tmp_path, index) == 0
    await written(tmp_path, 0, range(6, 8))
    assert await jobs.ship_once(tmp_path, index) >= 4
    assert {call.outcome for call in await index.calls({})} == {"ok"}


async def test_a_crashed_call_is_shown_as_unknown_after_recovery(tmp_path: Path, index: Index) -> None:
    await written(tmp_path, 0, range(5, 6))  # no outcome: closed by the next boot's recovery
    await written(tmp_path, 0, range(6, 7))
    await jobs.ship_once(tmp_path, index)
    call, attempts = await index.call("call_0_5")
    assert (call.outcome, call.tenant, len(attempts)) == ("unknown", "ten_a", 1)


def cut_behind_the_index(directory: Path) -> None:
    """Truncates slot 0's segment inside its first intent: everything behind it was shipped and is lost."""
    (path,) = (directory / "0").glob("*.seg")
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b'"kind":"intent"')])


async def test_a_log_that_was_cut_behind_the_index_goes_on_being_shipped(
    tmp_path: Path, index: Index
) -> None:
    await written(tmp_path, 0, range(1, 4))
    assert await jobs.ship_once(tmp_path, index) > 0
    cut_behind_the_index(tmp_path)
    await written(tmp_path, 0, range(6, 8))
    assert await jobs.ship_once(tmp_path, index) > 0
    assert {call.id for call in await index.calls({})} == {f"call_0_{number}" for number in (1, 2, 3, 6, 7)}
    assert [kind for kind, _ in await index.told("call_0_6")] == ["intent", "outcome"]
    assert await index.told("call_0_1") == [], "its entries are gone; that it was called stays known"
    assert await jobs.ship_once(tmp_path, index) == 0


async def test_a_log_that_is_cut_while_it_is_followed_goes_on_being_shipped(
    tmp_path: Path, index: Index
) -> None:
    shipper = jobs.Shipper(tmp_path, index)
    await written(tmp_path, 0, range(1, 4))
    await shipper.once()
    cut_behind_the_index(tmp_path)
    await shipper.once()
    await written(tmp_path, 0, range(6, 8))
    await shipper.once()
    assert [kind for kind, _ in await index.told("call_0_7")] == ["intent", "outcome"]


async def test_entries_that_are_shipped_again_add_no_cost(tmp_path: Path, index: Index) -> None:
    ledger = await asyncio.to_thread(Ledger.open, tmp_path, 0, KEYS, AnchoredClock())
    await ledger.start()
    for attempt, nano in ((1, 5), (2, 7)):
        fields: dict[str, Any] = {"call": "call_0_1", "tenant": "ten_a", "attempt": attempt}
        await ledger.append("intent", {**fields, "key": "key_a", "ver": 1, "provider": "openai"})
        cost = {"source": "price-book", "book": "b", "nano": nano}
        closed = {**fields, "cause": "complete", "final": attempt == 2, "status": 200, "cost": cost, "fee": 1}
        await ledger.append("outcome", closed)
    await ledger.close()
    await jobs.ship_once(tmp_path, index)
    await index.rewind(0, Place(1, 0, 0))
    await jobs.ship_once(tmp_path, index)
    call, attempts = await index.call("call_0_1")
    assert (call.cost_nano, call.fee_nano, len(attempts)) == (12, 2, 2)


async def test_shipping_goes_on_after_an_outage(tmp_path: Path, index: Index) -> None:
    await written(tmp_path, 0, range(1, 5))
    shipped = asyncio.Event()

    class Flaky:
        """The real index, away at first."""

        failures = 3

        async def ship(self, *given: Any) -> int:
            if self.failures:
                self.failures -= 1
                raise StoreUnavailable
            count = await index.ship(*given)
            shipped.set()
            return count

        def __getattr__(self, name: str) -> Any:
            return getattr(index, name)

    work = asyncio.create_task(jobs.ship_forever(tmp_path, Flaky(), pause_seconds=0))  # type: ignore[arg-type]
    async with asyncio.timeout(20):
        await shipped.wait()
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    assert len(await index.calls({})) == 4


async def test_one_process_tidies_at_a_time(store: Store) -> None:
    assert await jobs.tidy_once(store, "job_a") is not None
    assert await jobs.tidy_once(store, "job_b") is None
    assert await jobs.tidy_once(store, "job_a") is not None


async def test_a_defect_in_a_job_does_not_end_it(tmp_path: Path, index: Index, store: Store) -> None:
    await written(tmp_path, 0, range(1, 2))
    again = {"ship": asyncio.Event(), "take": asyncio.Event()}

    class Defective:
        """Breaks the first time, as on an entry or row that nobody thought of."""

        def __init__(self, real: Any, verb: str) -> None:
            self.real, self.verb, self.tries = real, verb, 0

        def __getattr__(self, name: str) -> Any:
            return getattr(self.real, name) if name != self.verb else self.once

        async def once(self, *given: Any) -> Any:
            self.tries += 1
            if self.tries == 1:
                raise KeyError("a defect")
            again[self.verb].set()
            return await getattr(self.real, self.verb)(*given)

    class Tidied:
        leases = Defective(store.leases, "take")
        tidy = store.tidy

    odd_index: Any = Defective(index, "ship")
    odd_store: Any = Tidied()
    work = [
        asyncio.create_task(jobs.ship_forever(tmp_path, odd_index, pause_seconds=0)),
        asyncio.create_task(jobs.tidy_forever(odd_store, pause_seconds=0)),
    ]
    async with asyncio.timeout(20):
        await asyncio.gather(*(event.wait() for event in again.values()))
    for task in work:
        task.cancel()
    await asyncio.gather(*work, return_exceptions=True)
