"""Laws of slots and of the own voice of processes: room for every successor, nothing forgotten or lost to a pipe."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tokenone.assemble import gateway, installation
from tokenone.assemble.slots import Slots
from tokenone.clock import FrozenClock
from tokenone.ledger.disk import Disk
from tokenone.ledger.reader import read
from tokenone.ledger.writer import Ledger, LedgerKeys, LedgerLimits

pytestmark = pytest.mark.anyio
KEYS = LedgerKeys(Ed25519PrivateKey.from_private_bytes(bytes(range(32))), None, "log.example/slots")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize("workers", [1, 4, 16])
async def test_every_worker_can_be_replaced_while_all_old_ones_drain(workers: int) -> None:
    slots = installation.slots_of(workers)
    assert len(slots) >= 2 * workers + 1  # and one whose log is just being closed


async def test_a_log_that_could_not_be_closed_is_closed_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, limits = FrozenClock(), LedgerLimits(reserve_bytes=4096)
    crashed = Ledger.open(tmp_path, 0, KEYS, clock, limits)
    await crashed.start()
    await crashed.append("intent", {"attempt": 1, "call": "c"})
    await crashed.close()
    slots = Slots(tmp_path, KEYS, clock, limits, say=lambda _: None)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(Disk, "append", full)
        patch.setattr(Disk, "rewrite", lambda *_: None)  # no room is needed for that
        patch.setattr(Disk, "reserve", full)
        await slots.close_orphans()
    assert [each.kind for each in read(tmp_path / "0")] == ["boot", "intent"]
    await slots.close_orphans()
    assert [each.kind for each in read(tmp_path / "0")][:4] == ["boot", "intent", "boot", "outcome"]


def test_a_supervisor_that_nobody_listens_to_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    class Deaf:
        """A pipe whose reader is gone."""

        def write(self, _: str) -> None:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Deaf())
    monkeypatch.setattr(sys, "stderr", Deaf())
    for module in (installation, gateway):
        module._say("gateway 0 ended with -9; starting again in 0.2 s")
