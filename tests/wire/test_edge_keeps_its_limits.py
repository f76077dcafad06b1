"""The edge and callers that are slow, greedy or broken: every limit holds, and memory with it."""

from __future__ import annotations

import asyncio
import tracemalloc
from typing import Any

import pytest

from tokenone.errors import BodyTooLarge, CallerGone, Overloaded, TokenOneError

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"


async def read_and_answer(exchange: Any) -> None:
    """Answers with the body's length, or with the error that body() raises, as a gateway does."""
    try:
        body = await exchange.body()
    except CallerGone:
        raise
    except TokenOneError as error:
        exchange.respond(error.status, [], error.code.encode())
        return
    exchange.respond(200, [], b"%d" % len(body))


async def test_a_giant_header_is_refused_and_never_accumulates(open_edge: Any) -> None:
    async with open_edge(read_and_answer) as door, door.caller() as caller:
        caller.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        tracemalloc.start()
        sent = 0
        try:
            while sent < 200 << 20:
                caller.send(b"a" * (1 << 20))
                await caller.writer.drain()
                sent += 1 << 20
        except ConnectionError:
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert (await caller.rest()).startswith(b"HTTP/1.1 431 ") or sent < 200 << 20
        assert door.refused == ["header-size"]
        assert peak < 8 << 20


async def test_a_head_that_drips_is_cut_after_its_seconds_however_busy_it_looks(open_edge: Any) -> None:
    async with open_edge(read_and_answer, head_seconds=0.3) as door, door.caller() as caller:
        loop = asyncio.get_running_loop()
        began = loop.time()
        answer = asyncio.create_task(caller.rest())
        caller.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        while not answer.done():
            caller.send(b"a")
            await asyncio.sleep(0.01)
        assert (await answer).startswith(b"HTTP/1.1 408 ")
        assert 0.3 <= loop.time() - began < 1.0
        assert door.refused == ["head-timeout"]


async def test_an_idle_connection_is_closed_without_a_word(open_edge: Any) -> None:
    async with open_edge(read_and_answer, keep_alive_seconds=0.05) as door:
        assert await door.ask(b"") == b""
        async with door.caller() as caller:
            caller.send(GET)
            assert (await caller.message())[1] == b"0"
            assert await caller.rest() == b""
        assert door.refused == []


@pytest.mark.parametrize("limit", ["body_idle_seconds", "body_seconds"])
async def test_a_body_that_stalls_or_drips_is_cut(limit: str, open_edge: Any) -> None:
    async with open_edge(read_and_answer, **{limit: 0.2}) as door, door.caller() as caller:
        caller.send(POST % 1000)
        answer = asyncio.create_task(caller.rest())
        while not answer.done():
            if limit == "body_seconds":
                caller.send(b"a")
            await asyncio.sleep(0.01)
        assert (await answer).startswith(b"HTTP/1.1 408 ")
        assert door.refused == ["body-timeout"]


async def test_a_body_over_its_limit_is_told_by_413_announced_or_not(open_edge: Any) -> None:
    async with open_edge(read_and_answer, body_bytes=1000) as door:
        chunks = (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"2ff\r\n%b\r\n" % (b"a" * 767) * 2
        )
        for request in (POST % 1001 + b"a" * 1001, chunks):
            async with door.caller() as caller:
                caller.send(request)
                head, body = await caller.message()
                assert head.startswith(b"HTTP/1.1 413 ")
                assert body == BodyTooLarge.code.encode()
        async with door.caller() as caller:
            caller.send(POST % 1000 + b"a" * 1000)
            assert (await caller.message())[1] == b"1000"
        assert door.edge.stats.inflight_body_bytes == 0


async def test_bodies_in_flight_have_a_budget_that_is_given_back(open_edge: Any, eventually: Any) -> None:
    release = asyncio.Event()

    async def handler(exchange: Any) -> None:
        if exchange.head.target == b"/hold":
            assert len(await exchange.body()) == 800
            await release.wait()
            exchange.respond(200, [], b"held")
            return
        await read_and_answer(exchange)

    async with open_edge(handler, inflight_body_bytes=1000) as door, door.caller() as holder:
        holder.send(b"POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 800\r\n\r\n" + b"a" * 800)
        await eventually(lambda: door.edge.stats.inflight_body_bytes == 800)
        async with door.caller() as caller:
            caller.send(POST % 201 + b"a" * 201)
            head, body = await caller.message()
            assert head.startswith(b"HTTP/1.1 503 ")
            assert body == Overloaded.code.encode()
        release.set()
        assert (await holder.message())[1] == b"held"
        async with door.caller() as caller:
            caller.send(POST % 201 + b"a" * 201)
            assert (await caller.message())[1] == b"201"
        assert door.edge.stats.inflight_body_bytes == 0


async def test_a_body_that_nobody_asked_for_is_not_read(open_edge: Any, eventually: Any) -> None:
    release = asyncio.Event()

    async def handler(exchange: Any) -> None:
        await release.wait()
        await read_and_answer(exchange)

    size = 32 << 20
    async with open_edge(handler, unread_body_bytes=1000) as door, door.caller() as caller:
        caller.send(POST % size + b"a" * size)
        await eventually(lambda: door.edge.stats.inflight_body_bytes > 0)
        for _ in range(100):
            await asyncio.sleep(0.001)
        assert door.edge.stats.inflight_body_bytes < 1000 + 2 * 262_144
        release.set()
        assert (await caller.message())[1] == b"%d" % size


async def test_connections_have_a_cap_in_all_and_per_peer(open_edge: Any, eventually: Any) -> None:
    for limits in ({"connections": 2}, {"connections_per_peer": 2}):
        async with open_edge(read_and_answer, **limits) as door, door.caller() as one, door.caller() as two:
            for caller in (one, two):
                caller.send(GET)
                await caller.message()
            async with door.caller() as third:
                assert (await third.rest()).startswith(b"HTTP/1.1 503 ")
            assert door.refused == ["connections"]
            one.close()
            await eventually(lambda: door.edge.stats.connections < 2)
            async with door.caller() as again:
                again.send(GET)
                assert (await again.message())[1] == b"0"


async def test_a_slow_reader_holds_the_handler_back_and_memory_down(open_edge: Any, eventually: Any) -> None:
    written = 0
    total = 32 << 20

    async def handler(exchange: Any) -> None:
        nonlocal written
        exchange.start(200, [], length=total)
        while written < total:
            if not exchange.write(b"x" * 65_536):
                await exchange.writable()
            written += 65_536
        exchange.finish()

    async with open_edge(handler) as door, door.caller() as caller:
        caller.send(GET)
        await caller.head()
        paused = written
        while paused != written or not written:
            paused = written
            await asyncio.sleep(0.05)
        assert written < total
        (connection,) = door.edge._room.connections
        assert connection.transport.get_write_buffer_size() <= 2 * 65_536
        assert len(await caller.reader.readexactly(total)) == total
        await eventually(lambda: door.edge.stats.served == 1)


async def test_a_caller_that_takes_nothing_is_cut(open_edge: Any) -> None:
    gone = asyncio.Event()

    async def handler(exchange: Any) -> None:
        exchange.on_gone(gone.set)
        exchange.start(200, [])
        while exchange.write(b"x" * 65_536):
            pass
        await exchange.writable()

    async with open_edge(handler, send_stall_seconds=0.2) as door, door.caller() as caller:
        caller.writer.transport.pause_reading()
        caller.send(GET)
        await gone.wait()
        assert door.refused == ["send-stall"]


async def test_a_caller_that_never_closes_does_not_keep_the_connection(
    open_edge: Any, eventually: Any
) -> None:
    async with open_edge(read_and_answer, linger_seconds=0.1) as door, door.caller() as caller:
        caller.send(GET[:-2] + b"Connection: close\r\n\r\n")
        assert (await caller.message())[1] == b"0"
        await eventually(lambda: door.edge.stats.connections == 0)


@pytest.mark.parametrize("junk", [b"\x16\x03\x01", b"SSH-2.0-x\r\n", b"{}", b"\0"])
async def test_other_protocols_are_refused_before_a_deadline(junk: bytes, open_edge: Any) -> None:
    async with open_edge(read_and_answer, head_seconds=0.5) as door:
        answer = await door.ask(junk)
        assert answer[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 408")
        assert len(door.refused) == 1


async def test_an_edge_under_a_storm_of_resets_ends_with_nothing_left(
    open_edge: Any, eventually: Any
) -> None:
    async with open_edge(read_and_answer) as door:
        request = POST % 5 + b"hello"
        for place in range(len(request)):
            async with door.caller() as caller:
                caller.send(request[:place])
                await asyncio.sleep(0)
                caller.reset()
        await eventually(lambda: door.edge.stats.connections == 0 and door.edge.stats.requests == 0)
        assert door.edge.stats.inflight_body_bytes == 0
        assert (await door.ask(b"GET / HTTP/1.0\r\n\r\n")).endswith(b"\r\n\r\n0")
