"""TLS both ways: providers are verified always, callers get TLS 1.3 and certificates renewed without a restart."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from tokenone.errors import ConfigRefused, DialFailed, UpstreamBroken
from tokenone.types import parse_origin
from tokenone.wire.tls import ServerTls, client_context, server_context

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def serving(pair: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*map(str, pair))
    return context


async def answered(door: Any, trust: ssl.SSLContext) -> bool:
    """Says whether a caller with this context gets an answer."""
    try:
        async with door.caller(trust) as caller:
            caller.send(GET)
            return bool(await caller.head())
    except (ssl.SSLError, ConnectionError, asyncio.IncompleteReadError):
        return False


async def answer(exchange: Any) -> None:
    exchange.respond(200, [], b"ok")


async def test_a_provider_with_a_good_certificate_is_reached_by_name_and_by_address(
    authority: Any, open_client: Any, open_provider: Any, answering: Any, request_to: Any
) -> None:
    tls = serving(authority.issue("localhost", "127.0.0.1"))
    async with (
        open_provider(answering(OK), tls=tls) as stand,
        open_client(allow=("127.0.0.0/8", "::1/128")) as client,
    ):
        for host in ("localhost", "127.0.0.1"):
            origin = parse_origin(f"https://{host}:{stand.origin.port}")
            for _ in range(2):
                incoming = await client.send(request_to(origin, ca_pem=authority.pem))
                assert await incoming.read(10) == b"ok"
        assert len(stand.peers) == 2


@pytest.mark.parametrize("flaw", ["wrong host", "expired", "self-signed", "another CA", "system roots"])
async def test_a_provider_that_does_not_verify_gets_no_byte(
    flaw: str, authority: Any, open_client: Any, open_provider: Any, request_to: Any, tmp_path: Path
) -> None:
    pair = {
        "wrong host": lambda: authority.issue("other.example"),
        "expired": lambda: authority.issue("localhost", expired=True),
        "self-signed": lambda: authority.issue("localhost", self_signed=True),
    }.get(flaw, lambda: authority.issue("localhost"))()
    other = type(authority)(tmp_path, "Other CA")
    ca_pem = {"another CA": other.pem, "system roots": None}.get(flaw, authority.pem)
    got = []

    async def script(peer: Any) -> None:
        got.append(await peer.rest())

    async with (
        open_provider(script, tls=serving(pair)) as stand,
        open_client(allow=("127.0.0.0/8", "::1/128")) as client,
    ):
        with pytest.raises(DialFailed):
            await client.send(request_to(stand.origin, ca_pem=ca_pem))
        assert client.stats.sent == client.stats.connections == 0
    assert not any(got)


async def test_a_provider_that_speaks_plain_http_or_nothing_on_its_tls_port_is_refused(
    open_client: Any, open_provider: Any, answering: Any, request_to: Any
) -> None:
    async def silent(peer: Any) -> None:
        await asyncio.Event().wait()

    async def plain(peer: Any) -> None:
        await peer.reader.read(10)
        peer.send(OK)

    for script in (plain, silent):
        async with open_provider(script) as stand, open_client() as client:
            origin = parse_origin(f"https://127.0.0.1:{stand.origin.port}")
            with pytest.raises(DialFailed):
                await client.send(request_to(origin, timeouts={"connect": 0.3}))


async def test_an_old_protocol_version_is_refused(
    authority: Any, open_client: Any, open_provider: Any, answering: Any, request_to: Any
) -> None:
    tls = serving(authority.issue("localhost"))
    tls.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        tls.minimum_version = tls.maximum_version = ssl.TLSVersion.TLSv1_1
    async with (
        open_provider(answering(OK), tls=tls) as stand,
        open_client(allow=("127.0.0.0/8", "::1/128")) as client,
    ):
        with pytest.raises(DialFailed):
            await client.send(request_to(stand.origin, ca_pem=authority.pem))


def test_a_ca_that_is_not_pem_is_a_failed_dial() -> None:
    with pytest.raises(DialFailed):
        client_context("nonsense")


def test_contexts_do_not_log_their_keys_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, authority: Any
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    assert client_context(None).keylog_filename is None
    assert server_context(*authority.issue("localhost")).keylog_filename is None


async def test_callers_get_tls_1_3_with_pipelining_streaming_and_close(
    authority: Any, open_edge: Any
) -> None:
    async def handler(exchange: Any) -> None:
        if exchange.head.target == b"/stream":
            exchange.start(200, [])
            exchange.write(b"a" * 100_000)
            exchange.finish()
            return
        exchange.respond(200, [], await exchange.body())

    tls = server_context(*authority.issue("localhost"))
    async with open_edge(handler, tls=tls, linger_seconds=0.1) as door:
        async with door.caller(client_context(authority.pem)) as caller:
            assert caller.writer.get_extra_info("ssl_object").version() == "TLSv1.3"
            post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n"
            caller.send(
                post + b"hi" + post + b"ho" + b"GET /stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            )
            assert [(await caller.message())[1] for _ in range(2)] == [b"hi", b"ho"]
            assert (await caller.rest()).endswith(b"a\r\n0\r\n\r\n")
        old = client_context(authority.pem)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        assert await answered(door, old) is False


async def test_a_renewed_certificate_serves_new_connections_while_old_ones_live_on(
    authority: Any, open_edge: Any, tmp_path: Path
) -> None:
    first, second = (
        authority.issue("localhost", common="first"),
        authority.issue("localhost", common="second"),
    )
    cert, key = tmp_path / "live.crt", tmp_path / "live.key"
    shutil.copy(first[0], cert)
    shutil.copy(first[1], key)
    tls = ServerTls(cert, key)
    trust = client_context(authority.pem)

    def name(caller: Any) -> str:
        return str(
            dict(*zip(*caller.writer.get_extra_info("peercert")["subject"], strict=True))["commonName"]
        )

    async with open_edge(answer, tls=tls.context) as door, door.caller(trust) as before:
        assert tls.reload() is False
        shutil.copy(second[1], key)  # a key that does not fit the certificate
        os.utime(key, ns=(1, 1))
        with pytest.raises(ConfigRefused):
            tls.reload()
        async with door.caller(trust) as caller:
            assert name(caller) == "first"
        shutil.copy(second[0], cert)
        assert tls.reload() is True
        async with door.caller(trust) as after:
            assert (name(before), name(after)) == ("first", "second")
            for caller in (before, after):
                caller.send(GET)
                assert (await caller.message())[1] == b"ok"


async def test_client_certificates_are_demanded_where_a_ca_for_them_is_given(
    authority: Any, open_edge: Any
) -> None:
    tls = server_context(*authority.issue("localhost"), authority.path)
    async with open_edge(answer, tls=tls) as door:
        trust = client_context(authority.pem)
        assert await answered(door, trust) is False
        trust = client_context(authority.pem)
        trust.load_cert_chain(*map(str, authority.issue("client")))
        async with door.caller(trust) as caller:
            caller.send(GET)
            assert (await caller.message())[1] == b"ok"


def test_a_certificate_that_cannot_be_read_is_refused_at_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigRefused):
        ServerTls(tmp_path / "none.crt", tmp_path / "none.key")


@pytest.mark.parametrize("ending", ["TLS's own", "TCP's only"])
async def test_a_body_that_ends_with_the_connection_is_whole_only_by_the_end_that_tls_protects(
    ending: str, authority: Any, open_client: Any, open_provider: Any, request_to: Any
) -> None:
    async def script(peer: Any) -> None:
        await peer.message()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        await peer.writer.drain()
        if ending == "TLS's own":
            peer.close()
            return
        with socket.socket(fileno=os.dup(peer.writer.get_extra_info("socket").fileno())) as beneath:
            beneath.shutdown(socket.SHUT_WR)

    tls = serving(authority.issue("localhost"))
    loopback = ("127.0.0.0/8", "::1/128")
    async with open_provider(script, tls=tls) as stand, open_client(allow=loopback) as client:
        incoming = await client.send(request_to(stand.origin, ca_pem=authority.pem))
        if ending == "TLS's own":
            assert await incoming.read(100) == b"all of it"
            return
        with pytest.raises(UpstreamBroken):
            await incoming.read(100)
