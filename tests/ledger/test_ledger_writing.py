"""Laws of the writer: durable before told, in order, one outcome each, one writer per slot, bounded."""

from __future__ import annotations

import asyncio
import tracemalloc
from typing import Any

import pytest

from tokenone.errors import IntegrityError, LedgerUnavailable, SlotTaken
from tokenone.ledger.reader import read
from tokenone.ledger.receipt import verify_receipt
from tokenone.ledger.writer import Ledger, LedgerLimits


def test_an_entry_is_told_after_its_sync_and_its_receipt_verifies(house: Any, calls: Any) -> None:
    async def story(ledger: Ledger) -> None:
        house.disk.calls.clear()
        pending = ledger.append("intent", calls.intent("a"))
        record = pending.record
        assert not pending.done
        committed = await pending
        assert house.disk.calls == ["append", "sync"]
        assert verify_receipt(committed.receipt(), house.public, record).seq == committed.seq

    house.run(story)
    report = house.verify()
    assert report.ok, report.first
    assert (report.entries, report.macs, report.heads[0].open) == (2, 2, 1)


def test_waiters_resume_in_the_order_of_their_entries(house: Any, calls: Any) -> None:
    resumed: list[int] = []

    async def story(ledger: Ledger) -> None:
        async def one(number: int) -> None:
            committed = await ledger.append("intent", calls.intent(f"c{number}"))
            resumed.append(committed.seq)
            await ledger.append("outcome", calls.outcome(f"c{number}"))

        await asyncio.gather(*(one(number) for number in range(500)))

    house.run(story)
    assert resumed == sorted(resumed)
    report = house.verify()
    assert report.ok, report.first
    assert report.entries == 1001
    assert report.batches < 500  # group commit: what gathers during a sync shares the next


def test_a_second_intent_or_outcome_is_refused_and_leaves_no_trace(house: Any, calls: Any) -> None:
    async def story(ledger: Ledger) -> None:
        ledger.append("intent", calls.intent("a"))
        with pytest.raises(IntegrityError):
            ledger.append("intent", calls.intent("a"))
        ledger.append("outcome", calls.outcome("a"))
        with pytest.raises(IntegrityError):
            ledger.append("outcome", calls.outcome("a"))
        await ledger.append("note", {})

    house.run(story)
    assert house.verify().ok
    assert [each.kind for each in read(house.place)] == ["boot", "intent", "outcome", "note"]


@pytest.mark.parametrize(
    "fields",
    [
        {"x": object()},
        {"x": "\ud800"},
        {"x": "y" * 5_000_000},
        {"x": 2**70},
        {"x": 0.5},
        {1: 2},
        {"ä": 1},
        {"x": [{"y": 2**53}]},
        {"x": b"y"},
    ],
)
def test_what_cannot_be_recorded_is_refused_and_the_chain_goes_on(house: Any, fields: dict[str, Any]) -> None:
    async def story(ledger: Ledger) -> None:
        with pytest.raises(IntegrityError):
            ledger.append("note", fields)
        await ledger.append("note", {"after": True})

    house.run(story)
    assert house.verify().ok


def test_two_writers_never_share_a_slot(house: Any) -> None:
    async def story(_: Ledger) -> None:
        with pytest.raises(SlotTaken):
            house.open()

    house.run(story)
    house.run(story)  # given up on close


def test_nothing_is_appended_before_start_or_after_close(house: Any) -> None:
    async def boot() -> None:
        ledger = house.open()
        with pytest.raises(LedgerUnavailable):
            ledger.append("note", {})
        await ledger.start()
        assert ledger.healthy
        await ledger.append("note", {})
        await ledger.close()
        with pytest.raises(LedgerUnavailable):
            ledger.append("note", {})
        await ledger.close()

    asyncio.run(boot())


def test_segments_rotate_and_each_begins_with_what_is_open(house: Any, calls: Any) -> None:
    async def story(ledger: Ledger) -> None:
        await ledger.append("intent", calls.intent("long"))
        for number in range(40):
            await ledger.append("intent", calls.intent(f"c{number}"))
            await ledger.append("outcome", calls.outcome(f"c{number}"))

    house.run(story, LedgerLimits(segment_bytes=4096, reserve_bytes=4096))
    report = house.verify()
    assert report.ok, report.first
    assert report.segments > 3
    carries = [each for each in read(house.place) if each.kind == "carry"]
    assert all(["long", 1] in each.fields["open"] for each in carries)
    house.run(lambda ledger: ledger.append("note", {}))
    assert house.verify().heads[0].open == 0  # the next boot closed it, reading the last segment alone


def test_epoch_keys_move_on_every_ten_minutes_and_the_auditor_follows(house: Any) -> None:
    async def story(ledger: Ledger) -> None:
        for _ in range(4):
            await ledger.append("note", {})
            house.clock.advance(10 * 60 * 1_000_000)

    house.run(story)
    assert [each.epoch for each in read(house.place)] == [0, 0, 1, 2, 3]
    report = house.verify()
    assert report.ok, report.first
    assert report.macs == 5


def test_the_queue_is_bounded_but_outcomes_always_get_in(house: Any, calls: Any) -> None:
    async def story(ledger: Ledger) -> None:
        ledger.append("intent", calls.intent("a"))
        refused = 0
        for _ in range(2000):
            try:
                ledger.append("note", {})
            except LedgerUnavailable:
                refused += 1
        assert refused
        await ledger.append("outcome", calls.outcome("a"))

    house.run(story, LedgerLimits(queued=50, reserve_bytes=4096))
    assert house.verify().ok


def test_a_waiter_that_was_cancelled_disturbs_nobody(house: Any, calls: Any) -> None:
    async def story(ledger: Ledger) -> None:
        pending = ledger.append("intent", calls.intent("a"))
        gone = asyncio.ensure_future(_wait(pending))
        stays = asyncio.ensure_future(_wait(pending))
        await asyncio.sleep(0)
        gone.cancel()
        assert (await stays).seq == 2

    house.run(story)


async def _wait(pending: Any) -> Any:
    return await pending


def test_memory_stays_flat_however_many_entries_pass(house: Any, calls: Any) -> None:
    async def story(ledger: Ledger) -> tuple[int, int]:
        async def some(start: int, count: int) -> int:
            for number in range(start, start + count, 20):
                for each in range(number, number + 20):
                    ledger.append("intent", calls.intent(f"c{each}"))
                    last = ledger.append("outcome", calls.outcome(f"c{each}"))
                await last
            return tracemalloc.get_traced_memory()[0]

        tracemalloc.start()
        try:
            return await some(0, 400), await some(400, 1600)
        finally:
            tracemalloc.stop()

    early, late = house.run(story)
    assert late - early < 100_000
