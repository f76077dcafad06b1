"""The corpus in vectors/framing.json: good messages are read as written there, bad ones refused, however cut."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "framing.json").read_text())["vectors"]
GOOD = [vector for vector in VECTORS if vector["good"]]
BAD = [vector for vector in VECTORS if not vector["good"]]
BAD_REQUESTS = [vector for vector in BAD if vector["side"] == "request"]
Vector = dict[str, Any]


def cuttings(raw: bytes) -> list[list[bytes]]:
    """Whole, byte by byte, and cut once at every place."""
    singles = [raw[i : i + 1] for i in range(len(raw))]
    return [[raw], singles, *([raw[:i], raw[i:]] for i in range(1, len(raw)))]


def read(fuzz: ModuleType, vector: Vector, pieces: list[bytes]) -> list[Any]:
    if vector["side"] == "request":
        return fuzz.read_requests(pieces)
    return fuzz.read_response(pieces, vector["method"].encode(), eof=vector.get("eof", False))


def meaning(head: Any, body: bytes) -> dict[str, Any]:
    """A message in the vectors' words."""
    start = {"status": head.status} if hasattr(head, "status") else {}
    if hasattr(head, "method"):
        start = {"method": head.method.decode(), "target": head.target.decode("latin-1")}
    return {**start, "body": body.decode("latin-1"), "keep_alive": head.keep_alive}


@pytest.mark.parametrize("vector", GOOD, ids=lambda vector: vector["name"])
def test_a_good_message_is_read_as_written_however_it_is_cut(vector: Vector, fuzz: ModuleType) -> None:
    for pieces in cuttings(vector["raw"].encode("latin-1")):
        events = read(fuzz, vector, pieces)
        heads = [event[1] for event in events if event[0] == "head"]
        bodies = [event[1] for event in events if event[0] == "body"]
        assert [meaning(*pair) for pair in zip(heads, bodies, strict=True)] == vector["messages"]
        assert events[-1] == ("end",)
        if "fields" in vector:
            assert [[name.decode(), value.decode()] for name, value in heads[0].headers] == vector["fields"]
        if "upgrade" in vector:
            assert heads[0].upgrade is vector["upgrade"]


@pytest.mark.parametrize("vector", BAD, ids=lambda vector: vector["name"])
def test_a_bad_message_is_refused_however_it_is_cut(vector: Vector, fuzz: ModuleType) -> None:
    allowed = {*vector["reasons"], "line-end", "start-line"}
    for pieces in cuttings(vector["raw"].encode("latin-1")):
        last = read(fuzz, vector, pieces)[-1]
        assert last[0] == "refused", pieces
        assert last[1] in allowed
    if "status" in vector:
        assert read(fuzz, vector, [vector["raw"].encode("latin-1")])[-1][2] == vector["status"]


def test_at_least_half_of_the_corpus_is_bad_and_names_are_unique() -> None:
    assert len(BAD) * 2 >= len(VECTORS) >= 40
    assert len({vector["name"] for vector in VECTORS}) == len(VECTORS)


@pytest.mark.parametrize("vector", BAD_REQUESTS, ids=lambda vector: vector["name"])
async def test_the_edge_refuses_a_bad_request_and_never_calls_the_handler_for_it(
    vector: Vector, open_edge: Any
) -> None:
    served = []

    async def handler(exchange: Any) -> None:
        served.append(await exchange.body())
        exchange.respond(200, [])

    async with open_edge(handler, head_seconds=0.1, keep_alive_seconds=0.1, linger_seconds=0.1) as door:
        answer = await door.ask(vector["raw"].encode("latin-1"))
        assert served == []
        assert answer.startswith(b"HTTP/1.1 ")
        assert int(answer[9:12]) in (400, 405, 408, 417, 431, 501, 505)
        assert b"connection: close\r\n" in answer
        assert len(door.refused) == 1
