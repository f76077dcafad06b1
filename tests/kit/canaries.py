"""Secrets that are looked for, and everything that is looked through."""

from __future__ import annotations

import secrets
import string
from collections.abc import Iterable, Mapping
from pathlib import Path

import httpx2
import psutil

from kit.fronts import FRONTS
from kit.grounds import secret_of
from tokenone.testing.leak import Leak, LeakScanner

_LETTERS = string.ascii_letters + string.digits


def random_text(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(length))


def provider_keys() -> dict[str, str]:
    """A canary key of each front: random, in the provider's form."""
    return {name: secret_of(front, random_text(44)) for name, front in FRONTS.items()}


def of_token(text: str) -> bytes:
    """A caller token's secret part; its id is public."""
    return text.split("_")[3].encode()


class Watch:
    """Collects what came out of a house, and tells where a canary is in it."""

    def __init__(self, canaries: Mapping[str, str]) -> None:
        self._canaries = {name: text.encode() for name, text in canaries.items()}
        self._seen: list[tuple[str, bytes]] = []

    def add(self, name: str, canary: bytes) -> None:
        """Looks for one more secret."""
        self._canaries[name] = canary

    def saw(self, where: str, data: bytes | str) -> None:
        """Keeps something that came out."""
        self._seen.append((where, data.encode() if isinstance(data, str) else data))

    def saw_answer(self, where: str, answer: httpx2.Response) -> httpx2.Response:
        """Keeps an answer's head and body."""
        head = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
        self.saw(where, f"{answer.status_code} {answer.reason_phrase}\n{head}\n".encode() + answer.content)
        return answer

    def saw_processes(self, pids: Iterable[int]) -> None:
        """Keeps what other users of the machine may see of processes, and their environment."""
        for pid in pids:
            for part in ("cmdline", "environ"):
                self.saw(f"{part} of a process", Path(f"/proc/{pid}/{part}").read_bytes())

    @property
    def size(self) -> int:
        """How many bytes were kept."""
        return sum(len(data) for _, data in self._seen)

    def scanner(self) -> LeakScanner:
        return LeakScanner(self._canaries)

    def leaks(self, *folders: Path) -> list[Leak]:
        """Returns every leak in what was kept and in the files of folders."""
        scanner = self.scanner()
        found = [leak for where, data in self._seen for leak in scanner.scan_bytes(data, where)]
        return found + scanner.scan_folders(*folders)


def tree(pid: int) -> list[int]:
    """The process and all that it started."""
    parent = psutil.Process(pid)
    return [pid, *(child.pid for child in parent.children(recursive=True))]
