"""Every line where the gateway raises or catches, from the source, and those that ran.

Law: the list is read off the syntax tree, so a new branch is on it the moment it is written.
"""

from __future__ import annotations

import ast
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import coverage

import tokenone

SOURCE = Path(tokenone.__file__).parent
ROOMS = ("call", "gateway")
MODULES = ("dispatch/forward.py", "dispatch/scrub.py", "dispatch/attempts.py")


@dataclass(frozen=True)
class Branch:
    """One `raise` or `except`: the module below the package, the line, and its text."""

    module: str
    line: int
    text: str


def files() -> list[Path]:
    found = [path for room in ROOMS for path in sorted((SOURCE / room).glob("*.py"))]
    return [*found, *(SOURCE / module for module in MODULES)]


def branches() -> list[Branch]:
    """Returns every `raise` and `except` of the watched modules."""
    found = []
    for path in files():
        text = path.read_text(encoding="utf-8")
        lines = text.splitlines()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.Raise, ast.ExceptHandler)):
                module = str(path.relative_to(SOURCE))
                found.append(Branch(module, node.lineno, lines[node.lineno - 1].strip()))
    return sorted(found, key=lambda branch: (branch.module, branch.line))


class Executed:
    """The lines of the watched modules that ran while it was on."""

    def __init__(self) -> None:
        self._lines: dict[str, set[int]] = {}

    def take(self, data: coverage.CoverageData) -> None:
        for path in files():
            self._lines[str(path.relative_to(SOURCE))] = set(data.lines(str(path)) or ())

    def ran(self, branch: Branch) -> bool:
        return branch.line in self._lines.get(branch.module, set())


@contextmanager
def watched() -> Iterator[Executed]:
    """Traces the watched modules in this thread and in threads that begin meanwhile."""
    executed = Executed()
    tool = coverage.Coverage(
        data_file=None, include=[str(path) for path in files()], config_file=False, messages=False
    )
    before = threading.gettrace() if hasattr(threading, "gettrace") else None
    tool.start()
    try:
        yield executed
    finally:
        tool.stop()
        executed.take(tool.get_data())
        threading.settrace(before)  # type: ignore[arg-type]  # None switches it off
