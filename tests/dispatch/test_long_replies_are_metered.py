"""A reply too long to hold is metered by its tail, however it was cut, in bounded memory."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.shared import exchanges, require_exchanges
from tokenone.dispatch.providers import PROVIDERS
from tokenone.dispatch.tail import KEPT, TailReader
from tokenone.types import Provider, Usage

FACTS = PROVIDERS[Provider.OPENAI]
PATH = b"/v1/embeddings"


def read(body: bytes, size: int) -> tuple[str | None, Usage | None]:
    tail = TailReader()
    for at in range(0, len(body), size):
        tail.feed(body[at : at + size])
    assert len(tail._head) <= KEPT
    assert len(tail._tail) <= KEPT
    found = FACTS.read(tail.digest(), PATH, [])
    return found.model, found.usage


@pytest.mark.parametrize("size", [997, 65_536, 10_000_000])
@pytest.mark.parametrize("indent", [None, 2])
def test_an_embedding_reply_of_megabytes_reports_its_usage(size: int, indent: int | None) -> None:
    rows = [{"index": number, "embedding": "AAAA" * 2000} for number in range(200)]
    reply = {
        "data": rows,
        "model": "text-embedding-3-small",
        "usage": {"prompt_tokens": 9, "total_tokens": 9},
    }
    body = json.dumps(reply, indent=indent).encode()
    assert len(body) > 1_500_000
    assert read(body, size) == ("text-embedding-3-small", Usage(input=9))


@given(st.text(max_size=60), st.integers(1, 400))
def test_text_that_looks_like_usage_is_not_taken_for_it(text: str, size: int) -> None:
    content = text + '"usage":{"prompt_tokens":1,"completion_tokens":1},"model":"forged"' + text
    reply = {
        "model": "m",
        "usage": {"prompt_tokens": 7, "completion_tokens": 3},
        "choices": [{"content": content}],
    }
    assert read(json.dumps(reply).encode(), size) == ("m", Usage(input=7, output=3))


def test_a_reply_that_was_cut_or_has_no_usage_reports_none() -> None:
    assert read(b'{"model":"m","usage":{"prompt_tokens":7,', 5) == ("m", None)
    assert read(b'{"data":[]}', 5) == (None, None)
    assert read(b"\x00\xff garbage {", 5) == (None, None)


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_recorded_replies_read_alike_by_their_tail(provider: str) -> None:
    require_exchanges()
    facts = PROVIDERS[Provider(provider)]
    compared = 0
    for exchange in exchanges(provider):
        if exchange.event_stream or exchange.status != 200 or b"_search_call" in exchange.reply:
            continue
        tail = TailReader()
        tail.feed(exchange.reply)
        path = exchange.path.encode()
        assert facts.usage(tail.digest(), path) == facts.usage(exchange.reply, path), exchange.id
        compared += 1
    assert compared > 20
