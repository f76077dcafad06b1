"""Edge, handler and client together: whatever breaks on one call, no other call sees a byte of it."""

from __future__ import annotations

import asyncio
import hashlib
import random
from typing import Any

import pytest

from tokenone.errors import UpstreamBroken, UpstreamTimeout

CALLS = 400
CONNECTIONS = 16


def page(name: bytes) -> bytes:
    """The body that belongs to a call, from one byte to some tens of kilobytes."""
    digest = hashlib.sha256(name).hexdigest().encode()
    return name + b":" + digest * (1 + digest[0] % 7 * 100)


async def provider(peer: Any) -> None:
    """Answers with the page of the body it was sent, and misbehaves as the call's name says."""
    while True:
        head, name = await peer.message()
        body = page(name)
        kind = name.split(b"-")[0]
        assert b"x-call: " + name in head, "head and body of two calls"
        if kind == b"chunks":
            half = len(body) // 2
            parts = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:half], body[half:]))
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + parts + b"0\r\n\r\n")
            continue
        whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        if kind == b"surplus":
            whole += b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
        if kind == b"break":
            peer.send(whole[: len(whole) * 2 // 3])
            await peer.writer.drain()
            peer.reset()
            return
        for start in range(0, len(whole), 7001):
            peer.send(whole[start : start + 7001])
            await asyncio.sleep(0)


@pytest.mark.parametrize("seed", [1, 2])
async def test_interleaved_calls_that_break_hang_up_and_pipeline_never_see_each_others_bytes(
    seed: int, open_edge: Any, open_client: Any, open_provider: Any, request_to: Any, eventually: Any
) -> None:
    rng = random.Random(seed)
    async with open_provider(provider) as stand, open_client() as client:

        async def forward(exchange: Any) -> None:
            name = await exchange.body()
            tenant = name.split(b"-")[1].decode()
            outgoing = request_to(
                stand.origin, headers=[(b"x-call", name)], body=name, pool=(tenant, "key", 1)
            )
            try:
                incoming = await client.send(outgoing)
            except (UpstreamBroken, UpstreamTimeout):
                exchange.respond(502, [], b"broken")
                return
            exchange.on_gone(incoming.abort)
            exchange.start(incoming.status, incoming.headers)
            try:
                while (chunk := await incoming.chunk()) is not None:
                    if not exchange.write(chunk):
                        await exchange.writable()
            except UpstreamBroken:
                exchange.abort()
                return
            exchange.finish()

        async with open_edge(forward, header_bytes=4096) as door:
            names = [
                b"%b-%d-%d"
                % (rng.choice((b"plain", b"plain", b"chunks", b"surplus", b"break", b"hangup")), i % 5, i)
                for i in range(CALLS)
            ]
            shares = [names[i::CONNECTIONS] for i in range(CONNECTIONS)]
            whole = await asyncio.gather(*(call_in_turn(door, share, rng) for share in shares))
            assert sum(whole) >= sum(
                name.split(b"-")[0] in (b"plain", b"chunks", b"surplus") for name in names
            )
            await eventually(lambda: door.edge.stats.requests == 0 and door.edge.stats.connections == 0)
            assert door.edge.stats.inflight_body_bytes == 0
            await eventually(lambda: client.stats.connections == client.stats.idle)


async def call_in_turn(door: Any, names: list[bytes], rng: random.Random) -> int:
    """Makes calls over connections of its own, at times two pipelined; returns how many came back whole."""
    whole = 0
    waiting = list(names)
    while waiting:
        async with door.caller() as caller:
            while waiting:
                size = rng.choice((1, 1, 2))
                batch, waiting = waiting[:size], waiting[size:]
                for name in batch:
                    caller.send(
                        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(name), name)
                    )
                answered = 0
                for name in batch:
                    if name.startswith(b"hangup"):
                        caller.reset()
                        break
                    body = await chunked_body(caller)
                    if body is None:
                        break
                    assert body == page(name)
                    answered += 1
                whole += answered
                if answered < len(batch):
                    waiting = batch[answered + 1 :] + waiting
                    break
    return whole


async def chunked_body(caller: Any) -> bytes | None:
    """Reads a chunked response; None when it was cut."""
    try:
        head = await caller.head()
        if not head.startswith(b"HTTP/1.1 200 "):
            return None
        body = b""
        while size := int(await caller.reader.readuntil(b"\r\n"), 16):
            body += await caller.reader.readexactly(size)
            await caller.reader.readexactly(2)
        await caller.reader.readexactly(2)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return body
