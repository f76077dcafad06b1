"""Law of the console's patience: a request that does not come whole in time is cut; a slow answer is not."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import uvicorn

from tokenone.assemble.console import config_of
from tokenone.assemble.patience import PatientProtocol

SECONDS = 0.3
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Hasty(PatientProtocol):
    seconds = SECONDS


async def answers_late(scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Send) -> None:
    """Reads the body, then answers after three deadlines' time."""
    while (await receive()).get("more_body"):
        pass
    late = asyncio.Event()
    asyncio.get_running_loop().call_later(3 * SECONDS, late.set)
    await late.wait()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    config = config_of(answers_late, None)
    config.http = Hasty
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join(10)


def until_cut(connection: socket.socket, drip: bytes = b"") -> float:
    """Sends `drip` again and again until the server ends the connection; how long that took."""
    began = time.monotonic()
    connection.settimeout(SECONDS / 10)
    while time.monotonic() - began < 20:
        try:
            if connection.recv(4096) == b"":
                return time.monotonic() - began
        except TimeoutError:
            if drip:
                connection.sendall(drip)
        except OSError:
            return time.monotonic() - began
    raise AssertionError("the connection was not cut")


@pytest.mark.parametrize(
    ("begin", "drip"),
    [
        (b"", b""),
        (b"GET / HTTP/1.1\r\nhost: x\r\n", b""),
        (b"GET / HTTP/1.1\r\nhost: x\r\nx-slow: ", b"a"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n", b"b"),
    ],
    ids=["silence", "half a head", "a dripping head", "a dripping body"],
)
def test_a_request_that_does_not_come_whole_is_cut(port: int, begin: bytes, drip: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(begin)
        assert until_cut(connection, drip) >= SECONDS * 0.9


def test_a_slow_answer_is_waited_for_and_the_next_request_has_its_own_time(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for _ in range(2):
            connection.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\nz")
            told = b""
            while not told.endswith(b"ok"):
                piece = connection.recv(4096)
                assert piece, "the answer was cut"
                told += piece
            assert told.startswith(b"HTTP/1.1 200")
