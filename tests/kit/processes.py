"""The processes of an installation: who serves, who is a child, who has ended.

Law: a worker counts once it answers on its control socket; waiting is for what can be observed.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import psutil

from kit.installation import Installation
from kit.until import until
from tokenone.control.client import ControlClient
from tokenone.errors import TokenOneError

SECONDS = 40.0
"""Whatever is awaited comes at once on a quiet machine; the tests also run on busy ones."""


def serving(installation: Installation) -> dict[int, dict[str, Any]]:
    """Returns the status of every gateway worker that answers on its control socket, by process id."""
    return asyncio.run(_serving(ControlClient(installation.directory / "run")))


async def _serving(control: ControlClient) -> dict[int, dict[str, Any]]:
    told = {}
    for slot in control.slots():
        with contextlib.suppress(TokenOneError):
            status = await control.ask("status", slot=slot)
            told[int(status["pid"])] = status
    return told


def workers(installation: Installation) -> list[int]:
    """Returns the process ids of the gateway workers, serving or not; oldest first."""
    assert installation.process is not None
    found = []
    for child in psutil.Process(installation.process.pid).children():
        with contextlib.suppress(psutil.Error):
            if "tokenone.assemble.gateway" in child.cmdline():
                found.append((child.create_time(), child.pid))
    return [pid for _, pid in sorted(found)]


def full_house(installation: Installation, *, without: int = 0) -> list[int]:
    """Waits until every worker serves, `without` not being among them; returns their process ids."""

    def all_there() -> list[int]:
        there = sorted(serving(installation))
        return there if len(there) == installation.workers and without not in there else []

    return until(all_there, f"{installation.workers} workers that serve", SECONDS)


def family(installation: Installation) -> list[psutil.Process]:
    """Returns the supervisor and all its children."""
    assert installation.process is not None
    supervisor = psutil.Process(installation.process.pid)
    return [supervisor, *supervisor.children(recursive=True)]


def gone(process: psutil.Process) -> bool:
    """Says whether a process has ended (a zombie has)."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def gone_pid(pid: int) -> bool:
    """Says the same of a process id."""
    return not psutil.pid_exists(pid) or gone(psutil.Process(pid))
