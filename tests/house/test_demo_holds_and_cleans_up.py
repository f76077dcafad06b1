"""The newcomer's first command: all of it holds, and nothing of it is left behind."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

MARKER = "DEMO_UNDER_TEST"


def still_running(mark: str) -> list[int]:
    """Processes that carry the mark in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"{MARKER}={mark}".encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
    return found


@pytest.fixture
def mark() -> Iterator[str]:
    """A mark for the demo's processes; whatever still carries it at the end is killed."""
    chosen = secrets.token_hex(8)
    yield chosen
    for process in still_running(chosen):
        os.kill(process, signal.SIGKILL)


def demo(mark: str, folder: Path, *flags: str) -> subprocess.Popen[str]:
    environment = {**os.environ, MARKER: mark, "TMPDIR": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-m", "tokenone.demo", *flags],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def test_the_demo_holds_once_and_leaves_nothing(tmp_path: Path, mark: str) -> None:
    process = demo(mark, tmp_path, "--once")
    told, _ = process.communicate(timeout=180)
    assert process.returncode == 0, told
    *_, held, skipped = told.strip().splitlines()
    assert held.startswith("all of it held")
    assert skipped.startswith("skipped: ")
    assert still_running(mark) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_a_demo_that_stays_ends_with_everything_at_one_signal(tmp_path: Path, mark: str) -> None:
    process = demo(mark, tmp_path)
    assert process.stdout is not None
    assert any(line.startswith("Ctrl-C ends it") for line in process.stdout)
    process.terminate()
    assert process.wait(60) == 0
    assert still_running(mark) == []
    assert list(tmp_path.iterdir()) == []
