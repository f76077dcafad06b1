"""Requests that two readers could cut differently, on the real port: refused, counted, and never two upstream."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from kit.fronts import OPENAI
from kit.houses import Attacked
from kit.raw import raw_caller, statuses

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "framing.json").read_text())["vectors"]
BAD_REQUESTS = [vector for vector in VECTORS if not vector["good"] and vector["side"] == "request"]
REFUSALS = {400, 405, 408, 413, 417, 431, 501, 505}

# {outer} is a whole JSON body, {n} its length, {x} its length in hex; {inner} a complete, authorised request.
SMUGGLES = {
    "length and chunks": "Content-Length: {n}\r\nTransfer-Encoding: chunked\r\n\r\n{x}\r\n{outer}\r\n0\r\n\r\n{inner}",
    "chunks and length": "Transfer-Encoding: chunked\r\nContent-Length: {n}\r\n\r\n{outer}{inner}",
    "two lengths": "Content-Length: {n}\r\nContent-Length: 0\r\n\r\n{outer}{inner}",
    "length list": "Content-Length: {n}, {n}\r\n\r\n{outer}{inner}",
    "length with sign": "Content-Length: +{n}\r\n\r\n{outer}{inner}",
    "length in hex": "Content-Length: 0x{x}\r\n\r\n{outer}{inner}",
    "space before colon": "Content-Length : {n}\r\n\r\n{outer}{inner}",
    "folded length": "Content-Length:\r\n {n}\r\n\r\n{outer}{inner}",
    "other coding": "Transfer-Encoding: gzip, chunked\r\n\r\n{x}\r\n{outer}\r\n0\r\n\r\n{inner}",
    "coding twice": "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n{x}\r\n{outer}\r\n0\r\n\r\n",
    "coding with tab": "Transfer-Encoding:\tchunked\x0b\r\n\r\n{x}\r\n{outer}\r\n0\r\n\r\n{inner}",
    "coding misspelt": "Transfer-Encoding: xchunked\r\nContent-Length: {n}\r\n\r\n{outer}{inner}",
    "chunk size with sign": "Transfer-Encoding: chunked\r\n\r\n+{x}\r\n{outer}\r\n0\r\n\r\n{inner}",
    "chunk size too long": "Transfer-Encoding: chunked\r\n\r\n0000000000000000000{x}\r\n{outer}\r\n0\r\n\r\n{inner}",
    "chunk ends early": "Transfer-Encoding: chunked\r\n\r\n2\r\n{outer}\r\n0\r\n\r\n{inner}",
    "chunk with bare line feed": "Transfer-Encoding: chunked\r\n\r\n{x}\n{outer}\n0\n\n{inner}",
    "trailer": "Transfer-Encoding: chunked\r\n\r\n{x}\r\n{outer}\r\n0\r\nContent-Length: 9\r\n\r\n{inner}",
    "bare line feeds": "Content-Length: {n}\n\n{outer}{inner}",
    "two hosts": "Host: b.example\r\nContent-Length: {n}\r\n\r\n{outer}{inner}",
    "null in a field": "X-A: b\0c\r\nContent-Length: {n}\r\n\r\n{outer}{inner}",
    "length longer than the body": "Content-Length: 100000\r\n\r\n{outer}{inner}",
}  # fmt: skip


def request(head: str, token: str, mark: str) -> bytes:
    """An authorised POST whose framing is in dispute, with another request behind it."""
    outer = OPENAI.body(f"outer {mark}").decode()
    inner_body = OPENAI.body(f"inner {mark}").decode()
    start = f"POST {OPENAI.chat} HTTP/1.1\r\nHost: a.example\r\nAuthorization: Bearer {token}\r\n"
    inner = f"{start}Content-Length: {len(inner_body)}\r\n\r\n{inner_body}"
    values = {"outer": outer, "n": str(len(outer)), "x": f"{len(outer):x}", "inner": inner}
    for name, value in values.items():
        head = head.replace("{" + name + "}", value)
    return (start + head).encode("latin-1")


def seen(attacked: Attacked, mark: str) -> list[str]:
    """Which of the two requests the provider got."""
    bodies = [record.request.body.decode("latin-1") for record in attacked.grounds.outside.standin.received]
    return [word for body in bodies for word in ("outer", "inner") if f"{word} {mark}" in body]


@pytest.mark.parametrize("name", SMUGGLES)
def test_a_request_in_dispute_reaches_no_provider_and_smuggles_nothing(attacked: Attacked, name: str) -> None:
    mark = uuid.uuid4().hex
    with raw_caller(attacked.gateway) as caller:
        caller.send(request(SMUGGLES[name], attacked.grounds.places["good"].token, mark))
        caller.end()
        answered = caller.rest()
    (status,) = statuses(answered)
    assert status in REFUSALS, answered
    assert seen(attacked, mark) == []
    assert b"\r\nconnection: close\r\n" in answered.lower()
    assert json.loads(answered.partition(b"\r\n\r\n")[2])["error"]["message"]


def test_requests_in_a_row_are_answered_in_order(attacked: Attacked) -> None:
    mark = uuid.uuid4().hex
    plain = request("Content-Length: {n}\r\n\r\n{outer}{inner}", attacked.grounds.places["good"].token, mark)
    with raw_caller(attacked.gateway) as caller:
        caller.send(plain)
        caller.end()
        assert statuses(caller.rest()) == [200, 200]
    assert seen(attacked, mark) == ["outer", "inner"]


@pytest.mark.parametrize("vector", BAD_REQUESTS, ids=lambda vector: vector["name"])
def test_the_corpus_is_refused_on_the_real_port(attacked: Attacked, vector: dict[str, Any]) -> None:
    with raw_caller(attacked.gateway) as caller:
        caller.send(vector["raw"].encode("latin-1"))
        caller.end()
        answered = caller.rest()
    found = statuses(answered)
    assert found, "silence"
    # Where the head is fine and the body is not, a stranger hears of its token first.
    assert found[-1] in REFUSALS | {401, 404, 403}
    assert len(found) <= 2


def test_heads_beyond_the_limits_are_refused_while_they_come(attacked: Attacked) -> None:
    for extra in (b"x-long: " + b"a" * 70_000 + b"\r\n", b"".join(b"x-%d: 1\r\n" % i for i in range(250))):
        with raw_caller(attacked.gateway) as caller:
            caller.send(b"GET /livez HTTP/1.1\r\nHost: a\r\n" + extra + b"\r\n")
            assert statuses(caller.rest()) == [431]


@pytest.mark.parametrize("rest", ["half a body", "a bad chunk"])
def test_a_body_that_goes_wrong_midway_is_answered(attacked: Attacked, rest: str) -> None:
    token = attacked.grounds.places["good"].token
    start = f"POST {OPENAI.chat} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n".encode()
    with raw_caller(attacked.gateway) as caller:
        if rest == "half a body":
            caller.send(start + b"Content-Length: 100\r\nExpect: 100-continue\r\n\r\n")
            assert caller.until(b"\r\n\r\n").startswith(b"HTTP/1.1 100")  # the gateway waits for the body
            caller.send(b'{"model":')
            caller.end()
        else:
            caller.send(start + b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
            assert caller.until(b"\r\n\r\n").startswith(b"HTTP/1.1 100")
            caller.send(b"5\r\nhello\r\nnonsense\r\n")
        assert statuses(caller.rest()) == [400]


def test_a_gateway_that_was_lied_to_is_healthy(attacked: Attacked) -> None:
    assert attacked.healthy()
