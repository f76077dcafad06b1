"""Law of the damaged segment: it is named and kept, the chain goes on with a signed recovery, the verifier tells."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from kit.battered import CHAT, Battered
from kit.installation import Installation
from kit.processes import SECONDS, full_house
from kit.until import until
from tokenone.ledger import segment
from tokenone.ledger.facts import read_facts
from tokenone.ledger.report import Report
from tokenone.ledger.verify import verify
from tokenone.ledger.walk import WITNESSES
from tokenone.testing.desk import Refused

QUESTION = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}


@dataclass
class Copy:
    """A copy of an installation's disk with two workers' logs; `receipts` is what callers hold, by call."""

    where: Battered
    receipts: dict[str, str]

    @property
    def house(self) -> Installation:
        return self.where.house


@pytest.fixture
def copied(pair: Battered, tmp_path: Path) -> Iterator[Copy]:
    original = pair.whole().house
    receipts = dict(call_of(pair) for _ in range(20))
    until(lambda: all(known(original, call) for call in receipts), "every call in the index", SECONDS)
    shutil.copytree(original.directory, tmp_path / "data", ignore=shutil.ignore_patterns("*.sock"))
    house = Installation(tmp_path / "data", workers=2)
    yield Copy(Battered(house, pair.upstream, pair.gate, pair.plain, pair.slow), receipts)
    house.stop()


def call_of(where: Battered) -> tuple[str, str]:
    """Makes a call on a connection of its own, so that both workers get some; returns its id and receipt."""
    headers = {"authorization": f"Bearer {where.plain.place.token}"}
    answer = httpx2.post(f"{where.house.gateway}{CHAT}", json=QUESTION, headers=headers, trust_env=False)
    assert answer.status_code == 200
    return answer.headers["x-tokenone-call"], answer.headers["x-tokenone-receipt"]


def known(house: Installation, call: str) -> bool:
    """The index has the call with its outcome."""
    with contextlib.suppress(Refused):
        return bool(house.desk().api("GET", f"/calls/{call}")["outcome"] != "open")
    return False


def last_segment(house: Installation, slot: int) -> Path:
    place = house.directory / "ledger" / str(slot)
    return place / segment.name(segment.numbers(place)[-1])


def said(house: Installation, pattern: str) -> bool:
    return any(re.search(pattern, line) for line in house.lines)


def report_of(house: Installation, *receipts: str) -> Report:
    facts = read_facts(house.directory / "ledger")
    assert facts is not None
    return verify(house.directory / "ledger", facts.signing, receipts=receipts)


def flip_a_byte(path: Path) -> bytes:
    """Damages the first intent of a segment; returns what the file holds now."""
    before = path.read_bytes()
    place = before.index(b'"kind":"intent"')
    path.write_bytes(before[:place] + b"K" + before[place + 1 :])
    return path.read_bytes()


def cut_inside_the_last_intent(path: Path) -> tuple[str, int]:
    """Truncates a segment; returns the call that was lost and the file's new size."""
    before = path.read_bytes()
    place = before.rindex(b'"kind":"intent"')
    start = before.rindex(b'{"at":', 0, place)
    call = re.search(rb'"call":"([^"]+)"', before[start:place])
    assert call is not None
    path.write_bytes(before[:place])
    return call[1].decode(), place


def test_damage_and_a_truncated_tail_are_named_kept_and_gone_around(copied: Copy) -> None:
    house = copied.house
    damaged, cut = last_segment(house, 0), last_segment(house, 1)
    flipped = flip_a_byte(damaged)
    lost, size = cut_inside_the_last_intent(cut)
    house.start()
    full_house(house)
    assert said(house, rf"slot 0: {damaged.name}: damage at byte \d+ .* kept in {damaged.name}")
    assert said(house, rf"slot 1: {cut.name}: torn-tail at byte \d+ .* \d+ bytes kept in .*\.torn")
    assert damaged.read_bytes() == flipped, "what is damaged is evidence: it stays as it is"
    (kept,) = cut.parent.glob("*.torn")
    assert int(kept.name.split(".")[1]) + kept.stat().st_size == size
    calls = [call for call, _ in (call_of(copied.where) for _ in range(20))]
    slots = {call.partition("_")[0] for call in calls}
    assert len(slots) == 2, slots  # the second worker may find slot 1 being closed, and take the next
    until(lambda: all(known(house, call) for call in calls), "the new calls in the index", SECONDS)
    assert_told_by_the_verifier(house, damaged.name, copied.receipts[lost])


def assert_told_by_the_verifier(house: Installation, damaged: str, lost: str) -> None:
    """Damage shows in the files; what a truncation took shows to whoever holds a receipt of it."""
    report = report_of(house)
    assert {problem.slot for problem in report.problems} == {0}
    assert report.first is not None
    assert report.first.segment == damaged
    assert {(found.slot, found.cause) for found in report.recoveries} == {(0, "damage"), (1, "torn-tail")}
    witnessed = report_of(house, lost)
    assert (witnessed.problems[-1].check, witnessed.problems[-1].slot) == (WITNESSES, 1)
    done = house.command("ledger", "verify")
    assert done.returncode == 7
    for told in (f"slot 0, {damaged}", "recovery: slot 0", "recovery: slot 1"):
        assert told in done.stderr
