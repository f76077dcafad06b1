"""Law of the orphaned slot: what a crashed worker left open is closed by whoever runs, once, and by one at a time."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from kit.until import until
from tokenone.assemble.gateway import steadily
from tokenone.assemble.slots import Slots
from tokenone.clock import AnchoredClock
from tokenone.errors import OperatorError, StoreUnavailable
from tokenone.ledger.entry import Entry
from tokenone.ledger.reader import read
from tokenone.ledger.verify import verify
from tokenone.ledger.writer import LedgerKeys, LedgerLimits

pytestmark = pytest.mark.anyio
KEYS = LedgerKeys(Ed25519PrivateKey.generate(), X25519PrivateKey.generate().public_key(), "log.example/slots")
INTENT = {"call": "call7_a", "attempt": 1}


def slots_of(directory: Path, said: list[str]) -> Slots:
    return Slots(directory, KEYS, AnchoredClock(), LedgerLimits(reserve_bytes=4096), say=said.append)


async def crashed(directory: Path, slot: int) -> Path:
    """Returns a ledger as a crash leaves it: an intent in one slot, and nobody who closes it."""
    alive = directory / "alive"
    alive.mkdir()
    _, ledger = slots_of(alive, []).take([slot])
    await ledger.start()
    await ledger.append("intent", INTENT)
    shutil.copytree(alive, directory / "crashed")
    await ledger.close()
    return directory / "crashed"


def outcomes(directory: Path, slot: int) -> list[Entry]:
    return [entry for entry in read(directory / str(slot)) if entry.kind == "outcome"]


async def test_an_intent_that_a_crash_left_open_is_closed_once(tmp_path: Path) -> None:
    directory, said = await crashed(tmp_path, 7), list[str]()
    for _ in range(3):
        await slots_of(directory, said).close_orphans()
    (outcome,) = outcomes(directory, 7)
    assert outcome.fields == {**INTENT, "cause": "unknown"}
    assert said == ["ledger slot 7: 1 attempts left open are closed as unknown"]
    assert len([entry for entry in read(directory / "7") if entry.kind == "boot"]) == 2
    report = verify(directory, KEYS.signing.public_key().public_bytes_raw())
    assert (report.ok, report.heads[0].open) == (True, 0)


async def test_a_slot_that_somebody_holds_is_left_alone(tmp_path: Path) -> None:
    directory, said = await crashed(tmp_path, 7), list[str]()
    slots = slots_of(directory, said)
    _, held = slots.take([7])
    await slots.close_orphans()
    assert outcomes(directory, 7) == []
    await held.close()
    await slots.close_orphans()
    assert len(outcomes(directory, 7)) == 1


async def test_several_processes_close_it_once(tmp_path: Path) -> None:
    directory, said = await crashed(tmp_path, 7), list[str]()
    await asyncio.gather(*(slots_of(directory, said).close_orphans() for _ in range(5)))
    assert len(outcomes(directory, 7)) == 1


async def test_a_worker_takes_the_first_free_slot_or_says_that_there_is_none(tmp_path: Path) -> None:
    slots = slots_of(tmp_path, [])
    taken = [slots.take(range(2)) for _ in range(2)]
    assert [slot for slot, _ in taken] == [0, 1]
    with pytest.raises(OperatorError, match="every ledger slot is taken"):
        slots.take(range(2))
    for _, ledger in taken:
        await ledger.close()


async def test_background_work_goes_on_whatever_a_step_raises(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tokenone.assemble.gateway.RETRY_SECONDS", 0.0)
    troubles = iter([StoreUnavailable("gone"), StoreUnavailable("still gone"), KeyError("defect"), None])
    done = asyncio.Event()

    async def step() -> None:
        trouble = next(troubles, None)
        if trouble is not None:
            raise trouble
        done.set()

    work = asyncio.create_task(steadily("the work", step, 0.0))
    await asyncio.wait_for(done.wait(), 10)
    told = await asyncio.to_thread(until, lambda: capsys.readouterr().err, "what was said")
    work.cancel()
    assert told.splitlines()[:3] == [
        "gateway: the work: store_unavailable (gone)",
        "gateway: the work: a defect: KeyError",
        "gateway: the work: works again",
    ]
