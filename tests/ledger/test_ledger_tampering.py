"""Law of tampering: every change before the last signed batch is found, by an outsider with the public key alone."""

from __future__ import annotations

import itertools
import random
import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tokenone.ledger.verify import verify


def a_log(forge: Any, entries: int = 8) -> Any:
    """A log of two segments with batches of up to three entries."""
    log = forge.Forge()
    log.begin()
    log.booted()
    log.close()
    for number in range(entries):
        if number == entries // 2:
            log.begin()
            log.add("carry", {"open": []})
            log.close()
        log.intent(f"c{number}")
        log.outcome(f"c{number}")
        if number % 3 == 2:
            log.add("deny", {"code": "no_key_in_scope"})
        log.close()
    return log


def a_small_log(forge: Any) -> Any:
    """The same in as few bytes as it takes."""
    log = forge.Forge()
    log.begin()
    log.booted()
    log.close()
    log.begin()
    log.add("carry", {"open": []})
    log.intent("a")
    log.close()
    return log


def check(place: Path, forge: Any, **more: Any) -> Any:
    return verify(place, forge.PUBLIC, origin=forge.ORIGIN, **more)


def flips_found(forge: Any, log: Any, place: Path, *, values: int, seed: int) -> None:
    """Changes every byte of each segment to `values` others; every change must be a finding."""
    dice = random.Random(seed)
    for name, whole in log.files.items():
        path = place / name
        with path.open("r+b", buffering=0) as file:
            for at, old in enumerate(whole):
                for new in dice.sample([n for n in range(256) if n != old], values):
                    file.seek(at)
                    file.write(bytes((new,)))
                    assert not check(place, forge).ok, (name, at, old, new)
                file.seek(at)
                file.write(bytes((old,)))
    assert check(place, forge).ok


def test_every_single_byte_change_is_found(forge: Any, tmp_path: Path) -> None:
    log = a_small_log(forge)
    flips_found(forge, log, log.write(tmp_path), values=4, seed=1)


@pytest.mark.long
@pytest.mark.parametrize("share", range(4))  # for several processes: together 200 entries
def test_every_single_byte_change_in_longer_logs_is_found(forge: Any, tmp_path: Path, share: int) -> None:
    log = forge.Forge(slot=share)
    log.begin()
    log.booted()
    for number in range(25):
        if number in (5, 15):
            log.close()
        if number == 15:
            log.begin()
            log.add("carry", {"open": []})
        log.intent(f"{share}.{number}")
        log.outcome(f"{share}.{number}")
    log.close()
    assert log.seq >= 50
    flips_found(forge, log, log.write(tmp_path), values=16, seed=share)


def test_a_change_with_its_checksum_made_right_is_found(forge: Any, tmp_path: Path) -> None:
    log = a_log(forge, 3)
    place = log.write(tmp_path)
    for name, whole in log.files.items():
        for at in range(0, len(whole), 3):
            (place / name).write_bytes(_reframed(whole, at))
            assert not check(place, forge).ok, (name, at)
        (place / name).write_bytes(whole)


def _reframed(data: bytes, at: int) -> bytes:
    """Changes one byte of the payload that holds `at` and computes that frame's checksum again."""
    for start, end in _spans(data):
        if start <= at < end:
            at = min(max(at, start + 5), end - 5)
            body = bytearray(data[start : end - 4])
            body[at - start] ^= 1
            return data[:start] + bytes(body) + struct.pack(">I", zlib.crc32(body)) + data[end:]
    raise AssertionError


def _spans(data: bytes) -> list[tuple[int, int]]:
    spans, at = [], 0
    while at < len(data):
        end = at + 9 + struct.unpack_from(">I", data, at)[0]
        spans.append((at, end))
        at = end
    return spans


def test_deleting_doubling_or_swapping_any_frames_is_found(forge: Any, tmp_path: Path) -> None:
    log = a_log(forge)
    place = log.write(tmp_path)
    for name, whole in log.files.items():
        frames = [whole[start:end] for start, end in _spans(whole)]
        changed = []
        for n in range(len(frames)):
            changed.append(frames[:n] + frames[n + 1 :])
            changed.append(frames[: n + 1] + frames[n:])
        for n, m in itertools.combinations(range(len(frames)), 2):
            swapped = list(frames)
            swapped[n], swapped[m] = swapped[m], swapped[n]
            changed.append(swapped)
        for number, each in enumerate(changed):
            (place / name).write_bytes(b"".join(each))
            report = check(place, forge)
            # Without its last frame, or with that frame's records doubled behind it, a log has an unsigned tail.
            assert not report.ok or report.tails, (name, number)
            assert report.ok <= (name == list(log.files)[-1])
        (place / name).write_bytes(whole)


def test_truncation_is_found_or_is_the_documented_window(forge: Any, tmp_path: Path) -> None:
    log = a_small_log(forge)
    place = log.write(tmp_path)
    witness = log.receipt(log.seq)
    first, last = (place / name for name in log.files)
    for path in (first, last):
        whole = path.read_bytes()
        sound = (forge.segment.HEADER, forge.segment.BATCH)
        ends = {end for start, end in _spans(whole) if whole[start + 4] in sound}
        for size in range(len(whole)):
            path.write_bytes(whole[:size])
            report = check(place, forge)
            # By files alone: a cut in an earlier segment is a finding; in the last one it leaves a tail, or is at a
            # batch's end, where only a witness shows it.
            window = path == last and (size in ends or report.tails)
            assert report.ok == bool(window), (path.name, size)
            if size % 7 == 0 or size in ends:
                assert not check(place, forge, receipts=[witness]).ok
        path.write_bytes(whole)
    assert check(place, forge, receipts=[witness]).witnesses == 1


def test_a_missing_renamed_or_swapped_segment_is_found(forge: Any, tmp_path: Path) -> None:
    log = a_log(forge)
    place = log.write(tmp_path)
    first, last = (place / name for name in log.files)
    one, two = first.read_bytes(), last.read_bytes()
    first.unlink()
    assert not check(place, forge).ok
    first.write_bytes(two)
    assert not check(place, forge).ok
    last.write_bytes(one)
    assert not check(place, forge).ok
    first.write_bytes(one)
    last.rename(place / "0000000003.seg")
    assert not check(place, forge).ok


def test_a_splice_of_two_honest_logs_is_found(forge: Any, tmp_path: Path) -> None:
    def fork(names: str) -> Any:
        log = forge.Forge()
        log.begin()
        log.booted(sealed=None)
        log.close()
        for name in names:
            log.intent(name)
            log.outcome(name)
            log.close()
        return log

    one, other = fork("abcd"), fork("abxy")
    place = one.write(tmp_path)
    (name,) = one.files
    left, right = one.files[name], other.files[name]
    starts = [0, *(e for s, e in _spans(left) if left[s + 4] == forge.segment.BATCH)]
    assert left[: starts[3]] == right[: starts[3]]  # the same up to the fork
    for cut in starts[4:]:
        (place / name).write_bytes(left[:cut] + right[cut:])
        assert check(place, forge).ok == (cut == len(left)), cut


def test_logs_of_two_slots_are_not_exchanged(forge: Any, tmp_path: Path) -> None:
    for slot in (0, 1):
        log = forge.Forge(slot=slot)
        log.begin()
        log.booted()
        log.close()
        log.write(tmp_path)
    assert check(tmp_path, forge).ok
    shutil.move(tmp_path / "0", tmp_path / "2")
    report = check(tmp_path, forge)
    assert not report.ok
    assert report.first.slot == 2


def test_a_log_signed_by_somebody_else_is_found(forge: Any, tmp_path: Path) -> None:

    log = forge.Forge(signing=Ed25519PrivateKey.generate())
    log.begin()
    log.booted()
    log.close()
    log.write(tmp_path)
    assert check(tmp_path, forge).first.check == 4


def test_the_first_bad_record_is_named(forge: Any, tmp_path: Path) -> None:
    log = a_log(forge)
    place = log.write(tmp_path)
    (name, *_) = log.files
    whole = log.files[name]
    spans = [(s, e) for s, e in _spans(whole) if whole[s + 4] == forge.segment.RECORD]
    for number, (start, end) in enumerate(spans, 1):
        at = whole.index(b'"at":1', start, end) + 5
        (place / name).write_bytes(_reframed(whole, at))
        first = check(place, forge).first
        assert (first.slot, first.segment, first.offset, first.seq) == (0, name, start, number)
    (place / name).write_bytes(whole)
