"""Starts and ends the processes of a run, each on its side of the machine.

Law: a process is ended by the id we got when we started it, first asked (SIGTERM), then killed; where the
machine has two cores or more, whatever is measured has the last one to itself and all else shares the rest.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from benchmarks.plans import Outcome, Plan

ROOT = Path(__file__).resolve().parent.parent
_END_SECONDS = 10.0
# Byte code is written as in any installation, else time to ready would be the time to compile.
_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def raise_file_limit() -> int:
    """Raises the soft limit of open files to the hard one (children inherit it) and returns it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def measured_cores() -> set[int]:
    """The cores of the process that is measured: the last one, where there is another."""
    cores = sorted(os.sched_getaffinity(0))
    return {cores[-1]} if len(cores) > 1 else set(cores)


def other_cores() -> set[int]:
    """The cores of the upstream and the load."""
    cores = sorted(os.sched_getaffinity(0))
    return set(cores[:-1]) if len(cores) > 1 else set(cores)


class Child:
    """A process that we started; `announces` keeps its stdout for `first_line`, else it goes to the log."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        cores: set[int],
        log: Path,
        announces: bool = False,
        environment: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.log = log
        ours = os.sched_getaffinity(0)
        os.sched_setaffinity(0, cores)  # inherited by the child from its first instruction on
        try:
            with log.open("ab") as sink:
                self._process = subprocess.Popen(
                    command,
                    cwd=ROOT,
                    env={**_ENVIRONMENT, **(environment or {})},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE if announces else sink,
                    stderr=sink,
                    pass_fds=tuple(pass_fds),
                )
        finally:
            os.sched_setaffinity(0, ours)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def first_line(self) -> bytes:
        """Waits for the first line on stdout; an early end is an error that shows the log's tail."""
        assert self._process.stdout is not None
        line: bytes = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"process ended early: {self.tail()}")
        return line

    def tail(self) -> str:
        """Returns the end of what the process said on stderr."""
        return self.log.read_text(errors="replace")[-2000:]

    def end(self) -> None:
        """Asks the process to end, and kills it when it does not within ten seconds."""
        if self.running:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def python(module: str, *arguments: str) -> list[str]:
    """Returns the command that runs a module of this checkout."""
    return [sys.executable, "-m", module, *arguments]


def run_load(plan: Plan, *, limit_seconds: float = 180.0) -> Outcome:
    """Runs one plan in a load process and returns what came of it."""
    done = subprocess.run(
        python("benchmarks.load", *map(str, sorted(other_cores()))),
        input=msgspec.json.encode(plan),
        capture_output=True,
        cwd=ROOT,
        timeout=limit_seconds,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"load process failed: {done.stderr.decode(errors='replace')[-2000:]}")
    return msgspec.json.decode(done.stdout, type=Outcome)
