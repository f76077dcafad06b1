"""Shared parts of the ledger's tests: keys, logs on a temporary disk, and disks that fail on demand."""

from __future__ import annotations

import asyncio
import errno
import importlib.util
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tokenone.clock import FrozenClock
from tokenone.ledger.disk import Disk
from tokenone.ledger.verify import verify
from tokenone.ledger.writer import Ledger, LedgerKeys, LedgerLimits

REPOSITORY = Path(__file__).parents[2]
SIGNING = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
AUDITOR = X25519PrivateKey.from_private_bytes(bytes(range(33, 65)))
KEYS = LedgerKeys(SIGNING, AUDITOR.public_key(), "log.example/tests")
FAST = LedgerLimits(probe_seconds=0.002, reserve_bytes=4096)


class FailingDisk(Disk):
    """A real disk that fails where it is told: `budget` bytes until it is full, or an error for one method."""

    def __init__(self) -> None:
        self.budget: int | None = None
        self.errors: dict[str, int] = {}
        self.calls: list[str] = []
        self.reserved = 0

    def _step(self, name: str) -> None:
        self.calls.append(name)
        if name in self.errors:
            raise OSError(self.errors[name], "told to fail")

    def create(self, path: Path) -> int:
        self._step("create")
        return super().create(path)

    def append(self, fd: int, data: bytes) -> None:
        self._step("append")
        if self.budget is not None and len(data) > self.budget:
            super().append(fd, data[: self.budget])  # a short write, then the error
            self.budget = 0
            raise OSError(errno.ENOSPC, "full")
        if self.budget is not None:
            self.budget -= len(data)
        super().append(fd, data)

    def sync(self, fd: int) -> None:
        self._step("sync")

    def sync_directory(self, path: Path) -> None:
        self._step("sync_directory")

    def truncate(self, fd: int, size: int) -> None:
        self._step("truncate")
        super().truncate(fd, size)

    def remove(self, path: Path) -> None:
        self._step("remove")
        if path.name == "reserve" and self.budget is not None:
            self.budget += self.reserved
        super().remove(path)

    def reserve(self, path: Path, size: int) -> None:
        self._step("reserve")
        if self.budget is not None and self.budget < size and not path.exists():
            raise OSError(errno.ENOSPC, "full")
        self.reserved = size
        path.write_bytes(bytes(size))


class House:
    """Opens ledgers on one temporary directory and verifies what they leave."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.keys = KEYS
        self.clock = FrozenClock()
        self.disk = FailingDisk()
        self.public = SIGNING.public_key().public_bytes_raw()
        self.auditor = AUDITOR.private_bytes_raw()
        self.place = directory / "0"

    def open(self, slot: int = 0, limits: LedgerLimits = FAST) -> Ledger:
        return Ledger.open(self.directory, slot, KEYS, self.clock, limits, self.disk)

    def verify(self, **more: Any) -> Any:
        return verify(self.directory, self.public, self.auditor, **more)

    def run(self, story: Callable[[Ledger], Awaitable[Any]], limits: LedgerLimits = FAST) -> Any:
        """Runs one boot: open, start, the story, close."""

        async def boot() -> Any:
            ledger = self.open(limits=limits)
            await ledger.start()
            try:
                return await story(ledger)
            finally:
                await ledger.close()

        return asyncio.run(boot())


def intent(call: str, attempt: int = 1) -> dict[str, Any]:
    return {"attempt": attempt, "call": call, "model": "gpt-4.1-mini", "path": "/v1/chat/completions"}


def outcome(call: str, attempt: int = 1) -> dict[str, Any]:
    return {"attempt": attempt, "call": call, "cause": "ended", "status": 200}


def _load_forge() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ledger_vectors", REPOSITORY / "tools/ledger_vectors.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture(scope="session")
def forge() -> ModuleType:
    """tools/ledger_vectors.py: logs forged frame by frame."""
    return _load_forge()


@pytest.fixture(scope="session")
def vectors() -> Path:
    return REPOSITORY / "vectors"


@pytest.fixture
def calls() -> Any:
    """The fields of an intent and an outcome of a call."""

    class Calls:
        intent = staticmethod(intent)
        outcome = staticmethod(outcome)

    return Calls
