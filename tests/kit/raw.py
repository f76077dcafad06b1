"""A caller that speaks bytes: sends what it likes on a connection of its own and reads until the end."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator
from urllib.parse import urlsplit

from kit.fronts import Front
from tokenone.testing.desk import Workplace


class RawCaller:
    """One connection to a gateway."""

    def __init__(self, gateway: str, *, window: int | None = None, seconds: float = 15) -> None:
        place = urlsplit(gateway)
        self._socket = socket.socket()
        self._socket.settimeout(seconds)
        if window is not None:  # a caller that takes little keeps little in the kernel
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self._socket.connect((place.hostname, place.port))

    def send(self, data: bytes) -> None:
        """Sends; a gateway that has closed already is no error."""
        with contextlib.suppress(ConnectionError):
            self._socket.sendall(data)

    def end(self) -> None:
        """Closes the sending side."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def until(self, mark: bytes) -> bytes:
        """Reads until `mark` has come, or the end."""
        held = b""
        while mark not in held:
            data = self._read()
            if not data:
                break
            held += data
        return held

    def rest(self) -> bytes:
        """Reads until the gateway closes; a reset counts as the end."""
        held = []
        while data := self._read():
            held.append(data)
        return b"".join(held)

    def reset(self) -> None:
        """Closes with a TCP reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def close(self) -> None:
        self._socket.close()

    def _read(self) -> bytes:
        try:
            return self._socket.recv(65_536)
        except ConnectionError:
            return b""


@contextlib.contextmanager
def raw_caller(gateway: str) -> Iterator[RawCaller]:
    caller = RawCaller(gateway)
    try:
        yield caller
    finally:
        caller.close()


def statuses(answers: bytes) -> list[int]:
    """The status of every response in a row of responses framed by length."""
    found = []
    while answers:
        head, _, rest = answers.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 "), answers[:200]
        found.append(int(head[9:12]))
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        answers = rest[length:]
    return found


def post(
    front: Front, place: Workplace, *, stream: bool = False, fault: str = "", text: str = "hello"
) -> bytes:
    """A call as bytes."""
    body = front.body(text, stream=stream)
    fields = front.headers(place.token) | {"host": "a.example", "content-length": str(len(body))}
    if fault:
        fields["x-standin-fault"] = fault
    lines = [f"POST {front.chat} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def header(head: bytes, name: bytes) -> str:
    """One field of a response's head."""
    lines = head.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    fields = dict(line.split(b": ", 1) for line in lines)
    return fields[name].decode()
