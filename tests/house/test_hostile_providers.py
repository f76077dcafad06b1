"""Providers that break off at any byte, never end, report nonsense or answer what nobody asked."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from kit.fronts import ANTHROPIC, FRONTS, OPENAI, Front, events
from kit.houses import Attacked
from kit.raw import header, post, raw_caller
from kit.scripted import Scripted, answer
from tokenone.testing.desk import Workplace

CUTS = (0, 1, 8, 60, 150, 163, 180, 200, 230, 300, 400, 450, 600, 900, 1400, 2200, 100_000)
MIB = 1 << 20


def cut_calls() -> list[tuple[str, str, bool, int]]:
    return [
        (front, mode, stream, cut)
        for front in FRONTS
        for mode in ("cut", "reset")
        for stream in (False, True)
        for cut in CUTS
    ]


@pytest.fixture(scope="module")
def cut_answers(attacked: Attacked) -> dict[tuple[str, str, bool, int], httpx2.Response]:
    place = attacked.grounds.places["good"]

    def ask(front: str, mode: str, stream: bool, cut: int) -> httpx2.Response:
        return attacked.ask(FRONTS[front], place, fault=f"{mode}:{cut}", stream=stream)

    with ThreadPoolExecutor(12) as pool:
        running = {call: pool.submit(ask, *call) for call in cut_calls()}
        return {call: future.result() for call, future in running.items()}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("front", FRONTS)
def test_a_provider_that_breaks_off_at_any_byte_is_told_and_recorded(
    attacked: Attacked,
    cut_answers: dict[tuple[str, str, bool, int], httpx2.Response],
    front: str,
    stream: bool,
) -> None:
    reference = attacked.ask(FRONTS[front], attacked.grounds.places["good"], stream=stream).content
    causes: set[str] = set()
    for (name, _, streamed, _), got in cut_answers.items():
        if (name, streamed) != (front, stream):
            continue
        outcome = attacked.outcome(got)
        causes.add(outcome["cause"])
        if outcome["cause"] == "complete":
            assert (got.status_code, got.content) == (200, reference)
            continue
        assert outcome["cause"] in ("upstream_broken", "upstream_closed_idle")
        assert outcome["usage"]["estimated"]
        assert outcome["cost"]["nano"] > 0
        assert_told(FRONTS[front], got, reference, stream=stream)
    assert causes >= {"complete", "upstream_broken"}


def assert_told(front: Front, got: httpx2.Response, reference: bytes, *, stream: bool) -> None:
    """A 502, or whole events of the stream as it would have been with our error behind them."""
    if got.status_code == 502:
        assert front.refusal(got.content)["code"] in ("upstream_broken", "upstream_closed_idle")
        return
    assert stream
    assert got.status_code == 200
    *before, last = events(got.content)
    assert front.refusal(last)["code"] == "upstream_broken"
    assert before == events(reference)[: len(before)]


def test_an_answer_that_nobody_asked_for_is_nobodys(attacked: Attacked) -> None:
    place = attacked.grounds.places["good"]
    for turn in range(6):
        front = (OPENAI, ANTHROPIC)[turn % 2]
        got = attacked.ask(front, place, fault="unsolicited" if turn < 4 else None, text=f"echo mine {turn}")
        assert got.status_code == 200
        assert f"mine {turn}" in got.text
        assert "stolen" not in got.text


# ── answers byte by byte ───────────────────────────────────────────────────────────────────────────────────
@pytest.fixture(scope="module")
def scripted(attacked: Attacked) -> Iterator[tuple[Scripted, Workplace]]:
    with Scripted(lambda _: b"") as provider:
        yield provider, attacked.route(provider.origin, "scripted")


CHAT = {"id": "chatcmpl-1", "object": "chat.completion", "model": OPENAI.model, "choices": []}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": ANTHROPIC.model, "content": []}
ODD_USAGE: list[tuple[Front, dict[str, Any]]] = [
    (OPENAI, {"prompt_tokens": 10**12, "completion_tokens": 10**12}),
    (OPENAI, {"prompt_tokens": 10**30, "completion_tokens": 1}),
    (OPENAI, {"prompt_tokens": -5, "completion_tokens": -5}),
    (OPENAI, {"prompt_tokens": 1.5, "completion_tokens": "many"}),
    (
        OPENAI,
        {"prompt_tokens": 1, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 10**12}},
    ),
    (ANTHROPIC, {"input_tokens": 10**12, "output_tokens": 10**12, "cache_read_input_tokens": 10**12}),
    (ANTHROPIC, {"input_tokens": 1, "output_tokens": 1, "server_tool_use": {"é☃": 3}}),
    (ANTHROPIC, {"input_tokens": 1, "output_tokens": 1, "server_tool_use": {"x" * 70_000: 3}}),
    (
        ANTHROPIC,
        {"input_tokens": 1, "output_tokens": 1, "server_tool_use": {f"t{n}": n for n in range(5000)}},
    ),
    (ANTHROPIC, {"input_tokens": 1, "output_tokens": 1, "service_tier": "t" * 900_000, "speed": "\ud800"}),
    (
        ANTHROPIC,
        {"input_tokens": 1, "output_tokens": 1, "service_tier": "standard\x00", "inference_geo": "é"},
    ),
]


@pytest.mark.parametrize(("front", "usage"), ODD_USAGE, ids=lambda value: getattr(value, "name", "usage"))
def test_whatever_usage_a_provider_reports_the_outcome_is_recorded(
    attacked: Attacked, scripted: tuple[Scripted, Workplace], front: Front, usage: dict[str, Any]
) -> None:
    provider, place = scripted
    body = json.dumps((CHAT if front is OPENAI else MESSAGE) | {"usage": usage}).encode()
    provider.script = lambda _: answer(body)
    got = attacked.ask(front, place)
    assert (got.status_code, got.content) == (200, body)
    outcome = attacked.outcome(got)
    assert outcome["cause"] == "complete"
    assert outcome["cost"].get("nano") != 0


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_long_answer_that_breaks_off_is_visibly_cut(
    attacked: Attacked, scripted: tuple[Scripted, Workplace], framing: str
) -> None:
    provider, place = scripted
    part = b'{"choices":[{"message":{"content":"' + b"a" * (2 * MIB)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
    if framing == "length":
        provider.script = lambda _: head + b"content-length: %d\r\n\r\n" % (3 * MIB) + part
    else:
        provider.script = lambda _: (
            head + b"transfer-encoding: chunked\r\n\r\n%x\r\n" % len(part) + part + b"\r\n"
        )
    with raw_caller(attacked.gateway) as caller:
        caller.send(post(OPENAI, place))
        raw = caller.rest()
    told, _, body = raw.partition(b"\r\n\r\n")
    assert told.startswith(b"HTTP/1.1 200 ")
    assert b"upstream_broken" not in body, "an error frame in the middle of a JSON document"
    assert not body.endswith(b"0\r\n\r\n"), "a proper end"
    assert len(body) < 3 * MIB
    call = header(told, b"x-tokenone-call")
    outcome = attacked.logbook.closed(call)[-1][1]
    assert outcome["cause"] == "upstream_broken"
    assert outcome["cost"]["nano"] > 0


def test_an_encoded_stream_that_breaks_off_is_visibly_cut(
    attacked: Attacked, scripted: tuple[Scripted, Workplace]
) -> None:
    provider, place = scripted
    zipper = zlib.compressobj(wbits=31)
    start = b'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":3}}}\n\n'
    zipped = zipper.compress(start) + zipper.flush(zlib.Z_SYNC_FLUSH)
    provider.script = lambda _: (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\n"
        b"transfer-encoding: chunked\r\n\r\n%x\r\n" % len(zipped) + zipped + b"\r\n"
    )
    with raw_caller(attacked.gateway) as caller:
        caller.send(post(ANTHROPIC, place, stream=True))
        told, _, body = caller.rest().partition(b"\r\n\r\n")
    assert b"content-encoding: gzip" in told
    assert b"upstream_broken" not in body, "a plain frame in the middle of an encoded stream"
    assert not body.endswith(b"0\r\n\r\n"), "a proper end"
    assert attacked.logbook.closed(header(told, b"x-tokenone-call"))[-1][1]["cause"] == "upstream_broken"


@pytest.mark.parametrize("encoding", [b"", b"content-encoding: gzip\r\n"], ids=["plain", "gzip"])
def test_a_refusal_too_long_to_vouch_for_is_withheld(
    attacked: Attacked, scripted: tuple[Scripted, Workplace], encoding: bytes
) -> None:
    provider, place = scripted
    provider.script = lambda _: (
        b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/html\r\n" + encoding
        + b"content-length: %d\r\n\r\n" % (2 * MIB) + b"x" * (2 * MIB)
    )  # fmt: skip
    got = attacked.ask(OPENAI, place)
    assert got.status_code == 400
    assert json.loads(got.content)["error"]["type"] == "withheld"
    assert "content-encoding" not in got.headers
    assert attacked.outcome(got)["status"] == 400
