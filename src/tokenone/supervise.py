"""Runs the processes of one installation: N gateway workers, the console, the jobs.

Law: the listening sockets belong to the supervisor, so connections wait in the kernel while workers come and
go: a restart drops none. A crash of one never takes the others down; it is started again after a pause that
grows while it keeps crashing. Each child gets its settings by a pipe and nothing by its environment. A child
holds the end of a pipe whose other end lives and dies with the supervisor, so none is left without one.
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

from tokenone.errors import ConfigRefused, OperatorError

FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 10.0
HEALTHY_SECONDS: Final = 1.0
"""Whoever was ready for so long does not count as crashing at once: a worker that serves is missed."""
READY_SECONDS: Final = 60.0
GRACE_SECONDS: Final = 5.0
"""Beyond its drain a child has this much to end; then it is killed."""
REFUSED: Final = 78
"""A child's exit code when trying again cannot help (EX_CONFIG of sysexits.h)."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Role:
    """A kind of child: the module it runs, the socket it inherits and what it is told."""

    name: str
    module: str
    spec: bytes
    listener: socket.socket | None = None


@dataclass(slots=True, eq=False)
class Child:
    """A process of a role."""

    process: asyncio.subprocess.Process
    ended: asyncio.Task[int]
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    ready_at: float = 0.0


@dataclass(slots=True, eq=False)
class Post:
    """A role's place and the child that holds it. Children come and go under `turn`, one change at a time."""

    role: Role
    started: asyncio.Future[None]
    """Settled once: a child was ready, or refused for good."""
    child: Child | None = None
    crashes: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Supervisor:
    """Mans the posts, mans them again when a child ends, replaces workers without dropping connections."""

    def __init__(self, *, environment: dict[str, str], say: Say, drain_seconds: float) -> None:
        self._environment = environment
        self._say = say
        self._drain_seconds = drain_seconds
        self._posts: dict[str, Post] = {}
        self._children: set[Child] = set()
        """Everybody who runs: holders of posts, successors on trial, and those who drain."""
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._life_read, self._life_write = os.pipe()

    async def start(self, role: Role) -> None:
        """Returns once a child of the role is ready; raises OperatorError when it refuses for good."""
        post = self._posts[role.name] = Post(role, asyncio.get_running_loop().create_future())
        async with post.turn:
            await self._man(post)
        await post.started

    async def replace(self, role: Role) -> bool:
        """Starts a successor; once it is ready the old child drains and ends. Says whether it took over."""
        post = self._posts[role.name]
        async with post.turn:
            if self._stopping.is_set():
                return False
            successor = await self._spawn(role)
            if not await self._gets_ready(successor):
                self._say(f"{role.name}: the successor did not get ready; the old one stays")
                self._keep(self._end(successor))
                return False
            old = post.child
            self._hold(post, successor)
        if old is not None:
            self._keep(self._end(old))
        return True

    def children(self) -> dict[str, int]:
        """Returns the process id of each post's child."""
        return {name: post.child.process.pid for name, post in self._posts.items() if post.child is not None}

    async def stop(self) -> None:
        """Shuts the doors, lets every child drain, then ends what is left."""
        self._stopping.set()
        for post in self._posts.values():
            if post.role.listener is not None:
                post.role.listener.close()  # whoever calls now is refused at once, not kept waiting in vain
        for post in self._posts.values():
            async with post.turn:  # a change under way ends first; there is none after it
                post.child = None
        await asyncio.gather(*(self._end(child) for child in tuple(self._children)))
        await asyncio.gather(*self._tasks, return_exceptions=True)
        os.close(self._life_write)
        os.close(self._life_read)

    # ── posts ──────────────────────────────────────────────────────────────────────────────────────────
    async def _man(self, post: Post) -> None:
        self._hold(post, await self._spawn(post.role))

    def _hold(self, post: Post, child: Child) -> None:
        post.child = child
        self._keep(self._watch(post, child))

    async def _watch(self, post: Post, child: Child) -> None:
        """Sees a post's child through: notes that it is ready, and mans the post again when it ends."""
        if await self._gets_ready(child):
            if not post.started.done():
                post.started.set_result(None)
        elif not (child.ended.done() or self._stopping.is_set()):
            self._say(f"{post.role.name} did not get ready in {READY_SECONDS:.0f} s; killed")
            _signal(child.process, signal.SIGKILL)
        code = await child.ended
        async with post.turn:
            if post.child is not child or self._stopping.is_set():
                return
            if code == REFUSED and not post.started.done():
                post.started.set_exception(OperatorError(f"{post.role.name} refused; it says why above"))
                return
            pause = _pause_after(post, child)
            self._say(f"{post.role.name} ended with {code}; starting again in {pause:.1f} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            if not self._stopping.is_set():
                await self._man(post)

    async def _gets_ready(self, child: Child) -> bool:
        """Waits until the child says so; False when it ends, takes too long, or everything stops."""
        ready = asyncio.create_task(child.ready.wait())
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait(
            {ready, stopping, child.ended}, timeout=READY_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        ready.cancel()
        stopping.cancel()
        return child.ready.is_set()

    # ── processes ──────────────────────────────────────────────────────────────────────────────────────
    async def _spawn(self, role: Role) -> Child:
        spec_read, spec_write = os.pipe()
        ready_read, ready_write = os.pipe()
        inherited = [spec_read, ready_write, self._life_read]
        arguments = ["--spec-fd", str(spec_read), "--ready-fd", str(ready_write)]
        arguments += ["--life-fd", str(self._life_read)]
        if role.listener is not None:
            inherited.append(role.listener.fileno())
            arguments += ["--listen-fd", str(role.listener.fileno())]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", role.module, *arguments,
            pass_fds=inherited, env=self._environment, stdin=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        child = Child(process, asyncio.create_task(process.wait()))
        self._children.add(child)
        child.ended.add_done_callback(lambda _: self._children.discard(child))
        os.close(spec_read)
        os.close(ready_write)
        await asyncio.to_thread(_write_all, spec_write, role.spec)
        self._keep(_note_ready(ready_read, child))
        return child

    async def _end(self, child: Child) -> None:
        """Lets a child drain; kills it when it takes longer than it may."""
        _signal(child.process, signal.SIGTERM)
        _, late = await asyncio.wait({child.ended}, timeout=self._drain_seconds + GRACE_SECONDS)
        if late:
            self._say(f"process {child.process.pid} did not end in time; killed")
            _signal(child.process, signal.SIGKILL)
            await child.ended

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def listen(address: str) -> socket.socket:
    """Binds and listens on `host:port` (or `[v6]:port`); the descriptor stays with the supervisor."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, int(port)))
        bound.listen(4096)
    except (OSError, ValueError, OverflowError) as error:
        bound.close()
        reason = error.strerror if isinstance(error, OSError) else "not an address"
        raise ConfigRefused(f"cannot listen on {address}: {reason}") from None
    bound.setblocking(False)
    return bound


def _pause_after(post: Post, child: Child) -> float:
    """Counts a crash and returns how long to wait: longer each time while children die young."""
    lived = time.monotonic() - child.ready_at if child.ready.is_set() else 0.0
    post.crashes = 1 if lived >= HEALTHY_SECONDS else post.crashes + 1
    doubled: float = FIRST_PAUSE * 2 ** min(post.crashes - 1, 16)
    return min(doubled, LONGEST_PAUSE)


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)


def _write_all(descriptor: int, content: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), os.fdopen(descriptor, "wb") as pipe:
        pipe.write(content)


async def _note_ready(descriptor: int, child: Child) -> None:
    """Notes when the child writes to its pipe; a child that ends closes it without a word."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb")
    )
    try:
        if await reader.read(1):
            child.ready_at = time.monotonic()
            child.ready.set()
    finally:
        transport.close()
