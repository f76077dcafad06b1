"""A provider that answers with exactly the bytes a test hands it, and tells what it heard.

Law: one answer per connection, then the end; it parses no more of a request than where it ends.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

Script = Callable[[bytes], bytes]
"""(request as it came) → the bytes to answer with."""


class Scripted:
    """Listens on loopback: `with Scripted(script) as provider`; by TLS where a context is given."""

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        self.script = script
        self._tls = tls
        self.heard: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._thread = threading.Thread(target=self._accept, name="scripted provider", daemon=True)

    @property
    def origin(self) -> str:
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), self._secured(connection) as talk:
            request = _request(talk)
            self.heard.append(request)
            talk.sendall(self.script(request))
            talk.shutdown(socket.SHUT_WR)
            while talk.recv(65_536):
                pass

    def _secured(self, connection: socket.socket) -> socket.socket:
        return connection if self._tls is None else self._tls.wrap_socket(connection, server_side=True)


def _request(connection: socket.socket) -> bytes:
    """Reads one request that is framed by Content-Length."""
    held = b""
    while b"\r\n\r\n" not in held:
        held += _more(connection)
    head, _, body = held.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            while len(body) < int(line[15:]):
                body += _more(connection)
    return head + b"\r\n\r\n" + body


def _more(connection: socket.socket) -> bytes:
    data = connection.recv(65_536)
    if not data:
        raise ConnectionResetError
    return data


def answer(
    body: bytes, *fields: bytes, status: bytes = b"200 OK", kind: bytes = b"application/json"
) -> bytes:
    """One HTTP/1.1 response with a length, after which the connection ends, as it says: the next call must not
    find it still open."""
    length = b"content-length: %d" % len(body)
    head = [b"HTTP/1.1 " + status, b"connection: close", b"content-type: " + kind, length, *fields]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def presented(request: bytes) -> bytes:
    """The provider's key that a request carries."""
    for line in request.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() in (b"authorization", b"x-api-key"):
            return value.strip().removeprefix(b"Bearer ")
    raise AssertionError("the request carries no key")
