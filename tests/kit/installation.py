"""A real installation in a folder: `tokenone init` and `tokenone serve` as processes, driven by its REST API.

Law: everything runs on loopback, every process started here is ended here by its id, nothing is mocked.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from tokenone.control.client import ControlClient
from tokenone.errors import ControlUnavailable
from tokenone.testing.desk import Desk, Workplace

PASSWORD = "correct horse battery staple"
START_SECONDS = 60


def free_port() -> int:
    """Returns a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Installation:
    """One installation; `start` it, talk to it, `stop` it."""

    directory: Path
    workers: int = 1
    egress: tuple[str, ...] = ("127.0.0.0/8",)
    settings: dict[str, str] = field(default_factory=dict)
    gateway_port: int = field(default_factory=free_port)
    console_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    lines: list[str] = field(default_factory=list)
    http: httpx2.Client = field(
        default_factory=lambda: httpx2.Client(trust_env=False, verify=False, timeout=30)
    )
    """Keeps its connections; certificates are the subject of tests of their own."""
    _desk: Desk | None = None

    @property
    def gateway(self) -> str:
        return f"http://127.0.0.1:{self.gateway_port}"

    @property
    def console(self) -> str:
        return f"http://127.0.0.1:{self.console_port}"

    def environment(self) -> dict[str, str]:
        """Returns what the processes are told by their environment."""
        told = {
            "TOKENONE_DIR": str(self.directory),
            "TOKENONE_GATEWAY__LISTEN": f"127.0.0.1:{self.gateway_port}",
            "TOKENONE_GATEWAY__WORKERS": str(self.workers),
            "TOKENONE_CONSOLE__LISTEN": f"127.0.0.1:{self.console_port}",
            "TOKENONE_EGRESS__ALLOW": json.dumps(list(self.egress)),
        }
        return {**os.environ, **told, **self.settings}

    def command(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Runs `tokenone …` to its end."""
        return subprocess.run(
            [sys.executable, "-m", "tokenone.main", *arguments],
            env=self.environment(), input=stdin, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def init(self) -> None:
        """Makes the installation, with the person `admin`."""
        done = self.command("init", "--admin", "admin", "--password-stdin", stdin=PASSWORD + "\n")
        if done.returncode:
            raise AssertionError(f"init failed: {done.stdout}{done.stderr}")

    def start(self) -> None:
        """Starts the supervisor and waits until everything is ready."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tokenone.main", "serve"],
            env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        ready = threading.Event()
        threading.Thread(target=self._read, args=(self.process, ready), daemon=True).start()
        if not ready.wait(START_SECONDS) or self.process.poll() is not None:
            self.stop()
            raise AssertionError("serve did not get ready:\n" + "\n".join(self.lines))

    def _read(self, process: subprocess.Popen[bytes], ready: threading.Event) -> None:
        assert process.stdout is not None
        for raw in process.stdout:
            line = raw.decode("utf-8", "replace").rstrip()
            self.lines.append(line)
            if line.startswith("ready"):
                ready.set()
        ready.set()

    def stop(self) -> None:
        """Ends the supervisor; it ends its children."""
        if self._desk is not None:
            self._desk.close()
            self._desk = None
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(10)
        self.process = None

    def kill(self) -> None:
        """Ends every process of the installation at once, as a power cut does."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        self.process = None
        self._desk = None

    def desk(self) -> Desk:
        """Returns a signed-in client of the management API; one per start."""
        if self._desk is None:
            self._desk = Desk(self.console, "admin", PASSWORD)
        return self._desk

    def told(self, place: Workplace, call: str) -> dict[str, Any]:
        """Returns what the gateway tells a caller of its call, once the outcome is there."""
        headers = {"authorization": f"Bearer {place.token}"}
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            answer = self.http.get(f"{self.gateway}/tokenone/calls/{call}", headers=headers)
            told: dict[str, Any] = answer.json()
            if answer.status_code == 200 and told["state"] != "open":
                return told
        raise AssertionError(f"no outcome of {call}")

    def until_seen(self, place: Workplace, *, providers: int) -> None:
        """Returns once the gateway knows the workload's keys: within two seconds of the edit."""
        headers = {"authorization": f"Bearer {place.token}"}
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            answer = self.http.get(f"{self.gateway}/tokenone/whoami", headers=headers)
            if answer.status_code == 200 and len(answer.json()["providers"]) >= providers:
                return
        raise AssertionError("the gateway does not see the workload's keys")

    def until_current(self) -> float:
        """Returns once every worker knows what the database says now; how many seconds that took."""
        began = time.monotonic()
        wanted = self.desk().api("GET", "/status")["revision"]
        while len(seen := self._revisions()) < self.workers or min(seen) < wanted:
            assert time.monotonic() - began < 10, f"workers have seen {seen}, not revision {wanted}"
        return time.monotonic() - began

    def _revisions(self) -> list[int]:
        """Asks every worker; the socket of one that was killed answers nobody."""
        control = ControlClient(self.directory / "run")
        seen = []
        for slot in control.slots():
            with contextlib.suppress(ControlUnavailable):
                seen.append(int(asyncio.run(control.ask("status", slot=slot))["revision"]))
        return seen
