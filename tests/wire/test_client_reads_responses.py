"""The client and providers good and bad: framing, timeouts, resets at any byte, back-pressure, pools."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from tokenone.errors import (
    DialFailed,
    Overloaded,
    UpstreamBroken,
    UpstreamClosedIdle,
    UpstreamTimeout,
)
from tokenone.types import parse_origin
from tokenone.wire.client import render_request
from tokenone.wire.render import UnsafeField

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\no"


def hung_up(peer: Any) -> bool:
    """The other side has closed or reset the connection."""
    return peer.reader.at_eof() or peer.reader.exception() is not None


async def test_a_request_is_written_once_with_host_and_length_and_without_hop_fields(
    open_client: Any, open_provider: Any, request_to: Any
) -> None:
    seen = []

    async def script(peer: Any) -> None:
        seen.append(await peer.message())
        peer.send(OK)

    odd = [
        (b"Host", b"evil"),
        (b"Connection", b"x"),
        (b"Content-Length", b"9"),
        (b"Expect", b"x"),
        (b"A", b"b"),
    ]
    async with open_provider(script) as stand, open_client() as client:
        incoming = await client.send(request_to(stand.origin, headers=odd, body=b"hello"))
        assert (incoming.status, incoming.reason, incoming.get(b"content-length")) == (200, b"OK", b"2")
        assert await incoming.read(100) == b"ok"
        assert incoming.received == 2
        host = stand.origin.authority.encode()
        head = b"POST /v1/x HTTP/1.1\r\nhost: %b\r\nA: b\r\ncontent-length: 5\r\n\r\n" % host
        assert seen == [(head, b"hello")]


@pytest.mark.parametrize(
    "change",
    [
        {"target": b"/a b"},
        {"target": b"/a\r\nX: y"},
        {"target": b"http://other/"},
        {"method": b"CONNECT"},
        {"method": b"GET /x"},
        {"headers": [(b"x", b"a\r\ny: b")]},
        {"headers": [(b"x\n", b"a")]},
    ],
)
def test_what_would_not_stay_one_request_is_never_written(change: dict[str, Any], request_to: Any) -> None:
    with pytest.raises(UnsafeField):
        render_request(request_to(parse_origin("https://a.example"), **change), b"a.example")


@pytest.mark.parametrize(
    ("response", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n", b"ok"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\n\r\n" + OK, b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", b""),
    ],
)
async def test_after_a_whole_response_the_connection_serves_the_next_request(
    response: bytes, body: bytes, open_client: Any, open_provider: Any, request_to: Any, answering: Any
) -> None:
    async with open_provider(answering(response)) as stand, open_client() as client:
        for _ in range(3):
            incoming = await client.send(request_to(stand.origin))
            assert await incoming.read(10) == body
            assert incoming.ended
        assert (len(stand.peers), client.stats.idle) == (1, 1)


async def test_a_response_to_head_has_no_body_whatever_it_announces(
    open_client: Any, open_provider: Any, request_to: Any, answering: Any
) -> None:
    announced = b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"
    async with open_provider(answering(announced)) as stand, open_client() as client:
        for _ in range(2):
            incoming = await client.send(request_to(stand.origin, method=b"HEAD", body=b""))
            assert (await incoming.chunk(), incoming.get(b"content-length")) == (None, b"999")
        assert len(stand.peers) == 1


async def test_a_response_without_framing_ends_with_the_connection(
    open_client: Any, open_provider: Any, request_to: Any, answering: Any, eventually: Any
) -> None:
    script = answering(b"HTTP/1.1 200 OK\r\n\r\nall of it", then_close=True)
    async with open_provider(script) as stand, open_client() as client:
        incoming = await client.send(request_to(stand.origin))
        assert await incoming.read(100) == b"all of it"
        await eventually(lambda: client.stats.connections == 0)


@pytest.mark.parametrize("whole", [OK, CHUNKED + b"k\r\n0\r\n\r\n"], ids=["length", "chunks"])
@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_break_at_any_byte_of_a_response_is_never_taken_for_its_end(
    whole: bytes, how: str, open_client: Any, open_provider: Any, request_to: Any, eventually: Any
) -> None:
    place = 0

    async def script(peer: Any) -> None:
        await peer.message()
        peer.send(whole[:place])
        await peer.writer.drain()
        peer.close() if how == "close" else peer.reset()

    async with open_provider(script) as stand, open_client() as client:
        for place in range(len(whole)):  # noqa: B007 - the script reads it
            with pytest.raises(UpstreamBroken):
                await (await client.send(request_to(stand.origin))).read(100)
        await eventually(lambda: client.stats.connections == 0)
        assert client.stats.idle == 0


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x15\x03\x03\x00\x02\x02\x46",
        b"<html>\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 9 + OK,
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000,
        b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 300 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_a_malformed_response_is_broken_and_its_connection_closed(
    garbage: bytes, open_client: Any, open_provider: Any, request_to: Any, answering: Any, eventually: Any
) -> None:
    async with open_provider(answering(garbage)) as stand, open_client() as client:
        with pytest.raises(UpstreamBroken):
            await (await client.send(request_to(stand.origin))).read(1000)
        await eventually(lambda: client.stats.connections == 0)


async def test_a_byte_after_a_response_closes_the_connection(
    open_client: Any, open_provider: Any, request_to: Any, answering: Any, eventually: Any
) -> None:
    for surplus in (b"x", OK):
        async with open_provider(answering(OK + surplus)) as stand, open_client() as client:
            for _ in range(2):
                assert await (await client.send(request_to(stand.origin))).read(10) == b"ok"
                await eventually(lambda: client.stats.connections == 0)
            assert len(stand.peers) == 2


async def test_a_byte_on_an_idle_connection_closes_it(
    open_client: Any, open_provider: Any, request_to: Any, answering: Any, eventually: Any
) -> None:
    async with open_provider(answering(OK)) as stand, open_client() as client:
        assert await (await client.send(request_to(stand.origin))).read(10) == b"ok"
        assert client.stats.idle == 1
        stand.peers[0].send(b"H")
        await eventually(lambda: client.stats.connections == client.stats.idle == 0)


async def test_a_poisoned_idle_connection_is_seen_even_before_the_loop_has_read_it(
    open_client: Any, open_provider: Any, request_to: Any, answering: Any
) -> None:
    async with open_provider(answering(OK)) as stand, open_client() as client:
        assert await (await client.send(request_to(stand.origin))).read(10) == b"ok"
        poison = stand.peers[0].writer.get_extra_info("socket").fileno()
        os.write(poison, b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
        assert await (await client.send(request_to(stand.origin))).read(10) == b"ok"
        assert len(stand.peers) == 2


async def test_a_reused_connection_that_ends_without_a_byte_says_so(
    open_client: Any, open_provider: Any, request_to: Any
) -> None:
    async def script(peer: Any) -> None:
        await peer.message()
        peer.send(OK)
        await peer.message()
        peer.close()

    async with open_provider(script) as stand, open_client() as client:
        await (await client.send(request_to(stand.origin))).read(10)
        with pytest.raises(UpstreamClosedIdle):
            await client.send(request_to(stand.origin))


async def test_silence_ends_in_a_timeout_at_every_stage(
    open_client: Any, open_provider: Any, request_to: Any
) -> None:
    beginnings = {
        "first_byte": [b"", b"HTTP/1.1 200 OK\r\nA", b"HTTP/1.1 100 Continue\r\n\r\n"],
        "idle": [OK[:-1], CHUNKED, b"HTTP/1.1 200 OK\r\n\r\nopen end"],
        "total": [b"", OK[:-1]],
    }
    for timeout, starts in beginnings.items():
        for start in starts:

            async def script(peer: Any, start: bytes = start) -> None:
                await peer.message()
                peer.send(start)

            async with open_provider(script) as stand, open_client() as client:
                with pytest.raises(UpstreamTimeout):
                    await (await client.send(request_to(stand.origin, timeouts={timeout: 0.05}))).read(100)
                assert (await stand.peers[0].rest()) == b""


@pytest.mark.parametrize("deadline", ["first_byte", "total"])
async def test_dripping_does_not_move_an_absolute_deadline(
    deadline: str, open_client: Any, open_provider: Any, request_to: Any
) -> None:
    async def script(peer: Any) -> None:
        await peer.message()
        peer.send(b"HTTP/1.1 200 OK\r\nX: " if deadline == "first_byte" else b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            peer.send(b"a")
            await peer.writer.drain()
            await asyncio.sleep(0.01)

    async with open_provider(script) as stand, open_client() as client:
        began = asyncio.get_running_loop().time()
        with pytest.raises(UpstreamTimeout):
            await (await client.send(request_to(stand.origin, timeouts={deadline: 0.2}))).read(1 << 20)
        assert 0.2 <= asyncio.get_running_loop().time() - began < 0.9


async def test_a_response_that_never_ends_is_cut_by_the_reader(
    open_client: Any, open_provider: Any, request_to: Any
) -> None:
    async def script(peer: Any) -> None:
        await peer.message()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            peer.send(b"a" * 65_536)
            await peer.writer.drain()

    async with open_provider(script) as stand, open_client() as client:
        with pytest.raises(UpstreamBroken):
            await (await client.send(request_to(stand.origin))).read(1 << 20)
        assert await stand.peers[0].rest() == b""


async def test_what_nobody_takes_is_not_read(
    open_client: Any, open_provider: Any, request_to: Any, eventually: Any
) -> None:
    total, sent = 64 << 20, 0

    async def script(peer: Any) -> None:
        nonlocal sent
        await peer.message()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        while sent < total:
            peer.send(b"a" * 65_536)
            await peer.writer.drain()
            sent += 65_536

    async with open_provider(script) as stand, open_client() as client:
        incoming = await client.send(request_to(stand.origin))
        await eventually(lambda: incoming.received > 0)
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.05)
        assert incoming.received < 131_072 + 2 * 262_144
        assert sent < total
        assert len(await incoming.read(total)) == total


async def test_a_response_that_nobody_takes_at_all_does_not_keep_its_connection(
    open_client: Any, open_provider: Any, request_to: Any, answering: Any, eventually: Any
) -> None:
    big = b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n" + b"a" * 5_000_000
    async with open_provider(answering(big)) as stand, open_client() as client:
        incoming = await client.send(request_to(stand.origin, timeouts={"idle": 0.1}))
        await eventually(lambda: client.stats.connections == 0)
        with pytest.raises(UpstreamBroken):
            await incoming.read(9_999_999)


@pytest.mark.parametrize("when", ["before the head", "in the body"])
async def test_abort_closes_the_connection_at_once(
    when: str, open_client: Any, open_provider: Any, request_to: Any, answering: Any, eventually: Any
) -> None:
    start = b"" if when == "before the head" else CHUNKED
    async with open_provider(answering(start)) as stand, open_client() as client:
        sending = asyncio.create_task(client.send(request_to(stand.origin)))
        if start:
            incoming = await sending
            assert await incoming.chunk() == b"o"
            incoming.abort()
            with pytest.raises(UpstreamBroken):
                await incoming.chunk()
        else:
            await eventually(lambda: bool(stand.peers))
            sending.cancel()
        await eventually(lambda: hung_up(stand.peers[0]))


async def test_an_early_answer_to_a_large_body_is_read_and_the_connection_not_reused(
    open_client: Any, open_provider: Any, request_to: Any, eventually: Any
) -> None:
    async def script(peer: Any) -> None:
        await peer.head()
        peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        await asyncio.Event().wait()

    async with open_provider(script) as stand, open_client() as client:
        incoming = await client.send(request_to(stand.origin, body=b"a" * (32 << 20)))
        assert (incoming.status, await incoming.read(10)) == (413, b"no")
        await eventually(lambda: client.stats.connections == 0)


async def test_connections_are_never_shared_between_tenants_keys_versions_or_origins(
    open_client: Any, open_provider: Any, request_to: Any, answering: Any
) -> None:
    async with (
        open_provider(answering(OK)) as one,
        open_provider(answering(OK)) as two,
        open_client() as client,
    ):
        pools = [("t1", "k1", 1), ("t2", "k1", 1), ("t1", "k2", 1), ("t1", "k1", 2)]
        for _ in range(3):
            for pool in pools:
                for stand in (one, two):
                    await (await client.send(request_to(stand.origin, pool=pool))).read(10)
        assert len(one.peers) == len(two.peers) == len(pools)
        assert client.stats.idle == 2 * len(pools)


async def test_a_retired_version_keeps_no_connection_and_cut_ends_its_streams(
    open_client: Any, open_provider: Any, request_to: Any, answering: Any, eventually: Any
) -> None:
    whole = CHUNKED + b"k\r\n0\r\n\r\n"

    async def script(peer: Any) -> None:
        await peer.message()
        peer.send(whole)
        await peer.message()
        peer.send(CHUNKED)
        await finish.wait()
        peer.send(whole[len(CHUNKED) :])

    finish = asyncio.Event()
    async with open_provider(script) as stand, open_client() as client:
        await (await client.send(request_to(stand.origin))).read(10)
        running = await client.send(request_to(stand.origin))
        client.retire_pool("key", 1)
        finish.set()
        assert await running.read(10) == b"ok"
        await eventually(lambda: client.stats.connections == 0)
        await (await client.send(request_to(stand.origin))).read(10)
        finish.clear()
        running = await client.send(request_to(stand.origin))
        client.retire_pool("key", 2, cut=True)
        assert await running.chunk() == b"o"
        client.retire_pool("key", 1, cut=True)
        with pytest.raises(UpstreamBroken):
            await running.chunk()


async def test_idle_connections_are_closed_in_time_and_sooner_when_the_provider_says_so(
    open_client: Any, open_provider: Any, request_to: Any, answering: Any, eventually: Any
) -> None:
    hint = b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1, max=5\r\nContent-Length: 0\r\n\r\n"
    for response, limits in ((OK, {"idle_seconds": 0.05}), (hint, {})):
        async with open_provider(answering(response)) as stand, open_client(**limits) as client:
            await (await client.send(request_to(stand.origin))).read(10)
            assert client.stats.connections == 1
            await eventually(lambda: client.stats.connections == 0)


async def test_connections_are_bounded_and_the_oldest_idle_one_makes_room(
    open_client: Any, open_provider: Any, request_to: Any
) -> None:
    hold = asyncio.Event()

    async def script(peer: Any) -> None:
        while True:
            _, body = await peer.message()
            if body == b"hold":
                await hold.wait()
            peer.send(OK)

    limits = {"connections": 2, "connections_per_lane": 2}
    async with open_provider(script) as stand, open_client(**limits) as client:
        for key in ("a", "b", "c"):
            await (await client.send(request_to(stand.origin, pool=("t", key, 1)))).read(10)
        assert client.stats.connections <= 2
        held = [
            asyncio.create_task(client.send(request_to(stand.origin, pool=("t", "d", 1), body=b"hold")))
            for _ in range(2)
        ]
        while client.stats.sent < 5:  # noqa: ASYNC110 - two dials are under way
            await asyncio.sleep(0.001)
        for pool in (("t", "d", 1), ("t", "e", 1)):
            with pytest.raises(Overloaded):
                await client.send(request_to(stand.origin, pool=pool))
        hold.set()
        for sending in held:
            await (await sending).read(10)


async def test_nobody_listening_is_told_as_nothing_sent(open_client: Any, request_to: Any) -> None:
    async with open_client() as client:
        with pytest.raises(DialFailed):
            await client.send(request_to(parse_origin("http://127.0.0.1:1")))
        assert client.stats.connections == client.stats.sent == 0


async def test_a_name_that_does_not_resolve_in_time_is_told_as_nothing_sent(
    open_client: Any, request_to: Any
) -> None:
    async def never(host: str, port: int) -> tuple[str, ...]:
        await asyncio.Event().wait()
        return ()

    async with open_client(resolve=never) as client:
        with pytest.raises(DialFailed):
            await client.send(request_to(parse_origin("https://a.example"), timeouts={"connect": 0.05}))
