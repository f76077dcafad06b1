"""Laws of a failing disk: refused before dispatch, taken back whole, back by itself; a failed sync is the end."""

from __future__ import annotations

import asyncio
import errno
import random
from typing import Any

import pytest

from tokenone.errors import LedgerUnavailable
from tokenone.ledger.reader import read
from tokenone.ledger.writer import Ledger


async def healthy_again(ledger: Ledger) -> None:
    for _ in range(5000):
        if ledger.healthy:
            return
        await asyncio.sleep(0.001)
    raise AssertionError("the ledger did not come back")


async def probed(disk: Any) -> None:
    """Waits until the writer has asked the disk three times whether it is back."""
    for _ in range(5000):
        if disk.calls.count("reserve") > 3:
            return
        await asyncio.sleep(0.001)
    raise AssertionError("the ledger did not probe")


def test_a_full_disk_refuses_is_itself_recorded_and_comes_back(house: Any, calls: Any) -> None:
    async def story(ledger: Ledger) -> None:
        await ledger.append("intent", calls.intent("sent"))
        house.disk.budget = 100
        failed = ledger.append("intent", calls.intent("refused"))
        owed = ledger.append("outcome", calls.outcome("sent"))
        with pytest.raises(LedgerUnavailable):
            await failed
        assert not ledger.healthy
        with pytest.raises(LedgerUnavailable):
            ledger.append("intent", calls.intent("at once"))
        assert (await owed).seq  # into the space that the reserve gave up
        kinds = [each.kind for each in read(house.place)]
        assert kinds == ["boot", "intent", "outcome", "note"]
        house.disk.budget = None
        await healthy_again(ledger)
        await ledger.append("intent", calls.intent("refused"))
        await ledger.append("outcome", calls.outcome("refused"))

    house.run(story)
    report = house.verify()
    assert report.ok, report.first
    assert report.heads[0].open == 0
    notes = [each.fields for each in read(house.place) if each.kind == "note"]
    assert [note["event"] for note in notes] == ["ledger-away", "ledger-back"]
    assert notes[1]["errno"] == errno.ENOSPC
    assert notes[1]["refused"] == 2


@pytest.mark.parametrize("method", ["append", "create"])
def test_an_io_error_is_taken_back_and_outcomes_are_kept_for_later(
    house: Any, calls: Any, method: str
) -> None:
    async def story(ledger: Ledger) -> None:
        await ledger.append("intent", calls.intent("sent"))
        if method == "create":
            ledger._bytes = 1 << 30  # rotation is due
        house.disk.errors = {method: errno.EIO, "reserve": errno.EIO}
        with pytest.raises(LedgerUnavailable):
            await ledger.append("intent", calls.intent("refused"))
        late = ledger.append("outcome", calls.outcome("sent"))
        await probed(house.disk)
        assert not ledger.healthy
        if method == "append":  # in the other case the old segment still takes it
            assert not late.done
        house.disk.errors = {}
        await late
        await healthy_again(ledger)
        await ledger.append("note", {"after": True})

    house.run(story)
    report = house.verify()
    assert report.ok, report.first
    assert report.heads[0].open == 0
    assert "refused" not in {each.fields.get("call") for each in read(house.place)}


def test_doomed_appends_behind_a_failed_batch_are_refused_too(house: Any, calls: Any) -> None:
    async def story(ledger: Ledger) -> None:
        house.disk.errors = {"append": errno.EIO}
        pendings = []
        for number in range(300):
            try:
                pendings.append(ledger.append("intent", calls.intent(f"c{number}")))
                pendings.append(ledger.append("outcome", calls.outcome(f"c{number}")))
            except LedgerUnavailable:
                break
        results = await asyncio.gather(*(_settled(pending) for pending in pendings))
        assert set(results) == {"LedgerUnavailable"}  # no outcome is owed for what was never sent
        house.disk.errors = {}
        await healthy_again(ledger)
        await ledger.append("intent", calls.intent("c0"))

    house.run(story)
    assert house.verify().ok


async def _settled(pending: Any) -> str:
    try:
        return str((await pending).seq)
    except LedgerUnavailable as error:
        return type(error).__name__


def test_a_failed_sync_is_the_end_and_is_never_retried(house: Any, calls: Any) -> None:
    async def story(ledger: Ledger) -> None:
        await ledger.append("intent", calls.intent("a"))
        house.disk.errors = {"sync": errno.EIO}
        house.disk.calls.clear()
        with pytest.raises(LedgerUnavailable):
            await ledger.append("outcome", calls.outcome("a"))
        await asyncio.wait_for(ledger.fatal.wait(), 5)
        house.disk.errors = {}
        await asyncio.sleep(0.02)
        assert not ledger.healthy
        assert house.disk.calls == ["append", "sync"]
        for kind, fields in (("outcome", calls.outcome("a")), ("note", {})):
            with pytest.raises(LedgerUnavailable):
                ledger.append(kind, fields)

    house.run(story)
    house.run(lambda ledger: ledger.append("note", {}))  # the next process goes on
    assert house.verify().ok


def test_a_failed_take_back_is_the_end(house: Any) -> None:
    async def story(ledger: Ledger) -> None:
        house.disk.errors = {"append": errno.EIO, "truncate": errno.EIO}
        with pytest.raises(LedgerUnavailable):
            await ledger.append("note", {})
        await asyncio.wait_for(ledger.fatal.wait(), 5)

    house.run(story)
    house.disk.errors = {}
    house.run(lambda ledger: ledger.append("note", {}))
    assert house.verify().ok


def test_a_disk_that_is_full_at_start_lets_the_ledger_open_and_come_back(house: Any, calls: Any) -> None:
    house.disk.budget = 0

    async def story(ledger: Ledger) -> None:
        assert not ledger.healthy
        with pytest.raises(LedgerUnavailable):
            ledger.append("intent", calls.intent("a"))
        house.disk.budget = None
        await healthy_again(ledger)
        await ledger.append("intent", calls.intent("a"))

    house.run(story)
    report = house.verify()
    assert report.ok, report.first
    first, *notes, last = [each.kind for each in read(house.place)]
    assert (first, set(notes), last) == ("boot", {"note"}, "intent")


def test_rotation_on_a_full_disk_leaves_no_half_born_segment(house: Any) -> None:
    async def story(ledger: Ledger) -> None:
        ledger._bytes = 1 << 30
        house.disk.budget = 10
        with pytest.raises(LedgerUnavailable):
            await ledger.append("note", {"first": True})
        house.disk.budget = None
        await healthy_again(ledger)
        await ledger.append("note", {"second": True})

    house.run(story)
    report = house.verify()
    assert report.ok, report.first
    assert report.segments == 2
    assert [each.kind for each in read(house.place)][-2:] == ["carry", "note"]


@pytest.mark.parametrize("seed", range(8))
def test_random_failures_never_break_the_log(house: Any, calls: Any, seed: int) -> None:
    dice = random.Random(seed)

    async def story(ledger: Ledger) -> set[str]:
        acknowledged: set[str] = set()
        for number in range(150):
            roll = dice.random()
            if roll < 0.1:
                house.disk.budget = dice.randrange(3000)
            elif roll < 0.15:
                house.disk.errors = {dice.choice(["append", "reserve", "create"]): errno.EIO}
            elif roll < 0.6:
                house.disk.budget, house.disk.errors = None, {}
                await healthy_again(ledger)
            if dice.random() < 0.05:
                ledger._bytes = 1 << 30
            try:
                await ledger.append("intent", calls.intent(f"c{number}"))
            except LedgerUnavailable:
                continue
            acknowledged.add(f"c{number}")
            if dice.random() < 0.9:
                ledger.append("outcome", calls.outcome(f"c{number}"))
            await asyncio.sleep(0)
        house.disk.budget, house.disk.errors = None, {}
        await healthy_again(ledger)
        return acknowledged

    acknowledged = house.run(story)
    house.run(lambda ledger: ledger.append("note", {}))
    report = house.verify()
    assert report.ok, report.first
    assert report.heads[0].open == 0
    recorded = [each.fields["call"] for each in read(house.place) if each.kind == "intent"]
    assert set(recorded) == acknowledged
