"""Runs the processes of one installation: N gateway workers, the console, the jobs.

Law: the listening sockets belong to the supervisor, so connections wait in the kernel while workers come and go:
a restart drops none. A crash of one never takes the others down; it is started again after a growing pause.
Each child gets its settings by a pipe and nothing by its environment; the roots' passphrase goes to gateways
alone. SIGTERM drains and ends; SIGHUP replaces the workers one by one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 10.0
HEALTHY_SECONDS: Final = 30.0
READY_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Role:
    """A kind of child: the module it runs, the socket it inherits and what it is told."""

    name: str
    module: str
    spec: bytes
    listener: socket.socket | None = None


@dataclass(slots=True)
class Child:
    """A running process of a role; `ready` is set once it said so."""

    role: Role
    process: asyncio.subprocess.Process
    started: float
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    watcher: asyncio.Task[None] | None = None


Say = Callable[[str], None]


class Supervisor:
    """Starts the roles' children, restarts what ends, replaces workers without dropping connections."""

    def __init__(self, *, environment: dict[str, str], say: Say, drain_seconds: float) -> None:
        self._environment = environment
        self._say = say
        self._drain_seconds = drain_seconds
        self._children: dict[str, Child] = {}
        self._draining: set[Child] = set()
        self._stopping = False
        self._restarts: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, role: Role) -> Child:
        """Starts one child of a role and returns once it is ready or has ended."""
        child = await self._spawn(role)
        self._children[role.name] = child
        await self._until_ready(child)
        return child

    async def replace(self, role: Role) -> None:
        """Starts a successor; once it is ready the old child drains its streams and ends."""
        old = self._children.get(role.name)
        child = await self._spawn(role)
        await self._until_ready(child)
        if not child.ready.is_set():
            self._say(f"{role.name}: the successor did not get ready; the old one stays")
            child.process.terminate()
            return
        self._children[role.name] = child
        if old is not None:
            self._draining.add(old)
            _signal(old.process, signal.SIGTERM)

    def children(self) -> dict[str, int]:
        """Returns the process id of each role's current child."""
        return {name: child.process.pid for name, child in self._children.items()}

    async def stop(self) -> None:
        """Lets every child drain, then ends what is left."""
        self._stopping = True
        everyone = [*self._children.values(), *self._draining]
        for child in everyone:
            _signal(child.process, signal.SIGTERM)
        waits = [asyncio.create_task(child.process.wait()) for child in everyone]
        if waits:
            _, late = await asyncio.wait(waits, timeout=self._drain_seconds + 5)
            for child in everyone if late else ():
                _signal(child.process, signal.SIGKILL)
            await asyncio.gather(*waits)
        for task in self._tasks:
            task.cancel()

    async def _spawn(self, role: Role) -> Child:
        spec_read, spec_write = os.pipe()
        ready_read, ready_write = os.pipe()
        inherited = [spec_read, ready_write]
        arguments = ["--spec-fd", str(spec_read), "--ready-fd", str(ready_write)]
        if role.listener is not None:
            inherited.append(role.listener.fileno())
            arguments += ["--listen-fd", str(role.listener.fileno())]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", role.module, *arguments,
            pass_fds=inherited, env=self._environment, stdin=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        os.close(spec_read)
        os.close(ready_write)
        await asyncio.to_thread(_write_all, spec_write, role.spec)
        child = Child(role, process, time.monotonic())
        child.watcher = self._keep(self._watch(child))
        self._keep(_note_ready(ready_read, child.ready))
        return child

    async def _until_ready(self, child: Child) -> None:
        ready = asyncio.create_task(child.ready.wait())
        ended = asyncio.create_task(child.process.wait())
        await asyncio.wait({ready, ended}, timeout=READY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        ended.cancel()

    async def _watch(self, child: Child) -> None:
        """Starts a role again when its current child ends by itself."""
        code = await child.process.wait()
        self._draining.discard(child)
        name = child.role.name
        if self._stopping or self._children.get(name) is not child:
            return
        if time.monotonic() - child.started > HEALTHY_SECONDS:
            self._restarts[name] = 0
        count = self._restarts[name] = self._restarts.get(name, 0) + 1
        pause = min(FIRST_PAUSE * 2 ** (count - 1), LONGEST_PAUSE)
        self._say(f"{name} ended with {code}; starting again in {pause:.1f} s")
        await asyncio.sleep(pause)
        if not self._stopping and self._children.get(name) is child:
            self._children[name] = await self._spawn(child.role)

    def _keep(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def listen(address: str) -> socket.socket:
    """Binds and listens on `host:port` (or `[v6]:port`); the descriptor stays with the supervisor."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((host, int(port)))
    bound.listen(4096)
    bound.setblocking(False)
    return bound


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)


def _write_all(descriptor: int, content: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), os.fdopen(descriptor, "wb") as pipe:
        pipe.write(content)


async def _note_ready(descriptor: int, ready: asyncio.Event) -> None:
    """Sets `ready` when the child writes to its pipe; a child that ends closes it without a word."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb")
    )
    try:
        if await reader.read(1):
            ready.set()
    finally:
        transport.close()
