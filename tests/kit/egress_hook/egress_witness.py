"""Notes where a Python process connects to: one line per connect, address only, in the session's file.

Law: it sees sockets by the interpreter's audit events, and uvloop's (which raises none) by its loop's own
methods; it changes nothing, refuses nothing and notes no content. Standard library only, because it runs
inside every process that is watched.
"""

import importlib.abc
import importlib.util
import os
import sys
from collections.abc import Callable
from typing import Any

VARIABLE = "EGRESS_WITNESS"
"""Names the file; children inherit it, and the kernel's view is attributed by it."""

Note = Callable[[str, object], None]


def watch(path: str) -> None:
    """Starts noting in this process; cannot be undone."""

    def note(kind: str, address: object) -> None:
        # Opened each time: a descriptor that is kept could be closed and become somebody else's socket.
        line = f"{os.getpid()} {kind} {_place(address)}\n"
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line.encode("utf-8", "backslashreplace"))
        finally:
            os.close(descriptor)

    sys.addaudithook(_hook(note))
    if "uvloop" in sys.modules:
        _wrap(sys.modules["uvloop"].Loop, note)
    else:
        sys.meta_path.insert(0, _OnImport(note))


def _hook(note: Note) -> Callable[[str, tuple[Any, ...]], None]:
    def connect(arguments: tuple[Any, ...]) -> None:
        note("connect", arguments[1])

    def send(arguments: tuple[Any, ...]) -> None:
        if arguments[1] is not None:
            note("send", arguments[1])

    def name(arguments: tuple[Any, ...]) -> None:
        if arguments[0]:
            note("name", arguments[0])

    wanted = {
        "socket.connect": connect,
        "socket.sendto": send,
        "socket.sendmsg": send,
        "socket.getaddrinfo": name,
        "socket.gethostbyname": name,
    }

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        noted = wanted.get(event)
        if noted is not None:
            noted(arguments)

    return hook


def _place(address: object) -> str:
    """Returns `unix`, or the host of an address; ports and paths are nobody's business."""
    if isinstance(address, (str, bytes)):
        text = address.decode("latin-1") if isinstance(address, bytes) else address
        return "unix" if text[:1] in ("/", "\0", "") else text.replace(" ", "_")
    if isinstance(address, tuple) and address and isinstance(address[0], str):
        return address[0].replace(" ", "_") or "0.0.0.0"
    return "other"


def _wrap(loop: Any, note: Note) -> None:
    """Notes what a uvloop loop dials and resolves; libuv connects without telling Python."""
    dial, unix, resolve, datagram = (
        loop.create_connection, loop.create_unix_connection, loop.getaddrinfo, loop.create_datagram_endpoint,
    )  # fmt: skip

    async def create_connection(
        self: Any, factory: Any, host: Any = None, port: Any = None, **more: Any
    ) -> Any:
        if host is not None:
            note("uvloop", (str(host), port))
        return await dial(self, factory, host, port, **more)

    async def create_unix_connection(self: Any, factory: Any, path: Any = None, **more: Any) -> Any:
        if path is not None:
            note("uvloop", "/")
        return await unix(self, factory, path, **more)

    async def getaddrinfo(self: Any, host: Any, port: Any, **more: Any) -> Any:
        if host:
            note("name", host)
        return await resolve(self, host, port, **more)

    async def create_datagram_endpoint(
        self: Any, factory: Any, local_addr: Any = None, remote_addr: Any = None, **more: Any
    ) -> Any:
        if remote_addr is not None:
            note("uvloop", remote_addr)
        return await datagram(self, factory, local_addr, remote_addr, **more)

    loop.create_connection = create_connection
    loop.create_unix_connection = create_unix_connection
    loop.getaddrinfo = getaddrinfo
    loop.create_datagram_endpoint = create_datagram_endpoint


class _OnImport(importlib.abc.MetaPathFinder):
    """Wraps uvloop's loop right after it is first imported."""

    def __init__(self, note: Note) -> None:
        self._note = note

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != "uvloop":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        execute, note = spec.loader.exec_module, self._note

        def exec_module(module: Any) -> None:
            execute(module)
            _wrap(module.Loop, note)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]  # this one loader, this one import
        return spec
