"""The house in this process, what it is led through error by error, and everything that comes out of it."""

from __future__ import annotations

import errno
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from kit.branches import Executed
from kit.canaries import Watch
from kit.fronts import OPENAI, Front
from kit.grounds import Grounds
from kit.inprocess import InProcess
from kit.logbook import Logbook
from kit.scripted import Scripted
from tokenone.ledger.disk import Disk
from tokenone.testing.desk import Workplace
from tokenone.testing.recording import RecordingDetector
from tokenone.types import Finding


class Defective:
    """A detector with a defect: it fails on a word, and its message quotes what it saw."""

    name = "defective"

    def suspects(self, raw: bytes) -> bool:
        return b"defect" in raw

    def settled(self, text: str) -> int:
        return len(text)

    def inspect(self, text: str) -> list[Finding]:
        if "defect" in text:
            raise RuntimeError(f"cannot cope with {text}")
        return []


class FullDisk(Disk):
    """A real disk that is full when it is told to be."""

    def __init__(self) -> None:
        self.full = False

    def append(self, fd: int, data: bytes) -> None:
        self._check()
        super().append(fd, data)

    def reserve(self, path: Path, size: int) -> None:
        self._check()
        super().reserve(path, size)

    def create(self, path: Path) -> int:
        self._check()
        return super().create(path)

    def _check(self) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "no space left")


@dataclass
class Walk:
    """The house, what it is led through, and what came out."""

    house: InProcess
    grounds: Grounds
    scripted: Scripted
    keys: dict[str, str]
    watch: Watch
    recorder: RecordingDetector
    disk: FullDisk
    logbook: Logbook
    http: httpx2.Client
    output: io.StringIO = field(default_factory=io.StringIO)
    executed: Executed = field(default_factory=Executed)

    def ask(self, place: Workplace, front: Front = OPENAI, **fields: Any) -> httpx2.Response:
        headers = front.headers(place.token)
        if fault := fields.pop("fault", None):
            headers["x-standin-fault"] = fault
        path = fields.pop("path", front.chat)
        got = self.http.post(self.house.gateway + path, headers=headers, content=front.body(**fields))
        return self.watch.saw_answer("an answer", got)

    def get(self, path: str, place: Workplace | None = None, method: str = "GET") -> httpx2.Response:
        headers = {} if place is None else {"authorization": f"Bearer {place.token}"}
        return self.watch.saw_answer(
            path, self.http.request(method, self.house.gateway + path, headers=headers)
        )

    def route(
        self, origin: str, name: str, endpoint: dict[str, Any] | None = None, **tenant: Any
    ) -> Workplace:
        """A tenant whose keys of both fronts lead to one origin."""
        made = self.house.tenant(name, **tenant)
        place = self.house.place(made, name, grants=["inference", "stateful"])
        for front, secret in self.keys.items():
            row = self.house.endpoint(front, origin, tenant=made, base_path=f"/{front}", **(endpoint or {}))
            self.house.assign(self.house.key(made, front, row, secret), "workload", place.workload)
        return place

    def code(self, got: httpx2.Response) -> str | None:
        return got.headers.get("x-tokenone-error")
