"""Measures the ledger alone: what an append costs, how fast a log verifies, what this disk's fdatasync takes.

Law: `run()` needs no gateway and leaves nothing behind. CPU figures are thread or process time.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tokenone.clock import AnchoredClock
from tokenone.ledger.verify import verify
from tokenone.ledger.writer import Ledger, LedgerKeys

CALLS = 10_000
WAVE = 250


def run(directory: Path | None = None) -> dict[str, Any]:
    """Returns the figures; `directory` chooses the disk (the temporary one otherwise)."""
    with tempfile.TemporaryDirectory(dir=directory) as place:
        keys = LedgerKeys(
            Ed25519PrivateKey.generate(), X25519PrivateKey.generate().public_key(), "bench.example"
        )
        figures = {**_hashes(), **asyncio.run(_append(Path(place), keys)), **_fdatasync(Path(place))}
        started = time.process_time()
        report = verify(Path(place), keys.signing.public_key().public_bytes_raw())
        spent = time.process_time() - started
        assert report.ok, report.first
        figures["verify_entries_per_second"] = round(report.entries / spent)
        figures["entries"] = report.entries
        figures["batches"] = report.batches
        size = sum(path.stat().st_size for path in Path(place).glob("*/*.seg"))
        figures["bytes_per_entry"] = round(size / report.entries)
    return figures


async def _append(place: Path, keys: LedgerKeys) -> dict[str, Any]:
    """Appends intents and outcomes in waves; the loop's thread time is what a call pays on its way."""
    ledger = Ledger.open(place, 0, keys, AnchoredClock())
    await ledger.start()
    appending = 0.0
    process, wall = time.process_time(), time.perf_counter()
    for first in range(0, CALLS, WAVE):
        pairs = [(_intent(number), _outcome(number)) for number in range(first, first + WAVE)]
        started = time.thread_time()
        for intent, outcome in pairs:
            ledger.append("intent", intent)
            last = ledger.append("outcome", outcome)
        appending += time.thread_time() - started
        await last
    process, wall = time.process_time() - process, time.perf_counter() - wall
    receipts = time.thread_time()
    for _ in range(200):
        (await last).receipt()
    receipts = time.thread_time() - receipts
    await ledger.close()
    return {
        "append_us": round(appending / CALLS / 2 * 1e6, 2),
        "cpu_us_per_entry_all_threads": round(process / CALLS / 2 * 1e6, 2),
        "receipt_us": round(receipts / 200 * 1e6, 2),
        "entries_per_second": round(CALLS * 2 / wall),
    }


def _intent(number: int) -> dict[str, Any]:
    return {
        "attempt": 1,
        "body": "ab" * 32,
        "call": f"call_{number:020d}",
        "endpoint": "ep_00000000000000000000",
        "findings": [],
        "key": "key_00000000000000000000",
        "method": "POST",
        "model": "gpt-4.1-mini",
        "origin": "https://api.openai.com",
        "path": "/v1/chat/completions",
        "project": "prj_00000000000000000000",
        "provider": "openai",
        "tenant": "ten_00000000000000000000",
        "token": "tok_00000000000000000000",
        "ver": 3,
        "workload": "wl_00000000000000000000",
    }


def _outcome(number: int) -> dict[str, Any]:
    return {
        "attempt": 1,
        "call": f"call_{number:020d}",
        "cause": "ended",
        "cost": {"lines": [["input", 812, 400_000_000, 324_800], ["output", 96, 1_600_000_000, 153_600]]},
        "fee": 50_000,
        "received": 2_048,
        "sent": 4_096,
        "status": 200,
        "us": {"ended": 61_200, "first": 60_100, "intent": 900},
        "usage": {"input": 812, "output": 96},
    }


def _fdatasync(place: Path, rounds: int = 300) -> dict[str, Any]:
    """Appends 4 KiB and syncs, again and again: the floor below every acknowledgement."""
    fd = os.open(place / "probe", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    taken = []
    for _ in range(rounds):
        os.write(fd, bytes(4096))
        started = time.perf_counter()
        os.fdatasync(fd)
        taken.append((time.perf_counter() - started) * 1e6)
    os.close(fd)
    cuts = statistics.quantiles(taken, n=100)
    return {"fdatasync_p50_us": round(cuts[49]), "fdatasync_p99_us": round(cuts[98])}


def _hashes() -> dict[str, Any]:
    """One SHA-256 of 65 bytes: how fast this machine is just now."""
    data, started = bytes(65), time.thread_time()
    for _ in range(50_000):
        hashlib.sha256(data).digest()
    return {"sha256_us": round((time.thread_time() - started) / 50_000 * 1e6, 3)}


if __name__ == "__main__":
    json.dump(run(), sys.stdout, indent=1)
    print()
