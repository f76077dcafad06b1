"""The edge and well-meaning callers: order, bodies, responses, half-closed connections, draining."""

from __future__ import annotations

import asyncio
import gc
import socket
import weakref
from typing import Any

import pytest

from tokenone.errors import CallerGone, ConfigRefused
from tokenone.wire.edge import Edge
from tokenone.wire.limits import EdgeLimits
from tokenone.wire.render import UnsafeField

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"


async def echo(exchange: Any) -> None:
    """Answers with method, target and body."""
    body = await exchange.body()
    exchange.respond(200, [(b"x-target", exchange.head.target)], exchange.head.method + b" " + body)


async def test_requests_on_one_connection_are_answered_in_order_even_when_pipelined(open_edge: Any) -> None:
    running = []

    async def handler(exchange: Any) -> None:
        running.append(exchange.head.target)
        assert len(running) == 1, "one at a time"
        await asyncio.sleep(0)
        running.pop()
        await echo(exchange)

    async with open_edge(handler) as door, door.caller() as caller:
        for number in range(50):
            caller.send(b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n%02d" % (number, number))
        for number in range(50):
            head, body = await caller.message()
            assert b"x-target: /%d\r\n" % number in head
            assert body == b"POST %02d" % number
        assert door.edge.stats.served == 50


async def test_a_flood_of_pipelined_requests_is_not_read_ahead_without_bound(open_edge: Any) -> None:
    release = asyncio.Event()
    most = 0

    async def handler(exchange: Any) -> None:
        await release.wait()
        exchange.respond(204, [])

    async with open_edge(handler, header_bytes=2048) as door, door.caller() as caller:
        sent = 0
        writer = caller.writer
        writer.transport.set_write_buffer_limits(high=1)
        while sent < 64 << 20:  # ends when the edge no longer reads and the kernel's buffers are full
            caller.send(GET * 4000)
            sent += len(GET) * 4000
            try:
                await asyncio.wait_for(writer.drain(), 0.2)
            except TimeoutError:
                break
        (connection,) = door.edge._room.connections
        most = len(connection._ahead)
        assert sent < 64 << 20
        assert most <= 2048 + 262_144  # the limit and one read
        release.set()


async def test_head_and_body_may_arrive_byte_by_byte(open_edge: Any) -> None:
    async with open_edge(echo) as door, door.caller() as caller:
        for byte in POST % 3 + b"abc":
            caller.send(bytes([byte]))
            await asyncio.sleep(0)
        assert (await caller.message())[1] == b"POST abc"


async def test_a_chunked_body_is_joined(open_edge: Any) -> None:
    async with open_edge(echo) as door, door.caller() as caller:
        caller.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
        caller.send(b"1;x\r\nc\r\n0\r\n\r\n" + GET)
        assert (await caller.message())[1] == b"POST abc"
        assert (await caller.message())[1] == b"GET "


async def test_expect_continue_is_answered_when_the_handler_asks_for_the_body(open_edge: Any) -> None:
    async with open_edge(echo) as door, door.caller() as caller:
        caller.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert await caller.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        caller.send(b"ok")
        assert (await caller.message())[1] == b"POST ok"


async def test_expect_continue_with_an_early_answer_closes_for_nobody_knows_whether_the_body_comes(
    open_edge: Any,
) -> None:
    async def refuse(exchange: Any) -> None:
        exchange.respond(401, [], b"no")

    async with open_edge(refuse) as door:
        request = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        answer = await door.ask(request)
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert b"connection: close\r\n" in answer
        assert b"100 Continue" not in answer


async def test_an_early_answer_reaches_a_caller_that_is_still_sending(open_edge: Any) -> None:
    async def refuse(exchange: Any) -> None:
        exchange.respond(401, [], b"no")

    async with open_edge(refuse) as door, door.caller() as caller:
        caller.send(POST % (20 << 20) + b"x" * (20 << 20))
        assert (await caller.message())[1] == b"no"
        assert await caller.rest() == b""


async def test_responses_to_head_204_and_304_have_no_body(open_edge: Any) -> None:
    async def handler(exchange: Any) -> None:
        status = int(exchange.head.target[1:])
        exchange.respond(status, [], b"four")

    async with open_edge(handler) as door, door.caller() as caller:
        caller.send(b"HEAD /200 HTTP/1.1\r\nHost: a\r\n\r\nGET /204 HTTP/1.1\r\nHost: a\r\n\r\n")
        caller.send(b"GET /304 HTTP/1.1\r\nHost: a\r\n\r\nGET /200 HTTP/1.1\r\nHost: a\r\n\r\n")
        heads = [await caller.head() for _ in range(3)]
        assert b"content-length: 4\r\n" in heads[0]
        assert heads[1] == b"HTTP/1.1 204 No Content\r\n\r\n"
        assert (await caller.message())[1] == b"four"


async def test_a_length_that_a_provider_gave_to_head_is_kept(open_edge: Any) -> None:
    async def handler(exchange: Any) -> None:
        exchange.respond(200, [(b"Content-Length", b"123")])

    async with open_edge(handler) as door:
        answer = await door.ask(b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert answer.count(b"ontent-") == 1
        assert b"Content-Length: 123\r\n" in answer


async def test_a_streamed_response_is_chunked_and_the_connection_lives_on(open_edge: Any) -> None:
    async def handler(exchange: Any) -> None:
        exchange.start(200, [(b"content-type", b"text/event-stream")])
        for part in (b"data: 1\n\n", b"", b"data: 2\n\n"):
            exchange.write(part)
        exchange.finish()

    async with open_edge(handler) as door, door.caller() as caller:
        for _ in range(2):
            caller.send(GET)
            assert b"transfer-encoding: chunked\r\n" in await caller.head()
            wanted = b"9\r\ndata: 1\n\n\r\n9\r\ndata: 2\n\n\r\n0\r\n\r\n"
            assert await caller.reader.readexactly(len(wanted)) == wanted


async def test_a_streamed_response_to_http_1_0_ends_with_the_connection(open_edge: Any) -> None:
    async def handler(exchange: Any) -> None:
        exchange.start(200, [])
        exchange.write(b"one ")
        exchange.write(b"two")
        exchange.finish()

    async with open_edge(handler) as door:
        answer = await door.ask(b"GET / HTTP/1.0\r\n\r\n")
        assert answer == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\none two"


async def test_a_response_shorter_or_longer_than_announced_is_cut(open_edge: Any) -> None:
    failures = []

    async def handler(exchange: Any) -> None:
        exchange.start(200, [], length=5)
        exchange.write(b"abc")
        if exchange.head.target == b"/long":
            with pytest.raises(RuntimeError) as failure:
                exchange.write(b"defgh")
            failures.append(failure)
            return
        exchange.finish()

    async with open_edge(handler) as door:
        for target in (b"/short", b"/long"):
            answer = await door.ask(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target)
            assert b"defgh" not in answer
        assert len(failures) == 1


async def test_what_a_handler_says_about_framing_is_not_sent(open_edge: Any) -> None:
    async def handler(exchange: Any) -> None:
        odd = [
            (b"Content-Length", b"99"),
            (b"Transfer-Encoding", b"chunked"),
            (b"Connection", b"x"),
            (b"A", b"b"),
        ]
        exchange.respond(200, odd, b"ok")

    async with open_edge(handler) as door:
        answer = await door.ask(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert answer == b"HTTP/1.1 200 OK\r\nA: b\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"


@pytest.mark.parametrize("value", [b"a\r\nX: y", b"a\nb", b"a\rb", b"a\0b"])
async def test_a_field_that_would_become_two_is_never_written(value: bytes, open_edge: Any) -> None:
    async def handler(exchange: Any) -> None:
        with pytest.raises(UnsafeField):
            exchange.respond(200, [(b"x", value)])
        exchange.respond(500, [])

    async with open_edge(handler) as door:
        assert (await door.ask(GET[:-2] + b"Connection: close\r\n\r\n")).startswith(b"HTTP/1.1 500 ")


async def test_a_failing_handler_is_answered_or_its_response_is_cut(open_edge: Any) -> None:
    seen = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context["message"]))

    async def handler(exchange: Any) -> None:
        if exchange.head.target == b"/started":
            exchange.start(200, [])
            exchange.write(b"half")
        if exchange.head.target != b"/silent":
            raise ValueError

    async with open_edge(handler) as door:
        close = b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        assert (await door.ask(b"GET /" + close)).startswith(b"HTTP/1.1 500 ")
        assert (await door.ask(b"GET /silent" + close)).startswith(b"HTTP/1.1 500 ")
        assert not (await door.ask(b"GET /started" + close)).endswith(b"0\r\n\r\n")
        assert seen == ["a handler failed"] * 2


async def test_a_half_closed_caller_gets_its_answers(open_edge: Any) -> None:
    async with open_edge(echo) as door, door.caller() as caller:
        caller.send(POST % 2 + b"hi" + GET)
        caller.writer.write_eof()
        assert (await caller.message())[1] == b"POST hi"
        assert (await caller.message())[1] == b"GET "
        assert await caller.rest() == b""


async def test_a_half_closed_caller_whose_answer_takes_too_long_counts_as_gone(open_edge: Any) -> None:
    gone = asyncio.Event()

    async def handler(exchange: Any) -> None:
        exchange.on_gone(gone.set)
        await gone.wait()
        assert exchange.gone

    async with open_edge(handler, half_close_seconds=0.05) as door, door.caller() as caller:
        caller.send(GET)
        caller.writer.write_eof()
        assert await caller.rest() == b""
        assert gone.is_set()
        assert door.refused == ["half-closed"]


async def test_a_request_that_ends_early_is_refused(open_edge: Any) -> None:
    ended = []

    async def handler(exchange: Any) -> None:
        with pytest.raises(CallerGone):
            await exchange.body()
        ended.append(exchange.gone)

    async with open_edge(handler) as door:
        for part in (b"GET / HT", POST % 5 + b"abc"):
            async with door.caller() as caller:
                caller.send(part)
                caller.writer.write_eof()
                assert (await caller.rest()).startswith(b"HTTP/1.1 400 ")
        assert door.refused == ["truncated", "truncated"]
        assert ended == [True]


@pytest.mark.parametrize("stage", ["waiting", "body", "streaming"])
async def test_a_handler_learns_that_its_caller_hung_up(stage: str, open_edge: Any, eventually: Any) -> None:
    told, ended = asyncio.Event(), asyncio.Event()

    async def handler(exchange: Any) -> None:
        exchange.on_gone(told.set)
        try:
            if stage == "body":
                await exchange.body()
            elif stage == "waiting":
                await told.wait()
                raise CallerGone
            exchange.start(200, [])
            while True:
                if not exchange.write(b"x" * 1000):
                    await exchange.writable()
                await asyncio.sleep(0)
        except CallerGone:
            assert exchange.gone
            ended.set()
            raise

    async with open_edge(handler) as door, door.caller() as caller:
        caller.send(POST % 4 + (b"ab" if stage == "body" else b"abcd"))
        if stage == "streaming":
            await caller.head()
        else:
            await eventually(lambda: door.edge.stats.requests == 1)
        caller.reset()
        await ended.wait()
        assert told.is_set()


async def test_a_hang_up_before_the_callback_is_registered_is_told_at_once(
    open_edge: Any, eventually: Any
) -> None:
    told = asyncio.Event()

    async def handler(exchange: Any) -> None:
        await eventually(lambda: exchange.gone)
        exchange.on_gone(told.set)
        exchange.respond(200, [], b"nobody reads this")

    async with open_edge(handler) as door, door.caller() as caller:
        caller.send(GET)
        await eventually(lambda: door.edge.stats.requests == 1)
        caller.reset()
        await told.wait()


async def test_what_an_answered_request_held_is_freed_without_the_collector(
    open_edge: Any, eventually: Any
) -> None:
    """Bodies that the budget calls free are free: a callback must not tie exchange and call in a knot."""
    held: list[weakref.ref[Any]] = []

    class Work:
        def __init__(self, exchange: Any) -> None:
            self.exchange = exchange
            held.append(weakref.ref(self))

        def stop(self) -> None:
            self.exchange.abort()

    async def handler(exchange: Any) -> None:
        work = Work(exchange)
        exchange.on_gone(work.stop)
        await echo(exchange)

    gc.disable()
    try:
        async with open_edge(handler) as door, door.caller() as caller:
            caller.send(POST % 4 + b"abcd")
            await caller.head()
            await eventually(lambda: [work() for work in held] == [None])
    finally:
        gc.enable()


async def test_plain_http_is_refused_beyond_loopback() -> None:
    edge = Edge(echo, EdgeLimits(), on_refused=print)
    with socket.socket() as sock:
        sock.bind(("0.0.0.0", 0))
        with pytest.raises(ConfigRefused):
            await edge.start(sock)


async def test_a_drain_ends_calls_and_streams_and_answers_the_request_that_was_on_its_way(
    open_edge: Any, eventually: Any
) -> None:
    release = asyncio.Event()

    async def handler(exchange: Any) -> None:
        if exchange.head.target == b"/stream":
            exchange.start(200, [])
            exchange.write(b"first")
            await release.wait()
            exchange.write(b"last")
            exchange.finish()
            return
        await release.wait()
        exchange.respond(200, [], b"done")

    async with (
        open_edge(handler, drain_idle_seconds=0.5) as door,
        door.caller() as busy,
        door.caller() as stream,
        door.caller() as idle,
        door.caller() as late,
    ):
        busy.send(GET)
        stream.send(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
        await stream.head()
        await eventually(lambda: door.edge.stats.connections == 4 and door.edge.stats.requests == 2)
        drain = asyncio.create_task(door.edge.drain(10))
        await eventually(lambda: door.edge._room.draining)
        late.send(GET)
        await eventually(lambda: door.edge.stats.requests == 3)
        release.set()
        for caller in (busy, late):
            head, body = await caller.message()
            assert b"connection: close\r\n" in head
            assert body == b"done"
        assert (await stream.rest()).endswith(b"4\r\nlast\r\n0\r\n\r\n")
        assert await idle.rest() == b""
        await drain
        assert door.edge.stats.connections == door.edge.stats.requests == 0


async def test_a_drain_cuts_what_is_left_at_the_deadline_and_lets_handlers_record_it(open_edge: Any) -> None:
    recorded = []

    async def handler(exchange: Any) -> None:
        gone = asyncio.Event()
        exchange.on_gone(gone.set)
        exchange.start(200, [])
        await gone.wait()
        recorded.append(exchange.gone)

    async with open_edge(handler) as door, door.caller() as caller:
        caller.send(GET)
        await caller.head()
        await door.edge.drain(0.1)
        assert recorded == [True]
        assert not (await caller.rest()).endswith(b"0\r\n\r\n")


async def test_a_drained_edge_accepts_nobody(open_edge: Any) -> None:
    async with open_edge(echo) as door:
        await door.edge.drain(0.1)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", door.port)
