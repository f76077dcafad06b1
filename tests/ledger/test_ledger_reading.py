"""Laws of the reader: committed entries only, each once, from any cursor, while the writer goes on."""

from __future__ import annotations

from typing import Any

from tokenone.ledger.reader import Cursor, Reader, read
from tokenone.ledger.writer import Ledger, LedgerLimits

SMALL = LedgerLimits(segment_bytes=3000, reserve_bytes=4096)


def test_a_tailing_reader_gets_each_entry_once_across_segments(house: Any, calls: Any) -> None:
    found: list[int] = []

    async def story(ledger: Ledger) -> None:
        cursor = Cursor()
        for number in range(50):
            await ledger.append("intent", calls.intent(f"c{number}"))
            await ledger.append("outcome", calls.outcome(f"c{number}"))
            reader = Reader(house.place, cursor)  # as another process would, from what it remembered
            while entries := reader.read(limit=3):
                found.extend(each.seq for each in entries)
            cursor = reader.cursor

    house.run(story, SMALL)
    assert len(list(house.place.glob("*.seg"))) > 3
    assert found == list(range(1, len(found) + 1))
    assert len(found) > 100


def test_reading_behind_a_seq_finds_its_segment(house: Any, calls: Any) -> None:
    async def story(ledger: Ledger) -> None:
        for number in range(50):
            await ledger.append("intent", calls.intent(f"c{number}"))

    house.run(story, SMALL)
    total = [each.seq for each in read(house.place)]
    for after in (0, 1, 17, total[-1] - 1, total[-1], total[-1] + 5):
        assert [each.seq for each in read(house.place, after)] == [seq for seq in total if seq > after]


def test_a_batch_that_is_not_whole_is_not_read(forge: Any, tmp_path: Any) -> None:
    log = forge.Forge()
    log.begin()
    log.booted()
    log.close()
    (name,) = log.files
    before = len(log.files[name])
    log.intent("a")
    log.intent("b")
    log.close()
    place = log.write(tmp_path)
    whole = log.files[name]
    reader = Reader(place)
    for size in range(before, len(whole)):
        (place / name).write_bytes(whole[:size])
        assert [each.kind for each in reader.read()] == (["boot"] if size == before else [])
    (place / name).write_bytes(whole)
    assert [each.fields["call"] for each in reader.read()] == ["a", "b"]
    assert reader.damaged == []


def test_an_empty_or_missing_slot_reads_as_nothing(tmp_path: Any) -> None:
    assert Reader(tmp_path / "0").read() == []
    assert list(read(tmp_path)) == []
