"""Runs the replay server of recorded exchanges as a process, and asks it what it received."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kit.installation import free_port
from kit.shared import require_exchanges, shared_directory


@contextmanager
def replaying(directory: Path, *options: str) -> Iterator[str]:
    """Serves the exchanges on a loopback port; yields the origin."""
    folder = require_exchanges()
    port = free_port()
    command = [sys.executable, str(shared_directory() / "replay.py"), str(folder), "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--log", str(directory / f"received-{port}.jsonl"), *options],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert "exchanges" in process.stdout.readline()
        wait_listening(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def wait_listening(port: int) -> None:
    """Returns once something accepts connections on a loopback port; the kernel refuses until then."""
    for _ in range(200):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/__replay__/index", timeout=5).close()
            return
        except OSError:
            continue
    raise AssertionError(f"nothing listens on {port}")


def received(origin: str) -> list[dict[str, Any]]:
    """Returns every request that the replay server got since the last reset."""
    with urllib.request.urlopen(f"{origin}/__replay__/requests", timeout=10) as answer:
        rows: list[dict[str, Any]] = json.load(answer)
        return rows


def reset(origin: str) -> None:
    """Forgets what was received and served."""
    request = urllib.request.Request(f"{origin}/__replay__/reset", method="POST", data=b"{}")
    urllib.request.urlopen(request, timeout=10).close()
