"""Law of the crash: kill -9 at any step loses nothing acknowledged, and every intent gets exactly one outcome."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tokenone.ledger.reader import read

WORKER = """
import asyncio, os, signal, sys
from pathlib import Path
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from tokenone.clock import AnchoredClock
from tokenone.ledger.disk import Disk
from tokenone.ledger.writer import Ledger, LedgerKeys, LedgerLimits

directory, step, count, cut = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])

class Dying(Disk):
    left = count

def dying(name):
    real = getattr(Disk, name)
    def method(self, *args):
        Dying.left -= 1
        if Dying.left == 0:
            if step.startswith("after"):
                real(self, *args)
            elif step.startswith("inside"):
                real(self, args[0], args[1][: int(len(args[1]) * cut)])
            os.kill(os.getpid(), signal.SIGKILL)
        return real(self, *args)
    return method

if step != "random":
    name = step.split(" ")[1]
    setattr(Dying, name, dying(name))

async def main():
    signing = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
    auditor = X25519PrivateKey.from_private_bytes(bytes(range(33, 65)))
    keys = LedgerKeys(signing, auditor.public_key(), "log.example/tests")
    limits = LedgerLimits(segment_bytes=6000, reserve_bytes=4096)
    ledger = Ledger.open(directory, 0, keys, AnchoredClock(), limits, Dying())
    await ledger.start()
    async def calls(lane):
        for number in range(300):
            call = f"{os.getpid()}.{lane}.{number}"
            await ledger.append("intent", {"attempt": 1, "call": call})
            os.write(1, f"intent {call}\\n".encode())
            await ledger.append("outcome", {"attempt": 1, "call": call, "cause": "ended"})
            os.write(1, f"outcome {call}\\n".encode())
    await asyncio.gather(*(calls(lane) for lane in range(8)))

asyncio.run(main())
"""


def crash(directory: Path, step: str, count: int, cut: float = 0.5, lines: int = 0) -> list[str]:
    """Runs a worker until it kills itself at the step, or until it said `lines` lines; returns what it said."""
    command = [sys.executable, "-c", WORKER, str(directory), step, str(count), str(cut)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if lines and len(said) == lines:
                process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    return [line.strip() for line in said if line.endswith("\n")]


def lawful(house: Any, acknowledged: list[str]) -> None:
    """Verifies right after the crash, opens the slot again, and holds every word that was given."""
    assert house.verify().ok if list(house.place.glob("*.seg")) else not acknowledged
    house.run(lambda ledger: ledger.append("note", {}))
    report = house.verify()
    assert report.ok, report.first
    assert report.heads[0].open == 0
    entries = [each for each in read(house.place) if each.kind in ("intent", "outcome")]
    recorded = [f"{each.kind} {each.fields['call']}" for each in entries]
    assert set(acknowledged) <= set(recorded)
    assert len(recorded) == len(set(recorded))
    for said in acknowledged:
        if said.startswith("outcome"):
            call = said.split(" ")[1]
            causes = [e.fields["cause"] for e in entries if e.kind == "outcome" and e.fields["call"] == call]
            assert causes == ["ended"]


STEPS = [
    ("before append", 1), ("inside append", 4), ("after append", 6), ("before sync", 5), ("after sync", 7),
    ("before create", 2), ("after create", 2), ("inside append", 1), ("before sync_directory", 2),
    ("after sync_directory", 2),
]  # fmt: skip


@pytest.mark.parametrize(("step", "count"), STEPS)
def test_a_kill_at_a_labelled_step_loses_nothing_acknowledged(house: Any, step: str, count: int) -> None:
    lawful(house, crash(house.directory, step, count))


@pytest.mark.parametrize("step", ["before truncate", "after truncate", "after create", "before remove"])
def test_a_kill_during_recovery_is_recovered_from(house: Any, step: str) -> None:
    said = crash(house.directory, "inside append", 2)  # behind the boot's batch, in the first segment
    if step == "before remove":
        (house.place / "0000000009.seg").write_bytes(b"")
        said += crash(house.directory, step, 1)
        (house.place / "0000000009.seg").unlink(missing_ok=True)
    else:
        said += crash(house.directory, step, 1)
    lawful(house, said)


@pytest.mark.parametrize("seed", range(3))
def test_a_kill_at_a_random_moment_loses_nothing_acknowledged(house: Any, seed: int) -> None:
    lawful(house, crash(house.directory, "random", 0, lines=random.Random(seed).randrange(1, 400)))


@pytest.mark.long
@pytest.mark.parametrize("seed", range(30))
def test_many_kills_in_a_row_at_many_steps_lose_nothing(house: Any, seed: int) -> None:
    dice = random.Random(seed)
    said: list[str] = []
    for _ in range(6):
        place, name = dice.choice(["before", "after", "inside"]), dice.choice(["append", "sync", "create"])
        if place == "inside":
            name = "append"
        said += crash(
            house.directory,
            f"{place} {name}",
            dice.randrange(1, 25 if name != "create" else 4),
            dice.random(),
        )
    lawful(house, said)


def test_the_worker_leaves_the_slot_free_when_it_dies(house: Any) -> None:
    crash(house.directory, "after sync", 3)
    assert os.path.exists(house.place / "lock")
    house.run(lambda ledger: ledger.append("note", {}))
    assert house.verify().ok
