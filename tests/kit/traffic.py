"""Many calls over few keep-alive connections, as bytes: a client that costs little beside what it tests.

Law: one call at a time per connection, every answer belongs to the call before it or the test fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import uvloop

from kit.fronts import FRONTS
from tokenone.testing.desk import Workplace


@dataclass(slots=True)
class Spoken:
    """One call: what is asked, and what came back."""

    front: str
    place: Workplace
    mark: str
    stream: bool = False
    status: int = 0
    key: str = ""
    body: bytes = b""

    def request(self) -> bytes:
        front = FRONTS[self.front]
        body = front.body(f"echo {self.mark}", stream=self.stream)
        fields = front.headers(self.place.token) | {"host": "a.example", "content-length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"POST {front.chat} HTTP/1.1\r\n{head}\r\n".encode() + body


def talk(
    gateway: str, calls: Iterable[Spoken], *, connections: int, stop: Callable[[Spoken], bool] | None = None
) -> None:
    """Makes the calls, each filled in with its answer; `stop` is asked after each one."""
    uvloop.run(_talk(gateway, iter(calls), connections, stop or (lambda _: False)))


async def _talk(
    gateway: str, calls: Iterator[Spoken], connections: int, stop: Callable[[Spoken], bool]
) -> None:
    place = urlsplit(gateway)

    async def caller() -> None:
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        try:
            for call in calls:
                writer.write(call.request())
                await _answer(reader, call)
                if stop(call):
                    return
        finally:
            writer.close()

    await asyncio.gather(*(caller() for _ in range(connections)))


async def _answer(reader: asyncio.StreamReader, call: Spoken) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    call.status = int(head[9:12])
    length, chunked = 0, False
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b": ")
        if name == b"content-length":
            length = int(value)
        elif name == b"transfer-encoding":
            chunked = True
        elif name == b"x-tokenone-key":
            call.key = value.decode()
    call.body = await _chunks(reader) if chunked else await reader.readexactly(length)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readexactly(2)
    return b"".join(parts)
