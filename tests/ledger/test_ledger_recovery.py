"""Laws of opening a slot: a torn tail is cut and kept, damage is named and kept, no seq is given twice."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest

from tokenone.errors import ConfigRefused
from tokenone.ledger.reader import Reader, read
from tokenone.ledger.writer import Ledger, LedgerLimits


def first_boot(house: Any, calls: Any) -> Any:
    """Leaves one segment with four batches and one open intent; returns its path."""

    async def story(ledger: Ledger) -> None:
        for name in "abc":
            await ledger.append("intent", calls.intent(name))
        await ledger.append("outcome", calls.outcome("a"))
        await ledger.append("outcome", calls.outcome("b"))

    house.run(story)
    return house.place / "0000000001.seg"


def again(house: Any) -> None:
    async def story(ledger: Ledger) -> None:
        assert ledger.healthy
        await ledger.append("note", {"again": True})

    house.run(story)


def batch_ends(path: Any, forge: Any) -> list[int]:
    with path.open("rb") as file:
        return [frame.end for frame in forge.segment.frames(file) if frame.type == forge.segment.BATCH]


def test_a_crash_is_closed_as_unknown_by_the_normal_path(house: Any, calls: Any) -> None:
    first_boot(house, calls)
    again(house)
    assert house.verify().ok
    entries = list(read(house.place))
    assert [each.kind for each in entries][-3:] == ["boot", "outcome", "note"]
    assert entries[-3].fields["open"] == [["c", 1]]
    assert entries[-2].fields == {"attempt": 1, "call": "c", "cause": "unknown"}


@pytest.mark.parametrize("cut", [1, 5, 40, 200, 230, -4, -1])
def test_a_torn_tail_is_cut_off_kept_aside_and_told(house: Any, calls: Any, forge: Any, cut: int) -> None:
    path = first_boot(house, calls)
    ends = batch_ends(path, forge)
    whole = path.read_bytes()
    torn = whole[ends[-2] : (ends[-2] if cut > 0 else ends[-1]) + cut]
    path.write_bytes(whole[: ends[-2]] + torn)
    report = house.verify()
    assert report.ok, report.first
    assert report.tails[0].length == len(torn)
    again(house)
    report = house.verify()
    assert report.ok, report.first
    assert report.tails == []
    assert report.recoveries[0].cause == "torn-tail"
    assert report.recoveries[0].offset == ends[-2]
    assert (house.place / f"0000000001.{ends[-2]}.torn").read_bytes() == torn


def test_zeros_behind_the_last_batch_are_a_torn_tail(house: Any, calls: Any) -> None:
    path = first_boot(house, calls)
    path.write_bytes(path.read_bytes() + bytes(5000))
    again(house)
    report = house.verify()
    assert report.ok, report.first
    assert report.recoveries[0].cause == "torn-tail"


def test_a_tail_that_cannot_be_kept_aside_is_cut_all_the_same(house: Any, calls: Any) -> None:
    path = first_boot(house, calls)
    path.write_bytes(path.read_bytes() + bytes(5000))
    house.disk.errors = {"create": 28}
    again(house)
    assert house.verify().ok
    assert not list(house.place.glob("*.torn"))


@pytest.mark.parametrize("which", range(6))
def test_damage_is_named_left_alone_and_gone_around(house: Any, calls: Any, forge: Any, which: int) -> None:
    path = first_boot(house, calls)
    before = house.verify().heads[0]
    shipped = [each.seq for each in read(house.place)]
    ends = [0, *batch_ends(path, forge)]
    damaged = bytearray(path.read_bytes())
    damaged[(ends[which] + ends[which + 1]) // 2] ^= 0x40
    path.write_bytes(damaged)
    again(house)
    assert path.read_bytes() == damaged
    report = house.verify()
    assert not report.ok  # admitted damage is damage
    assert report.first.segment == path.name
    assert ends[which] <= report.first.offset < ends[which + 1]
    assert {problem.segment for problem in report.problems} == {path.name}
    recovery = report.recoveries[0]
    assert (recovery.cause, recovery.file) == ("damage", path.name)
    assert recovery.next_seq > before.seq >= max(shipped)
    again(house)  # and it goes on from the new segment
    assert report.problems == house.verify().problems
    assert [each.kind for each in read(house.place)][-1] == "note"


def test_a_reader_goes_around_damage_and_names_it(house: Any, calls: Any, forge: Any) -> None:
    path = first_boot(house, calls)
    damaged = bytearray(path.read_bytes())
    damaged[batch_ends(path, forge)[2] + 60] ^= 1
    path.write_bytes(damaged)
    again(house)
    reader = Reader(house.place)
    kinds = [each.kind for each in reader.read() + reader.read()]
    assert kinds == ["boot", "intent", "intent", "boot", "recovery", "outcome", "outcome", "note"]
    assert reader.damaged == ["0000000001.seg: a frame's checksum is wrong"]


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"\x00\x00\x00\x5b\x01tokenone/seg"])
def test_a_segment_that_was_never_born_is_put_aside(house: Any, calls: Any, content: bytes) -> None:
    first_boot(house, calls)
    (house.place / "0000000002.seg").write_bytes(content)
    again(house)
    report = house.verify()
    assert report.ok, report.first
    assert report.segments == 1
    assert (house.place / "0000000002.0.torn").read_bytes() == content


def test_a_log_whose_only_segment_is_garbage_begins_anew_and_says_so(house: Any) -> None:
    house.place.mkdir()
    garbage = os.urandom(3000)
    (house.place / "0000000001.seg").write_bytes(garbage)
    again(house)
    report = house.verify()
    assert not report.ok
    assert report.recoveries[0].cause == "damage"
    assert report.heads[0].seq > 10
    assert (house.place / "0000000001.seg").read_bytes() == garbage


def test_opening_reads_the_last_segment_alone(house: Any, calls: Any) -> None:
    async def story(ledger: Ledger) -> None:
        for number in range(60):
            await ledger.append("intent", calls.intent(f"c{number}"))

    house.run(story, LedgerLimits(segment_bytes=3000, reserve_bytes=4096))
    first = house.place / "0000000001.seg"
    first.chmod(0)
    first.rename(house.place / "away")  # nobody may need it
    again(house)
    (house.place / "away").rename(first)
    first.chmod(0o600)
    report = house.verify()
    assert report.ok, report.first
    assert report.heads[0].open == 0


def test_the_last_batch_is_written_again_before_anything_is_built_on_it(
    house: Any, calls: Any, forge: Any
) -> None:
    path = first_boot(house, calls)
    ends = batch_ends(path, forge)
    rewritten: list[tuple[int, bytes]] = []
    house.disk.rewrite = lambda path, offset, data: rewritten.append((offset, data))
    again(house)
    assert rewritten == [(ends[-2], path.read_bytes()[ends[-2] : ends[-1]])]


def test_another_log_origin_or_key_is_refused(house: Any, calls: Any) -> None:
    first_boot(house, calls)
    with pytest.raises(ConfigRefused):
        Ledger.open(house.directory, 0, replace(house.keys, origin="log.example/else"), house.clock)
    again(house)


def test_a_reader_goes_around_damage_that_looks_like_a_cut_frame(house: Any, calls: Any, forge: Any) -> None:
    path = first_boot(house, calls)
    ends = batch_ends(path, forge)
    content = bytearray(path.read_bytes())
    content[ends[1] + 1] ^= 0x20  # a length of two megabytes: the file ends inside this frame
    path.write_bytes(content)
    again(house)
    reader = Reader(house.place)
    kinds: list[str] = []
    while found := reader.read():
        kinds += [each.kind for each in found]
    assert kinds == ["boot", "intent", "boot", "recovery", "outcome", "note"]
    assert reader.damaged == ["0000000001.seg: the file ends inside a frame"]


def test_a_segment_with_a_damaged_header_and_no_batch_takes_no_number_back(house: Any, calls: Any) -> None:
    first_boot(house, calls)
    last = list(read(house.place))[-1].seq
    (house.place / "0000000002.seg").write_bytes(bytes(64) + b"what a disk kept of a batch" * 4)
    again(house)
    entries = [each.seq for each in read(house.place)]
    assert entries == sorted(set(entries))
    assert entries[-1] > last
